//! The request that a job's row makes, to be seen before it is sent, or after.

use bytes::Bytes;

use crate::graph::preview;
use crate::job::{Cell, Defaults, InvalidJob, JobId, JobInput, OperationKind};
use crate::queue::{JobSummary, QueueError, Read};

/// The body of the request, and what of it is not known yet.
pub struct Request {
    pub body: Bytes,
    pub note: Option<&'static str>,
}

/// Of this job; none if there is none. The row may be one that no request can be made of.
///
/// # Errors
/// The queue cannot be read.
pub async fn request_of(
    queue: &dyn Read,
    id: JobId,
    defaults: &Defaults,
) -> Result<Option<Result<Request, InvalidJob>>, QueueError> {
    let Some(input) = queue.input(id).await? else { return Ok(None) };
    let create = create_of(queue, id, &input).await?;
    let note = at_send_time(&input);
    let body = preview(&input.with_defaults(defaults), create.as_ref(), defaults.own_mailbox);
    Ok(Some(body.map(|body| Request { body, note })))
}

/// The row that makes the event of this one's key.
async fn create_of(queue: &dyn Read, id: JobId, input: &JobInput) -> Result<Option<JobInput>, QueueError> {
    let Cell::Text(key) = &input.event_key else { return Ok(None) };
    let is_create = |job: &&JobSummary| job.id < id && job.operation.text() == Some(OperationKind::Create.as_str());
    match queue.jobs_of_key(key).await?.iter().rev().find(is_create) {
        Some(create) => Ok(queue.input(create.id).await?),
        None => Ok(None),
    }
}

/// What of a request depends on the event, which is looked at when the job has its turn.
fn at_send_time(input: &JobInput) -> Option<&'static str> {
    let Cell::Text(operation) = &input.operation else { return None };
    match OperationKind::parse(operation)? {
        OperationKind::Create => None,
        OperationKind::Update => Some(
            "sent as PATCH, with the version of the event just read as If-Match; not at all if the event is so already. A body of \
             an online meeting is sent with the text by which the meeting is joined behind it",
        ),
        OperationKind::Delete => Some(
            "sent as POST to the event's /cancel if it has attendees; without attendees it is a DELETE, which has no body",
        ),
    }
}
