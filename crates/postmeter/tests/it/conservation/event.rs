//! The events of a run: every documented kind, and among them what nobody can use,
//! what Segment refuses, what is huge, what comes twice and what is not authentic.
//!
//! It knows what each is to become by reading the vendors' contracts, never by
//! asking the program.

use serde_json::{Map, Value, json};

use crate::harness::chance::Chance;
use crate::harness::contracts;

/// Above this Segment refuses a call here, and its whole request with it. A call
/// that we let pass may have up to 32,000 bytes, so it can be reached.
pub(super) const SEGMENT_CALL_BYTES: usize = 24_000;
/// A subject that makes a call larger than [`SEGMENT_CALL_BYTES`], and not so large
/// that we would bury it ourselves.
const POISON_BYTES: usize = 27_000;
/// A rendered body that is never passed on: several requests' worth of reading.
const LARGE_BYTES: usize = 300_000;
/// More digits than a floating-point number keeps.
const CAMPAIGN: u64 = 9_007_199_254_740_993;
/// When the first event of a run happened.
const BEGUN: usize = 1_700_000_000;

/// The kind that messages share.
const OPENED: [&str; 3] = ["email", "opened", "Email Opened"];
/// Among how many events some are about one message.
const SHARING: usize = 32;

/// What kind of trouble an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// None.
    Plain,
    /// Its body is large and its call is not.
    Large,
    /// Its person is known by an address only.
    Stranger,
    /// Segment refuses its call.
    Poison,
    /// It is about nobody.
    Nobody,
    /// It is no JSON.
    Garbage,
    /// A test of Customer.io's webhook page.
    Test,
    /// Whoever signed it has no key.
    Forged,
}

/// How long its sender goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// Until it is taken.
    Endless,
    /// It is sent once, and may be lost.
    Once,
    /// It is sent once more after it was taken.
    Repeats,
}

/// An event to be sent.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) n: usize,
    pub(super) kind: Kind,
    pub(super) patience: Patience,
    /// The channel, as `object_type` has it.
    pub(super) channel: String,
    /// What Segment is to call it.
    pub(super) name: String,
    /// The message that it is about; none for an event about a person.
    pub(super) delivery: Option<String>,
    /// The fields that a call must repeat.
    pub(super) data: Map<String, Value>,
    /// What is sent.
    pub(super) body: String,
}

/// The documented kinds: channel, metric, Segment's name.
type Catalogue = Vec<[String; 3]>;

/// The events of a run.
pub(super) fn events(n_events: usize, chance: &mut Chance) -> Vec<Event> {
    let catalogue = catalogue();
    let each = |n| event(n, kind(n, chance), &catalogue, chance);
    (0..n_events).map(each).collect()
}

/// An event without any trouble.
pub(super) fn plain(n: usize) -> Event {
    let catalogue = vec![OPENED.map(str::to_owned)];
    let mut event = event(n, Kind::Plain, &catalogue, &mut Chance::new(0));
    event.delivery = Some(format!("delivery-{n}"));
    event.patience = Patience::Endless;
    event
}

/// The text by which a call and a dead letter name their event.
pub(super) fn mark(n: usize) -> String {
    format!("mark-{n}-{:x}", n.wrapping_mul(0x9e37_79b9))
}

/// The event that a text names, by its mark.
pub(super) fn marked(text: &str) -> Option<usize> {
    let rest = text.split_once("mark-")?.1;
    let n = rest.split_once('-')?.0.parse().ok()?;
    rest.starts_with(mark(n).strip_prefix("mark-")?)
        .then_some(n)
}

fn catalogue() -> Catalogue {
    let file = contracts().join("segment/event-names.tsv");
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().skip(1).map(|line| line.split('\t'));
    lines
        .map(|mut columns| std::array::from_fn(|_| columns.next().unwrap().to_owned()))
        .collect()
}

fn kind(n: usize, chance: &mut Chance) -> Kind {
    // The first is always a plain one, so that no run is without.
    match chance.below(60) {
        _ if n == 0 => Kind::Plain,
        0 => Kind::Large,
        1..=6 => Kind::Stranger,
        7 => Kind::Poison,
        8 => Kind::Nobody,
        9 => Kind::Garbage,
        10 => Kind::Test,
        11 => Kind::Forged,
        _ => Kind::Plain,
    }
}

fn event(n: usize, kind: Kind, catalogue: &Catalogue, chance: &mut Chance) -> Event {
    // Opens of one message come again and again, and a first-only connection wants one.
    let is_shared = kind == Kind::Plain && chance.one_in(4);
    let [channel, metric, name] = if is_shared {
        OPENED.map(str::to_owned)
    } else {
        chance.pick(catalogue).clone()
    };
    let message = if is_shared { "shared" } else { "delivery" };
    let number = if is_shared { n / SHARING } else { n };
    let delivery = (channel != "customer").then(|| format!("{message}-{number}"));
    let patience = match chance.below(12) {
        0 if kind != Kind::Poison => Patience::Once,
        1 | 2 => Patience::Repeats,
        _ => Patience::Endless,
    };
    let data = data(n, kind, &channel, delivery.as_deref());
    let mut body = json!({
        "event_id": format!("01ORACLE{n:018}"),
        "object_type": channel,
        "metric": metric,
        "timestamp": BEGUN + n,
        "data": data,
    });
    if kind == Kind::Test {
        body.as_object_mut().unwrap().remove("metric");
    }
    let mut body = body.to_string();
    if kind == Kind::Garbage {
        body.truncate(body.len() - 1 - n % 7);
    }
    Event {
        n,
        kind,
        patience,
        channel,
        name,
        delivery,
        data,
        body,
    }
}

fn data(n: usize, kind: Kind, channel: &str, delivery: Option<&str>) -> Map<String, Value> {
    let address = format!("person-{n}@example.com");
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| drop(data.insert(key.to_owned(), value));
    put("oracle_mark", json!(mark(n)));
    put("campaign_id", json!(CAMPAIGN));
    match kind {
        Kind::Nobody => put("identifiers", json!({})),
        Kind::Stranger => put("identifiers", json!({ "id": null, "email": address })),
        _ => put("identifiers", json!({ "id": format!("person-{n}") })),
    }
    if let Some(delivery) = delivery {
        put("delivery_id", json!(delivery));
        let subject = match kind {
            Kind::Poison => "x".repeat(POISON_BYTES),
            _ => format!("Grüße, №{n} \"\u{1f389}\"\\"),
        };
        put("subject", json!(subject));
    } else if kind == Kind::Poison {
        put("a_long_story", json!("x".repeat(POISON_BYTES)));
    }
    if kind == Kind::Large {
        // On a connection without Body Content it goes no further than the journal.
        put("headers", json!("é".repeat(LARGE_BYTES / 2)));
    }
    if channel == "customer" && kind != Kind::Nobody {
        put("email_address", json!(address));
    }
    data
}

#[test]
fn an_event_is_named_by_the_text_that_it_bears() {
    for n in [0, 7, 70, 1_234] {
        assert_eq!(marked(&format!("what {} says", mark(n))), Some(n));
    }
    assert_eq!(marked("mark-7-abc"), None);
    assert_eq!(marked("nothing"), None);
}
