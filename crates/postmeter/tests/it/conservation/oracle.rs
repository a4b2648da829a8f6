//! What must hold in the end: of every event that was taken each connection has
//! sent one call or keeps one dead letter, whole, under one id; an event that was
//! never taken is there at most once; and nothing is there that nobody sent.
//!
//! It judges by what was sent and what arrived, and finds all faults at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::event::{Event, Kind, marked};
use super::load::Heard;

/// A connection of every run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Connection {
    /// Sends all there is.
    Every,
    /// Sends the first occurrence of a delivery's event.
    First,
    /// Sends email only, in the older version of the payload.
    Old,
}

/// A call that has arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) connection: Connection,
    pub(super) id: String,
    pub(super) call: Value,
}

/// A dead letter; without a connection it is every connection's.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) connection: Option<Connection>,
    pub(super) body: String,
    pub(super) status: Option<u64>,
    pub(super) answer: Option<String>,
}

/// What has come of a run.
#[derive(Clone, Default, Debug)]
pub(super) struct Outcome {
    pub(super) calls: Vec<Arrived>,
    pub(super) letters: Vec<Letter>,
    /// Segment was told to refuse requests whatever is in them: a call that was alone
    /// in one is a dead letter with that answer, and may have arrived before.
    pub(super) refusals: bool,
}

/// What a connection makes of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Call,
    Letter,
    Nothing,
}

impl Connection {
    pub(super) const ALL: [Connection; 3] = [Connection::Every, Connection::First, Connection::Old];

    pub(super) fn name(self) -> &'static str {
        match self {
            Connection::Every => "every",
            Connection::First => "first",
            Connection::Old => "old",
        }
    }

    /// The write key by which Segment knows it.
    pub(super) fn write_key(self) -> String {
        format!("{:x<32}", format!("keyOf{}", self.name()))
    }

    fn fate(self, event: &Event) -> Fate {
        match event.kind {
            Kind::Forged | Kind::Test | Kind::Garbage => Fate::Nothing,
            _ if self == Connection::Old && event.channel != "email" => Fate::Nothing,
            Kind::Nobody | Kind::Poison => Fate::Letter,
            Kind::Plain | Kind::Large | Kind::Stranger => Fate::Call,
        }
    }

    /// Whether it sends a call of this event.
    pub(super) fn sends(self, event: &Event) -> bool {
        self.fate(event) == Fate::Call
    }
}

/// What is known of one event: how it was sent, and what has come of it.
#[derive(Default)]
struct Account {
    heard: Heard,
    ids: BTreeMap<Connection, Vec<String>>,
    letters: BTreeMap<Option<Connection>, usize>,
    /// Those that Segment refused for no reason of theirs.
    refused: BTreeMap<Connection, usize>,
}

/// Everything that is wrong, in words; empty if nothing is.
pub(super) fn faults(events: &[Event], heard: &[Heard], outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    let each = heard.iter().map(|heard| Account {
        heard: *heard,
        ..Account::default()
    });
    let mut accounts: Vec<Account> = each.collect();
    for arrived in &outcome.calls {
        enter_call(arrived, events, &mut accounts, &mut faults);
    }
    for letter in &outcome.letters {
        faults.extend(enter_letter(letter, outcome, events, &mut accounts));
    }
    for event in events {
        let account = &accounts[event.n];
        faults.extend(garbage_faults(event, account));
        let each = Connection::ALL.into_iter();
        faults.extend(each.filter_map(|connection| fault(connection, event, account)));
    }
    faults.extend(first_faults(events, &accounts));
    faults
}

fn enter_call(
    arrived: &Arrived,
    events: &[Event],
    accounts: &mut [Account],
    faults: &mut Vec<String>,
) {
    let Arrived {
        connection,
        id,
        call,
    } = arrived;
    let mark = call["properties"]["oracle_mark"].as_str();
    let n = mark.and_then(marked).filter(|n| *n < events.len());
    let Some(n) = n else {
        faults.push(format!("invented by {connection:?}: {call}"));
        return;
    };
    let ids = &mut accounts[n].ids;
    ids.entry(*connection).or_default().push(id.clone());
    let expected = expected_call(*connection, &events[n], id);
    if *call != expected {
        faults.push(format!(
            "event {n} is not intact on {connection:?}: {call} is not {expected}"
        ));
    }
}

fn enter_letter(
    letter: &Letter,
    outcome: &Outcome,
    events: &[Event],
    accounts: &mut [Account],
) -> Option<String> {
    let n = marked(&letter.body).filter(|n| *n < events.len());
    let Some(n) = n else {
        return Some(format!("an invented dead letter: {letter:?}"));
    };
    let (event, account) = (&events[n], &mut accounts[n]);
    let is_answered = matches!(letter.status, Some(400 | 413 | 422)) && letter.answer.is_some();
    match letter.connection {
        Some(connection) if outcome.refusals && connection.sends(event) && is_answered => {
            *account.refused.entry(connection).or_default() += 1;
        }
        connection => *account.letters.entry(connection).or_default() += 1,
    }
    if letter.body != event.body {
        return Some(format!("the dead letter of event {n} has another body"));
    }
    if event.kind == Kind::Poison && !is_answered {
        let (status, answer) = (letter.status, &letter.answer);
        let lacks = format!("the dead letter of event {n} lacks Segment's answer");
        return Some(format!("{lacks}: {status:?} {answer:?}"));
    }
    None
}

/// What nobody can read is buried once, for all connections.
fn garbage_faults(event: &Event, account: &Account) -> Option<String> {
    let letters = account.letters.get(&None).copied().unwrap_or_default();
    let is_right = match event.kind {
        Kind::Garbage if account.heard.taken > 0 => letters == 1,
        Kind::Garbage => letters <= account.heard.requests.min(1),
        _ => letters == 0,
    };
    let words = || {
        format!(
            "{letters} dead letters of no connection: {}",
            say(event, account)
        )
    };
    (!is_right).then(words)
}

fn fault(connection: Connection, event: &Event, account: &Account) -> Option<String> {
    let ids = account.ids.get(&connection).map_or(0, Vec::len);
    let letters = account.letters.get(&Some(connection)).copied();
    let letters = letters.unwrap_or_default();
    let refused = account.refused.get(&connection).copied();
    let refused = refused.unwrap_or_default();
    let fate = connection.fate(event);
    let (most_ids, most_letters) = match fate {
        Fate::Call => (1, 0),
        Fate::Letter => (0, 1),
        Fate::Nothing => (0, 0),
    };
    let is_first = connection == Connection::First && event.delivery.is_some();
    let least = match fate {
        // Which of a delivery's events came first is looked at elsewhere.
        Fate::Call if is_first => 0,
        Fate::Call | Fate::Letter => account.heard.taken.min(1),
        Fate::Nothing => 0,
    };
    let most = account.heard.requests;
    let found = ids.max(refused) + letters;
    let is_once = ids <= most_ids && letters <= most_letters && refused <= 1;
    if is_once && (least..=most).contains(&found) {
        return None;
    }
    let letters = letters + refused;
    let said = say(event, account);
    Some(format!(
        "{connection:?} should end with {fate:?}, has {ids} ids and {letters} letters: {said}"
    ))
}

/// Of each delivery's events of one name, exactly one is sent if any was taken.
fn first_faults(events: &[Event], accounts: &[Account]) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let sent = |event: &&Event| Connection::First.sends(event);
    for event in events.iter().filter(sent) {
        let Some(delivery) = &event.delivery else {
            continue;
        };
        let account = &accounts[event.n];
        let ids = account.ids.get(&Connection::First).map_or(0, Vec::len);
        let refused = account.refused.get(&Connection::First).copied();
        let ids = ids.max(refused.unwrap_or_default());
        let group = groups.entry((delivery, &event.name)).or_default();
        group.0 += account.heard.taken;
        group.1 += ids;
    }
    let is_wrong = |(taken, ids): (usize, usize)| ids > 1 || (taken > 0 && ids == 0);
    let wrong = groups.into_iter().filter(|(_, group)| is_wrong(*group));
    wrong
        .map(|(group, (taken, ids))| format!("{ids} firsts of {group:?}, taken {taken} times"))
        .collect()
}

fn say(event: &Event, account: &Account) -> String {
    let Event {
        n, kind, patience, ..
    } = event;
    let Heard { requests, taken } = account.heard;
    format!("event {n}, {kind:?}, {patience:?}, sent {requests} times, taken {taken} times")
}

/// The call that an event is, by what the contracts say.
fn expected_call(connection: Connection, event: &Event, id: &str) -> Value {
    let n = event.n;
    let seconds = 1_700_000_000 + i64::try_from(n).unwrap();
    let at = jiff::Timestamp::from_second(seconds).unwrap();
    let version = match connection {
        Connection::Old => "1.0.0",
        Connection::Every | Connection::First => "2.0.0",
    };
    let mut context = json!({ "integration": { "name": "customer.io", "version": version } });
    if event.kind == Kind::Stranger || event.data.contains_key("email_address") {
        context["traits"] = json!({ "email": format!("person-{n}@example.com") });
    }
    let mut call = json!({
        "type": "track",
        "event": event.name,
        "messageId": id,
        "timestamp": format!("{at:.3}"),
        "context": context,
        "integrations": { "Customer.io": false },
        "properties": expected_properties(connection, event),
    });
    let call_fields = call.as_object_mut().unwrap();
    call_fields.extend(person(event));
    call
}

fn expected_properties(connection: Connection, event: &Event) -> Map<String, Value> {
    let consumed = ["identifiers", "email_address", "headers"];
    let mut properties = event.data.clone();
    properties.retain(|key, _| !consumed.contains(&key.as_str()));
    if let Some(delivery) = &event.delivery {
        if ["email", "sms", "whatsapp"].contains(&event.channel.as_str()) {
            properties.insert("content".to_owned(), Value::Null);
        }
        if connection == Connection::Old {
            let subject = properties.remove("subject").unwrap();
            properties.insert("email_subject".to_owned(), subject);
            properties.insert("email_id".to_owned(), json!(delivery));
        }
    }
    properties.extend(person(event));
    properties
}

fn person(event: &Event) -> Map<String, Value> {
    let n = event.n;
    let person = match event.kind {
        Kind::Stranger => json!({
            "userId": "", "anonymousId": format!("person-{n}@example.com"),
        }),
        _ => json!({ "userId": format!("person-{n}") }),
    };
    person.as_object().unwrap().clone()
}
