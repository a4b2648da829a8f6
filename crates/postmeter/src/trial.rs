//! A test event: one call of our own through a connection, and its one answer.
//!
//! Segment answers 200 even to a wrong write key, so all that a test can do is
//! to put something into Segment's debugger that a person can look for.

use std::time::Duration;

use anyhow::Context as _;
use connections::Connection;
use dispatch::{Attempt, Batch, Call, Condition, Destination, Outbox, Policy, Stamp};
use jiff::Timestamp;
use shape::{Event, Names, Shaped};
use tokio_util::sync::CancellationToken;

/// How long a test event may take to be answered.
const TEST_TIME: Duration = Duration::from_secs(15);

/// What became of a test event.
#[derive(Debug)]
pub(crate) struct Tested {
    pub(crate) event_name: String,
    pub(crate) message_id: String,
    /// The one attempt; `None` where it was not answered in time.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) accepted: bool,
}

/// Sends one test event past the connection's queue and its selection.
pub(crate) async fn send(
    connection: &Connection,
    destination: Destination,
    policy: Policy,
) -> anyhow::Result<Tested> {
    let event = test_event()?;
    let options = shape::Options {
        events: shape::Selection::all(),
        payload_version: shape::PayloadVersion::V2,
        ..connection.shape_options()
    };
    let event = Event::parse(event.as_bytes()).context("the test event is broken")?;
    let shaped = shape::shape(&event, None, &options, &Names::default());
    let Shaped::Call(call) = shaped else {
        anyhow::bail!("the test event did not become a call: {shaped:?}");
    };
    let message_id = call.message_id.clone();
    let mut batch = Batch::new(Stamp::SentAt);
    let event_name = call.name;
    let call = Call {
        message_id: call.message_id,
        json: call.json,
        tag: 0,
    };
    batch.push(call).context("the test call is too large")?;
    let outbox = Outbox::new(destination, policy)?;
    let attempt = first_attempt(&outbox, batch).await;
    Ok(Tested {
        event_name,
        message_id,
        accepted: attempt.as_ref().is_some_and(is_accepted),
        attempt,
    })
}

/// An event of our own kind, *Postmeter Test* by the naming rule, so that it never
/// mixes with real ones in Segment.
fn test_event() -> anyhow::Result<String> {
    let nonce = getrandom::u64().context("the system has no randomness for an id")?;
    let event = serde_json::json!({
        "event_id": format!("postmeter-test-{nonce:016x}"),
        "object_type": "postmeter",
        "metric": "test",
        "timestamp": Timestamp::now().as_second(),
        "data": {
            "identifiers": { "id": "postmeter-test" },
            "note": "sent by Postmeter to show that this connection works",
        },
    });
    Ok(event.to_string())
}

/// Makes attempts until one is over; the gate would otherwise retry for ever.
async fn first_attempt(outbox: &Outbox, batch: Batch) -> Option<Attempt> {
    let stop = CancellationToken::new();
    let mut condition = outbox.condition();
    let failed = async {
        let waits = |condition: &Condition| matches!(condition, Condition::Waiting { .. });
        let failed = condition.wait_for(waits).await.is_ok();
        if failed {
            stop.cancel();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = outbox.dispatch(batch, &stop) => outcome.attempts.into_iter().next(),
        () = failed => None,
        () = tokio::time::sleep(TEST_TIME) => outbox.recent_attempts().into_iter().next(),
    }
}

fn is_accepted(attempt: &Attempt) -> bool {
    matches!(&attempt.result, dispatch::AttemptResult::Answered { status, .. } if (200..300).contains(status))
}
