//! What the program says is English as an operator writes it: phrases that were thought in another language are not in
//! its messages, nor in the help of its commands. What it says stands in string literals and in the docs of clap.
#![allow(clippy::unwrap_used, missing_docs)]

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
const GOOD: &[&str] =
    &["there are no", "there is no", "there is none", "there was no", "is no longer", "are no longer", "was no longer"];

/// Texts that others go by, each with who does.
const FIXED: &[(&str, &str)] = &[
    ("Needs a look", "verdict of status, in the contract"),
    ("job of an earlier run cannot be put back", "message of the log"),
    ("jobs of an earlier run cannot be put back", "as that message of the log"),
    ("jobs claimed by nobody put back, in doubt", "message of the log"),
    ("job put back by another program while it was being sent", "message of the log"),
    ("monitor can be reached from other machines, and asks nobody who they are", "message of the log"),
    ("somebody should look into the calendar", "help of a metric"),
    ("because somebody else changed the row meanwhile", "help of a metric"),
    ("Mailboxes at rest, because Microsoft throttles or refuses them", "help of a metric"),
    ("Times the queue was asked for jobs in vain", "help of a metric"),
    ("because whoever reads it did not take them in time", "help of a metric"),
];

/// Every file of the program itself, without its tests.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

fn own_text(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
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

/// The phrases of the list in a text. One word alone is a name, not a message.
fn foreign(text: &str) -> Vec<&'static str> {
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
    FOREIGN.iter().filter(has).copied().collect()
}

#[test]
fn messages_and_help_are_in_the_words_of_operators() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    files(&root.join("src"), &mut sources);
    let mut report = String::new();
    for source in sources {
        let (name, text) = (source.strip_prefix(root).unwrap().display().to_string(), own_text(&source));
        for (line, said) in literals(&text).into_iter().chain(help(&text)) {
            let phrases = foreign(&said);
            if !phrases.is_empty() {
                writeln!(report, "{name}:{line}: {phrases:?} in {said:?}").unwrap();
            }
        }
    }
    assert!(report.is_empty(), "say it as a native engineer would:\n{report}");
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
}

#[test]
fn phrases_are_found_as_whole_words_and_good_ones_are_let_through() {
    assert_eq!(foreign("'x' is no column, so it cannot be mended."), ["is no", "mended"]);
    assert_eq!(foreign("there is no queue, and it is no longer needed; amend the rest"), Vec::<&str>::new());
    assert_eq!(foreign("nobody"), Vec::<&str>::new());
    assert_eq!(foreign("Somebody has TOLD"), ["somebody", "told"]);
}
