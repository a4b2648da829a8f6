//! Numbers and times as people read them.
//!
//! Templates hand over references, code mostly values: both will do.

use std::borrow::Borrow;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::seen::{ConnectionSeen, LineState, Outcome, RowKind, WorkspaceState};

/// Between the digits of large numbers: as narrow as it gets, and never a break.
const THIN: char = '\u{202f}';

/// A count: `18 240`.
pub(crate) fn count(n: impl Borrow<u64>) -> String {
    let digits = n.borrow().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(THIN);
        }
        out.push(digit);
    }
    out
}

/// A count of things: `1 event`, `2 events`.
pub(crate) fn counted(n: impl Borrow<u64>, one: &str, many: &str) -> String {
    let n = *n.borrow();
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A small count of things in words: `one event`, `two events`, `18 240 events`.
pub(crate) fn few(n: impl Borrow<u64>, one: &str, many: &str) -> String {
    let n = *n.borrow();
    format!("{} {}", few_of(n), if n == 1 { one } else { many })
}

/// A small count in words.
pub(crate) fn few_of(n: impl Borrow<u64>) -> String {
    const WORDS: [&str; 10] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let n = *n.borrow();
    let word = usize::try_from(n).ok().and_then(|n| WORDS.get(n));
    word.map_or_else(|| count(n), |word| (*word).to_owned())
}

/// A count that went through a chart's figures.
pub(crate) fn whole_count(n: f64) -> String {
    count(whole(n.max(0.0)))
}

/// Bytes: `3.1 GB`.
pub(crate) fn bytes(n: impl Borrow<u64>) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = float(*n.borrow());
    let mut unit = UNITS[0];
    for next in UNITS.into_iter().skip(1) {
        if value < 999.5 {
            break;
        }
        value /= 1_000.0;
        unit = next;
    }
    let decimals = usize::from(value < 10.0 && unit != "B");
    format!("{value:.decimals$}{THIN}{unit}")
}

/// A rate: `812/s`, `0.3/s`.
pub(crate) fn rate(per_s: impl Borrow<f64>) -> String {
    let per_s = *per_s.borrow();
    if per_s <= 0.0 {
        return "0/s".to_owned();
    }
    if per_s < 0.1 {
        return "under 0.1/s".to_owned();
    }
    let decimals = usize::from(per_s < 10.0);
    let text = format!("{per_s:.decimals$}");
    format!("{}/s", text.strip_suffix(".0").unwrap_or(&text))
}

/// A time that something took or takes: `180 ms`, `6 min 12 s`, `3 days`.
pub(crate) fn span(seconds: impl Borrow<f64>) -> String {
    let seconds = *seconds.borrow();
    if seconds < 0.000_5 {
        return format!("0{THIN}s");
    }
    if seconds < 1.0 {
        return format!("{:.0}{THIN}ms", seconds * 1_000.0);
    }
    if seconds < 10.0 {
        return format!("{seconds:.1}{THIN}s");
    }
    let s = whole(seconds);
    let (minutes, hours, days) = (s / 60, s / 3_600, s / 86_400);
    match s {
        ..60 => format!("{s}{THIN}s"),
        60..3_600 => pair(minutes, "min", s % 60, "s"),
        3_600..86_400 => pair(hours, "h", minutes % 60, "min"),
        86_400..172_800 => pair(1, "day", hours % 24, "h"),
        _ => format!("{} days", count(days)),
    }
}

fn pair(major: u64, unit: &str, minor: u64, minor_unit: &str) -> String {
    let mut out = format!("{major}{THIN}{unit}");
    if minor > 0 {
        write!(out, " {minor}{THIN}{minor_unit}").expect("a String takes all that is written");
    }
    out
}

/// Milliseconds: `91 ms`, `1.2 s`.
pub(crate) fn ms(milliseconds: impl Borrow<f64>) -> String {
    let milliseconds = *milliseconds.borrow();
    if milliseconds < 1.0 {
        return format!("{milliseconds:.1}{THIN}ms");
    }
    span(milliseconds / 1_000.0)
}

/// How long ago `at` was: `3 min ago`, `just now`; `in 24 s` where it is to come.
pub(crate) fn ago(at: impl Borrow<Timestamp>, now: impl Borrow<Timestamp>) -> String {
    let (at, now) = (*at.borrow(), *now.borrow());
    let seconds = now.duration_since(at).as_secs_f64();
    if seconds < -1.0 {
        return format!("in {}", coarse(-seconds));
    }
    if seconds < 1.0 {
        return "just now".to_owned();
    }
    format!("{} ago", coarse(seconds))
}

fn coarse(seconds: f64) -> String {
    let s = whole(seconds);
    match s {
        ..60 => format!("{s}{THIN}s"),
        60..3_600 => format!("{}{THIN}min", s / 60),
        3_600..172_800 => format!("{}{THIN}h", s / 3_600),
        _ => format!("{}{THIN}days", s / 86_400),
    }
}

/// The exact time, for whoever points at a relative one.
pub(crate) fn exact(at: impl Borrow<Timestamp>) -> String {
    let at = *at.borrow();
    at.strftime("%-d %B %Y, %H:%M:%S.%3f UTC").to_string()
}

/// A day and a time without its year: `30 November, 12:58 UTC`.
pub(crate) fn day(at: impl Borrow<Timestamp>) -> String {
    let at = *at.borrow();
    at.strftime("%-d %B, %H:%M UTC").to_string()
}

/// The time of day to the millisecond: `13:20:41.805`.
pub(crate) fn clock(at: impl Borrow<Timestamp>) -> String {
    let at = *at.borrow();
    at.strftime("%H:%M:%S.%3f").to_string()
}

/// As machines read it.
pub(crate) fn machine(at: impl Borrow<Timestamp>) -> String {
    let at = *at.borrow();
    format!("{at:.3}")
}

/// A part of a whole: `97.7 %`; nothing of nothing.
pub(crate) fn percent(part: impl Borrow<u64>, whole: impl Borrow<u64>) -> String {
    let (part, whole) = (*part.borrow(), *whole.borrow());
    if whole == 0 {
        return String::new();
    }
    format!("{:.1}{THIN}%", 100.0 * float(part) / float(whole))
}

/// A connection's state in words, with the reason where a word does not do.
pub(crate) fn line_state(seen: &ConnectionSeen) -> &'static str {
    match seen.state {
        LineState::UpToDate => "up to date",
        LineState::CatchingUp => "catching up",
        LineState::Waiting => "waiting",
        LineState::Unconfirmed => "unconfirmed",
        LineState::Paused => "paused",
        LineState::Disabled => "disabled",
        LineState::Starting => "starting",
        LineState::Unknown => "unknown",
    }
}

/// The colour that goes with the word.
pub(crate) fn line_class(seen: &ConnectionSeen) -> &'static str {
    match seen.state {
        LineState::UpToDate | LineState::CatchingUp => "ok",
        LineState::Waiting | LineState::Unknown => "warn",
        LineState::Unconfirmed | LineState::Paused | LineState::Disabled | LineState::Starting => {
            "idle"
        }
    }
}

/// A workspace's state in words.
pub(crate) fn workspace_state(state: &WorkspaceState) -> String {
    match state {
        WorkspaceState::Silent => "no request yet".to_owned(),
        WorkspaceState::Sending => "sending".to_owned(),
        WorkspaceState::Holding { since, .. } => format!("holding its line since {}", day(*since)),
    }
}

/// The colour that goes with it.
pub(crate) fn workspace_class(state: &WorkspaceState) -> &'static str {
    match state {
        WorkspaceState::Silent => "idle",
        WorkspaceState::Sending => "ok",
        WorkspaceState::Holding { .. } => "bad",
    }
}

/// What became of an event, in words.
pub(crate) fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Skipped { .. } => "skipped",
        Outcome::Buried { .. } => "dead letter",
        Outcome::Waiting { .. } => "waiting",
        Outcome::Passed { .. } => "passed by",
    }
}

/// The colour that goes with it.
pub(crate) fn outcome_class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "ok",
        Outcome::Skipped { .. } | Outcome::Passed { .. } => "idle",
        Outcome::Buried { .. } => "bad",
        Outcome::Waiting { .. } => "warn",
    }
}

/// The reason behind an outcome, where there is one.
pub(crate) fn outcome_reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Accepted { .. } => "",
        Outcome::Skipped { reason }
        | Outcome::Buried { reason, .. }
        | Outcome::Waiting { reason }
        | Outcome::Passed { reason } => reason,
    }
}

/// What a record is, where it is not simply an event.
pub(crate) fn row_kind(kind: &RowKind) -> Option<String> {
    match kind {
        RowKind::Event => None,
        RowKind::Test => Some("test".to_owned()),
        RowKind::Duplicate { of } => Some(format!("repeat of record {of}")),
        RowKind::Unusable { .. } => Some("unusable".to_owned()),
        RowKind::Fresh => Some("fresh".to_owned()),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for people is rounded anyway"
)]
pub(crate) fn float(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of an age: never negative here, and far below 2^63"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units_and_few_digits() {
        let plain = |text: String| text.replace(THIN, " ");
        assert_eq!(plain(count(18_240)), "18 240");
        assert_eq!(plain(count(7)), "7");
        assert_eq!(plain(whole_count(18_240.0)), "18 240");
        assert_eq!(few(1, "event", "events"), "one event");
        assert_eq!(few(9, "event", "events"), "nine events");
        assert_eq!(plain(few(18_240, "event", "events")), "18 240 events");
        assert_eq!(plain(count(1_234_567)), "1 234 567");
        let sizes = [
            (0, "0 B"),
            (999, "999 B"),
            (3_100_000_000, "3.1 GB"),
            (20_000, "20 kB"),
        ];
        for (n, text) in sizes {
            assert_eq!(plain(bytes(n)), text);
        }
        let spans = [
            (0.0, "0 s"),
            (0.18, "180 ms"),
            (9.0, "9.0 s"),
            (372.0, "6 min 12 s"),
            (3_600.0, "1 h"),
            (90_000.0, "1 day 1 h"),
            (500_000.0, "5 days"),
        ];
        for (seconds, text) in spans {
            assert_eq!(plain(span(seconds)), text);
        }
        let rates = [
            (0.0, "0/s"),
            (0.01, "under 0.1/s"),
            (3.0, "3/s"),
            (812.4, "812/s"),
        ];
        for (per_s, text) in rates {
            assert_eq!(plain(rate(per_s)), text);
        }
        assert_eq!(plain(percent(977, 1_000)), "97.7 %");
        assert_eq!(percent(0, 0), "");
    }

    #[test]
    fn times_are_relative_with_the_exact_one_beside() {
        let now: Timestamp = "2026-03-26T20:25:48Z".parse().unwrap();
        let plain = |at: &str| ago(at.parse::<Timestamp>().unwrap(), now).replace(THIN, " ");
        assert_eq!(plain("2026-03-26T20:25:47.5Z"), "just now");
        assert_eq!(plain("2026-03-26T20:22:00Z"), "3 min ago");
        assert_eq!(plain("2026-03-26T20:26:12Z"), "in 24 s");
        assert_eq!(plain("2026-03-20T20:26:12Z"), "5 days ago");
        assert_eq!(exact(now), "26 March 2026, 20:25:48.000 UTC");
    }
}
