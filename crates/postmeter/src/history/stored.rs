//! What all nodes have written, as it was read last.
//!
//! Hours of the last day are held minute by minute, older ones as totals, so that
//! a month of three nodes fits into a few megabytes. What this node writes it
//! notes here itself; what others write is looked at again when some setting has
//! changed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use journal::{Revision, Setting};

use super::format::Slot;
use super::hour::{HOURS_KEPT, Hour, HourNumber, Minute};
use super::intake::Intake;
use super::series::Series;

/// Hours that are held minute by minute: a day, and the one that it begins in.
const HOURS_BY_MINUTE: u64 = 25;
/// Hours that a node may still write: it tries again what it could not.
const OPEN_HOURS: u64 = 8;

/// When something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The number of the last change of any setting.
    pub(super) settings: u64,
    /// The hour it was.
    pub(super) hour: HourNumber,
}

/// What was read of the journal.
#[derive(Debug, Default)]
pub(super) struct Stored {
    nodes: BTreeMap<String, BTreeMap<HourNumber, Read>>,
    /// Names, so that the many hours of a workspace share its.
    names: HashSet<Arc<str>>,
    /// The names of all nodes, and what they have answered, at a moment.
    pub(super) told: Option<(Moment, Told)>,
}

/// What is read beside the hours.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) nodes: Vec<String>,
    /// What the other nodes have answered.
    pub(super) intake: Intake,
}

#[derive(Debug)]
struct Read {
    at: Moment,
    revision: Option<Revision>,
    counts: Counts,
}

#[derive(Debug)]
enum Counts {
    Minutes(Hour),
    Totals(Vec<(Series, u64)>),
}

impl Stored {
    /// Whether an hour of this node has to be read before it is shown. What it has
    /// written since it was started is known.
    pub(super) fn lacks(&self, node: &str, hour: HourNumber) -> bool {
        let hours = self.nodes.get(node);
        hours.is_none_or(|hours| !hours.contains_key(&hour))
    }

    /// Whether an hour of another node has to be read before it is shown.
    pub(super) fn wants(&self, node: &str, hour: HourNumber, now: Moment) -> bool {
        let hours = self.nodes.get(node);
        let Some(read) = hours.and_then(|hours| hours.get(&hour)) else {
            return true;
        };
        if hour.0 + OPEN_HOURS > now.hour.0 {
            read.at != now
        } else {
            read.at.hour != now.hour
        }
    }

    /// Takes up what was read, unless this node has written it meanwhile.
    pub(super) fn read(
        &mut self,
        (node, hour): (&str, HourNumber),
        setting: Option<&Setting>,
        now: Moment,
    ) {
        let revision = setting.map(|setting| setting.revision);
        let hours = self.nodes.entry(node.to_owned()).or_default();
        if let Some(read) = hours.get_mut(&hour)
            && read.revision >= revision
        {
            read.at = now;
            return;
        }
        let slot = setting.and_then(|setting| Slot::decode(&setting.value));
        let slot = slot.filter(|slot| slot.hour == hour);
        let counts = slot.map(|slot| slot.counts).unwrap_or_default();
        let counts = Counts::of(counts, hour, now.hour, &mut self.names);
        let read = Read {
            at: now,
            revision,
            counts,
        };
        hours.insert(hour, read);
    }

    /// Notes what this node has written.
    pub(super) fn wrote(
        &mut self,
        (node, hour): (&str, HourNumber),
        counts: Hour,
        (revision, now): (Option<Revision>, Moment),
    ) {
        let counts = Counts::of(counts, hour, now.hour, &mut self.names);
        let read = Read {
            at: now,
            revision,
            counts,
        };
        let hours = self.nodes.entry(node.to_owned()).or_default();
        hours.insert(hour, read);
    }

    /// What this node wrote last for an hour, if that is known to the minute.
    pub(super) fn base(&self, node: &str, hour: HourNumber) -> Option<(Hour, Option<Revision>)> {
        let read = self.nodes.get(node)?.get(&hour)?;
        match &read.counts {
            Counts::Minutes(counts) => Some((counts.clone(), read.revision)),
            Counts::Totals(_) => None,
        }
    }

    /// Forgets what was thought to be written.
    pub(super) fn forget(&mut self, node: &str, hour: HourNumber) {
        if let Some(hours) = self.nodes.get_mut(node) {
            hours.remove(&hour);
        }
    }

    /// Lets go of what is too old to be shown, in whole or by the minute.
    pub(super) fn age(&mut self, now: HourNumber) {
        for hours in self.nodes.values_mut() {
            hours.retain(|hour, _| hour.0 + HOURS_KEPT > now.0);
            for (hour, read) in hours {
                if let Counts::Minutes(counts) = &mut read.counts {
                    let counts = std::mem::take(counts);
                    read.counts = Counts::of(counts, *hour, now, &mut self.names);
                }
            }
        }
    }

    /// Tells every count that is asked for. One that is not known by the minute is
    /// told for the first of its hour.
    pub(super) fn each(&self, ask: &Ask<'_>, tell: &mut impl FnMut(Minute, &Series, u64)) {
        let nodes = self.nodes.iter();
        let nodes = nodes.filter(|(name, _)| ask.node.is_none_or(|node| node == *name));
        for (_, hours) in nodes {
            for (hour, read) in hours.range(ask.from.hour()..=ask.until.hour()) {
                match &read.counts {
                    Counts::Minutes(counts) => ask.each_minute(*hour, counts, tell),
                    Counts::Totals(totals) => ask.each_total(*hour, totals, tell),
                }
            }
        }
    }
}

/// Which counts to tell.
pub(super) struct Ask<'a> {
    /// Of this node only.
    pub(super) node: Option<&'a str>,
    pub(super) from: Minute,
    /// Before this one.
    pub(super) until: Minute,
    pub(super) wanted: &'a (dyn Fn(&Series) -> bool + Sync),
}

impl Ask<'_> {
    /// Tells the counts of an hour that are asked for.
    pub(super) fn each_minute(
        &self,
        hour: HourNumber,
        counts: &Hour,
        tell: &mut impl FnMut(Minute, &Series, u64),
    ) {
        let asked = self.from..self.until;
        for (series, minutes) in counts.iter().filter(|(series, _)| (self.wanted)(series)) {
            for (minute, count) in (hour.first_minute().0..).map(Minute).zip(minutes) {
                if *count > 0 && asked.contains(&minute) {
                    tell(minute, series, u64::from(*count));
                }
            }
        }
    }

    fn each_total(
        &self,
        hour: HourNumber,
        totals: &[(Series, u64)],
        tell: &mut impl FnMut(Minute, &Series, u64),
    ) {
        let minute = hour.first_minute();
        if (self.from..self.until).contains(&minute) {
            let totals = totals.iter().filter(|(series, _)| (self.wanted)(series));
            totals.for_each(|(series, total)| tell(minute, series, *total));
        }
    }
}

impl Counts {
    /// As they are held at an hour.
    fn of(
        counts: Hour,
        hour: HourNumber,
        now: HourNumber,
        names: &mut HashSet<Arc<str>>,
    ) -> Counts {
        if hour.0 + HOURS_BY_MINUTE > now.0 {
            return Counts::Minutes(counts);
        }
        let mut totals = Vec::with_capacity(counts.len());
        for (series, minutes) in counts.iter() {
            if !names.contains(&series.of) {
                names.insert(Arc::clone(&series.of));
            }
            let of = names.get(&series.of).map_or(&series.of, |known| known);
            let total = minutes.iter().copied().map(u64::from).sum();
            totals.push((Series::new(series.what, of), total));
        }
        Counts::Totals(totals)
    }
}
