//! The disk under the log: it keeps what was synced and, at a power cut, loses what
//! was not, in part and in any of the ways in which disks do.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use journal::log::{Capacity, Listed, Storage, StoredFile};

use super::chance::Chance;

/// The disk; clones are the same one.
#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<Image>>);

struct Image {
    chance: Chance,
    /// What the process sees.
    names: BTreeMap<String, usize>,
    /// What is certain to be there after a power cut.
    synced_names: BTreeMap<String, usize>,
    /// What has changed since, in order; each change is there as a whole or not.
    changes: Vec<Vec<(String, Option<usize>)>>,
    files: Vec<Content>,
    room: Room,
    /// The next sync fails, and what it was for is never written.
    failing_sync: bool,
    /// After so many more calls the power goes.
    calls_left: Option<usize>,
    power: Power,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
    /// From here on the bytes are in memory only and always will be.
    given_up_from: Option<usize>,
}

/// Whether anything can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    Left,
    Full,
}

/// Whether the machine runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Power {
    On,
    Off,
}

impl Disk {
    pub(super) fn new(chance: Chance) -> Disk {
        Disk(Arc::new(Mutex::new(Image {
            chance,
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            files: Vec::new(),
            room: Room::Left,
            failing_sync: false,
            calls_left: None,
            power: Power::On,
        })))
    }

    pub(super) fn set_room(&self, room: Room) {
        self.image().room = room;
    }

    pub(super) fn fail_next_sync(&self) {
        self.image().failing_sync = true;
    }

    /// The power goes during the call after so many others.
    pub(super) fn cut_power_after(&self, calls: usize) {
        self.image().calls_left = Some(calls);
    }

    pub(super) fn power(&self) -> Power {
        self.image().power
    }

    /// Nothing fails from now on.
    pub(super) fn heal(&self) {
        let mut image = self.image();
        image.room = Room::Left;
        image.failing_sync = false;
        image.calls_left = None;
    }

    /// Cuts the power, unless it is off, and brings it back: what was not synced is
    /// there, or in part, or not. Says what became of it.
    pub(super) fn cut_power(&self) -> String {
        let mut image = self.image();
        let image = &mut *image;
        image.power = Power::On;
        image.calls_left = None;
        let mut names = image.synced_names.clone();
        for change in std::mem::take(&mut image.changes) {
            if image.chance.one_in(2) {
                apply(&mut names, change);
            }
        }
        image.names = names.clone();
        image.synced_names = names;
        let mut left = Vec::new();
        for (number, file) in image.files.iter_mut().enumerate() {
            let unsynced = file.bytes.len() - file.synced.min(file.bytes.len());
            let what = file.lose(&mut image.chance);
            if unsynced > 0 && image.names.values().any(|named| *named == number) {
                left.push(format!("{unsynced} unsynced bytes {what}"));
            }
        }
        left.join(", ")
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        self.0.lock().unwrap()
    }

    /// A call that changes something. On a power cut its change may have made it
    /// into memory, and is certain no more than any other.
    fn change<T>(&self, call: impl FnOnce(&mut Image) -> io::Result<T>) -> io::Result<T> {
        let mut image = self.image();
        if image.power == Power::Off {
            return Err(io::Error::other("the power is off"));
        }
        let cut = image.calls_left == Some(0);
        image.calls_left = image.calls_left.map(|left| left.saturating_sub(1));
        if cut {
            image.power = Power::Off;
        }
        let done = call(&mut image);
        if cut {
            return Err(io::Error::other("the power went off"));
        }
        done
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: Vec<(String, Option<usize>)>) {
    for (name, file) in change {
        match file {
            Some(file) => names.insert(name, file),
            None => names.remove(&name),
        };
    }
}

impl Image {
    fn rename(&mut self, change: Vec<(String, Option<usize>)>) {
        apply(&mut self.names, change.clone());
        self.changes.push(change);
    }

    fn refuse_when_full(&self) -> io::Result<()> {
        match self.room {
            Room::Left => Ok(()),
            Room::Full => Err(ErrorKind::StorageFull.into()),
        }
    }
}

impl Content {
    /// What a power cut leaves of it, and in words what became of the rest.
    fn lose(&mut self, chance: &mut Chance) -> &'static str {
        let end = self.given_up_from.take().unwrap_or(self.bytes.len());
        let synced = self.synced.min(end);
        self.bytes.truncate(end);
        let tail = end - synced;
        let what = match chance.below(5) {
            0 => {
                self.bytes.truncate(synced);
                "are lost"
            }
            1 => "are kept",
            2 => {
                self.bytes.truncate(synced + chance.below(tail + 1));
                "are torn"
            }
            3 => {
                self.bytes[synced..synced + tail / 2].fill(0);
                "begin with zeros"
            }
            _ => {
                self.bytes[end - tail / 3..].fill(0xA5);
                "end in rubbish"
            }
        };
        self.synced = self.bytes.len();
        what
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<Listed>> {
        let image = self.image();
        let listed = image.names.iter().map(|(name, file)| Listed {
            name: name.clone(),
            bytes: image.files[*file].bytes.len() as u64,
        });
        Ok(listed.collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = self.change(|image| {
            if image.names.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            image.refuse_when_full()?;
            let file = image.files.len();
            image.files.push(Content::default());
            image.rename(vec![(name.to_owned(), Some(file))]);
            Ok(file)
        })?;
        let disk = self.clone();
        Ok(Arc::new(File { disk, file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = *self.image().names.get(name).ok_or(ErrorKind::NotFound)?;
        let disk = self.clone();
        Ok(Arc::new(File { disk, file }))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.change(|image| {
            if !image.names.contains_key(name) {
                return Err(ErrorKind::NotFound.into());
            }
            image.rename(vec![(name.to_owned(), None)]);
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|image| {
            let file = *image.names.get(from).ok_or(ErrorKind::NotFound)?;
            image.rename(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.change(|image| {
            if image.power == Power::On {
                image.synced_names = image.names.clone();
                image.changes.clear();
            }
            Ok(())
        })
    }

    /// Never foretells that it will be full: here that is found out by writing.
    fn capacity(&self) -> io::Result<Capacity> {
        Ok(Capacity {
            total_bytes: u64::MAX / 2,
            free_bytes: u64::MAX / 2,
        })
    }

    fn set_aside(&self, name: &str, _: u64) -> io::Result<()> {
        self.change(|image| {
            image.refuse_when_full()?;
            let file = image.files.len();
            image.files.push(Content::default());
            image.rename(vec![(name.to_owned(), Some(file))]);
            Ok(())
        })
    }
}

struct File {
    disk: Disk,
    file: usize,
}

impl StoredFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.change(|image| {
            let refused = image.refuse_when_full();
            let written = match refused {
                Ok(()) => bytes.len(),
                Err(_) => image.chance.below(bytes.len()),
            };
            let file = &mut image.files[self.file];
            file.bytes.extend_from_slice(&bytes[..written]);
            refused
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(|image| {
            let fails = std::mem::take(&mut image.failing_sync);
            let file = &mut image.files[self.file];
            if fails {
                file.given_up_from = file.given_up_from.or(Some(file.synced));
                return Err(io::Error::other("the disk gave up on a write"));
            }
            if image.power == Power::On {
                file.synced = file.bytes.len();
            }
            Ok(())
        })
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.disk.change(|image| {
            let file = &mut image.files[self.file];
            file.bytes.truncate(usize::try_from(bytes).unwrap());
            file.synced = file.synced.min(file.bytes.len());
            file.given_up_from = file.given_up_from.filter(|from| *from < file.bytes.len());
            Ok(())
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let image = self.disk.image();
        let bytes = &image.files[self.file].bytes;
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        let length = buf.len().min(bytes.len() - start);
        buf[..length].copy_from_slice(&bytes[start..start + length]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.image().files[self.file].bytes.len() as u64)
    }
}
