//! What a replay would do, found out by looking at its records for a while.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use connections::Connection;
use console::seen::filter::Filter;
use console::seen::{
    CallSeen, Outcome, ReplayCounts, ReplayPreview, ReplaySample, ReplayState, RowEnd, differences,
};
use jiff::{SignedDuration, Timestamp};
use journal::{ClaimKey, Indexed, Place, ReadLimit, Record, Seq, Verdict};
use shape::{Call, SendFrequency};

use super::job::{Job, Span};
use super::look::{Lens, Look, ends};
use super::span::spans;
use crate::desk::{Desk, call_seen, row};
use crate::pipeline::keys;

/// Records that a preview looks at.
const RECORDS: u64 = 50_000;
/// How long it looks.
const PATIENCE: Duration = Duration::from_secs(4);
/// Calls that it shows.
const SAMPLES: usize = 3;
/// One read.
const PAGE: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 1024 * 1024,
};
/// How long Segment drops what it has had before.
const DEDUP: SignedDuration = SignedDuration::from_hours(24);

/// What somebody wants to be sent again, without mistakes.
pub(crate) struct Asked {
    pub(crate) connection: Connection,
    pub(crate) filter: Filter,
    pub(crate) rate_per_s: u32,
}

/// What a preview has seen so far.
#[derive(Default)]
struct Found {
    examined: u64,
    looked_through: Option<Timestamp>,
    calls: u64,
    /// Calls of events that were received more than [`DEDUP`] ago.
    n_old: u64,
    counts: ReplayCounts,
    samples: Vec<ReplaySample>,
    /// First occurrences among the calls.
    claimed: HashSet<ClaimKey>,
}

impl Asked {
    /// The replay, through the records that there are now.
    pub(crate) async fn job(&self, desk: &Desk) -> anyhow::Result<Job> {
        Ok(Job {
            number: 0,
            connection: self.connection.id.to_string(),
            connection_name: self.connection.name.to_string(),
            filter: self.filter.to_string(),
            rate_per_s: self.rate_per_s,
            asked_at: Timestamp::now(),
            asked_through: desk.origin,
            spans: self.spans(desk).await?,
            state: ReplayState::Running,
            reason: None,
            ended_at: None,
        })
    }

    async fn spans(&self, desk: &Desk) -> anyhow::Result<Vec<Span>> {
        let found = spans(&desk.operator.journal, &self.filter).await;
        found.context("cannot find where the replay's time begins")
    }

    /// What it would do.
    pub(crate) async fn preview(&self, desk: &Desk) -> anyhow::Result<ReplayPreview> {
        let spans = self.spans(desk).await?;
        let records: u64 = spans.iter().map(Span::records).sum();
        let (mut found, begun) = (Found::default(), Instant::now());
        let mut complete = true;
        for span in &spans {
            complete &= self.examine(desk, span, (&mut found, begun)).await?;
        }
        let calls_about = if complete || found.examined == 0 {
            found.calls
        } else {
            let about = u128::from(found.calls) * u128::from(records) / u128::from(found.examined);
            u64::try_from(about).unwrap_or(u64::MAX)
        };
        Ok(ReplayPreview {
            connection: self.connection.name.to_string(),
            filter: self.filter.to_string(),
            rate_per_s: self.rate_per_s,
            records,
            examined: found.examined,
            complete,
            looked_through: found.looked_through,
            calls: found.calls,
            calls_about,
            takes_s: calls_about.div_ceil(u64::from(self.rate_per_s.max(1))),
            counts: found.counts,
            warnings: self.warnings(&found),
            samples: found.samples,
        })
    }

    fn warnings(&self, found: &Found) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = &self.connection.name;
        if found.n_old > 0 {
            warnings.push(format!(
                "{} of these calls are of events that came more than a day ago: what Segment has of \
                 them it may count twice, because it drops repeated message ids for a day only",
                found.n_old
            ));
        }
        if !self.connection.is_sending() {
            let how = if self.connection.enabled {
                "paused"
            } else {
                "disabled"
            };
            warnings.push(format!(
                "connection {name} is {how}, so no replay can begin"
            ));
        }
        if found.counts.not_settled > 0 {
            warnings.push(format!(
                "{} records have not been sent by the connection itself yet: they go by themselves",
                found.counts.not_settled
            ));
        }
        warnings
    }

    /// Looks at the records of a span, as long as there is patience; says whether
    /// these were all.
    async fn examine(
        &self,
        desk: &Desk,
        span: &Span,
        (found, begun): (&mut Found, Instant),
    ) -> anyhow::Result<bool> {
        let journal = &desk.operator.journal;
        let settled = desk
            .operator
            .settled(&self.connection, span.partition())
            .await?;
        let mut next = span.first;
        while next <= span.last {
            if begun.elapsed() > PATIENCE || found.examined >= RECORDS {
                return Ok(false);
            }
            let from = Place::new(span.partition(), Seq::new(next));
            let page = journal.read_indexed(from, PAGE).await;
            let page = page.context("cannot read the log")?;
            if page.is_empty() {
                // Not indexed yet, so not settled; or not kept any more.
                let rest = span.last + 1 - next;
                found.counts.not_settled += rest;
                found.examined += rest;
                return Ok(true);
            }
            for entry in page {
                let (first, last) = ends(&entry);
                let end = last.get().min(span.last);
                if first.get() > span.last {
                    // What was left of it is not kept any more.
                    let rest = span.last + 1 - next;
                    found.counts.gone += rest;
                    found.examined += rest;
                    next = span.last + 1;
                    break;
                }
                found.examined += (end + 1).saturating_sub(next);
                found.counts.gone += first.get().saturating_sub(next);
                next = end + 1;
                match entry {
                    Indexed::Record { record, verdict } => {
                        self.take(desk, (&record, verdict, settled), found).await?;
                    }
                    Indexed::Erased(_) | Indexed::Damaged { .. } => {
                        found.counts.gone += (end + 1).saturating_sub(first.get());
                    }
                }
            }
        }
        Ok(true)
    }

    async fn take(
        &self,
        desk: &Desk,
        (record, verdict, settled): (&Record, Verdict, Seq),
        found: &mut Found,
    ) -> anyhow::Result<()> {
        found.looked_through = found.looked_through.max(Some(record.received_at));
        let lens = Lens {
            desk,
            connection: &self.connection,
            filter: &self.filter,
            number: None,
        };
        let call = match lens.look(record, verdict, settled).await? {
            Look::Call(call) => call,
            Look::Not(why) => {
                why.count(&mut found.counts);
                return Ok(());
            }
        };
        if !self.is_first(desk, (record, &call), found).await? {
            found.counts.not_first += 1;
            return Ok(());
        }
        found.calls += 1;
        let age = Timestamp::now().duration_since(record.received_at);
        found.n_old += u64::from(age > DEDUP);
        if found.samples.len() < SAMPLES {
            let sample = self.sample(&lens, (record, verdict), &call).await?;
            found.samples.push(sample);
        }
        Ok(())
    }

    /// Whether a first-only connection would send it.
    async fn is_first(
        &self,
        desk: &Desk,
        (record, call): (&Record, &Call),
        found: &mut Found,
    ) -> anyhow::Result<bool> {
        let SendFrequency::First(_) = self.connection.options.send_frequency else {
            return Ok(true);
        };
        let Some(occurrence) = &call.occurrence else {
            return Ok(true);
        };
        let key = keys::of_occurrence(occurrence);
        let (id, partition) = (self.connection.id.as_str(), record.place.partition);
        let journal = &desk.operator.journal;
        let held = journal.first_claims(id, partition, &[key]).await;
        let held = held.context("cannot read first-only claims")?;
        Ok(match held.into_iter().next().flatten() {
            Some(holder) => holder == record.place,
            None => found.claimed.insert(key),
        })
    }

    async fn sample(
        &self,
        lens: &Lens<'_>,
        (record, verdict): (&Record, Verdict),
        call: &Call,
    ) -> anyhow::Result<ReplaySample> {
        let before = lens.before(record, verdict, &self.connection).await?;
        let sent_before = matches!(before.outcome, Outcome::Accepted { .. });
        let earlier = before.call.filter(|_| sent_before);
        let call: CallSeen = call_seen(call);
        let differences = earlier.map(|earlier| differences(&earlier.json, &call.json).0);
        let mut row = row(record, Some(verdict));
        row.ends.push(RowEnd {
            connection: self.connection.name.to_string(),
            outcome: before.outcome,
        });
        Ok(ReplaySample {
            row,
            call,
            sent_before,
            differences: differences.unwrap_or_default(),
        })
    }
}
