//! `status --json`: for programs that read how things stand. Fields are only ever added.

use serde_json::{Map, Value, json};

use super::Glance;
use crate::advice::row_json;
use crate::advice::standing::{agent_json, credential_json, default_json, gate_json};
use crate::job::format_utc;
use crate::queue::{AGE_COUNT, AgentRow, Ended, Waiting};

/// The names of the ages, in the order of `Waiting::by_age`.
const AGES: [&str; AGE_COUNT] = ["under_1m", "under_5m", "under_15m", "under_1h", "under_6h", "under_1d", "over_1d"];

pub(super) fn of(glance: &Glance) -> Value {
    let Glance { report, agent, .. } = glance;
    let mut status: Map<String, Value> =
        report.counts.iter().map(|(state, count)| (state.as_str().to_owned(), (*count).into())).collect();
    let mut put = |name: &str, value: Value| status.insert(name.into(), value);
    put("in_doubt", report.in_doubt.into());
    put("oldest_pending", report.oldest_pending.clone().into());
    put("oldest_due", report.oldest_due.clone().into());
    put("next_due", report.waiting.next_due.clone().into());
    put("agent_running", agent.runs().into());
    put("agent_pid", agent.pid.as_ref().and_then(|pid| pid.parse::<u32>().ok()).into());
    put("agent", agent_json(agent));
    put("agents", report.agents.iter().map(in_a_list).collect());
    put("sending_paused_until", report.sending_paused_until.map(format_utc).into());
    put("gate", agent.gate().map_or(Value::Null, gate_json));
    put("refused_default", agent.refused_default().map_or(Value::Null, default_json));
    put("credential", credential_json(agent));
    put("rates", json!({ "last_minute": ended(report.last_minute), "last_hour": ended(report.last_hour) }));
    put("failed_by_kind", report.failed_by_kind.iter().map(by_kind).collect::<Map<_, _>>().into());
    put("troubles", report.troubles.iter().map(row_json::trouble).collect());
    put("paused_mailboxes", report.paused.iter().map(row_json::mailbox).collect());
    put("held_mailboxes", report.held.iter().map(row_json::mailbox).collect());
    put("paced_mailboxes", report.paced.iter().map(row_json::mailbox).collect());
    put("behind", report.behind.into());
    put("waiting", Value::Object(ages(&report.waiting.total)));
    put("mailboxes", report.waiting.mailboxes.iter().map(mailbox).collect());
    put("more_mailboxes", report.waiting.more.into());
    Value::Object(status)
}

/// Beside the others that share the queue: what it says of itself, its process, and why it sends nothing.
fn in_a_list(agent: &AgentRow) -> Value {
    let mut shown = agent_json(agent);
    shown["pid"] = agent.pid.as_ref().and_then(|pid| pid.parse::<u32>().ok()).into();
    shown["gate"] = agent.gate().map_or(Value::Null, gate_json);
    shown
}

fn ended(ended: Ended) -> Value {
    json!({ "sent": ended.sent, "failed": ended.failed })
}

/// Failed jobs always have a kind, unless somebody else wrote them.
fn by_kind((kind, jobs): &(Option<String>, i64)) -> (String, Value) {
    (kind.clone().unwrap_or_else(|| "unknown".into()), (*jobs).into())
}

/// A mailbox of its own; null for that of jobs that name none and have no default.
fn mailbox(waiting: &Waiting) -> Value {
    let name = Some(waiting.mailbox.clone()).filter(|name| !name.is_empty());
    let mut row = Map::from_iter([("mailbox".to_owned(), name.into())]);
    row.extend(ages(waiting));
    Value::Object(row)
}

fn ages(waiting: &Waiting) -> Map<String, Value> {
    let counts = [("pending", waiting.jobs), ("later", waiting.later)];
    let by_age = AGES.into_iter().zip(waiting.by_age);
    counts.into_iter().chain(by_age).map(|(name, count)| (name.to_owned(), count.into())).collect()
}
