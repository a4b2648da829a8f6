//! What dispatch promises, proved over real sockets against a scripted target.

#![cfg(test)]

mod connection;
mod outage;
mod request;
mod statuses;
mod stop;
mod target;

use std::ops::Range;

use dispatch::{Batch, Call, Outbox, Outcome, Policy, Stamp};
use tokio_util::sync::CancellationToken;

use crate::target::Target;

/// Calls tagged with the numbers in `tags`, and known to the target as `pm-<tag>`.
fn batch(tags: Range<u64>) -> Batch {
    batch_with(Stamp::SentAt, tags)
}

fn batch_with(stamp: Stamp, tags: Range<u64>) -> Batch {
    let mut batch = Batch::new(stamp);
    for tag in tags {
        let message_id = format!("pm-{tag}");
        let json =
            format!(r#"{{"type":"track","event":"Email Opened","messageId":"{message_id}"}}"#);
        batch
            .push(Call {
                message_id,
                json,
                tag,
            })
            .unwrap();
    }
    batch
}

fn outbox(target: &Target) -> Outbox {
    outbox_with(target, Policy::for_tests())
}

fn outbox_with(target: &Target, policy: Policy) -> Outbox {
    Outbox::new(target.destination(), policy).unwrap()
}

/// Dispatches without ever asking to stop.
async fn dispatch(outbox: &Outbox, batch: Batch) -> Outcome {
    outbox.dispatch(batch, &CancellationToken::new()).await
}
