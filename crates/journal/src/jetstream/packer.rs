//! Gathers what waits into packs and publishes them, a few at a time: while some
//! are on their way the next one fills, so packs grow with the load and nobody
//! waits for company.
//!
//! A pack whose answer is lost is published again under the same id, which the
//! servers store once. What they have not confirmed in time is answered with an
//! error, although it may be there: whoever sent it sends it again, and the index
//! finds the one of the two.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::numbering::RECORDS;
use super::pack;
use super::partition::Partition;
use super::wire::{Letterhead, Sent, WireError, confirmed};
use crate::append::{AppendError, Job, Stored};
use crate::place::{Place, Seq};
use crate::room::Room;

/// The most bytes of one pack, unless one record alone is larger.
const MAX_BYTES: usize = 256 * 1024;
/// The most packs of a partition on their way at a time, where they are large.
const IN_FLIGHT: usize = 2;
/// The records that may be on their way at a time where packs are small: else the
/// time of one answer, and not the cluster, would bound them.
const RECORDS_IN_FLIGHT: usize = 512;
/// How long one try waits for the cluster's answer.
const TRY: Duration = Duration::from_secs(1);
/// The pause before a pack is tried again that nobody took.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long an answer waits for its record's number.
const NUMBER_PATIENCE: Duration = Duration::from_millis(250);

/// What packs a partition's records.
pub(crate) struct Packer {
    pub(crate) partition: Arc<Partition>,
    pub(crate) room: Arc<Room>,
    /// Names the packs of this run of this node.
    pub(crate) run: String,
    pub(crate) append_timeout: Duration,
    /// The most records of one pack.
    pub(crate) pack_records: usize,
}

/// Records that go together.
struct Pack {
    jobs: Vec<Job>,
    head: Letterhead,
    payload: Bytes,
}

impl Packer {
    /// Packs until nobody can append any more and all is answered.
    pub(crate) async fn run(
        self,
        mut jobs: mpsc::Receiver<Job>,
        mut closing: watch::Receiver<bool>,
    ) {
        let packs_in_flight = RECORDS_IN_FLIGHT / self.pack_records.max(1);
        let packer = Arc::new(self);
        let in_flight = Arc::new(Semaphore::new(packs_in_flight.max(IN_FLIGHT)));
        let mut packs = JoinSet::new();
        let mut waiting = None;
        for number in 0_u64.. {
            let first = if waiting.is_some() {
                waiting.take()
            } else {
                tokio::select! {
                    job = jobs.recv() => job,
                    // Permits that are still held are worth nothing from here on.
                    () = asked_to_close(&mut closing), if !jobs.is_closed() => {
                        jobs.close();
                        jobs.recv().await
                    }
                }
            };
            let Some(first) = first else { break };
            let permit = Arc::clone(&in_flight).acquire_owned().await;
            let group = packer.gather(first, &mut jobs, &mut waiting);
            let pack = packer.pack(group, format!("{}.{number}", packer.run));
            // Sent from here, one after another, so that packs keep their order.
            let sent = packer.send(&pack).await;
            while packs.try_join_next().is_some() {}
            let permit = permit.expect("nobody closes it");
            packs.spawn(Arc::clone(&packer).commit(pack, sent, permit));
        }
        while packs.join_next().await.is_some() {}
    }

    fn pack(&self, jobs: Vec<Job>, id: String) -> Pack {
        let payload = pack::encode(jobs.iter().map(|job| &job.draft));
        let mut head = Letterhead::on(self.partition.log_subject());
        head.headers
            .insert(RECORDS, jobs.len().to_string().as_str());
        head.id = Some(id);
        Pack {
            jobs,
            head,
            payload,
        }
    }

    /// When whoever waits longest must be answered.
    fn deadline(&self, pack: &Pack) -> Instant {
        let since = pack.jobs.iter().map(|job| job.since).min();
        since.map_or_else(Instant::now, Instant::from_std) + self.append_timeout
    }

    /// Puts a pack on its way, unless it goes in parts, or waited for too long.
    async fn send(&self, pack: &Pack) -> Option<Sent> {
        let wire = self.partition.wire();
        if pack.payload.len() > wire.part_bytes() || self.deadline(pack) <= Instant::now() {
            return None;
        }
        Some(wire.send(&pack.head, pack.payload.clone()).await)
    }

    /// Sees a pack through and answers everybody in it.
    async fn commit(
        self: Arc<Self>,
        pack: Pack,
        sent: Option<Sent>,
        in_flight: OwnedSemaphorePermit,
    ) {
        let published = self.publish(&pack, sent).await;
        drop(in_flight);
        match published {
            Ok(sequence) => {
                self.room.wrote(pack.payload.len() as u64);
                self.partition.keep_at_hand(sequence, pack.payload);
                self.acknowledge(pack.jobs, sequence).await;
            }
            Err(error) => {
                let error = self.refusal(&error);
                for job in pack.jobs {
                    job.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Publishes, again and again until it is confirmed or the time is over.
    async fn publish(&self, pack: &Pack, mut sent: Option<Sent>) -> Result<u64, WireError> {
        let end = self.deadline(pack);
        let wire = self.partition.wire();
        loop {
            let patience = TRY.min(end.saturating_duration_since(Instant::now()));
            if patience.is_zero() {
                return Err(WireError::NoAnswer(self.append_timeout));
            }
            let published = match sent.take() {
                Some(sent) => confirmed(sent, patience).await,
                None => {
                    wire.publish(&pack.head, pack.payload.clone(), patience)
                        .await
                }
            };
            let error = match published {
                Ok(sequence) => return Ok(sequence),
                Err(error) => error,
            };
            let is_final = matches!(error, WireError::Full | WireError::Refused(_));
            if is_final || Instant::now() + RETRY_PAUSE >= end {
                return Err(error);
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    fn refusal(&self, error: &WireError) -> AppendError {
        let cause = error.to_string();
        self.room.failed(cause.clone());
        let cause = cause.into();
        AppendError::Unconfirmed { cause }
    }

    /// Answers with places, once they are known; without where that takes long.
    async fn acknowledge(&self, jobs: Vec<Job>, sequence: u64) {
        let numbered = timeout(NUMBER_PATIENCE, self.partition.numbered(sequence)).await;
        let mut next = numbered.ok().flatten().map(|pack| pack.first);
        for job in jobs {
            let place = next.map(|seq| Place::new(self.partition.number, seq));
            next = next.map(Seq::next);
            job.answer(Ok(Stored { place }));
        }
    }

    /// Takes what waits, as much as fits.
    fn gather(
        &self,
        first: Job,
        jobs: &mut mpsc::Receiver<Job>,
        waiting: &mut Option<Job>,
    ) -> Vec<Job> {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < self.pack_records {
            let Ok(job) = jobs.try_recv() else { break };
            bytes += job.bytes();
            if bytes > MAX_BYTES {
                *waiting = Some(job);
                break;
            }
            group.push(job);
        }
        group
    }
}

async fn asked_to_close(closing: &mut watch::Receiver<bool>) {
    // Nobody left to ask is being asked.
    closing.wait_for(|closing| *closing).await.ok();
}
