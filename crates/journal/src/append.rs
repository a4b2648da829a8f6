//! What appending is, whichever engine does it: a permit for room, a draft handed
//! over, and an answer once the record is on stable storage.

use std::future::Future;
use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::lock::lock;
use crate::place::Place;
use crate::record::Draft;
use crate::room::Claim;

/// Why a draft was not journaled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The workspace's name exceeds [`Draft::MAX_NAME_BYTES`]: refuse it.
    #[error("a workspace name of {bytes} bytes is more than the journal keeps")]
    WorkspaceTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The key's name exceeds [`Draft::MAX_NAME_BYTES`]: refuse it.
    #[error("a key name of {bytes} bytes is more than the journal keeps")]
    SignerTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The body is larger than what was reserved for it.
    #[error("a body of {bytes} bytes is more than the {reserved} that were reserved")]
    BodyTooLarge {
        /// Its length.
        bytes: usize,
        /// What the permit was for.
        reserved: usize,
    },
    /// The write failed. A later one may succeed.
    #[error("cannot write to the journal's log")]
    Write(#[source] Arc<io::Error>),
    /// The sync failed, now or earlier. Whether the record will be there when
    /// the journal is opened anew is unknown.
    #[error("cannot sync the journal's log, so it takes nothing more")]
    Poisoned(#[source] Arc<io::Error>),
    /// The cluster did not confirm the record in time, for example because it has
    /// no majority. Whether the record will be there is unknown.
    #[error("the cluster did not confirm the record in time: {cause}")]
    Unconfirmed {
        /// What the last try came to, in words.
        cause: Arc<str>,
    },
    /// The journal was closed before the draft reached it.
    #[error("the journal is closed")]
    Closed,
}

/// A record that is on stable storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Where it is; none where the journal has yet to number it. In a cluster a
    /// record may be on a majority's disks before this node knows how many are
    /// in front of it.
    pub place: Option<Place>,
}

/// What an append is answered.
pub(crate) type Appended = Result<Stored, AppendError>;

/// A draft on its way, with the room it holds and who waits for it.
pub(crate) struct Job {
    pub(crate) draft: Draft,
    pub(crate) claim: Claim,
    /// When it was handed over.
    pub(crate) since: Instant,
    pub(crate) answer: oneshot::Sender<Appended>,
}

impl Job {
    /// The most that the record will take.
    pub(crate) fn bytes(&self) -> usize {
        self.draft.body.len() + Draft::MAX_OVERHEAD_BYTES
    }

    /// Gives the room back first, so that whoever is answered can have it.
    pub(crate) fn answer(self, answer: Appended) {
        drop(self.claim);
        // Nobody waits any more when a request was cancelled; the record stays.
        self.answer.send(answer).ok();
    }
}

/// What the thread that writes is asked for.
pub(crate) enum Order {
    Append(Job),
    /// Begin the next segment now, and say when it was tried.
    BeginSegment(SyncSender<()>),
}

/// Where an engine takes drafts from. Room is claimed before anything is sent,
/// so none of these is ever full.
#[derive(Clone)]
pub(crate) enum Queue {
    /// To the thread that writes; none once the log is closed.
    Thread(Arc<Mutex<Option<SyncSender<Order>>>>),
    /// To the tasks that pack, one for each partition.
    Tasks(Arc<[mpsc::Sender<Job>]>),
}

impl Queue {
    fn send(&self, job: Job) -> Result<(), AppendError> {
        let sent = match self {
            Queue::Thread(sender) => {
                let sender = lock(sender);
                let sender = sender.as_ref().ok_or(AppendError::Closed)?;
                sender.try_send(Order::Append(job)).is_ok()
            }
            Queue::Tasks(senders) => {
                let partition = job.draft.affinity.among(senders.len());
                senders
                    .get(partition)
                    .is_some_and(|sender| sender.try_send(job).is_ok())
            }
        };
        sent.then_some(()).ok_or(AppendError::Closed)
    }
}

/// Room for one record. Dropping it gives the room back.
#[must_use = "a permit holds room until it is used or dropped"]
pub struct Permit {
    pub(crate) claim: Claim,
    pub(crate) queue: Queue,
}

impl Permit {
    /// Hands the draft over to be journaled, at once; the answer comes when the
    /// record is on stable storage. Who stops waiting does not undo the append.
    pub fn append(
        self,
        draft: Draft,
    ) -> impl Future<Output = Result<Stored, AppendError>> + Send + use<> {
        let sent = self.send(draft);
        async move { sent?.await.unwrap_or(Err(AppendError::Closed)) }
    }

    fn send(self, draft: Draft) -> Result<oneshot::Receiver<Appended>, AppendError> {
        check(&draft, self.claim.body_bytes)?;
        let (answer, answered) = oneshot::channel();
        let job = Job {
            draft,
            claim: self.claim,
            since: Instant::now(),
            answer,
        };
        self.queue.send(job)?;
        Ok(answered)
    }
}

fn check(draft: &Draft, reserved: usize) -> Result<(), AppendError> {
    let bytes = draft.workspace.len();
    if bytes > Draft::MAX_NAME_BYTES {
        return Err(AppendError::WorkspaceTooLong { bytes });
    }
    let bytes = draft.signed_by.as_ref().map_or(0, String::len);
    if bytes > Draft::MAX_NAME_BYTES {
        return Err(AppendError::SignerTooLong { bytes });
    }
    let bytes = draft.body.len();
    if bytes > reserved {
        return Err(AppendError::BodyTooLarge { bytes, reserved });
    }
    Ok(())
}
