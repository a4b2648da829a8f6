//! Sixteen bytes that stand for an event or for an occurrence in the journal.
//!
//! The journal claims keys, not words. A key is the head of a SHA-256 over parts
//! that are separated unambiguously, so two events of two workspaces never meet.

use journal::{Affinity, ClaimKey, Place};
use sha2::{Digest as _, Sha256};
use shape::{Event, EventKey, Occurrence};

/// The key that the first record of an event claims, within its workspace.
pub(crate) fn of_event(workspace: &str, event: &EventKey) -> ClaimKey {
    digest(&[workspace.as_bytes(), event.as_bytes()])
}

/// The key that the first record of an occurrence claims, within its connection.
pub(crate) fn of_occurrence(occurrence: &Occurrence) -> ClaimKey {
    digest(&[occurrence.to_string().as_bytes()])
}

/// The key of a record that cannot be read: no event has it.
pub(crate) fn of_place(place: Place) -> ClaimKey {
    digest(&[b"unreadable", place.to_string().as_bytes()])
}

/// What keeps an event in one partition with its repetitions, and with all that
/// happened to the same message: the delivery, else the event, else the body.
pub(crate) fn affinity(body: &[u8]) -> Affinity {
    let key = match Event::parse(body) {
        Ok(event) => match event.delivery_id() {
            Some(delivery) => digest(&[delivery.as_bytes()]),
            None => digest(&[event.key().as_bytes()]),
        },
        Err(_) => digest(&[body]),
    };
    let (head, _) = key.as_bytes().split_at(8);
    Affinity::new(
        head.iter()
            .fold(0, |hash, byte| hash << 8 | u64::from(*byte)),
    )
}

fn digest(parts: &[&[u8]]) -> ClaimKey {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    let mut key = [0; 16];
    for (byte, hashed) in key.iter_mut().zip(hasher.finalize()) {
        *byte = hashed;
    }
    ClaimKey::new(key)
}
