//! What earlier builds have kept as settings and traces, in `fixtures/`: today's build
//! reads each as it was meant. The bytes were made by hand after the layouts that the
//! modules draw, not by the code that they test; they stay as they are, and a new
//! format gets a file of its own.

use bytes::Bytes;
use console::seen::{AuditLine, Channel, Origin};
use jiff::Timestamp;
use journal::Seq;

use crate::carry::chunk::Chunk;
use crate::history::format::Slot;
use crate::history::hour::HourNumber;
use crate::history::series::{Series, Step, What};
use crate::names::known::Known;
use crate::pipeline::trace::BatchTrace;

fn kept(name: &str) -> Bytes {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::fs::read(fixtures.join(name)).unwrap().into()
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

#[test]
fn an_hour_of_version_1_is_read_as_it_was_counted() {
    let slot = Slot::decode(&kept("hour")).unwrap();
    assert_eq!(slot.hour, HourNumber(480_000));
    assert_eq!(slot.marks.into_iter().collect::<Vec<_>>(), [(0, 4711)]);
    let series = Series::new(What::Event(Channel::Email, Step::Opened), &"acme".into());
    let minutes = slot.counts.get(&series).unwrap();
    assert_eq!(minutes[..4], [5, 257, 0, 0]);
    assert_eq!(slot.counts.len(), 1);
}

#[test]
fn names_that_were_kept_are_known() {
    let known = Known::decode(&kept("names")).unwrap();
    assert_eq!(known.len(), 2);
    for key in ["campaign/5", "broadcast/5/36"] {
        assert!(known.has(&key.parse().unwrap()), "{key}");
    }
}

#[test]
fn an_audit_list_that_was_kept_is_read_line_by_line() {
    let lines: Vec<AuditLine> = serde_json::from_slice(&kept("audit")).unwrap();
    let line = |time, origin, what: &str| AuditLine {
        at: at(time),
        origin,
        what: what.to_owned(),
    };
    let enabled = "connection acme-segment: enabled";
    let expected = [
        line("2026-03-01T12:00:00Z", Origin::Console, enabled),
        line(
            "2026-03-01T12:00:01.5Z",
            Origin::Start,
            "workspace acme added",
        ),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_trace_of_version_1_tells_what_became_of_its_batch() {
    let trace = BatchTrace::decode(kept("trace")).unwrap();
    let ended = at("2023-11-14T22:13:20Z");
    assert_eq!(trace.options.to_string(), "6f70746d61726b38");
    assert_eq!((trace.ended_at, trace.calls, trace.left_out), (ended, 3, 0));
    assert_eq!(trace.refused, [Seq::new(9)]);
    let [tried] = trace.attempts.as_slice() else {
        panic!("one attempt was kept: {:?}", trace.attempts);
    };
    assert_eq!((tried.at, tried.took_us, tried.calls), (ended, 1200, 3));
    assert_eq!((tried.status, tried.text.as_str()), (Some(400), "no"));
}

#[test]
fn a_chunk_of_an_older_sender_is_taken_as_it_was_sent() {
    let chunk = Chunk::decode(kept("chunk")).unwrap();
    assert_eq!((chunk.after, chunk.through), (6, 9));
    let [first, second] = chunk.drafts.as_slice() else {
        panic!("two records were sent: {:?}", chunk.drafts);
    };
    assert_eq!(first.workspace, "acme");
    assert_eq!(first.signed_by.as_deref(), Some("k"));
    assert_eq!(
        (&first.body[..], first.origin),
        (&b"{}"[..], Some(Seq::new(7)))
    );
    assert_eq!(
        (second.signed_by.as_deref(), second.body.len()),
        (Some(""), 0)
    );
}
