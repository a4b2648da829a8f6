//! `golden/<case>/`: the event, the options where they are not the defaults, and the call to the byte.

use shape::{MAX_CALL_BYTES, Shaped};

use crate::cases::{Case, examples};

#[test]
fn every_golden_event_becomes_its_golden_call() {
    let cases = Case::all();
    assert!(cases.len() >= 40, "only {} cases were found", cases.len());
    for case in cases {
        let expected = case
            .file("call.json")
            .unwrap_or_else(|| panic!("{} has no call.json", case.name));
        let Shaped::Call(call) = case.shaped() else {
            panic!("{} became {:?}", case.name, case.shaped());
        };
        assert_eq!(call.json, unspaced(&expected), "{}", case.name);
        assert!(call.json.len() <= MAX_CALL_BYTES, "{}", case.name);
    }
}

#[test]
fn every_public_example_is_a_golden_case() {
    let cases = Case::all();
    for (name, body) in examples() {
        let case = cases
            .iter()
            .find(|case| case.name == format!("example_{name}"));
        let event = case.map(|case| case.event.trim_end());
        assert_eq!(event, Some(body.trim_end()), "{name}");
    }
}

/// The file is laid out for people; the call has no space but inside of strings.
fn unspaced(json: &str) -> String {
    let (mut is_inside, mut is_escaped) = (false, false);
    json.chars()
        .filter(|character| {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => is_inside = !is_inside,
                _ => (),
            }
            is_inside || !character.is_ascii_whitespace()
        })
        .collect()
}
