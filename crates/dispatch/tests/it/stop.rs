//! Being told to stop: take no more, finish the attempt in hand, leave the rest.

use std::sync::Arc;
use std::time::Duration;

use dispatch::{Condition, Policy};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::target::{Answer, SUCCESS, Step, Target, status};
use crate::{batch, outbox, outbox_with};

/// Waits that no test outlives.
fn endless() -> Policy {
    let hour = Duration::from_hours(1);
    Policy {
        retry_after_min: hour,
        retry_after_max: hour,
        ..Policy::for_tests()
    }
}

#[tokio::test]
async fn a_stop_during_a_wait_hands_the_calls_back_as_stopped() {
    let busy = Answer::new(429, "").with("retry-after", "3600");
    let target = Target::playing(vec![busy.into()]).await;
    let outbox = outbox_with(&target, endless());
    let stop = CancellationToken::new();
    let mut condition = outbox.condition();
    let stopping = async {
        condition
            .wait_for(|now| *now != Condition::Flowing)
            .await
            .unwrap();
        stop.cancel();
    };
    let (outcome, waiting, ()) = tokio::join!(
        outbox.dispatch(batch(0..3), &stop),
        outbox.dispatch(batch(0..0), &stop),
        stopping
    );
    assert_eq!(outcome.stopped, [0, 1, 2]);
    assert_eq!((outcome.accepted.len(), outcome.refused.len()), (0, 0));
    assert_eq!(waiting.n_attempts, 0);
    assert_eq!(target.requests().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_after_a_stop() {
    let target = Target::playing(vec![]).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let outcome = outbox(&target).dispatch(batch(0..2), &stop).await;
    assert_eq!((outcome.stopped, outcome.n_attempts), (vec![0, 1], 0));
    assert_eq!(target.requests().len(), 0);
}

#[tokio::test]
async fn a_stop_during_an_attempt_lets_it_finish() {
    let leave = Arc::new(Semaphore::new(0));
    let held = Step::AnswerOnLeave(Answer::new(200, SUCCESS), Arc::clone(&leave));
    let target = Target::playing(vec![held]).await;
    let outbox = outbox(&target);
    let stop = CancellationToken::new();
    let stopping = async {
        target.received(1).await;
        stop.cancel();
        leave.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(outbox.dispatch(batch(0..2), &stop), stopping);
    assert_eq!(outcome.accepted, [0, 1]);
}

#[tokio::test]
async fn a_stop_during_the_search_for_a_wrong_call_begins_no_other_attempt() {
    let leave = Arc::new(Semaphore::new(0));
    let held = Step::AnswerOnLeave(Answer::new(200, SUCCESS), Arc::clone(&leave));
    let target = Target::playing(vec![status(400), held]).await;
    let outbox = outbox(&target);
    let stop = CancellationToken::new();
    let stopping = async {
        target.received(2).await;
        stop.cancel();
        leave.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(outbox.dispatch(batch(0..4), &stop), stopping);
    assert_eq!(
        (outcome.accepted, outcome.stopped),
        (vec![0, 1], vec![2, 3])
    );
    assert_eq!(target.requests().len(), 2);
}
