//! Results, on stdout: lines, tables, JSON, and the live screen; and what is said beside them, on stderr. Colour only on a
//! terminal, and not against NO_COLOR. Nothing that others wrote steers a terminal: all of it leaves through [`visible`].

use std::io::{IsTerminal, Write};

use ratatui::{DefaultTerminal, Frame};
use serde_json::Value;

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

/// Writes lines.
pub(super) fn lines(lines: &[String]) -> std::io::Result<()> {
    lines.iter().try_for_each(|text| line(text))
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
    /// Takes the terminal. None: stdout is not a terminal.
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

/// Whether stdout is a terminal.
pub(super) fn shows() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether stdout shows colours.
pub(super) fn colours() -> bool {
    shows() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The colour of a job's state.
pub(super) fn state(word: &str) -> Tone {
    match word {
        "sent" => Tone::Good,
        "failed" => Tone::Bad,
        "pending" | "claimed" => Tone::Waiting,
        _ => Tone::Faint,
    }
}

/// An EventID in a sentence, which is long and begins alike within a mailbox: both ends of it.
pub(super) fn event_id(id: &str) -> String {
    let count = id.chars().count();
    if count <= 16 {
        return short(id, 16);
    }
    let end: String = id.chars().skip(count - 8).collect();
    format!("{}{}", short(id, 7), short(&end, 8))
}
