//! A small disk that can be filled: a tmpfs mounted for one run.
//!
//! Mounting takes a right that not every machine gives; [`is_possible`] asks.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the disk holds. The state's files are written ahead, so it is not tiny.
const BYTES: &str = "192m";

/// A mounted disk. It is unmounted when its run is over.
pub(super) struct Disk {
    dir: PathBuf,
    kept: bool,
}

/// Whether a disk can be mounted here.
pub(super) fn is_possible() -> bool {
    let dir = tempfile::TempDir::new().unwrap();
    let is_mounted = mount(dir.path());
    if is_mounted {
        unmount(dir.path());
    }
    is_mounted
}

impl Disk {
    /// Mounts a disk at a folder that is to be.
    pub(super) fn mount(dir: &Path) -> Disk {
        std::fs::create_dir(dir).unwrap();
        assert!(mount(dir), "a disk could be mounted a moment ago");
        Disk {
            dir: dir.to_owned(),
            kept: false,
        }
    }

    /// Takes all the room that is left.
    pub(super) fn fill(&self) {
        let mut file = File::create(self.ballast()).unwrap();
        for bytes in [1 << 20, 4096, 1] {
            let block = vec![0; bytes];
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Gives the room back.
    pub(super) fn make_room(&self) {
        if self.ballast().exists() {
            std::fs::remove_file(self.ballast()).unwrap();
        }
    }

    /// Leaves it mounted, for whoever looks for the cause of a failure.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast-of-a-test")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !self.kept {
            unmount(&self.dir);
        }
    }
}

fn mount(dir: &Path) -> bool {
    let size = format!("size={BYTES}");
    let mut command = Command::new("mount");
    let command = command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir);
    let done = command.output();
    done.is_ok_and(|done| done.status.success())
}

fn unmount(dir: &Path) {
    // At once out of sight, even if a process that was killed still holds a file.
    drop(Command::new("umount").arg("-l").arg(dir).output());
}
