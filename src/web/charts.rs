//! The last hour in figures, from the worker's own measures: looked at twice a minute, kept in memory as long as the agent runs.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::job::format_utc;
use crate::worker::Measures;

/// Between two looks.
pub const EVERY: Duration = Duration::from_secs(30);
/// Those of an hour.
const POINTS: usize = 120;

#[derive(Default)]
pub struct Charts(Mutex<Hour>);

#[derive(Default)]
struct Hour {
    last: Option<Counted>,
    points: VecDeque<Point>,
    /// When the last point ended.
    until: Option<DateTime<Utc>>,
}

/// The counters at one moment.
struct Counted {
    at: DateTime<Utc>,
    sent: u64,
    failed: u64,
    times: Vec<(f64, u64)>,
}

/// What happened between two looks: a second's share, and how long answers took; none without a request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    sent: f64,
    failed: f64,
    half: Option<f64>,
    most: Option<f64>,
}

impl Charts {
    /// Looks at the measures.
    pub fn look(&self, measures: &Measures, now: DateTime<Utc>) {
        let counted = Counted {
            at: now,
            sent: measures.sent.get(),
            failed: measures.failed.get(),
            times: measures.answer_times(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(counted);
    }

    /// For the page, the oldest point first.
    pub fn json(&self) -> Value {
        let hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |value: fn(&Point) -> Option<f64>| {
            hour.points.iter().map(|point| Value::from(value(point))).collect::<Value>()
        };
        json!({
            "every_seconds": EVERY.as_secs(),
            "until": hour.until.map(format_utc),
            "sent_per_second": of(|point| Some(point.sent)),
            "failed_per_second": of(|point| Some(point.failed)),
            "answer_p50_seconds": of(|point| point.half),
            "answer_p95_seconds": of(|point| point.most),
        })
    }

    /// How long answers took lately: the newest point with a request.
    pub fn answer_times(&self) -> Option<(f64, f64)> {
        let hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hour.points.iter().rev().find_map(|point| point.half.zip(point.most))
    }
}

impl Hour {
    fn note(&mut self, counted: Counted) {
        if let Some(last) = &self.last {
            let seconds = (counted.at - last.at).as_seconds_f64().max(1.0);
            let share = |now: u64, then: u64| rounded(now.saturating_sub(then) as f64 / seconds);
            let times = since(&counted.times, &last.times);
            self.points.push_back(Point {
                sent: share(counted.sent, last.sent),
                failed: share(counted.failed, last.failed),
                half: quantile(&times, 0.5),
                most: quantile(&times, 0.95),
            });
            self.until = Some(counted.at);
        }
        while self.points.len() > POINTS {
            self.points.pop_front();
        }
        self.last = Some(counted);
    }
}

/// What was added to each bound.
fn since(now: &[(f64, u64)], then: &[(f64, u64)]) -> Vec<(f64, u64)> {
    now.iter().zip(then).map(|((bound, now), (_, then))| (*bound, now.saturating_sub(*then))).collect()
}

/// Below which so large a part of the answers came, straight between two bounds; beyond the last it is that.
fn quantile(times: &[(f64, u64)], part: f64) -> Option<f64> {
    let (_, all) = *times.last().filter(|(_, all)| *all > 0)?;
    let wanted = all as f64 * part;
    let (mut below, mut before) = (0.0, 0);
    for (bound, within) in times {
        if *within as f64 >= wanted {
            if bound.is_infinite() {
                return Some(below);
            }
            let share = (wanted - before as f64) / ((within - before).max(1)) as f64;
            return Some(rounded(below + (bound - below) * share));
        }
        (below, before) = (*bound, *within);
    }
    None
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::job::parse_utc;

    fn counted(second: i64, sent: u64, times: Vec<(f64, u64)>) -> Counted {
        let at = parse_utc("2026-12-01T12:00:00Z").unwrap() + chrono::TimeDelta::seconds(second);
        Counted { at, sent, failed: 0, times }
    }

    #[test]
    fn a_point_is_what_happened_since_the_last_look() {
        let mut hour = Hour::default();
        hour.note(counted(0, 100, vec![(0.1, 7), (0.5, 9), (f64::INFINITY, 9)]));
        assert!(hour.points.is_empty(), "nothing to compare with");
        hour.note(counted(30, 160, vec![(0.1, 7), (0.5, 29), (f64::INFINITY, 29)]));
        assert_eq!(hour.points, [Point { sent: 2.0, failed: 0.0, half: Some(0.3), most: Some(0.48) }]);
        hour.note(counted(60, 160, vec![(0.1, 7), (0.5, 29), (f64::INFINITY, 29)]));
        assert_eq!(hour.points[1], Point { sent: 0.0, failed: 0.0, half: None, most: None });
    }

    #[test]
    fn an_hour_is_kept() {
        let mut hour = Hour::default();
        (0..200).for_each(|look| hour.note(counted(look * 30, 0, Vec::new())));
        assert_eq!(hour.points.len(), POINTS);
    }

    #[test]
    fn beyond_the_last_bound_nothing_more_is_known() {
        assert_eq!(quantile(&[(60.0, 0), (f64::INFINITY, 3)], 0.5), Some(60.0));
        assert_eq!(quantile(&[(60.0, 0), (f64::INFINITY, 0)], 0.5), None);
    }
}
