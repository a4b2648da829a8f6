//! Looks at the journal's folder from outside, whoever has the journal open: who may
//! read it, what kind of file system it is on, and how much room there is.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::finding::{Check, Finding, size};
use crate::config::Config;

/// Kinds that forget everything when the machine stops.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// Kinds that go when a container goes.
const OF_A_CONTAINER: [&str; 3] = ["overlay", "aufs", "fuse.fuse-overlayfs"];
/// Kinds over a network, whose sync and locks are as good as the other end's.
const OVER_A_NETWORK: [&str; 10] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "fuse.glusterfs",
    "fuse.sshfs",
    "fuse.s3fs",
];
/// What others may do who are not the owner.
const OTHERS_READ: u32 = 0o077;

/// The folder, or the nearest one above it that is there already.
pub(super) fn existing(dir: &Path) -> PathBuf {
    let mut existing = dir;
    while !existing.exists() {
        match existing.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => existing = parent,
            _ => return PathBuf::from("."), // a relative folder in the current one
        }
    }
    existing.to_owned()
}

/// Everything about the folder and the token in it.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let dir = config.journal.dir();
    let mut findings = vec![folder(dir), token(&config.token_file)];
    findings.extend(kind_of(&existing(dir)).map(|kind| file_system(dir, &kind)));
    findings.push(match room(dir, config.journal.limits()) {
        Ok(room) => judge_room(dir, room),
        Err(error) => Check::new("disk space", dir.display()).warn(
            format!("the system does not say how much there is: {error:#}"),
            "look with df whether there is room for [journal] max_bytes",
        ),
    });
    findings
}

fn folder(dir: &Path) -> Finding {
    let check = Check::new("journal folder", dir.display());
    let metadata = match fs::metadata(dir) {
        Ok(metadata) if !metadata.is_dir() => {
            return check.fail("it is a file", "set [journal] dir to a folder");
        }
        Ok(metadata) => metadata,
        Err(error) if is_missing(&error) => {
            let above = existing(dir);
            if !above.is_dir() {
                let found = format!("it cannot be made: {} is a file", above.display());
                return check.fail(found, "set [journal] dir to a folder");
            }
            return check.ok("it is not there yet: the first start makes it");
        }
        Err(error) => {
            let advice = "run doctor as the user that runs Postmeter, or give that user the folder";
            return check.fail(format!("it cannot be looked at: {error}"), advice);
        }
    };
    let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
    let found = format!("owner {owner}, mode {mode:o}");
    if mode & 0o007 != 0 {
        let found =
            format!("{found}: everybody on this machine may look into it, and it holds events");
        return check.warn(found, format!("chmod 750 {}", dir.display()));
    }
    check.ok(found)
}

/// Whether it is not there; what is below a file is not there either.
fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn token(path: &Path) -> Finding {
    let check = Check::new("token", path.display());
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_missing(&error) => {
            let advice = "start the server once: it makes its token; or say where it is with \
                          [console] token_file or --token-file";
            return check.warn("there is none, so no running server can be asked", advice);
        }
        Err(error) => {
            let advice = "run doctor as the user that runs Postmeter";
            return check.fail(format!("it cannot be read: {error}"), advice);
        }
    };
    let mode = metadata.mode() & 0o777;
    if mode & OTHERS_READ != 0 {
        let found = format!(
            "others than its owner may use it (mode {mode:o}): whoever reads it rules the server"
        );
        let advice = format!(
            "chmod 600 {0}; if others have read it, remove it and restart the server, which makes a new one",
            path.display()
        );
        return check.fail(found, advice);
    }
    match crate::token::Token::read(path) {
        Ok(_) => check.ok(format!("readable by its owner only (mode {mode:o})")),
        Err(error) => {
            let advice = "if it is empty, remove it and restart the server, which makes a new one; \
                          else run doctor as the user that runs Postmeter";
            check.fail(format!("{error:#}"), advice)
        }
    }
}

/// The kind of the file system that holds `dir`, as the system names it.
fn kind_of(dir: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    kind_in(&mounts, &fs::canonicalize(dir).ok()?)
}

/// The kind of the last, deepest mount that holds `dir`.
fn kind_in(mounts: &str, dir: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let point = head.split(' ').nth(4)?.replace("\\040", " ");
        let kind = tail.split(' ').next()?;
        dir.starts_with(&point)
            .then(|| (point.len(), kind.to_owned()))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

fn file_system(dir: &Path, kind: &str) -> Finding {
    let check = Check::new("file system", dir.display());
    if IN_MEMORY.contains(&kind) {
        let found = format!(
            "{kind}: it is in memory, so acknowledged events are gone when the machine stops"
        );
        return check.fail(found, "set [journal] dir to a folder on a disk");
    }
    if OF_A_CONTAINER.contains(&kind) {
        let found = format!("{kind}: acknowledged events are lost when the container goes");
        return check.warn(
            found,
            "mount a volume, and set [journal] dir to a folder on it",
        );
    }
    if OVER_A_NETWORK.contains(&kind) {
        let found = format!("{kind}: whether a sync is one is up to the other end of a network");
        return check.warn(
            found,
            "set [journal] dir to a folder on a local disk or a block device",
        );
    }
    check.ok(kind)
}

/// Bytes, as the disk and the config have them.
#[derive(Clone, Copy)]
struct Room {
    free: u64,
    /// Below which nothing is taken.
    min_free: u64,
    /// What the log takes already.
    used: u64,
    /// What it may take.
    budget: u64,
}

fn room(dir: &Path, limits: &journal::Config) -> anyhow::Result<Room> {
    let stat = rustix::fs::statvfs(existing(dir)).context("cannot ask the file system")?;
    Ok(Room {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        min_free: limits.min_free_of(stat.f_blocks.saturating_mul(stat.f_frsize)),
        used: log_bytes(dir),
        budget: limits.max_bytes,
    })
}

/// What the log's files take; trimmed files may vanish while one looks.
fn log_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("log"))
        .into_iter()
        .flatten()
        .flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum()
}

fn judge_room(dir: &Path, room: Room) -> Finding {
    let check = Check::new("disk space", dir.display());
    let found = format!(
        "{} free; the log takes {} of {} (max_bytes)",
        size(room.free),
        size(room.used),
        size(room.budget)
    );
    if room.free < room.min_free {
        let found = format!(
            "{found}; below {} (min_free_bytes) no event is taken: they are answered 503 and wait \
             at Customer.io",
            size(room.min_free)
        );
        let advice = "free space on this disk now; events are taken again by themselves";
        return check.fail(found, advice);
    }
    let missing = room
        .budget
        .saturating_sub(room.used)
        .saturating_sub(room.free.saturating_sub(room.min_free));
    if missing > 0 {
        let found = format!(
            "{found}: the disk is full {} before the budget is reached",
            size(missing)
        );
        return check.warn(
            found,
            "free space, use a larger disk, or lower [journal] max_bytes",
        );
    }
    check.ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /run rw - tmpfs tmpfs rw
24 22 0:30 / /srv/my\\040data rw - nfs4 server:/x rw
25 22 0:31 / /var rw - overlay overlay rw";

    #[test]
    fn the_deepest_mount_tells_the_kind_of_a_folder() {
        let kinds = [
            ("/home/x", "ext4"),
            ("/run/postmeter", "tmpfs"),
            ("/running", "ext4"),
            ("/srv/my data/j", "nfs4"),
            ("/var/lib/postmeter", "overlay"),
        ];
        for (dir, kind) in kinds {
            assert_eq!(
                kind_in(MOUNTS, Path::new(dir)).as_deref(),
                Some(kind),
                "{dir}"
            );
        }
    }

    #[test]
    fn a_file_system_that_forgets_is_told_from_one_that_may() {
        let levels = [
            ("ext4", Level::Ok),
            ("overlay", Level::Warn),
            ("nfs4", Level::Warn),
            ("tmpfs", Level::Fail),
        ];
        for (kind, level) in levels {
            assert_eq!(file_system(Path::new("d"), kind).level(), level, "{kind}");
        }
    }

    #[test]
    fn room_is_missing_where_the_disk_ends_before_the_budget() {
        const GIB: u64 = 1 << 30;
        let levels = [
            (50 * GIB, 0, Level::Ok),
            (15 * GIB, 6 * GIB, Level::Ok),
            (14 * GIB, 6 * GIB, Level::Warn),
            (10 * GIB, 6 * GIB, Level::Warn),
            (GIB / 8, 20 * GIB, Level::Fail),
        ];
        for (free, used, level) in levels {
            let room = Room {
                free,
                min_free: GIB / 4,
                used,
                budget: 20 * GIB,
            };
            assert_eq!(
                judge_room(Path::new("d"), room).level(),
                level,
                "{free} free"
            );
        }
    }
}
