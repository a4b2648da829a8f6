//! The line of events: who waits for what, and for how long.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use emulator::customerio::{
    ANSWER_TIMEOUT, Campaign, Failure, GIVE_UP_AFTER, HOLD, HoldEnd, Next, Outcome, Sender,
    StartError, Turn,
};
use tokio::{net::TcpListener, sync::Barrier, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::receiver::*;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn events_arrive_once_each_and_in_order() {
    let receiver = Receiver::start([]).await;
    let (report, seen) = watch(&receiver.sender(), numbered(20)).await;
    assert_eq!(receiver.bodies(), (0..20).map(body).collect::<Vec<_>>());
    assert_eq!(
        (report.sent, report.accepted, report.attempts),
        (20, 20, 20)
    );
    assert_eq!(
        (report.lost, report.unfinished, report.repeats, report.holds),
        (0, 0, 0, 0)
    );
    assert_eq!(report.statuses, BTreeMap::from([(200, 20)]));
    assert!(report.latency.p50() > Duration::ZERO && report.latency.p99() <= report.latency.max());
    let sequences: Vec<u64> = seen.iter().map(|progress| progress.sequence).collect();
    assert_eq!(sequences, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn everything_behind_a_failed_event_waits_for_it() {
    let script = [200, 500, 500, 204].map(Reply::Status);
    let receiver = Receiver::start(script).await;
    let (report, seen) = watch(&receiver.sender(), numbered(3)).await;
    let order = [0, 1, 1, 1, 2].map(body);
    assert_eq!(receiver.bodies(), order);
    let next: Vec<Next> = seen.iter().map(|progress| progress.next).collect();
    let backoff = Duration::from_secs(15);
    assert_eq!(
        next,
        [
            Next::Done,
            Next::RetryAfter(HOLD),
            Next::RetryAfter(backoff),
            Next::Done,
            Next::Done
        ]
    );
    assert_eq!(report.accepted, 3);
    assert_eq!(
        report.statuses,
        BTreeMap::from([(200, 2), (204, 1), (500, 2)])
    );
    assert_eq!(report.holds, 1);
    let hold = report.held[0];
    assert_eq!(
        (hold.sequence, hold.attempts, hold.cause),
        (1, 3, Failure::Status(500))
    );
    assert_eq!(
        (hold.held_for, hold.end),
        (HOUR + backoff, HoldEnd::Accepted)
    );
}

#[tokio::test]
async fn statuses_off_the_list_back_off_without_the_hour() {
    let script = [503, 503, 413].map(Reply::Status);
    let receiver = Receiver::start(script).await;
    let (_, seen) = watch(&receiver.sender(), numbered(1)).await;
    let next: Vec<Next> = seen.iter().map(|progress| progress.next).collect();
    let waits = [15, 30, 60].map(|seconds| Next::RetryAfter(Duration::from_secs(seconds)));
    assert_eq!(next[..3], waits);
    assert_eq!(next[3], Next::Done);
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout_and_retried() {
    let receiver = Receiver::start([Reply::Never]).await;
    let sender = Sender {
        timeout: Duration::from_millis(300),
        ..receiver.sender()
    };
    let (report, seen) = watch(&sender, numbered(1)).await;
    assert_eq!(seen[0].outcome, Outcome::Failed(Failure::Timeout));
    assert_eq!(seen[0].next, Next::RetryAfter(Duration::from_secs(15)));
    assert!(report.unanswered.contains_key(&Failure::Timeout));
    assert_eq!(report.accepted, 1);
    assert_eq!(Sender::new("http://x").timeout, ANSWER_TIMEOUT);
    assert_eq!(ANSWER_TIMEOUT, Duration::from_secs(4));
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_holds_for_an_hour() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    let mut seen = Vec::new();
    let observe = |progress| {
        seen.push(progress);
        stop.cancel();
    };
    let report = Sender::new(url)
        .run_observed(numbered(1), stop.clone(), observe)
        .await
        .unwrap();
    assert_eq!(seen[0].outcome, Outcome::Failed(Failure::Connection));
    assert_eq!(seen[0].next, Next::RetryAfter(HOLD));
    assert_eq!(
        report.unanswered,
        BTreeMap::from([(Failure::Connection, 1)])
    );
}

#[tokio::test]
async fn an_event_that_fails_for_seven_days_is_lost_and_the_line_moves_on() {
    let receiver = Receiver::start([]).await;
    receiver.poison(r#""n":0}"#);
    let sender = Sender {
        time_scale: u32::MAX.try_into().unwrap(),
        ..receiver.sender()
    };
    let (report, seen) = watch(&sender, numbered(2)).await;
    assert_eq!((report.sent, report.accepted, report.lost), (2, 1, 1));
    let hold = report.held[0];
    assert_eq!(hold.end, HoldEnd::Lost);
    assert!(
        hold.held_for <= GIVE_UP_AFTER && hold.held_for + HOUR > GIVE_UP_AFTER,
        "{hold:?}"
    );
    let last_but_one = seen[seen.len() - 2];
    assert_eq!((last_but_one.sequence, last_but_one.next), (0, Next::Lost));
    assert_eq!(receiver.bodies().last(), Some(&body(1)));
}

#[tokio::test]
async fn several_events_can_be_in_flight_at_once() {
    let together = Reply::Together(Arc::new(Barrier::new(3)));
    let receiver = Receiver::start(vec![together; 3]).await;
    let sender = Sender {
        in_flight: 3.try_into().unwrap(),
        ..receiver.sender()
    };
    let (report, _) = watch(&sender, numbered(3)).await;
    assert_eq!((report.accepted, report.attempts), (3, 3));
}

#[tokio::test]
async fn a_failure_among_several_lets_no_new_event_start() {
    // Both are answered together, so that the failure is known before a third could start.
    let receiver =
        Receiver::start([Reply::Status(503), Reply::Status(503), Reply::Status(503)]).await;
    let sender = Sender {
        in_flight: 2.try_into().unwrap(),
        ..receiver.sender()
    };
    let (report, seen) = watch(&sender, numbered(6)).await;
    assert_eq!(report.accepted, 6);
    let failed_until = seen
        .iter()
        .rposition(|progress| matches!(progress.next, Next::RetryAfter(_)))
        .unwrap();
    let started: Vec<u64> = seen[..=failed_until]
        .iter()
        .map(|progress| progress.sequence)
        .collect();
    assert!(started.iter().all(|sequence| *sequence < 2), "{started:?}");
}

#[tokio::test]
async fn accepted_events_can_be_repeated_as_after_a_lost_answer() {
    let receiver = Receiver::start([]).await;
    let sender = Sender {
        repeat_percent: 100,
        ..receiver.sender()
    };
    let (report, seen) = watch(&sender, numbered(3)).await;
    assert_eq!(receiver.bodies(), [0, 0, 1, 1, 2, 2].map(body));
    assert_eq!(
        (
            report.sent,
            report.accepted,
            report.repeats,
            report.attempts
        ),
        (3, 3, 3, 6)
    );
    let turns: Vec<Turn> = seen.iter().map(|progress| progress.turn).collect();
    assert_eq!(
        turns,
        [
            Turn::Event,
            Turn::Repeat,
            Turn::Event,
            Turn::Repeat,
            Turn::Event,
            Turn::Repeat
        ]
    );
}

#[tokio::test]
async fn a_stopped_sender_does_not_sit_out_an_hour() {
    let receiver = Receiver::start([Reply::Status(500)]).await;
    let sender = Sender {
        time_scale: 1.try_into().unwrap(),
        ..receiver.sender()
    };
    let stop = CancellationToken::new();
    let observe = |_| stop.cancel();
    let report = sender
        .run_observed(numbered(3), stop.clone(), observe)
        .await
        .unwrap();
    assert_eq!((report.sent, report.accepted, report.unfinished), (1, 0, 1));
    assert_eq!(report.held[0].end, HoldEnd::Stopped);
    assert_eq!(receiver.bodies(), [body(0)]);
}

#[tokio::test]
async fn a_sender_can_run_as_a_task_of_its_own() {
    let receiver = Receiver::start([]).await;
    let sender = receiver.sender();
    let campaign = Campaign {
        events: Some(5),
        ..Campaign::new(1, "2026-03-01T08:00:00Z".parse().unwrap())
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { sender.run(campaign, CancellationToken::new()).await });
    let report = tasks.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((report.accepted, receiver.bodies().len()), (5, 5));
}

#[tokio::test]
async fn redirects_are_failures_and_not_followed() {
    let receiver = Receiver::start([Reply::Redirect]).await;
    let (report, _) = watch(&receiver.sender(), numbered(1)).await;
    assert_eq!(report.statuses, BTreeMap::from([(200, 1), (302, 1)]));
    assert_eq!(receiver.bodies().len(), 2);
}

#[tokio::test]
async fn a_rate_is_not_exceeded() {
    let receiver = Receiver::start([]).await;
    let sender = Sender {
        rate: Some(100.try_into().unwrap()),
        ..receiver.sender()
    };
    let began = Instant::now();
    watch(&sender, numbered(4)).await;
    // Only a floor: nothing here says how fast a machine must be.
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn what_is_no_http_url_is_refused_before_the_first_event() {
    for url in ["", "not a url", "ftp://127.0.0.1/"] {
        let refused = Sender::new(url)
            .run(numbered(1), CancellationToken::new())
            .await;
        assert!(matches!(refused, Err(StartError::Url { .. })), "{url}");
    }
}
