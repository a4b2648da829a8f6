//! The destination is at fault: what is waited for, how long, by whom, and what is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dispatch::{AttemptResult, Condition, OUTCOME_ATTEMPTS, Policy, RECENT_ATTEMPTS};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::target::{Answer, Step, Target, status, success};
use crate::{batch, dispatch, outbox, outbox_with};

fn cause(result: &AttemptResult) -> &str {
    match result {
        AttemptResult::Failed { cause } => cause,
        AttemptResult::Answered { status, .. } => panic!("answered {status}"),
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_ids_with_a_later_sent_at() {
    let target = Target::judging(|nth, request| {
        if nth > 0 {
            return success();
        }
        // Until the clock has moved on, so that a new stamp is a different one.
        while Timestamp::now().as_millisecond() <= request.sent_at().as_millisecond() {
            std::thread::yield_now();
        }
        Step::DropReply
    })
    .await;
    let outcome = dispatch(&outbox(&target), batch(0..3)).await;
    assert_eq!(outcome.accepted, [0, 1, 2]);
    let [first, second] = <[_; 2]>::try_from(target.requests()).unwrap();
    assert_eq!(first.message_ids(), second.message_ids());
    assert!(first.sent_at() < second.sent_at());
    assert_eq!(first.json()["batch"], second.json()["batch"]);
    assert_eq!(second.retry_count(), Some("1"));
    assert!(cause(&outcome.attempts[0].result).contains("broke before the answer was there"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let target = Target::playing(vec![Step::ResetMidAnswer]).await;
    let outcome = dispatch(&outbox(&target), batch(0..3)).await;
    assert_eq!(outcome.accepted, [0, 1, 2]);
    assert_eq!(target.requests().len(), 2);
    assert!(cause(&outcome.attempts[0].result).contains("broke before the answer was there"));
}

#[tokio::test]
async fn a_destination_that_hangs_is_given_up_after_the_request_timeout() {
    let target = Target::playing(vec![Step::Hang]).await;
    let policy = Policy {
        request_timeout: Duration::from_millis(80),
        ..Policy::for_tests()
    };
    let outcome = dispatch(&outbox_with(&target, policy), batch(0..3)).await;
    assert_eq!(outcome.accepted, [0, 1, 2]);
    assert_eq!(
        cause(&outcome.attempts[0].result),
        "no answer from 127.0.0.1 within 80ms"
    );
    assert!(outcome.attempts[0].duration >= Duration::from_millis(80));
}

/// How long the target was left alone after answering `header` to the first request.
async fn pause_after(status: u16, header: &str) -> Duration {
    let answer = Answer::new(status, "").with("retry-after", header);
    let target = Target::playing(vec![answer.into()]).await;
    let policy = Policy {
        backoff_first: Duration::ZERO,
        retry_after_min: Duration::from_millis(10),
        retry_after_max: Duration::from_millis(60),
        ..Policy::for_tests()
    };
    let outcome = dispatch(&outbox_with(&target, policy), batch(0..1)).await;
    assert_eq!(outcome.n_attempts, 2);
    let requests = target.requests();
    requests[1].at - requests[0].at
}

#[tokio::test]
async fn retry_after_is_honoured_on_every_retryable_status() {
    let in_an_hour = Timestamp::now() + Duration::from_hours(1);
    let date = in_an_hour.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for code in [401, 408, 429, 460, 500, 503, 529] {
        assert!(
            pause_after(code, "300").await >= Duration::from_millis(60),
            "{code}"
        );
    }
    assert!(pause_after(429, &date).await >= Duration::from_millis(60));
    assert!(pause_after(503, "0").await >= Duration::from_millis(10));
    assert!(pause_after(503, "Sun, 06 Nov 1994 08:49:37 GMT").await >= Duration::from_millis(10));
}

#[tokio::test]
async fn a_429_pauses_the_whole_window() {
    let busy = Answer::new(429, "").with("retry-after", "300");
    let target = Target::playing(vec![busy.into()]).await;
    let pause = Duration::from_millis(60);
    let policy = Policy {
        retry_after_max: pause,
        ..Policy::for_tests()
    };
    let outbox = outbox_with(&target, policy);
    let mut condition = outbox.condition();
    let others = async {
        condition
            .wait_for(|now| *now != Condition::Flowing)
            .await
            .unwrap();
        tokio::join!(
            dispatch(&outbox, batch(1..2)),
            dispatch(&outbox, batch(2..3)),
            dispatch(&outbox, batch(3..4)),
        )
    };
    let (first, others) = tokio::join!(dispatch(&outbox, batch(0..1)), others);
    assert_eq!(first.accepted, [0]);
    assert_eq!(
        [others.0.accepted, others.1.accepted, others.2.accepted].concat(),
        [1, 2, 3]
    );
    let requests = target.requests();
    assert_eq!(requests.len(), 5);
    for request in &requests[1..] {
        assert!(request.at - requests[0].at >= pause);
    }
}

#[tokio::test]
async fn a_destination_that_is_down_gets_one_probe_at_a_time() {
    const WINDOW: usize = 4;
    const OUTAGE: usize = 40;
    let leave = Arc::new(Semaphore::new(0));
    let held = Step::AnswerOnLeave(Answer::new(503, ""), Arc::clone(&leave));
    let target = Target::judging(move |nth, _| match nth {
        0..WINDOW => held.clone(),
        WINDOW..OUTAGE => status(503),
        _ => success(),
    })
    .await;
    let outbox = Arc::new(outbox(&target));
    let mut batches = JoinSet::new();
    for tag in 0..4 {
        let outbox = Arc::clone(&outbox);
        batches.spawn(async move { dispatch(&outbox, batch(tag..tag + 1)).await });
    }
    // The whole window meets the outage at once.
    target.received(WINDOW).await;
    leave.add_permits(WINDOW);
    let accepted: usize = batches
        .join_all()
        .await
        .iter()
        .map(|outcome| outcome.accepted.len())
        .sum();
    assert_eq!(accepted, 4);
    let requests = target.requests();
    assert_eq!(requests.len(), OUTAGE + WINDOW);
    for (nth, request) in requests.iter().enumerate().take(OUTAGE + 1).skip(WINDOW) {
        assert_eq!(request.concurrent, 1, "request {nth}");
    }
}

#[tokio::test]
async fn a_probe_that_is_given_up_leaves_its_place_to_another() {
    let target = Target::judging(|nth, _| match nth {
        0 => status(503),
        1 => Step::Hang,
        _ => success(),
    })
    .await;
    let outbox = Arc::new(outbox(&target));
    let mut probing = JoinSet::new();
    let prober = Arc::clone(&outbox);
    probing.spawn(async move { dispatch(&prober, batch(0..1)).await });
    target.received(2).await;
    let mut waiting = Box::pin(dispatch(&outbox, batch(1..2)));
    // Polled once, it waits behind the probe.
    tokio::select! {
        biased;
        outcome = &mut waiting => panic!("it should wait for the probe: {outcome:?}"),
        () = std::future::ready(()) => (),
    }
    probing.shutdown().await;
    assert_eq!(waiting.await.accepted, [1]);
}

#[tokio::test]
async fn the_condition_says_since_when_and_why_until_calls_flow_again() {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let target = Target::judging(move |_, _| {
        if is_up.load(Ordering::SeqCst) {
            success()
        } else {
            status(503)
        }
    })
    .await;
    let outbox = outbox(&target);
    let mut condition = outbox.condition();
    assert_eq!(*condition.borrow(), Condition::Flowing);
    let before = Timestamp::now();
    let watching = async {
        let many = |now: &Condition| matches!(now, Condition::Waiting { failures: 3.., .. });
        let seen = condition.wait_for(many).await.unwrap().clone();
        up.store(true, Ordering::SeqCst);
        seen
    };
    let (outcome, seen) = tokio::join!(dispatch(&outbox, batch(0..1)), watching);
    let Condition::Waiting {
        since,
        reason,
        retry_at,
        failures,
    } = seen
    else {
        panic!("it should wait");
    };
    assert_eq!(reason, "Segment answers 503 (it is in trouble)");
    assert!(failures >= 3);
    assert!(before <= since && since <= retry_at);
    let began: Vec<_> = outcome.attempts.iter().map(|attempt| attempt.at).collect();
    assert!(began[0] <= since && since <= began[1]);
    assert_eq!(outcome.accepted, [0]);
    assert_eq!(*outbox.condition().borrow(), Condition::Flowing);
}

#[tokio::test]
async fn a_long_outage_keeps_the_last_attempts_and_counts_them_all() {
    let n_failures = OUTCOME_ATTEMPTS + 10;
    let target = Target::judging(move |nth, _| {
        if nth < n_failures {
            status(429)
        } else {
            success()
        }
    })
    .await;
    let policy = Policy {
        backoff_max: Duration::from_millis(2),
        ..Policy::for_tests()
    };
    let outbox = outbox_with(&target, policy);
    let outcome = dispatch(&outbox, batch(0..1)).await;
    assert_eq!(outcome.n_attempts as usize, n_failures + 1);
    let ordinals: Vec<_> = outcome
        .attempts
        .iter()
        .map(|attempt| attempt.ordinal)
        .collect();
    assert_eq!(ordinals, (12..=61).collect::<Vec<_>>());
    let mut recent = outbox.recent_attempts();
    assert_eq!(recent.len(), RECENT_ATTEMPTS);
    recent.reverse();
    assert_eq!(recent, outcome.attempts);
}

#[tokio::test]
async fn one_connection_in_trouble_does_not_slow_another() {
    let down = Target::judging(|_, _| status(503)).await;
    let up = Target::playing(vec![]).await;
    let (stuck, free) = (outbox(&down), outbox(&up));
    let stop = CancellationToken::new();
    let proving = async {
        down.received(2).await;
        for tag in 0..20 {
            assert_eq!(dispatch(&free, batch(tag..tag + 1)).await.n_attempts, 1);
        }
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(stuck.dispatch(batch(0..1), &stop), proving);
    assert_eq!(outcome.stopped, [0]);
    assert_eq!(*free.condition().borrow(), Condition::Flowing);
}
