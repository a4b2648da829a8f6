//! What gives a process a clock of its own: libfaketime, where it is installed.

use std::path::{Path, PathBuf};

/// Where the library is.
pub(super) fn library() -> Option<PathBuf> {
    let folders = Path::new("/usr/lib").read_dir().ok()?;
    let folders = folders.filter_map(|folder| Some(folder.ok()?.path()));
    let mut files = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.exists())
}
