//! How a dead letter lies in its row. Numbers are big-endian.
//!
//! ```text
//! version 1 | partition u16 | seq u64 | buried seconds i64, nanos i32
//! | reason | workspace | body | connection? | event name? | call? | answer?
//! ```
//!
//! A text or bytes are a length (u32) and so many bytes. What may be missing
//! begins with a byte, 0 or 1. An answer is a status (u16) and bytes.

use bytes::{Buf as _, BufMut as _, Bytes};
use jiff::Timestamp;

use crate::place::{Partition, Place, Seq};
use crate::settle::{Answer, NewDeadLetter};

const VERSION: u8 = 1;

/// The row of `letter`.
pub(crate) fn encode(letter: &NewDeadLetter) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + letter.body.len());
    out.put_u8(VERSION);
    out.put_u16(letter.place.partition.get());
    out.put_u64(letter.place.seq.get());
    out.put_i64(letter.buried_at.as_second());
    out.put_i32(letter.buried_at.subsec_nanosecond());
    put_bytes(&mut out, letter.reason.as_bytes());
    put_bytes(&mut out, letter.workspace.as_bytes());
    put_bytes(&mut out, &letter.body);
    put_optional(&mut out, letter.connection.as_ref().map(String::as_bytes));
    put_optional(&mut out, letter.event_name.as_ref().map(String::as_bytes));
    put_optional(&mut out, letter.call.as_deref());
    match &letter.answer {
        None => out.put_u8(0),
        Some(answer) => {
            out.put_u8(1);
            out.put_u16(answer.status);
            put_bytes(&mut out, &answer.body);
        }
    }
    out
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // A row holds one record's body and what became of it: far below 4 GiB.
    let length = u32::try_from(bytes.len()).expect("a field of a dead letter is below 4 GiB");
    out.put_u32(length);
    out.extend_from_slice(bytes);
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.put_u8(bytes.is_some().into());
    if let Some(bytes) = bytes {
        put_bytes(out, bytes);
    }
}

/// The letter in a row; none when the bytes are no letter that we know.
pub(crate) fn decode(row: Bytes) -> Option<NewDeadLetter> {
    let mut rest = Rest(row);
    if rest.0.try_get_u8().ok()? != VERSION {
        return None;
    }
    let partition = Partition::new(rest.0.try_get_u16().ok()?);
    let place = Place::new(partition, Seq::new(rest.0.try_get_u64().ok()?));
    let letter = NewDeadLetter {
        place,
        buried_at: rest.time()?,
        reason: rest.text()?,
        workspace: rest.text()?,
        body: rest.bytes()?,
        connection: rest.optional(Rest::text)?,
        event_name: rest.optional(Rest::text)?,
        call: rest.optional(Rest::bytes)?,
        answer: rest.optional(Rest::answer)?,
    };
    rest.0.is_empty().then_some(letter)
}

/// What is left to decode.
struct Rest(Bytes);

impl Rest {
    fn bytes(&mut self) -> Option<Bytes> {
        let length = self.0.try_get_u32().ok()? as usize;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.into()).ok()
    }

    /// A time has one row: no second that its nanoseconds take away from.
    fn time(&mut self) -> Option<Timestamp> {
        let seconds = self.0.try_get_i64().ok()?;
        let nanos = self.0.try_get_i32().ok()?;
        let time = Timestamp::new(seconds, nanos).ok()?;
        (time.as_second() == seconds && time.subsec_nanosecond() == nanos).then_some(time)
    }

    fn answer(&mut self) -> Option<Answer> {
        Some(Answer {
            status: self.0.try_get_u16().ok()?,
            body: self.bytes()?,
        })
    }

    /// None inside of `Some` when it is missing, `None` when it is broken.
    #[expect(clippy::option_option, reason = "broken and missing are two things")]
    fn optional<T>(&mut self, read: impl FnOnce(&mut Rest) -> Option<T>) -> Option<Option<T>> {
        match self.0.try_get_u8().ok()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(Bytes::from)
    }

    prop_compose! {
        fn letter()(
            (partition, seq, second) in (any::<u16>(), any::<u64>(), 0..4_000_000_000_i64),
            (reason, workspace, body) in (".{0,20}", ".{0,20}", bytes()),
            connection in proptest::option::of(".{0,20}"),
            event_name in proptest::option::of(".{0,20}"),
            call in proptest::option::of(bytes()),
            answer in proptest::option::of((any::<u16>(), bytes())),
        ) -> NewDeadLetter {
            NewDeadLetter {
                place: Place::new(Partition::new(partition), Seq::new(seq)),
                connection,
                buried_at: Timestamp::from_second(second).unwrap(),
                reason,
                event_name,
                call,
                answer: answer.map(|(status, body)| Answer { status, body }),
                workspace,
                body,
            }
        }
    }

    proptest! {
        #[test]
        fn a_letter_reads_back_as_it_was_written(letter in letter()) {
            prop_assert_eq!(decode(encode(&letter).into()), Some(letter));
        }

        #[test]
        fn a_letter_cut_short_is_no_letter(letter in letter(), keep in any::<prop::sample::Index>()) {
            let mut row = encode(&letter);
            row.truncate(keep.index(row.len()));
            prop_assert_eq!(decode(row.into()), None);
        }

        #[test]
        fn any_bytes_are_a_letter_or_none(mut bytes in proptest::collection::vec(any::<u8>(), 1..80)) {
            bytes[0] = VERSION;
            let _ = decode(bytes.into());
        }
    }
}
