//! What the console asks of the process that it is a part of.
//!
//! The console knows how things are shown and typed in; how they are found out
//! and carried out is behind this trait, so that every page can be tried without
//! a server.

use connections::{Connection, Connections, Edit, SecretRef};
use jiff::Timestamp;
use journal::{DeadLetterId, Place};

use crate::seen::{
    AuditLine, Changed, Discarded, Enabling, Explained, Filter, Foreseen, History, LetterList,
    LetterSeen, Letters, Lookup, Overview, Preview, ReplayAsked, ReplayPreview, ReplaySeen,
    Retried, Row, Span, Steer, Watched,
};

/// Something could not be found out or done just now. The text is for a person.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// Why a change was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotChanged {
    /// It has mistakes: a sentence each.
    #[error("{}", .0.join("; "))]
    Mistakes(Vec<String>),
    /// What it is about is gone.
    #[error("there is no {0}")]
    Missing(String),
    /// It is fine, and could not be done.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// What became of a test event.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TestSent {
    /// The name to look for in Segment's debugger.
    pub event: String,
    /// The id to look for.
    pub message_id: String,
    /// Whether the answer was a 2xx. Segment answers that to a wrong write key too.
    pub accepted: bool,
    /// The answer, in words.
    pub answer: String,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These.
    These(Vec<DeadLetterId>),
    /// Those of a group, by its key.
    Group(String),
    /// Those that pass; an empty filter means every one.
    Matching(Filter),
}

impl Which {
    /// The most that can be named one by one.
    pub const MOST: usize = 1_000;

    /// Every one.
    pub fn all() -> Which {
        Which::Matching(Filter::default())
    }
}

/// Where a look at events begins. The marks are those of an earlier [`Watched`].
#[derive(Clone, Copy, Debug)]
pub enum Look<'m> {
    /// At the newest, and back from there.
    Newest,
    /// Behind [`Watched::next`]: at what came since.
    After(&'m str),
    /// At [`Watched::older`], and back from there.
    Before(&'m str),
}

/// What every page shows beside its own matter.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// How many dead letters there are.
    pub dead_letters: u64,
    /// Bytes of records on disk.
    pub journal_bytes: u64,
    /// The most there may be.
    pub journal_max_bytes: u64,
    /// Why events are answered 503 just now; none while they are taken.
    pub trouble: Option<String>,
    /// The node's name; none where there is no cluster.
    pub node: Option<String>,
    /// The server's version.
    pub version: String,
}

/// The process, as the console sees it. Cheap to clone.
pub trait Process: Clone + Send + Sync + 'static {
    /// Ends when the process is about to stop: what never ends by itself, such as a
    /// stream of events, ends then, so that nobody waits for it. Never by default.
    fn stopping(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// What every page shows. Cheap.
    fn standing(&self) -> impl Future<Output = Standing> + Send;

    /// How everything is doing.
    fn overview(&self) -> impl Future<Output = Result<Overview, Trouble>> + Send;

    /// What happened over a span.
    fn history(&self, span: Span) -> impl Future<Output = Result<History, Trouble>> + Send;

    /// What the operator decided.
    fn decided(&self) -> impl Future<Output = Result<Connections, Trouble>> + Send;

    /// Events that pass. Looks at a bounded number of records for a bounded time,
    /// and says how far it came.
    fn watch(
        &self,
        look: Look<'_>,
        filter: &Filter,
        limit: usize,
    ) -> impl Future<Output = Result<Watched, Trouble>> + Send;

    /// These records as they are now; those that are gone are left out.
    fn rows(&self, places: &[Place]) -> impl Future<Output = Result<Vec<Row>, Trouble>> + Send;

    /// Everything about one record; none where it is not kept.
    fn explain(
        &self,
        place: Place,
    ) -> impl Future<Output = Result<Option<Explained>, Trouble>> + Send;

    /// When the record was erased; none where it was not.
    fn erased_at(&self, place: Place) -> impl Future<Output = Option<Timestamp>> + Send;

    /// Records by event id, message id, delivery id, person or place.
    fn find(&self, words: &str) -> impl Future<Output = Result<Lookup, Trouble>> + Send;

    /// Recent events of the connection's workspace, as `candidate` would send them:
    /// first those that become calls.
    fn preview(
        &self,
        candidate: &Connection,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Preview>, Trouble>> + Send;

    /// How many records a connection would catch up with if it were enabled.
    fn backlog(&self, connection: &str) -> impl Future<Output = Result<u64, Trouble>> + Send;

    /// The dead letters that pass, in groups.
    fn letters(&self, filter: &Filter) -> impl Future<Output = Result<Letters, Trouble>> + Send;

    /// The newest of those dead letters, below `below`. Looks for a bounded time.
    fn letters_of(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
        limit: usize,
    ) -> impl Future<Output = Result<LetterList, Trouble>> + Send;

    /// What an action on those dead letters would touch, and what a retry would
    /// send. Looks for a bounded time.
    fn foresee(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> impl Future<Output = Result<Foreseen, Trouble>> + Send;

    /// One dead letter; none where it is gone.
    fn letter(
        &self,
        id: DeadLetterId,
    ) -> impl Future<Output = Result<Option<LetterSeen>, Trouble>> + Send;

    /// The newest changes, newest first.
    fn audit(&self, limit: usize) -> impl Future<Output = Result<Vec<AuditLine>, Trouble>> + Send;

    /// Keeps a secret that somebody typed in, and says where.
    fn keep_secret(
        &self,
        secret: &str,
    ) -> impl Future<Output = Result<SecretRef, NotChanged>> + Send;

    /// Makes a change, durably, and takes it up. A connection that becomes
    /// enabled by it begins as `enabling` says.
    fn edit(
        &self,
        edit: Edit,
        enabling: Enabling,
    ) -> impl Future<Output = Result<Changed, NotChanged>> + Send;

    /// Sends a test event through a connection, past its queue.
    fn send_test(
        &self,
        connection: &str,
    ) -> impl Future<Output = Result<TestSent, NotChanged>> + Send;

    /// Keeps that a person saw a test event arrive.
    fn confirm(&self, connection: &str) -> impl Future<Output = Result<(), NotChanged>> + Send;

    /// Makes every first-only claim of a connection free again.
    fn reset_claims(&self, connection: &str)
    -> impl Future<Output = Result<(), NotChanged>> + Send;

    /// Reads a workspace's names anew.
    fn refresh_names(&self, workspace: &str)
    -> impl Future<Output = Result<(), NotChanged>> + Send;

    /// Every replay that is kept, newest first.
    fn replays(&self) -> impl Future<Output = Result<Vec<ReplaySeen>, Trouble>> + Send;

    /// One replay; none where it is not kept.
    fn replay(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Option<ReplaySeen>, Trouble>> + Send;

    /// What a replay would do. Looks at a bounded number of records, for a bounded
    /// time.
    fn preview_replay(
        &self,
        asked: &ReplayAsked,
    ) -> impl Future<Output = Result<ReplayPreview, NotChanged>> + Send;

    /// Begins a replay, durably.
    fn start_replay(
        &self,
        asked: &ReplayAsked,
    ) -> impl Future<Output = Result<ReplaySeen, NotChanged>> + Send;

    /// Pauses, resumes or cancels a replay, durably. One that stands so already
    /// stays as it is.
    fn steer_replay(
        &self,
        number: u64,
        steer: Steer,
    ) -> impl Future<Output = Result<ReplaySeen, NotChanged>> + Send;

    /// Sends dead letters below `below` again, with the connection's options of now.
    /// Works for a bounded time, and says where to go on.
    fn retry(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> impl Future<Output = Result<Retried, NotChanged>> + Send;

    /// Removes dead letters below `below` for good. Works for a bounded time, and says
    /// where to go on.
    fn discard(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> impl Future<Output = Result<Discarded, NotChanged>> + Send;
}
