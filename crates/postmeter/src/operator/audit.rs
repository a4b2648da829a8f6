//! The list of what was changed, when, and through what.
//!
//! One setting holds the newest changes, so every node shows the same list and
//! its size is bounded. It is a record for people: a change whose line cannot be
//! written stands all the same, and the log says so.

use bytes::Bytes;
use console::seen::{AuditLine, Origin};
use jiff::Timestamp;
use journal::{Journal, PutError, Revision};
use tracing::warn;

/// The setting that holds the list.
const KEY: &str = "audit";
/// Lines that are kept.
const LINES: usize = 500;
/// Of a longer line only this much is kept.
const LINE_BYTES: usize = 1_000;
/// How often a line is written anew because another node was faster.
const TRIES: usize = 5;

/// The audit list of a journal. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit {
    journal: Journal,
}

impl Audit {
    /// The list that `journal` keeps.
    pub(super) fn of(journal: Journal) -> Audit {
        Audit { journal }
    }

    /// Adds a line for each of `changes`.
    pub(crate) async fn note(&self, origin: Origin, changes: Vec<String>) {
        if changes.is_empty() {
            return;
        }
        let at = Timestamp::now();
        let line = |what: String| AuditLine {
            at,
            origin,
            what: clipped(what),
        };
        let lines: Vec<AuditLine> = changes.into_iter().map(line).collect();
        for _ in 0..TRIES {
            match self.add(&lines).await {
                Err(PutError::Conflict { .. }) => {}
                Ok(()) => return,
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    return warn!("a change is not in the audit list: {error:#}");
                }
            }
        }
        warn!("a change is not in the audit list: other nodes write it all the time");
    }

    async fn add(&self, lines: &[AuditLine]) -> Result<(), PutError> {
        let (mut kept, revision) = self.load().await.map_err(PutError::State)?;
        kept.extend_from_slice(lines);
        let surplus = kept.len().saturating_sub(LINES);
        kept.drain(..surplus);
        let json = serde_json::to_vec(&kept).expect("lines have text for keys, so they are JSON");
        let put = self.journal.put_setting(KEY, Bytes::from(json), revision);
        put.await.map(drop)
    }

    /// The newest lines, newest first.
    pub(crate) async fn newest(&self, limit: usize) -> anyhow::Result<Vec<AuditLine>> {
        let (kept, _) = self.load().await?;
        Ok(kept.into_iter().rev().take(limit).collect())
    }

    async fn load(&self) -> Result<(Vec<AuditLine>, Option<Revision>), journal::StateError> {
        let Some(setting) = self.journal.setting(KEY).await? else {
            return Ok((Vec::new(), None));
        };
        // A list of a build that wrote it otherwise begins anew.
        let lines = serde_json::from_slice(&setting.value).unwrap_or_default();
        Ok((lines, Some(setting.revision)))
    }
}

fn clipped(mut what: String) -> String {
    if what.len() > LINE_BYTES {
        let end = what.floor_char_boundary(LINE_BYTES);
        what.truncate(end);
        what.push('\u{2026}');
    }
    what
}

#[cfg(test)]
mod tests {
    use journal::Config;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn the_newest_changes_are_kept_and_the_list_stays_small() {
        let folder = TempDir::new().unwrap();
        let config = Config::for_tests(folder.path().join("journal"));
        let audit = Audit::of(Journal::open(config).await.unwrap());
        let many = (0..LINES + 10).map(|n| format!("change {n}")).collect();
        audit.note(Origin::Api, many).await;
        audit.note(Origin::Console, vec!["x".repeat(5_000)]).await;
        let lines = audit.newest(LINES * 2).await.unwrap();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0].origin, Origin::Console);
        assert!(lines[0].what.len() < LINE_BYTES + 4);
        assert_eq!(lines[1].what, format!("change {}", LINES + 9));
    }
}
