//! Where a time begins in the log: found by halving, because records lie in the
//! order in which they arrived, give or take a clock.

use console::seen::filter::Filter;
use jiff::{SignedDuration, Timestamp};
use journal::{Journal, Partition, PartitionStats, Place, ReadError, Seq};

use super::job::Span;

/// How far a record may lie from where its time would have it: clocks of several
/// nodes differ, and one may be set back.
const SLACK: SignedDuration = SignedDuration::from_mins(1);

/// The records of each partition that can be meant, through the last there is now.
pub(super) async fn spans(journal: &Journal, filter: &Filter) -> Result<Vec<Span>, ReadError> {
    let mut spans = Vec::new();
    for stats in journal.stats().partitions {
        let PartitionStats {
            partition,
            first,
            last,
            ..
        } = stats;
        let (Some(first), Some(last)) = (first, last) else {
            spans.push(Span {
                partition: partition.get(),
                first: 1,
                last: 0,
            });
            continue;
        };
        let mut span = Span {
            partition: partition.get(),
            first: first.get(),
            last: last.get(),
        };
        if let Some(since) = filter.since() {
            let at = since.saturating_sub(SLACK).unwrap_or(since);
            span.first = begin(journal, span, at).await?;
        }
        if let Some(until) = filter.until() {
            let at = until.saturating_add(SLACK).unwrap_or(until);
            span.last = begin(journal, span, at).await?.saturating_sub(1);
        }
        spans.push(span);
    }
    Ok(spans)
}

/// The first record of a span that was received at `at` or later; the one behind
/// its last where there is none.
async fn begin(journal: &Journal, span: Span, at: Timestamp) -> Result<u64, ReadError> {
    let (mut low, mut high) = (span.first, span.last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let is_before = match received_at(journal, span.partition(), middle).await? {
            Some(received_at) => received_at < at,
            // Whatever cannot be read is looked at rather than left out.
            None => false,
        };
        if is_before {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

async fn received_at(
    journal: &Journal,
    partition: Partition,
    seq: u64,
) -> Result<Option<Timestamp>, ReadError> {
    match journal
        .received_at(Place::new(partition, Seq::new(seq)))
        .await
    {
        Err(ReadError::Damaged(_) | ReadError::Erased { .. }) => Ok(None),
        received_at => received_at,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use journal::{Affinity, Config, Draft, Tense};
    use tempfile::TempDir;

    use super::*;

    /// A journal whose record N was received N hours after the epoch.
    async fn hourly(n_records: i64) -> (TempDir, Journal) {
        let folder = TempDir::new().unwrap();
        let config = Config::for_tests(folder.path().join("journal"));
        let journal = Journal::open(config).await.unwrap();
        for n in 1..=n_records {
            let draft = Draft {
                received_at: Timestamp::from_second(n * 3_600).unwrap(),
                workspace: "acme".to_owned(),
                signed_by: None,
                affinity: Affinity::default(),
                origin: None,
                tense: Tense::Live,
                body: Bytes::from_static(b"{}"),
            };
            journal.append(draft).unwrap().await.unwrap();
        }
        (folder, journal)
    }

    async fn found(journal: &Journal, filter: &str) -> (u64, u64) {
        let filter = Filter::parse(filter, Timestamp::UNIX_EPOCH).unwrap();
        let spans = spans(journal, &filter).await.unwrap();
        (spans[0].first, spans[0].last)
    }

    #[tokio::test]
    async fn a_time_is_found_in_the_log_and_what_is_outside_is_not_gone_through() {
        let (_folder, journal) = hourly(20).await;
        assert_eq!(found(&journal, "").await, (1, 20));
        assert_eq!(found(&journal, "since:1970-01-01T05:30Z").await, (6, 20));
        assert_eq!(found(&journal, "until:1970-01-01T05:30Z").await, (1, 5));
        let both = "since:1970-01-01T05:30Z until:1970-01-01T07:30Z";
        assert_eq!(found(&journal, both).await, (6, 7));
        assert_eq!(found(&journal, "since:1971-01-01").await, (21, 20));
        // A record of the very minute is never left out.
        assert_eq!(found(&journal, "since:1970-01-01T05:00Z").await, (5, 20));
    }

    #[tokio::test]
    async fn an_empty_journal_has_nothing_to_go_through() {
        let (_folder, journal) = hourly(0).await;
        let (first, last) = found(&journal, "").await;
        assert!(first > last);
    }
}
