//! What an operator is told about one job: what happened, what happens by itself, and what is to be done. What a code of
//! Microsoft's means stands in `error_message` already (`graph::hints`, `auth::hints`); here is what follows from its cause.

use chrono::{DateTime, Utc};

use super::shell;
use crate::format::moment;
use crate::job::{Cause, ErrorKind, JobState, OperationKind, parse_utc};
use crate::queue::{JobRow, Stored};

/// Advice about a job in its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    pub happened: String,
    pub by_itself: String,
    /// Sentences, with the commands in them.
    pub to_do: Vec<String>,
}

/// The part of a job that advice hangs on.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its id, as commands name it.
    id: String,
    operation: OperationKind,
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
    /// The job of the same event that comes before it and has not ended.
    behind: Option<i64>,
}

impl Case {
    /// Of a row of `jobs`; none if it is in no state at all. `mailbox` is whose the job is.
    pub fn of(job: &JobRow, mailbox: &str) -> Option<Self> {
        let of = &job.summary;
        Some(Self {
            id: of.id.to_string(),
            operation: of.operation.text().and_then(OperationKind::parse).unwrap_or_default(),
            state: of.state.known()?,
            kind: of.error_kind.known(),
            cause: of.cause(),
            column: column(&of.error_code),
            in_doubt: of.is_in_doubt(),
            left: !job.first_sent_at.to_string().is_empty(),
            mailbox: mailbox.to_owned(),
            next_attempt_at: of.next_attempt_at.to_string(),
            give_up_at: job.give_up_at.to_string(),
            behind: of.behind.integer(),
        })
    }

    /// The same of many jobs that ended alike, of which this is one: each has its own id.
    pub fn of_many(job: &JobRow, mailbox: &str) -> Option<Self> {
        Some(Self { id: "ID".into(), ..Self::of(job, mailbox)? })
    }

    /// The advice at this time.
    pub fn advice(&self, now: DateTime<Utc>) -> Advice {
        Advice { happened: self.happened(), by_itself: self.by_itself(now), to_do: self.to_do() }
    }

    fn happened(&self) -> String {
        let Some(kind) = self.kind else { return self.without_trouble() };
        match self.in_doubt {
            true => format!("{} {} all the same.", self.trouble(kind), self.perhaps()),
            false => self.trouble(kind),
        }
    }

    /// What may have happened to the event of a job in doubt.
    fn perhaps(&self) -> &'static str {
        match self.operation {
            OperationKind::Create => "Its event may exist",
            OperationKind::Update => "Its event may have been changed",
            OperationKind::Delete => "Its event may have been deleted",
        }
    }

    fn without_trouble(&self) -> String {
        let said = match (self.state, self.in_doubt) {
            (JobState::Pending, false) => "It waits for its turn; nothing has gone wrong so far.",
            (JobState::Pending, true) => {
                let perhaps = self.perhaps();
                return format!("The agent ended while it had this job in hand: a request may have left. {perhaps}.");
            }
            (JobState::Claimed, _) => "The agent has it in hand: a request is under way, or is the next to be made.",
            (JobState::Sent, _) => match self.operation {
                OperationKind::Create => "The event exists.",
                OperationKind::Update => "The event has these values.",
                OperationKind::Delete => "The event is gone.",
            },
            (JobState::Cancelled, _) => "It was cancelled.",
            (JobState::Failed, _) => "It failed; no reason was recorded.",
        };
        said.into()
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
            Cause::Conflict => match self.operation {
                OperationKind::Create => "Exchange was busy with the same calendar.",
                OperationKind::Update | OperationKind::Delete => {
                    "Exchange was busy with the same event, or it was changed at the same moment."
                }
            },
            Cause::NotAfterPassed => "Its not_after passed before it was sent.",
            Cause::EventIsOver => {
                "The event was over before it could be sent, and its attendees do not hear of it any more."
            }
            Cause::Superseded if self.operation == OperationKind::Delete => {
                "There was nothing to delete: no request for its event had left, and the jobs before it were cancelled."
            }
            Cause::NoSuchKey => "No job before it creates an event of its event_key.",
            Cause::CreateFailed => "The job that was to create its event failed or was cancelled.",
            Cause::KeyInUse => {
                "Its event_key names another event still, whose delete failed or was cancelled; nothing was sent."
            }
            Cause::EventGone => "The event is gone: it was deleted in the calendar, or by another program.",
            Cause::EventCalledOff => "The event is cancelled: its organizer did that in the calendar.",
            Cause::NotOrganizer => "The mailbox is not the organizer of the event, so nothing was changed.",
            Cause::OneOfSeries => {
                "The event is one of a series, which is changed as a whole only; nothing was changed."
            }
            Cause::OtherEvent => {
                "The event with this EventID is not the one that the job of its event_key created; nothing was changed."
            }
            Cause::JoinBlock => {
                "The new body would take away the text by which the online meeting is joined; nothing was changed."
            }
            other => kind_alone(other.kind()),
        };
        said.into()
    }

    fn invalid(&self) -> String {
        match (&self.column, self.left) {
            (Some(column), false) => {
                format!("The row is not {}: {column} is at fault. Nothing was sent.", self.valid())
            }
            (Some(column), true) => format!("The row is no longer {}: {column} is at fault.", self.valid()),
            (None, _) => format!("The row is not {}.", self.valid()),
        }
    }

    /// What a row should be.
    fn valid(&self) -> &'static str {
        match self.operation {
            OperationKind::Create => "a valid event",
            OperationKind::Update => "a valid update",
            OperationKind::Delete => "a valid delete",
        }
    }

    fn by_itself(&self, now: DateTime<Utc>) -> String {
        match self.state {
            JobState::Pending => self.pending(now),
            JobState::Claimed => {
                let looks = match self.operation {
                    OperationKind::Create => "looks for the event",
                    OperationKind::Update | OperationKind::Delete => "looks at the event",
                };
                format!(
                    "Its end is written into this row; if the agent dies meanwhile, the next start of the agent {looks} \
                     before it sends again."
                )
            }
            JobState::Sent | JobState::Failed | JobState::Cancelled => "Nothing more.".into(),
        }
    }

    fn pending(&self, now: DateTime<Utc>) -> String {
        let later = parse_utc(&self.next_attempt_at).is_some_and(|next| next > now);
        let mut said = match (self.behind, self.kind, later) {
            (Some(first), ..) => {
                format!("It has its turn when job {first} has ended, which comes before it for the same event.")
            }
            (None, None, true) => format!("It is sent at {}.", moment(&self.next_attempt_at, now)),
            (None, Some(_), true) => format!("It is tried again at {}.", moment(&self.next_attempt_at, now)),
            (None, _, false) => "It is due, and taken as soon as its mailbox is free.".into(),
        };
        if self.in_doubt {
            said += match self.operation {
                OperationKind::Create => {
                    " First its event is looked for; only if there is none is the same request sent again."
                }
                OperationKind::Update => {
                    " First its event is looked at; only if it lacks the change is that made again."
                }
                OperationKind::Delete => {
                    " First its event is looked for; only if it is still there is it deleted again."
                }
            };
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
            JobState::Cancelled if self.kind == Some(ErrorKind::Superseded) => self.superseded(),
            JobState::Cancelled => vec![format!("To send it after all: event-sender retry {}", self.id)],
            JobState::Claimed | JobState::Sent => Vec::new(),
        };
        if self.in_doubt && matches!(self.state, JobState::Failed | JobState::Cancelled) {
            let perhaps = match self.operation {
                OperationKind::Create => "the event may be there",
                OperationKind::Update => "the event may have the change",
                OperationKind::Delete => "the event may be gone",
            };
            to_do.insert(0, format!("Look into the calendar of {} first: {perhaps}.", self.mailbox()));
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
        if let Some(to_do) = self.cause.and_then(|cause| self.about_its_event(cause)) {
            return to_do;
        }
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
            ErrorKind::Expired => vec!["If it is still wanted: insert a new job.".into()],
            ErrorKind::Superseded => self.superseded(),
            ErrorKind::Target => vec![
                "If the event is to be there: insert a job that creates it.".into(),
                format!("If it can be changed by now: {retry}{looks}."),
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

    /// What is to be done where the time was over, or the event is not one that may be changed so.
    fn about_its_event(&self, cause: Cause) -> Option<Vec<String>> {
        let retry = format!("event-sender retry {}", self.id);
        Some(match cause {
            Cause::NotAfterPassed if !self.left && !self.in_doubt => vec![format!(
                "If it is still wanted: UPDATE jobs SET not_after = NULL WHERE id = {} (or a later time), then {retry}.",
                self.id
            )],
            Cause::EventIsOver => vec![format!(
                "If its attendees are to hear of it all the same: set delivery.past_events = \"send\" in agent.toml, \
                 'systemctl reload event-sender', then {retry}."
            )],
            Cause::NoSuchKey => vec![
                "If the key is misspelt: insert a job with the right one; event-sender list --event-key KEY shows its jobs."
                    .into(),
                "If its event was not made by a job of this queue: insert a job that names it by target_event_id.".into(),
            ],
            Cause::CreateFailed => vec![
                "See why the event was not created: event-sender list --event-key KEY shows all jobs of the event.".into(),
                format!("Once it is created: {retry}."),
            ],
            Cause::KeyInUse => vec![
                "See what became of the delete: event-sender list --event-key KEY shows all jobs of the event.".into(),
                format!("Once it is sent: {retry}."),
            ],
            Cause::EventGone | Cause::EventCalledOff => vec![
                "If the event is to be there again: insert a job that creates it; before that a job that deletes it, if it has \
                 an event_key, which frees the key."
                    .into(),
            ],
            Cause::NotOrganizer => vec![
                "Change it in the mailbox of its organizer: insert a job with that mailbox and the EventID the event has there."
                    .into(),
            ],
            Cause::OneOfSeries => vec![
                "To change the series: insert a job with the EventID of its master (seriesMasterId).".into(),
                "To change this one event only: do it in Outlook.".into(),
            ],
            Cause::OtherEvent => vec![format!(
                "Look into the calendar of {}, then insert a job that names the event by target_event_id.",
                self.mailbox()
            )],
            Cause::JoinBlock => vec![
                "Change the text in Outlook, or insert a job without body for what else is to be changed.".into(),
            ],
            _ => return None,
        })
    }

    /// What a delete of the same event has overtaken.
    fn superseded(&self) -> Vec<String> {
        let wanted = match self.operation {
            OperationKind::Create => format!("If the event is wanted after all: event-sender retry {}.", self.id),
            OperationKind::Update | OperationKind::Delete => {
                "If the event is wanted after all: insert a job that creates it.".into()
            }
        };
        vec![wanted]
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
        ErrorKind::Expired => "Its time was over before it was sent.",
        ErrorKind::Superseded => "A later delete of the same event came before any request for this job had left.",
        ErrorKind::Target => "The event that it means is not there, or is not the mailbox's to change.",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn advice(state: JobState, kind: Option<ErrorKind>, code: &str, in_doubt: bool) -> Advice {
        about(OperationKind::Create, state, kind, code, in_doubt)
    }

    fn about(operation: OperationKind, state: JobState, kind: Option<ErrorKind>, code: &str, in_doubt: bool) -> Advice {
        let cause = kind.and_then(|kind| Cause::of_stored(kind, None, Some(code)));
        let column = column(&code.into());
        Case { operation, state, kind, cause, column, in_doubt, left: in_doubt, ..waiting() }.advice(noon())
    }

    /// A job to create an event, whose turn has not come.
    fn waiting() -> Case {
        Case {
            id: "23".into(),
            operation: OperationKind::Create,
            state: JobState::Pending,
            kind: None,
            cause: None,
            column: None,
            in_doubt: false,
            left: false,
            mailbox: "ann@contoso.com".into(),
            next_attempt_at: "2026-12-01T12:05:00.000Z".into(),
            give_up_at: String::new(),
            behind: None,
        }
    }

    fn noon() -> DateTime<Utc> {
        parse_utc("2026-12-01T12:00:00Z").unwrap()
    }

    #[test]
    fn every_kind_in_every_state_is_told_in_whole_sentences() {
        for (operation, state) in OperationKind::ALL.into_iter().flat_map(|one| JobState::ALL.map(|state| (one, state)))
        {
            for kind in ErrorKind::ALL.into_iter().map(Some).chain([None]) {
                for in_doubt in [false, true] {
                    let advice = about(operation, state, kind, "", in_doubt);
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

    /// The same with a cause that no code tells.
    fn met(operation: OperationKind, cause: Cause, in_doubt: bool) -> Advice {
        let (state, kind, cause) = (JobState::Failed, Some(cause.kind()), Some(cause));
        Case { operation, state, kind, cause, in_doubt, left: in_doubt, ..waiting() }.advice(noon())
    }

    #[test]
    fn every_cause_of_every_operation_is_told_in_whole_sentences_with_a_way_on() {
        for operation in OperationKind::ALL {
            for cause in Cause::ALL {
                for in_doubt in [false, true] {
                    let advice = met(operation, *cause, in_doubt);
                    let said = [&advice.happened, &advice.by_itself].into_iter().chain(&advice.to_do);
                    for sentence in said {
                        assert!(sentence.ends_with('.') && !sentence.contains("  "), "{cause:?}: {sentence}");
                    }
                    assert!(advice.to_do.iter().all(|step| step != "Nothing."), "{operation:?} {cause:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_in_doubt_is_told_by_what_the_job_does() {
        let said = |operation| met(operation, Cause::EventNotFound, true);
        assert!(said(OperationKind::Create).happened.contains("may exist"));
        assert!(said(OperationKind::Update).happened.contains("may have been changed"));
        assert!(said(OperationKind::Delete).to_do[0].contains("may be gone"));
        let waits = |operation| about(operation, JobState::Pending, None, "", true);
        assert!(waits(OperationKind::Update).by_itself.contains("only if it lacks the change"));
        assert!(waits(OperationKind::Delete).happened.contains("may have been deleted"));
        assert_eq!(about(OperationKind::Delete, JobState::Sent, None, "", false).happened, "The event is gone.");
    }

    #[test]
    fn a_job_behind_another_has_its_turn_when_that_has_ended() {
        let case = Case { behind: Some(7), ..waiting() };
        let said = case.advice(noon()).by_itself;
        assert!(said.starts_with("It has its turn when job 7 has ended, which comes before it"), "{said}");
    }

    #[test]
    fn a_deadline_that_passed_can_be_moved_as_long_as_nothing_has_left() {
        let moved = |in_doubt| met(OperationKind::Update, Cause::NotAfterPassed, in_doubt).to_do.join(" ");
        assert!(moved(false).contains("SET not_after = NULL WHERE id = 23"), "{}", moved(false));
        assert!(moved(true).contains("insert a new job") && !moved(true).contains("SET"), "{}", moved(true));
    }

    #[test]
    fn a_superseded_job_says_what_overtook_it_and_how_the_event_is_made_after_all() {
        let superseded = |operation| about(operation, JobState::Cancelled, Some(ErrorKind::Superseded), "", false);
        assert!(superseded(OperationKind::Create).to_do[0].contains("retry 23"));
        assert!(superseded(OperationKind::Update).happened.contains("A later delete of the same event"));
        assert!(superseded(OperationKind::Delete).happened.contains("There was nothing to delete"));
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
