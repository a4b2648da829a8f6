//! Claims that expire: each stretch of time has a keyspace of its own, which is
//! dropped whole once all its claims have lived long enough.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use fjall::Keyspace;
use jiff::Timestamp;

use super::database::Database;
use super::fault::Fault;
use super::rows;
use crate::index::ClaimKey;
use crate::lock::{read, write};
use crate::place::Place;

/// Generations of claims. A claim is kept at least `life` and at most twice as
/// long.
pub(super) struct Generations {
    database: Arc<Database>,
    prefix: &'static str,
    life_seconds: i64,
    /// By the second in which a generation begins.
    by_start: RwLock<BTreeMap<i64, Keyspace>>,
}

impl Generations {
    /// Opens all generations whose keyspaces begin with `prefix`.
    pub(super) fn open(
        database: Arc<Database>,
        prefix: &'static str,
        life: Duration,
    ) -> Result<Generations, Fault> {
        let mut by_start = BTreeMap::new();
        for name in database.names_after(prefix) {
            let start = name.parse().map_err(|_| Fault::Row("name of claims"))?;
            by_start.insert(start, database.keyspace(&format!("{prefix}{name}"))?);
        }
        Ok(Generations {
            database,
            prefix,
            life_seconds: i64::try_from(life.as_secs()).unwrap_or(i64::MAX / 4),
            by_start: RwLock::new(by_start),
        })
    }

    /// Who holds the claim on `key`, looking from now on.
    pub(super) fn holder(&self, key: &[u8], now: Now) -> Result<Option<Place>, Fault> {
        let by_start = read(&self.by_start);
        for (start, claims) in by_start.iter().rev() {
            if !self.sees(*start, now) {
                break;
            }
            if let Some(value) = claims.get(key)? {
                let place = rows::parse_place(&value).ok_or(Fault::Row("claim"))?;
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// The generation that claims of this time belong to.
    pub(super) fn of(&self, time: Timestamp) -> i64 {
        let second = time.as_second();
        second - second.rem_euclid(self.life_seconds)
    }

    /// Where a generation keeps its claims, made when it is missing.
    pub(super) fn keyspace(&self, generation: i64) -> Result<Keyspace, Fault> {
        if let Some(claims) = read(&self.by_start).get(&generation) {
            return Ok(claims.clone());
        }
        let name = format!("{}{generation}", self.prefix);
        let claims = self.database.keyspace(&name)?;
        write(&self.by_start).insert(generation, claims.clone());
        Ok(claims)
    }

    /// Writes sorted claims to a generation, durably. Those that are there
    /// already are replaced.
    pub(super) fn write(
        &self,
        generation: i64,
        claims: impl Iterator<Item = (ClaimKey, Place)>,
    ) -> Result<(), Fault> {
        let rows = claims.map(|(key, place)| (key.as_bytes().to_vec(), rows::place(place)));
        let claims = self.keyspace(generation)?;
        self.database.write_sorted(&claims, rows)
    }

    /// Where all generations keep their claims.
    pub(super) fn keyspaces(&self) -> Vec<Keyspace> {
        read(&self.by_start).values().cloned().collect()
    }

    /// When the newest generation begins.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let newest = read(&self.by_start).keys().next_back().copied();
        newest.and_then(|start| Timestamp::from_second(start).ok())
    }

    /// Drops what has lived long enough.
    pub(super) fn drop_expired(&self, now: Timestamp) -> Result<(), Fault> {
        let now = Now::At(now);
        loop {
            let oldest = read(&self.by_start).keys().next().copied();
            match oldest {
                Some(start) if !self.sees(start, now) => self.drop_generation(start)?,
                _ => return Ok(()),
            }
        }
    }

    /// Drops every claim.
    pub(super) fn drop_all(&self) -> Result<(), Fault> {
        loop {
            let oldest = read(&self.by_start).keys().next().copied();
            match oldest {
                Some(start) => self.drop_generation(start)?,
                None => return Ok(()),
            }
        }
    }

    fn drop_generation(&self, start: i64) -> Result<(), Fault> {
        let dropped = write(&self.by_start).remove(&start);
        dropped.map_or(Ok(()), |claims| self.database.drop_keyspace(claims))
    }

    /// Whether claims of the generation that begins at `start` still count.
    pub(super) fn sees(&self, start: i64, now: Now) -> bool {
        match now {
            Now::Unknown => true,
            Now::At(now) => start.saturating_add(2 * self.life_seconds) > now.as_second(),
        }
    }
}

/// From when one looks at claims.
#[derive(Clone, Copy)]
pub(super) enum Now {
    /// Claims that have expired by then are not seen, dropped or not.
    At(Timestamp),
    /// Every claim that was not dropped is seen.
    Unknown,
}
