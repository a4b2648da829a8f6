//! Reads `Retry-After`: seconds or any of HTTP's three dates, held within bounds.
//!
//! The header comes from a server in trouble, so anything at all may be in it. What
//! is not understood is ignored, as if the header were absent; what is understood
//! can neither make us hammer the server nor make us wait for a day. Reads no clock.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;

/// The longest header value that is looked at; the longest date has 33 bytes.
const MAX_BYTES: usize = 64;
/// `Sun, 06 Nov 1994 08:49:37 GMT` is also a date of RFC 2822. A wrong weekday is no reason
/// to hammer a server that asked for a pause.
const IMF_FIXDATE: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
/// The obsolete forms of RFC 9110, section 5.6.7, that a recipient must accept.
const OBSOLETE_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The wait that a `Retry-After` of `value` asks for at `now`, or nothing if it makes no sense.
pub(crate) fn parse(
    value: &str,
    now: Timestamp,
    bounds: &RangeInclusive<Duration>,
) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || value.len() > MAX_BYTES {
        return None;
    }
    let asked = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        // A date that has passed asks for the shortest wait.
        Duration::try_from(http_date(value)?.duration_since(now)).unwrap_or_default()
    };
    Some(asked.clamp(*bounds.start(), *bounds.end()))
}

fn http_date(value: &str) -> Option<Timestamp> {
    IMF_FIXDATE.parse_timestamp(value).ok().or_else(|| {
        let parsed = OBSOLETE_DATES
            .iter()
            .find_map(|form| DateTime::strptime(form, value).ok())?;
        Offset::UTC.to_timestamp(parsed).ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Policy;

    const NOW: &str = "1994-11-06T08:49:00Z";

    fn bounds() -> RangeInclusive<Duration> {
        let policy = Policy::default();
        policy.retry_after_min..=policy.retry_after_max
    }

    fn seconds_asked_by(value: &str) -> Option<u64> {
        parse(value, NOW.parse().unwrap(), &bounds()).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_the_three_dates_of_http_are_understood() {
        let cases = [
            ("37", 37),
            (" 37 ", 37),
            ("0", 1),
            ("300", 300),
            ("301", 300),
            ("99999999999999999999999999", 300),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 37),
            ("Mon, 06 Nov 1994 08:49:37 GMT", 37),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 37),
            ("Sun Nov  6 08:49:37 1994", 37),
            ("Sun, 06 Nov 1994 08:48:37 GMT", 1),
            ("Thu, 31 Dec 2093 08:48:37 GMT", 300),
        ];
        for (value, seconds) in cases {
            assert_eq!(seconds_asked_by(value), Some(seconds), "{value}");
        }
    }

    #[test]
    fn garbage_is_ignored() {
        let long = "1".repeat(MAX_BYTES + 1);
        for value in [
            "",
            " ",
            "-1",
            "1.5",
            "soon",
            "1 2",
            "1994",
            "Sun, 99 Nov 1994",
            &long,
        ] {
            let expected = (value == "1994").then_some(300);
            assert_eq!(seconds_asked_by(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_asks_for_less_than_a_second_or_more_than_five_minutes(
            value in prop_oneof![any::<String>(), "[0-9]{1,30}", "[A-Z][a-z]{2}, [0-9]{2} Nov [0-9]{4} [0-9:]{8} GMT"],
            now_s in -1_000_000_000_i64..5_000_000_000,
        ) {
            let now = Timestamp::from_second(now_s).unwrap();
            if let Some(wait) = parse(&value, now, &bounds()) {
                prop_assert!(bounds().contains(&wait));
            }
        }
    }
}
