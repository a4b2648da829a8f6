//! The event's time: seconds since 1970, in any way that JSON can carry a number.

use jiff::{SignedDuration, Timestamp, Unit};

use crate::json::Json;

/// 0001-01-01, the first second that RFC 3339 can write.
const EARLIEST_SECOND: i64 = -62_135_596_800;

/// Reads whole or fractional seconds, quoted or not.
///
/// Nothing for what is no number, and for times outside of the years 1 to 9999.
pub(super) fn read(value: Json<'_>) -> Option<Timestamp> {
    let timestamp = match value.as_str().parse() {
        Ok(seconds) => Timestamp::from_second(seconds).ok()?,
        Err(_) => unusual(&value.scalar()?.decoded())?,
    };
    (timestamp.as_second() >= EARLIEST_SECOND).then_some(timestamp)
}

/// What stands in quotes, or has a fraction or an exponent.
fn unusual(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => Timestamp::from_second(seconds).ok(),
        Err(_) => fractional(text.parse().ok()?),
    }
}

/// To the nearest millisecond, because binary fractions rarely hit it.
fn fractional(seconds: f64) -> Option<Timestamp> {
    let since_1970 = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since_1970)
        .ok()?
        .round(Unit::Millisecond)
        .ok()
}
