//! Every status of the contract's table lands in the right state.

use dispatch::AttemptResult;

use crate::target::{Answer, SUCCESS, Step, Target, status, success};
use crate::{batch, dispatch, outbox};

const WRITE_KEY_FAULT: &str = r#"{
  "success": false,
  "message": "An invalid write key was provided",
  "code": "invalid_request"
}"#;
const TOO_LARGE: &str =
    r#"{"success":false,"message":"Exceed payload limit","code":"invalid_request"}"#;

fn answer(status: u16, body: &str) -> AttemptResult {
    AttemptResult::Answered {
        status,
        body: body.to_owned(),
    }
}

#[tokio::test]
async fn every_2xx_is_accepted_whatever_its_body() {
    for (status, body) in [
        (200, SUCCESS),
        (200, "<html>"),
        (201, ""),
        (202, "ok"),
        (204, ""),
    ] {
        let target = Target::playing(vec![Answer::new(status, body).into()]).await;
        let outcome = dispatch(&outbox(&target), batch(0..3)).await;
        assert_eq!(outcome.accepted, [0, 1, 2], "{status} {body}");
        assert_eq!(outcome.attempts[0].result, answer(status, body));
        assert_eq!(
            outcome.attempts[0].note.is_none(),
            body == SUCCESS,
            "{status} {body}"
        );
        assert_eq!(target.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_status_that_does_not_blame_the_event_is_waited_for() {
    let listed = [
        401, 403, 404, 408, 410, 429, 460, 500, 501, 502, 503, 504, 505, 508, 511, 529,
    ];
    let redirects = [300, 301, 302, 303, 304, 307, 308];
    let unlisted = [
        402, 405, 406, 407, 409, 411, 412, 414, 415, 417, 418, 425, 431, 451, 499, 599,
    ];
    for code in listed.into_iter().chain(redirects).chain(unlisted) {
        let target = Target::playing(vec![status(code), status(code), success()]).await;
        let outcome = dispatch(&outbox(&target), batch(0..2)).await;
        assert_eq!(outcome.accepted, [0, 1], "{code}");
        assert_eq!(outcome.refused, [], "{code}");
        let results: Vec<_> = outcome
            .attempts
            .into_iter()
            .map(|attempt| attempt.result)
            .collect();
        assert_eq!(
            results,
            [answer(code, ""), answer(code, ""), answer(200, SUCCESS)]
        );
    }
}

#[tokio::test]
async fn a_protocol_switch_that_nobody_asked_for_is_waited_out() {
    let target = Target::playing(vec![status(101), success()]).await;
    let outcome = dispatch(&outbox(&target), batch(0..2)).await;
    assert_eq!(outcome.accepted, [0, 1]);
    assert_eq!(outcome.n_attempts, 2);
}

#[tokio::test]
async fn a_400_that_names_the_write_key_is_waited_for() {
    let fault: Step = Answer::new(400, WRITE_KEY_FAULT).into();
    let target = Target::playing(vec![fault.clone(), fault]).await;
    let outcome = dispatch(&outbox(&target), batch(0..2)).await;
    assert_eq!(outcome.accepted, [0, 1]);
    assert_eq!(outcome.n_attempts, 3);
}

#[tokio::test]
async fn a_call_that_is_refused_alone_comes_back_with_the_answer() {
    for (status, body) in [
        (400, TOO_LARGE),
        (400, "Bad Request"),
        (400, ""),
        (413, ""),
        (422, "no"),
    ] {
        let target = Target::playing(vec![Answer::new(status, body).into()]).await;
        let outcome = dispatch(&outbox(&target), batch(7..8)).await;
        let refused = &outcome.refused[0];
        assert_eq!(refused.attempt.result, answer(status, body));
        assert_eq!((refused.tag, refused.call.message_id.as_str()), (7, "pm-7"));
        assert_eq!((outcome.accepted.len(), outcome.stopped.len()), (0, 0));
        assert_eq!(target.requests().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn one_wrong_call_among_2500_is_found_and_the_rest_is_accepted() {
    const WRONG: u64 = 1_703;
    let target = Target::judging(|_, request| {
        if request.message_ids().contains(&format!("pm-{WRONG}")) {
            Answer::new(400, TOO_LARGE).into()
        } else {
            success()
        }
    })
    .await;
    let outcome = dispatch(&outbox(&target), batch(0..2_500)).await;

    let expected: Vec<_> = (0..2_500).filter(|tag| *tag != WRONG).collect();
    assert_eq!(outcome.accepted, expected);
    let refused: Vec<_> = outcome.refused.iter().map(|refused| refused.tag).collect();
    assert_eq!(refused, [WRONG]);
    let requests = target.requests();
    assert!(requests.len() <= 1 + 2 * 12, "{} requests", requests.len());
    // Each answer covers the calls as they were pushed, under their own ids.
    let mut n_accepted = 0;
    for request in requests
        .iter()
        .filter(|request| !request.body.contains("\"pm-1703\""))
    {
        n_accepted += request.message_ids().len();
    }
    assert_eq!(n_accepted, 2_499);
}

#[tokio::test]
async fn an_outage_in_the_middle_of_the_search_is_waited_out() {
    let target = Target::judging(|nth, request| {
        if nth % 2 == 1 {
            status(503)
        } else if request.message_ids().contains(&"pm-5".to_owned()) {
            Answer::new(400, "Bad Request").into()
        } else {
            success()
        }
    })
    .await;
    let outcome = dispatch(&outbox(&target), batch(0..8)).await;
    assert_eq!(outcome.accepted, [0, 1, 2, 3, 4, 6, 7]);
    assert_eq!(outcome.refused.len(), 1);
    assert_eq!(outcome.refused[0].tag, 5);
    assert_eq!(outcome.refused[0].attempt.calls, 1);
}

#[tokio::test]
async fn a_422_to_a_retry_is_asked_again_without_the_retry_count_before_it_counts() {
    let target = Target::judging(|nth, request| match request.retry_count() {
        Some(_) => status(422),
        None if nth == 0 => status(503),
        None => success(),
    })
    .await;
    let outcome = dispatch(&outbox(&target), batch(0..1)).await;
    assert_eq!(outcome.accepted, [0]);
    let requests = target.requests();
    let counts: Vec<_> = requests
        .iter()
        .map(|request| request.retry_count())
        .collect();
    assert_eq!(counts, [None, Some("1"), None]);
}

#[tokio::test]
async fn no_more_than_the_first_4_kb_of_an_answer_are_kept() {
    let long = "é".repeat(100_000);
    let garbage = [b'{', 0xff, 0xfe, 0x00];
    let target = Target::playing(vec![
        Answer::new(503, format!("x{long}")).into(),
        Answer::new(503, garbage).into(),
        Answer::new(503, [0xff; 5_000]).into(),
    ])
    .await;
    let outcome = dispatch(&outbox(&target), batch(0..1)).await;
    let bodies: Vec<_> = outcome
        .attempts
        .iter()
        .map(|attempt| match &attempt.result {
            AttemptResult::Answered { body, .. } => body.as_str(),
            AttemptResult::Failed { cause } => panic!("{cause}"),
        })
        .collect();
    // The 4096th byte is the first half of a letter, which is shown as such.
    assert!(
        bodies[0].starts_with("xéé") && bodies[0].len() <= 4_096,
        "{}",
        bodies[0].len()
    );
    assert!(bodies[0].len() > 4_000);
    assert_eq!(bodies[1], "{\u{fffd}\u{fffd}\0");
    assert!(bodies[2].len() <= 4_096);
    assert_eq!(outcome.accepted, [0]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Target::playing(vec![]).await;
    let location = format!("{}/v1/batch", elsewhere.destination().endpoint);
    let redirect = Answer::new(307, "").with("location", location);
    let target = Target::playing(vec![redirect.into()]).await;
    let outcome = dispatch(&outbox(&target), batch(0..2)).await;
    assert_eq!(outcome.accepted, [0, 1]);
    assert_eq!(target.requests().len(), 2);
    assert_eq!(elsewhere.requests().len(), 0);
}
