//! What was indexed last and is in memory only, until there is enough of it to
//! be written out as one sorted piece.
//!
//! The log is what a crash brings it back from: nothing here is written twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use super::erase::is_term_of;
use super::rows::{self, derived};
use crate::index::{ClaimKey, Term};
use crate::place::{Partition, Place, Seq};

/// The most bytes of search terms that wait to be written out.
const MAX_TERM_BYTES: usize = 32 * 1024 * 1024;

/// The index of the records after `written`.
pub(super) struct Young {
    /// The last record whose index is on stable storage.
    pub(super) written: Seq,
    partition: Partition,
    first: Option<Seq>,
    records: usize,
    /// With the generation that each belongs to.
    claims: HashMap<ClaimKey, (i64, Place)>,
    duplicates: BTreeMap<Seq, Place>,
    /// Keys of rows.
    terms: BTreeSet<Vec<u8>>,
    term_bytes: usize,
    /// What is kept of whole pages, by their first record.
    pages: BTreeMap<Seq, Vec<u8>>,
}

impl Young {
    /// Nothing, after `written`.
    pub(super) fn after(partition: Partition, written: Seq) -> Young {
        Young {
            written,
            partition,
            first: None,
            records: 0,
            claims: HashMap::new(),
            duplicates: BTreeMap::new(),
            terms: BTreeSet::new(),
            term_bytes: 0,
            pages: BTreeMap::new(),
        }
    }

    /// The first record in it; none when it is empty.
    pub(super) fn first(&self) -> Option<Seq> {
        self.first
    }

    /// Whether it should be written out before it takes any more than the
    /// `limit`th record.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.records >= limit || self.term_bytes >= MAX_TERM_BYTES
    }

    /// Counts a record in, and notes what it is found by.
    pub(super) fn add(&mut self, seq: Seq, terms: &[Term]) {
        self.first.get_or_insert(seq);
        self.records += 1;
        for term in terms {
            let key = rows::term(term, Place::new(self.partition, seq));
            self.term_bytes += key.len();
            self.terms.insert(key);
        }
    }

    /// Notes what is kept of the page that begins with `first`.
    pub(super) fn add_page(&mut self, first: Seq, page: Vec<u8>) {
        self.first.get_or_insert(first);
        self.pages.insert(first, page);
    }

    /// The page that begins with `seq` or next before it.
    pub(super) fn page_at(&self, seq: Seq) -> Option<(Seq, Vec<u8>)> {
        let page = self.pages.range(..=seq).next_back();
        page.map(|(first, page)| (*first, page.clone()))
    }

    pub(super) fn claim(&mut self, key: ClaimKey, generation: i64, place: Place) {
        self.claims.insert(key, (generation, place));
    }

    pub(super) fn add_duplicate(&mut self, seq: Seq, of: Place) {
        self.duplicates.insert(seq, of);
    }

    /// Who holds a claim, and the generation that it belongs to.
    pub(super) fn holder(&self, key: &ClaimKey) -> Option<(i64, Place)> {
        self.claims.get(key).copied()
    }

    /// Takes in what came after it.
    pub(super) fn absorb(&mut self, later: Young) {
        self.first = self.first.or(later.first);
        self.records += later.records;
        self.term_bytes += later.term_bytes;
        self.claims.extend(later.claims);
        self.duplicates.extend(later.duplicates);
        self.terms.extend(later.terms);
        self.pages.extend(later.pages);
    }

    pub(super) fn duplicates(
        &self,
        range: RangeInclusive<Seq>,
    ) -> impl Iterator<Item = (Seq, Place)> {
        self.duplicates.range(range).map(|(seq, of)| (*seq, *of))
    }

    /// The records that bear `term`, newest first.
    pub(super) fn look_up(&self, term: &Term) -> impl Iterator<Item = Place> {
        let prefix = rows::term_prefix(term);
        let prefix_bytes = prefix.len();
        self.terms
            .range(prefix.clone()..)
            .take_while(move |key| key.starts_with(&prefix))
            .filter_map(move |key| rows::term_place(key, prefix_bytes))
    }

    /// Removes what these records are found by.
    pub(super) fn erase(&mut self, doomed: &BTreeSet<Seq>) {
        self.terms.retain(|key| !is_term_of(key, doomed));
        self.term_bytes = self.terms.iter().map(Vec::len).sum();
    }

    /// The claims as rows, by the generation that they belong to, each sorted.
    pub(super) fn claim_rows(&self) -> BTreeMap<i64, BTreeMap<ClaimKey, Place>> {
        let mut generations: BTreeMap<i64, BTreeMap<ClaimKey, Place>> = BTreeMap::new();
        for (key, (generation, place)) in &self.claims {
            let claims = generations.entry(*generation).or_default();
            claims.insert(*key, *place);
        }
        generations
    }

    /// Everything but the claims as rows, sorted.
    pub(super) fn table_rows(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let duplicates = self.duplicates.iter();
        let duplicates =
            duplicates.map(|(seq, of)| (rows::of_seq(derived::DUPLICATE, *seq), rows::place(*of)));
        let terms = self.terms.iter().map(|key| (key.clone(), Vec::new()));
        let pages = self.pages.iter();
        let pages = pages.map(|(first, page)| (rows::of_seq(derived::PAGE, *first), page.clone()));
        // In the order of their kinds, so that the keys are sorted.
        duplicates.chain(terms).chain(pages)
    }
}
