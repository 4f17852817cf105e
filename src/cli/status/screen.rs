//! What the live screen shows, from the top: the verdict, the figures, the last hour's course, the mailboxes by the age of
//! what waits, and what waiting jobs met. Of what does not fit the end is left out, and said to be.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Sparkline, Table};

use super::Glance;
use super::text::{AGES, agent, mark, number, pace_row, paced, stop_row, stopped, trouble_row};
use crate::cli::output::{self, Tone, short};
use crate::cli::paper::wrap;
use crate::format::{clock, count, more_mailboxes};
use crate::queue::{Ended, Waiting};

/// From this width on a mailbox's mark has room for its end and its reason.
const WIDE: u16 = 116;
/// From this height on there is room for more lines of remarks and troubles, and for some air.
const TALL: u16 = 30;

/// Lines of the states and the rates.
const FIGURES: u16 = 3;

/// How much is shown of what could go on and on.
struct Room {
    remarks: usize,
    troubles: usize,
    /// Empty lines between the parts.
    air: u16,
    /// Lines of the course of the last hour.
    course: u16,
}

impl Room {
    fn of(area: Rect) -> Self {
        match area.height {
            TALL.. => Self { remarks: 4, troubles: 5, air: 1, course: 2 },
            _ => Self { remarks: 2, troubles: 2, air: 0, course: 1 },
        }
    }
}

/// The order of the mailboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Most,
    Oldest,
    Name,
}

/// What is known for the screen.
pub(super) struct View {
    glance: Option<Glance>,
    /// Why the last look brought nothing.
    trouble: Option<String>,
    cost: Duration,
    every: Duration,
    order: Order,
    colours: bool,
}

impl View {
    pub(super) fn new(every: Duration) -> Self {
        let colours = output::colours();
        Self { glance: None, trouble: None, cost: Duration::ZERO, every, order: Order::default(), colours }
    }

    pub(super) fn take(&mut self, found: Result<Glance, String>, cost: Duration) {
        self.cost = cost;
        match found {
            Ok(glance) => (self.glance, self.trouble) = (Some(glance), None),
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    pub(super) fn sort(&mut self) {
        self.order = match self.order {
            Order::Most => Order::Oldest,
            Order::Oldest => Order::Name,
            Order::Name => Order::Most,
        };
    }

    fn style(&self, tone: Tone) -> Style {
        let style = match tone {
            Tone::Faint => return Style::new().add_modifier(Modifier::DIM),
            Tone::Strong => return Style::new().add_modifier(Modifier::BOLD),
            Tone::Good => Style::new().fg(Color::Green),
            Tone::Bad => Style::new().fg(Color::Red),
            Tone::Waiting => Style::new().fg(Color::Yellow),
        };
        if self.colours { style } else { Style::new() }
    }

    fn ordered<'a>(&self, glance: &'a Glance) -> Vec<&'a Waiting> {
        let mut mailboxes: Vec<&Waiting> = glance.report.waiting.mailboxes.iter().collect();
        match self.order {
            Order::Most => {}
            // By the number of the oldest, then of the less old, and so on.
            Order::Oldest => mailboxes.sort_by(|a, b| b.by_age.iter().rev().cmp(a.by_age.iter().rev())),
            Order::Name => mailboxes.sort_by(|a, b| a.mailbox.cmp(&b.mailbox)),
        }
        mailboxes
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let now = Utc::now();
    let area = frame.area();
    let room = Room::of(area);
    let verdict = verdict(view, area.width, room.remarks);
    let met = view.glance.as_ref().map_or(0, |glance| glance.report.troubles.len().min(room.troubles));
    let met = if met > 0 { rows(met + 1) } else { 0 };
    let top = rows(verdict.len());
    let above = 1 + top + 1 + FIGURES + room.air + room.course + 1;
    let left = area.height.saturating_sub(above + met + room.air + 1);
    // The head, the sum, and the line that says what is left out.
    let waiting = view.glance.as_ref().map_or(0, |glance| rows(glance.report.waiting.mailboxes.len() + 3));
    let [head, top, _, figures, _, course, _, mailboxes, _, troubles, _, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(top),
        Constraint::Length(1),
        Constraint::Length(FIGURES),
        Constraint::Length(room.air),
        Constraint::Length(room.course),
        Constraint::Length(1),
        Constraint::Length(waiting.min(left)),
        Constraint::Length(room.air),
        Constraint::Length(met),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, view, now);
    frame.render_widget(Paragraph::new(verdict), top);
    if let Some(glance) = &view.glance {
        draw_figures(frame, figures, view, glance);
        draw_course(frame, course, view, glance);
        draw_mailboxes(frame, mailboxes, view, glance);
        draw_troubles(frame, troubles, view, glance);
    }
    draw_foot(frame, foot, view);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View, now: DateTime<Utc>) {
    let path = view.glance.as_ref().map(|glance| glance.queue.clone()).unwrap_or_default();
    let time = clock(now, now);
    let room = usize::from(area.width).saturating_sub(time.len() + 3);
    let left = short(&format!("Exchange Event Sender  {path}"), room);
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(Line::from(format!(" {left:room$} {time} "))).style(bar), area);
}

/// The sentence, what else deserves a look, and the commands that come next.
fn verdict(view: &View, width: u16, remarks: usize) -> Vec<Line<'static>> {
    let width = usize::from(width).max(20);
    let mut lines = Vec::new();
    if let Some(trouble) = &view.trouble {
        let as_of =
            view.glance.as_ref().map(|glance| format!("; below is how it stood at {}", clock(glance.now, glance.now)));
        let text = format!("THE QUEUE CANNOT BE READ: {trouble}; trying again{}", as_of.unwrap_or_default());
        lines.extend(wrapped(&text, width, view.style(Tone::Bad).add_modifier(Modifier::BOLD)));
    }
    let Some(glance) = &view.glance else {
        if lines.is_empty() {
            lines.push(Line::from("looking …"));
        }
        return lines;
    };
    let health = glance.health();
    lines.extend(wrapped(&health.headline, width, view.style(health.tone).add_modifier(Modifier::BOLD)));
    for remark in health.remarks.iter().take(remarks) {
        lines.push(Line::from(format!("  {}", short(remark, width - 2))));
    }
    let steps: Vec<&str> = health.steps.iter().map(|(command, _)| command.as_str()).collect();
    if !steps.is_empty() {
        let steps = short(&format!("  next: {}", steps.join("  |  ")), width);
        lines.push(Line::from(Span::styled(steps, view.style(Tone::Faint))));
    }
    let sending = match (&glance.agent.pid, glance.agent.gate()) {
        (None, _) => "stopped",
        _ if glance.agent.silent_since(glance.now).is_some() => "stopped",
        (_, Some(_)) => "paused",
        _ if glance.report.sending_paused_until.is_some() => "paused",
        _ => "open",
    };
    lines.push(Line::from(short(&format!("agent {}; sending {sending}", agent(glance)), width)));
    lines
}

/// Words on as many lines as they need.
fn wrapped(text: &str, width: usize, style: Style) -> impl Iterator<Item = Line<'static>> {
    let lines = wrap(&short(text, 4 * width), width);
    lines.into_iter().map(move |line| Line::from(Span::styled(line, style)))
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, view: &View, glance: &Glance) {
    let report = &glance.report;
    let mut names: Vec<(&str, i64)> = report.counts.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    names.push(("in doubt", report.in_doubt));
    let tone = |name: &str, count: i64| match name {
        _ if count == 0 => Style::new(),
        "failed" => view.style(Tone::Bad),
        "sent" => view.style(Tone::Good),
        "in doubt" => view.style(Tone::Waiting),
        _ => Style::new(),
    };
    let heads = names.iter().map(|(name, _)| Span::styled(format!("{name:>12}"), view.style(Tone::Faint)));
    let counts = names.iter().map(|(name, number)| {
        let style = tone(name, *number).add_modifier(Modifier::BOLD);
        Span::styled(format!("{:>12}", count(*number)), style)
    });
    let ended =
        |of: &str, ended: Ended| format!("last {of}: {} sent, {} failed", count(ended.sent), count(ended.failed));
    let rates = format!("  {}    {}", ended("minute", report.last_minute), ended("hour", report.last_hour));
    let lines = vec![heads.collect::<Line<'_>>(), counts.collect(), Line::from(rates)];
    frame.render_widget(Paragraph::new(lines), area);
}

/// How many jobs ended, minute by minute: of the last hour, or as much of it as there is room for.
fn draw_course(frame: &mut Frame<'_>, area: Rect, view: &View, glance: &Glance) {
    const LABEL: &str = "  by the minute  ";
    let course: Vec<u64> = glance.report.by_minute.iter().map(|ended| u64::try_from(*ended).unwrap_or(0)).collect();
    let most = i64::try_from(course.iter().copied().max().unwrap_or(0)).unwrap_or(i64::MAX);
    let most = format!("  most {}", count(most));
    let fits = usize::from(area.width).saturating_sub(LABEL.len() + most.len()).min(course.len());
    let widths = [LABEL.len(), fits, most.len()].map(|width| Constraint::Length(rows(width)));
    let [label, bars, top] = Layout::horizontal(widths).areas(area);
    let faint = view.style(Tone::Faint);
    frame.render_widget(Paragraph::new(LABEL).style(faint), label);
    let latest = &course[course.len() - fits..];
    frame.render_widget(Sparkline::default().data(latest).style(view.style(Tone::Good)), bars);
    frame.render_widget(Paragraph::new(most).style(faint), top);
}

fn draw_mailboxes(frame: &mut Frame<'_>, area: Rect, view: &View, glance: &Glance) {
    let waiting = &glance.report.waiting;
    if waiting.total.jobs == 0 || area.height < 3 {
        return;
    }
    let ordered = view.ordered(glance);
    let fits = usize::from(area.height).saturating_sub(3).min(ordered.len());
    let left_out = waiting.more + i64::try_from(ordered.len() - fits).unwrap_or(i64::MAX);
    let mut lines = vec![cells(&waiting.total, "all mailboxes".into(), String::new())];
    let marked = |one: &&Waiting| cells(one, glance.name(&one.mailbox), remark(glance, &one.mailbox, area.width));
    lines.extend(ordered.iter().take(fits).map(marked));
    let mut heads = vec!["waiting for", "all", "later"];
    heads.extend(AGES);
    let widths: Vec<Constraint> = (0..heads.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).chain([heads[column].len()]).max())
        .enumerate()
        .map(|(column, width)| match column {
            0 => Constraint::Length(rows(width.unwrap_or(0)).clamp(12, if area.width >= WIDE { 40 } else { 24 })),
            _ => Constraint::Length(rows(width.unwrap_or(0))),
        })
        .chain([Constraint::Fill(1)])
        .collect();
    let head = Row::new(heads.iter().enumerate().map(|(column, head)| aligned(column, (*head).to_owned())));
    let rows = lines.into_iter().enumerate().map(|(place, line)| {
        let stands = !line[line.len() - 1].is_empty();
        let style = match place {
            0 => view.style(Tone::Strong),
            _ if stands => view.style(Tone::Waiting),
            _ => Style::new(),
        };
        Row::new(line.into_iter().enumerate().map(|(column, text)| aligned(column, text))).style(style)
    });
    let spacing = if area.width >= WIDE { 2 } else { 1 };
    let table = Table::new(rows, widths).column_spacing(spacing).header(head.style(view.style(Tone::Faint)));
    let [table_area, more, _] = Layout::vertical([
        Constraint::Length(u16::try_from(fits).unwrap_or(u16::MAX).saturating_add(2)),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    frame.render_widget(table, table_area);
    if left_out > 0 {
        let text = more_mailboxes(left_out);
        frame.render_widget(Paragraph::new(text).style(view.style(Tone::Faint)), more);
    }
}

/// Numbers at the right, words at the left.
fn aligned(column: usize, text: String) -> Line<'static> {
    let line = Line::from(text);
    if (1..=AGES.len() + 2).contains(&column) { line.right_aligned() } else { line }
}

fn cells(waiting: &Waiting, name: String, mark: String) -> Vec<String> {
    let mut cells = vec![short(&name, 40), count(waiting.jobs), number(waiting.later)];
    cells.extend(waiting.by_age.map(number));
    cells.push(mark);
    cells
}

/// Why a mailbox stands still; in one word where there is no room for more.
fn remark(glance: &Glance, mailbox: &str, width: u16) -> String {
    match stopped(glance, mailbox).and_then(|row| stop_row(row, glance)).filter(|_| width >= WIDE).as_deref() {
        Some([_, at, kind, _]) if kind == "held" => short(&format!("held since {at}"), 60),
        Some([_, at, kind, _]) => short(&format!("{kind} until {at}"), 60),
        _ => match paced(glance, mailbox).and_then(|row| pace_row(row, glance)).filter(|_| width >= WIDE).as_deref() {
            Some([_, until, _]) => format!("paced until {until}"),
            _ => mark(glance, mailbox).to_owned(),
        },
    }
}

/// What waiting jobs met, with the words as far as there is room.
fn draw_troubles(frame: &mut Frame<'_>, area: Rect, view: &View, glance: &Glance) {
    let widths = [13, 9, if area.width >= WIDE { 29 } else { 20 }, 8];
    let room = usize::from(area.width).saturating_sub(widths.iter().map(|width| usize::from(width + 1)).sum());
    let head = Row::new(["last error", "     jobs", "code", "oldest", "message"]);
    let rows = glance.report.troubles.iter().map(|trouble| {
        let mut cells = trouble_row(trouble, glance.now);
        cells[0] = short(&cells[0], usize::from(widths[0]));
        cells[1] = format!("{:>9}", cells[1]);
        cells[2] = short(&cells[2], usize::from(widths[2]));
        cells[4] = short(&cells[4], room);
        Row::new(cells)
    });
    let widths = widths.map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    frame.render_widget(Table::new(rows, widths).header(head.style(view.style(Tone::Faint))), area);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let order = match view.order {
        Order::Most => "the most first",
        Order::Oldest => "the oldest first",
        Order::Name => "by name",
    };
    let looked = view.glance.as_ref().map(|glance| {
        let cost = view.cost.as_millis();
        format!("seen {} in {cost} ms, every {} s", clock(glance.now, glance.now), view.every.as_secs())
    });
    let text = format!(" q quit   s sort: {order}   {}", looked.unwrap_or_default());
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    let width = usize::from(area.width);
    frame.render_widget(Paragraph::new(format!("{text:width$}")).style(bar), area);
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
