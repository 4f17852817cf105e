//! How things stand, in the words of somebody who has to decide at night whether to get up: one sentence, what else
//! deserves a look, and the commands that come next. The same for `status`, its live
//! screen and the page.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::standing::{credential_warning, default_cure, default_words, gate_again, gate_words};
use super::{Tone, shell};
use crate::auth::only_time_helps;
use crate::format::{age, clock, count, counted, jobs, moment, short};
use crate::job::{ErrorKind, JobState, format_utc, parse_utc};
use crate::queue::{AgentRow, GateSaid, Overview};

/// A due job that waits longer although the agent runs and nothing is shut is worth a word.
const STANDSTILL: TimeDelta = TimeDelta::minutes(1);

/// How bad it is. The order is that of badness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing needs a person.
    Fine,
    /// Jobs are sent, and something needs a person.
    Look,
    /// An agent runs, and nothing is sent.
    Stopped,
    /// No agent runs, or the one that does is stopped or stuck.
    NoAgent,
}

/// Jobs that have failed since somebody looked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    pub failed: i64,
    /// What was seen until then is not news. None: until an hour ago.
    pub since: Option<DateTime<Utc>>,
}

impl News {
    /// Unless the caller says when they looked last.
    pub fn of_last_hour(report: &Overview) -> Self {
        Self { failed: report.last_hour.failed, since: None }
    }

    fn time(self, now: DateTime<Utc>) -> String {
        self.since
            .map_or_else(|| "in the last hour".into(), |since| format!("since {}", moment(&format_utc(since), now)))
    }

    /// As an option of `list`.
    fn option(self) -> String {
        self.since.map_or_else(|| "1h".into(), |since| since.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Health {
    pub level: Level,
    pub tone: Tone,
    pub headline: String,
    /// What else deserves a look.
    pub remarks: Vec<String>,
    /// Commands, and what each is good for.
    pub steps: Vec<(String, &'static str)>,
}

impl Health {
    /// Of what one look found.
    pub fn of(report: &Overview, agent: &AgentRow, news: News, now: DateTime<Utc>) -> Self {
        let mut health = Self {
            level: Level::Fine,
            tone: Tone::Good,
            headline: String::new(),
            remarks: Vec::new(),
            steps: Vec::new(),
        };
        match (&agent.pid, agent.silent_since(now), agent.gate()) {
            (None, ..) => health.no_agent(report, agent, now),
            (Some(_), Some(since), _) => health.silent(report, agent, since, now),
            (_, _, Some(gate)) => health.gate(report, gate, now),
            _ => match report.sending_paused_until {
                Some(until) => health.failed_over(report, until, now),
                None => health.open(report, now),
            },
        }
        health.others(report, agent, now);
        health.settings(agent);
        health.refused_default(agent, now);
        health.credential(agent, now);
        health.refused(agent);
        health.mailboxes(report, now);
        health.pace(report);
        health.news(news, now);
        health.doubt(report);
        health.lead();
        health.level = match (agent.pid.is_none() || agent.silent_since(now).is_some(), health.tone) {
            (true, _) => Level::NoAgent,
            (_, Tone::Bad) => Level::Stopped,
            (_, Tone::Good) => Level::Fine,
            _ => Level::Look,
        };
        health
    }

    fn no_agent(&mut self, report: &Overview, agent: &AgentRow, now: DateTime<Utc>) {
        if of(report, JobState::Pending) + of(report, JobState::Claimed) == 0 {
            self.tone = Tone::Waiting;
            self.headline = format!("no agent is running; {}", waiting(report, now));
        } else {
            self.tone = Tone::Bad;
            self.headline = format!("NOTHING IS SENT: no agent is running; {}", waiting(report, now));
        }
        if let Some(gate) = agent.said.as_ref().and_then(|said| said.gate.as_ref()) {
            self.remarks.push(format!("when the last one ended, sending was paused: {}", gate_words(gate)));
        }
        self.step("systemctl start event-sender", "start it (by hand: event-sender run)");
        self.step("journalctl -u event-sender -n 50", "why it ended");
        self.step("event-sender check", "what would keep it from working");
    }

    /// It holds the queue, and does nothing.
    fn silent(&mut self, report: &Overview, agent: &AgentRow, since: DateTime<Utc>, now: DateTime<Utc>) {
        self.tone = Tone::Bad;
        let (since, pid) = (moment(&format_utc(since), now), agent.pid.as_deref().unwrap_or_default());
        self.headline = format!("NOTHING IS SENT: the agent (process {pid}) has given no sign of life since {since}");
        let shares = agent.said.as_ref().is_some_and(|said| said.lanes.is_some());
        let kept = if shares { "its mailboxes from other agents" } else { "another agent from the queue" };
        self.remarks.push(format!("it is stopped or stuck, and keeps {kept}"));
        self.remarks.push(waiting(report, now));
        self.step(
            "systemctl restart event-sender",
            "starts it anew; what it had in hand is looked up before it is sent",
        );
        self.step("journalctl -u event-sender -n 50", "what it did last");
    }

    /// Those that are stuck beside it: each keeps its mailboxes from the others.
    fn others(&mut self, report: &Overview, agent: &AgentRow, now: DateTime<Utc>) {
        for other in report.agents.iter().filter(|other| *other != agent) {
            let Some((since, said)) = other.silent_since(now).zip(other.said.as_ref()) else { continue };
            let host = said.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
            let pid = other.pid.as_deref().unwrap_or_default();
            let since = moment(&format_utc(since), now);
            let mailboxes = match said.lanes.unwrap_or_default() {
                0 => String::new(),
                1 => ", and its mailbox waits".to_owned(),
                lanes => format!(", and its {} mailboxes wait", count(lanes)),
            };
            self.attention(format!(
                "agent \"{}\" (process {pid}{host}) has given no sign of life since {since}: it is stopped or stuck{mailboxes}; restart it there",
                said.name
            ));
        }
    }

    fn gate(&mut self, report: &Overview, gate: &GateSaid, now: DateTime<Utc>) {
        self.tone = Tone::Bad;
        self.headline = format!("NOTHING IS SENT: {}", gate_words(gate));
        let again = gate_again(gate, now);
        let throttled = gate.kind.known() == Some(ErrorKind::Throttled);
        let fixed = if throttled { "" } else { ", once that is fixed" };
        self.remarks
            .push(format!("since {}, {again}; it resumes by itself{fixed}", moment(&gate.since.to_string(), now)));
        self.remarks.push(waiting(report, now));
        if throttled {
            return;
        }
        self.step("event-sender check", "sign-in, network and mailboxes, one by one");
        if !only_time_helps(&gate.code) {
            self.step("systemctl reload event-sender", "tries at once (restart, for a secret in the credstore)");
        }
    }

    /// It goes on by itself, and soon.
    fn failed_over(&mut self, report: &Overview, until: DateTime<Utc>, now: DateTime<Utc>) {
        self.tone = Tone::Waiting;
        self.headline = format!("nothing is sent until {}: another database server has taken over", clock(until, now));
        self.remarks
            .push("requests of before may still be under way; older jobs are looked up before they are sent".into());
        self.remarks.push(waiting(report, now));
    }

    fn open(&mut self, report: &Overview, now: DateTime<Utc>) {
        let total = &report.waiting.total;
        // What waits for a paused mailbox is not a standstill: the pause has its own line.
        let open = report.waiting.open_due.as_deref().and_then(parse_utc).filter(|due| *due <= now);
        let sent = report.last_minute.sent;
        let works = sent > 0 || of(report, JobState::Claimed) > 0;
        self.headline = match (total.jobs - total.later, open) {
            (0, _) => waiting(report, now),
            (_, None) if !works => waiting(report, now),
            (_, Some(open)) if !works && now - open >= STANDSTILL => {
                self.tone = Tone::Waiting;
                format!("nothing was sent in the last minute; {}", waiting(report, now))
            }
            _ => format!("sending, {} in the last minute; {}", count(sent), waiting(report, now)),
        };
    }

    fn settings(&mut self, agent: &AgentRow) {
        if let Some(refused) = agent.running().and_then(|said| said.settings_refused.as_ref()) {
            self.attention(format!("changed settings were refused, the agent keeps the old ones: {refused}"));
            self.step("event-sender check --offline", "all that is wrong with the settings");
        }
    }

    fn refused_default(&mut self, agent: &AgentRow, now: DateTime<Utc>) {
        let Some(default) = agent.refused_default() else { return };
        let since = moment(&default.since.to_string(), now);
        self.attention(format!(
            "jobs that leave it to the default wait since {since}: {}; {}",
            default_words(default),
            default_cure(default, now)
        ));
        self.step(
            "systemctl reload event-sender",
            "once the setting is corrected; the jobs are then sent by themselves",
        );
    }

    /// Of the agent that runs: one that starts may find a renewed one.
    fn credential(&mut self, agent: &AgentRow, now: DateTime<Utc>) {
        let credential = agent.running().and_then(|said| said.credential.as_ref());
        if let Some(warning) = credential.and_then(|credential| credential_warning(credential, now)) {
            self.attention(warning);
        }
    }

    /// By a rule of the table, most of the time somebody's trigger.
    fn refused(&mut self, agent: &AgentRow) {
        if let Some(refused) = agent.running().and_then(|said| said.refused.as_ref()) {
            self.attention(format!(
                "the queue refuses what the agent writes, which is tried again: {}",
                short(refused, 500)
            ));
            self.step("event-sender check --offline", "which triggers and rules are in the way");
        }
    }

    fn mailboxes(&mut self, report: &Overview, now: DateTime<Utc>) {
        let (asked, other): (Vec<_>, Vec<_>) = report.paused.iter().partition(|row| row.kept_until(now).is_some());
        // Ordered by their ends.
        if let Some(last) = asked.last().and_then(|row| row.paused_until(now)) {
            let until = clock(last, now);
            let note = match asked.len() {
                1 => format!("1 mailbox is paused as Microsoft asked; it resumes by itself at {until}"),
                more => format!(
                    "{} are paused as Microsoft asked; they resume by themselves, the last at {until}",
                    mailboxes(more)
                ),
            };
            self.remarks.push(note);
        }
        if let Some(row) = other.last() {
            let kinds: BTreeSet<String> = other.iter().map(|row| short(&row.pause.kind.word(), 30)).collect();
            let are = if other.len() == 1 { "is paused" } else { "are paused" };
            let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
            self.attention(format!("{} {are} ({kinds})", mailboxes(other.len())));
            self.step(format!("event-sender check --mailbox {}", shell::word(&row.mailbox)), "whether it is fixed");
            self.step(format!("event-sender resume {}", shell::last(&row.mailbox)), "tries it at once");
        }
        if let Some(row) = report.held.first() {
            let held = if report.held.len() == 1 { "is held" } else { "are held" };
            self.attention(format!("{} {held} by an operator", mailboxes(report.held.len())));
            self.step(format!("event-sender release {}", shell::last(&row.mailbox)), "sends to it again");
        }
    }

    /// What mails attendees waits there as it was set; nothing is wrong.
    fn pace(&mut self, report: &Overview) {
        if !report.paced.is_empty() {
            let number = mailboxes(report.paced.len());
            let (has, it) = if report.paced.len() == 1 { ("has", "it") } else { ("have", "they") };
            self.remarks.push(format!(
                "{number} {has} mailed as many attendees as {it} may for now (delivery.recipients_per_day, \
                 delivery.invitations_per_minute): jobs with attendees wait"
            ));
        }
        if report.behind > 0 {
            let wait = if report.behind == 1 { "waits" } else { "wait" };
            self.remarks.push(format!("{} {wait} for an earlier job of the same event", jobs(report.behind)));
        }
    }

    fn news(&mut self, news: News, now: DateTime<Utc>) {
        if news.failed > 0 {
            self.attention(format!("{} failed {}", jobs(news.failed), news.time(now)));
            let list = format!("event-sender list --state failed --since {}", news.option());
            self.step(list, "which, and why; event-sender show ID says what to do");
        }
    }

    fn doubt(&mut self, report: &Overview) {
        if report.in_doubt > 0 {
            let are = if report.in_doubt == 1 { "is" } else { "are" };
            self.remarks.push(format!(
                "{} {are} in doubt: an event may exist that no answer has confirmed; waiting ones are looked up before they \
                 are sent again",
                jobs(report.in_doubt)
            ));
            self.step("event-sender list --in-doubt", "which");
        }
    }

    /// What has no first word of its own yet gets it from all that was found.
    fn lead(&mut self) {
        let lead = match self.tone {
            Tone::Good => "All is well",
            Tone::Waiting => "Needs a look",
            _ => return,
        };
        self.headline = format!("{lead}: {}", self.headline);
    }

    fn attention(&mut self, remark: String) {
        if self.tone == Tone::Good {
            self.tone = Tone::Waiting;
        }
        self.remarks.push(remark);
    }

    fn step(&mut self, command: impl Into<String>, what: &'static str) {
        self.steps.push((command.into(), what));
    }
}

/// Jobs in this state.
pub fn of(report: &Overview, state: JobState) -> i64 {
    report.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
}

/// What waits, and for how long.
fn waiting(report: &Overview, now: DateTime<Utc>) -> String {
    let total = &report.waiting.total;
    let oldest = report.oldest_due.as_deref().and_then(|oldest| age(oldest, now));
    let oldest = oldest.map(|age| format!(", the oldest for {age}")).unwrap_or_default();
    let next = report.waiting.next_due.as_deref().and_then(parse_utc).filter(|next| *next > now);
    let next = next.map(|next| format!(", the next at {}", clock(next, now))).unwrap_or_default();
    let met = match report.troubled {
        0 => String::new(),
        met => format!(" ({} of them after trouble)", count(met)),
    };
    let wait = |number: i64| format!("{} {}", jobs(number), if number == 1 { "waits" } else { "wait" });
    match (total.jobs - total.later, total.later) {
        (0, 0) => "nothing is waiting".into(),
        (0, later) => format!("{} for a later time{met}{next}", wait(later)),
        (due, 0) => format!("{}{oldest}{met}", wait(due)),
        (due, later) => format!("{}{oldest}, {} more for a later time{met}", wait(due), count(later)),
    }
}

fn mailboxes(number: usize) -> String {
    counted(i64::try_from(number).unwrap_or(i64::MAX), "mailbox", "mailboxes")
}
