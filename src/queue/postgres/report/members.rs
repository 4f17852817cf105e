//! The agents that share the queue, and what each says of itself.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::columns::{stamp, stamped};
use crate::queue::columns::{Columns, said};
use crate::queue::rows::AgentRow;

/// Those that live, by name; where none does, the one that was there last.
const AGENTS: &str = concat!(
    "WITH told AS (SELECT *, gone_at IS NULL AND lease_until > clock_timestamp() AS lives FROM agents)
    SELECT id, name, host, pid, version, settings_refused, gate_kind, gate_code, gate_hint, credential, default_key,
        default_value, default_hint, refused, lives, (SELECT count(*) FROM lanes WHERE owner = told.id) AS lanes, ",
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
    " FROM told WHERE lives OR id = (SELECT id FROM told WHERE NOT EXISTS (SELECT 1 FROM told WHERE lives)
            ORDER BY coalesce(gone_at, lease_until) DESC, id LIMIT 1)
    ORDER BY name, id"
);

pub async fn agents(connection: &mut PgConnection) -> sqlx::Result<Vec<AgentRow>> {
    sqlx::query(AGENTS).fetch_all(connection).await?.iter().map(agent).collect()
}

fn agent(row: &PgRow) -> sqlx::Result<AgentRow> {
    let mut said = said(row)?;
    said.lanes = Some(row.number("lanes")?);
    let lives: bool = row.try_get("lives")?;
    // One that lives has a process, whether it says which or not.
    let pid = row.words("pid")?.unwrap_or_default();
    Ok(AgentRow { pid: lives.then_some(pid), said: Some(said) })
}
