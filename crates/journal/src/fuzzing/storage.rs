//! A folder in memory, that never fails.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use crate::embedded::log::{Capacity, Listed, Storage, StoredFile};
use crate::lock::lock;

/// There is always as much room as this.
const ROOM_BYTES: u64 = 1 << 40;

type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files by name; clones are the same folder.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl Memory {
    /// Changes a file, which is made where it is missing.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = Arc::clone(lock(&self.0).entry(name.to_owned()).or_default());
        change(&mut lock(&file));
    }
}

impl Storage for Memory {
    fn list(&self) -> io::Result<Vec<Listed>> {
        let files = lock(&self.0);
        let listed = files.iter().map(|(name, file)| Listed {
            name: name.clone(),
            bytes: lock(file).len() as u64,
        });
        Ok(listed.collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let mut files = lock(&self.0);
        if files.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = Bytes::default();
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(Arc::new(File(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let files = lock(&self.0);
        let file = files.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(Arc::new(File(Arc::clone(file))))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let gone = lock(&self.0).remove(name);
        gone.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn capacity(&self) -> io::Result<Capacity> {
        Ok(Capacity {
            total_bytes: ROOM_BYTES,
            free_bytes: ROOM_BYTES,
        })
    }

    fn set_aside(&self, name: &str, _: u64) -> io::Result<()> {
        self.change(name, |_| ());
        Ok(())
    }
}

struct File(Bytes);

impl StoredFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        lock(&self.0).truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = lock(&self.0);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }
}
