//! Mailboxes that stand still, and what waits for them.

use sqlx::postgres::PgConnection;

use super::columns::{stamp, stamped};
use crate::queue::LaneKey;
use crate::queue::columns::mailbox;
use crate::queue::rows::MailboxRow;

macro_rules! mailboxes {
    ($which:literal) => {
        concat!(
            "SELECT mailbox, reason, error_kind, strikes, held_reason, paced_reason, ",
            stamped!("paused_until"),
            ", ",
            stamped!("updated_at"),
            ", ",
            stamped!("held_at"),
            ", ",
            stamped!("asked_until"),
            ", ",
            stamped!("resumed_at"),
            ", ",
            stamped!("paced_until"),
            " FROM mailboxes AS m WHERE ",
            $which
        )
    };
}

const PAUSED: &str = mailboxes!("m.paused_until > now() ORDER BY m.paused_until, m.mailbox");
const HELD: &str = mailboxes!("m.held_at IS NOT NULL ORDER BY m.mailbox");
const PACED: &str = mailboxes!("m.paced_until > now() ORDER BY m.paced_until, m.mailbox");
const STOPPED: &str = mailboxes!("m.paused_until > now() OR m.held_at IS NOT NULL ORDER BY m.mailbox");
const ONE: &str = mailboxes!("m.mailbox = $1 COLLATE \"C\"");

const WAITING_FOR: &str = "SELECT (SELECT count(*) FROM jobs
            WHERE state = 'pending' AND behind IS NULL AND mailbox_key = ANY($1::text[] COLLATE \"C\"))
        + (SELECT count(*) FROM jobs
            WHERE state = 'pending' AND behind IS NOT NULL AND mailbox_key = ANY($1::text[] COLLATE \"C\"))";

/// Those whose pause is not over.
pub async fn paused(connection: &mut PgConnection) -> sqlx::Result<Vec<MailboxRow>> {
    rows(connection, PAUSED).await
}

/// Those on hold.
pub async fn held(connection: &mut PgConnection) -> sqlx::Result<Vec<MailboxRow>> {
    rows(connection, HELD).await
}

/// Those that have mailed as many as they may.
pub async fn paced(connection: &mut PgConnection) -> sqlx::Result<Vec<MailboxRow>> {
    rows(connection, PACED).await
}

/// Those that are paused or on hold.
pub async fn stopped(connection: &mut PgConnection) -> sqlx::Result<Vec<MailboxRow>> {
    rows(connection, STOPPED).await
}

pub async fn one(connection: &mut PgConnection, lane: &LaneKey) -> sqlx::Result<Option<MailboxRow>> {
    sqlx::query(ONE).bind(lane.as_str()).fetch_optional(connection).await?.as_ref().map(mailbox).transpose()
}

/// Pending jobs of these mailboxes.
pub async fn waiting_for(connection: &mut PgConnection, lanes: &[LaneKey]) -> sqlx::Result<u64> {
    let names: Vec<&str> = lanes.iter().map(LaneKey::as_str).collect();
    let jobs: i64 = sqlx::query_scalar(WAITING_FOR).bind(names).fetch_one(connection).await?;
    Ok(jobs.unsigned_abs())
}

async fn rows(connection: &mut PgConnection, statement: &'static str) -> sqlx::Result<Vec<MailboxRow>> {
    sqlx::query(statement).fetch_all(connection).await?.iter().map(mailbox).collect()
}
