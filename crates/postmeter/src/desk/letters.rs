//! Dead letters: in groups, one by one, and tried again.

use std::collections::BTreeMap;

use anyhow::Context as _;
use console::seen::{LetterGroup, LetterSeen, Letters, Retried};
use console::{NotChanged, Which};
use journal::{DeadLetter, DeadLetterFilter, DeadLetterId};

use super::{Desk, looking, trouble};
use crate::api::record_name;

/// Dead letters that are looked at for groups, and that one action is for.
const EXAMINED: usize = 20_000;
/// Letters that are read in one go.
const PAGE: usize = 500;
/// Event names that a group shows.
const NAMES: usize = 5;

/// Whether whoever takes letters takes another.
#[derive(PartialEq, Eq)]
enum Next {
    More,
    Enough,
}

impl Desk {
    /// All dead letters, by why they are.
    pub(super) async fn letter_groups(&self) -> anyhow::Result<Letters> {
        let total = self.operator.journal.dead_letter_count().await;
        let mut letters = Letters {
            total: looking(total, "cannot count the dead letters")?,
            ..Letters::default()
        };
        let mut groups: BTreeMap<String, LetterGroup> = BTreeMap::new();
        self.each_letter((None, None), |found| {
            letters.examined += 1;
            let key = group_of(found);
            let group = groups
                .entry(key.clone())
                .or_insert_with(|| self.new_group(key, found));
            group.count += 1;
            group.oldest_at = found.letter.buried_at;
            if let Some(name) = &found.letter.event_name
                && group.events.len() < NAMES
                && !group.events.contains(name)
            {
                group.events.push(name.clone());
            }
            Next::More
        })
        .await?;
        letters.groups = groups.into_values().collect();
        letters
            .groups
            .sort_by_key(|group| std::cmp::Reverse(group.count));
        Ok(letters)
    }

    fn new_group(&self, key: String, newest: &DeadLetter) -> LetterGroup {
        let letter = &newest.letter;
        let connection = letter.connection.as_deref();
        LetterGroup {
            key,
            reason: letter.reason.clone(),
            connection: connection.map(|id| self.operator.name_of(id)),
            count: 0,
            newest_at: letter.buried_at,
            oldest_at: letter.buried_at,
            events: Vec::new(),
        }
    }

    /// Hands over the newest letters below `after` of a group, or of all, newest
    /// first.
    async fn each_letter(
        &self,
        (group, mut after): (Option<&str>, Option<DeadLetterId>),
        mut take: impl FnMut(&DeadLetter) -> Next + Send,
    ) -> anyhow::Result<()> {
        let mut n_examined = 0;
        while n_examined < EXAMINED {
            let filter = DeadLetterFilter {
                connection: None,
                after,
                limit: PAGE,
            };
            let page = self.operator.journal.dead_letters(filter).await;
            let page = looking(page, "cannot read the dead letters")?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            n_examined += page.len();
            let mut wanted = page
                .iter()
                .filter(|found| group.is_none_or(|group| group_of(found) == group));
            if wanted.any(|found| take(found) == Next::Enough) {
                break;
            }
        }
        Ok(())
    }

    /// The newest letters of a group, or of all, below `after`.
    pub(super) async fn letter_page(
        &self,
        group: Option<&str>,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> anyhow::Result<Vec<LetterSeen>> {
        let mut page = Vec::new();
        self.each_letter((group, after), |found| {
            page.push(self.letter_seen(found));
            if page.len() < limit {
                Next::More
            } else {
                Next::Enough
            }
        })
        .await?;
        Ok(page)
    }

    /// A letter as pages show it.
    pub(super) fn letter_seen(&self, found: &DeadLetter) -> LetterSeen {
        let letter = &found.letter;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        LetterSeen {
            id: found.id.get(),
            record: record_name(letter.place),
            connection: letter
                .connection
                .as_deref()
                .map(|id| self.operator.name_of(id)),
            workspace: letter.workspace.clone(),
            buried_at: letter.buried_at,
            reason: letter.reason.clone(),
            event: letter.event_name.clone(),
            answer: letter
                .answer
                .as_ref()
                .map(|answer| (answer.status, text(&answer.body))),
            body: text(&letter.body),
            call: letter.call.as_deref().map(text),
        }
    }

    /// The ids of those letters, newest first.
    pub(super) async fn letter_ids(&self, which: &Which) -> anyhow::Result<Vec<DeadLetterId>> {
        let group = match which {
            Which::One(id) => return Ok(vec![*id]),
            Which::Group(key) => Some(key.as_str()),
            Which::All => None,
        };
        let mut ids = Vec::new();
        self.each_letter((group, None), |found| {
            ids.push(found.id);
            Next::More
        })
        .await?;
        Ok(ids)
    }

    /// Sends letters again, and removes those that arrive.
    pub(super) async fn retry_letters(&self, which: Which) -> Result<Retried, NotChanged> {
        let ids = self.letter_ids(&which).await.map_err(trouble)?;
        let mut retried = Retried::default();
        for chunk in ids.chunks(PAGE) {
            let mut letters = Vec::new();
            for id in chunk {
                let found = self.operator.journal.dead_letter(*id).await;
                letters.extend(
                    found
                        .context("cannot read a dead letter")
                        .map_err(trouble)?,
                );
            }
            let round = self.operator.retry(letters).await.map_err(trouble)?;
            let is_stuck = round.left > 0 && round.accepted == 0 && round.refused == 0;
            retried.accepted += round.accepted;
            retried.refused += round.refused;
            retried.skipped += round.skipped;
            retried.left += round.left;
            retried.note = round.note.or(retried.note);
            if is_stuck {
                break;
            }
        }
        let tried = retried.accepted + retried.refused;
        retried.left = u64::try_from(ids.len())
            .unwrap_or(u64::MAX)
            .saturating_sub(tried + retried.skipped);
        self.note(format!(
            "dead letters were tried again: {} accepted, {} refused, {} left",
            retried.accepted,
            retried.refused,
            retried.left + retried.skipped
        ))
        .await;
        Ok(retried)
    }
}

/// Names the group of a letter: its connection and its reason without figures.
fn group_of(found: &DeadLetter) -> String {
    let letter = &found.letter;
    let connection = letter.connection.as_deref().unwrap_or_default();
    let mut key = format!("{connection}/");
    let mut digits = 0;
    for c in letter.reason.chars().take(200) {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        match digits {
            // A status has three digits; more are a size.
            4 => {
                key.truncate(key.len() - 3);
                key.push('#');
            }
            5.. => {}
            _ => key.push(c),
        }
    }
    key
}
