//! Where a record is: which partition of the journal, and which place in it.
//!
//! Places are handed out by an engine and compared by everybody else; nothing
//! here knows what stands at one.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// A record's place in its partition: 1, 2, 3 and so on, never used twice.
///
/// [`Seq::ZERO`] is before every record; a cursor there has settled nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seq(u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Seq = Seq(0);
    /// The first record of a partition.
    pub const FIRST: Seq = Seq(1);

    /// The place with this number.
    pub const fn new(number: u64) -> Seq {
        Seq(number)
    }

    /// The bare number, as shown to people.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }

    /// The place before this one; [`Seq::ZERO`] has none and stays.
    #[must_use]
    pub const fn previous(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the journal's independent sequences. The embedded engine has just
/// [`Partition::ZERO`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition(u16);

impl Partition {
    /// The first partition, and the embedded engine's only one.
    pub const ZERO: Partition = Partition(0);

    /// The partition with this number.
    pub const fn new(number: u16) -> Partition {
        Partition(number)
    }

    /// The bare number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record is in the whole journal.
///
/// Written `4711` in partition 0 and `p2/4711` in any other, and read back from
/// either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The sequence that the record belongs to.
    pub partition: Partition,
    /// The record's number in that sequence.
    pub seq: Seq,
}

impl Place {
    /// The place `seq` of `partition`.
    pub const fn new(partition: Partition, seq: Seq) -> Place {
        Place { partition, seq }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.partition == Partition::ZERO {
            self.seq.fmt(f)
        } else {
            write!(f, "p{}/{}", self.partition, self.seq)
        }
    }
}

/// Why a text names no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePlaceError {
    /// There is a `/`, but no `p` in front.
    #[error("a place is written 4711 or p2/4711")]
    Shape,
    /// A part that should be a number is none, or too large.
    #[error("a place is made of whole numbers")]
    Number(#[source] ParseIntError),
}

impl FromStr for Place {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Place, ParsePlaceError> {
        let (partition, seq) = match text.split_once('/') {
            None => ("0", text),
            Some((partition, seq)) => {
                let number = partition.strip_prefix('p').ok_or(ParsePlaceError::Shape)?;
                (number, seq)
            }
        };
        Ok(Place {
            partition: Partition(partition.parse().map_err(ParsePlaceError::Number)?),
            seq: Seq(seq.parse().map_err(ParsePlaceError::Number)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_is_written() {
        for (text, partition, seq) in [("4711", 0, 4711), ("p2/1", 2, 1)] {
            let place = Place::new(Partition::new(partition), Seq::new(seq));
            assert_eq!(place.to_string(), text);
            assert_eq!(text.parse(), Ok(place));
        }
    }

    #[test]
    fn a_text_that_is_no_place_is_refused() {
        assert_eq!("2/1".parse::<Place>(), Err(ParsePlaceError::Shape));
        for text in ["", "-1", "p/1", "p70000/1", "p1/", "seven"] {
            assert!(
                matches!(text.parse::<Place>(), Err(ParsePlaceError::Number(_))),
                "{text:?} was taken for a place"
            );
        }
    }
}
