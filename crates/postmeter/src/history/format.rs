//! How an hour is kept.
//!
//! ```text
//! value  = version (1 byte, 1) + gzip of what follows
//! body   = hour u64 | n_marks u16 | marks | n_series u16 | series
//! mark   = partition u16 | sequence number u64
//! series = kind u8 | detail u16 | name: length u8 + UTF-8 | 60 counts, LEB128
//! ```
//!
//! Numbers are little-endian. Decoding is total: any bytes give a slot or none.
//! Series of a newer build are passed over.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use bytes::{Buf, BufMut as _, Bytes};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::hour::{Hour, HourNumber, MAX_SERIES, Minutes};
use super::series::{Series, What};

/// The most bytes of a value.
pub(crate) const MAX_BYTES: usize = 200_000;

const VERSION: u8 = 1;
/// More than any body: 1,001 series with the longest name and numbers.
const MAX_BODY_BYTES: u64 = 1024 * 1024;
const MAX_NAME_BYTES: usize = 255;

/// An hour as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Which hour.
    pub(crate) hour: HourNumber,
    /// Through which record each partition's events are counted here and before.
    pub(crate) marks: Marks,
    pub(crate) counts: Hour,
}

/// A record of each partition.
pub(crate) type Marks = BTreeMap<u16, u64>;

impl Slot {
    /// As a value of at most [`MAX_BYTES`]: with fewer series, if need be.
    pub(crate) fn encode(&self) -> Bytes {
        let whole = self.bytes(&self.counts);
        if whole.len() <= MAX_BYTES {
            return whole.into();
        }
        let mut smaller = self.counts.clone();
        let mut n_series = MAX_SERIES;
        loop {
            n_series /= 2;
            smaller.shrink(n_series);
            let bytes = self.bytes(&smaller);
            if bytes.len() <= MAX_BYTES || n_series == 0 {
                return bytes.into();
            }
        }
    }

    fn bytes(&self, counts: &Hour) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(self.hour.0);
        body.put_u16_le(count(self.marks.len()));
        for (partition, seq) in &self.marks {
            body.put_u16_le(*partition);
            body.put_u64_le(*seq);
        }
        let nameable = |series: &Series| series.of.len() <= MAX_NAME_BYTES;
        let known = counts.iter().filter(|(series, _)| nameable(series));
        let known: BTreeMap<&Series, &Minutes> = known.collect();
        body.put_u16_le(count(known.len()));
        for (series, minutes) in known {
            put_series(&mut body, series, minutes);
        }
        let mut gzip = GzEncoder::new(vec![VERSION], Compression::fast());
        gzip.write_all(&body).expect("memory takes all");
        gzip.finish().expect("memory takes all")
    }

    /// The slot in these bytes; none where there is none.
    pub(crate) fn decode(value: &[u8]) -> Option<Slot> {
        let (version, zipped) = value.split_first()?;
        if *version != VERSION {
            return None;
        }
        let mut body = Vec::new();
        let mut gzip = GzDecoder::new(zipped).take(MAX_BODY_BYTES);
        gzip.read_to_end(&mut body).ok()?;
        let mut rest = body.as_slice();
        let mut slot = Slot {
            hour: HourNumber(rest.try_get_u64_le().ok()?),
            ..Slot::default()
        };
        for _ in 0..rest.try_get_u16_le().ok()? {
            let partition = rest.try_get_u16_le().ok()?;
            slot.marks.insert(partition, rest.try_get_u64_le().ok()?);
        }
        for _ in 0..rest.try_get_u16_le().ok()? {
            let (series, minutes) = get_series(&mut rest)?;
            if let Some(series) = series {
                slot.counts.add_all(series, &minutes);
            }
        }
        rest.is_empty().then_some(slot)
    }
}

fn count(n: usize) -> u16 {
    u16::try_from(n).expect("an hour has few series, and a journal few partitions")
}

fn put_series(body: &mut Vec<u8>, series: &Series, minutes: &Minutes) {
    let (kind, detail) = series.what.code();
    body.put_u8(kind);
    body.put_u16_le(detail);
    body.put_u8(u8::try_from(series.of.len()).expect("longer names are left out"));
    body.put_slice(series.of.as_bytes());
    for count in minutes {
        let mut left = *count;
        while left >= 0x80 {
            body.put_u8(0x80 | u8::try_from(left & 0x7f).expect("seven bits"));
            left >>= 7;
        }
        body.put_u8(u8::try_from(left).expect("seven bits"));
    }
}

/// A series and its counts; no series where it is of a newer build.
fn get_series(rest: &mut &[u8]) -> Option<(Option<Series>, Minutes)> {
    let kind = rest.try_get_u8().ok()?;
    let what = What::of_code(kind, rest.try_get_u16_le().ok()?);
    let name_bytes = usize::from(rest.try_get_u8().ok()?);
    let (name, behind) = rest.split_at_checked(name_bytes)?;
    let of: Arc<str> = std::str::from_utf8(name).ok()?.into();
    *rest = behind;
    let mut minutes = [0; 60];
    for count in &mut minutes {
        *count = get_count(rest)?;
    }
    Some((what.map(|what| Series { what, of }), minutes))
}

fn get_count(rest: &mut &[u8]) -> Option<u32> {
    let mut count = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = rest.try_get_u8().ok()?;
        count |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return u32::try_from(count).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series() -> impl Strategy<Value = Series> {
        let code = (1_u8..=6, prop_oneof![0..200_u16, any::<u16>()]);
        let what = code.prop_filter_map("no code", |(kind, detail)| What::of_code(kind, detail));
        (what, "[a-z]{0,20}").prop_map(|(what, name)| Series {
            what,
            of: name.into(),
        })
    }

    fn slot() -> impl Strategy<Value = Slot> {
        let count = prop_oneof![Just(0), 0..200_u32, any::<u32>()];
        let minutes = prop::collection::vec(count, 60);
        let counts = prop::collection::vec((series(), minutes), 0..40);
        let marks = prop::collection::btree_map(0..64_u16, any::<u64>(), 0..4);
        (any::<u64>(), marks, counts).prop_map(|(hour, marks, all)| {
            let mut counts = Hour::default();
            for (series, minutes) in all {
                counts.add_all(series, &minutes.try_into().unwrap());
            }
            Slot {
                hour: HourNumber(hour),
                marks,
                counts,
            }
        })
    }

    proptest! {
        #[test]
        fn a_slot_comes_back_from_its_bytes(slot in slot()) {
            prop_assert_eq!(Slot::decode(&slot.encode()), Some(slot));
        }

        #[test]
        fn any_bytes_give_a_slot_or_none(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(Slot::decode(&bytes), None);
            let mut gzip = GzEncoder::new(vec![VERSION], Compression::fast());
            gzip.write_all(&bytes).unwrap();
            drop(Slot::decode(&gzip.finish().unwrap()));
        }

        #[test]
        fn a_damaged_slot_does_no_harm(slot in slot(), at in any::<usize>(), byte in any::<u8>()) {
            let mut bytes = slot.encode().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(Slot::decode(&bytes));
            drop(Slot::decode(&bytes[..at]));
        }
    }

    #[test]
    fn an_hour_that_hardly_compresses_still_fits() {
        let mut counts = Hour::default();
        let mut number = 1_u32;
        for n in 0..MAX_SERIES {
            let minutes = [0; 60].map(|_: u32| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                number
            });
            let name = format!("{}-{n}", "workspace".repeat(20));
            counts.add_all(Series::new(What::Duplicate, &name.into()), &minutes);
        }
        let slot = Slot {
            counts,
            ..Slot::default()
        };
        assert!(slot.bytes(&slot.counts).len() > MAX_BYTES, "the worst case");
        let value = slot.encode();
        assert!(value.len() <= MAX_BYTES, "{} bytes", value.len());
        let kept = Slot::decode(&value).unwrap();
        assert!(kept.counts.get(&Series::rest()).is_some());
        assert!(kept.counts.len() > 200, "{} series", kept.counts.len());
    }
}
