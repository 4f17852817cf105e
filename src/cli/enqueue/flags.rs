//! One job from flags: what is done to which event, and a flag for each column.

use serde_json::{Value, json};

use crate::job::{Guest, OperationKind, guests};
use crate::queue::NewJob;

/// One of these makes a job; without any, it comes from files.
pub(super) const ONE: [&str; 5] = ["start", "update", "delete", "update_event", "delete_event"];

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("one").multiple(true).args(ONE),
    group = clap::ArgGroup::new("change").args(["update", "delete", "update_event", "delete_event"])
)]
#[group(skip)]
pub(super) struct Columns {
    /// Start, like "2030-12-01 09:00" or 2030-12-01T09:00:00+01:00
    #[arg(long, value_name = "TIME", requires = "end")]
    start: Option<String>,
    /// End
    #[arg(long, value_name = "TIME", requires = "start")]
    end: Option<String>,
    /// Key of your own for the event that is made; --update and --delete name it by this
    #[arg(long, requires = "one")]
    key: Option<String>,
    /// Update the event of this key; what is not given stays as it is
    #[arg(long, value_name = "KEY")]
    update: Option<String>,
    /// Delete the event of this key; its attendees get a cancellation
    #[arg(long, value_name = "KEY")]
    delete: Option<String>,
    /// Update the event with this EventID, which no job of this queue has to have made
    #[arg(long, value_name = "ID")]
    update_event: Option<String>,
    /// Delete the event with this EventID
    #[arg(long, value_name = "ID")]
    delete_event: Option<String>,
    /// What the cancellation says to attendees
    #[arg(long, value_name = "TEXT", requires = "one")]
    comment: Option<String>,
    /// Subject
    #[arg(long, requires = "one")]
    subject: Option<String>,
    /// Body
    #[arg(long, requires = "one")]
    body: Option<String>,
    /// What the body is: text or html
    #[arg(long, requires = "one", value_name = "TYPE")]
    body_type: Option<String>,
    /// Place
    #[arg(long, requires = "one")]
    location: Option<String>,
    /// Required attendee, like ann@contoso.com or "Ann <ann@contoso.com>"; may be given several times
    #[arg(long, requires = "one", value_name = "WHO")]
    attendee: Vec<String>,
    /// Optional attendee
    #[arg(long, requires = "one", value_name = "WHO")]
    optional: Vec<String>,
    /// Room or equipment
    #[arg(long, requires = "one", value_name = "WHO")]
    resource: Vec<String>,
    /// Whose calendar
    #[arg(long, requires = "one")]
    mailbox: Option<String>,
    /// Which of its calendars
    #[arg(long, requires = "one", value_name = "ID")]
    calendar_id: Option<String>,
    /// Zone of times without an offset
    #[arg(long, requires = "one", value_name = "ZONE")]
    time_zone: Option<String>,
    /// Further event properties, as a JSON object
    #[arg(long, requires = "one", value_name = "JSON")]
    extra: Option<String>,
    /// Key of your own for this job; a second job with it is refused
    #[arg(long, requires = "one", value_name = "KEY")]
    dedup_key: Option<String>,
    /// Not to be sent before this UTC time
    #[arg(long, requires = "one", value_name = "TIME")]
    not_before: Option<String>,
    /// Not to be sent after this UTC time
    #[arg(long, requires = "one", value_name = "TIME")]
    not_after: Option<String>,
    /// Of what is due in a mailbox, the higher goes first
    #[arg(long, requires = "one", value_name = "-1|0|1", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1..=1))]
    priority: Option<i64>,
}

/// What is wrong with flags, or with what one of them holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They do not go together.
    Usage(String),
    /// One of them holds what no job can have.
    Value(String),
}

impl Columns {
    /// A job is given, and not files.
    pub(super) fn is_given(&self) -> bool {
        self.start.is_some() || self.operation() != OperationKind::Create
    }

    fn operation(&self) -> OperationKind {
        if self.update.is_some() || self.update_event.is_some() {
            OperationKind::Update
        } else if self.delete.is_some() || self.delete_event.is_some() {
            OperationKind::Delete
        } else {
            OperationKind::Create
        }
    }

    /// The job they make.
    ///
    /// # Errors
    /// Flags that do not go together; attendees of whom nobody can tell who is meant.
    pub(super) fn job(self) -> Result<NewJob, Fault> {
        let operation = self.operation();
        match operation {
            OperationKind::Create => self.is_a_create(),
            OperationKind::Update => self.is_an_update(),
            OperationKind::Delete => self.is_a_delete(),
        }
        .map_err(Fault::Usage)?;
        let mut attendees = Vec::new();
        for (kind, people) in [("required", self.attendee), ("optional", self.optional), ("resource", self.resource)] {
            for people in people {
                attendees.extend(listed(&people, kind).map_err(Fault::Value)?);
            }
        }
        Ok(NewJob {
            subject: self.subject,
            body: self.body.or(self.comment),
            start_time: self.start,
            end_time: self.end,
            location: self.location,
            attendees: (!attendees.is_empty()).then(|| Value::Array(attendees).to_string()),
            mailbox: self.mailbox,
            calendar_id: self.calendar_id,
            body_type: self.body_type,
            time_zone: self.time_zone,
            extra: self.extra,
            dedup_key: self.dedup_key,
            not_before: self.not_before,
            not_after: self.not_after,
            priority: self.priority,
            operation: Some(operation.as_str().to_owned()),
            event_key: self.key.or(self.update).or(self.delete),
            target_event_id: self.update_event.or(self.delete_event),
        })
    }

    fn is_a_create(&self) -> Result<(), String> {
        match self.comment {
            Some(_) => Err("--comment goes with --delete and --delete-event; the text of an event is --body".into()),
            None => Ok(()),
        }
    }

    fn is_an_update(&self) -> Result<(), String> {
        self.names_its_event_once()?;
        if self.comment.is_some() {
            return Err("--comment goes with --delete and --delete-event; the new text of an event is --body".into());
        }
        if !self.content().iter().any(|(_, is_given)| *is_given) {
            return Err("the update changes nothing; say what is to change, like --start and --end".into());
        }
        Ok(())
    }

    fn is_a_delete(&self) -> Result<(), String> {
        self.names_its_event_once()?;
        if self.body.is_some() {
            return Err("--body: an event that is deleted gets no text; what its attendees read is --comment".into());
        }
        match self.content().into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(format!("{flag}: an event that is deleted is not changed; leave it out")),
            None => Ok(()),
        }
    }

    fn names_its_event_once(&self) -> Result<(), String> {
        match self.key {
            Some(_) => Err("--key names a new event; this one has its name already, leave --key out".into()),
            None => Ok(()),
        }
    }

    /// The flags that say how an event is to be, and whether they are given.
    fn content(&self) -> [(&'static str, bool); 10] {
        [
            ("--start", self.start.is_some()),
            ("--subject", self.subject.is_some()),
            ("--body", self.body.is_some()),
            ("--body-type", self.body_type.is_some()),
            ("--location", self.location.is_some()),
            ("--attendee", !self.attendee.is_empty()),
            ("--optional", !self.optional.is_empty()),
            ("--resource", !self.resource.is_empty()),
            ("--time-zone", self.time_zone.is_some()),
            ("--extra", self.extra.is_some()),
        ]
    }
}

/// `ann@contoso.com`, `Ann <ann@contoso.com>`, or several of them.
fn listed(people: &str, kind: &str) -> Result<Vec<Value>, String> {
    let guests = guests(people).map_err(|fault| fault.to_string())?;
    if guests.is_empty() {
        return Err("attendees: one of the flags is empty; write ann@contoso.com or leave it out".to_owned());
    }
    Ok(guests
        .into_iter()
        .map(|Guest { name, address }| json!({ "name": name, "address": address, "type": kind }))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::{Args, FromArgMatches};

    use super::*;

    fn job(flags: &[&str]) -> Result<NewJob, Fault> {
        let command = Columns::augment_args(clap::Command::new("enqueue").no_binary_name(true));
        let matches = command.try_get_matches_from(flags).unwrap();
        Columns::from_arg_matches(&matches).unwrap().job()
    }

    #[test]
    fn a_new_event_gets_its_key_a_deadline_and_a_priority() {
        let flags = ["--start", "a", "--end", "b", "--key", "visit 7", "--not-after", "c", "--priority", "-1"];
        let job = job(&flags).unwrap();
        assert_eq!((job.operation.as_deref(), job.event_key.as_deref()), (Some("create"), Some("visit 7")));
        assert_eq!((job.not_after.as_deref(), job.priority), (Some("c"), Some(-1)));
        assert_eq!((job.start_time.as_deref(), job.end_time.as_deref()), (Some("a"), Some("b")));
    }

    #[test]
    fn an_update_has_what_is_given_and_nothing_else() {
        let update = job(&["--update", "visit 7", "--subject", "", "--attendee", "ann@contoso.com"]).unwrap();
        let attendees = r#"[{"address":"ann@contoso.com","name":null,"type":"required"}]"#;
        let expected = NewJob {
            subject: Some(String::new()),
            attendees: Some(attendees.into()),
            operation: Some("update".into()),
            event_key: Some("visit 7".into()),
            ..NewJob::default()
        };
        let sorted = |job: &NewJob| serde_json::from_str::<Value>(job.attendees.as_deref().unwrap()).unwrap();
        assert_eq!(sorted(&update), sorted(&expected));
        assert_eq!(NewJob { attendees: None, ..update }, NewJob { attendees: None, ..expected });
        let by_id = job(&["--update-event", "AAMk", "--start", "a", "--end", "b", "--mailbox", "m"]).unwrap();
        assert_eq!((by_id.target_event_id.as_deref(), by_id.event_key), (Some("AAMk"), None));
        assert_eq!((by_id.start_time.as_deref(), by_id.mailbox.as_deref()), (Some("a"), Some("m")));
    }

    #[test]
    fn a_delete_has_its_comment_as_the_body() {
        let delete = job(&["--delete", "visit 7", "--comment", "The guest is ill."]).unwrap();
        let expected = NewJob {
            body: Some("The guest is ill.".into()),
            operation: Some("delete".into()),
            event_key: Some("visit 7".into()),
            ..NewJob::default()
        };
        assert_eq!(delete, expected);
        assert_eq!(job(&["--delete-event", "AAMk"]).unwrap().target_event_id.as_deref(), Some("AAMk"));
    }

    #[test]
    fn flags_that_do_not_go_together_are_named_with_the_way_out() {
        for (flags, said) in [
            (&["--update", "k"][..], "changes nothing; say what is to change"),
            (&["--update", "k", "--priority", "1"], "changes nothing"),
            (&["--update", "k", "--subject", "x", "--key", "k"], "leave --key out"),
            (&["--update", "k", "--comment", "x"], "is --body"),
            (&["--delete", "k", "--body", "x"], "is --comment"),
            (&["--delete", "k", "--subject", "x"], "--subject: an event that is deleted is not changed"),
            (&["--delete-event", "i", "--start", "a", "--end", "b"], "--start: an event that is deleted"),
            (&["--start", "a", "--end", "b", "--comment", "x"], "the text of an event is --body"),
        ] {
            let Err(Fault::Usage(fault)) = job(flags) else { panic!("{flags:?}") };
            assert!(fault.contains(said), "{flags:?}: {fault}");
        }
    }
}
