//! The one language in which events and dead letters are chosen: on pages, in the
//! API and on the command line.
//!
//! ```text
//! channel:email,sms event:"Email Opened" -person:u42 state:buried since:24h
//! ```
//!
//! A condition is a key, a colon and one value or several, of which any will do; a
//! minus before the key turns it round. All conditions must hold, and a key that is
//! written twice has the values of both. Values with spaces, commas or quotes stand
//! in double quotes, where a backslash keeps the next character.
//!
//! | key | holds for an event |
//! |---|---|
//! | `workspace`, `connection` | of this workspace, or concerning this connection |
//! | `channel` | about this: `email`, `push`, `sms`, `in_app`, `whatsapp`, `slack`, `webhook`, `customer`, `other` |
//! | `event` | whose name contains this, in any case |
//! | `person` | whose person's id or email is this |
//! | `id` | with this event id, delivery id, message id or record |
//! | `state` | that is, or on some connection became, this: see [`State`] |
//! | `reason` | that was skipped, buried or waits for a reason that contains this, in any case |
//! | `since`, `until` | received (a dead letter: buried) at this time or later; before this time |
//!
//! A time is `2026-11-01`, `2026-11-01T10:30Z` (UTC where nothing else is said), or a span back from now: `90s`, `15m`,
//! `24h`, `7d`. What reads a clock is elsewhere: now is an argument.

mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::{Outcome, Row, RowEnd, RowKind};

/// Which events or dead letters are meant. An empty one means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    conditions: BTreeMap<Key, Words>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The workspace's name.
    Workspace,
    /// A connection's name.
    Connection,
    /// The channel's word.
    Channel,
    /// A part of the event's name.
    Event,
    /// The person's id or email.
    Person,
    /// An event id, delivery id, message id or record.
    Id,
    /// What it is, or became.
    State,
    /// A part of the reason for that.
    Reason,
}

/// What an event is or became, as conditions have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Segment has the call.
    Accepted,
    /// It was not to be sent.
    Skipped,
    /// It is a dead letter.
    Buried,
    /// It is on its way, or waits.
    Waiting,
    /// It was settled without being sent.
    Passed,
    /// Another record had this event before.
    Duplicate,
    /// A test of Customer.io's webhook page.
    Test,
    /// Nothing can be made of it.
    Unusable,
}

/// The values of a key: any of some, none of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words {
    any_of: Vec<String>,
    none_of: Vec<String>,
}

impl Key {
    /// All of them, in the order in which they are written.
    pub const ALL: [Key; 8] = [
        Key::Workspace,
        Key::Connection,
        Key::Channel,
        Key::Event,
        Key::Person,
        Key::Id,
        Key::State,
        Key::Reason,
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Key::Workspace => "workspace",
            Key::Connection => "connection",
            Key::Channel => "channel",
            Key::Event => "event",
            Key::Person => "person",
            Key::Id => "id",
            Key::State => "state",
            Key::Reason => "reason",
        }
    }
}

impl State {
    /// All of them, in the order in which they are shown.
    pub const ALL: [State; 8] = [
        State::Accepted,
        State::Skipped,
        State::Buried,
        State::Waiting,
        State::Passed,
        State::Duplicate,
        State::Test,
        State::Unusable,
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            State::Accepted => "accepted",
            State::Skipped => "skipped",
            State::Buried => "buried",
            State::Waiting => "waiting",
            State::Passed => "passed",
            State::Duplicate => "duplicate",
            State::Test => "test",
            State::Unusable => "unusable",
        }
    }

    /// What a record is, where that is a state of its own.
    fn of_kind(kind: &RowKind) -> Option<State> {
        match kind {
            RowKind::Event | RowKind::Fresh => None,
            RowKind::Test => Some(State::Test),
            RowKind::Duplicate { .. } => Some(State::Duplicate),
            RowKind::Unusable { .. } => Some(State::Unusable),
        }
    }
}

impl Filter {
    /// The longest text that is read, in bytes.
    pub const MAX_BYTES: usize = 4_096;

    /// Reads a filter; spans back from now are counted from `now`.
    ///
    /// # Errors
    ///
    /// Every mistake, a sentence each, that says what may be written instead.
    pub fn parse(text: &str, now: Timestamp) -> Result<Filter, Vec<String>> {
        read::filter(text, now)
    }

    /// Also asks that `key` be `value`, or one of the values that it may have
    /// already.
    #[must_use]
    pub fn with(mut self, key: Key, value: impl Into<String>) -> Filter {
        let words = self.conditions.entry(key).or_default();
        words.any_of.push(value.into());
        self
    }

    /// Also asks for what was received at `since` or later, and before `until`.
    #[must_use]
    pub fn within(self, since: Option<Timestamp>, until: Option<Timestamp>) -> Filter {
        Filter {
            since: since.or(self.since),
            until: until.or(self.until),
            ..self
        }
    }

    /// The same without what is said of `key`.
    #[must_use]
    pub fn without(mut self, key: Key) -> Filter {
        self.conditions.remove(&key);
        self
    }

    /// The same with `key` being `value`, and nothing else said of it: what a field
    /// of a form says.
    ///
    /// # Errors
    ///
    /// A sentence where nothing can ever be that.
    pub fn narrowed(self, key: Key, value: &str) -> Result<Filter, String> {
        read::check(key, value)?;
        Ok(self.without(key).with(key, value))
    }

    /// As it is written, without what it says of a person: for lists and logs that
    /// outlive the person's data.
    pub fn discreet(&self) -> String {
        let mut shown = self.clone();
        if let Some(words) = shown.conditions.get_mut(&Key::Person) {
            for word in words.any_of.iter_mut().chain(&mut words.none_of) {
                "(hidden)".clone_into(word);
            }
        }
        shown.to_string()
    }

    /// Whether everything passes.
    pub fn is_all(&self) -> bool {
        *self == Filter::default()
    }

    /// The values of which `key` may have any; none where it may have every.
    pub fn any_of(&self, key: Key) -> &[String] {
        self.conditions.get(&key).map_or(&[], |words| &words.any_of)
    }

    /// The one value that `key` must have, where there is just one.
    pub fn only(&self, key: Key) -> Option<&str> {
        match self.any_of(key) {
            [only] => Some(only),
            _ => None,
        }
    }

    /// When what is meant begins.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// What is meant is before this.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether something of this time can be meant.
    pub fn is_in_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether it says something about what became of an event, which takes more
    /// than the event to know.
    pub fn asks_for_ends(&self) -> bool {
        let keys = [Key::Connection, Key::State, Key::Reason];
        keys.iter().any(|key| self.conditions.contains_key(key))
    }

    /// Whether it names message ids, which no row has.
    pub fn asks_for_message_ids(&self) -> bool {
        let words = self.conditions.get(&Key::Id);
        let mut values = words
            .into_iter()
            .flat_map(|words| words.any_of.iter().chain(&words.none_of));
        values.any(|value| value.starts_with("pm-"))
    }

    /// Whether the event itself is meant, whatever became of it. `more_ids` are
    /// those that a row does not have: of its calls.
    pub fn is_about(&self, row: &Row, more_ids: &[String]) -> bool {
        let place = row.place.to_string();
        let own = [row.event_id.as_deref(), row.delivery_id.as_deref()];
        let own = own.into_iter().flatten().chain([place.as_str()]);
        let ids: Vec<&str> = own.chain(more_ids.iter().map(String::as_str)).collect();
        let person = [row.person.as_deref(), row.email.as_deref()];
        let person: Vec<&str> = person.into_iter().flatten().collect();
        self.is_in_time(row.received_at)
            && self.is(Key::Workspace, &[&row.workspace])
            && self.is(Key::Channel, &[row.channel.word()])
            && self.is(Key::Person, &person)
            && self.is(Key::Id, &ids)
            && self.contains(Key::Event, &row.name)
    }

    /// Whether what became of the event on this connection is meant.
    pub fn is_end(&self, row: &Row, end: &RowEnd) -> bool {
        let kind = State::of_kind(&row.kind).map(State::word);
        let states = [Some(end.outcome.word()), kind];
        let states: Vec<&str> = states.into_iter().flatten().collect();
        self.is(Key::Connection, &[&end.connection])
            && self.is(Key::State, &states)
            && self.contains(Key::Reason, reason(&end.outcome))
    }

    /// Whether an event that no connection has to do with is meant.
    pub fn is_endless(&self, row: &Row) -> bool {
        let kind = State::of_kind(&row.kind).map(State::word);
        let states: Vec<&str> = kind.into_iter().collect();
        let reason = match &row.kind {
            RowKind::Unusable { reason } => reason.as_str(),
            RowKind::Event | RowKind::Test | RowKind::Duplicate { .. } | RowKind::Fresh => "",
        };
        self.is(Key::Connection, &[])
            && self.is(Key::State, &states)
            && self.contains(Key::Reason, reason)
    }

    /// Whether the event is meant, with what became of it: by itself, or on one
    /// of its connections at least.
    pub fn wants(&self, row: &Row, more_ids: &[String]) -> bool {
        let ended = !self.asks_for_ends()
            || row.ends.iter().any(|end| self.is_end(row, end))
            || (row.ends.is_empty() && self.is_endless(row));
        ended && self.is_about(row, more_ids)
    }

    /// Whether what an event has of a key, any of it, is asked for.
    fn is(&self, key: Key, found: &[&str]) -> bool {
        self.holds(key, |word| found.contains(&word))
    }

    fn contains(&self, key: Key, found: &str) -> bool {
        let found = found.to_lowercase();
        self.holds(key, |word| found.contains(&word.to_lowercase()))
    }

    fn holds(&self, key: Key, is: impl Fn(&str) -> bool) -> bool {
        let Some(words) = self.conditions.get(&key) else {
            return true;
        };
        let any = words.any_of.is_empty() || words.any_of.iter().any(|word| is(word));
        any && !words.none_of.iter().any(|word| is(word))
    }
}

/// Why it became that.
fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Accepted { .. } => "",
        Outcome::Skipped { reason }
        | Outcome::Buried { reason, .. }
        | Outcome::Waiting { reason }
        | Outcome::Passed { reason } => reason,
    }
}

/// As it is written: reads back as the same.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut conditions = Vec::new();
        for (key, words) in &self.conditions {
            for (sign, values) in [("", &words.any_of), ("-", &words.none_of)] {
                let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
                if !values.is_empty() {
                    conditions.push(format!("{sign}{}:{}", key.word(), values.join(",")));
                }
            }
        }
        for (key, at) in [("since", self.since), ("until", self.until)] {
            conditions.extend(at.map(|at| format!("{key}:{at}")));
        }
        f.write_str(&conditions.join(" "))
    }
}

fn quoted(value: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, ',' | '"' | '\\');
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{value}\"")
}
