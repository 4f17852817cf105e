//! `GET /api/v1/overview`: all that the page's first screen shows. Fields are only ever added.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::Web;
use super::groups::Group;
use super::look::{Look, Seen};
use super::mailboxes;
use super::reply::{Refusal, Reply, json};
use crate::advice::health::{Health, News, of};
use crate::advice::standing::{agent_json, credential_json, gate_again, gate_words};
use crate::advice::{Case, Tone, row_json, shell};
use crate::format::{jobs, moment};
use crate::job::{JobState, format_utc};
use crate::queue::{AgentRow, Overview};

/// Mailboxes on the first screen.
const MAILBOXES: usize = 50;
/// Mailboxes named of a group.
const NAMED: usize = 3;
/// Ids in a command to copy.
const IN_A_COMMAND: usize = 20;

impl Web {
    pub async fn overview(&self) -> Reply {
        let standing = self.standing.get().ok_or_else(Refusal::starting)?;
        let seen = standing.look.latest(self.filled().unnamed).await;
        let Some(seen) = seen else {
            let why =
                standing.look.trouble().map_or_else(|| "It is being looked at.".to_owned(), |trouble| trouble.why);
            return Err(Refusal { why, ..Refusal::starting() });
        };
        let now = Utc::now();
        Ok(json(&json!({
            "queue": standing.queue.name(),
            "version": env!("CARGO_PKG_VERSION"),
            "now": format_utc(now),
            "seen_at": format_utc(seen.at),
            "trouble": trouble(&standing.look),
            "actions": self.settings.actions,
            "show_content": self.settings.show_content,
            "verdict": self.verdict(&seen, now),
            "tiles": self.tiles(&seen, now),
            "charts": self.charts.json(),
            "failed": self.failed(&seen, now),
            "mailboxes": mailboxes::page(&seen, "", MAILBOXES, now),
            "agents": seen.overview.agents.iter().map(agent).collect::<Value>(),
        })))
    }

    fn verdict(&self, seen: &Seen, now: DateTime<Utc>) -> Value {
        let overview = &seen.overview;
        let agent = overview.agent(now);
        let mut health = Health::of(overview, &agent, News::of_last_hour(overview), now);
        let mut since = None;
        // What the agent met a moment ago it has not reported yet.
        let trouble = self.measures.settle_trouble().map(|trouble| ("results cannot be recorded", trouble));
        let trouble =
            trouble.or_else(|| self.measures.queue_trouble().map(|trouble| ("the queue cannot be used", trouble)));
        if let Some((what, trouble)) = trouble {
            health.tone = Tone::Bad;
            health.headline = format!("NOTHING IS SENT: {what}");
            health.remarks.insert(0, trouble.why);
            since = Some(format_utc(trouble.since));
        }
        if self.stop.is_cancelled() {
            health
                .remarks
                .insert(0, "the agent is stopping: it finishes what is under way, and begins nothing new".into());
        }
        let gate = agent.gate();
        let waiting = of(overview, JobState::Pending);
        let steps = health.steps.iter().map(|(command, what)| json!({ "command": command, "what": what }));
        json!({
            "level": level(health.tone),
            "headline": health.headline,
            "remarks": health.remarks,
            "steps": steps.collect::<Value>(),
            "cause": gate.map(gate_words),
            "since": since.or_else(|| gate.and_then(|gate| gate.since.words())),
            "until": gate.and_then(|gate| gate.until.words()),
            "again": gate.map(|gate| gate_again(gate, now)),
            "nothing_lost": (health.tone == Tone::Bad && waiting > 0)
                .then(|| format!("Nothing is lost: {} {}.", jobs(waiting), if waiting == 1 { "waits" } else { "wait" })),
            "empty": overview.counts.iter().all(|(_, count)| *count == 0),
        })
    }

    fn tiles(&self, seen: &Seen, now: DateTime<Utc>) -> Value {
        let Overview { waiting, last_hour, last_minute, in_doubt, behind, oldest_due, agents, .. } = &seen.overview;
        let times = self.charts.answer_times();
        let credential = agents.first().map_or(Value::Null, credential_json);
        let expires = agents.first().and_then(|agent| agent.said.as_ref()?.credential.as_ref()?.expires.time());
        json!({
            "waiting": { "jobs": waiting.total.jobs, "later": waiting.total.later, "behind": behind, "oldest_due": oldest_due },
            "in_flight": { "now": self.measures.in_flight.get(), "limit": self.measures.max_in_flight.get() },
            "sent": { "last_hour": last_hour.sent, "last_minute": last_minute.sent },
            "answer_time": { "p50_seconds": times.map(|times| times.0), "p95_seconds": times.map(|times| times.1) },
            "failed": { "last_24_hours": seen.failed, "last_hour": last_hour.failed },
            "in_doubt": in_doubt,
            "credential": credential,
            "credential_days": expires.map(|end| (end - now).num_days()),
        })
    }

    fn failed(&self, seen: &Seen, now: DateTime<Utc>) -> Value {
        let grouped: usize = seen.groups.iter().map(|group| group.ids.len()).sum();
        let groups = seen.groups.iter().map(|group| self.group(group, now));
        json!({
            "since": format_utc(seen.at - TimeDelta::hours(24)),
            "jobs": seen.failed,
            "grouped": grouped,
            "groups": groups.collect::<Value>(),
        })
    }

    fn group(&self, group: &Group, now: DateTime<Utc>) -> Value {
        let job = &group.newest.summary;
        let whose = match group.mailboxes.as_slice() {
            [one] => one.clone(),
            _ => String::new(),
        };
        let advice = Case::of_many(&group.newest, &whose).map(|case| case.advice(now)).unwrap_or_default();
        let ids: Vec<i64> = group.ids.iter().map(|id| id.0).collect();
        let message = self.settings.show_content.then(|| row_json::stored(&job.error_message));
        json!({
            "error_kind": job.error_kind.word(),
            "cause": job.cause().map(|cause| cause.as_str()),
            "error_code": row_json::stored(&job.error_code),
            "in_doubt": job.is_in_doubt(),
            "jobs": ids.len(),
            "newest_at": row_json::stored(&job.finished_at),
            "mailboxes": group.mailboxes.iter().take(NAMED).collect::<Vec<_>>(),
            "more_mailboxes": group.mailboxes.len().saturating_sub(NAMED),
            "happened": advice.happened,
            "to_do": advice.to_do,
            "error_message": message,
            "command": retry_command(&ids),
            "ids": ids,
        })
    }
}

/// The command that a retry of these jobs stands for.
pub fn retry_command(ids: &[i64]) -> String {
    let named: Vec<String> = ids.iter().take(IN_A_COMMAND).map(|id| shell::word(&id.to_string())).collect();
    let more = if ids.len() > IN_A_COMMAND { " …" } else { "" };
    format!("event-sender retry {}{more}", named.join(" "))
}

fn agent(row: &AgentRow) -> Value {
    let mut shown = agent_json(row);
    if let Value::Object(shown) = &mut shown {
        shown.insert("pid".into(), row.pid.as_ref().and_then(|pid| pid.parse::<u32>().ok()).into());
        let started = row.said.as_ref().map(|said| said.started_at.to_string()).unwrap_or_default();
        shown.insert("since".into(), moment(&started, Utc::now()).into());
    }
    shown
}

fn trouble(look: &Look) -> Value {
    look.trouble().map_or(Value::Null, |trouble| json!({ "since": format_utc(trouble.since), "why": trouble.why }))
}

fn level(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "fine",
        Tone::Bad => "stopped",
        Tone::Waiting | Tone::Faint | Tone::Strong => "look",
    }
}
