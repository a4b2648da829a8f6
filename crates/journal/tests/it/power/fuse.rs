//! A file system of our own, mounted: it forwards nothing to a disk and notes each
//! change that a process makes, in order. Linux only, and only where `/dev/fuse` is.
//!
//! It speaks the kernel's protocol itself, as far as a journal needs it: one request
//! at a time, nothing cached, no links, no rights. The mount is detached as soon as it
//! stands, so that it is gone with the process, whatever happens to that.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::tree::{Change, NodeId, ROOT, Tree};

/// The longest request: one write, and what is in front of it.
const REQUEST_BYTES: usize = MAX_WRITE_BYTES + 4096;
const MAX_WRITE_BYTES: usize = 128 * 1024;
/// The kernel's file system error numbers, as far as they are answered.
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOTEMPTY: i32 = 39;
const ENOSYS: i32 = 38;

/// What happened on a disk, from what it was at first.
#[derive(Clone)]
pub(crate) struct Trace {
    pub(crate) first: Tree,
    pub(crate) changes: Vec<Change>,
}

struct Seen {
    tree: Tree,
    changes: Vec<Change>,
}

/// A mounted file system.
pub(crate) struct Mounted {
    first: Tree,
    seen: Arc<Mutex<Seen>>,
    root: Option<File>,
    server: Option<JoinHandle<()>>,
}

impl Mounted {
    /// Mounts a file system that holds `tree`; none where that cannot be done.
    pub(crate) fn of(tree: Tree) -> io::Result<Mounted> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")?;
        let dir = tempfile::tempdir()?;
        // The device is the command's input, so that it has a number to name it by.
        let mount = Command::new("mount")
            .args([
                "-i",
                "-t",
                "fuse",
                "-o",
                "fd=0,rootmode=40000,user_id=0,group_id=0",
            ])
            .arg("postmeter-power")
            .arg(dir.path())
            .stdin(device.try_clone()?)
            .stderr(Stdio::null())
            .status()?;
        if !mount.success() {
            return Err(io::Error::other("mount refused"));
        }
        let seen = Arc::new(Mutex::new(Seen {
            tree: tree.clone(),
            changes: Vec::new(),
        }));
        let server = Server {
            device,
            seen: Arc::clone(&seen),
        };
        let server = thread::spawn(move || server.run());
        let root = File::open(dir.path())?;
        let unmount = Command::new("umount").arg("-l").arg(dir.path()).status()?;
        assert!(unmount.success(), "what was mounted can be detached");
        Ok(Mounted {
            first: tree,
            seen,
            root: Some(root),
            server: Some(server),
        })
    }

    /// Where it is, for this process.
    pub(crate) fn path(&self) -> PathBuf {
        let root = self.root.as_ref().unwrap();
        Path::new("/proc/self/fd").join(root.as_raw_fd().to_string())
    }

    /// How many changes there were so far.
    pub(crate) fn n_changes(&self) -> usize {
        self.seen.lock().unwrap().changes.len()
    }

    /// All that happened. Whoever has a file open there has closed it.
    pub(crate) fn finish(mut self) -> Trace {
        self.leave();
        let seen = self.seen.lock().unwrap();
        Trace {
            first: self.first.clone(),
            changes: seen.changes.clone(),
        }
    }

    fn leave(&mut self) {
        drop(self.root.take());
        if let Some(server) = self.server.take() {
            server.join().ok();
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test that failed may have files open, and must not wait for itself.
        if !thread::panicking() {
            self.leave();
        }
    }
}

struct Server {
    device: File,
    seen: Arc<Mutex<Seen>>,
}

/// What a request is answered: bytes, or an error's number.
type Answer = Result<Vec<u8>, i32>;

/// A request, read from the front.
struct Request<'r>(&'r [u8]);

impl Request<'_> {
    fn u32(&mut self) -> u32 {
        let (number, rest) = self.0.split_first_chunk::<4>().unwrap();
        self.0 = rest;
        u32::from_le_bytes(*number)
    }

    fn u64(&mut self) -> u64 {
        let (number, rest) = self.0.split_first_chunk::<8>().unwrap();
        self.0 = rest;
        u64::from_le_bytes(*number)
    }

    fn size(&mut self) -> usize {
        usize::try_from(self.u64()).unwrap()
    }

    fn skip(&mut self, bytes: usize) {
        self.0 = &self.0[bytes..];
    }

    fn name(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let name = str::from_utf8(&self.0[..end]).unwrap().to_owned();
        self.skip(end + 1);
        name
    }
}

impl Server {
    fn run(mut self) {
        let mut buffer = vec![0; REQUEST_BYTES];
        loop {
            let length = match self.device.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(ENOENT) => continue,
                Err(_) => return, // nobody has anything open there any more
            };
            let mut request = Request(&buffer[..length]);
            request.skip(4);
            let (operation, unique) = (request.u32(), request.u64());
            let node = request.size().saturating_sub(1);
            request.skip(16);
            if let Some(answer) = self.answer(operation, node, request) {
                self.reply(unique, answer);
            }
        }
    }

    fn reply(&mut self, unique: u64, answer: Answer) {
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let mut out = Vec::with_capacity(16 + body.len());
        put32(&mut out, 16 + body.len());
        out.extend_from_slice(&error.to_le_bytes());
        out.extend_from_slice(&unique.to_le_bytes());
        out.extend_from_slice(&body);
        // Whoever asked may have been interrupted meanwhile.
        self.device.write_all(&out).ok();
    }

    /// Answers a request; none where none is expected.
    fn answer(&self, operation: u32, node: NodeId, mut request: Request<'_>) -> Option<Answer> {
        let mut seen = self.seen.lock().unwrap();
        Some(match operation {
            2 | 36 | 42 => return None, // forget, interrupt, forget many
            1 => seen.entry(node, &request.name()),
            3 => Ok(seen.attributes_reply(node)),
            4 => Ok(seen.set_attributes(node, &mut request)),
            9 => {
                request.skip(8);
                seen.make(node, request.name(), |folder, name| Change::MakeFolder {
                    folder,
                    name,
                })
            }
            10 => seen.unlink(node, request.name()),
            11 => seen.remove_folder(node, request.name()),
            12 | 45 => {
                let to = request.size() - 1;
                request.skip(if operation == 45 { 8 } else { 0 });
                let (from, name) = (request.name(), request.name());
                seen.rename((node, from), (to, name))
            }
            14 | 27 => Ok(vec![0; 16]), // open, open folder
            15 => Ok(seen.read(node, &mut request)),
            16 => Ok(seen.write(node, &mut request)),
            17 => Ok(statistics()),
            18 | 25 | 29 | 38 => Ok(Vec::new()), // release, flush, release folder, destroy
            20 | 30 => Ok(seen.note(Change::Sync { node })),
            26 => Ok(greeting(&mut request)),
            28 => Ok(seen.list(node, &mut request)),
            35 => {
                request.skip(16);
                let made = seen.make(node, request.name(), |folder, name| Change::MakeFile {
                    folder,
                    name,
                });
                made.map(|entry| [entry, vec![0; 16]].concat())
            }
            _ => Err(ENOSYS),
        })
    }
}

impl Seen {
    fn note(&mut self, change: Change) -> Vec<u8> {
        self.tree.apply(&change);
        self.changes.push(change);
        Vec::new()
    }

    fn find(&self, folder: NodeId, name: &str) -> Result<NodeId, i32> {
        let names = self.tree.names(folder).ok_or(ENOENT)?;
        names.get(name).copied().ok_or(ENOENT)
    }

    fn entry(&self, folder: NodeId, name: &str) -> Answer {
        Ok(self.entry_reply(self.find(folder, name)?))
    }

    fn make(
        &mut self,
        folder: NodeId,
        name: String,
        change: fn(NodeId, String) -> Change,
    ) -> Answer {
        if self.find(folder, &name).is_ok() {
            return Err(EEXIST);
        }
        let node = self.tree.len();
        self.note(change(folder, name));
        Ok(self.entry_reply(node))
    }

    fn unlink(&mut self, folder: NodeId, name: String) -> Answer {
        self.find(folder, &name)?;
        Ok(self.note(Change::Unlink { folder, name }))
    }

    fn remove_folder(&mut self, folder: NodeId, name: String) -> Answer {
        let node = self.find(folder, &name)?;
        if self.tree.names(node).is_some_and(|names| !names.is_empty()) {
            return Err(ENOTEMPTY);
        }
        self.unlink(folder, name)
    }

    fn rename(&mut self, from: (NodeId, String), to: (NodeId, String)) -> Answer {
        self.find(from.0, &from.1)?;
        Ok(self.note(Change::Rename { from, to }))
    }

    fn set_attributes(&mut self, file: NodeId, request: &mut Request<'_>) -> Vec<u8> {
        const SIZE: u32 = 1 << 3;
        let valid = request.u32();
        request.skip(12);
        let size = request.size();
        if valid & SIZE != 0 {
            self.note(Change::Resize { file, size });
        }
        self.attributes_reply(file)
    }

    fn read(&self, file: NodeId, request: &mut Request<'_>) -> Vec<u8> {
        request.skip(8);
        let (offset, most) = (request.size(), request.u32() as usize);
        let content = self.tree.content(file);
        content.map_or(Vec::new(), |content| content.read(offset, most))
    }

    fn write(&mut self, file: NodeId, request: &mut Request<'_>) -> Vec<u8> {
        request.skip(8);
        let (offset, size) = (request.size(), request.u32() as usize);
        request.skip(20);
        let bytes = request.0[..size].to_vec();
        self.note(Change::Write {
            file,
            offset,
            bytes,
        });
        let mut out = Vec::new();
        put32(&mut out, size);
        put32(&mut out, 0);
        out
    }

    fn list(&self, folder: NodeId, request: &mut Request<'_>) -> Vec<u8> {
        request.skip(8);
        let (offset, most) = (request.size(), request.u32() as usize);
        let mut out = Vec::new();
        let names = self.tree.names(folder).into_iter().flatten();
        for (index, (name, node)) in names.enumerate().skip(offset) {
            let length = (24 + name.len()).next_multiple_of(8);
            if out.len() + length > most {
                break;
            }
            let end = out.len() + length;
            put64(&mut out, node + 1);
            put64(&mut out, index + 1);
            put32(&mut out, name.len());
            put32(
                &mut out,
                if self.tree.names(*node).is_some() {
                    4
                } else {
                    8
                },
            );
            out.extend_from_slice(name.as_bytes());
            out.resize(end, 0);
        }
        out
    }

    /// What a name stands for; valid for no time at all.
    fn entry_reply(&self, node: NodeId) -> Vec<u8> {
        let mut out = Vec::new();
        put64(&mut out, node + 1);
        out.resize(40, 0);
        out.extend_from_slice(&self.attributes(node));
        out
    }

    fn attributes_reply(&self, node: NodeId) -> Vec<u8> {
        [vec![0; 16], self.attributes(node)].concat()
    }

    fn attributes(&self, node: NodeId) -> Vec<u8> {
        let content = self.tree.content(node);
        let size = content.map_or(0, super::tree::Content::size);
        let mut out = Vec::new();
        put64(&mut out, node + 1);
        put64(&mut out, size);
        put64(&mut out, size.div_ceil(512));
        out.resize(60, 0);
        put32(
            &mut out,
            if content.is_some() {
                0o100_644
            } else {
                0o40_755
            },
        );
        put32(&mut out, 1);
        out.resize(80, 0);
        put32(&mut out, 4096);
        put32(&mut out, 0);
        out
    }
}

fn greeting(request: &mut Request<'_>) -> Vec<u8> {
    const BIG_WRITES: usize = 1 << 5;
    let major = request.u32() as usize;
    request.skip(4);
    let readahead = request.u32() as usize;
    let mut out = Vec::new();
    for number in [major, 31, readahead, BIG_WRITES] {
        put32(&mut out, number);
    }
    put32(&mut out, 0);
    put32(&mut out, MAX_WRITE_BYTES);
    out.resize(64, 0);
    out
}

/// A disk with plenty of room.
fn statistics() -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..5 {
        put64(&mut out, 1 << 30);
    }
    for number in [4096, 255, 4096] {
        put32(&mut out, number);
    }
    out.resize(80, 0);
    out
}

fn put32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
}

fn put64(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u64).to_le_bytes());
}

const _: () = assert!(ROOT == 0, "the kernel calls the root 1");
