//! The end of a pause by hand. A pause that Microsoft asked for goes on; of any other the operator may know that its cause is
//! gone. The row keeps when that was: a running agent, which has its pauses in memory, sees it with its next look.

use chrono::{DateTime, TimeDelta, Utc};

use crate::job::{ErrorKind, format_utc};
use crate::queue::sqlite::report::health::Rest;
use crate::queue::sqlite::store::{SqliteQueue, written};
use crate::queue::types::CAPPED;
use crate::queue::{QueueError, capped};

/// Longer than this no wait is obeyed that Microsoft asks for; with some room for the way from there to here.
const LONGEST_OBEYED: TimeDelta = TimeDelta::minutes(24 * 60 + 1);

/// Ends the pause that was looked at, and no other: ?2 is now, ?3 its end.
const RESUME: &str = "UPDATE mailboxes SET paused_until = ?2, asked_until = NULL, resumed_at = ?2
    WHERE mailbox = ?1 AND paused_until = ?3";

impl Rest {
    /// Until when Microsoft's word keeps the mailbox from being asked anything, whatever an operator knows: it named a time, or
    /// it throttles. A wait beyond all measure is none, though it was obeyed for as long as any is.
    pub fn kept_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.paused_until.filter(|until| *until > now)?;
        if let Some(asked) = self.asked_until.filter(|asked| *asked > now) {
            return Some(asked);
        }
        (self.is_throttled() && self.beyond_measure().is_none()).then_some(until)
    }

    /// Microsoft limits it.
    pub fn is_throttled(&self) -> bool {
        self.kind.as_deref() == Some(ErrorKind::Throttled.as_str())
    }

    /// What Microsoft asked for, in words, where that is longer than what is obeyed.
    pub fn beyond_measure(&self) -> Option<String> {
        if let Some(sentence) = capped(&self.reason) {
            return Some(sentence.to_owned());
        }
        // Of a version that obeyed everything.
        let until = self.paused_until.filter(|_| self.is_throttled())?;
        (until - self.since? > LONGEST_OBEYED).then(|| format!("{CAPPED}until {}", format_utc(until)))
    }
}

impl SqliteQueue {
    /// Ends this pause, and tells whether it was still the same. Whether it may be ended is asked of [`Rest::kept_until`].
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn resume_mailbox(&self, rest: &Rest, now: DateTime<Utc>) -> Result<bool, QueueError> {
        let mut connection = self.connection().await?;
        let query = sqlx::query(RESUME).bind(rest.lane.as_str()).bind(format_utc(now)).bind(&rest.stored_until);
        let done = query.execute(&mut *connection).await;
        Ok(self.handed_back(connection, done).map_err(written)?.rows_affected() > 0)
    }
}
