//! What an answer means: the only place in dispatch that knows HTTP statuses.
//!
//! | answer | verdict |
//! |---|---|
//! | 200 to 299, whatever the body | accepted |
//! | 400, 413, 422 | the event is at fault: halve the batch until the offender stands alone |
//! | 400 that names the write key | the destination is at fault |
//! | 422 to a request that said it was a retry | the same again, without saying so |
//! | everything else: 1xx, 3xx, 401, 403, 404, 408, 410, 429, 460, 5xx, statuses nobody lists | the destination is at fault |
//!
//! Two kinds of failure are never mixed. What is the destination's fault is waited for,
//! without end; only what is known to be an event's own fault may be buried, so a status
//! that nobody has described parks the events instead. A redirect is not followed: it
//! would take the events to a place that nobody configured.
//!
//! Pure: no clock, no I/O. What the wait is, and for whom, is not decided here.

use crate::post::Answer;

/// The greatest count that a request's `X-Retry-Count` states.
///
/// Segment may answer 422 to a count that is too high, and we retry for days where its
/// own server clients give up after ten. So we never say more than they do.
pub(crate) const MAX_RETRY_COUNT: u32 = 10;

/// What an answer means for the calls it answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Segment has the calls. That is all a 2xx says; the note says what was odd about it.
    Accepted { note: Option<&'static str> },
    /// At least one of the calls is wrong.
    EventFault,
    /// Segment may have objected to the retry count rather than to the calls.
    CountRefused,
    /// The calls are not known to be wrong; they wait.
    DestinationFault(Fault),
}

/// Why the destination takes nothing now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In words that a person understands.
    pub(crate) reason: String,
    pub(crate) connection: Connection,
    /// The `Retry-After` of the answer, unread: every fault's is honoured.
    pub(crate) retry_after: Option<String>,
}

/// Whether a failure speaks against the address we are connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Keep,
    Renew,
}

/// Judges `answer` to a request whose `X-Retry-Count` was `retry_count` (zero: it had none).
pub(crate) fn judge(answer: &Answer, retry_count: u32) -> Verdict {
    match answer.status {
        200..=299 => Verdict::Accepted {
            note: note(&answer.body),
        },
        400 if names_the_write_key(&answer.body) => Verdict::DestinationFault(fault(answer)),
        422 if retry_count > 0 => Verdict::CountRefused,
        400 | 413 | 422 => Verdict::EventFault,
        _ => Verdict::DestinationFault(fault(answer)),
    }
}

fn fault(answer: &Answer) -> Fault {
    let connection = match answer.status {
        500..=599 => Connection::Renew,
        _ => Connection::Keep,
    };
    Fault {
        reason: words(answer.status),
        connection,
        retry_after: answer.retry_after.clone(),
    }
}

fn note(body: &str) -> Option<&'static str> {
    let answer: Option<serde_json::Value> = serde_json::from_str(body).ok();
    match answer.as_ref().and_then(|answer| answer.get("success")) {
        Some(serde_json::Value::Bool(true)) => None,
        Some(_) => Some("accepted by its status, although the body does not say success"),
        None => Some("accepted by its status, but the body is not Segment's usual JSON"),
    }
}

fn names_the_write_key(body: &str) -> bool {
    serde_json::from_str(body).is_ok_and(|answer: serde_json::Value| {
        let message = answer.get("message").and_then(serde_json::Value::as_str);
        message.is_some_and(|message| message.to_lowercase().contains("write key"))
    })
}

fn words(status: u16) -> String {
    let meaning = match status {
        300..=399 => "a redirect, which is never followed: check the URL",
        400 => "the write key is invalid",
        401 | 403 => "access denied: check the write key",
        404 | 405 | 410 => "nothing takes batches there: check the URL",
        408 | 460 => "it did not get the request in time",
        429 => "too many requests",
        500..=599 => "it is in trouble",
        _ => "an answer that it is not known to give: check the URL",
    };
    format!("Segment answers {status} ({meaning})")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE_KEY: &str = r#"{"success":false,"message":"An invalid write key was provided","code":"invalid_request"}"#;
    const MALFORMED: &str =
        r#"{"success":false,"message":"malformed JSON","code":"invalid_request"}"#;

    fn judged(status: u16, body: &str) -> Verdict {
        judge(
            &Answer {
                status,
                body: body.to_owned(),
                retry_after: None,
            },
            0,
        )
    }

    #[test]
    fn every_2xx_is_accepted_whatever_its_body() {
        assert_eq!(
            judged(200, r#"{"success": true}"#),
            Verdict::Accepted { note: None }
        );
        for status in [200, 201, 202, 204, 299] {
            for body in ["", "ok", "<html>", "[]", r#"{"success":false}"#] {
                let verdict = judged(status, body);
                assert!(
                    matches!(verdict, Verdict::Accepted { note: Some(_) }),
                    "{status} {body}"
                );
            }
        }
    }

    #[test]
    fn only_400_413_and_422_blame_the_event() {
        for status in 100..=999 {
            if (200..=299).contains(&status) {
                continue;
            }
            let blames_event = judged(status, "Bad Request") == Verdict::EventFault;
            assert_eq!(blames_event, matches!(status, 400 | 413 | 422), "{status}");
        }
        assert_eq!(judged(400, MALFORMED), Verdict::EventFault);
        assert_eq!(judged(400, ""), Verdict::EventFault);
    }

    #[test]
    fn a_400_that_names_the_write_key_is_no_events_fault() {
        let Verdict::DestinationFault(fault) = judged(400, WRITE_KEY) else {
            panic!("the write key is the destination's");
        };
        assert_eq!(
            fault.reason,
            "Segment answers 400 (the write key is invalid)"
        );
    }

    #[test]
    fn a_422_to_a_counted_retry_is_asked_again_without_the_count() {
        let answer = Answer {
            status: 422,
            body: String::new(),
            retry_after: None,
        };
        assert_eq!(judge(&answer, 1), Verdict::CountRefused);
        assert_eq!(judge(&answer, 0), Verdict::EventFault);
    }

    #[test]
    fn only_a_5xx_speaks_against_the_address() {
        for status in [
            301, 401, 403, 404, 408, 410, 429, 451, 460, 500, 501, 503, 529,
        ] {
            let Verdict::DestinationFault(fault) = judged(status, "") else {
                panic!("{status} is the destination's");
            };
            let renews = fault.connection == Connection::Renew;
            assert_eq!(renews, status >= 500, "{status}");
            assert!(
                fault.reason.contains(&status.to_string()),
                "{}",
                fault.reason
            );
        }
    }
}
