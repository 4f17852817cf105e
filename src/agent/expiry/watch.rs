//! Beside the running agent: looks at the end of what it signs in with, says in the log when it is near, and reports it
//! to the queue, for `status`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::told::{Told, Word};
use crate::advice::expiry::{NOT_YET_CURE, Nearness, cure};
use crate::auth::{CredentialEnd, TokenCache};
use crate::job::format_utc;
use crate::worker::StatusReport;

/// Between two looks at the clock, and at the files. By the steady clock: the other one is what is looked at.
const EVERY: Duration = Duration::from_secs(3600);

/// Looks for as long as the process lives.
pub struct Watch {
    tokens: Arc<TokenCache>,
    status: StatusReport,
    end: watch::Receiver<Option<CredentialEnd>>,
    told: Told,
}

impl Watch {
    /// Looks for the first time, before the agent begins.
    pub fn begin(tokens: Arc<TokenCache>, status: StatusReport) -> Self {
        let end = tokens.watch_credential_end();
        let mut watch = Self { tokens, status, end, told: Told::default() };
        watch.look();
        watch
    }

    /// Looks again whenever the end becomes another one (a reload, a file renewed), and every hour.
    pub async fn follow(mut self) {
        loop {
            tokio::select! {
                // Told by the tokens, which are held here.
                changed = self.end.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(EVERY) => self.tokens.read_credentials(Instant::now()),
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let end = *self.end.borrow_and_update();
        self.status.signs_in_until(end);
        let now = Utc::now();
        for word in self.told.look(end, now) {
            end.iter().for_each(|end| say(word, end, now));
        }
    }
}

fn say(word: Word, end: &CredentialEnd, now: DateTime<Utc>) {
    let CredentialEnd { credential, at, begins } = *end;
    let (expires, days_left) = (format_utc(at), (at - now).num_days());
    let hint = cure(credential, Nearness::of(at, now));
    match word {
        Word::Soon => tracing::warn!(credential, expires, days_left, hint, "credential expires soon"),
        Word::Over => tracing::error!(credential, expires, hint, "credential has expired"),
        Word::Renewed => tracing::info!(credential, expires, days_left, "credential was renewed"),
        Word::NotYet => {
            let valid_from = begins.map(format_utc);
            tracing::warn!(credential, valid_from, hint = NOT_YET_CURE, "credential is not valid yet");
        }
    }
}
