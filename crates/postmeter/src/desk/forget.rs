//! Erases a person: finds everything that the journal holds of them, takes it out,
//! and counts what cannot be taken back.
//!
//! A person is found by any of their identifiers, and what is found may show others,
//! which are followed as far as they go. Nothing of it is logged: who asks sees the
//! identifiers, everybody else sees numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use console::seen::Outcome;
use jiff::Timestamp;
use journal::{
    ClaimKey, DeadLetter, DeadLetterFilter, DeadLetterId, EraseError, Leavings, Place, PutError,
    ReadError, Record, Term, TermKind,
};
use serde::Serialize;
use shape::{Event, EventKey};

use super::{Desk, looking};
use crate::pipeline::keys;
use crate::pipeline::trace::BatchTrace;
use crate::replay::traced_as;

/// The most identifiers of one person. Beyond, it is more than one person: an address
/// that many share, or an id that stands for none.
const MAX_IDENTIFIERS: usize = 32;
/// The most records of one person.
const MAX_RECORDS: usize = 100_000;
/// Dead letters that are read in one go.
const LETTERS: usize = 500;
/// Traces of one record that are looked at.
const TRACES: usize = 8;
/// A shorter word is no name where it only happens to stand in a text.
const LEAST_WORD_BYTES: usize = 5;
/// The setting that is there from before the first file is touched until the last is
/// clean: what a crash leaves in files is found by nothing any more.
const UNFINISHED: &str = "forgetting";
/// How long the index may take to come as far as the log is now.
const INDEXING: Duration = Duration::from_secs(30);

/// Whom to forget.
#[derive(Clone, Debug)]
pub(crate) struct Forget {
    /// An id, an email address or a `cio_id`.
    pub(crate) person: String,
    pub(crate) reach: Reach,
}

/// How far a person goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Every identifier that what is found shows, too.
    Linked,
    /// What bears this very identifier.
    Exact,
}

/// What there is of a person, or was.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Forgotten {
    /// What they are known as, the one that was asked for first.
    pub(crate) identifiers: Vec<String>,
    pub(crate) records: u64,
    pub(crate) dead_letters: u64,
    /// Calls that Segment has. Nobody but Segment can delete them.
    pub(crate) calls_sent: u64,
}

/// Why a person was not forgotten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unforgotten {
    #[error(
        "more than {MAX_IDENTIFIERS} identifiers hang together here, so this is more than one person: \
         forget one identifier at a time, with `exact`"
    )]
    TooManyIdentifiers,
    #[error(
        "more than {MAX_RECORDS} records bear this identifier, so it is hardly a person: nothing was erased"
    )]
    TooManyRecords,
    #[error(
        "a journal on a cluster cannot erase single records, and nothing was erased: a pack holds \
         several, on several servers. What is there goes with [journal] retention_days; shorten that"
    )]
    OnACluster,
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Everything that was found of a person.
#[derive(Default)]
struct Found {
    identifiers: Vec<String>,
    records: BTreeMap<Place, ClaimKey>,
    letters: BTreeSet<DeadLetterId>,
    traces: BTreeSet<(String, Place)>,
    calls_sent: u64,
}

impl Found {
    fn told(&self) -> Forgotten {
        Forgotten {
            identifiers: self.identifiers.clone(),
            records: count(self.records.len()),
            dead_letters: count(self.letters.len()),
            calls_sent: self.calls_sent,
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.identifiers.iter().any(|known| known == name)
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Desk {
    /// What there is of a person. Changes nothing.
    pub(crate) async fn look_for(&self, asked: &Forget) -> Result<Forgotten, Unforgotten> {
        Ok(self.find_person(asked).await?.told())
    }

    /// Erases a person, and says what went and what cannot be taken back.
    ///
    /// The log goes first. Then feeds finish what they have in hand and begin anew, so
    /// that none sends what is gone; what they buried in doing so goes with the rest.
    pub(crate) async fn forget(&self, asked: &Forget) -> Result<Forgotten, Unforgotten> {
        let found = self.find_person(asked).await?;
        let journal = &self.operator.journal;
        let unfinished = journal.setting(UNFINISHED).await;
        let unfinished = looking(unfinished, "cannot read what is unfinished")?;
        if found.records.is_empty() && found.letters.is_empty() && unfinished.is_none() {
            return Ok(found.told());
        }
        let revision = unfinished.map(|setting| setting.revision);
        let begun = journal
            .put_setting(UNFINISHED, Bytes::new(), revision)
            .await;
        let begun = looking(begun, "cannot note that somebody is being forgotten")?;
        let records = journal.erase(found.records.clone(), Timestamp::now()).await;
        let records = records.map_err(unforgotten)?;
        self.operator.running.renew().await;
        let mut left = Found {
            identifiers: found.identifiers.clone(),
            records: found.records.clone(),
            ..Found::default()
        };
        self.find_letters(&mut left, Reach::Exact).await?;
        let doomed: BTreeSet<DeadLetterId> = found.letters.union(&left.letters).copied().collect();
        let leavings = Leavings {
            letters: doomed.into_iter().collect(),
            traces: found.traces.iter().cloned().collect(),
        };
        let letters = journal.scrub(leavings).await.map_err(unforgotten)?;
        let ended = journal.remove_setting(UNFINISHED, begun).await;
        if let Err(PutError::State(error)) = ended {
            return Err(anyhow::Error::from(error).into()); // a conflict: another goes on
        }
        let line =
            format!("a person was forgotten: {records} record(s), {letters} dead letter(s) erased");
        self.note(line).await;
        Ok(Forgotten {
            records,
            dead_letters: letters,
            ..found.told()
        })
    }

    async fn find_person(&self, asked: &Forget) -> Result<Found, Unforgotten> {
        if !self.operator.journal.can_erase() {
            return Err(Unforgotten::OnACluster);
        }
        self.until_indexed().await?;
        let mut found = Found::default();
        found.identifiers.push(asked.person.clone());
        let mut n_followed = 0;
        loop {
            while let Some(name) = found.identifiers.get(n_followed).cloned() {
                self.find_records(&mut found, &name, asked.reach).await?;
                n_followed += 1;
            }
            self.find_letters(&mut found, asked.reach).await?;
            if n_followed == found.identifiers.len() {
                break;
            }
        }
        self.find_traces(&mut found).await?;
        Ok(found)
    }

    /// What is not indexed is not found.
    async fn until_indexed(&self) -> anyhow::Result<()> {
        for partition in self.operator.journal.partitions() {
            let durable = *self.operator.journal.durable(partition).borrow();
            let mut indexed = self.operator.journal.indexed(partition);
            let caught_up = indexed.wait_for(|indexed| *indexed >= durable);
            let waited = tokio::time::timeout(INDEXING, caught_up).await;
            waited
                .context("the index is behind the log: try again when it has caught up")?
                .context("the journal is closed")?;
        }
        Ok(())
    }

    async fn find_records(
        &self,
        found: &mut Found,
        name: &str,
        reach: Reach,
    ) -> Result<(), Unforgotten> {
        let term = Term {
            kind: TermKind::Person,
            value: name.to_owned(),
        };
        let places = self.operator.journal.look_up(&term, MAX_RECORDS + 1).await;
        let places = looking(places, "cannot look for the person")?;
        for place in places {
            if found.records.contains_key(&place) {
                continue;
            }
            if found.records.len() == MAX_RECORDS {
                return Err(Unforgotten::TooManyRecords);
            }
            match self.operator.journal.record(place).await {
                // Of a long name the index compares only the beginning.
                Ok(Some(record)) if !shows(&record, name) => {}
                Ok(Some(record)) => self.take_up(found, &record, reach).await?,
                Ok(None) => {}
                // Whose it is was known before it was damaged; or an attempt before this
                // has left in the index what led here.
                Err(ReadError::Damaged(_) | ReadError::Erased { .. }) => {
                    found.records.insert(place, keys::of_place(place));
                }
                Err(error) => return Err(anyhow::Error::from(error).into()),
            }
        }
        Ok(())
    }

    /// Notes a record of the person, with the identifiers and sent calls that it shows.
    async fn take_up(
        &self,
        found: &mut Found,
        record: &Record,
        reach: Reach,
    ) -> Result<(), Unforgotten> {
        let event = Event::parse(&record.body).ok();
        let key = event
            .as_ref()
            .map_or_else(|| EventKey::of_body(&record.body), Event::key);
        let key = keys::of_event(&record.workspace, &key);
        found.records.insert(record.place, key);
        if let Some(event) = &event {
            link(found, event, reach)?;
        }
        let verdict = self.operator.journal.verdict(record.place).await;
        let verdict = looking(verdict, "cannot read the record's verdict")?;
        for connection in self.connections_of(&record.workspace) {
            let judged = self.judge(record, verdict, &connection).await?;
            let sent = matches!(judged.outcome, Outcome::Accepted { .. });
            found.calls_sent += u64::from(sent);
        }
        Ok(())
    }

    /// The letters of the records that were found, and of this person.
    async fn find_letters(&self, found: &mut Found, reach: Reach) -> Result<(), Unforgotten> {
        let mut after = None;
        loop {
            let filter = DeadLetterFilter {
                connection: None,
                after,
                limit: LETTERS,
            };
            let letters = self.operator.journal.dead_letters(filter).await;
            let letters = looking(letters, "cannot read the dead letters")?;
            let Some(last) = letters.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for letter in letters {
                if is_theirs(found, &letter) {
                    found.letters.insert(letter.id);
                    self.take_letter_up(found, &letter, reach)?;
                }
            }
        }
    }

    /// A letter shows identifiers as its record does; an event that is no event is
    /// known by its letter alone.
    fn take_letter_up(
        &self,
        found: &mut Found,
        letter: &DeadLetter,
        reach: Reach,
    ) -> Result<(), Unforgotten> {
        let letter = &letter.letter;
        if let Ok(event) = Event::parse(&letter.body) {
            return link(found, &event, reach);
        }
        let mut partitions = self.operator.journal.partitions();
        if partitions.any(|there| there == letter.place.partition) {
            let key = EventKey::of_body(&letter.body);
            let key = keys::of_event(&letter.workspace, &key);
            found.records.insert(letter.place, key);
        }
        Ok(())
    }

    /// Answers of Segment that repeat what the person is known as.
    async fn find_traces(&self, found: &mut Found) -> anyhow::Result<()> {
        let connections = self.operator.connections().into_iter();
        let mut owners: Vec<String> = connections.map(|each| each.id.to_string()).collect();
        let replays = self.operator.replays.all().await?;
        let jobs = replays.iter().map(|kept| &kept.job);
        owners.extend(jobs.map(|job| traced_as(&job.connection, job.number)));
        for place in found.records.keys() {
            for id in &owners {
                let traces = self.operator.journal.traces(id, *place, TRACES).await;
                for trace in looking(traces, "cannot read what was tried")? {
                    let through = Place::new(place.partition, trace.through);
                    let Some(said) = BatchTrace::decode(trace.value) else {
                        continue;
                    };
                    let mut texts = said.attempts.iter().map(|tried| tried.text.as_bytes());
                    if texts.any(|text| names_one(&found.identifiers, text)) {
                        found.traces.insert((id.clone(), through));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Notes the identifiers that an event shows of its person.
fn link(found: &mut Found, event: &Event<'_>, reach: Reach) -> Result<(), Unforgotten> {
    if reach == Reach::Exact {
        return Ok(());
    }
    for name in names(event) {
        if !found.is_known(&name) {
            found.identifiers.push(name);
        }
    }
    if found.identifiers.len() > MAX_IDENTIFIERS {
        return Err(Unforgotten::TooManyIdentifiers);
    }
    Ok(())
}

fn shows(record: &Record, name: &str) -> bool {
    let event = Event::parse(&record.body);
    event.is_ok_and(|event| names(&event).iter().any(|shown| shown == name))
}

fn names(event: &Event<'_>) -> Vec<String> {
    let person = event.person();
    let names = [person.id, person.email, person.cio_id];
    names.into_iter().flatten().map(String::from).collect()
}

/// Whether a letter is of a record that was found, is of the person by what it says,
/// or, where it says nothing that can be read, names them anywhere.
fn is_theirs(found: &Found, letter: &DeadLetter) -> bool {
    let letter = &letter.letter;
    if found.records.contains_key(&letter.place) {
        return true;
    }
    match Event::parse(&letter.body) {
        Ok(event) => names(&event).iter().any(|name| found.is_known(name)),
        Err(_) => names_one(&found.identifiers, &letter.body),
    }
}

/// Whether bytes hold one of these words, in any case of its letters. Short ones, such
/// as an id of two digits, would stand in any text.
fn names_one(words: &[String], bytes: &[u8]) -> bool {
    let holds = |word: &String| {
        let word = word.as_bytes();
        let mut windows = bytes.windows(word.len().max(LEAST_WORD_BYTES));
        windows.any(|window| window.eq_ignore_ascii_case(word))
    };
    words.iter().any(holds)
}

fn unforgotten(error: EraseError) -> Unforgotten {
    match error {
        EraseError::OnACluster => Unforgotten::OnACluster,
        other => Unforgotten::Failed(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_any_case() {
        let words = ["ann@example.com".to_owned()];
        assert!(names_one(&words, b"to Ann@Example.com, again"));
        assert!(!names_one(&words, b"to jo@example.com"));
        assert!(!names_one(&["17".to_owned()], b"status 17"));
    }

    #[test]
    fn identifiers_are_followed_unless_one_alone_is_meant() {
        let body = br#"{"object_type":"email","metric":"opened","data":{"identifiers":{"id":"7","email":"a@b.c","cio_id":"x"}}}"#;
        let event = Event::parse(body).unwrap();
        let mut found = Found::default();
        link(&mut found, &event, Reach::Exact).unwrap();
        assert!(found.identifiers.is_empty());
        link(&mut found, &event, Reach::Linked).unwrap();
        assert_eq!(found.identifiers, ["7", "a@b.c", "x"]);
    }

    #[test]
    fn an_address_that_everybody_shares_is_no_person() {
        let mut found = Found::default();
        let refused = (0..40).find_map(|number| {
            let body =
                format!(r#"{{"metric":"opened","data":{{"identifiers":{{"id":"{number}"}}}}}}"#);
            link(
                &mut found,
                &Event::parse(body.as_bytes()).unwrap(),
                Reach::Linked,
            )
            .err()
        });
        assert!(matches!(refused, Some(Unforgotten::TooManyIdentifiers)));
    }
}
