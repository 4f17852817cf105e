//! What the program says is English as an operator writes it: phrases that were thought in another language are not in its
//! messages, the help of its commands, the texts of its SQL and its page, nor in the docs; the worst are not in comments either.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Whole words, in any case.
const FOREIGN: &[&str] = &[
    "a look",
    "are no",
    "as which",
    "at rest",
    "blank",
    "blanks",
    "by who",
    "call jobs off",
    "called off",
    "cure",
    "cures",
    "for ever",
    "for long",
    "for who",
    "go on",
    "goes on",
    "if that is so",
    "in vain",
    "is another word",
    "is no",
    "is none",
    "makes no",
    "mend",
    "mended",
    "mending",
    "mends",
    "no address is",
    "nobody",
    "of who",
    "put back",
    "put right",
    "rests",
    "so many times",
    "somebody",
    "stands",
    "take it away",
    "take it out",
    "take one out",
    "told",
    "was no",
    "whoever",
];

/// Good English although a phrase of the list is in it.
const GOOD: &[&str] = &[
    "there are no",
    "there is no",
    "there is none",
    "there was no",
    "is no longer",
    "are no longer",
    "was no longer",
    "is no more",
    "are no more",
];

/// Fine in the prose of the docs, though not in a message.
const PROSE: &[&str] =
    &["a look", "for ever", "for long", "go on", "goes on", "nobody", "put back", "stands", "told", "whoever"];

/// Not even in comments.
const COMMENTS: &[&str] = &["are no", "by who", "for who", "is no", "to who"];

/// Texts that others go by, each with its user.
const FIXED: &[(&str, &str)] = &[
    ("Needs a look", "verdict of status, in the contract"),
    ("job of an earlier run cannot be put back", "message of the log"),
    ("jobs of an earlier run cannot be put back", "as that message of the log"),
    ("jobs claimed by nobody put back, in doubt", "message of the log"),
    ("job put back by another program while it was being sent", "message of the log"),
    ("monitor can be reached from other machines, and asks nobody who they are", "message of the log"),
    ("this is no EventID; give the id as it stands in event_id", "message of migrations that stand"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every file below a folder of the repository whose name ends so.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    fn look(directory: &Path, end: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, end, found);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    look(&root().join(folder), end, &mut found);
    found
}

/// Every file of the program itself, without its tests.
fn sources() -> Vec<PathBuf> {
    let mut sources = files("src", ".rs");
    sources.retain(|file| !file.to_string_lossy().ends_with("_tests.rs") && !file.ends_with("tests.rs"));
    sources
}

fn own_text(file: &Path) -> String {
    text(file).split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The string literals of a text, each with its line. Escapes and placeholders become blanks.
fn literals(text: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
    let (mut found, mut place, mut line) = (Vec::new(), 0, 1);
    while place < chars.len() {
        match at(place) {
            '\n' => line += 1,
            '/' if at(place + 1) == '/' => {
                while place + 1 < chars.len() && at(place + 1) != '\n' {
                    place += 1;
                }
            }
            // A character, not a lifetime.
            '\'' if at(place + 1) == '\\' => place += 2 + chars[place + 2..].iter().position(|c| *c == '\'').unwrap(),
            '\'' if at(place + 2) == '\'' => place += 2,
            '"' => {
                let hashes = (1..=place).take_while(|back| at(place - back) == '#').count();
                let raw = place > hashes && at(place - hashes - 1) == 'r';
                let (begin, mut literal) = (line, String::new());
                place += 1;
                let ends =
                    |place: usize| at(place) == '"' && (!raw || (1..=hashes).all(|more| at(place + more) == '#'));
                while place < chars.len() && !ends(place) {
                    line += usize::from(at(place) == '\n');
                    match at(place) {
                        '\\' if !raw => {
                            place += 1;
                            line += usize::from(at(place) == '\n');
                            literal.push(' ');
                        }
                        c => literal.push(c),
                    }
                    place += 1;
                }
                found.push((begin, without_placeholders(&literal)));
            }
            _ => {}
        }
        place += 1;
    }
    found
}

fn without_placeholders(literal: &str) -> String {
    let mut depth = 0;
    let kept = literal.chars().filter_map(|c| match c {
        '{' => {
            depth += 1;
            None
        }
        '}' => {
            depth -= 1;
            Some(' ')
        }
        c => (depth <= 0).then_some(c),
    });
    kept.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The docs of arguments and commands, which clap shows.
fn help(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut derives, mut inside) = (Vec::new(), false, false);
    for (number, line) in (1..).zip(text.lines()) {
        derives |=
            line.contains("derive(") && ["clap::", "Subcommand", "Parser"].iter().any(|name| line.contains(name));
        let opens = line.ends_with('{') && !line.starts_with(' ');
        if opens && derives {
            (derives, inside) = (false, true);
        }
        inside &= !line.starts_with('}');
        if let Some(doc) = line.trim_start().strip_prefix("///").filter(|_| inside) {
            found.push((number, doc.trim().to_owned()));
        }
    }
    found
}

/// The texts between quotes of a script or a statement of SQL, each with its line. No comments, which begin with `comment`.
fn quoted(text: &str, quotes: &[char], comment: &str) -> Vec<(usize, String)> {
    let (mut found, mut open, mut escaped) = (Vec::new(), None::<(char, usize, String)>, false);
    for (number, line) in (1..).zip(text.lines()) {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            if open.is_none() && rest.starts_with(comment) {
                break;
            }
            rest = &rest[c.len_utf8()..];
            match &mut open {
                Some(_) if escaped => escaped = false,
                Some(_) if c == '\\' => escaped = true,
                Some((quote, begin, said)) if c == *quote => {
                    found.push((*begin, std::mem::take(said)));
                    open = None;
                }
                Some((_, _, said)) => said.push(c),
                None if quotes.contains(&c) => open = Some((c, number, String::new())),
                None => {}
            }
        }
        if let Some((_, _, said)) = &mut open {
            said.push(' ');
        }
    }
    found
}

/// What a page of HTML shows: between its tags, and in its attributes.
fn shown(html: &str) -> Vec<(usize, String)> {
    let lines = (1..).zip(html.lines());
    let between = |line: &str| {
        line.split('<').map(|part| part.rsplit('>').next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
    };
    let texts = lines.map(|(number, line)| (number, between(line)));
    texts.chain(quoted(html, &['"'], "<!--")).collect()
}

/// A page of the docs without its code.
fn prose(page: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !line.starts_with("    ") {
            lines.push((number, line.split('`').step_by(2).collect::<Vec<_>>().join(" ")));
        }
    }
    lines
}

/// The comments of a file of Rust, those on lines below each other as one.
fn comments(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut last = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let whole = line.trim_start().strip_prefix("//").map(|said| (said.trim_start_matches(['/', '!']), true));
        let Some((said, is_whole)) = whole.or_else(|| line.split_once(" // ").map(|(_, said)| (said, false))) else {
            continue;
        };
        match found.last_mut().filter(|_| is_whole && last + 1 == number) {
            Some((_, block)) => block.push_str(said),
            None => found.push((number, said.to_owned())),
        }
        last = number;
    }
    found
}

/// The phrases of the list in a text. One word alone is a name, not a message.
fn foreign(text: &str) -> Vec<&'static str> {
    phrases(text, FOREIGN)
}

fn phrases(text: &str, list: &[&'static str]) -> Vec<&'static str> {
    let mut text = text.to_lowercase();
    if !text.contains(' ') {
        return Vec::new();
    }
    FIXED.iter().for_each(|(fixed, _)| text = text.replace(&fixed.to_lowercase(), ""));
    GOOD.iter().for_each(|good| text = text.replace(good, ""));
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |phrase: &&&str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.windows(phrase.len()).any(|window| window == phrase)
    };
    list.iter().filter(has).copied().collect()
}

/// A line of the report for each text with one of the phrases in it.
fn report(file: &Path, texts: Vec<(usize, String)>, list: &[&'static str]) -> String {
    let name = file.strip_prefix(root()).unwrap().display();
    let mut report = String::new();
    for (line, said) in texts {
        let phrases = phrases(&said, list);
        if !phrases.is_empty() {
            writeln!(report, "{name}:{line}: {phrases:?} in {said:?}").unwrap();
        }
    }
    report
}

fn assert_native(report: &str) {
    assert!(report.is_empty(), "say it as a native engineer would:\n{report}");
}

#[test]
fn messages_and_help_are_in_the_words_of_operators() {
    let said = |text: &str| literals(text).into_iter().chain(help(text)).collect();
    assert_native(&sources().iter().map(|file| report(file, said(&own_text(file)), FOREIGN)).collect::<String>());
}

#[test]
fn texts_of_sql_and_of_the_page_are_too() {
    let statements = files("migrations", ".sql");
    let sql = statements.iter().map(|file| report(file, quoted(&text(file), &['\''], "--"), FOREIGN));
    let page = |name: &str| root().join("src/web/page").join(name);
    let (script, html) = (page("page.js"), page("index.html"));
    let said = quoted(&text(&script), &['\'', '"', '`'], "//");
    assert!(said.len() > 500, "{}", said.len());
    let page = [report(&script, said, FOREIGN), report(&html, shown(&text(&html)), FOREIGN)];
    assert_native(&sql.chain(page).collect::<String>());
}

#[test]
fn the_docs_are_too() {
    let list: Vec<&'static str> = FOREIGN.iter().copied().filter(|phrase| !PROSE.contains(phrase)).collect();
    let mut pages = files("docs", ".md");
    pages.extend(files("docs", ".yml"));
    pages.extend(files("docs", "dashboard.json"));
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)));
    let settings = root().join("agent.toml");
    let lines = |text: &str| (1..).zip(text.lines().map(str::to_owned)).collect();
    let pages = pages.iter().map(|file| {
        let page = text(file);
        report(file, if file.extension().is_some_and(|end| end == "md") { prose(&page) } else { lines(&page) }, &list)
    });
    assert_native(&pages.chain([report(&settings, lines(&text(&settings)), &list)]).collect::<String>());
}

#[test]
fn comments_have_none_of_the_worst() {
    let files = ["src", "tests", "benches/table"].into_iter().flat_map(|folder| files(folder, ".rs"));
    assert_native(&files.map(|file| report(&file, comments(&text(&file)), COMMENTS)).collect::<String>());
}

#[test]
fn messages_are_found_in_every_form() {
    let said = |text: &str| literals(text).into_iter().map(|(_, said)| said).collect::<Vec<_>>();
    assert_eq!(said(r##"f('"', "a \"b\" {c:?}d", r#"e "f""#) // "g""##), ["a b d", "e \"f\""]);
    assert_eq!(literals("x\n\"one \\\n   two\"\n\"three\""), [(2, "one two".to_owned()), (4, "three".to_owned())]);
    assert_eq!(said("fn f<'a>(x: &'a str) { g('\\'', \"h\") }"), ["h"]);
    let docs =
        "#[derive(Debug, clap::Args)]\nstruct Options {\n    /// Shown\n    a: u8,\n}\n/// Not shown\nstruct B {\n";
    assert_eq!(help(docs), [(3, "Shown".to_owned())]);
    let texts = |found: Vec<(usize, String)>| found.into_iter().map(|(_, said)| said).collect::<Vec<_>>();
    assert_eq!(texts(quoted("a('b \\'c', \"d\") // 'e'", &['\'', '"'], "//")), ["b c", "d"]);
    assert_eq!(texts(quoted("RAISE 'a\nb'; -- it's\n'c'", &['\''], "--")), ["a b", "c"]);
    assert_eq!(texts(shown("<p title=\"a\">b <i>c</i></p>")).concat().split_whitespace().collect::<String>(), "bca");
    assert_eq!(prose("a `b` c\n```\nd\n```\n    e"), [(1, "a   c".to_owned())]);
    assert_eq!(texts(comments("/// one\n/// two\nlet a = 1; // three\n// four")), [" one two", "three four"]);
}

#[test]
fn phrases_are_found_as_whole_words_and_good_ones_are_let_through() {
    assert_eq!(foreign("'x' is no column, so it cannot be mended."), ["is no", "mended"]);
    assert_eq!(foreign("there is no queue, and it is no longer needed; amend the rest"), Vec::<&str>::new());
    assert_eq!(foreign("nobody"), Vec::<&str>::new());
    assert_eq!(foreign("Somebody has TOLD"), ["somebody", "told"]);
}
