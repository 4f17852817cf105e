//! What an agent says of itself, for who looks.

use sqlx::postgres::PgConnection;

use crate::queue::AgentStatus;
use crate::queue::postgres::clock::{ServerClock, now};
use crate::queue::postgres::member::AgentId;

const WRITE: &str =
    "UPDATE agents SET version = $2, settings_at = $3, settings_refused = $4, gate_since = $5, gate_until = $6,
        gate_kind = $7, gate_code = $8, gate_hint = $9, credential = $10, credential_expires = $11, default_key = $12,
        default_value = $13, default_since = $14, default_until = $15, default_hint = $16, refused = $17
    WHERE id = $1 AND gone_at IS NULL";

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
        .bind(gate.map(|gate| &gate.hint))
        .bind(status.credential.map(|credential| credential.name))
        .bind(status.credential.map(|credential| credential.expires))
        .bind(default.map(|default| default.key.as_str()))
        .bind(default.map(|default| &default.value))
        .bind(default.map(|default| clock.by_the_server(default.since, at)))
        .bind(default.map(|default| clock.by_the_server(default.until, at)))
        .bind(default.map(|default| &default.hint))
        .bind(status.refused.to_string())
        .execute(connection)
        .await
        .map(drop)
}
