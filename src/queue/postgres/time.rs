//! Times as the server tells them. It has more years than this program's calendar, and `infinity`: whoever may write to the table
//! may have written one, and none of them stops an agent.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgHasArrayType, PgRow, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Postgres, Row, Type};

/// PostgreSQL counts microseconds from 2000-01-01 on, here in seconds since 1970.
const EPOCH: i64 = 946_684_800;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in seconds since 1970.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// A `timestamptz`, within the years that the queue's text form has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

impl Time {
    fn of(micros: i64) -> Self {
        let first = DateTime::from_timestamp(FIRST, 0).unwrap_or_default();
        let last = DateTime::from_timestamp(LAST, 0).unwrap_or_default();
        let epoch = DateTime::from_timestamp(EPOCH, 0).unwrap_or_default();
        let end = if micros < 0 { first } else { last };
        Self(epoch.checked_add_signed(TimeDelta::microseconds(micros)).unwrap_or(end).clamp(first, last))
    }
}

/// The time in a column, if it has one.
pub fn time(row: &PgRow, column: &str) -> sqlx::Result<Option<DateTime<Utc>>> {
    let time: Option<Time> = row.try_get(column)?;
    Ok(time.map(|Time(time)| time))
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }

    fn compatible(found: &PgTypeInfo) -> bool {
        <DateTime<Utc> as Type<Postgres>>::compatible(found)
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        <DateTime<Utc> as PgHasArrayType>::array_type_info()
    }

    fn array_compatible(found: &PgTypeInfo) -> bool {
        <DateTime<Utc> as PgHasArrayType>::array_compatible(found)
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => <i64 as Decode<Postgres>>::decode(value).map(Self::of),
            PgValueFormat::Text => <DateTime<Utc> as Decode<Postgres>>::decode(value).map(Self),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::format_utc;

    #[test]
    fn what_the_calendar_has_no_room_for_is_its_end() {
        for (micros, time) in [
            (i64::MIN, "0001-01-01T00:00:00.000Z"),
            (-1, "1999-12-31T23:59:59.999Z"),
            (0, "2000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(format_utc(Time::of(micros).0), time);
        }
    }

    proptest! {
        #[test]
        fn no_number_is_too_large(micros in any::<i64>()) {
            let _ = Time::of(micros);
        }
    }
}
