//! Dead letters: in groups, one by one, tried again, and discarded.
//!
//! Whatever is done to many goes through them in pages, the newest first, for a
//! bounded time, and says below which letter to go on. Each page is durable before
//! the next is read, so what breaks off has done a part and nothing by halves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use console::Which;
use console::seen::{Came, Channel, Discarded, Filter, LetterGroup, LetterList, LetterSeen};
use console::seen::{Letters, Outcome, Retried, Row, RowEnd, RowKind};
use journal::{DeadLetter, DeadLetterFilter, DeadLetterId, Verdict};

use super::look::describe_body;
use super::search::message_ids;
use super::{Desk, looking};
use crate::api::record_name;

/// Dead letters that are looked at for groups.
const EXAMINED: u64 = 20_000;
/// Letters that are read and done in one go.
const PAGE: usize = 500;
/// How long letters are looked for that are only shown.
const LOOK_TIME: Duration = Duration::from_secs(2);
/// How long one step of an action goes on, beyond the page in hand.
const STEP_TIME: Duration = Duration::from_secs(10);
/// Event names that a group shows.
const NAMES: usize = 5;

/// A walk through letters, from the newest down.
pub(super) struct Walk {
    /// Where the next page begins.
    below: Option<DeadLetterId>,
    begun: Instant,
    time: Duration,
    examined: u64,
    is_over: bool,
}

impl Walk {
    fn new(below: Option<DeadLetterId>, time: Duration) -> Walk {
        Walk {
            below,
            begun: Instant::now(),
            time,
            examined: 0,
            is_over: false,
        }
    }

    /// One step of an action.
    pub(super) fn step(below: Option<DeadLetterId>) -> Walk {
        Walk::new(below, STEP_TIME)
    }

    pub(super) fn examined(&self) -> u64 {
        self.examined
    }

    /// Below which letter there are more; none where all were looked at.
    pub(super) fn next(&self) -> Option<u64> {
        let below = self.below.filter(|_| !self.is_over);
        below.map(DeadLetterId::get)
    }
}

impl Desk {
    /// The next page of a walk: those of it that are meant. None when it is over,
    /// or its time is.
    pub(super) async fn next_letters(
        &self,
        walk: &mut Walk,
        which: &Which,
    ) -> anyhow::Result<Option<Vec<DeadLetter>>> {
        if walk.is_over || walk.begun.elapsed() >= walk.time {
            return Ok(None);
        }
        if let Which::These(ids) = which {
            walk.is_over = true;
            return self.letters_by_id(walk, ids).await.map(Some);
        }
        let filter = DeadLetterFilter {
            connection: None,
            after: walk.below,
            limit: PAGE,
        };
        let page = self.operator.journal.dead_letters(filter).await;
        let mut page = looking(page, "cannot read the dead letters")?;
        let Some(last) = page.last() else {
            walk.is_over = true;
            return Ok(None);
        };
        walk.below = Some(last.id);
        walk.is_over = page.len() < PAGE;
        walk.examined += u64::try_from(page.len()).unwrap_or(u64::MAX);
        page.retain(|found| self.is_meant(which, found));
        Ok(Some(page))
    }

    async fn letters_by_id(
        &self,
        walk: &mut Walk,
        ids: &[DeadLetterId],
    ) -> anyhow::Result<Vec<DeadLetter>> {
        let mut letters = Vec::new();
        for id in ids {
            let found = self.operator.journal.dead_letter(*id).await;
            letters.extend(looking(found, "cannot read a dead letter")?);
        }
        letters.retain(|found| walk.below.is_none_or(|below| found.id < below));
        letters.sort_by_key(|found| std::cmp::Reverse(found.id));
        letters.dedup_by_key(|found| found.id);
        walk.examined += u64::try_from(letters.len()).unwrap_or(u64::MAX);
        Ok(letters)
    }

    fn is_meant(&self, which: &Which, found: &DeadLetter) -> bool {
        match which {
            Which::These(ids) => ids.contains(&found.id),
            Which::Group(key) => group_of(found) == *key,
            Which::Matching(filter) => self.passes(filter, found),
        }
    }

    /// Whether a letter passes: its event, as a row that was buried when it was.
    pub(super) fn passes(&self, filter: &Filter, found: &DeadLetter) -> bool {
        if filter.is_all() {
            return true;
        }
        let letter = &found.letter;
        // Most do not: their time alone says so, and is cheap to ask.
        if !filter.is_in_time(letter.buried_at) {
            return false;
        }
        let ids = if filter.asks_for_message_ids() {
            let connections = self.operator.connections();
            message_ids(&letter.workspace, &letter.body, &connections)
        } else {
            Vec::new()
        };
        filter.wants(&self.row_of_letter(found), &ids)
    }

    /// A letter as filters see it. Of an event that no connection could deliver, the
    /// connection has the empty name, which none has.
    fn row_of_letter(&self, found: &DeadLetter) -> Row {
        let letter = &found.letter;
        let connection = letter.connection.as_deref();
        let mut row = Row {
            place: letter.place,
            received_at: letter.buried_at,
            came: Came::Live,
            workspace: letter.workspace.clone(),
            kind: RowKind::Event,
            name: String::new(),
            channel: Channel::Other,
            person: None,
            email: None,
            event_id: None,
            delivery_id: None,
            ends: vec![RowEnd {
                connection: connection.map_or_else(String::new, |id| self.operator.name_of(id)),
                outcome: Outcome::Buried {
                    letter: Some(found.id.get()),
                    reason: letter.reason.clone(),
                },
            }],
        };
        describe_body(&mut row, &letter.body, Some(Verdict::First));
        if let Some(name) = &letter.event_name {
            row.name.clone_from(name);
        }
        row
    }

    /// The dead letters that pass, by why they are.
    pub(super) async fn letter_groups(&self, filter: &Filter) -> anyhow::Result<Letters> {
        let total = self.operator.journal.dead_letter_count().await;
        let mut letters = Letters {
            total: looking(total, "cannot count the dead letters")?,
            ..Letters::default()
        };
        let mut groups: BTreeMap<String, LetterGroup> = BTreeMap::new();
        let mut walk = Walk::new(None, LOOK_TIME);
        let which = Which::Matching(filter.clone());
        while walk.examined < EXAMINED
            && let Some(page) = self.next_letters(&mut walk, &which).await?
        {
            for found in &page {
                let key = group_of(found);
                let group = groups
                    .entry(key.clone())
                    .or_insert_with(|| self.new_group(key, found));
                count(group, found);
            }
        }
        letters.examined = walk.examined;
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

    /// The newest of those letters, below `below`.
    pub(super) async fn letter_page(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
        limit: usize,
    ) -> anyhow::Result<LetterList> {
        let mut walk = Walk::new(below, LOOK_TIME);
        let mut list = LetterList::default();
        while let Some(page) = self.next_letters(&mut walk, which).await? {
            let room = limit - list.letters.len();
            let is_cut = page.len() > room;
            list.letters
                .extend(page.iter().take(room).map(|found| self.letter_seen(found)));
            if is_cut || list.letters.len() == limit {
                let has_more = is_cut || !walk.is_over;
                let last = list.letters.last().map(|last| last.id);
                list.older = last.filter(|_| has_more);
                list.examined = walk.examined;
                return Ok(list);
            }
        }
        list.older = walk.next();
        list.examined = walk.examined;
        Ok(list)
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

    /// Sends letters again, and removes those that arrive.
    pub(super) async fn retry_letters(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> anyhow::Result<Retried> {
        let mut walk = Walk::step(below);
        let mut retried = Retried::default();
        while let Some(page) = self.next_letters(&mut walk, which).await? {
            let Some(newest) = page.first().map(|newest| newest.id.get()) else {
                continue;
            };
            let round = self.operator.retry(page).await?;
            let is_stuck = round.left > 0 && round.accepted == 0 && round.refused == 0;
            retried.accepted += round.accepted;
            retried.refused += round.refused;
            retried.skipped += round.skipped;
            retried.left += round.left;
            retried.note = round.note.or(retried.note);
            if is_stuck {
                // The next page would fare no better: this one is where to go on.
                retried.next = Some(newest + 1);
                break;
            }
        }
        retried.next = retried.next.or(walk.next());
        if retried.accepted + retried.refused + retried.skipped + retried.left > 0 {
            self.note(format!(
                "dead letters {} were tried again: {} accepted, {} refused, {} left",
                named(which),
                retried.accepted,
                retried.refused,
                retried.left + retried.skipped
            ))
            .await;
        }
        Ok(retried)
    }

    /// Removes letters for good.
    pub(super) async fn discard_letters(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> anyhow::Result<Discarded> {
        let mut walk = Walk::step(below);
        let mut discarded = Discarded::default();
        while let Some(page) = self.next_letters(&mut walk, which).await? {
            let ids = page.iter().map(|found| found.id).collect();
            let removed = self.operator.journal.remove_dead_letters(ids).await;
            discarded.discarded += looking(removed, "cannot remove dead letters")?;
        }
        discarded.next = walk.next();
        if discarded.discarded > 0 {
            let count = discarded.discarded;
            self.note(format!(
                "{count} dead letters {} were discarded",
                named(which)
            ))
            .await;
        }
        Ok(discarded)
    }
}

/// Which letters an action was for, as the audit list says it: without persons.
fn named(which: &Which) -> String {
    match which {
        Which::These(ids) => {
            let shown: Vec<String> = ids.iter().take(20).map(ToString::to_string).collect();
            let more = if ids.len() > shown.len() { ", .." } else { "" };
            format!("({}{more})", shown.join(", "))
        }
        Which::Group(_) => "of one reason".to_owned(),
        Which::Matching(filter) if filter.is_all() => "(all)".to_owned(),
        Which::Matching(filter) => format!("({})", filter.discreet()),
    }
}

fn count(group: &mut LetterGroup, found: &DeadLetter) {
    group.count += 1;
    group.oldest_at = found.letter.buried_at;
    if let Some(name) = &found.letter.event_name
        && group.events.len() < NAMES
        && !group.events.contains(name)
    {
        group.events.push(name.clone());
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
