//! Which records have ended, and through which one a cursor may settle.
//!
//! Batches end in any order, a cursor moves in one. The ledger is the difference:
//! pure bookkeeping, without a clock or a journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use journal::{ClaimKey, NewDeadLetter, Place, Seq};

/// What one feed has read and not yet settled.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Through here the journal knows.
    settled: Seq,
    /// Through here the feed has read.
    read: Seq,
    /// Read, and not ended.
    pending: BTreeSet<Seq>,
    /// First occurrences that were read and are not settled.
    claimed: HashMap<ClaimKey, Place>,
    /// What ended records leave behind until they are settled.
    leftovers: BTreeMap<Seq, Leftover>,
}

/// What an ended record leaves behind.
#[derive(Debug, Default)]
struct Leftover {
    claim: Option<ClaimKey>,
    dead_letter: Option<NewDeadLetter>,
}

/// What may be settled now.
#[derive(Debug)]
pub(crate) struct Settleable {
    /// Every record through this one has ended.
    pub(crate) through: Seq,
    /// The first occurrences among them.
    pub(crate) claims: Vec<(ClaimKey, Place)>,
    /// The dead letters among them.
    pub(crate) dead_letters: Vec<NewDeadLetter>,
}

impl Ledger {
    /// A ledger that begins behind `settled`.
    pub(crate) fn new(settled: Seq) -> Ledger {
        Ledger {
            settled,
            read: settled,
            pending: BTreeSet::new(),
            claimed: HashMap::new(),
            leftovers: BTreeMap::new(),
        }
    }

    /// The first record that has not been read.
    pub(crate) fn next(&self) -> Seq {
        self.read.next()
    }

    /// Notes that everything through `seq` has been read; whatever is not
    /// [`Ledger::pend`]ing among it has ended.
    pub(crate) fn read_through(&mut self, seq: Seq) {
        assert!(seq >= self.read, "records are read in order");
        self.read = seq;
    }

    /// Notes that the record is on its way.
    pub(crate) fn pend(&mut self, seq: Seq) {
        self.pending.insert(seq);
    }

    /// Notes that the record has ended, accepted or buried.
    pub(crate) fn end(&mut self, seq: Seq) {
        self.pending.remove(&seq);
    }

    /// The unsettled record that already claims this occurrence.
    pub(crate) fn claimant(&self, key: &ClaimKey) -> Option<Place> {
        self.claimed.get(key).copied()
    }

    /// Claims an occurrence for a record; durable once it is settled.
    pub(crate) fn claim(&mut self, key: ClaimKey, place: Place) {
        self.claimed.insert(key, place);
        self.leftovers.entry(place.seq).or_default().claim = Some(key);
    }

    /// Buries a record's event or call; durable once it is settled.
    pub(crate) fn bury(&mut self, dead_letter: NewDeadLetter) {
        let seq = dead_letter.place.seq;
        self.leftovers.entry(seq).or_default().dead_letter = Some(dead_letter);
    }

    /// Whether anything could be settled.
    pub(crate) fn is_behind(&self) -> bool {
        self.through() > self.settled
    }

    /// What may be settled now, taken out. Whoever takes it must see it settled:
    /// [`Ledger::settled_through`], or give the ledger up.
    pub(crate) fn take(&mut self) -> Option<Settleable> {
        let through = self.through();
        if through <= self.settled {
            return None;
        }
        let rest = self.leftovers.split_off(&through.next());
        let leftovers = std::mem::replace(&mut self.leftovers, rest);
        let mut settleable = Settleable {
            through,
            claims: Vec::new(),
            dead_letters: Vec::new(),
        };
        for leftover in leftovers.into_values() {
            let claim = leftover.claim;
            let place = claim
                .as_ref()
                .and_then(|key| self.claimed.get(key).copied());
            settleable.claims.extend(claim.zip(place));
            settleable.dead_letters.extend(leftover.dead_letter);
        }
        Some(settleable)
    }

    /// Notes that the journal has settled what was taken.
    pub(crate) fn settled_through(&mut self, settled: &Settleable) {
        self.settled = settled.through;
        for (key, _) in &settled.claims {
            self.claimed.remove(key);
        }
    }

    fn through(&self) -> Seq {
        match self.pending.first() {
            Some(lowest) => lowest.previous(),
            None => self.read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Partition;

    fn seq(n: u64) -> Seq {
        Seq::new(n)
    }

    fn place(n: u64) -> Place {
        Place {
            partition: Partition::new(0),
            seq: seq(n),
        }
    }

    #[test]
    fn only_the_lowest_contiguous_records_settle() {
        let mut ledger = Ledger::new(seq(10));
        ledger.pend(seq(11));
        ledger.pend(seq(13));
        ledger.read_through(seq(14));
        assert!(ledger.take().is_none(), "record 11 is on its way");
        ledger.end(seq(13));
        assert!(ledger.take().is_none(), "record 11 is still on its way");
        ledger.end(seq(11));
        assert_eq!(ledger.take().unwrap().through, seq(14));
    }

    #[test]
    fn a_claim_is_known_at_once_and_settles_with_its_record() {
        let key = ClaimKey::new([7; 16]);
        let mut ledger = Ledger::new(seq(0));
        ledger.pend(seq(1));
        ledger.pend(seq(2));
        ledger.claim(key, place(2));
        ledger.read_through(seq(2));
        assert_eq!(ledger.claimant(&key), Some(place(2)));
        ledger.end(seq(1));
        let first = ledger.take().unwrap();
        assert_eq!((first.through, first.claims.len()), (seq(1), 0));
        ledger.settled_through(&first);
        assert_eq!(
            ledger.claimant(&key),
            Some(place(2)),
            "record 2 is not settled yet"
        );
        ledger.end(seq(2));
        let second = ledger.take().unwrap();
        assert_eq!(second.claims, vec![(key, place(2))]);
        ledger.settled_through(&second);
        assert_eq!(ledger.claimant(&key), None, "the journal knows it now");
    }

    #[test]
    fn what_was_skipped_settles_without_ever_pending() {
        let mut ledger = Ledger::new(seq(5));
        assert!(!ledger.is_behind());
        ledger.read_through(seq(9));
        assert!(ledger.is_behind());
        assert_eq!(ledger.take().unwrap().through, seq(9));
    }
}
