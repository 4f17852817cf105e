#![allow(clippy::unwrap_used)]

use super::super::Measures;
use super::super::attempt::given_back;
use super::*;
use crate::clock::later;
use crate::hint::Hint;
use crate::job::{BodyType, Cause, EventId, GateReason, Job, JobId, JobInput};

struct Room {
    admission: Admission,
    vitals: Vitals,
    now: Now,
}

fn room() -> Room {
    let now = Now::read();
    let vitals = Vitals::new(Arc::new(Measures::new().unwrap()), Duration::from_secs(60), None, now);
    Room { admission: Admission::new(4, 64), vitals, now }
}

fn ann() -> LaneKey {
    LaneKey::of("ann@contoso.com")
}

fn job() -> Job {
    let input = JobInput::default();
    let (due, give_up_at, defaulted) = (None, None, Default::default());
    Job {
        id: JobId(1),
        operation: Default::default(),
        claim: 1,
        attempts: 0,
        in_doubt: false,
        due,
        give_up_at,
        expires_at: None,
        target: Default::default(),
        input,
        defaulted,
    }
}

fn finished(now: Now, met: Outcome, pause: Option<Duration>) -> Finished {
    let mut finished = given_back(ann(), job(), now);
    finished.mailbox.met = met;
    finished.mailbox.pause = pause.map(|wait| MailboxPause { wait, halve_slots: false });
    finished
}

fn no_network() -> Outcome {
    let (code, hint) = ("no_connection".into(), Hint::sentence("check the network"));
    Outcome::Unable(GateReason { cause: Cause::NoNetwork, code, hint, wait: None })
}

fn held(lanes: &[LaneKey]) -> MailboxNews {
    MailboxNews { held: Arc::new(lanes.iter().cloned().collect()), ..MailboxNews::default() }
}

fn pause(now: Now, asked: bool) -> Pause {
    let until = now.wall + Duration::from_secs(600);
    let (reason, kind, asked_until) = ("busy".into(), None, asked.then_some(until));
    Pause { lane: ann(), until, reason, kind, pauses_in_a_row: 1, asked_until }
}

impl Room {
    fn learn(&mut self, finished: &mut Finished) -> Blocked {
        let defaults = Defaults { mailbox: None, body_type: BodyType::Text, time_zone: None, own_mailbox: false };
        self.admission.lanes.begin(&ann());
        self.admission.learn(finished, &defaults, &self.vitals, self.now)
    }

    fn hear(&mut self, news: MailboxNews) -> Learnt {
        self.admission.hear(news, self.now, &self.vitals)
    }
}

#[test]
fn holds_are_news_once_and_their_end_is_news_too() {
    let mut room = room();
    let news = held(&[ann()]);
    assert_eq!(room.hear(news.clone()), Learnt { holds: true, resumed: false });
    assert!(room.admission.lanes.any_on_hold());
    assert_eq!(room.hear(news), Learnt::default());
    assert_eq!(room.hear(held(&[])), Learnt { holds: true, resumed: false });
}

#[test]
fn a_pause_of_an_earlier_run_holds_until_its_time() {
    let mut room = room();
    room.hear(MailboxNews { pauses: vec![pause(room.now, false)], ..MailboxNews::default() });
    let end = later(room.now.steady, Duration::from_secs(601));
    assert_eq!((room.admission.lanes.paused(), room.vitals.measures.paused_mailboxes.get()), (1, 1));
    assert!(!room.admission.resume(room.now.steady, &room.vitals));
    assert!(room.admission.resume(end, &room.vitals));
    assert_eq!(room.vitals.measures.paused_mailboxes.get(), 0);
}

#[test]
fn an_operator_ends_a_pause_but_not_one_that_microsoft_asked_for() {
    for (asked, resumed) in [(false, true), (true, false)] {
        let mut room = room();
        room.hear(MailboxNews { pauses: vec![pause(room.now, asked)], ..MailboxNews::default() });
        let by_hand = Arc::new([(ann(), room.now.wall)].into());
        let news = MailboxNews { resumed: by_hand, ..MailboxNews::default() };
        assert_eq!(room.hear(news.clone()).resumed, resumed, "asked for: {asked}");
        assert!(!room.hear(news).resumed, "told again, it is no news");
    }
}

#[test]
fn a_mailbox_that_must_pause_is_blocked_alone_and_its_settlement_keeps_the_pause() {
    let mut room = room();
    let mut throttled = finished(room.now, Outcome::MailboxThrottled, Some(Duration::from_secs(30)));
    assert_eq!(room.learn(&mut throttled), Blocked { lane: Some(ann()), all: false });
    let kept = throttled.settlement.pause.unwrap();
    assert_eq!((kept.lane, kept.asked_until), (ann(), None));
    assert_eq!(room.admission.next(room.now.steady), Some(later(room.now.steady, Duration::from_secs(30))));
}

#[test]
fn the_wait_that_a_server_named_is_kept_as_what_was_asked_for() {
    let mut room = room();
    let wait = Duration::from_secs(30);
    let mut throttled = finished(room.now, Outcome::MailboxThrottled, Some(wait));
    throttled.mailbox.named = Some(wait);
    room.learn(&mut throttled);
    let kept = throttled.settlement.pause.unwrap();
    assert_eq!(kept.asked_until, Some(room.now.wall + wait));
}

#[test]
fn an_unclear_end_halves_the_slots_without_a_pause() {
    let mut room = room();
    let mut lost = finished(room.now, Outcome::ReplyLost, None);
    assert_eq!(room.learn(&mut lost), Blocked { lane: Some(ann()), all: false });
    assert!(lost.settlement.pause.is_none());
    assert_eq!(room.admission.lanes.free()[&ann()], 2);
}

#[test]
fn where_nothing_can_be_sent_all_is_blocked_until_a_success_opens_the_gate() {
    let mut room = room();
    assert_eq!(room.learn(&mut finished(room.now, no_network(), None)), Blocked { lane: None, all: true });
    let opens = room.admission.gate.reopens().unwrap();
    assert_eq!(room.admission.next(room.now.steady), Some(opens));
    assert_eq!(room.admission.gate.limit(opens, 0, 9), 1, "one finds out");
    let done = Outcome::Done(EventId("AAMk".into()).into());
    assert_eq!(room.learn(&mut finished(room.now, done, None)), Blocked::default());
    assert_eq!(room.admission.gate.limit(opens, 0, 9), 9);
}
