//! Online meetings whose link was not in the answer: each is asked for once more, a few seconds later, when its job has long
//! been settled. A slot of the mailbox is taken for it like for any request. An agent that stops meanwhile does not ask.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::debug;

use super::attempt::Context;
use super::bearer::Bearer;
use super::lanes::{Lanes, Turn};
use crate::clock::{Now, later};
use crate::job::{CallResult, EventId, JobId};
use crate::policy::{MailboxPause, Moment};
use crate::queue::{Agent, LaneKey, Pause};

/// The link is mostly there within seconds.
const WAIT: Duration = Duration::from_secs(5);
/// More than this are not remembered: the events are there all the same.
const MOST: usize = 10_000;

/// An event without its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MissingLink {
    pub job: JobId,
    pub lane: LaneKey,
    pub mailbox: Option<String>,
    pub event_id: EventId,
}

pub(super) struct Links {
    waiting: VecDeque<(Instant, MissingLink)>,
    under_way: usize,
    ended: mpsc::UnboundedReceiver<Asked>,
    end: mpsc::UnboundedSender<Asked>,
}

/// The end of a question: whose mailbox it was about, and the pause that it met there, with what asked for it.
pub(super) struct Asked {
    pub lane: LaneKey,
    pub pause: Option<(MailboxPause, CallResult)>,
}

impl Links {
    pub(super) fn new() -> Self {
        let (end, ended) = mpsc::unbounded_channel();
        Self { waiting: VecDeque::new(), under_way: 0, ended, end }
    }

    pub(super) fn miss(&mut self, link: MissingLink, now: Instant) {
        if self.waiting.len() < MOST {
            self.waiting.push_back((later(now, WAIT), link));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// When the next one is to be asked for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Asks for those that are due and whose mailbox has a slot. One whose mailbox is paused is let go.
    pub(super) fn ask(&mut self, lanes: &mut Lanes, context: &Arc<Context>, queue: &Arc<dyn Agent>, now: Instant) {
        while let Some((_, link)) = self.waiting.pop_front_if(|(due, _)| *due <= now) {
            match lanes.turn(&link.lane) {
                Turn::Begin => {
                    let pauses_in_a_row = lanes.begin(&link.lane);
                    self.under_way += 1;
                    let (context, queue, end) = (context.clone(), queue.clone(), self.end.clone());
                    tokio::spawn(async move {
                        let met = asked(&context, queue.as_ref(), &link).await;
                        let pause = met.and_then(|met| {
                            let jitter = fastrand::f64();
                            let moment = Moment { now: Now::read().wall, jitter, pauses_in_a_row };
                            let pause = context.policy.pause_after(&met, &moment)?;
                            context.pauses.note(&link.lane, &pause, Instant::now());
                            Some((pause, met))
                        });
                        let _ = end.send(Asked { lane: link.lane, pause });
                    });
                }
                Turn::Wait => self.waiting.push_back((later(now, WAIT), link)),
                Turn::GiveBack => {}
            }
        }
    }

    pub(super) async fn ended(&mut self) -> Asked {
        loop {
            // There is always a sender: this one.
            if let Some(asked) = self.ended.recv().await {
                self.under_way = self.under_way.saturating_sub(1);
                return asked;
            }
        }
    }
}

/// Has the queue keep a pause that no end of a job brings it.
pub(super) fn record(queue: Arc<dyn Agent>, pause: Pause, at: Now) {
    tokio::spawn(async move {
        if let Err(error) = queue.note_pause(&pause, at).await {
            debug!(mailbox = pause.lane.as_str(), error = %error, "pause not recorded");
        }
    });
}

/// Asks, and tells what came instead of an answer.
async fn asked(context: &Context, queue: &dyn Agent, link: &MissingLink) -> Option<CallResult> {
    let told = tokio::select! {
        told = Bearer::ask(&context.tokens, |token| async move {
            let now = Instant::now();
            let pass = context.queue.pass(&link.lane, now).filter(|_| !context.pauses.blocks(&link.lane, now));
            let Some(_pass) = pass else { return Err(CallResult::not_made()) };
            context.graph.join_url(link.mailbox.as_deref(), &link.event_id, &token, Now::read()).await
        }) => told,
        () = context.stop.cancelled() => return None,
    };
    let join_url = match told {
        Ok(Some(join_url)) => join_url,
        told => {
            debug!(job_id = link.job.0, "online meeting has no link yet");
            return told.err();
        }
    };
    if let Err(error) = queue.add_join_url(link.job, &join_url).await {
        debug!(job_id = link.job.0, error = %error, "link of an online meeting not recorded");
    }
    None
}
