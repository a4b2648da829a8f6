//! A disk that loses power on command.
//!
//! It keeps two images: what the running process sees, and what is certain to be
//! there after a power cut. What lies between the two may be there, in part, or
//! not: [`Disk::after_power_cut`] builds what a crash would leave.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use journal::log::{Capacity, Listed, Storage, StoredFile};

/// What a power cut does to bytes that were written and not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unsynced {
    /// None of them is there.
    Lost,
    /// All of them are there.
    Kept,
    /// So many of a hundred are there; the file ends behind them.
    CutAt(usize),
    /// All pages are there but those in the first half, which read as zeros.
    HoleFirst,
    /// All pages are there but the last, which is made of old rubbish.
    RubbishLast,
}

/// What a power cut does to files created, unlinked and renamed since the folder
/// was synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entries {
    /// The folder is as it was when it was synced last.
    AsSynced,
    /// The folder is as the process saw it last.
    AsSeen,
    /// Of all changes since it was synced only the last has made it.
    OnlyTheLast,
}

/// Everything that may happen at a power cut.
pub(crate) const OUTCOMES: [(Unsynced, Entries); 14] = [
    (Unsynced::Lost, Entries::AsSynced),
    (Unsynced::Lost, Entries::AsSeen),
    (Unsynced::Kept, Entries::AsSynced),
    (Unsynced::Kept, Entries::AsSeen),
    (Unsynced::CutAt(1), Entries::AsSeen),
    (Unsynced::CutAt(30), Entries::AsSeen),
    (Unsynced::CutAt(60), Entries::AsSynced),
    (Unsynced::CutAt(99), Entries::AsSeen),
    (Unsynced::HoleFirst, Entries::AsSynced),
    (Unsynced::HoleFirst, Entries::AsSeen),
    (Unsynced::RubbishLast, Entries::AsSynced),
    (Unsynced::RubbishLast, Entries::AsSeen),
    (Unsynced::Lost, Entries::OnlyTheLast),
    (Unsynced::Kept, Entries::OnlyTheLast),
];

/// What goes wrong, and at which call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The power goes during the call, counted over all that change anything.
    PowerCut { call: usize },
    /// This append writes half of its bytes and fails; later ones work.
    FailedAppend { append: usize },
    /// This sync fails and the bytes it was for are never written, though the
    /// process goes on seeing them and later syncs say nothing of it.
    FailedSync { sync: usize },
    /// As a failed sync, of the folder.
    FailedDirSync { sync: usize },
}

#[derive(Default)]
struct Image {
    /// What the process sees.
    names: BTreeMap<String, usize>,
    /// What is certain.
    synced_names: BTreeMap<String, usize>,
    /// The last change that is not: names, each with its file unless it is gone.
    /// A rename changes two names at once or neither.
    last_change: Vec<(String, Option<usize>)>,
    files: Vec<Content>,
    fault: Option<Fault>,
    calls: usize,
    appends: usize,
    syncs: usize,
    dir_syncs: usize,
    /// How many bytes it takes; none for more than any test has.
    total_bytes: Option<u64>,
    /// What somebody else has on it.
    foreign_bytes: u64,
    off: bool,
    held: bool,
    waiting: bool,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    synced_bytes: usize,
    /// From here on the bytes are in memory only and always will be.
    given_up_from: Option<usize>,
}

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    image: Arc<Mutex<Image>>,
    changed: Arc<Condvar>,
}

impl Disk {
    pub(crate) fn new() -> Disk {
        Disk::default()
    }

    pub(crate) fn with_fault(self, fault: Fault) -> Disk {
        self.image().fault = Some(fault);
        self
    }

    /// A disk that takes so many bytes and no more.
    pub(crate) fn of_bytes(total_bytes: u64) -> Disk {
        let disk = Disk::new();
        disk.image().total_bytes = Some(total_bytes);
        disk
    }

    /// Somebody else has so many bytes on it from now on.
    pub(crate) fn occupy(&self, foreign_bytes: u64) {
        self.image().foreign_bytes = foreign_bytes;
    }

    /// How many calls changed anything so far.
    pub(crate) fn calls(&self) -> usize {
        self.image().calls
    }

    pub(crate) fn appends(&self) -> usize {
        self.image().appends
    }

    pub(crate) fn syncs(&self) -> usize {
        self.image().syncs
    }

    pub(crate) fn dir_syncs(&self) -> usize {
        self.image().dir_syncs
    }

    /// From now on every change waits for [`Disk::release`].
    pub(crate) fn hold(&self) {
        self.image().held = true;
    }

    /// Waits until somebody waits for the release, or the power is gone.
    pub(crate) fn wait_until_held(&self) {
        let mut image = self.image();
        while !image.waiting && !image.off {
            image = self.changed.wait(image).unwrap();
        }
    }

    pub(crate) fn release(&self) {
        let mut image = self.image();
        image.held = false;
        image.waiting = false;
        self.changed.notify_all();
    }

    /// The names of all files that the process sees.
    pub(crate) fn names(&self) -> Vec<String> {
        self.image().names.keys().cloned().collect()
    }

    /// Changes the bytes of a file, whoever has it open.
    pub(crate) fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut image = self.image();
        let file = image.names[name];
        change(&mut image.files[file].bytes);
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let image = self.image();
        image.files[image.names[name]].bytes.clone()
    }

    /// The same disk for a process that starts without a power cut.
    pub(crate) fn after_restart(&self) -> Disk {
        let image = self.image();
        let same = Image {
            names: image.names.clone(),
            synced_names: image.synced_names.clone(),
            last_change: image.last_change.clone(),
            files: image.files.clone(),
            total_bytes: image.total_bytes,
            foreign_bytes: image.foreign_bytes,
            ..Image::default()
        };
        Disk {
            image: Arc::new(Mutex::new(same)),
            changed: Arc::default(),
        }
    }

    /// What is there when the power comes back.
    pub(crate) fn after_power_cut(&self, unsynced: Unsynced, entries: Entries) -> Disk {
        let image = self.image();
        let names = match entries {
            Entries::AsSynced => image.synced_names.clone(),
            Entries::AsSeen => image.names.clone(),
            Entries::OnlyTheLast => {
                let mut names = image.synced_names.clone();
                for (name, file) in image.last_change.clone() {
                    match file {
                        Some(file) => names.insert(name, file),
                        None => names.remove(&name),
                    };
                }
                names
            }
        };
        let files = image.files.iter().map(|file| file.after_cut(unsynced));
        let left = Image {
            synced_names: names.clone(),
            names,
            files: files.collect(),
            ..Image::default()
        };
        Disk {
            image: Arc::new(Mutex::new(left)),
            changed: Arc::default(),
        }
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        self.image.lock().unwrap()
    }

    /// Goes into a call that changes something. `apply` says what it does; it is
    /// told whether to fail, and on a power cut its change may just have made it.
    fn change<T>(
        &self,
        apply: impl FnOnce(&mut Image, &dyn Fn(usize, Option<usize>) -> bool) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut image = self.image();
        while image.held && !image.off {
            image.waiting = true;
            self.changed.notify_all();
            image = self.changed.wait(image).unwrap();
        }
        if image.off {
            return Err(io::Error::other("the power is off"));
        }
        let call = image.calls;
        image.calls += 1;
        let applied = apply(&mut image, &|counted, failing| failing == Some(counted));
        if image.fault == Some(Fault::PowerCut { call }) {
            image.off = true;
            self.changed.notify_all();
            return Err(io::Error::other("the power went off"));
        }
        applied
    }
}

impl Image {
    fn free_bytes(&self) -> u64 {
        let total_bytes = self.total_bytes.unwrap_or(u64::MAX / 2);
        let files = self
            .names
            .values()
            .map(|file| self.files[*file].bytes.len());
        let used = files.sum::<usize>() as u64 + self.foreign_bytes;
        total_bytes.saturating_sub(used)
    }
}

impl Content {
    fn after_cut(&self, unsynced: Unsynced) -> Content {
        let end = self.given_up_from.unwrap_or(self.bytes.len());
        let synced = self.synced_bytes.min(end);
        let mut bytes = self.bytes[..end].to_vec();
        let tail = end - synced;
        match unsynced {
            Unsynced::Lost => bytes.truncate(synced),
            Unsynced::Kept => (),
            Unsynced::CutAt(percent) => bytes.truncate(synced + tail * percent / 100),
            Unsynced::HoleFirst => bytes[synced..synced + tail / 2].fill(0),
            Unsynced::RubbishLast => bytes[end - tail / 3..].fill(0xA5),
        }
        Content {
            synced_bytes: bytes.len(),
            bytes,
            given_up_from: None,
        }
    }
}

fn failure() -> io::Error {
    io::Error::from(ErrorKind::StorageFull)
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
        let file = self.change(|image, _| {
            if image.names.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let file = image.files.len();
            image.files.push(Content::default());
            image.names.insert(name.to_owned(), file);
            image.last_change = vec![(name.to_owned(), Some(file))];
            Ok(file)
        })?;
        let disk = self.clone();
        Ok(Arc::new(File { disk, file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let image = self.image();
        let file = *image.names.get(name).ok_or(ErrorKind::NotFound)?;
        let disk = self.clone();
        Ok(Arc::new(File { disk, file }))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.change(|image, _| {
            image.names.remove(name).ok_or(ErrorKind::NotFound)?;
            image.last_change = vec![(name.to_owned(), None)];
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|image, _| {
            let file = image.names.remove(from).ok_or(ErrorKind::NotFound)?;
            image.names.insert(to.to_owned(), file);
            image.last_change = vec![(from.to_owned(), None), (to.to_owned(), Some(file))];
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.change(|image, fails| {
            let failing = match image.fault {
                Some(Fault::FailedDirSync { sync }) => Some(sync),
                _ => None,
            };
            let sync = image.dir_syncs;
            image.dir_syncs += 1;
            if fails(sync, failing) {
                return Err(failure());
            }
            if !cut_now(image) {
                image.synced_names = image.names.clone();
                image.last_change.clear();
            }
            Ok(())
        })
    }

    fn capacity(&self) -> io::Result<Capacity> {
        let image = self.image();
        Ok(Capacity {
            total_bytes: image.total_bytes.unwrap_or(u64::MAX / 2),
            free_bytes: image.free_bytes(),
        })
    }

    fn set_aside(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.change(|image, _| {
            if bytes > image.free_bytes() {
                return Err(failure());
            }
            let bytes = vec![0; usize::try_from(bytes).unwrap()];
            let file = image.files.len();
            image.files.push(Content {
                synced_bytes: bytes.len(),
                bytes,
                given_up_from: None,
            });
            image.names.insert(name.to_owned(), file);
            Ok(())
        })
    }
}

/// Whether the power goes during the call that is being made: what it should
/// have made certain is not.
fn cut_now(image: &Image) -> bool {
    image.fault
        == Some(Fault::PowerCut {
            call: image.calls - 1,
        })
}

struct File {
    disk: Disk,
    file: usize,
}

impl StoredFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.change(|image, fails| {
            let failing = match image.fault {
                Some(Fault::FailedAppend { append }) => Some(append),
                _ => None,
            };
            let append = image.appends;
            image.appends += 1;
            let fails = fails(append, failing);
            let free_bytes = usize::try_from(image.free_bytes()).unwrap();
            let fails = fails || bytes.len() > free_bytes;
            let written = if fails { bytes.len() / 2 } else { bytes.len() };
            let written = written.min(free_bytes);
            image.files[self.file]
                .bytes
                .extend_from_slice(&bytes[..written]);
            if fails { Err(failure()) } else { Ok(()) }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(|image, fails| {
            let failing = match image.fault {
                Some(Fault::FailedSync { sync }) => Some(sync),
                _ => None,
            };
            let sync = image.syncs;
            image.syncs += 1;
            let cut = cut_now(image);
            let file = &mut image.files[self.file];
            if fails(sync, failing) {
                file.given_up_from = file.given_up_from.or(Some(file.synced_bytes));
                return Err(failure());
            }
            if !cut {
                file.synced_bytes = file.bytes.len();
            }
            Ok(())
        })
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.disk.change(|image, _| {
            let file = &mut image.files[self.file];
            file.bytes.truncate(usize::try_from(bytes).unwrap());
            file.synced_bytes = file.synced_bytes.min(file.bytes.len());
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
