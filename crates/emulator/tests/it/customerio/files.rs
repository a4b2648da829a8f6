//! Files of events.

use std::{error::Error, io::Write};

use emulator::customerio::{ReadError, parse_events, read_events};
use tempfile::NamedTempFile;

fn bodies(text: &'static str) -> Vec<String> {
    let events = parse_events(&text.into()).unwrap();
    events
        .iter()
        .map(|event| String::from_utf8(event.body().to_vec()).unwrap())
        .collect()
}

#[test]
fn a_line_is_an_event_and_its_bytes_are_kept() {
    let text = "{\"a\": 1.0}\r\n\n  {\"b\":\"\\u00e9 é\"}\n";
    assert_eq!(bodies(text), [r#"{"a": 1.0}"#, r#"{"b":"\u00e9 é"}"#]);
}

#[test]
fn an_array_is_its_elements_as_they_are_written() {
    assert_eq!(
        bodies("[ {\"a\": 1.0},\n {\"b\":\n2} ]"),
        ["{\"a\": 1.0}", "{\"b\":\n2}"]
    );
    assert!(bodies("[]").is_empty());
}

#[test]
fn one_event_may_fill_many_lines() {
    assert_eq!(bodies("\n{\n  \"a\": 1\n}\n"), ["{\n  \"a\": 1\n}"]);
    assert!(bodies("\n\n").is_empty());
}

#[test]
fn a_bad_line_is_named() {
    let cases = [
        ("{\"a\":1}\n\n{\"b\":\n", "line 3 is not JSON"),
        (
            "{\"a\":1}\nnull\n",
            "line 2 is no event: an event is a JSON object",
        ),
        ("[{\"a\":1},\n{\"b\"}]", "line 2 is not JSON"),
        (
            "[{\"a\":1},\n\n[]]",
            "line 3 is no event: an event is a JSON object",
        ),
        ("7", "line 1 is no event: an event is a JSON object"),
    ];
    for (text, expected) in cases {
        let error = parse_events(&text.into()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn a_file_is_read_and_a_missing_one_is_named() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"{\"a\":1}\n{\"b\":2}\n").unwrap();
    assert_eq!(read_events(file.path()).unwrap().len(), 2);
    let path = file.path().to_owned();
    drop(file);
    let error = read_events(&path).unwrap_err();
    assert!(matches!(&error, ReadError::Unreadable { path: named, .. } if *named == path));
    assert!(error.source().is_some());
}
