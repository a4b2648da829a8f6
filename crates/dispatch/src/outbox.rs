//! The loop that ties the parts together: piece by piece, attempt by attempt.
//!
//! Decides nothing itself: the gate says when, `post` does it, `verdict` says what it
//! meant, `bisect` what is next. Keeps nothing durable: a batch that is lost with the
//! process is sent again by whoever made it.

use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::bisect::{Piece, Progress};
use crate::gate::{Gate, Permit};
use crate::outcome::Recent;
use crate::post::{Answer, Http, Parcel, Post};
use crate::retry_after::parse;
use crate::verdict::{Connection, Fault, Verdict, judge};
use crate::{
    Attempt, AttemptResult, Batch, Condition, Destination, OUTCOME_ATTEMPTS, OutboxError, Outcome,
    Policy,
};

/// How many attempts [`Outbox::recent_attempts`] remembers.
pub const RECENT_ATTEMPTS: usize = 50;

/// The way out of one connection, shared by all of its batches under way.
///
/// One gate closes for all of them, one pool of connections serves them, and no other
/// connection notices: a slow destination slows nobody else.
pub struct Outbox {
    destination: Destination,
    policy: Policy,
    post: Box<dyn Post>,
    now: fn() -> Timestamp,
    gate: Gate,
    recent: Mutex<Recent>,
}

/// The world as an [`Outbox`] meets it.
pub struct Outside {
    /// The way to the destination.
    pub post: Box<dyn Post>,
    /// The clock that people read. Waits go by tokio's.
    pub now: fn() -> Timestamp,
    /// What the jitter of all waits follows from.
    pub seed: u64,
}

impl Outbox {
    /// An outbox for `destination`. Nothing is sent or resolved yet.
    ///
    /// # Errors
    ///
    /// When the system's root certificates, which https needs, cannot be read.
    pub fn new(destination: Destination, policy: Policy) -> Result<Self, OutboxError> {
        let outside = Outside {
            post: Box::new(Http::new(destination.clone(), policy.clone())?),
            now: Timestamp::now,
            seed: rand::rng().random(),
        };
        Ok(Self::over(destination, policy, outside))
    }

    /// An outbox for `destination` in a world of one's own: for simulations.
    pub fn over(destination: Destination, policy: Policy, outside: Outside) -> Self {
        let Outside { post, now, seed } = outside;
        Self {
            gate: Gate::new(policy.clone(), now, StdRng::seed_from_u64(seed)),
            recent: Mutex::new(Recent::new(RECENT_ATTEMPTS)),
            destination,
            policy,
            post,
            now,
        }
    }

    /// Sends `batch` until the fate of every call is known, however long that takes.
    ///
    /// While the destination is at fault it waits and tries again, without end. An
    /// answer that was lost is asked for again with the same message ids, so a call may
    /// arrive twice but never not at all. A call that Segment refuses is found by
    /// halving the batch; the others go on.
    ///
    /// When `stop` comes, the attempt in hand is finished (which takes
    /// [`Policy::request_timeout`] at most) and no other is begun. May be called for any number
    /// of batches at once; dropping the future is safe and leaves their fate unknown.
    pub async fn dispatch(&self, batch: Batch, stop: &CancellationToken) -> Outcome {
        let mut progress = Progress::new(batch);
        let mut attempts = Recent::new(OUTCOME_ATTEMPTS);
        let mut n_attempts = 0;
        while let Some(piece) = progress.next_piece()
            && let Some(permit) = self.gate.permit(stop).await
        {
            n_attempts += 1;
            let (attempt, verdict) = self.attempt(&progress, &piece, n_attempts).await;
            match verdict {
                Verdict::Accepted { .. } => {
                    permit.answered();
                    progress.accepted(&piece);
                }
                Verdict::EventFault => {
                    permit.answered();
                    progress.blamed(&piece, &attempt);
                }
                Verdict::CountRefused => {
                    permit.answered();
                    progress.start_over(piece);
                }
                Verdict::DestinationFault(fault) => {
                    self.close(permit, fault);
                    progress.retry(piece);
                }
            }
            attempts.push(attempt);
        }
        Outcome {
            attempts: attempts.into_oldest_first(),
            n_attempts,
            ..progress.into_outcome()
        }
    }

    /// Whether calls flow, or since when and why they wait; changes are seen as they happen.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.gate.condition()
    }

    /// The last [`RECENT_ATTEMPTS`] attempts of all batches, newest first.
    pub fn recent_attempts(&self) -> Vec<Attempt> {
        self.recent().newest_first()
    }

    /// Whom it sends to.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    async fn attempt(
        &self,
        progress: &Progress,
        piece: &Piece,
        ordinal: u32,
    ) -> (Attempt, Verdict) {
        let at = (self.now)();
        let (parcel, body_bytes) = {
            let body = progress.body(piece, at);
            (Parcel::new(&body, piece.retries), body.len())
        };
        let (retry_count, sent_bytes) = (parcel.retry_count, parcel.gzip.len());
        let began = Instant::now();
        let posted = self.post.post(parcel).await;
        let duration = began.elapsed();

        let (result, verdict) = Self::read(posted, retry_count);
        let note = if let Verdict::Accepted { note } = verdict {
            note
        } else {
            None
        };
        let calls = piece.calls.len();
        let attempt = Attempt {
            at,
            ordinal,
            calls,
            body_bytes,
            sent_bytes,
            result,
            note,
            duration,
        };
        debug!(
            batch.calls = calls,
            attempt.ordinal = ordinal,
            "sent {sent_bytes} bytes"
        );
        self.recent().push(attempt.clone());
        (attempt, verdict)
    }

    fn read(posted: Result<Answer, String>, retry_count: u32) -> (AttemptResult, Verdict) {
        match posted {
            Ok(answer) => {
                let verdict = judge(&answer, retry_count);
                let Answer { status, body, .. } = answer;
                (AttemptResult::Answered { status, body }, verdict)
            }
            Err(cause) => {
                let reason = cause.clone();
                let fault = Fault {
                    reason,
                    connection: Connection::Renew,
                    retry_after: None,
                };
                (
                    AttemptResult::Failed { cause },
                    Verdict::DestinationFault(fault),
                )
            }
        }
    }

    fn close(&self, permit: Permit<'_>, fault: Fault) {
        // Before the gate moves, so that the next to leave does not take the old connection.
        if fault.connection == Connection::Renew {
            self.post.renew();
        }
        let bounds = self.policy.retry_after_min..=self.policy.retry_after_max;
        let pause = fault
            .retry_after
            .and_then(|value| parse(&value, (self.now)(), &bounds));
        permit.failed(fault.reason, pause);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}
