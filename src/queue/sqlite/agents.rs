//! What an agent says of itself: a row for each start, written by the agent, read by whoever looks at the queue.

use std::path::Path;

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;

use crate::job::format_utc;
use crate::queue::AgentStatus;
use crate::queue::columns::said;
use crate::queue::rows::AgentRow;
use crate::queue::sqlite::files::{AgentLock, Holder};
use crate::queue::sqlite::schema::strange_triggers;
use crate::queue::sqlite::store::AgentId;

/// Its settings have just been read.
const BEGIN: &str = "INSERT INTO agents (name, host, pid, version, started_at, settings_at, lease_until)
    VALUES (?1, ?1, ?2, ?3, ?4, ?4, ?4) RETURNING id";

/// Where a stranger has deleted the row it is written again.
const WRITE: &str = "INSERT INTO agents
        (version, started_at, settings_at, settings_refused, gate_since, gate_until, gate_kind, gate_code, gate_hint,
        credential, credential_expires, default_key, default_value, default_since, default_until, default_hint, refused,
        name, host, pid, lease_until, id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, nullif(?17, ''),
        ?18, ?18, ?19, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ?20)
    ON CONFLICT (id) DO UPDATE SET
        settings_at = excluded.settings_at, settings_refused = excluded.settings_refused, gate_since = excluded.gate_since,
        gate_until = excluded.gate_until, gate_kind = excluded.gate_kind, gate_code = excluded.gate_code,
        gate_hint = excluded.gate_hint, credential = excluded.credential, credential_expires = excluded.credential_expires,
        default_key = excluded.default_key, default_value = excluded.default_value, default_since = excluded.default_since,
        default_until = excluded.default_until, default_hint = excluded.default_hint, refused = excluded.refused,
        lease_until = excluded.lease_until";

/// The starts that are remembered.
const FORGET: &str = "DELETE FROM agents WHERE id <= (SELECT max(id) FROM agents) - 10";

/// An agent starts: the row that its claims name.
pub async fn begin(connection: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<AgentId> {
    let id = sqlx::query_scalar(BEGIN)
        .bind(host())
        .bind(std::process::id())
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(format_utc(now))
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(FORGET).execute(connection).await?;
    Ok(AgentId(id))
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What the agent reports of itself, into its row.
pub async fn write(connection: &mut SqliteConnection, agent: Option<AgentId>, note: &AgentStatus) -> sqlx::Result<()> {
    let (gate, default) = (note.gate.as_ref(), note.default.as_ref());
    let mut refused = note.refused.to_string();
    if !refused.is_empty() {
        let strange = strange_triggers(connection).await?;
        if !strange.is_empty() {
            refused.push_str(&format!("; triggers on table jobs that are not the queue's own: {}", strange.join(", ")));
        }
    }
    sqlx::query(WRITE)
        .bind(note.version)
        .bind(format_utc(note.started_at))
        .bind(format_utc(note.settings_at))
        .bind(&note.settings_refused)
        .bind(gate.map(|gate| format_utc(gate.since)))
        .bind(gate.map(|gate| format_utc(gate.until)))
        .bind(gate.map(|gate| gate.kind.as_str()))
        .bind(gate.map(|gate| &gate.code))
        .bind(gate.map(|gate| &gate.hint))
        .bind(note.credential.map(|credential| credential.name))
        .bind(note.credential.map(|credential| format_utc(credential.expires)))
        .bind(default.map(|default| default.key.as_str()))
        .bind(default.map(|default| &default.value))
        .bind(default.map(|default| format_utc(default.since)))
        .bind(default.map(|default| format_utc(default.until)))
        .bind(default.map(|default| &default.hint))
        .bind(refused)
        .bind(host())
        .bind(std::process::id())
        .bind(agent.map(|agent| agent.0))
        .execute(connection)
        .await
        .map(drop)
}

/// The agent that runs, which has the lock, with what it says of itself; else the one that ran last, if any did.
pub async fn agents(connection: &mut SqliteConnection, database: &Path) -> sqlx::Result<Vec<AgentRow>> {
    let row = sqlx::query("SELECT * FROM agents ORDER BY id DESC LIMIT 1").fetch_optional(connection).await?;
    let said = row.as_ref().map(said).transpose()?;
    let Some(Holder { pid, signed_at }) = AgentLock::holder(database) else {
        return Ok(said.map(|said| AgentRow { said: Some(said), ..AgentRow::default() }).into_iter().collect());
    };
    // An agent of a version that gives none has a file as old as its first start, or older.
    let began = said.as_ref().and_then(|said| said.started_at.time());
    let signed_at = signed_at.map(DateTime::from).filter(|signed| began.is_none_or(|began| *signed > began));
    Ok(vec![AgentRow { pid: Some(pid), signed_at, said }])
}
