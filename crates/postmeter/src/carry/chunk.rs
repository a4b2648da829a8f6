//! Records on their way from one journal to another, as bytes. Numbers are
//! little-endian.
//!
//! ```text
//! "PMc1" | after u64 | through u64 | then for each record:
//! origin u64 | received seconds i64, nanos i32 | workspace u8 | signer u8 | flags u8
//! | body u32 | workspace | signer | body
//! ```
//!
//! Flag 1 says that there is a signer, flag 2 that the event is history.

use bytes::{Buf as _, BufMut as _, Bytes};
use jiff::Timestamp;
use journal::{Affinity, Draft, Record, Seq, Tense};

const MAGIC: [u8; 4] = *b"PMc1";
const HEAD_BYTES: usize = 27;
const IS_SIGNED: u8 = 1;
const IS_HISTORICAL: u8 = 2;

/// Old records, in order.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    /// The old record before the first.
    pub(crate) after: u64,
    /// Through which old record it goes; damaged ones are left out.
    pub(crate) through: u64,
    /// The records; what keeps them together is for the receiver to find.
    pub(crate) drafts: Vec<Draft>,
}

/// A record that is not as it was when it was received.
#[derive(Debug, thiserror::Error)]
#[error("the records are damaged on their way")]
pub(crate) struct Damaged;

impl Chunk {
    /// A draft of an old record.
    pub(crate) fn draft(record: Record, origin: Seq) -> Draft {
        Draft {
            received_at: record.received_at,
            workspace: record.workspace,
            signed_by: record.signed_by,
            affinity: Affinity::default(),
            origin: Some(origin),
            tense: record.tense,
            body: record.body,
        }
    }

    /// The bytes of the chunk. The journal that the records are from has checked
    /// their lengths.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.put_u64_le(self.after);
        out.put_u64_le(self.through);
        for draft in &self.drafts {
            let signer = draft.signed_by.as_deref().unwrap_or_default();
            let short = |text: &str| u8::try_from(text.len()).expect("a journal's names are short");
            let body_bytes = u32::try_from(draft.body.len()).expect("a journal's bodies fit");
            out.put_u64_le(draft.origin.map_or(0, Seq::get));
            out.put_i64_le(draft.received_at.as_second());
            out.put_i32_le(draft.received_at.subsec_nanosecond());
            out.put_u8(short(&draft.workspace));
            out.put_u8(short(signer));
            out.put_u8(flags(draft));
            out.put_u32_le(body_bytes);
            out.put_slice(draft.workspace.as_bytes());
            out.put_slice(signer.as_bytes());
            out.put_slice(&draft.body);
        }
        out
    }

    /// The chunk in these bytes.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Chunk, Damaged> {
        let head = bytes.len() >= 20 && bytes.split_to(4) == MAGIC[..];
        if !head {
            return Err(Damaged);
        }
        let (after, through) = (bytes.get_u64_le(), bytes.get_u64_le());
        let mut drafts = Vec::new();
        while !bytes.is_empty() {
            drafts.push(decode_draft(&mut bytes).ok_or(Damaged)?);
        }
        Ok(Chunk {
            after,
            through,
            drafts,
        })
    }
}

fn flags(draft: &Draft) -> u8 {
    let signed = draft.signed_by.as_ref().map_or(0, |_| IS_SIGNED);
    let historical = match draft.tense {
        Tense::Live => 0,
        Tense::Historical => IS_HISTORICAL,
    };
    signed | historical
}

fn decode_draft(bytes: &mut Bytes) -> Option<Draft> {
    if bytes.len() < HEAD_BYTES {
        return None;
    }
    let origin = Seq::new(bytes.get_u64_le());
    let (seconds, nanos) = (bytes.get_i64_le(), bytes.get_i32_le());
    let (workspace, signer) = (bytes.get_u8().into(), bytes.get_u8().into());
    let flags = bytes.get_u8();
    let body = usize::try_from(bytes.get_u32_le()).ok()?;
    let mut text = |length| String::from_utf8(take(bytes, length)?.into()).ok();
    let (workspace, signer) = (text(workspace)?, text(signer)?);
    Some(Draft {
        received_at: Timestamp::new(seconds, nanos).ok()?,
        workspace,
        signed_by: (flags & IS_SIGNED != 0).then_some(signer),
        affinity: Affinity::default(),
        origin: Some(origin),
        tense: if flags & IS_HISTORICAL == 0 {
            Tense::Live
        } else {
            Tense::Historical
        },
        body: take(bytes, body)?,
    })
}

fn take(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Chunk {
        let draft = |n: u64, signed_by: Option<&str>| Draft {
            received_at: Timestamp::new(1_700_000_000, 123_456_789).unwrap(),
            workspace: "acme".to_owned(),
            signed_by: signed_by.map(str::to_owned),
            affinity: Affinity::default(),
            origin: Some(Seq::new(n)),
            tense: if n.is_multiple_of(2) {
                Tense::Live
            } else {
                Tense::Historical
            },
            body: Bytes::from(vec![0, 255, b'{']),
        };
        Chunk {
            after: 6,
            through: 9,
            drafts: vec![draft(7, None), draft(8, Some("")), draft(9, Some("k"))],
        }
    }

    #[test]
    fn a_chunk_reads_back_as_it_was_written() {
        assert_eq!(Chunk::decode(chunk().encode().into()).unwrap(), chunk());
    }

    #[test]
    fn a_chunk_cut_short_is_damaged_or_ends_with_a_whole_record() {
        let bytes = chunk().encode();
        for kept in 0..bytes.len() {
            let cut = Bytes::copy_from_slice(&bytes[..kept]);
            if let Ok(read) = Chunk::decode(cut) {
                assert!(chunk().drafts.starts_with(&read.drafts), "{kept} bytes");
                assert!(read.drafts.len() < 3, "{kept} bytes");
            }
        }
    }
}
