//! Which records a pack holds: pure counting.
//!
//! A pack does not know how many records are in front of it, since any node may
//! write the next. But its header says how many it holds, and all nodes read the
//! same packs in the same order, so all count alike.

use std::collections::VecDeque;

use crate::place::Seq;

/// The header that says how many records a message holds. Parts have none.
pub(crate) const RECORDS: &str = "Postmeter-Records";

/// One pack, as it lies in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pack {
    /// Its sequence in the stream.
    pub(crate) sequence: u64,
    /// The sequence of its first part; its own where it has none.
    pub(crate) begins: u64,
    /// Its first record.
    pub(crate) first: Seq,
    /// How many records it holds: at least one.
    pub(crate) records: u32,
    /// How many bytes it takes.
    pub(crate) bytes: u32,
}

impl Pack {
    /// Its last record.
    pub(crate) fn last(&self) -> Seq {
        Seq::new(self.first.get() + u64::from(self.records) - 1)
    }
}

/// Where counting begins: the next message and the record that it begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Anchor {
    /// The first message that is not counted.
    pub(crate) sequence: u64,
    /// The first record that is not counted.
    pub(crate) seq: Seq,
}

impl Anchor {
    /// The later of two beginnings.
    pub(crate) fn max_by_sequence(self, other: Anchor) -> Anchor {
        if other.sequence > self.sequence {
            other
        } else {
            self
        }
    }

    /// The beginning of all.
    pub(crate) const START: Anchor = Anchor {
        sequence: 1,
        seq: Seq::FIRST,
    };
}

/// The packs from some place on.
#[derive(Debug)]
pub(crate) struct Numbering {
    next: Anchor,
    packs: VecDeque<Pack>,
    /// What parts took that belong to no pack yet.
    part_bytes: u32,
}

impl Numbering {
    /// Begins at `anchor`.
    pub(crate) fn from(anchor: Anchor) -> Numbering {
        Numbering {
            next: anchor,
            packs: VecDeque::new(),
            part_bytes: 0,
        }
    }

    /// Where counting goes on.
    pub(crate) fn next(&self) -> Anchor {
        self.next
    }

    /// Counts the message at `sequence` in, which may have parts before it.
    pub(crate) fn count(
        &mut self,
        sequence: u64,
        parts: Option<u64>,
        (records, bytes): (u32, u32),
    ) {
        assert!(
            sequence >= self.next.sequence,
            "messages are counted in order"
        );
        if records == 0 {
            self.part_bytes = self.part_bytes.saturating_add(bytes);
        } else {
            let bytes = bytes.saturating_add(self.part_bytes);
            self.part_bytes = 0;
            let pack = Pack {
                sequence,
                begins: parts.unwrap_or(sequence),
                first: self.next.seq,
                records,
                bytes,
            };
            self.packs.push_back(pack);
            self.next.seq = pack.last().next();
        }
        self.next.sequence = sequence + 1;
    }

    /// The packs that hold records from `seq` on.
    pub(crate) fn behind(&self, seq: Seq) -> impl Iterator<Item = Pack> {
        let skipped = self.packs.partition_point(|pack| pack.last() < seq);
        self.packs.range(skipped..).copied()
    }

    /// As many of the packs from `seq` on as hold so many records.
    pub(crate) fn packs_from(&self, seq: Seq, records: usize) -> Vec<Pack> {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        let end = Seq::new(seq.get().saturating_add(records));
        self.behind(seq)
            .take_while(|pack| pack.first < end)
            .collect()
    }

    /// The pack at this sequence.
    pub(crate) fn at(&self, sequence: u64) -> Option<Pack> {
        let index = self.packs.partition_point(|pack| pack.sequence < sequence);
        let pack = self.packs.get(index).copied();
        pack.filter(|pack| pack.sequence == sequence)
    }

    /// Whether it knows which pack holds this record.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        self.packs.front().is_some_and(|pack| pack.first <= seq) && seq < self.next.seq
    }

    /// Forgets the packs that end below `seq`.
    pub(crate) fn forget_below(&mut self, seq: Seq) {
        while self.packs.front().is_some_and(|pack| pack.last() < seq) {
            self.packs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(number: u64) -> Seq {
        Seq::new(number)
    }

    #[test]
    fn records_are_counted_through_packs_and_parts() {
        let mut numbering = Numbering::from(Anchor::START);
        for (sequence, records) in [(1, 3), (2, 0), (4, 1), (5, 2)] {
            let parts = (sequence == 4).then_some(2);
            numbering.count(sequence, parts, (records, 10));
        }
        let firsts: Vec<_> = numbering
            .behind(seq(1))
            .map(|pack| (pack.sequence, pack.first.get(), pack.last().get()))
            .collect();
        assert_eq!(firsts, [(1, 1, 3), (4, 4, 4), (5, 5, 6)]);
        assert_eq!(numbering.next().seq, seq(7));
        assert_eq!(numbering.at(5).map(|pack| pack.first), Some(seq(5)));
        assert_eq!(numbering.at(2), None);
        let in_parts = numbering.at(4).unwrap();
        assert_eq!((in_parts.begins, in_parts.bytes), (2, 20));
        assert!(numbering.holds(seq(6)) && !numbering.holds(seq(7)));
        numbering.forget_below(seq(4));
        assert!(!numbering.holds(seq(3)) && numbering.holds(seq(4)));
        assert_eq!(numbering.behind(seq(5)).count(), 1);
    }
}
