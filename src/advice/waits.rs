//! What keeps a waiting job from being sent: all that stands between it and Exchange.

use chrono::{DateTime, Utc};

use super::shell;
use super::standing::{default_concerns, default_cure, default_words, gate_again, gate_words};
use crate::format::moment;
use crate::job::format_utc;
use crate::queue::{JobRow, LaneKey, MailboxRow, QueueError, Read, judged};

/// What keeps a waiting job of this mailbox from being sent.
pub async fn waits_for(
    queue: &dyn Read,
    job: &JobRow,
    mailbox: &str,
    now: DateTime<Utc>,
) -> Result<Vec<String>, QueueError> {
    let agents = queue.agents().await?;
    let agent = judged(&agents, now).cloned().unwrap_or_default();
    let mut reasons = Vec::new();
    if let Some(first) = job.summary.behind.integer() {
        reasons.push(format!("job {first}, which comes before it for the same event"));
    }
    if !agent.runs() {
        reasons.push("an agent: none is running (systemctl start event-sender)".into());
    }
    if let Some(since) = agent.silent_since(now) {
        let since = moment(&format_utc(since), now);
        reasons
            .push(format!("the agent, which has given no sign of life since {since} (systemctl restart event-sender)"));
    }
    if let Some(gate) = agent.gate() {
        let (again, words) = (gate_again(gate, now), gate_words(gate));
        reasons.push(format!("all sending, which is paused and {again}: {words}"));
    }
    if let Some(until) = queue.sending_paused_until().await? {
        let until = moment(&format_utc(until), now);
        reasons.push(format!("all sending, which is paused until {until}: another database server has taken over"));
    }
    if let Some(default) = agent.refused_default().filter(|default| default_concerns(default, job)) {
        reasons.push(format!("a setting: {} ({})", default_words(default), default_cure(default, now)));
    }
    let row = queue.mailbox(&LaneKey::of(mailbox)).await?;
    reasons.extend(row.as_ref().and_then(|row| stopped(row, mailbox, now)));
    reasons.extend(row.as_ref().filter(|_| mails(job)).and_then(|row| paced(row, now)));
    Ok(reasons)
}

/// A hold comes first, for only a person ends it.
fn stopped(row: &MailboxRow, mailbox: &str, now: DateTime<Utc>) -> Option<String> {
    if let Some(hold) = &row.hold {
        let since = moment(&hold.since.to_string(), now);
        let release = shell::last(mailbox);
        return Some(format!("its mailbox, held since {since}: {} (event-sender release {release})", hold.reason));
    }
    row.paused_until(now)?;
    let (until, kind) = (moment(&row.pause.until.to_string(), now), row.pause.kind.word());
    let resume = match row.paused_as_asked(now) {
        true => String::new(),
        false => format!(" (once that is fixed: event-sender resume {})", shell::last(mailbox)),
    };
    Some(format!("its mailbox, paused until {until}, {kind}: {}{resume}", row.pause.reason))
}

/// Whether attendees hear of it, as far as the row says.
fn mails(job: &JobRow) -> bool {
    job.attendees.text().is_some_and(|attendees| attendees.trim() != "[]")
}

/// A mailbox mails only so much in a time.
fn paced(row: &MailboxRow, now: DateTime<Utc>) -> Option<String> {
    let (until, reason) = row.paced(now)?;
    let until = moment(&format_utc(until), now);
    Some(format!("the pace at which its mailbox mails attendees, until {until}: {reason}"))
}
