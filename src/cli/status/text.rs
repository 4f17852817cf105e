//! `status` for people: the figures first, and at the end, where the eye is, how things stand and what to do.

use chrono::{DateTime, Utc};

use super::Glance;
use crate::advice::health::{Health, of};
use crate::cli::output::{Tone, paint, short};
use crate::cli::paper::{Cell, Column, Paper};
use crate::format::{self, clock, count, moment, more_mailboxes, span};
use crate::job::{JobState, format_utc, parse_utc};
use crate::queue::{AGE_COUNT, AgentRow, MailboxRow, Overview, Stored, Trouble, Waiting};

/// Heads of the columns of ages.
pub(super) const AGES: [&str; AGE_COUNT] = ["<1 min", "5 min", "15 min", "1 h", "6 h", "1 d", ">1 d"];
/// Most rows of a table of mailboxes that are paused or held.
const STOPS: usize = 20;
/// Of what was said, or of a reason.
const LONGEST: usize = 1000;
/// What a fact's name takes of its line, and its number.
const NAME: usize = 16;
const NUMBER: usize = 11;

/// Agents that share the queue.
const AGENTS: [Column; 6] = [
    Column::new("agent").between(8, 30),
    Column::new("host").between(8, 30).goes(1),
    Column::new("mailboxes").right(),
    Column::new("since").goes(2),
    Column::new("version").goes(3),
    Column::new("sending"),
];

/// What waiting jobs met.
const TROUBLES: [Column; 5] = [
    Column::new("last error"),
    Column::new("jobs").right(),
    Column::new("code").between(8, 40),
    Column::new("oldest").goes(1),
    Column::new("message"),
];

pub(super) fn lines(glance: &Glance, paper: Paper) -> Vec<String> {
    let mut parts = vec![
        figures(glance, paper),
        agents(glance, paper),
        waiting(glance, paper),
        troubles(&glance.report, glance.now, paper),
        stops("held mailbox", &glance.report.held, glance, paper),
        stops("paused mailbox", &glance.report.paused, glance, paper),
        paces(&glance.report.paced, glance, paper),
        verdict(&glance.health(), paper),
    ];
    parts.retain(|part| !part.is_empty());
    parts.join(&String::new())
}

fn verdict(health: &Health, paper: Paper) -> Vec<String> {
    let mut lines = paper.prose("", &short(&health.headline, LONGEST), Some(health.tone));
    lines.extend(health.remarks.iter().flat_map(|remark| paper.prose("  ", &short(remark, LONGEST), None)));
    if !health.steps.is_empty() {
        lines.push(paint(Tone::Strong, "What to do"));
        lines.extend(steps(health, paper));
    }
    lines
}

/// Commands to copy are whole, and what each is good for stands beside it, or below where there is no room.
fn steps(health: &Health, paper: Paper) -> Vec<String> {
    let width = health.steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    if paper.has(width + 30) {
        let beside =
            |(command, what): &(String, &str)| paper.prose(&format!("  {command:width$}  "), what, Some(Tone::Faint));
        return health.steps.iter().flat_map(beside).collect();
    }
    let below = |(command, what): &(String, &str)| {
        let mut lines = vec![format!("  {command}")];
        lines.extend(paper.prose("      ", what, Some(Tone::Faint)));
        lines
    };
    health.steps.iter().flat_map(below).collect()
}

/// Those that share the queue, where several do.
fn agents(glance: &Glance, paper: Paper) -> Vec<String> {
    let agents = &glance.report.agents;
    if agents.len() < 2 {
        return Vec::new();
    }
    let row = |agent: &AgentRow| {
        let said = agent.said.clone().unwrap_or_default();
        let sends = match (agent.silent_since(glance.now), agent.gate()) {
            (Some(since), _) => format!("no sign of life since {}", moment(&format_utc(since), glance.now)),
            (None, None) => "sends".to_owned(),
            (None, Some(gate)) => format!("paused: {} {}", gate.kind.word(), gate.code),
        };
        let lanes = said.lanes.map(count).unwrap_or_default();
        let began = moment(&said.started_at.to_string(), glance.now);
        [said.name, said.host.unwrap_or_default(), lanes, began, said.version, sends].map(Cell::from).into()
    };
    paper.table(&AGENTS, &agents.iter().map(row).collect::<Vec<_>>())
}

fn figures(glance: &Glance, paper: Paper) -> Vec<String> {
    let Glance { report, now, .. } = glance;
    let mut lines = fact("queue", &glance.queue, paper);
    lines.extend(fact("agent", &agent(glance), paper));
    lines.extend(fact("sending", &sending(glance), paper));
    for (state, count) in &report.counts {
        let number = format::count(*count);
        let gap = NUMBER.saturating_sub(number.len());
        let number = if *state == JobState::Failed && *count > 0 { paint(Tone::Bad, &number) } else { number };
        let head = format!("{:15} {number}{:gap$} ", state.as_str(), "");
        lines.extend(paper.prose(&head, &remark(report, *state, *now), Some(Tone::Faint)));
    }
    lines.extend(fact("in doubt", &count(report.in_doubt), paper));
    lines
}

fn fact(name: &str, text: &str, paper: Paper) -> Vec<String> {
    paper.prose(&format!("{name:width$}", width = NAME), text, None)
}

pub(super) fn agent(glance: &Glance) -> String {
    let said = glance.agent.said.as_ref();
    let began = said.map(|said| (&said.version, moment(&said.started_at.to_string(), glance.now)));
    let Some(pid) = &glance.agent.pid else {
        let last = began.map(|(version, began)| format!(" (version {version} ran last, started {began})"));
        return format!("not running{}", last.unwrap_or_default());
    };
    let since = began.map(|(version, began)| format!(", version {version}, since {began}"));
    format!("running (process {pid}){}", since.unwrap_or_default())
}

fn sending(glance: &Glance) -> String {
    match (&glance.agent.pid, glance.agent.gate()) {
        (None, _) => "stopped".into(),
        (Some(_), _) if glance.agent.silent_since(glance.now).is_some() => "stopped".into(),
        (_, None) => match glance.report.sending_paused_until {
            Some(until) => format!("paused until {}", clock(until, glance.now)),
            None => "open".into(),
        },
        (_, Some(gate)) => format!(
            "paused since {}, until {} at least: {} {}",
            moment(&gate.since.to_string(), glance.now),
            gate.until.time().map_or_else(|| gate.until.to_string(), |until| clock(until, glance.now)),
            gate.kind.word(),
            gate.code
        ),
    }
}

/// What is to be said of a state beside its number.
fn remark(report: &Overview, state: JobState, now: DateTime<Utc>) -> String {
    match state {
        JobState::Pending => {
            let oldest =
                report.oldest_pending.as_deref().map(|oldest| format!("oldest inserted {}", moment(oldest, now)));
            let next = report.waiting.next_due.as_deref().and_then(parse_utc);
            let next = next.filter(|next| *next > now).map(|next| format!("next due in {}", span(next - now)));
            let later =
                (report.waiting.total.later > 0).then(|| format!("{} for later", count(report.waiting.total.later)));
            let behind = (report.behind > 0).then(|| format!("{} behind another", count(report.behind)));
            [oldest, later, behind, next].into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
        JobState::Sent => lately(report.last_minute.sent, report.last_hour.sent),
        JobState::Failed => {
            let kinds = report.failed_by_kind.iter().take(4);
            let kinds = kinds.map(|(kind, jobs)| format!("{} {}", kind.as_deref().unwrap_or("unknown"), count(*jobs)));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            match (of(report, state), kinds.as_str()) {
                (0, _) => String::new(),
                (_, kinds) => format!("{}; {kinds}", lately(report.last_minute.failed, report.last_hour.failed)),
            }
        }
        JobState::Claimed | JobState::Cancelled => String::new(),
    }
}

fn lately(minute: i64, hour: i64) -> String {
    format!("{} in the last minute, {} in the last hour", count(minute), count(hour))
}

fn waiting(glance: &Glance, paper: Paper) -> Vec<String> {
    let waiting = &glance.report.waiting;
    if waiting.total.jobs == 0 || waiting.mailboxes.is_empty() {
        return Vec::new();
    }
    let mut columns = vec![Column::new("waiting for").between(12, 40)];
    columns.extend(["all", "later"].map(|head| Column::new(head).right()));
    // The older it is, the more it matters.
    columns
        .extend(AGES.into_iter().zip((1..=AGES.len()).rev()).map(|(head, rank)| Column::new(head).right().goes(rank)));
    columns.push(Column::new(""));
    let mut rows = vec![row(&waiting.total, "all mailboxes".into(), "")];
    rows.extend(waiting.mailboxes.iter().map(|one| row(one, glance.name(&one.mailbox), mark(glance, &one.mailbox))));
    let mut lines = paper.table(&columns, &rows);
    lines.extend(more(waiting.more, "--mailboxes N"));
    lines
}

fn row(waiting: &Waiting, name: String, mark: &str) -> Vec<Cell> {
    let mut row = vec![Cell::from(name), Cell::from(count(waiting.jobs)), Cell::from(number(waiting.later))];
    row.extend(waiting.by_age.map(number).map(Cell::from));
    row.push(Cell::from(mark));
    row
}

/// A number whose absence is seen from afar.
pub(super) fn number(number: i64) -> String {
    if number == 0 { "·".into() } else { count(number) }
}

/// Whether a mailbox stands still, in one word.
pub(super) fn mark(glance: &Glance, mailbox: &str) -> &'static str {
    match stopped(glance, mailbox) {
        Some(MailboxRow { hold: Some(_), .. }) => "held",
        Some(row) if row.paused_until(glance.now).is_some() => "paused",
        _ if paced(glance, mailbox).is_some() => "paced",
        _ => "",
    }
}

/// A hold comes first, for only a person ends it.
pub(super) fn stopped<'g>(glance: &'g Glance, mailbox: &str) -> Option<&'g MailboxRow> {
    glance.report.held.iter().chain(&glance.report.paused).find(|row| row.mailbox == mailbox)
}

pub(super) fn paced<'g>(glance: &'g Glance, mailbox: &str) -> Option<&'g MailboxRow> {
    glance.report.paced.iter().find(|row| row.mailbox == mailbox)
}

fn troubles(report: &Overview, now: DateTime<Utc>, paper: Paper) -> Vec<String> {
    if report.troubles.is_empty() {
        return Vec::new();
    }
    let rows = report.troubles.iter().map(|trouble| cells(trouble_row(trouble, now)));
    paper.table(&TROUBLES, &rows.collect::<Vec<_>>())
}

fn cells(row: Vec<String>) -> Vec<Cell> {
    row.into_iter().map(Cell::from).collect()
}

/// Kind, jobs, code, age of the oldest, words.
pub(super) fn trouble_row(trouble: &Trouble, now: DateTime<Utc>) -> Vec<String> {
    vec![
        short(&trouble.kind.to_string(), usize::MAX),
        count(trouble.jobs),
        trouble.code.to_string(),
        format::age(&trouble.oldest.to_string(), now).unwrap_or_default(),
        trouble.message.to_string(),
    ]
}

fn stops(title: &'static str, rows: &[MailboxRow], glance: &Glance, paper: Paper) -> Vec<String> {
    let columns = [
        Column::new(title).between(14, 40),
        Column::new("since or until").between(12, 36),
        Column::new("kind"),
        Column::new("reason"),
    ];
    named(&columns, rows, |row| stop_row(row, glance), paper)
}

/// So many of the mailboxes, and how many more there are.
fn named(
    columns: &[Column],
    rows: &[MailboxRow],
    shown: impl Fn(&MailboxRow) -> Option<Vec<String>>,
    paper: Paper,
) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let first: Vec<_> = rows.iter().take(STOPS).filter_map(shown).map(cells).collect();
    let mut lines = paper.table(columns, &first);
    lines.extend(more(i64::try_from(rows.len().saturating_sub(STOPS)).unwrap_or(i64::MAX), "--json has all"));
    lines
}

/// Mailbox, time, kind, reason.
pub(super) fn stop_row(row: &MailboxRow, glance: &Glance) -> Option<Vec<String>> {
    let name = glance.name(&row.mailbox);
    let time = |time: &Stored| moment(&time.to_string(), glance.now);
    if let Some(hold) = &row.hold {
        return Some(vec![name, time(&hold.since), "held".into(), hold.reason.to_string()]);
    }
    row.paused_until(glance.now)?;
    Some(vec![name, time(&row.pause.until), row.pause.kind.word(), row.pause.reason.clone()])
}

/// Mailboxes where what mails attendees waits.
fn paces(rows: &[MailboxRow], glance: &Glance, paper: Paper) -> Vec<String> {
    let columns = [Column::new("paced mailbox").between(14, 40), Column::new("until"), Column::new("reason")];
    named(&columns, rows, |row| pace_row(row, glance), paper)
}

/// Mailbox, time, reason.
pub(super) fn pace_row(row: &MailboxRow, glance: &Glance) -> Option<Vec<String>> {
    let (until, reason) = row.paced(glance.now)?;
    Some(vec![glance.name(&row.mailbox), clock(until, glance.now), reason.to_owned()])
}

fn more(number: i64, how: &str) -> Option<String> {
    (number > 0).then(|| paint(Tone::Faint, &format!("{} ({how})", more_mailboxes(number))))
}
