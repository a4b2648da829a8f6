//! What is kept of a batch: with which options its calls were made, and every
//! attempt to deliver them. The journal keeps it beside the cursor that passes it.
//!
//! ```text
//! version u8 = 1 or 2 | options 8 | ended i64 ms | calls u32
//! | refused u16 (seq u64).. | left out u32
//! | attempts u8 (at i64 ms, took u32 us, calls u32, status u16 or 0, text u16 utf-8)..
//! version 2: | first u64 | members u16 (seq minus first u32)..
//! ```
//!
//! A feed's batch is for all records from its first to its last that became calls; a
//! replay leaves records out, so its traces (version 2) name those that they are for.
//! Numbers are little-endian. Decoding is total: any bytes give a trace or none.

use bytes::{Buf as _, BufMut as _, Bytes};
use connections::Options;
use dispatch::{Attempt, AttemptResult, Outcome};
use jiff::Timestamp;
use journal::{Seq, Trace};
use sha2::{Digest as _, Sha256};

const VERSION: u8 = 1;
/// The version of traces that name their records.
const OF_SOME: u8 = 2;
/// Attempts that are kept of one batch: the last ones.
const ATTEMPTS: usize = 20;
/// Of an answer this much is kept.
const TEXT_BYTES: usize = 500;
/// Refused calls that are named. More than these were never seen in one batch.
const REFUSED: usize = 500;

/// Names options by what they are: equal marks, equal options.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct OptionsMark([u8; 8]);

impl OptionsMark {
    /// The mark of these options.
    pub(crate) fn of(options: &Options) -> OptionsMark {
        let digest = Sha256::digest(options.to_toml());
        let mut mark = [0; 8];
        mark.iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        OptionsMark(mark)
    }
}

impl std::fmt::Display for OptionsMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What became of one batch.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct BatchTrace {
    /// The options that its calls were made with.
    pub(crate) options: OptionsMark,
    /// When the last of its calls had ended.
    pub(crate) ended_at: Timestamp,
    /// How many calls it carried.
    pub(crate) calls: u32,
    /// The records whose calls were refused.
    pub(crate) refused: Vec<Seq>,
    /// Attempts that are not kept, before those that are.
    pub(crate) left_out: u32,
    /// The attempts, oldest first.
    pub(crate) attempts: Vec<Tried>,
    /// The records that it is for; none: all that it covers.
    pub(crate) members: Option<Vec<Seq>>,
}

/// One attempt, as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Tried {
    /// When it began.
    pub(crate) at: Timestamp,
    /// How long it took, in microseconds; beyond an hour no more than that.
    pub(crate) took_us: u32,
    /// How many calls it carried.
    pub(crate) calls: u32,
    /// The status; none where there was no answer.
    pub(crate) status: Option<u16>,
    /// The beginning of the answer, or why there was none.
    pub(crate) text: String,
}

/// The trace of a feed's batch that has ended; none where none of its calls has.
pub(super) fn of_batch(
    outcome: &Outcome,
    options: OptionsMark,
    ended_at: Timestamp,
) -> Option<Trace> {
    let (span, trace) = ended(outcome, options, ended_at)?;
    Some(trace.over(span))
}

/// The trace of a replay's batch, which names its records.
pub(crate) fn of_some(
    outcome: &Outcome,
    options: OptionsMark,
    ended_at: Timestamp,
) -> Option<Trace> {
    let (span, mut trace) = ended(outcome, options, ended_at)?;
    let refused = outcome.refused.iter().map(|refused| refused.tag);
    let mut members: Vec<u64> = outcome.accepted.iter().copied().chain(refused).collect();
    members.sort_unstable();
    trace.members = Some(members.into_iter().map(Seq::new).collect());
    Some(trace.over(span))
}

/// What is told of a batch, and its first and last record.
fn ended(
    outcome: &Outcome,
    options: OptionsMark,
    ended_at: Timestamp,
) -> Option<((Seq, Seq), BatchTrace)> {
    let refused = outcome.refused.iter().map(|refused| refused.tag);
    let ended = outcome.accepted.iter().copied().chain(refused.clone());
    let first = ended.clone().min()?;
    let through = ended.clone().max()?;
    let skipped = outcome.attempts.len().saturating_sub(ATTEMPTS);
    let attempts: Vec<Tried> = outcome.attempts.iter().skip(skipped).map(tried).collect();
    let kept = narrow(attempts.len());
    let trace = BatchTrace {
        options,
        ended_at,
        calls: narrow(ended.count()),
        refused: refused.take(REFUSED).map(Seq::new).collect(),
        left_out: outcome.n_attempts.saturating_sub(kept),
        attempts,
        members: None,
    };
    Some(((Seq::new(first), Seq::new(through)), trace))
}

fn tried(attempt: &Attempt) -> Tried {
    let (status, text) = match &attempt.result {
        AttemptResult::Answered { status, body } => (Some(*status), body),
        AttemptResult::Failed { cause } => (None, cause),
    };
    Tried {
        at: attempt.at,
        took_us: u32::try_from(attempt.duration.as_micros()).unwrap_or(u32::MAX),
        calls: narrow(attempt.calls),
        status,
        text: text
            .split_at(text.floor_char_boundary(TEXT_BYTES))
            .0
            .to_owned(),
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl BatchTrace {
    /// Whether it is for this record, which it covers.
    pub(crate) fn is_for(&self, seq: Seq) -> bool {
        let members = self.members.as_ref();
        members.is_none_or(|members| members.contains(&seq))
    }

    fn over(&self, (first, through): (Seq, Seq)) -> Trace {
        Trace {
            first,
            through,
            value: self.encode(),
        }
    }

    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64 + self.attempts.len() * 64);
        out.put_u8(if self.members.is_some() {
            OF_SOME
        } else {
            VERSION
        });
        out.put_slice(&self.options.0);
        out.put_i64_le(self.ended_at.as_millisecond());
        out.put_u32_le(self.calls);
        out.put_u16_le(u16::try_from(self.refused.len()).unwrap_or(u16::MAX));
        self.refused
            .iter()
            .for_each(|seq| out.put_u64_le(seq.get()));
        out.put_u32_le(self.left_out);
        out.put_u8(u8::try_from(self.attempts.len()).unwrap_or(u8::MAX));
        for attempt in &self.attempts {
            out.put_i64_le(attempt.at.as_millisecond());
            out.put_u32_le(attempt.took_us);
            out.put_u32_le(attempt.calls);
            out.put_u16_le(attempt.status.unwrap_or(0));
            out.put_u16_le(u16::try_from(attempt.text.len()).unwrap_or(u16::MAX));
            out.put_slice(attempt.text.as_bytes());
        }
        if let Some(members) = &self.members {
            put_members(&mut out, members);
        }
        out.into()
    }

    /// The trace of these bytes; none where they are of another build, or nonsense.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<BatchTrace> {
        let version = bytes.try_get_u8().ok()?;
        if version != VERSION && version != OF_SOME {
            return None;
        }
        let mut mark = [0; 8];
        bytes.try_copy_to_slice(&mut mark).ok()?;
        let ended_at = time(&mut bytes)?;
        let calls = bytes.try_get_u32_le().ok()?;
        let refused = (0..bytes.try_get_u16_le().ok()?)
            .map(|_| bytes.try_get_u64_le().ok().map(Seq::new))
            .collect::<Option<Vec<Seq>>>()?;
        let left_out = bytes.try_get_u32_le().ok()?;
        let attempts = (0..bytes.try_get_u8().ok()?)
            .map(|_| decode_attempt(&mut bytes))
            .collect::<Option<Vec<Tried>>>()?;
        let members = match version {
            OF_SOME => Some(decode_members(&mut bytes)?),
            _ => None,
        };
        Some(BatchTrace {
            options: OptionsMark(mark),
            ended_at,
            calls,
            refused,
            left_out,
            attempts,
            members,
        })
    }
}

/// Writes records as distances from the first; one that lies further away than
/// a batch ever reaches is left out.
fn put_members(out: &mut Vec<u8>, members: &[Seq]) {
    let first = members.first().map_or(0, |seq| seq.get());
    let distance = |seq: &Seq| u32::try_from(seq.get().saturating_sub(first)).ok();
    let distances: Vec<u32> = members.iter().filter_map(distance).collect();
    out.put_u64_le(first);
    out.put_u16_le(u16::try_from(distances.len()).unwrap_or(u16::MAX));
    for distance in distances {
        out.put_u32_le(distance);
    }
}

fn decode_members(bytes: &mut Bytes) -> Option<Vec<Seq>> {
    let first = bytes.try_get_u64_le().ok()?;
    let n_members = bytes.try_get_u16_le().ok()?;
    let each = (0..n_members).map(|_| {
        let distance = bytes.try_get_u32_le().ok()?;
        Some(Seq::new(first.checked_add(u64::from(distance))?))
    });
    each.collect()
}

fn decode_attempt(bytes: &mut Bytes) -> Option<Tried> {
    let at = time(bytes)?;
    let took_us = bytes.try_get_u32_le().ok()?;
    let calls = bytes.try_get_u32_le().ok()?;
    let status = Some(bytes.try_get_u16_le().ok()?).filter(|status| *status > 0);
    let length = usize::from(bytes.try_get_u16_le().ok()?);
    if bytes.remaining() < length {
        return None;
    }
    let text = bytes.copy_to_bytes(length);
    Some(Tried {
        at,
        took_us,
        calls,
        status,
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

fn time(bytes: &mut Bytes) -> Option<Timestamp> {
    Timestamp::from_millisecond(bytes.try_get_i64_le().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn trace() -> BatchTrace {
        let tried = |status, text: &str| Tried {
            at: at(1_585_254_348_000),
            took_us: 91_000,
            calls: 162,
            status,
            text: text.to_owned(),
        };
        BatchTrace {
            options: OptionsMark::of(&Options::default()),
            ended_at: at(1_585_254_348_091),
            calls: 162,
            refused: vec![Seq::new(7), Seq::new(9)],
            left_out: 3,
            attempts: vec![tried(None, "no route"), tried(Some(200), "\u{1f600}")],
            members: None,
        }
    }

    fn of_three() -> BatchTrace {
        let members = [7, 9, 1_000_000].map(Seq::new);
        BatchTrace {
            members: Some(members.into()),
            ..trace()
        }
    }

    #[test]
    fn a_trace_reads_back_as_it_was_written() {
        assert_eq!(BatchTrace::decode(trace().encode()), Some(trace()));
        assert_eq!(BatchTrace::decode(of_three().encode()), Some(of_three()));
    }

    #[test]
    fn a_trace_that_names_its_records_is_for_no_other() {
        assert!(trace().is_for(Seq::new(8)));
        assert!(of_three().is_for(Seq::new(9)));
        assert!(!of_three().is_for(Seq::new(8)));
    }

    #[test]
    fn other_options_have_another_mark() {
        let other = Options {
            body_content: true,
            ..Options::default()
        };
        assert_ne!(
            OptionsMark::of(&other),
            OptionsMark::of(&Options::default())
        );
    }

    #[test]
    fn a_trace_that_was_cut_is_none() {
        for whole in [trace().encode(), of_three().encode()] {
            for length in 0..whole.len() {
                assert_eq!(BatchTrace::decode(whole.slice(..length)), None);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_trace_or_none(bytes: Vec<u8>) {
            let _decoded = BatchTrace::decode(bytes.into());
        }
    }
}
