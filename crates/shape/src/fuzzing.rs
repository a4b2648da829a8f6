//! What must hold of shaping whatever the bytes are: for the fuzz target `body`, and
//! for a test that runs its seeds. No part of the product.

#![expect(clippy::missing_panics_doc, reason = "a panic is what is looked for")]

use std::collections::BTreeSet;

use serde::de::IgnoredAny;

use crate::{
    Event, FirstPer, MAX_CALL_BYTES, MAX_EVENT_ID_BYTES, Names, Options, PayloadVersion, Selection,
    SendFrequency, Shaped, shape,
};

/// The names of all properties that the rules treat apart.
const LEFT_OUT: [&str; 3] = ["subject", "content", "delivery_id"];

/// The combinations of options that one input is tried with: one in so many. Which
/// ones depends on its length, so that all of them have their turn.
const ONE_IN: usize = 8;

/// Shapes `data` in ways that options allow.
pub fn body(data: &[u8]) {
    let Ok(event) = Event::parse(data) else {
        return;
    };
    let key_bytes = event.key().as_bytes().len();
    assert!((1..=MAX_EVENT_ID_BYTES).contains(&key_bytes));
    let names = Names {
        action: Some("a\u{1}\"b"),
        campaign: Some("\\"),
        newsletter: Some(""),
        transactional_message: Some("\u{2028}"),
    };
    for switches in (data.len() % ONE_IN..1 << 8).step_by(ONE_IN) {
        let options = options(switches);
        let first = shape(&event, None, &options, &names);
        if let Shaped::Call(call) = &first {
            assert!(call.json.len() <= MAX_CALL_BYTES, "a call above the limit");
            assert!(!call.json.contains('\n'), "a call is one line");
            let json: Result<IgnoredAny, _> = serde_json::from_str(&call.json);
            assert!(json.is_ok(), "no JSON: {}", call.json);
            check_message_id(&call.message_id);
        }
        if switches < 2 * ONE_IN {
            let second = shape(&event, None, &options, &names);
            assert_eq!(first, second, "shaping is a function");
        }
    }
}

/// One combination of everything that a connection chooses.
fn options(switches: usize) -> Options {
    let on = |bit: u32| switches & (1 << bit) != 0;
    let left_out = LEFT_OUT.map(str::to_owned);
    let renames = [("email_opened", "\"\n"), ("*", "x")];
    Options {
        connection_id: "con_1".to_owned(),
        events: Selection::all(),
        payload_version: if on(0) {
            PayloadVersion::V1
        } else {
            PayloadVersion::V2
        },
        body_content: on(1),
        send_back: on(2),
        empty_user_id: on(3),
        customer_id: on(4),
        send_frequency: if on(5) {
            SendFrequency::First(FirstPer::DeliveryNameAndLink)
        } else {
            SendFrequency::Every
        },
        renames: renames
            .into_iter()
            .filter(|_| on(6))
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .collect(),
        left_out: if on(6) {
            BTreeSet::from(left_out)
        } else {
            BTreeSet::new()
        },
        names: on(7),
    }
}

/// `pm-` and 26 characters of lowercase base32.
fn check_message_id(id: &str) {
    let base32 = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
    let is_id = id
        .strip_prefix("pm-")
        .is_some_and(|rest| rest.len() == 26 && rest.bytes().all(base32));
    assert!(is_id, "{id} is no message id of ours");
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads files; shape itself does not"
)]
mod seeds;

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_of_the_bodies_is_shaped_or_refused() {
        assert!(super::seeds::each("body", super::body) > 50);
    }
}
