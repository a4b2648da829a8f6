//! What the console asks of this process, answered.
//!
//! Pages and the API look at the same desk, so they cannot disagree. What it shows
//! is found out when somebody looks: nothing here costs an event on its way
//! anything. What it changes goes through the [`Operator`], and into the audit
//! list.

mod ahead;
mod back;
mod explain;
pub(crate) mod forget;
mod letters;
mod look;
mod overview;
mod replays;
mod search;
mod watch;

pub(crate) use self::explain::call_seen;
pub(crate) use self::look::row;
pub(crate) use self::replays::Before;

use std::time::Duration;

use anyhow::Context as _;
use connections::{Connection, Connections, Edit, SecretRef};
use console::seen::{
    AuditLine, Changed, Discarded, Enabling, Explained, Filter, Foreseen, History, LetterList,
    LetterSeen, Letters, Lookup, Origin, Overview, Preview, ReplayAsked, ReplayPreview, ReplaySeen,
    Retried, Row, Span, Steer, Watched,
};
use console::{Look, NotChanged, Process, Standing, TestSent, Trouble, Which};
use jiff::Timestamp;
use journal::{DeadLetterId, Place};
use tokio_util::sync::CancellationToken;

use crate::api::health;
use crate::cli::EnableFrom;
use crate::history::History as Past;
use crate::observe::Observer;
use crate::operator::{Apply, ApplyError, Operator};
use crate::trial::Tested;

/// A look at, and hands on, a running server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) operator: Operator,
    pub(crate) observer: Observer,
    pub(crate) history: Past,
    /// How long records are kept.
    pub(crate) retention: Duration,
    /// Through what changes come that are made here.
    pub(crate) origin: Origin,
    /// Cancelled when the process stops.
    pub(crate) stop: CancellationToken,
}

impl Desk {
    /// The same desk for whoever comes another way.
    pub(crate) fn through(&self, origin: Origin) -> Desk {
        Desk {
            origin,
            ..self.clone()
        }
    }

    fn named(&self, name: &str) -> Result<Connection, NotChanged> {
        let mut connections = self.operator.connections().into_iter();
        let found = connections.find(|each| each.name.as_str() == name);
        found.ok_or_else(|| NotChanged::Missing(format!("connection {name:?}")))
    }

    async fn note(&self, what: String) {
        self.operator.audit.note(self.origin, vec![what]).await;
    }
}

impl Process for Desk {
    async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    async fn standing(&self) -> Standing {
        let stats = self.operator.journal.stats();
        let (_, trouble) = health(&stats.health);
        let nodes = self.operator.journal.nodes();
        let this = nodes.into_iter().find(|node| node.is_this);
        Standing {
            dead_letters: self.operator.journal.dead_letter_count().await.unwrap_or(0),
            journal_bytes: stats.bytes,
            journal_max_bytes: stats.max_bytes,
            trouble,
            node: this.map(|node| node.name),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    async fn overview(&self) -> Result<Overview, Trouble> {
        self.see_all().await.map_err(trouble)
    }

    async fn history(&self, span: Span) -> Result<History, Trouble> {
        self.see_history(span).await.map_err(trouble)
    }

    async fn decided(&self) -> Result<Connections, Trouble> {
        let loaded = self.operator.load().await.map_err(trouble)?;
        Ok(loaded.0)
    }

    async fn watch(
        &self,
        look: Look<'_>,
        filter: &Filter,
        limit: usize,
    ) -> Result<Watched, Trouble> {
        self.watch_for(look, filter, limit).await.map_err(trouble)
    }

    async fn rows(&self, places: &[Place]) -> Result<Vec<Row>, Trouble> {
        let mut rows = Vec::with_capacity(places.len());
        for place in places {
            rows.extend(self.row_at(*place).await.map_err(trouble)?);
        }
        Ok(rows)
    }

    async fn explain(&self, place: Place) -> Result<Option<Explained>, Trouble> {
        self.explain_record(place).await.map_err(trouble)
    }

    async fn erased_at(&self, place: Place) -> Option<Timestamp> {
        self.when_erased(place).await
    }

    async fn find(&self, words: &str) -> Result<Lookup, Trouble> {
        self.search(words).await.map_err(trouble)
    }

    async fn preview(&self, candidate: &Connection, limit: usize) -> Result<Vec<Preview>, Trouble> {
        self.previews(candidate, limit).await.map_err(trouble)
    }

    async fn backlog(&self, connection: &str) -> Result<u64, Trouble> {
        let found = self.named(connection);
        let connection = found.map_err(|error| Trouble(error.to_string()))?;
        let lag = self.operator.lag(&connection).await.map_err(trouble)?;
        Ok(lag.records)
    }

    async fn letters(&self, filter: &Filter) -> Result<Letters, Trouble> {
        self.letter_groups(filter).await.map_err(trouble)
    }

    async fn letters_of(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<LetterList, Trouble> {
        self.letter_page(which, below, limit).await.map_err(trouble)
    }

    async fn foresee(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> Result<Foreseen, Trouble> {
        self.foresee_letters(which, below).await.map_err(trouble)
    }

    async fn letter(&self, id: DeadLetterId) -> Result<Option<LetterSeen>, Trouble> {
        let found = self.operator.journal.dead_letter(id).await;
        let found = found.map_err(trouble)?;
        Ok(found.map(|found| self.letter_seen(&found)))
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditLine>, Trouble> {
        self.operator.audit.newest(limit).await.map_err(trouble)
    }

    async fn keep_secret(&self, secret: &str) -> Result<SecretRef, NotChanged> {
        let kept = self.operator.keep_secret(secret).await;
        Ok(kept.map_err(trouble)?)
    }

    async fn edit(&self, edit: Edit, enabling: Enabling) -> Result<Changed, NotChanged> {
        let from = match enabling {
            Enabling::Now => EnableFrom::Now,
            Enabling::Backlog => EnableFrom::Backlog,
        };
        let applied = self.operator.apply(edit, Apply::Now(from), self.origin);
        let applied = applied.await.map_err(not_changed)?;
        Ok(Changed {
            changes: applied.changes.iter().map(ToString::to_string).collect(),
            warnings: applied.warnings,
        })
    }

    async fn send_test(&self, connection: &str) -> Result<TestSent, NotChanged> {
        self.named(connection)?;
        let sent = self.operator.send_test(connection).await.map_err(trouble)?;
        let gone = || NotChanged::Missing(format!("connection {connection:?}"));
        Ok(test_sent(sent.ok_or_else(gone)?))
    }

    async fn confirm(&self, connection: &str) -> Result<(), NotChanged> {
        self.named(connection)?;
        self.operator.confirm(connection).await.map_err(trouble)?;
        self.note(format!("connection {connection}: confirmed"))
            .await;
        Ok(())
    }

    async fn reset_claims(&self, connection: &str) -> Result<(), NotChanged> {
        let found = self.named(connection)?;
        let reset = self.operator.journal.reset_claims(found.id.as_str()).await;
        reset.map_err(trouble)?;
        let what = format!("connection {connection}: its first-only claims were reset");
        self.note(what).await;
        Ok(())
    }

    async fn refresh_names(&self, workspace: &str) -> Result<(), NotChanged> {
        self.read_names_again(workspace)
    }

    async fn replays(&self) -> Result<Vec<ReplaySeen>, Trouble> {
        self.replays_seen().await.map_err(trouble)
    }

    async fn replay(&self, number: u64) -> Result<Option<ReplaySeen>, Trouble> {
        self.replay_seen(number).await.map_err(trouble)
    }

    async fn preview_replay(&self, asked: &ReplayAsked) -> Result<ReplayPreview, NotChanged> {
        self.replay_previewed(asked).await
    }

    async fn start_replay(&self, asked: &ReplayAsked) -> Result<ReplaySeen, NotChanged> {
        self.replay_started(asked).await
    }

    async fn steer_replay(&self, number: u64, steer: Steer) -> Result<ReplaySeen, NotChanged> {
        self.replay_steered(number, steer).await
    }

    async fn retry(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> Result<Retried, NotChanged> {
        let retried = self.retry_letters(which, below).await;
        Ok(retried.map_err(trouble)?)
    }

    async fn discard(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> Result<Discarded, NotChanged> {
        let discarded = self.discard_letters(which, below).await;
        Ok(discarded.map_err(trouble)?)
    }
}

fn test_sent(tested: Tested) -> TestSent {
    let answer = match tested.attempt.map(|attempt| attempt.result) {
        None => "no answer in time".to_owned(),
        Some(dispatch::AttemptResult::Answered { status, body }) => format!("{status} {body}"),
        Some(dispatch::AttemptResult::Failed { cause }) => cause,
    };
    TestSent {
        event: tested.event_name,
        message_id: tested.message_id,
        accepted: tested.accepted,
        answer,
    }
}

/// A trouble in the words of its whole chain.
fn trouble(error: impl Into<anyhow::Error>) -> Trouble {
    Trouble(format!("{:#}", error.into()))
}

fn not_changed(error: ApplyError) -> NotChanged {
    match error {
        ApplyError::Mistakes(mistakes) => {
            NotChanged::Mistakes(mistakes.iter().map(ToString::to_string).collect())
        }
        error @ (ApplyError::Conflict | ApplyError::Failed(_)) => trouble(error).into(),
    }
}

/// How long ago something was, never below zero.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// Adds what was being done to an error of the journal.
fn looking<T, E>(result: Result<T, E>, what: &'static str) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.context(what)
}
