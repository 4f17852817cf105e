//! What an operator is told about one job: what happened, what happens by itself, and what is to be done. What a code of
//! Microsoft's means stands in `error_message` already (`graph::hints`, `auth::hints`); here is what follows from its cause.

use chrono::{DateTime, Utc};

use super::shell;
use crate::format::moment;
use crate::job::{Cause, ErrorKind, JobState, parse_utc};
use crate::queue::{JobRow, Stored};

/// Advice about a job in its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    pub happened: String,
    pub by_itself: String,
    /// Sentences, with the commands in them.
    pub to_do: Vec<String>,
}

/// The part of a job that advice hangs on.
#[derive(Clone, Debug)]
pub(super) struct Case {
    id: i64,
    state: JobState,
    kind: Option<ErrorKind>,
    cause: Option<Cause>,
    /// The column a row is invalid for.
    column: Option<String>,
    in_doubt: bool,
    /// A request may have left, so that the content is fixed.
    left: bool,
    /// As written in the row, or the default.
    mailbox: String,
    next_attempt_at: String,
    give_up_at: String,
}

impl Case {
    /// Of a row of `jobs`; none if it is in no state at all. `mailbox` is whose the job is.
    pub(super) fn of(job: &JobRow, mailbox: &str) -> Option<Self> {
        let of = &job.summary;
        Some(Self {
            id: of.id.0,
            state: of.state.known()?,
            kind: of.error_kind.known(),
            cause: of.cause(),
            column: column(&of.error_code),
            in_doubt: of.is_in_doubt(),
            left: !job.first_sent_at.to_string().is_empty(),
            mailbox: mailbox.to_owned(),
            next_attempt_at: of.next_attempt_at.to_string(),
            give_up_at: job.give_up_at.to_string(),
        })
    }

    /// The advice at this time.
    pub(super) fn advice(&self, now: DateTime<Utc>) -> Advice {
        Advice { happened: self.happened(), by_itself: self.by_itself(now), to_do: self.to_do() }
    }

    fn happened(&self) -> String {
        let Some(kind) = self.kind else { return self.without_trouble().into() };
        let event = if self.in_doubt { " Its event may exist all the same." } else { "" };
        format!("{}{event}", self.trouble(kind))
    }

    fn without_trouble(&self) -> &'static str {
        match (self.state, self.in_doubt) {
            (JobState::Pending, false) => "It waits for its turn; nothing has gone wrong so far.",
            (JobState::Pending, true) => {
                "The agent ended while it had this job in hand: a request may have left, and its event may exist."
            }
            (JobState::Claimed, _) => "The agent has it in hand: a request is under way, or is the next to be made.",
            (JobState::Sent, _) => "The event exists.",
            (JobState::Cancelled, _) => "It was cancelled.",
            (JobState::Failed, _) => "It failed; no reason was recorded.",
        }
    }

    fn trouble(&self, kind: ErrorKind) -> String {
        if kind == ErrorKind::Exhausted {
            let said = match self.cause {
                Some(Cause::EventNotFound) => {
                    "No answer came to its requests, and no event of it is found in the calendar: given up."
                }
                _ => "It was given up: its attempts or its time are used up.",
            };
            return said.into();
        }
        match self.cause {
            Some(cause) => self.met(cause),
            None => kind_alone(kind).into(),
        }
    }

    fn met(&self, cause: Cause) -> String {
        let said = match cause {
            Cause::InvalidRow => {
                "Another program wrote values into the agent's columns that cannot be, so the agent cannot take the row."
            }
            Cause::InvalidColumn => return self.invalid(),
            Cause::NoMailbox => "There is no such mailbox.",
            Cause::MailboxNotEnabled | Cause::MailboxOnPremises => {
                "The mailbox is not in Exchange Online, or has no licence."
            }
            Cause::WrongCalendar => "The mailbox has no such calendar.",
            Cause::MailboxSuspended => "Microsoft limits this mailbox: it may not send now.",
            Cause::MeWithoutUser => {
                "The row names no mailbox, and an application signed in without a user has none of its own."
            }
            Cause::WrongApiVersion => "Graph has no such version of its interface.",
            Cause::ReplyLost => "A request left, and no whole answer came back.",
            Cause::Interrupted => "The agent was stopped before the answer came.",
            Cause::NoNetwork => "There was no connection to Graph; nothing was sent.",
            Cause::MailboxFull => "The mailbox is full.",
            Cause::MailboxLocked => "The mailbox is locked.",
            Cause::NotGraph => "Something else than Graph answered: a proxy, a portal, a wrong address.",
            Cause::MailboxAway => "The mailbox was away for a moment.",
            Cause::Conflict => "Exchange was busy with the same calendar.",
            other => kind_alone(other.kind()),
        };
        said.into()
    }

    fn invalid(&self) -> String {
        match (&self.column, self.left) {
            (Some(column), false) => format!("The row is not a valid event: {column} is at fault. Nothing was sent."),
            (Some(column), true) => format!("The row is no longer a valid event: {column} is at fault."),
            (None, _) => "The row is not a valid event.".into(),
        }
    }

    fn by_itself(&self, now: DateTime<Utc>) -> String {
        match self.state {
            JobState::Pending => self.pending(now),
            JobState::Claimed => {
                "Its end is written into this row; if the agent dies meanwhile, the next start of the agent \
                                  looks for the event before it sends again."
                    .into()
            }
            JobState::Sent | JobState::Failed | JobState::Cancelled => "Nothing more.".into(),
        }
    }

    fn pending(&self, now: DateTime<Utc>) -> String {
        let later = parse_utc(&self.next_attempt_at).is_some_and(|next| next > now);
        let mut said = match (self.kind, later) {
            (None, true) => format!("It is sent at {}.", moment(&self.next_attempt_at, now)),
            (Some(_), true) => format!("It is tried again at {}.", moment(&self.next_attempt_at, now)),
            (_, false) => "It is due, and taken as soon as its mailbox is free.".into(),
        };
        if self.in_doubt {
            said += " First its event is looked for; only if there is none is the same request sent again.";
        }
        match self.kind {
            Some(ErrorKind::Throttled) => said += " Waiting for this costs no attempt.",
            Some(ErrorKind::Denied) => said += " The mailbox is looked at every 30 minutes, which costs no attempt.",
            Some(ErrorKind::Auth) => said += " Sending resumes by itself as soon as a token is granted.",
            _ => {}
        }
        if !self.give_up_at.is_empty() {
            said += &format!(" It is given up at {}.", moment(&self.give_up_at, now));
        }
        said
    }

    fn to_do(&self) -> Vec<String> {
        let mut to_do = match self.state {
            JobState::Failed => self.failed(),
            JobState::Pending => self.cure().into_iter().collect(),
            JobState::Cancelled => vec![format!("To send it after all: event-sender retry {}", self.id)],
            JobState::Claimed | JobState::Sent => Vec::new(),
        };
        if self.in_doubt && matches!(self.state, JobState::Failed | JobState::Cancelled) {
            to_do.insert(0, format!("Look into the calendar of {} first: the event may be there.", self.mailbox()));
        }
        if to_do.is_empty() {
            to_do.push("Nothing.".into());
        }
        to_do
    }

    /// What a person must put right before another attempt has a chance.
    fn cure(&self) -> Option<String> {
        let check = format!("event-sender check --mailbox {} shows whether it works", shell::word(self.mailbox()));
        Some(match self.cause? {
            Cause::MeWithoutUser => "Set defaults.mailbox in agent.toml.".into(),
            Cause::WrongApiVersion => "Correct graph.api_version in agent.toml.".into(),
            Cause::MailboxSuspended => format!(
                "Sign in to the mailbox and do what the message in its inbox asks for, or wait: Microsoft does this to personal \
                 mailboxes (Outlook.com); {check}."
            ),
            Cause::Permission => format!(
                "Let the application write to it: consent, RBAC scope or access policy (docs/sign-in/refusals.md), which take up to \
                 2 hours to hold; {check}."
            ),
            Cause::NoMailbox => format!("If the mailbox is to exist, make it; {check}."),
            Cause::MailboxNotEnabled | Cause::MailboxOnPremises | Cause::WrongCalendar => {
                format!("Assign a licence to the mailbox, which takes effect within 15 minutes; {check}.")
            }
            Cause::MailboxFull => format!("Make room in the mailbox; {check}."),
            Cause::MailboxLocked => format!("Check licence and subscription of the mailbox; {check}."),
            Cause::NotGraph | Cause::NoNetwork => {
                "Check graph.endpoint, network and proxies: event-sender check says where it ends.".into()
            }
            Cause::SignInRefused | Cause::TokenRefused => {
                "Correct the [auth] settings or renew the secret: event-sender check says what is refused.".into()
            }
            _ => return None,
        })
    }

    fn failed(&self) -> Vec<String> {
        let retry = format!("event-sender retry {}", self.id);
        let looks = if self.in_doubt { ", which looks for the event before it sends anything" } else { "" };
        let anew = "its content can no longer be changed, a request may have left: insert a corrected job (event-sender enqueue)";
        let Some(kind) = self.kind else { return vec![format!("Try it again: {retry}{looks}.")] };
        match kind {
            ErrorKind::InvalidJob if !self.left && !self.in_doubt => vec![match &self.column {
                Some(column) => format!(
                    "Correct it and try again: UPDATE jobs SET {column} = … WHERE id = {}, then {retry}.",
                    self.id
                ),
                None => format!("Correct the row, then {retry}; or insert a new job."),
            }],
            ErrorKind::InvalidJob => vec![format!("If the event is not there, {anew}.")],
            ErrorKind::Rejected => vec![
                format!("Correct what is said: {anew}."),
                format!("If the fault was not in the event: {retry}{looks}."),
            ],
            ErrorKind::NotFound if self.cause == Some(Cause::NoMailbox) => {
                vec![format!("A wrong address: {anew}."), format!("If the mailbox exists by now: {retry}{looks}.")]
            }
            ErrorKind::NotFound => vec![
                format!("A wrong mailbox or calendar_id: {anew}."),
                format!("If it was fixed (calendar shared, licence given): {retry}{looks}."),
            ],
            ErrorKind::DuplicateTransaction => {
                vec![format!(
                    "Look into the calendar of {}; if the event is not there, insert a new job.",
                    self.mailbox()
                )]
            }
            ErrorKind::Expired => vec![
                "If it is still wanted: insert a new job.".into(),
                format!("With another not_after, or delivery.past_events = \"send\": {retry}{looks}."),
            ],
            ErrorKind::Superseded => vec![format!("To send it after all: {retry}{looks}.")],
            ErrorKind::Target => vec![
                "Create the event anew if it is wanted: insert a new job.".into(),
                format!("If its event can be changed by now: {retry}{looks}."),
            ],
            ErrorKind::Denied
            | ErrorKind::Throttled
            | ErrorKind::Unavailable
            | ErrorKind::Auth
            | ErrorKind::Exhausted => {
                let cure = self.cure().into_iter();
                cure.chain([format!("When the cause is gone: {retry}{looks}.")]).collect()
            }
        }
    }

    fn mailbox(&self) -> &str {
        if self.mailbox.is_empty() { "MAILBOX" } else { &self.mailbox }
    }
}

/// What the code of a job that failed as invalid names.
fn column(code: &Stored) -> Option<String> {
    let column = code.text()?.strip_prefix("invalid_")?;
    (column != "row").then(|| column.to_owned())
}

fn kind_alone(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidJob => "The row is not a valid event.",
        ErrorKind::Rejected => "Exchange refuses this event for good.",
        ErrorKind::NotFound => "The mailbox has no such calendar.",
        ErrorKind::Denied => "The application may not write to this mailbox.",
        ErrorKind::Throttled => "Microsoft limits the requests: there were too many of them.",
        ErrorKind::Unavailable => "Microsoft had trouble of its own.",
        ErrorKind::Auth => "The sign-in was refused, so there was no token to send it with.",
        ErrorKind::Exhausted => "It was given up: its attempts or its time are used up.",
        ErrorKind::DuplicateTransaction => "Exchange says that its transaction id belongs to another event.",
        ErrorKind::Expired => "Its time was over before it could be sent.",
        ErrorKind::Superseded => "A later delete of the same event called it off before anything had left.",
        ErrorKind::Target => "The event that it means is not there, or is not the mailbox's to change.",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn advice(state: JobState, kind: Option<ErrorKind>, code: &str, in_doubt: bool) -> Advice {
        let case = Case {
            id: 23,
            state,
            kind,
            cause: kind.and_then(|kind| Cause::of_stored(kind, None, Some(code))),
            column: column(&code.into()),
            in_doubt,
            left: in_doubt,
            mailbox: "ann@contoso.com".into(),
            next_attempt_at: "2026-12-01T12:05:00.000Z".into(),
            give_up_at: String::new(),
        };
        let now = parse_utc("2026-12-01T12:00:00Z").unwrap();
        case.advice(now)
    }

    #[test]
    fn every_kind_in_every_state_is_told_in_whole_sentences() {
        for state in JobState::ALL {
            for kind in ErrorKind::ALL.into_iter().map(Some).chain([None]) {
                for in_doubt in [false, true] {
                    let advice = advice(state, kind, "", in_doubt);
                    let said = [&advice.happened, &advice.by_itself].into_iter().chain(&advice.to_do);
                    for sentence in said {
                        let whole = sentence.ends_with('.') || sentence.ends_with(" 23");
                        assert!(whole && !sentence.contains("  "), "{state:?} {kind:?}: {sentence}");
                    }
                    assert!(!advice.to_do.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_failed_job_always_has_a_way_on_and_a_doubtful_one_is_looked_for_first() {
        for kind in ErrorKind::ALL {
            let plain = advice(JobState::Failed, Some(kind), "", false);
            let way = plain.to_do.iter().any(|step| step.contains("retry 23") || step.contains("insert a"));
            assert!(way, "{kind:?}: {plain:?}");
            let doubtful = advice(JobState::Failed, Some(kind), "", true);
            assert!(doubtful.happened.contains("may exist"), "{doubtful:?}");
            assert!(doubtful.to_do[0].contains("calendar of ann@contoso.com"), "{doubtful:?}");
        }
    }

    #[test]
    fn codes_change_what_is_to_be_done() {
        let failed = |kind, code| advice(JobState::Failed, Some(kind), code, false).to_do.join(" ");
        assert!(failed(ErrorKind::InvalidJob, "invalid_start_time").contains("SET start_time = …"));
        assert!(
            failed(ErrorKind::NotFound, "ErrorInvalidUser").contains("wrong address"),
            "{}",
            failed(ErrorKind::NotFound, "ErrorInvalidUser")
        );
        assert!(failed(ErrorKind::NotFound, "ErrorItemNotFound").contains("calendar_id"));
        let pending = |kind, code| advice(JobState::Pending, Some(kind), code, false).to_do.join(" ");
        assert!(pending(ErrorKind::Denied, "ErrorAccessDenied").contains("check --mailbox ann@contoso.com"));
        for code in ["ErrorAccountSuspend", "ErrorExceededMessageLimit", "ErrorMessageSubmissionBlocked"] {
            assert!(pending(ErrorKind::Denied, code).contains("personal"), "{code}");
        }
        assert!(pending(ErrorKind::Unavailable, "quotaLimitReached").contains("Make room"));
        assert!(pending(ErrorKind::Unavailable, "http_404").contains("graph.endpoint"));
        assert_eq!(pending(ErrorKind::Throttled, "TooManyRequests"), "Nothing.");
    }

    #[test]
    fn a_waiting_job_says_when_it_is_tried_and_that_it_is_looked_for_first() {
        let said = advice(JobState::Pending, Some(ErrorKind::Unavailable), "timeout", true).by_itself;
        assert!(said.contains("12:05:00 UTC (in 5 min)") && said.contains("First its event is looked for"), "{said}");
    }
}
