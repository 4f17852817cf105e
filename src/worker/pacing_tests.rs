//! The accounts of mailboxes, by example.
#![allow(clippy::unwrap_used)]

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn pacing(recipients_per_day: u32, jobs_per_minute: u32) -> Pacing {
    Pacing::new(MailLimits { recipients_per_day, jobs_per_minute })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_would_go_beyond_the_recipients_of_a_day_waits_until_enough_of_them_are_a_day_old() {
    let (pacing, ann, now) = (pacing(100, 0), LaneKey::of("ann"), Instant::now());
    assert_eq!(pacing.reserve(&ann, 60, now), Ok(()));
    assert_eq!(pacing.reserve(&ann, 40, now + seconds(3600)), Ok(()));
    let paced = pacing.reserve(&ann, 1, now + seconds(7200)).unwrap_err();
    assert_eq!(paced.wait, DAY + MINUTE - seconds(7200), "the first minute's end and a day");
    assert!(paced.is_news && paced.reason.contains("100 recipients within 24 hours"), "{}", paced.reason);
    assert!(!pacing.reserve(&ann, 1, now + seconds(7201)).unwrap_err().is_news);
    assert_eq!(pacing.paced(now + seconds(7201)), HashSet::from([ann.clone()]));
    assert_eq!(pacing.reserve(&LaneKey::of("bob"), 100, now), Ok(()), "each mailbox has its own account");
    assert_eq!(pacing.reserve(&ann, 0, now), Ok(()), "who mails nobody never waits");
    let after = now + DAY + MINUTE;
    assert_eq!(pacing.next_end(after), None);
    assert_eq!(pacing.reserve(&ann, 60, after), Ok(()));
}

#[test]
fn a_job_with_more_recipients_than_a_day_has_goes_out_alone() {
    let (pacing, ann, now) = (pacing(100, 0), LaneKey::of("ann"), Instant::now());
    assert_eq!(pacing.reserve(&ann, 500, now), Ok(()));
    assert_eq!(pacing.reserve(&ann, 1, now).unwrap_err().wait, DAY + MINUTE);
}

#[test]
fn the_jobs_of_a_minute_are_counted_and_what_nobody_got_is_given_back() {
    let (pacing, ann, now) = (pacing(0, 2), LaneKey::of("ann"), Instant::now());
    assert_eq!(pacing.reserve(&ann, 5, now), Ok(()));
    assert_eq!(pacing.reserve(&ann, 5, now + seconds(10)), Ok(()));
    let paced = pacing.reserve(&ann, 5, now + seconds(20)).unwrap_err();
    assert_eq!(paced.wait, seconds(40));
    assert!(paced.reason.contains("invitations_per_minute"));
    pacing.give_back(&ann, 5);
    assert_eq!(pacing.reserve(&ann, 5, now + seconds(21)), Ok(()));
    assert_eq!(pacing.reserve(&ann, 5, now + seconds(61)), Ok(()), "the first is over a minute old");
}

#[test]
fn what_an_earlier_run_has_mailed_counts_on() {
    let (pacing, ann, now) = (pacing(10, 3), LaneKey::of("ann"), Now::read());
    let minute = |ago: i64, recipients| Mailed {
        lane: ann.clone(),
        minute: now.wall - TimeDelta::seconds(ago),
        jobs: 3,
        recipients,
    };
    pacing.remember(&[minute(3600, 4), minute(7200, 5)], now);
    assert_eq!(pacing.reserve(&ann, 1, now.steady), Ok(()));
    let wait = pacing.reserve(&ann, 1, now.steady).unwrap_err().wait;
    assert!(wait.abs_diff(DAY + MINUTE - seconds(7200)) < seconds(1), "{wait:?}");
    assert!(pacing.set_limits(MailLimits { recipients_per_day: 11, jobs_per_minute: 0 }));
    assert!(!pacing.set_limits(MailLimits { recipients_per_day: 11, jobs_per_minute: 0 }), "the same ones");
    assert_eq!((pacing.paced(now.steady).len(), pacing.reserve(&ann, 1, now.steady)), (0, Ok(())));
    pacing.set_limits(MailLimits { recipients_per_day: 0, jobs_per_minute: 3 });
    pacing.remember(&[minute(10, 1)], now);
    assert!(pacing.reserve(&ann, 1, now.steady).is_err(), "three and more in the last minute");
}

#[test]
fn what_the_queue_says_of_a_mailbox_stands_in_the_place_of_what_was_known_of_it() {
    let (pacing, ann, now) = (pacing(10, 0), LaneKey::of("ann"), Now::read());
    assert_eq!(pacing.reserve(&ann, 4, now.steady), Ok(()));
    let mailed = Mailed { lane: ann.clone(), minute: now.wall, jobs: 1, recipients: 4 };
    // Another agent had the mailbox meanwhile, and this one takes it again.
    pacing.remember(&[mailed], now);
    assert_eq!(pacing.reserve(&ann, 6, now.steady), Ok(()), "its own four count once");
    assert!(pacing.reserve(&ann, 1, now.steady).is_err());
}

#[test]
fn a_number_that_no_agent_has_written_costs_no_memory() {
    let (pacing, ann, now) = (pacing(0, 3), LaneKey::of("ann"), Now::read());
    let most = Mailed { lane: ann.clone(), minute: now.wall, jobs: u32::MAX, recipients: u32::MAX };
    pacing.remember(&vec![most; 1440], now);
    assert!(pacing.reserve(&ann, 1, now.steady).unwrap_err().wait <= MINUTE * 2);
}

proptest! {
    /// In no 24 hours are more mailed than may be, but by one job alone; and who must wait may go when the wait is over.
    #[test]
    fn no_day_ever_has_more_than_its_recipients(jobs in proptest::collection::vec((1_u32..60, 0_u64..9000), 1..60)) {
        let (pacing, ann, begin) = (pacing(100, 0), LaneKey::of("ann"), Instant::now());
        let (mut now, mut sent) = (begin, Vec::<(Instant, u32)>::new());
        for (recipients, gap) in jobs {
            now += seconds(gap);
            if let Err(paced) = pacing.reserve(&ann, recipients, now) {
                now += paced.wait;
                prop_assert_eq!(pacing.reserve(&ann, recipients, now), Ok(()));
            }
            sent.push((now, recipients));
            let within: u32 = sent.iter().filter(|(at, _)| *at + DAY > now).map(|(_, recipients)| recipients).sum();
            prop_assert!(within <= 100, "{within}");
        }
    }
}
