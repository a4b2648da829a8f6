//! The few things the log asks of a disk. Everything above this line runs
//! unchanged on a double that cuts the power at any of these calls.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What is written at once where a file system cannot allocate without writing.
const CHUNK_BYTES: usize = 1024 * 1024;

/// One flat folder of append-only files.
///
/// Of all that is written only this survives a power cut for certain: the bytes
/// that were in a file when its [`StoredFile::sync`] returned, provided that
/// [`Storage::sync_dir`] has returned since the file was created.
pub trait Storage: Send + Sync {
    /// Every file in the folder, in any order.
    fn list(&self) -> io::Result<Vec<Listed>>;
    /// Makes an empty file. Fails with [`ErrorKind::AlreadyExists`] where there is one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Removes a file; whoever has it open can go on reading it.
    fn unlink(&self, name: &str) -> io::Result<()>;
    /// Gives the file `from` the name `to`, in place of the file that had it; at
    /// any moment, crash or not, one of the two has the name. Whoever has the
    /// replaced file open can go on reading it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes every `create`, `unlink` and `rename` so far survive a power cut.
    fn sync_dir(&self) -> io::Result<()>;
    /// How large the disk is, and how much of it is free.
    fn capacity(&self) -> io::Result<Capacity>;
    /// Makes a file that takes up so much of the disk, whatever is in it: to be
    /// unlinked when others need the room. On an error there is no such file.
    fn set_aside(&self, name: &str, bytes: u64) -> io::Result<()>;
}

/// How much a disk takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// All of it.
    pub total_bytes: u64,
    /// What is left for whoever runs this process.
    pub free_bytes: u64,
}

/// One file of a [`Storage`].
pub trait StoredFile: Send + Sync {
    /// Writes all of `bytes` at the end. After an error any part of them may
    /// have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything appended so far survive a power cut.
    fn sync(&self) -> io::Result<()>;
    /// Takes everything behind the first `bytes` out of the file again; a power cut
    /// may bring it back.
    fn cut(&self, bytes: u64) -> io::Result<()>;
    /// Fills `buf` from `offset` on and says how far it got: less than all only
    /// where the file ends.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// How many bytes the file has.
    fn size(&self) -> io::Result<u64>;
}

/// A file as listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name within the folder.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A folder of the operating system.
pub(crate) struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// The folder `dir`, created when it is missing.
    pub(crate) fn open(dir: &Path) -> io::Result<Disk> {
        make_folder(dir)?;
        Ok(Disk {
            dir: dir.to_owned(),
        })
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        for found in fs::read_dir(&self.dir)? {
            let found = found?;
            if let Ok(name) = found.file_name().into_string() {
                let bytes = found.metadata()?.len();
                files.push(Listed { name, bytes });
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(self.dir.join(name))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        Ok(Arc::new(DiskFile(File::open(self.dir.join(name))?)))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_folder(&self.dir)
    }

    fn capacity(&self) -> io::Result<Capacity> {
        let seen = rustix::fs::statvfs(&self.dir)?;
        Ok(Capacity {
            total_bytes: seen.f_blocks.saturating_mul(seen.f_frsize),
            free_bytes: seen.f_bavail.saturating_mul(seen.f_frsize),
        })
    }

    fn set_aside(&self, name: &str, bytes: u64) -> io::Result<()> {
        let path = self.dir.join(name);
        let taken = File::create(&path).and_then(|file| take_up(&file, bytes));
        taken.inspect_err(|_| {
            // What it has taken of a disk that is too full goes back at once.
            fs::remove_file(&path).ok();
        })
    }
}

/// Allocates so many bytes to the file: blocks, and not just a length.
fn take_up(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP) => {}
        allocated => return Ok(allocated?),
    }
    let chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let n_bytes = chunk
            .len()
            .min(usize::try_from(left).unwrap_or(chunk.len()));
        let (part, _) = chunk.split_at(n_bytes);
        (&*file).write_all(part)?;
        left -= n_bytes as u64;
    }
    file.sync_all()
}

/// Makes sure that there is a folder `dir`, and that a power cut leaves it there.
pub(crate) fn make_folder(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    dir.parent().map_or(Ok(()), sync_folder)
}

/// Makes the entries of the folder `dir` survive a power cut.
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    // An empty path is how a relative path names the folder it starts from.
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

struct DiskFile(File);

impl StoredFile for DiskFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
