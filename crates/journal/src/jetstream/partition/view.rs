//! What a node builds from a partition's state, in two databases of its own: the
//! index with the claims of events, and the claims and traces of connections.
//!
//! Both are behind one position: the entry through which they are known to be
//! whole. A crash takes the position back to what was last written out, and the
//! entries behind it come again, which changes nothing that they changed before.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;

use jiff::Timestamp;

use super::super::entry::{Page, PagePacks, Settled, TermHash};
use super::super::numbering::Pack;
use crate::config::Config;
use crate::embedded::log::make_folder;
use crate::index::{IndexEntry, Term};
use crate::place::{Partition, Place, Seq};
use crate::record::Verdict;
use crate::state::{Commits, Decided, DecidedPage, Derived, DerivedLimits, Fault, Kept};

/// The view of one partition. Everything here blocks.
pub(crate) struct View {
    partition: Partition,
    pub(super) index: Derived,
    pub(super) firsts: Kept,
}

impl View {
    /// Opens what is in `dir`; what is missing or damaged comes back from the
    /// state.
    pub(crate) fn open(dir: &Path, partition: Partition, config: &Config) -> Result<View, Fault> {
        let (index_dir, firsts_dir) = (dir.join("index"), dir.join("firsts"));
        for made in [dir, &index_dir, &firsts_dir] {
            make_folder(made)?;
        }
        let limits = DerivedLimits {
            duplicate_claims: config.duplicate_claims,
            log_bytes: config.max_bytes,
            young_records: config.index_records_in_memory,
            partition,
        };
        Ok(View {
            partition,
            index: Derived::open(&index_dir, limits)?,
            firsts: Kept::open(&firsts_dir, config.first_claims, Commits::Buffered)?,
        })
    }

    /// The last entry that is in here.
    pub(crate) fn position(&self) -> u64 {
        self.index.position()
    }

    /// Brings what is in memory onto the disk, what the position vouches for first.
    pub(crate) fn flush(&self, bytes_per_record: u64) -> Result<(), Fault> {
        self.firsts.sync()?;
        self.index.flush(&self.spread(bytes_per_record))
    }

    /// Takes a page in.
    pub(super) fn index(&self, page: &Page, bytes_per_record: u64) -> Result<(), Fault> {
        if page.through <= self.index.watermark() {
            return Ok(()); // it comes again after a crash
        }
        let records = page.records.iter().map(|record| Decided {
            seq: record.seq,
            received_at: Timestamp::from_second(record.second).unwrap_or_default(),
            key: record.key,
            verdict: record.verdict,
            terms: record.terms.iter().map(TermHash::as_term).collect(),
        });
        let decided = DecidedPage {
            first: page.first,
            through: page.through,
            records: records.collect(),
            page: page.encode_packs(),
        };
        if self.index.is_full() {
            // The position that is written out with it vouches for these, too.
            self.firsts.sync()?;
        }
        self.index.apply(decided, &self.spread(bytes_per_record))
    }

    /// How many bytes of the log lie behind a record, about.
    fn spread(&self, bytes_per_record: u64) -> impl Fn(Seq) -> u64 {
        let last = self.index.watermark();
        move |first| last.get().saturating_sub(first.get()) * bytes_per_record
    }

    /// Takes in what a connection claimed and did, which was stored at `stored_at`.
    pub(super) fn settle(
        &self,
        connection: &str,
        settled: &Settled,
        stored_at: Timestamp,
    ) -> Result<(), Fault> {
        let claims: Vec<_> = settled
            .claims
            .iter()
            .map(|(key, seq)| (*key, Place::new(self.partition, *seq)))
            .collect();
        // Before anything is indexed here the records tell no time.
        let now = self.newest_at().unwrap_or(stored_at);
        self.firsts.claim(connection, &claims, now)?;
        self.firsts
            .trace((connection, self.partition), &settled.traces)
    }

    /// When the newest indexed record arrived.
    fn newest_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.last_page()?.newest_second).ok()
    }

    fn last_page(&self) -> Option<PagePacks> {
        let (_, page) = self.index.page_at(self.index.watermark()).ok()??;
        PagePacks::decode(&page)
    }

    /// The last pack that it knows.
    pub(crate) fn last_pack(&self) -> Option<Pack> {
        self.last_page()?.packs.last().copied()
    }

    /// The page that holds this record.
    pub(super) fn page_at(&self, seq: Seq) -> Result<Option<PagePacks>, Fault> {
        let Some((_, page)) = self.index.page_at(seq)? else {
            return Ok(None);
        };
        let page = PagePacks::decode(&page).ok_or(Fault::Row("page"))?;
        Ok((page.through >= seq).then_some(page))
    }

    /// Whether each record is the first to bear its event.
    pub(super) fn judge(&self, entries: &[IndexEntry]) -> Result<Vec<Verdict>, Fault> {
        self.index.judge_all(entries)
    }

    pub(crate) fn duplicates(
        &self,
        range: RangeInclusive<Seq>,
    ) -> Result<HashMap<Seq, Place>, Fault> {
        self.index.duplicates(range)
    }

    /// Up to `limit` records that bear `term`, newest first, none below `first`,
    /// each with when it arrived, to the page.
    pub(crate) fn look_up(
        &self,
        term: &Term,
        first: Seq,
        limit: usize,
    ) -> Result<Vec<(i64, Place)>, Fault> {
        let term = TermHash::of(term).as_term();
        let found = self.index.look_up(&term, first, limit)?;
        let timed = found.into_iter().map(|place| {
            let page = self.page_at(place.seq)?;
            Ok((page.map_or(i64::MIN, |page| page.newest_second), place))
        });
        timed.collect()
    }
}
