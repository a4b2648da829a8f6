//! What must hold of verdicts whatever a server answers: for the fuzz target
//! `answers`, and for a test that runs its seeds. No part of the product.
//!
//! ```text
//! input = status u16 | retry count u8 | Retry-After, to the end of the line | body
//! ```

#![expect(clippy::missing_panics_doc, reason = "a panic is what is looked for")]

use jiff::Timestamp;

use crate::Policy;
use crate::post::Answer;
use crate::retry_after;
use crate::verdict::{Verdict, judge};

/// Judges the answer that `data` describes.
pub fn answers(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<3>() else {
        return;
    };
    let [low, high, retry_count] = *head;
    let status = u16::from_le_bytes([low, high]) % 1000;
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let answer = Answer {
        status,
        retry_after: Some(text()).filter(|value| !value.is_empty()),
        body: text(),
    };
    let policy = Policy::default();
    let bounds = policy.retry_after_min..=policy.retry_after_max;
    match judge(&answer, u32::from(retry_count)) {
        Verdict::Accepted { .. } => assert!((200..300).contains(&status)),
        Verdict::EventFault => assert!([400, 413, 422].contains(&status)),
        Verdict::CountRefused => assert!(status == 422 && retry_count > 0),
        Verdict::DestinationFault(fault) => {
            assert!(!(200..300).contains(&status) && status != 413 && status != 422);
            assert!(!fault.reason.is_empty());
            assert_eq!(fault.retry_after, answer.retry_after);
        }
    }
    let now = Timestamp::from_second(1_700_000_000).expect("a time of our age");
    for now in [now, Timestamp::MIN, Timestamp::MAX] {
        let asked = answer.retry_after.as_deref();
        if let Some(wait) = asked.and_then(|value| retry_after::parse(value, now, &bounds)) {
            assert!(bounds.contains(&wait), "{wait:?}");
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_of_the_answers_is_judged_by_its_status() {
        assert!(super::seeds::each("answers", super::answers) > 3);
    }
}
