//! The receiving side: what a running server does with what is carried over.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use connections::{Connections, Secret, Settings, Written};
use console::seen::Origin;
use jiff::Timestamp;
use journal::{Draft, Journal, Permit, Place, Unavailable};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{CARRIED, Carried, CarriedLetter, Chunk, PROGRESS, Progress, letter_key, load, save};
use crate::cli::EnableFrom;
use crate::operator::{Apply, ApplyError, Operator};
use crate::pipeline::keys;

/// How long one chunk waits for room in the journal.
const ROOM_PATIENCE: Duration = Duration::from_secs(15);
/// The pause before room is asked for again.
const ROOM_PAUSE: Duration = Duration::from_millis(5);

/// What the old journal was for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    /// Its name.
    pub(crate) journal: String,
    /// Its connections, with their ids.
    pub(crate) document: String,
    /// Through where each had settled, by its id.
    pub(crate) cursors: BTreeMap<String, u64>,
    /// When each was confirmed that was, by its id.
    pub(crate) confirmed: BTreeMap<String, String>,
    /// The last record.
    pub(crate) last: u64,
    /// What people had pasted into its console; an older build sends none.
    #[serde(default)]
    pub(crate) secrets: PastedSecrets,
}

/// Secrets that a journal kept, by id. They travel as the token does that lets
/// them in; nothing prints them.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct PastedSecrets(BTreeMap<String, String>);

impl PastedSecrets {
    pub(crate) fn of(kept: &BTreeMap<String, Secret>) -> PastedSecrets {
        let each = kept.iter();
        let each = each.map(|(id, secret)| (id.clone(), secret.reveal().to_owned()));
        PastedSecrets(each.collect())
    }

    fn unpacked(self) -> BTreeMap<String, Secret> {
        let each = self.0.into_iter();
        each.map(|(id, secret)| (id, Secret::new(secret))).collect()
    }
}

impl fmt::Debug for PastedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PastedSecrets({} hidden)", self.0.len())
    }
}

/// Some dead letters of the old journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letters {
    /// The id of the connection that shall bury them.
    pub(crate) owner: String,
    /// The number of the first.
    pub(crate) first: u32,
    pub(crate) each: Vec<CarriedLetter>,
}

/// The end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Finish {
    /// How many letters were sent for each connection, by its id.
    pub(crate) letters: BTreeMap<String, u32>,
}

/// Why something was not taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// What is here and the old journal do not go together.
    #[error("the old journal does not go with what is here:\n{}", .0.join("\n"))]
    Differs(Vec<String>),
    /// The records do not follow those that have arrived.
    #[error("these records follow record {after}, and those through {through} have arrived")]
    OutOfOrder {
        /// What they follow.
        after: u64,
        /// What has arrived.
        through: u64,
    },
    /// The old connections cannot be taken over as they are.
    #[error("cannot take the old connections over")]
    Connections(#[source] ApplyError),
    /// Try again.
    #[error("cannot take it over now")]
    Failed(#[from] anyhow::Error),
}

/// Takes the old connections over or finds that they are here; notes what they had
/// settled. Says through which record everything has arrived already.
pub(crate) async fn begin(operator: &Operator, begin: Begin) -> Result<u64, Refused> {
    let written = Written::parse(&begin.document);
    let written = written.map_err(|mistakes| Refused::Connections(mistakes.into()))?;
    let old = written.clone().settle_ids(&Connections::default());
    let old = old.context("no randomness for an id")?;
    let journal = &operator.journal;
    let mut carried = Carried::load(journal).await?.unwrap_or_default();
    if !carried.journal.is_empty() && carried.journal != begin.journal {
        let what = "  another journal was carried over into this one before";
        return Err(Refused::Differs(vec![what.to_owned()]));
    }
    if operator.load().await?.0 == Connections::default() {
        let pasted = begin.secrets.unpacked();
        let settings = Settings::of(journal.clone());
        let taken_over = settings.take_secrets_over(&pasted).await;
        taken_over.context("cannot keep the old secrets")?;
    }
    agree(operator, written, &old).await?;
    for (id, at) in &begin.confirmed {
        let at: Timestamp = at.parse().context("a confirmation has no time")?;
        operator.take_confirmation_over(id, at).await?;
    }
    carried.journal = begin.journal;
    for (id, cursor) in begin.cursors {
        let known = carried.cursors.entry(id).or_default();
        *known = cursor.max(*known);
    }
    let progress: Progress = load(journal, PROGRESS).await?.unwrap_or_default();
    carried.last = begin.last.max(carried.last);
    carried.is_done = carried.is_done && carried.last <= progress.through;
    save(journal, CARRIED, &carried).await?;
    Ok(progress.through)
}

async fn agree(operator: &Operator, written: Written, old: &Connections) -> Result<(), Refused> {
    let here = operator.load().await?.0;
    if here == Connections::default() {
        let applied = operator.apply(written, Apply::Now(EnableFrom::Backlog), Origin::Api);
        return applied.await.map(drop).map_err(Refused::Connections);
    }
    let mut differences = Vec::new();
    for old in old.connections() {
        let found = here.connections().iter().find(|here| here.id == old.id);
        match found {
            None => differences.push(format!(
                "  {} has the id {} there, and no connection here has it",
                old.name, old.id
            )),
            Some(here) if here.workspace != old.workspace => differences.push(format!(
                "  {} is of workspace {} there, and of {} here",
                old.name, old.workspace, here.workspace
            )),
            Some(_) => {}
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Refused::Differs(differences))
    }
}

/// Appends old records, in order. Says through which everything has arrived; what
/// it did not say so of may be sent again.
pub(crate) async fn records(journal: &Journal, chunk: Chunk) -> Result<u64, Refused> {
    let mut progress: Progress = load(journal, PROGRESS).await?.unwrap_or_default();
    if chunk.after != progress.through {
        return Err(Refused::OutOfOrder {
            after: chunk.after,
            through: progress.through,
        });
    }
    let mut appended = Vec::with_capacity(chunk.drafts.len());
    for draft in chunk.drafts {
        let affinity = keys::affinity(&draft.body);
        let permit = room(journal, draft.body.len()).await?;
        // Handed over at once, so that records stay in their order.
        appended.push(permit.append(Draft { affinity, ..draft }));
    }
    for stored in appended {
        let stored = stored.await.context("cannot append an old record")?;
        let Place { partition, seq } = stored.place.context("a record has no place yet")?;
        let end = progress.ends.entry(partition.get()).or_default();
        *end = seq.get().max(*end);
    }
    progress.through = chunk.through;
    save(journal, PROGRESS, &progress).await?;
    Ok(progress.through)
}

/// Room for a record, as soon as there is any.
pub(crate) async fn room(journal: &Journal, body_bytes: usize) -> anyhow::Result<Permit> {
    let begun = Instant::now();
    loop {
        match journal.reserve(body_bytes) {
            Err(Unavailable::Busy | Unavailable::Full { .. })
                if begun.elapsed() < ROOM_PATIENCE =>
            {
                sleep(ROOM_PAUSE).await;
            }
            reserved => return reserved.context("the journal has no room"),
        }
    }
}

/// Keeps old letters for the connection that shall bury them.
pub(crate) async fn letters(journal: &Journal, sent: &Letters) -> Result<(), Refused> {
    for (number, letter) in (sent.first..).zip(&sent.each) {
        save(journal, &letter_key(&sent.owner, number), letter).await?;
    }
    Ok(())
}

/// Notes that everything has arrived: those who waited for it go on.
pub(crate) async fn finish(journal: &Journal, finish: Finish) -> Result<(), Refused> {
    let progress: Progress = load(journal, PROGRESS).await?.unwrap_or_default();
    let mut carried = Carried::load(journal).await?.unwrap_or_default();
    if progress.through < carried.last {
        return Err(Refused::OutOfOrder {
            after: carried.last,
            through: progress.through,
        });
    }
    carried.letters = finish.letters;
    close(journal, carried, progress).await
}

/// Gives a migration up that nobody goes on with: those who wait for its end go on
/// with what has arrived.
pub(crate) async fn abandon(journal: &Journal) -> Result<(), Refused> {
    let Some(carried) = Carried::load(journal).await? else {
        return Ok(());
    };
    let progress: Progress = load(journal, PROGRESS).await?.unwrap_or_default();
    close(journal, carried, progress).await
}

async fn close(journal: &Journal, carried: Carried, progress: Progress) -> Result<(), Refused> {
    let closed = Carried {
        ends: progress.ends,
        is_done: true,
        ..carried
    };
    Ok(save(journal, CARRIED, &closed).await?)
}

#[cfg(test)]
mod tests {
    use journal::Config;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn connections_with_pasted_secrets_are_taken_over_with_them() {
        let folder = TempDir::new().unwrap();
        let journal = Journal::open(Config::for_tests(folder.path()))
            .await
            .unwrap();
        let operator = Operator::of(journal.clone(), dispatch::Policy::default());
        let document = "[[workspace]]\nname = \"acme\"\nsignature = \"off\"\n\
             [[connection]]\nname = \"eu\"\nid = \"c-1\"\nworkspace = \"acme\"\n\
             write_key = \"kept:abc\"\n";
        let kept = BTreeMap::from([("abc".to_owned(), Secret::new("pasted".to_owned()))]);
        let old = |secrets| Begin {
            journal: "old".to_owned(),
            document: document.to_owned(),
            cursors: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            last: 0,
            secrets,
        };
        let without = begin(&operator, old(PastedSecrets::default())).await;
        assert!(
            matches!(without, Err(Refused::Connections(_))),
            "{without:?}"
        );

        let with = old(PastedSecrets::of(&kept));
        assert!(!format!("{with:?}").contains("pasted\""), "{with:?}");
        begin(&operator, with).await.unwrap();
        let decided = operator.decided().borrow().connections[0].clone();
        assert_eq!(decided.destination.write_key.expose(), "pasted");
        journal.close().await.unwrap();
    }
}
