//! How much a log may still take: a budget of bytes on disk, a bound on what waits
//! to be written, and the reasons to take nothing at all. Where the bytes go is
//! the engine's business.

use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::record::Draft;

/// Why nothing can be appended now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// The byte budget is used up. Trimming may make room; until then wait.
    #[error("the journal has used up its {max_bytes} bytes")]
    Full {
        /// The budget.
        max_bytes: u64,
    },
    /// Too little of the disk is free. Room may be made by trimming or by somebody
    /// else; until then wait.
    #[error("the journal's disk has {} MiB free, and at least {} MiB are needed", mib(*.free_bytes), mib_up(*.needed_bytes))]
    NoSpace {
        /// What is free.
        free_bytes: u64,
        /// What must be, for events to be taken again.
        needed_bytes: u64,
    },
    /// As much as may wait to be written is waiting; it will be over in
    /// milliseconds.
    #[error("the journal has as much waiting to be written as it may")]
    Busy,
    /// No journal keeps a body this large: it will never be taken.
    #[error("a body of {body_bytes} bytes is more than the journal keeps, {most_bytes}")]
    TooLarge {
        /// The size asked for.
        body_bytes: usize,
        /// The most there can be.
        most_bytes: usize,
    },
    /// A sync failed, so nothing can be promised until the journal is opened anew.
    #[error("the journal takes nothing more since a sync failed: {cause}")]
    Poisoned {
        /// What failed, in words.
        cause: String,
    },
    /// It is not proven that the servers keep what they say they keep.
    #[error("the journal takes nothing, since its servers may lose it: {cause}")]
    Unproven {
        /// What is not proven, in words.
        cause: String,
    },
    /// The journal is being closed.
    #[error("the journal is closing")]
    Closing,
}

/// How the journal is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// Records are taken.
    Healthy,
    /// The last event was turned away because the byte budget is used up.
    Full,
    /// Too little of the disk is free: events are turned away until there is more.
    NoSpace {
        /// What was free when somebody looked.
        free_bytes: u64,
        /// What must be, for events to be taken again.
        needed_bytes: u64,
    },
    /// The last write failed, so its events were turned away; the next is tried.
    Failing {
        /// What failed, in words.
        cause: String,
    },
    /// It is not proven that the servers keep what they say they keep: nothing is
    /// taken until it is.
    Unproven {
        /// What is not proven, in words.
        cause: String,
    },
    /// A sync failed: nothing is taken until the journal is opened anew.
    Poisoned {
        /// What failed, in words.
        cause: String,
    },
}

/// Too little of the disk is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shortage {
    pub(crate) free_bytes: u64,
    pub(crate) needed_bytes: u64,
}

const MIB: u64 = 1024 * 1024;

fn mib(bytes: u64) -> u64 {
    bytes / MIB
}

fn mib_up(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

/// The room that is left, shared by all who append.
pub(crate) struct Room {
    limits: Limits,
    used: Mutex<Used>,
}

/// What bounds the room.
pub(crate) struct Limits {
    /// The most bytes on disk.
    pub(crate) max_bytes: u64,
    /// The most permits held and appends not yet answered.
    pub(crate) queue_records: usize,
    /// The most bytes that those hold.
    pub(crate) queue_bytes: usize,
}

struct Used {
    disk_bytes: u64,
    /// Permits held and appends not yet answered.
    queued_records: usize,
    queued_bytes: usize,
    closing: bool,
    /// None while the disk has room enough.
    shortage: Option<Shortage>,
    health: Health,
}

/// The room one holds from the reservation to the answer.
pub(crate) struct Claim {
    /// None once the room was given back.
    room: Option<Arc<Room>>,
    pub(crate) body_bytes: usize,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            lock(&room.used).give_back(self.body_bytes);
        }
    }
}

impl Used {
    fn give_back(&mut self, body_bytes: usize) {
        self.queued_records -= 1;
        self.queued_bytes -= body_bytes + Draft::MAX_OVERHEAD_BYTES;
    }
}

impl Room {
    pub(crate) fn new(limits: Limits, disk_bytes: u64) -> Room {
        Room {
            limits,
            used: Mutex::new(Used {
                disk_bytes,
                queued_records: 0,
                queued_bytes: 0,
                closing: false,
                shortage: None,
                health: Health::Healthy,
            }),
        }
    }

    /// Claims room for a body of this size, or says why there is none.
    pub(crate) fn claim(self: &Arc<Room>, body_bytes: usize) -> Result<Claim, Unavailable> {
        let mut used = lock(&self.used);
        if let Health::Poisoned { cause } = &used.health {
            let cause = cause.clone();
            return Err(Unavailable::Poisoned { cause });
        }
        if let Health::Unproven { cause } = &used.health {
            let cause = cause.clone();
            return Err(Unavailable::Unproven { cause });
        }
        if used.closing {
            return Err(Unavailable::Closing);
        }
        let most_bytes = Draft::MAX_BODY_BYTES;
        if body_bytes > most_bytes {
            return Err(Unavailable::TooLarge {
                body_bytes,
                most_bytes,
            });
        }
        if let Some(shortage) = used.shortage {
            return Err(Unavailable::NoSpace {
                free_bytes: shortage.free_bytes,
                needed_bytes: shortage.needed_bytes,
            });
        }
        let bytes = body_bytes + Draft::MAX_OVERHEAD_BYTES;
        let disk_bytes = used.disk_bytes + used.queued_bytes as u64 + bytes as u64;
        if disk_bytes > self.limits.max_bytes {
            used.health = Health::Full;
            let max_bytes = self.limits.max_bytes;
            return Err(Unavailable::Full { max_bytes });
        }
        let alone = used.queued_records == 0;
        if used.queued_records >= self.limits.queue_records
            || (used.queued_bytes + bytes > self.limits.queue_bytes && !alone)
        {
            return Err(Unavailable::Busy);
        }
        if used.health == Health::Full {
            used.health = Health::Healthy;
        }
        used.queued_records += 1;
        used.queued_bytes += bytes;
        Ok(Claim {
            room: Some(Arc::clone(self)),
            body_bytes,
        })
    }

    /// Gives back what many hold, in one go.
    pub(crate) fn give_back<'a>(&self, claims: impl Iterator<Item = &'a mut Claim>) {
        let mut used = lock(&self.used);
        for claim in claims {
            if claim.room.take().is_some() {
                used.give_back(claim.body_bytes);
            }
        }
    }

    /// Refuses everybody from now on.
    pub(crate) fn close(&self) {
        lock(&self.used).closing = true;
    }

    pub(crate) fn poison(&self, cause: String) {
        lock(&self.used).health = Health::Poisoned { cause };
    }

    pub(crate) fn failed(&self, cause: String) {
        let mut used = lock(&self.used);
        if !matches!(used.health, Health::Unproven { .. }) {
            used.health = Health::Failing { cause };
        }
    }

    /// Notes that a write would succeed again.
    pub(crate) fn recovered(&self) {
        let mut used = lock(&self.used);
        if let Health::Failing { .. } = used.health {
            used.health = Health::Healthy;
        }
    }

    /// Takes nothing while there is a shortage. At its end a write that failed is
    /// worth trying again, so it is held against the disk no longer.
    pub(crate) fn set_shortage(&self, shortage: Option<Shortage>) {
        let mut used = lock(&self.used);
        let is_over = used.shortage.is_some() && shortage.is_none();
        used.shortage = shortage;
        if is_over && matches!(used.health, Health::Failing { .. }) {
            used.health = Health::Healthy;
        }
    }

    pub(crate) fn shortage(&self) -> Option<Shortage> {
        lock(&self.used).shortage
    }

    /// Takes nothing until it is proven that the servers keep it; none: it is.
    pub(crate) fn proven_but_for(&self, cause: Option<String>) {
        let mut used = lock(&self.used);
        match cause {
            Some(cause) => used.health = Health::Unproven { cause },
            None if matches!(used.health, Health::Unproven { .. }) => {
                used.health = Health::Healthy;
            }
            None => {}
        }
    }

    /// Sets the bytes that are on disk, by whomever they were written.
    pub(crate) fn measured(&self, disk_bytes: u64) {
        lock(&self.used).disk_bytes = disk_bytes;
    }

    /// Notes bytes that went to the disk; they are back on a healthy one.
    pub(crate) fn wrote(&self, bytes: u64) {
        let mut used = lock(&self.used);
        used.disk_bytes += bytes;
        if let Health::Failing { .. } = used.health {
            used.health = Health::Healthy;
        }
    }

    /// Notes bytes that take up the disk although nothing in them counts.
    pub(crate) fn wrote_in_vain(&self, bytes: u64) {
        lock(&self.used).disk_bytes += bytes;
    }

    pub(crate) fn freed(&self, bytes: u64) {
        let mut used = lock(&self.used);
        used.disk_bytes = used.disk_bytes.saturating_sub(bytes);
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        lock(&self.used).disk_bytes
    }

    pub(crate) fn health(&self) -> Health {
        let used = lock(&self.used);
        match (&used.health, used.shortage) {
            (Health::Healthy | Health::Full | Health::Failing { .. }, Some(shortage)) => {
                Health::NoSpace {
                    free_bytes: shortage.free_bytes,
                    needed_bytes: shortage.needed_bytes,
                }
            }
            (health, _) => health.clone(),
        }
    }
}
