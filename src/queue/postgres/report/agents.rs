//! The agents that share the queue: what each says of itself, and who reads it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::columns::{stamp, stamped};
use crate::queue::AgentStatus;
use crate::queue::columns::{Columns, said};
use crate::queue::postgres::clock::{ServerClock, now};
use crate::queue::postgres::member::AgentId;
use crate::queue::rows::AgentRow;
use crate::queue::settlement::shortened;

const WRITE: &str =
    "UPDATE agents SET version = $2, settings_at = $3, settings_refused = $4, gate_since = $5, gate_until = $6,
        gate_kind = $7, gate_code = $8, gate_hint = $9, credential = $10, credential_expires = $11, default_key = $12,
        default_value = $13, default_since = $14, default_until = $15, default_hint = $16, refused = $17
    WHERE id = $1 AND gone_at IS NULL";

/// Those that live, by name; where none does, the one that was there last.
const AGENTS: &str = concat!(
    "WITH seen AS (SELECT *, gone_at IS NULL AND lease_until > clock_timestamp() AS lives FROM agents)
    SELECT id, name, host, pid, version, settings_refused, gate_kind, gate_code, gate_hint, credential, default_key,
        default_value, default_hint, refused, lives,
        extract(epoch FROM clock_timestamp() - signed_at)::float8 AS silent_for, (SELECT count(*) FROM lanes WHERE owner = seen.id) AS lanes, ",
    stamped!("started_at"),
    ", ",
    stamped!("lease_until"),
    ", ",
    stamped!("settings_at"),
    ", ",
    stamped!("gate_since"),
    ", ",
    stamped!("gate_until"),
    ", ",
    stamped!("credential_expires"),
    ", ",
    stamped!("default_since"),
    ", ",
    stamped!("default_until"),
    " FROM seen WHERE lives OR id = (SELECT id FROM seen WHERE NOT EXISTS (SELECT 1 FROM seen WHERE lives)
            ORDER BY coalesce(gone_at, lease_until) DESC, id LIMIT 1)
    ORDER BY name, id"
);

/// Its times by the server's clock, but for the end of a credential, which stands in that.
pub async fn write(
    connection: &mut PgConnection,
    id: AgentId,
    status: &AgentStatus,
    clock: &ServerClock,
) -> sqlx::Result<()> {
    let (gate, default, at) = (status.gate.as_ref(), status.default.as_ref(), now());
    sqlx::query(WRITE)
        .bind(id.0)
        .bind(status.version)
        .bind(clock.by_the_server(status.settings_at, at))
        .bind(&status.settings_refused)
        .bind(gate.map(|gate| clock.by_the_server(gate.since, at)))
        .bind(gate.map(|gate| clock.by_the_server(gate.until, at)))
        .bind(gate.map(|gate| gate.kind.as_str()))
        .bind(gate.map(|gate| &gate.code))
        .bind(gate.map(|gate| shortened(&gate.hint)))
        .bind(status.credential.map(|credential| credential.name))
        .bind(status.credential.map(|credential| credential.expires))
        .bind(default.map(|default| default.key.as_str()))
        .bind(default.map(|default| &default.value))
        .bind(default.map(|default| clock.by_the_server(default.since, at)))
        .bind(default.map(|default| clock.by_the_server(default.until, at)))
        .bind(default.map(|default| shortened(&default.hint)))
        .bind(status.refused.to_string())
        .execute(connection)
        .await
        .map(drop)
}

pub async fn agents(connection: &mut PgConnection) -> sqlx::Result<Vec<AgentRow>> {
    sqlx::query(AGENTS).fetch_all(connection).await?.iter().map(agent).collect()
}

fn agent(row: &PgRow) -> sqlx::Result<AgentRow> {
    let mut said = said(row)?;
    said.lanes = Some(row.number("lanes")?);
    let lives: bool = row.try_get("lives")?;
    // One that lives has a process, whether it says which or not.
    let pid = row.words("pid")?.unwrap_or_default();
    let silent_for: f64 = row.try_get("silent_for")?;
    let signed_at = by_this_machine(-silent_for).filter(|_| lives);
    Ok(AgentRow { pid: lives.then_some(pid), signed_at, said: Some(said) })
}

/// So many seconds from now, by the clock of whoever reads it: the server's may show another time.
pub fn by_this_machine(seconds: f64) -> Option<DateTime<Utc>> {
    let length = TimeDelta::from_std(Duration::try_from_secs_f64(seconds.abs()).ok()?).ok()?;
    let now = now().wall;
    if seconds < 0.0 { now.checked_sub_signed(length) } else { now.checked_add_signed(length) }
}
