//! How far a batch has come, and the search for the call that spoils it.
//!
//! Segment refuses a request as a whole for one wrong call and does not say which.
//! So a refused piece is cut in halves, each sent for itself, until the offender
//! stands alone: about 2 log2(n) further requests for one among n. The calls stay
//! where they are, under their ids; a piece is a range of them. Pure bookkeeping.

use std::ops::Range;

use jiff::Timestamp;

use crate::{Attempt, Batch, Outcome, Refused};

/// Calls of one batch that are sent together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) calls: Range<usize>,
    /// How often exactly these calls have been sent before.
    pub(crate) retries: u32,
}

/// A batch on its way.
pub(crate) struct Progress {
    batch: Batch,
    /// What is still to be sent, the next one last. Never more than the halvings of one
    /// batch, because the first half of a piece is done before the second is begun.
    pending: Vec<Piece>,
    fates: Vec<Fate>,
}

#[derive(Clone)]
enum Fate {
    Unknown,
    Accepted,
    Refused(Box<Attempt>),
}

impl Progress {
    pub(crate) fn new(batch: Batch) -> Self {
        let all = Piece {
            calls: 0..batch.len(),
            retries: 0,
        };
        let pending = if batch.is_empty() {
            Vec::new()
        } else {
            vec![all]
        };
        Self {
            fates: vec![Fate::Unknown; batch.len()],
            batch,
            pending,
        }
    }

    /// The next piece to send; nothing when the fate of every call is known.
    pub(crate) fn next_piece(&mut self) -> Option<Piece> {
        self.pending.pop()
    }

    /// The body that carries `piece`, before compression.
    pub(crate) fn body(&self, piece: &Piece, sent_at: Timestamp) -> Vec<u8> {
        self.batch.body(&piece.calls, sent_at)
    }

    pub(crate) fn accepted(&mut self, piece: &Piece) {
        self.decide(piece, &Fate::Accepted);
    }

    /// Sends `piece` again, as one that has been sent before.
    pub(crate) fn retry(&mut self, piece: Piece) {
        self.pending.push(Piece {
            retries: piece.retries.saturating_add(1),
            ..piece
        });
    }

    /// Sends `piece` again, as if it had never been sent.
    pub(crate) fn start_over(&mut self, piece: Piece) {
        self.pending.push(Piece {
            retries: 0,
            ..piece
        });
    }

    /// One of the calls in `piece` is at fault: cuts it in halves, or refuses the only one.
    pub(crate) fn blamed(&mut self, piece: &Piece, attempt: &Attempt) {
        let Range { start, end } = piece.calls;
        if piece.calls.len() == 1 {
            self.decide(piece, &Fate::Refused(Box::new(attempt.clone())));
            return;
        }
        let middle = start.midpoint(end);
        self.pending.push(Piece {
            calls: middle..end,
            retries: 0,
        });
        self.pending.push(Piece {
            calls: start..middle,
            retries: 0,
        });
    }

    /// How the batch ended; calls without a fate count as stopped.
    pub(crate) fn into_outcome(self) -> Outcome {
        let mut outcome = Outcome::default();
        for (call, fate) in self.batch.into_calls().into_iter().zip(self.fates) {
            match fate {
                Fate::Unknown => outcome.stopped.push(call.tag),
                Fate::Accepted => outcome.accepted.push(call.tag),
                Fate::Refused(attempt) => {
                    outcome.refused.push(Refused {
                        tag: call.tag,
                        call,
                        attempt: *attempt,
                    });
                }
            }
        }
        outcome
    }

    fn decide(&mut self, piece: &Piece, fate: &Fate) {
        let fates = self.fates.get_mut(piece.calls.clone());
        fates
            .expect("pieces are cut from this batch")
            .fill(fate.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{AttemptResult, Call, Stamp};

    fn batch(n_calls: usize) -> Batch {
        let mut batch = Batch::new(Stamp::Omitted);
        for tag in 0..n_calls as u64 {
            let message_id = format!("pm-{tag}");
            batch
                .push(Call {
                    message_id,
                    json: "{}".to_owned(),
                    tag,
                })
                .unwrap();
        }
        batch
    }

    fn refusal(piece: &Piece) -> Attempt {
        Attempt {
            at: Timestamp::UNIX_EPOCH,
            ordinal: 1,
            calls: piece.calls.len(),
            body_bytes: 0,
            sent_bytes: 0,
            result: AttemptResult::Answered {
                status: 400,
                body: String::new(),
            },
            note: None,
            duration: Duration::ZERO,
        }
    }

    /// Sends every piece to a destination that dislikes `poison`, and counts the requests.
    fn search(n_calls: usize, poison: &BTreeSet<usize>) -> (Outcome, usize) {
        let mut progress = Progress::new(batch(n_calls));
        let mut n_requests = 0;
        while let Some(piece) = progress.next_piece() {
            n_requests += 1;
            assert!(!piece.calls.is_empty());
            if poison.range(piece.calls.clone()).next().is_some() {
                progress.blamed(&piece, &refusal(&piece));
            } else {
                progress.accepted(&piece);
            }
        }
        (progress.into_outcome(), n_requests)
    }

    #[test]
    fn an_empty_batch_is_never_sent() {
        assert_eq!(search(0, &BTreeSet::new()), (Outcome::default(), 0));
    }

    #[test]
    fn a_stopped_batch_reports_what_it_had_already_learned() {
        let mut progress = Progress::new(batch(4));
        let all = progress.next_piece().unwrap();
        progress.blamed(&all, &refusal(&all));
        let first_half = progress.next_piece().unwrap();
        progress.accepted(&first_half);
        let outcome = progress.into_outcome();
        assert_eq!(
            (outcome.accepted, outcome.stopped),
            (vec![0, 1], vec![2, 3])
        );
    }

    #[test]
    fn only_a_retry_of_the_same_calls_counts_as_one() {
        let mut progress = Progress::new(batch(2));
        let piece = progress.next_piece().unwrap();
        progress.retry(piece);
        let piece = progress.next_piece().unwrap();
        assert_eq!(piece.retries, 1);
        progress.start_over(piece);
        let piece = progress.next_piece().unwrap();
        assert_eq!(piece.retries, 0);
        progress.retry(piece);
        let piece = progress.next_piece().unwrap();
        progress.blamed(&piece, &refusal(&piece));
        assert_eq!(
            progress.next_piece(),
            Some(Piece {
                calls: 0..1,
                retries: 0
            })
        );
    }

    proptest! {
        #[test]
        fn exactly_the_offenders_are_refused_at_a_logarithmic_price_each(
            n_calls in 1..=Batch::MAX_CALLS,
            poison in prop::collection::btree_set(0..Batch::MAX_CALLS, 0..6),
        ) {
            let poison: BTreeSet<_> = poison.into_iter().filter(|tag| *tag < n_calls).collect();
            let (outcome, n_requests) = search(n_calls, &poison);
            let refused: BTreeSet<_> =
                outcome.refused.iter().map(|refused| usize::try_from(refused.tag).unwrap()).collect();
            prop_assert_eq!(outcome.accepted.len() + refused.len(), n_calls);
            let halvings = n_calls.next_power_of_two().ilog2() as usize;
            prop_assert!(n_requests <= 1 + 2 * halvings * poison.len());
            prop_assert_eq!(refused, poison);
            prop_assert!(outcome.stopped.is_empty());
        }
    }
}
