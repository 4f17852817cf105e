//! The row in which the agent says how it is: written by the agent, read by whoever looks at the queue.

use sqlx::sqlite::SqliteConnection;

use crate::job::format_utc;
use crate::queue::AgentStatus;
use crate::queue::sqlite::report::jobs::{Record, record};
use crate::queue::sqlite::schema::strange_triggers;

const WRITE: &str = "INSERT OR REPLACE INTO agent
        (id, version, started_at, settings_at, settings_refused, gate_since, gate_until, gate_kind, gate_code, gate_hint,
        credential, credential_expires, default_key, default_value, default_since, default_until, default_hint, refused)
    VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, nullif(?17, ''))";

pub async fn write(connection: &mut SqliteConnection, note: &AgentStatus) -> sqlx::Result<()> {
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
        .execute(connection)
        .await
        .map(|_| ())
}

/// As it stands, if an agent ever wrote it.
pub async fn read(connection: &mut SqliteConnection) -> sqlx::Result<Option<Record>> {
    let row = sqlx::query("SELECT * FROM agent WHERE id = 1").fetch_optional(connection).await?;
    row.as_ref().map(record).transpose()
}
