//! How a filter is written: conditions out of a text, with every mistake in it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Filter, Key, State};
use crate::seen::Channel;

/// One condition as it stands in the text.
struct Condition {
    is_not: bool,
    key: String,
    values: Vec<String>,
}

pub(super) fn filter(text: &str, now: Timestamp) -> Result<Filter, Vec<String>> {
    if text.len() > Filter::MAX_BYTES {
        return Err(vec![format!(
            "a filter has at most {} bytes",
            Filter::MAX_BYTES
        )]);
    }
    let (mut filter, mut mistakes) = (Filter::default(), Vec::new());
    for condition in conditions(text) {
        let taken = condition.and_then(|condition| take(&mut filter, condition, now));
        mistakes.extend(taken.err());
    }
    if let (Some(since), Some(until)) = (filter.since, filter.until)
        && since >= until
    {
        mistakes.push(format!("nothing is since {since} and before {until}"));
    }
    if mistakes.is_empty() {
        Ok(filter)
    } else {
        Err(mistakes)
    }
}

fn take(filter: &mut Filter, condition: Condition, now: Timestamp) -> Result<(), String> {
    let Condition {
        is_not,
        key,
        values,
    } = condition;
    let time = match key.as_str() {
        "since" => Some(&mut filter.since),
        "until" => Some(&mut filter.until),
        _ => None,
    };
    if let Some(time) = time {
        return match (values.as_slice(), is_not, *time) {
            ([value], false, None) => {
                *time = Some(instant(value, now)?);
                Ok(())
            }
            _ => Err(format!("{key} is one time and stands once")),
        };
    }
    let known = Key::ALL.into_iter().find(|each| each.word() == key);
    let known = known.ok_or_else(|| {
        let words = Key::ALL.map(Key::word).join(", ");
        format!("there is no {key:?} to filter by: there are {words}, since, until")
    })?;
    for value in &values {
        check(known, value)?;
    }
    let words = filter.conditions.entry(known).or_default();
    let side = if is_not {
        &mut words.none_of
    } else {
        &mut words.any_of
    };
    side.extend(values);
    Ok(())
}

/// Refuses what nothing can ever be.
pub(super) fn check(key: Key, value: &str) -> Result<(), String> {
    let one_of = |words: &[&str]| {
        if words.contains(&value) {
            return Ok(());
        }
        let key = key.word();
        Err(format!(
            "{value:?} is no {key}: it is one of {}",
            words.join(", ")
        ))
    };
    match key {
        Key::Channel => one_of(&Channel::ALL.map(Channel::word)),
        Key::State => one_of(&State::ALL.map(State::word)),
        Key::Workspace | Key::Connection | Key::Event | Key::Person | Key::Id | Key::Reason => {
            if value.is_empty() {
                return Err(format!("{} has an empty value", key.word()));
            }
            Ok(())
        }
    }
}

fn conditions(text: &str) -> Vec<Result<Condition, String>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, more) = word(rest);
        found.push(condition(word));
        rest = more.trim_start();
    }
    found
}

/// Everything up to the next space that is not in quotes, and the rest.
fn word(text: &str) -> (&str, &str) {
    let (mut in_quotes, mut is_kept) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_kept => is_kept = false,
            '\\' if in_quotes => is_kept = true,
            '"' => in_quotes = !in_quotes,
            _ if c.is_whitespace() && !in_quotes => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}

fn condition(word: &str) -> Result<Condition, String> {
    let (is_not, bare) = match word.strip_prefix('-') {
        Some(bare) => (true, bare),
        None => (false, word),
    };
    let Some((key, values)) = bare.split_once(':') else {
        return Err(format!(
            "{word:?} is no condition: write a key and a value, such as person:u42 or event:\"Email Opened\""
        ));
    };
    Ok(Condition {
        is_not,
        key: key.to_owned(),
        values: split(values)?,
    })
}

/// The values between commas, out of their quotes.
fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut values, mut value) = (Vec::new(), String::new());
    let (mut in_quotes, mut is_kept) = (false, false);
    for c in text.chars() {
        match c {
            _ if is_kept => {
                value.push(c);
                is_kept = false;
            }
            '\\' if in_quotes => is_kept = true,
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => values.push(std::mem::take(&mut value)),
            _ => value.push(c),
        }
    }
    if in_quotes {
        return Err(format!("a quote is opened and not closed in {text:?}"));
    }
    values.push(value);
    Ok(values)
}

/// A time, or a span back from now.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let utc = |civil: DateTime| TimeZone::UTC.to_timestamp(civil).ok();
    let written = text.parse().ok();
    let written = written.or_else(|| text.parse().ok().and_then(utc));
    let back = || now.checked_sub(span(text)?).ok();
    written.or_else(back).ok_or_else(|| {
        format!(
            "{text:?} is no time: write 2026-11-01, 2026-11-01T10:30Z, or a span back from now such as 24h or 7d"
        )
    })
}

/// A span such as `24h`.
fn span(text: &str) -> Option<SignedDuration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match text.strip_prefix(number)? {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let n: i64 = number.parse().ok().filter(|n| *n >= 0)?;
    n.checked_mul(seconds).map(SignedDuration::from_secs)
}
