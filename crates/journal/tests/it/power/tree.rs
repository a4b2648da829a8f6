//! Folders and files as a process sees them, and as a power cut may leave them.
//!
//! Of all changes only these survive for certain: what was in a file when it was
//! synced, and what was in a folder when that was. The rest is there, or not, or in
//! part, or only what came later: [`Disk::after_cut`] builds it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::Path;

use super::chance::Chance;

/// A file or a folder, by a number that is never used again.
pub(crate) type NodeId = usize;
/// The root of every tree.
pub(crate) const ROOT: NodeId = 0;
/// Pages are lost or kept as a whole.
const PAGE_BYTES: usize = 4096;
/// What lay on the disk before.
const RUBBISH: u8 = 0xA5;

/// The bytes of a file. Behind them, up to its size, it reads as zeros.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Content {
    bytes: Vec<u8>,
    size: usize,
}

type Names = BTreeMap<String, NodeId>;

/// One thing that a process did to a disk.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    MakeFile {
        folder: NodeId,
        name: String,
    },
    MakeFolder {
        folder: NodeId,
        name: String,
    },
    Unlink {
        folder: NodeId,
        name: String,
    },
    Rename {
        from: (NodeId, String),
        to: (NodeId, String),
    },
    Write {
        file: NodeId,
        offset: usize,
        bytes: Vec<u8>,
    },
    Resize {
        file: NodeId,
        size: usize,
    },
    Sync {
        node: NodeId,
    },
}

#[derive(Clone)]
enum Node {
    File(Content),
    Folder(Names),
}

/// What a process sees.
#[derive(Clone)]
pub(crate) struct Tree(Vec<Node>);

impl Content {
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn read(&self, offset: usize, most: usize) -> Vec<u8> {
        let end = self.size.min(offset.saturating_add(most));
        let mut read = vec![0; end.saturating_sub(offset)];
        if let Some(bytes) = self.bytes.get(offset..) {
            let n = bytes.len().min(read.len());
            read[..n].copy_from_slice(&bytes[..n]);
        }
        read
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.size = self.size.max(end);
    }

    fn resize(&mut self, size: usize) {
        self.bytes.truncate(size);
        self.size = size;
    }
}

impl Tree {
    /// An empty folder.
    pub(crate) fn new() -> Tree {
        Tree(vec![Node::Folder(Names::new())])
    }

    pub(crate) fn content(&self, node: NodeId) -> Option<&Content> {
        match self.0.get(node)? {
            Node::File(content) => Some(content),
            Node::Folder(_) => None,
        }
    }

    pub(crate) fn names(&self, node: NodeId) -> Option<&Names> {
        match self.0.get(node)? {
            Node::File(_) => None,
            Node::Folder(names) => Some(names),
        }
    }

    /// How many nodes were ever made.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn names_mut(&mut self, node: NodeId) -> &mut Names {
        match &mut self.0[node] {
            Node::File(_) => panic!("a file has no names"),
            Node::Folder(names) => names,
        }
    }

    fn content_mut(&mut self, node: NodeId) -> &mut Content {
        match &mut self.0[node] {
            Node::File(content) => content,
            Node::Folder(_) => panic!("a folder has no bytes"),
        }
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::MakeFile { folder, name } => {
                self.make(*folder, name, Node::File(Content::default()));
            }
            Change::MakeFolder { folder, name } => {
                self.make(*folder, name, Node::Folder(Names::new()));
            }
            Change::Unlink { folder, name } => _ = self.names_mut(*folder).remove(name),
            Change::Rename { from, to } => {
                let node = self.names_mut(from.0).remove(&from.1).unwrap();
                self.names_mut(to.0).insert(to.1.clone(), node);
            }
            Change::Write {
                file,
                offset,
                bytes,
            } => self.content_mut(*file).write(*offset, bytes),
            Change::Resize { file, size } => self.content_mut(*file).resize(*size),
            Change::Sync { .. } => (),
        }
    }

    fn make(&mut self, folder: NodeId, name: &str, node: Node) {
        let id = self.0.len();
        self.0.push(node);
        self.names_mut(folder).insert(name.to_owned(), id);
    }

    /// Writes what can be reached into the empty folder `dir`.
    pub(crate) fn put_into(&self, dir: &Path) {
        self.put(ROOT, dir);
    }

    fn put(&self, folder: NodeId, dir: &Path) {
        for (name, node) in self.names(folder).unwrap() {
            let path = dir.join(name);
            match &self.0[*node] {
                Node::File(content) => {
                    let mut file = File::create(path).unwrap();
                    file.write_all(&content.bytes).unwrap();
                    file.set_len(content.size as u64).unwrap();
                }
                Node::Folder(_) => {
                    fs::create_dir(&path).unwrap();
                    self.put(*node, &path);
                }
            }
        }
    }

    /// The same for trees that look the same.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_into(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_into(&self, folder: NodeId, hasher: &mut DefaultHasher) {
        for (name, node) in self.names(folder).unwrap() {
            name.hash(hasher);
            match &self.0[*node] {
                Node::File(content) => {
                    let zeros = content.bytes.iter().rev().take_while(|byte| **byte == 0);
                    let end = content.bytes.len() - zeros.count();
                    (&content.bytes[..end], content.size).hash(hasher);
                }
                Node::Folder(_) => {
                    "(".hash(hasher);
                    self.hash_into(*node, hasher);
                    ")".hash(hasher);
                }
            }
        }
    }
}

/// What a power cut does to bytes that were written and not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unsynced {
    /// None of them is there.
    Lost,
    /// All of them are there.
    Kept,
    /// So many of a hundred are there, and nothing that came behind.
    CutAt(usize),
    /// All are there but the first half: a hole, or what was there before.
    HoleFirst,
    /// All are there, but where the last third was to be something else is, that
    /// lay on the disk before the file did.
    RubbishLast,
    /// Each page is there or not.
    AnyPages,
}

/// What a power cut does to a folder that was changed and not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entries {
    /// It is as it was when it was synced last.
    AsSynced,
    /// It is as the process saw it last.
    AsSeen,
    /// Of all changes only the last has made it.
    OnlyTheLast,
    /// Each change has made it or not.
    Any,
}

/// Names that changed at once: a rename is both of its names or none.
type Links = Vec<(String, Option<NodeId>)>;

#[derive(Clone)]
enum Stored {
    File {
        synced: Content,
        pending: Vec<Change>,
    },
    Folder {
        synced: Names,
        pending: Vec<Links>,
    },
}

/// A disk of which is known what is certain.
#[derive(Clone)]
pub(crate) struct Disk(Vec<Stored>);

impl Disk {
    /// A disk on which all of `tree` is certain.
    pub(crate) fn of(tree: &Tree) -> Disk {
        let stored = tree.0.iter().map(|node| match node {
            Node::File(content) => Stored::File {
                synced: content.clone(),
                pending: Vec::new(),
            },
            Node::Folder(names) => Stored::Folder {
                synced: names.clone(),
                pending: Vec::new(),
            },
        });
        Disk(stored.collect())
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::MakeFile { folder, name } => {
                let made = Stored::File {
                    synced: Content::default(),
                    pending: Vec::new(),
                };
                self.make(*folder, name, made);
            }
            Change::MakeFolder { folder, name } => {
                let made = Stored::Folder {
                    synced: Names::new(),
                    pending: Vec::new(),
                };
                self.make(*folder, name, made);
            }
            Change::Unlink { folder, name } => self.link(*folder, vec![(name.clone(), None)]),
            Change::Rename { from, to } => self.rename(from, to),
            Change::Write { file, .. } | Change::Resize { file, .. } => match &mut self.0[*file] {
                Stored::File { pending, .. } => pending.push(change.clone()),
                Stored::Folder { .. } => panic!("a folder has no bytes"),
            },
            Change::Sync { node } => self.sync(*node),
        }
    }

    fn make(&mut self, folder: NodeId, name: &str, made: Stored) {
        let node = self.0.len();
        self.0.push(made);
        self.link(folder, vec![(name.to_owned(), Some(node))]);
    }

    fn link(&mut self, folder: NodeId, links: Links) {
        match &mut self.0[folder] {
            Stored::Folder { pending, .. } => pending.push(links),
            Stored::File { .. } => panic!("a file has no names"),
        }
    }

    fn rename(&mut self, from: &(NodeId, String), to: &(NodeId, String)) {
        let node = self.seen(from.0)[&from.1];
        let (gone, there) = ((from.1.clone(), None), (to.1.clone(), Some(node)));
        if from.0 == to.0 {
            self.link(from.0, vec![gone, there]);
        } else {
            self.link(from.0, vec![gone]);
            self.link(to.0, vec![there]);
        }
    }

    /// The folder as the process sees it.
    fn seen(&self, folder: NodeId) -> Names {
        match &self.0[folder] {
            Stored::Folder { synced, pending } => linked(synced, pending.iter()),
            Stored::File { .. } => panic!("a file has no names"),
        }
    }

    fn sync(&mut self, node: NodeId) {
        match &mut self.0[node] {
            Stored::File { synced, pending } => {
                pending.drain(..).for_each(|change| write(synced, &change));
            }
            Stored::Folder { synced, pending } => {
                *synced = linked(synced, pending.iter());
                pending.clear();
            }
        }
    }

    /// What is there when the power comes back.
    pub(crate) fn after_cut(&self, outcome: (Unsynced, Entries), chance: &mut Chance) -> Tree {
        let nodes = self.0.iter().map(|stored| match stored {
            Stored::File { synced, pending } => {
                Node::File(torn(synced, pending, outcome.0, chance))
            }
            Stored::Folder { synced, pending } => {
                let last = pending.len().saturating_sub(1);
                let left = match outcome.1 {
                    Entries::AsSynced => synced.clone(),
                    Entries::AsSeen => linked(synced, pending.iter()),
                    Entries::OnlyTheLast => linked(synced, pending[last..].iter()),
                    Entries::Any => linked(synced, pending.iter().filter(|_| chance.coin())),
                };
                Node::Folder(left)
            }
        });
        Tree(nodes.collect())
    }
}

fn linked<'l>(synced: &Names, links: impl Iterator<Item = &'l Links>) -> Names {
    let mut names = synced.clone();
    for (name, node) in links.flatten() {
        match node {
            Some(node) => _ = names.insert(name.clone(), *node),
            None => _ = names.remove(name),
        }
    }
    names
}

fn write(content: &mut Content, change: &Change) {
    match change {
        Change::Write { offset, bytes, .. } => content.write(*offset, bytes),
        Change::Resize { size, .. } => content.resize(*size),
        _ => panic!("this changes no bytes"),
    }
}

fn length(change: &Change) -> usize {
    match change {
        Change::Write { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

/// What is left of a file whose `pending` changes were not synced.
fn torn(synced: &Content, pending: &[Change], unsynced: Unsynced, chance: &mut Chance) -> Content {
    let total: usize = pending.iter().map(length).sum();
    let mut left = synced.clone();
    let mut at = 0;
    for change in pending {
        let (begin, end) = (at, at + length(change));
        at = end;
        let Change::Write { offset, bytes, .. } = change else {
            let is_there = match unsynced {
                Unsynced::Lost => false,
                Unsynced::CutAt(percent) => begin <= total * percent / 100,
                Unsynced::AnyPages => chance.coin(),
                Unsynced::Kept | Unsynced::HoleFirst | Unsynced::RubbishLast => true,
            };
            if is_there {
                write(&mut left, change);
            }
            continue;
        };
        let within = |share: usize| share.clamp(begin, end) - begin;
        match unsynced {
            Unsynced::Lost => (),
            Unsynced::Kept => left.write(*offset, bytes),
            Unsynced::CutAt(percent) => {
                left.write(*offset, &bytes[..within(total * percent / 100)]);
            }
            Unsynced::HoleFirst => {
                let hole = within(total / 2);
                left.write(*offset + hole, &bytes[hole..]);
            }
            Unsynced::RubbishLast => {
                let certain = synced.bytes.len().saturating_sub(*offset);
                let whole = within(total - total / 3).max(certain).min(bytes.len());
                left.write(*offset, &bytes[..whole]);
                left.write(*offset + whole, &vec![RUBBISH; bytes.len() - whole]);
            }
            Unsynced::AnyPages => write_any_pages(&mut left, *offset, bytes, chance),
        }
    }
    left
}

/// Pages end where they do in the file.
fn write_any_pages(left: &mut Content, offset: usize, bytes: &[u8], chance: &mut Chance) {
    let mut at = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let page = (PAGE_BYTES - at % PAGE_BYTES).min(rest.len());
        let (now, behind) = rest.split_at(page);
        if chance.coin() {
            left.write(at, now);
        }
        at += page;
        rest = behind;
    }
}
