//! `status`: the queue at a glance.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::list::plain;
use super::output::{self, short};
use super::{Failure, existing_queue};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::job::{format_utc, parse_utc};
use crate::queue::{AgentLock, StatusReport};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = existing_queue(&settings).await?;
    let now = Utc::now();
    let report = queue.status(&format_utc(now)).await?;
    let agent = AgentLock::holder(queue.path());
    if options.json {
        output::json(&as_json(&report, agent.as_deref()))?;
    } else {
        print(&report, agent.as_deref(), &queue.path().display().to_string(), now)?;
    }
    Ok(Exit::Done)
}

fn as_json(report: &StatusReport, agent: Option<&str>) -> Value {
    let mut status: Map<String, Value> =
        report.counts.iter().map(|(state, count)| (state.as_str().to_owned(), (*count).into())).collect();
    status.insert("in_doubt".into(), report.in_doubt.into());
    status.insert("oldest_pending".into(), report.oldest_pending.clone().into());
    status.insert("next_due".into(), report.next_due.clone().into());
    status.insert("agent_running".into(), agent.is_some().into());
    status.insert("agent_pid".into(), agent.and_then(|pid| pid.parse::<u32>().ok()).into());
    status.insert("paused_mailboxes".into(), report.paused.iter().cloned().map(Value::Object).collect());
    status.insert("troubles".into(), report.troubles.iter().cloned().map(Value::Object).collect());
    Value::Object(status)
}

fn print(report: &StatusReport, agent: Option<&str>, path: &str, now: DateTime<Utc>) -> std::io::Result<()> {
    output::line(&format!("queue           {path}"))?;
    output::line(&format!(
        "agent           {}",
        agent.map_or_else(|| "not running".into(), |pid| format!("running (process {pid})"))
    ))?;
    for (state, count) in &report.counts {
        output::line(&format!("{:15} {count}", state.as_str()))?;
    }
    output::line(&format!("in doubt        {}", report.in_doubt))?;
    if let Some(oldest) = &report.oldest_pending {
        output::line(&format!("oldest pending  {oldest} ({})", age(oldest, now)))?;
    }
    for trouble in &report.troubles {
        let (jobs, code) = (plain(&trouble["jobs"]), plain(&trouble["error_code"]));
        let why = short(&plain(&trouble["error_message"]), 120);
        output::line(&format!("waiting         {jobs} after {} {code}: {why}", plain(&trouble["error_kind"])))?;
    }
    if report.paused.is_empty() {
        return output::line("paused          no mailbox");
    }
    output::line("")?;
    let rows = report.paused.iter().map(|row| {
        vec![
            plain(&row["mailbox"]),
            plain(&row["paused_until"]),
            plain(&row["error_kind"]),
            short(&plain(&row["reason"]), 90),
        ]
    });
    output::table(&["paused mailbox", "until", "kind", "reason"], rows.collect())
}

fn age(since: &str, now: DateTime<Utc>) -> String {
    let age = parse_utc(since).and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
    format!("{} ago", humantime::format_duration(std::time::Duration::from_secs(age.as_secs())))
}
