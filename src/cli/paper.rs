//! What people read is written on paper of some width: on a terminal its columns, elsewhere, and with `--wide`, as many as a
//! line needs. On a terminal no line is wider than it: prose is broken between words and hangs under its head, tables keep one
//! line a row, and what has no room ends in an ellipsis. Elsewhere nothing is cut, for a program may read it.

use std::borrow::Cow;

use ratatui::crossterm::terminal;
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

use super::output::{Tone, paint, shows};
use crate::visible;

/// From this width on columns stand further apart.
const ROOMY: usize = 100;
/// What the last column of a table has at least, as long as another one can give way: so much, or this part of the paper.
const LAST: usize = 16;
const PART: usize = 5;
/// What sets the width of a column where nothing is cut. Every row is padded to it, so one long cell would cost its length in
/// each of them; longer ones go beyond the column.
const WIDEST: usize = 320;
/// The least that is left for prose beside its head, and for a value.
const NARROW: usize = 20;

#[derive(Clone, Copy, Debug)]
pub(super) struct Paper {
    width: Option<usize>,
}

impl Paper {
    /// What stdout is.
    pub(super) fn new(wide: bool) -> Self {
        let size = || terminal::size().ok().map(|(width, _)| usize::from(width));
        let width = (!wide && shows()).then(size).flatten();
        Self { width: width.filter(|width| *width > 0) }
    }

    #[cfg(test)]
    pub(super) fn of(width: usize) -> Self {
        Self { width: Some(width) }
    }

    #[cfg(test)]
    pub(super) fn endless() -> Self {
        Self { width: None }
    }

    /// Whether a line has room for so much.
    pub(super) fn has(self, columns: usize) -> bool {
        self.width.is_none_or(|width| width >= columns)
    }

    /// A word or a value behind what takes `before` columns, on one line.
    pub(super) fn cut(self, before: usize, text: &str) -> String {
        match self.width {
            Some(width) => fit(text, width.saturating_sub(before).max(NARROW)),
            None => visible::line(text).into_owned(),
        }
    }

    /// Text behind its head. What does not fit the line goes on under its first word.
    pub(super) fn prose(self, head: &str, text: &str, tone: Option<Tone>) -> Vec<String> {
        let lines = self.hung(head, &visible::line(text)).into_iter().map(|(before, words)| match tone {
            Some(tone) => before + &paint(tone, &words),
            None => before + &words,
        });
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    /// The same of text that is painted here and there. What others wrote in it is clean already.
    pub(super) fn painted_prose(self, head: &str, text: &str) -> Vec<String> {
        self.hung(head, text).into_iter().map(|(before, words)| before + &words).collect()
    }

    /// What stands before the words of each line, and the words.
    fn hung(self, head: &str, text: &str) -> Vec<(String, String)> {
        let indent = display_width(head);
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(NARROW));
        let before = |place: usize| if place == 0 { head.to_owned() } else { " ".repeat(indent) };
        wrap(text, room).into_iter().enumerate().map(|(place, words)| (before(place), words)).collect()
    }

    /// Rows under the heads of their columns, one line each.
    pub(super) fn table(self, columns: &[Column], rows: &[Vec<Cell>]) -> Vec<String> {
        let widths = self.widths(columns, rows);
        let gap = " ".repeat(self.gap());
        let heads: Vec<Cell> = columns.iter().map(|column| Cell::from(column.head.to_uppercase())).collect();
        let line = |row: &[Cell]| {
            let cells = columns.iter().zip(row).zip(&widths);
            let cells = cells.filter_map(|((column, cell), width)| {
                let width = (*width)?;
                Some(if self.width.is_some() {
                    cell.padded(width, column.right)
                } else {
                    cell.whole(width, column.right)
                })
            });
            cells.collect::<Vec<_>>().join(&gap).trim_end().to_owned()
        };
        std::iter::once(line(&heads)).chain(rows.iter().map(|row| line(row))).collect()
    }

    fn gap(self) -> usize {
        if self.width.is_some_and(|width| width < ROOMY) { 1 } else { 2 }
    }

    /// How wide each column is; none for one that has to go.
    fn widths(self, columns: &[Column], rows: &[Vec<Cell>]) -> Vec<Option<usize>> {
        let longest = |place: usize| {
            let cells = rows.iter().filter_map(|row| row.get(place)).map(|cell| display_width(&cell.text));
            let cells = cells.filter(|width| self.width.is_some() || *width <= WIDEST);
            cells.chain([display_width(columns[place].head)]).max().unwrap_or_default()
        };
        let wanted: Vec<usize> = (0..columns.len()).map(longest).collect();
        let Some(width) = self.width else { return wanted.into_iter().map(Some).collect() };
        let mut widths: Vec<Option<usize>> =
            wanted.iter().zip(columns).map(|(wanted, column)| Some(column.most.min(*wanted))).collect();
        let Some(last) = widths.len().checked_sub(1) else { return widths };
        widths[last] = Some(wanted[last].min(LAST.max(width / PART)));
        while self.taken(&widths) > width && (shrink(&mut widths[..last], columns) || drop_one(&mut widths, columns)) {}
        let others = self.taken(&widths[..last]) + self.gap();
        widths[last] = Some(wanted[last].min(width.saturating_sub(others).max(1)));
        widths
    }

    fn taken(self, widths: &[Option<usize>]) -> usize {
        let shown = widths.iter().flatten();
        shown.clone().sum::<usize>() + self.gap() * shown.count().saturating_sub(1)
    }
}

/// Takes one from the column that can spare the most. False: none can.
fn shrink(widths: &mut [Option<usize>], columns: &[Column]) -> bool {
    let widths = widths.iter_mut().zip(columns).filter_map(|(width, column)| Some((width.as_mut()?, column)));
    let spared = widths.map(|(width, column)| (width.saturating_sub(column.least), width));
    let Some((1.., width)) = spared.max_by_key(|(spare, _)| *spare) else { return false };
    *width -= 1;
    true
}

/// Takes away the column that is missed least. False: all others are needed.
fn drop_one(widths: &mut [Option<usize>], columns: &[Column]) -> bool {
    let shown = widths.iter_mut().zip(columns).filter(|(width, _)| width.is_some());
    let Some((width, _)) = shown.filter(|(_, column)| column.goes > 0).max_by_key(|(_, column)| column.goes) else {
        return false;
    };
    *width = None;
    true
}

/// A column of a table. The last one has what the others leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    head: &'static str,
    least: usize,
    most: usize,
    right: bool,
    goes: usize,
}

impl Column {
    /// As wide as what is in it.
    pub(super) const fn new(head: &'static str) -> Self {
        Self { head, least: usize::MAX, most: usize::MAX, right: false, goes: 0 }
    }

    /// On a terminal not wider than `most`; where there is too little room, no narrower than `least`.
    pub(super) const fn between(self, least: usize, most: usize) -> Self {
        Self { least, most, ..self }
    }

    /// Numbers.
    pub(super) const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Left out where there is too little room, the one with the highest rank first.
    pub(super) const fn goes(self, rank: usize) -> Self {
        Self { goes: rank, ..self }
    }
}

/// What stands in a table. It is one line, and steers no terminal, whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Option<Tone>,
    /// Where there is too little room both ends are shown.
    ends: bool,
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: visible::line(text.as_ref()).into_owned(), tone: None, ends: false }
    }
}

impl Cell {
    /// An EventID, which is long and begins alike within a mailbox.
    pub(super) fn event_id(id: &str) -> Self {
        Self { ends: true, ..Self::from(id) }
    }

    pub(super) fn toned(self, tone: Tone) -> Self {
        Self { tone: Some(tone), ..self }
    }

    fn padded(&self, width: usize, right: bool) -> String {
        let text = if self.ends { fit_ends(&self.text, width) } else { fit(&self.text, width) };
        self.beside(&text, width, right)
    }

    /// With nothing cut off, whatever the width.
    fn whole(&self, width: usize, right: bool) -> String {
        self.beside(&self.text, width, right)
    }

    fn beside(&self, text: &str, width: usize, right: bool) -> String {
        let pad = " ".repeat(width.saturating_sub(display_width(text)));
        let text = self.tone.map_or_else(|| text.to_owned(), |tone| paint(tone, text));
        if right { pad + &text } else { text + &pad }
    }
}

/// On one line of so many columns, without what would steer a terminal.
pub(super) fn fit(text: &str, width: usize) -> String {
    let text = visible::line(text);
    if display_width(&text) <= width {
        return text.into_owned();
    }
    format!("{}…", head(&text, width.saturating_sub(1)).trim_end())
}

/// The same with both ends of it.
fn fit_ends(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let front = head(text, room / 3);
    let backwards: String = text.chars().rev().collect();
    let end: String = head(&backwards, room - display_width(front)).chars().rev().collect();
    format!("{front}…{end}")
}

/// As many of its first characters as there is room for.
fn head(text: &str, width: usize) -> &str {
    let ends = text.char_indices().map(|(place, c)| place + c.len_utf8());
    let fits = ends.take_while(|end| display_width(&text[..*end]) <= width).last();
    &text[..fits.unwrap_or_default()]
}

/// Text in lines of at most `width` columns, broken between words; a word that is longer has a line of its own, because
/// it may be a command or an address to copy.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width).break_words(false).word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::new("id").right(),
        Column::new("mailbox").between(8, 20),
        Column::new("tries").goes(1),
        Column::new("reason"),
    ];
    const FULL: &str = "the mailbox is full, and nothing can be put into it";

    fn row(cells: [&str; 4]) -> Vec<Cell> {
        cells.map(Cell::from).into()
    }

    #[test]
    fn prose_is_broken_between_words_and_nothing_is_lost() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a-very-long-word b", 5), ["a-very-long-word", "b"]);
        assert_eq!(wrap("one two", usize::MAX), ["one two"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn prose_hangs_under_its_first_word() {
        let told = Paper::of(30).prose("error   ", "The mailbox is not in Exchange Online.", None);
        assert_eq!(told, ["error   The mailbox is not in", "        Exchange Online."]);
        let whole = Paper::endless().prose("error   ", "The mailbox is not in Exchange Online.", None);
        assert_eq!(whole, ["error   The mailbox is not in Exchange Online."]);
    }

    #[test]
    fn what_is_painted_takes_no_room() {
        let told = Paper::of(30).painted_prose("job 1  ", "\u{1b}[32msent\u{1b}[0m as event AAMk…zXw= at last");
        assert_eq!(told, ["job 1  \u{1b}[32msent\u{1b}[0m as event AAMk…zXw=", "       at last"]);
        let hostile = Paper::endless().prose("", "\u{1b}[32mx", None);
        assert!(!hostile[0].contains('\u{1b}'), "{hostile:?}");
    }

    #[test]
    fn a_row_is_one_line_and_its_last_column_ends_in_an_ellipsis() {
        let rows = [row(["7", "ann@contoso.com", "1", FULL])];
        let shown = Paper::of(60).table(&COLUMNS, &rows);
        assert_eq!(shown[0], "ID MAILBOX         TRIES REASON");
        assert_eq!(shown[1], " 7 ann@contoso.com 1     the mailbox is full, and nothing c…");
        let whole = Paper::endless().table(&COLUMNS, &rows);
        assert!(whole[1].ends_with(FULL), "{whole:?}");
    }

    #[test]
    fn where_nothing_is_cut_one_long_cell_costs_its_length_once() {
        let long = "x".repeat(1_000_000);
        let mut rows = vec![row(["7", "ann@contoso.com", &long, FULL])];
        rows.extend((0..1000).map(|_| row(["8", "bob@contoso.com", "1", FULL])));
        let shown = Paper::endless().table(&COLUMNS, &rows);
        assert!(shown[1].contains(&format!("{long}  {FULL}")), "something was cut");
        assert_eq!(shown[2], format!(" 8  bob@contoso.com  1      {FULL}"));
        let rest: usize = shown[2..].iter().map(String::len).sum();
        assert!(rest < 200_000, "{rest}");
        let id = [vec![Cell::event_id(&long), Cell::from("next")]];
        let shown = Paper::endless().table(&[Column::new("event"), Column::new("more")], &id);
        assert_eq!(shown[1], format!("{long}  next"));
        let even = [row(["1", &"y".repeat(WIDEST), "1", ""]), row(["2", "z", "1", "end"])];
        assert!(Paper::endless().table(&COLUMNS, &even)[2].len() > WIDEST, "shorter ones keep the columns straight");
    }

    #[test]
    fn columns_give_way_before_they_go() {
        let rows = [row(["7", "ann@contoso.com", "1", FULL])];
        assert_eq!(Paper::of(40).table(&COLUMNS, &rows)[1], " 7 ann@contoso.c… 1     the mailbox is…");
        let narrow = Paper::of(31).table(&COLUMNS, &rows);
        assert_eq!(narrow, ["ID MAILBOX  REASON", " 7 ann@con… the mailbox is ful…"]);
    }

    #[test]
    fn no_line_is_wider_than_the_paper_whatever_is_written_on_it() {
        let nasty = ["\u{1b}[2J\n", "日本語のメールボックス@例え.jp", "👩‍👩‍👧 👍🏽", "e\u{301}e\u{301}e\u{301}"];
        let rows = [row(nasty), row(["1", "x", &"word ".repeat(99), &"x".repeat(999)])];
        for width in 24..=200 {
            let columns = [COLUMNS[0].between(2, 9), COLUMNS[1], COLUMNS[2], COLUMNS[3]];
            for line in Paper::of(width).table(&columns, &rows) {
                assert!(display_width(&line) <= width, "{width}: {line}");
            }
        }
        for width in 40..=200 {
            for line in Paper::of(width).prose("  what to do  ", &"some words ".repeat(99), None) {
                assert!(display_width(&line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn an_event_id_shows_both_its_ends() {
        let shown = Cell::event_id(&format!("AAMkAGI2{}zXw=", "0".repeat(100))).padded(13, false);
        assert_eq!(shown, "AAMk…0000zXw=");
        assert_eq!(Cell::event_id("AAMk").padded(6, false), "AAMk  ");
    }
}
