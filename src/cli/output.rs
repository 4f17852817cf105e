//! Results, on stdout: lines, tables, JSON, and the live screen; and what is said beside them, on stderr. Colour only on a
//! terminal, and not against NO_COLOR. Nothing that others wrote steers a terminal: all of it leaves through [`visible`].

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::ops::Range;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use ratatui::{DefaultTerminal, Frame, crossterm::terminal};
use serde_json::Value;
use textwrap::{Options, WordSplitter};

pub(super) use crate::advice::Tone;
pub(super) use crate::format::short;
use crate::visible;

/// Writes one line, or several.
pub(super) fn line(text: &str) -> std::io::Result<()> {
    written(&if colours() { visible::coloured(text) } else { visible::text(text) })
}

/// Says something beside the results, for a person.
pub(super) fn say(text: &str) {
    // Nobody is left to be told that nobody is left to be told.
    let _ = writeln!(std::io::stderr().lock(), "{}", visible::text(text));
}

fn written(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes prose behind a head that takes `indent` columns: on a terminal broken between words, under each other; for a
/// program on one line. Nothing in it steers a terminal, whoever wrote it.
pub(super) fn prose(head: &str, indent: usize, text: &str, tone: Option<Tone>) -> std::io::Result<()> {
    let room = width().map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
    for (place, words) in wrap(&short(text, usize::MAX), room).into_iter().enumerate() {
        let words = tone.map_or(words.clone(), |tone| paint(tone, &words));
        if place == 0 {
            line(&format!("{head}{words}"))?;
        } else {
            line(&format!("{:indent$}{words}", ""))?;
        }
    }
    Ok(())
}

/// Text in lines of at most `width` columns, broken between words; a word that is longer has a line of its own, because
/// it may be a command or an address to copy.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width).break_words(false).word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

/// Writes bytes as they are, and a line break.
pub(super) fn bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes a JSON text as it is, to the byte, and a line break. On a terminal what is hidden in its strings is shown.
pub(super) fn json_as_it_is(bytes: &[u8]) -> std::io::Result<()> {
    if std::io::stdout().is_terminal() {
        return written(&visible::json(&String::from_utf8_lossy(bytes)));
    }
    self::bytes(bytes)
}

/// Writes JSON, indented for a terminal, on one line for a program.
pub(super) fn json(value: &Value) -> std::io::Result<()> {
    let text = if std::io::stdout().is_terminal() { format!("{value:#}") } else { value.to_string() };
    written(&visible::json(&text))
}

/// Writes a table.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> std::io::Result<()> {
    line(&table_text(header, rows, 0..0))
}

/// Writes a table, these of its columns with their text at the right, as numbers are read.
pub(super) fn numbers(header: &[&str], rows: Vec<Vec<String>>, right: Range<usize>) -> std::io::Result<()> {
    line(&table_text(header, rows, right))
}

/// Columns of the terminal; none if stdout is not a terminal, where every line stays whole.
pub(super) fn width() -> Option<usize> {
    let (width, _) = std::io::stdout().is_terminal().then(terminal::size)?.ok()?;
    (width > 0).then_some(usize::from(width))
}

/// Blanks behind each column of a table of numbers, of which there are many.
pub(super) fn between() -> u16 {
    if width().is_some_and(|width| width < 100) { 1 } else { 2 }
}

fn table_text(header: &[&str], rows: Vec<Vec<String>>, right: Range<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    // On a terminal, columns give way to each other; a program gets every line whole.
    if let Some(width) = width().and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    table.add_rows(rows);
    for column in right.clone() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if !right.is_empty() {
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, between()));
        });
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// `text` in the colour of its meaning, if stdout shows colours.
pub(super) fn paint(tone: Tone, text: &str) -> String {
    if !colours() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Waiting => "33",
        Tone::Faint => "2",
        Tone::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// The whole terminal, until the value is dropped: then everything is as it was before, also after an error.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal. None: stdout is no terminal.
    pub(super) fn open() -> std::io::Result<Option<Self>> {
        if !std::io::stdout().is_terminal() {
            return Ok(None);
        }
        // What was taken before an error on the way is given back.
        match ratatui::try_init() {
            Ok(terminal) => Ok(Some(Self(terminal))),
            Err(error) => {
                ratatui::restore();
                Err(error)
            }
        }
    }

    /// Draws everything anew, in the size the terminal has now.
    pub(super) fn draw(&mut self, content: impl FnOnce(&mut Frame<'_>)) -> std::io::Result<()> {
        self.0.draw(content).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        ratatui::restore();
    }
}

/// Whether stdout shows colours.
pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The colour of a job's state.
pub(super) fn state(word: &str) -> String {
    let tone = match word {
        "sent" => Tone::Good,
        "failed" => Tone::Bad,
        "pending" | "claimed" => Tone::Waiting,
        _ => Tone::Faint,
    };
    paint(tone, word)
}

/// An EventID, which is long and begins alike within a mailbox: both ends of it.
pub(super) fn event_id(id: &str) -> String {
    let count = id.chars().count();
    if count <= 32 {
        return short(id, 32);
    }
    let end: String = id.chars().skip(count - 16).collect();
    format!("{}{}", short(id, 13), short(&end, 16))
}

/// As [`short`] for a terminal, where one cares to read only so much. A program gets all of it.
pub(super) fn cut(text: &str, width: usize) -> String {
    short(text, if std::io::stdout().is_terminal() { width } else { usize::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_between_words_and_nothing_is_lost() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a-very-long-word b", 5), ["a-very-long-word", "b"]);
        assert_eq!(wrap("one two", usize::MAX), ["one two"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
