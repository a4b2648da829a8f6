//! Segment's correction of a sender's clock, to the millisecond.
//!
//! ```text
//! received, where the call has no timestamp
//! original, where nothing says when it was sent
//! received - (sent - original), otherwise
//! ```

use jiff::{Timestamp, civil, tz::Offset};

/// The `timestamp` that Segment passes on.
///
/// An `original` that stands is returned as it was written. A time that cannot
/// be read counts as absent.
pub(super) fn corrected(
    received: Timestamp,
    original: Option<&str>,
    sent: Option<Timestamp>,
) -> String {
    let Some((text, original)) = original.and_then(|text| Some((text, instant(text)?))) else {
        return stamp(received);
    };
    let Some(sent) = sent else {
        return text.to_owned();
    };
    let age = sent.duration_since(original);
    stamp(received.checked_sub(age).unwrap_or(received))
}

/// An instant as Segment writes it: UTC, milliseconds.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Reads ISO 8601; a time without zone is taken as UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let local: civil::DateTime = text.parse().ok()?;
        Offset::UTC.to_timestamp(local).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leg_of_the_rule_holds_to_the_millisecond() {
        let received = "2022-05-09T21:27:03.384Z";
        let cases = [
            (
                Some("2022-05-09T21:27:02.000Z"),
                Some("2022-05-09T21:27:03.151Z"),
                "2022-05-09T21:27:02.233Z",
            ),
            (
                Some("2022-05-09T23:27:02+02:00"),
                Some("2022-05-09T21:27:03.151Z"),
                "2022-05-09T21:27:02.233Z",
            ),
            (
                Some("2022-05-09T21:27:02"),
                Some("2022-05-09T21:27:03.151Z"),
                "2022-05-09T21:27:02.233Z",
            ),
            // A sender whose clock runs ahead, and an event of the future.
            (
                Some("2022-05-09T21:30:00.000Z"),
                Some("2022-05-09T21:30:00.000Z"),
                "2022-05-09T21:27:03.384Z",
            ),
            (
                Some("2022-05-09T21:31:00.500Z"),
                Some("2022-05-09T21:30:00.000Z"),
                "2022-05-09T21:28:03.884Z",
            ),
            (Some("2022-05-09T21:27:02Z"), None, "2022-05-09T21:27:02Z"),
            (
                Some("2022-05-09T21:27:02Z"),
                Some("soon"),
                "2022-05-09T21:27:02Z",
            ),
            (
                None,
                Some("2022-05-09T21:27:03.151Z"),
                "2022-05-09T21:27:03.384Z",
            ),
            (None, None, "2022-05-09T21:27:03.384Z"),
            (
                Some("yesterday"),
                Some("2022-05-09T21:27:03.151Z"),
                "2022-05-09T21:27:03.384Z",
            ),
        ];
        for (original, sent, expected) in cases {
            let corrected = corrected(received.parse().unwrap(), original, sent.and_then(instant));
            assert_eq!(corrected, expected, "{original:?} sent {sent:?}");
        }
    }
}
