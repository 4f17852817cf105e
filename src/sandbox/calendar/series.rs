//! The occurrences of a series, each an event with an id of its own. Daily and weekly patterns are followed, as far as a
//! test needs; of any other pattern there is the first date only.

use std::sync::Arc;

use chrono::{Datelike, Days, NaiveDate};
use serde_json::{Map, Value, json};

use super::event::Draft;
use super::store::Store;
use super::stored::{Event, NewEvent};
use crate::sandbox::refusal::Refusal;

/// The most occurrences of one series.
const MOST: usize = 60;

/// The occurrences of a series; made at the first call, and then as they stand.
pub(super) fn occurrences(store: &Store, series: &Event) -> Result<Vec<Arc<Event>>, Refusal> {
    let made = store.occurrences_of(&series.stored.mailbox, series);
    if !made.is_empty() || !series.is_series() {
        return Ok(made.into_iter().filter(|event| event.is_present()).collect());
    }
    dates(series).into_iter().map(|date| occurrence(store, series, date)).collect()
}

fn occurrence(store: &Store, series: &Event, date: NaiveDate) -> Result<Arc<Event>, Refusal> {
    let days = date - series.draft.start.local.date();
    let mut event = series.properties().cloned().unwrap_or_default();
    event.shift_remove("recurrence");
    for (name, time) in [("start", &series.draft.start), ("end", &series.draft.end)] {
        let moved = (time.local + days).format("%Y-%m-%dT%H:%M:%S").to_string();
        event.insert(name.into(), json!({"dateTime": moved, "timeZone": time.zone}));
    }
    let new_event = NewEvent {
        mailbox: series.stored.mailbox.clone(),
        calendar_id: series.stored.calendar_id.clone(),
        draft: Draft::read(&event)?,
        received: Value::Object(event),
        immutable: true,
        deduplicate: false,
    };
    Ok(store.place(new_event, |event| {
        event.series = Some(series.ids.immutable.clone());
        event.join_url.clone_from(&series.join_url);
        event.organizer.clone_from(&series.organizer);
    }))
}

fn dates(series: &Event) -> Vec<NaiveDate> {
    let first = series.draft.start.local.date();
    let recurrence = series.property("recurrence").and_then(Value::as_object);
    let Some(rule) = recurrence.and_then(|recurrence| Rule::read(recurrence, first)) else { return vec![first] };
    let days = (0..).map_while(|day| first.checked_add_days(Days::new(day)));
    let days = days.take_while(|day| rule.until.is_none_or(|until| *day <= until));
    // A rule that fits no day in ten years fits none.
    days.take(3660).filter(|day| rule.fits(*day)).take(rule.count).collect()
}

/// When a series takes place.
struct Rule {
    first: NaiveDate,
    interval: u64,
    /// Days of the week, in lower case; none for every day.
    weekdays: Option<Vec<String>>,
    until: Option<NaiveDate>,
    count: usize,
}

impl Rule {
    /// None for a pattern that is not followed here.
    fn read(recurrence: &Map<String, Value>, first: NaiveDate) -> Option<Self> {
        let part = |path: [&str; 2]| recurrence.get(path[0])?.get(path[1]);
        let text = |path: [&str; 2]| part(path).and_then(Value::as_str);
        let weekdays = match text(["pattern", "type"])?.to_lowercase().as_str() {
            "daily" => None,
            "weekly" => Some(words(part(["pattern", "daysOfWeek"])?)),
            _ => return None,
        };
        let count = part(["range", "numberOfOccurrences"]).and_then(Value::as_u64).filter(|count| *count > 0);
        let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(MOST).min(MOST);
        let interval = part(["pattern", "interval"]).and_then(Value::as_u64).unwrap_or(1).max(1);
        // Exchange fills in an end date, 0001-01-01, where the range has none.
        let ends = text(["range", "type"]).is_some_and(|kind| kind.eq_ignore_ascii_case("endDate"));
        let until = text(["range", "endDate"]).filter(|_| ends).and_then(|date| date.parse().ok());
        Some(Self { first, interval, weekdays, until, count })
    }

    fn fits(&self, day: NaiveDate) -> bool {
        let days = u64::try_from((day - self.first).num_days()).unwrap_or(0);
        match &self.weekdays {
            None => days.is_multiple_of(self.interval),
            Some(weekdays) => {
                let monday = u64::from(self.first.weekday().num_days_from_monday());
                let week = (days + monday) / 7;
                week.is_multiple_of(self.interval) && weekdays.contains(&day.format("%A").to_string().to_lowercase())
            }
        }
    }
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_lowercase).collect()
}
