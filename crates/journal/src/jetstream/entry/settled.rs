//! The part of a settlement that is an entry: what a connection claimed and did on
//! its way. Its cursor is a row, and what was buried is messages of their own.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::{hash, length, seq};
use crate::index::ClaimKey;
use crate::place::Seq;
use crate::settle::Trace;

/// What a connection claimed and did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Settled {
    /// First occurrences that nobody held.
    pub(crate) claims: Vec<(ClaimKey, Seq)>,
    /// What ended.
    pub(crate) traces: Vec<Trace>,
}

impl Settled {
    pub(super) fn encode_claims(&self, out: &mut BytesMut) {
        out.put_u32_le(length(self.claims.len()));
        for (key, seq) in &self.claims {
            out.put_slice(key.as_bytes());
            out.put_u64_le(seq.get());
        }
    }

    pub(super) fn encode_traces(&self, out: &mut BytesMut) {
        out.put_u32_le(length(self.traces.len()));
        for trace in &self.traces {
            out.put_u64_le(trace.first.get());
            out.put_u64_le(trace.through.get());
            out.put_u32_le(length(trace.value.len()));
            out.put_slice(&trace.value);
        }
    }
}

pub(super) fn decode_claims(rest: &mut Bytes) -> Option<Vec<(ClaimKey, Seq)>> {
    let n_claims = rest.try_get_u32_le().ok()?;
    let mut claims = Vec::new();
    for _ in 0..n_claims {
        claims.push((ClaimKey::new(hash(rest)?), seq(rest)?));
    }
    Some(claims)
}

pub(super) fn decode_traces(rest: &mut Bytes) -> Option<Vec<Trace>> {
    let n_traces = rest.try_get_u32_le().ok()?;
    let mut traces = Vec::new();
    for _ in 0..n_traces {
        let (first, through) = (seq(rest)?, seq(rest)?);
        let value_bytes = rest.try_get_u32_le().ok()? as usize;
        let value = (value_bytes <= rest.len()).then(|| rest.split_to(value_bytes))?;
        traces.push(Trace {
            first,
            through,
            value,
        });
    }
    Some(traces)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Entry;
    use super::*;

    /// Something of everything.
    pub(in super::super) fn of_both() -> Settled {
        let trace = |first, through, value| Trace {
            first: Seq::new(first),
            through: Seq::new(through),
            value: Bytes::from_static(value),
        };
        Settled {
            claims: vec![(ClaimKey::new([7; 16]), Seq::new(4711))],
            traces: vec![trace(4700, 4711, b"sent"), trace(1, 2, b"")],
        }
    }

    #[test]
    fn claims_without_traces_are_written_as_they_were_before_there_were_traces() {
        let claims = Settled {
            traces: Vec::new(),
            ..of_both()
        };
        let written = Entry::Settled(claims).encode();
        let mut content = vec![2, 1, 0, 0, 0];
        content.extend([7; 16]);
        content.extend([0x67, 0x12, 0, 0, 0, 0, 0, 0]);
        assert_eq!(written[8..], content);
    }
}
