//! A small disk of a test's own, which can really be full.
//!
//! It is mounted in a namespace that a process of ours holds open: nobody else
//! sees it, and it is gone with that process, however the test ends. Where nothing
//! may be mounted, a test that needs it fails and says so.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What others have written to fill the disk.
const FILLER: &str = "somebody-elses-file";

/// The ways to get a disk, the most real one first: what enters a namespace, and
/// what mounts `$1` MiB at `$0` there.
const WAYS: [Way; 3] = [
    Way {
        unshare: &["--mount"],
        enter: &["--mount"],
        mount: "truncate -s $1M \"$0.image\" && mkfs.ext4 -q -m 0 \"$0.image\" \
                && mount -o loop \"$0.image\" \"$0\"",
    },
    Way {
        unshare: &["--mount"],
        enter: &["--mount"],
        mount: "mount -t tmpfs -o size=$1m tmpfs \"$0\"",
    },
    Way {
        unshare: &["--mount", "--user", "--map-root-user"],
        enter: &["--mount", "--user", "--preserve-credentials"],
        mount: "mount -t tmpfs -o size=$1m tmpfs \"$0\"",
    },
];

#[derive(Clone, Copy)]
struct Way {
    unshare: &'static [&'static str],
    enter: &'static [&'static str],
    mount: &'static str,
}

/// A disk that is mounted as long as this is held.
pub(crate) struct Volume {
    holder: Child,
    point: PathBuf,
    way: Way,
}

impl Volume {
    /// Mounts a disk of so many MiB at `point`.
    pub(crate) fn mount(point: &Path, mib: u64) -> Volume {
        fs::create_dir_all(point).expect("a mount point");
        let mut said = String::new();
        for way in WAYS {
            match Volume::try_mount(point, mib, way) {
                Ok(volume) => return volume,
                Err(why) => said = format!("{said}\n{}: {why}", way.mount),
            }
        }
        panic!(
            "no disk can be mounted to be filled: run this test as root, or where users may have namespaces:{said}"
        )
    }

    fn try_mount(point: &Path, mib: u64, way: Way) -> Result<Volume, String> {
        let script = format!("{} && echo mounted && exec cat", way.mount);
        let mut holder = Command::new("unshare")
            .args(way.unshare)
            .args(["sh", "-c", &script])
            .arg(point)
            .arg(mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the holder speaks");
        if line == "mounted\n" {
            let point = point.to_owned();
            return Ok(Volume { holder, point, way });
        }
        let output = holder.wait_with_output().expect("the holder ends");
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// The same command, for a process that sees the disk.
    pub(crate) fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg("--target").arg(self.holder.id().to_string());
        inside.args(self.way.enter).arg("--");
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// The disk's root, for those who do not see it where it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.point.strip_prefix("/").expect("an absolute path"))
    }

    /// Has somebody else write until nothing fits any more; tells how many bytes
    /// fitted.
    pub(crate) fn fill(&self) -> u64 {
        let path = self.root().join(FILLER);
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .expect("the disk takes a name");
        let mut n_bytes = 0;
        for chunk in [1024 * 1024, 4096, 1] {
            while let Ok(written) = file.write(&vec![7; chunk]) {
                n_bytes += written as u64;
            }
        }
        n_bytes
    }

    /// Somebody else's file is gone.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.root().join(FILLER)).expect("it was filled");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
        drop(fs::remove_file(format!("{}.image", self.point.display())));
    }
}
