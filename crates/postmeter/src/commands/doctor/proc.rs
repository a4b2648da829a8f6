//! What the system says of processes: who holds a lock, who listens on a port, how many
//! files one may open. Best effort: other users' processes show nothing, and then
//! nothing is said.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How the system writes that a socket listens.
const LISTENING: &str = "0A";

/// A process by its number and name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: String,
}

impl Holder {
    fn of(pid: u32) -> Holder {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        Holder {
            pid,
            name: name.map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned()),
        }
    }
}

/// Who has the journal in `dir` open. Takes no lock itself: a server that starts just
/// now would meet it.
pub(super) fn lock_holder(dir: &Path) -> Option<Holder> {
    let inode = fs::metadata(dir.join("LOCK")).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locked_by(&locks, inode).map(Holder::of)
}

fn locked_by(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = words.as_slice() else {
            return None;
        };
        let held: u64 = place.rsplit(':').next()?.parse().ok()?;
        pid.parse().ok().filter(|_| held == inode)
    })
}

/// Who listens on `address`, or on its port for every address.
pub(super) fn listener(address: SocketAddr) -> Option<Holder> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).ok());
    let mut tables = sockets.iter().flatten();
    let inode = tables.find_map(|table| listening(table, address))?;
    owner(&format!("socket:[{inode}]")).map(Holder::of)
}

fn listening(table: &str, address: SocketAddr) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, state) = (words.get(1)?, words.get(3)?);
        let (ip, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let ip = address_in(ip)?;
        let same = port == address.port() && (ip == address.ip() || ip.is_unspecified());
        (same && *state == LISTENING).then(|| words.get(9)?.parse().ok())?
    })
}

/// An address as the system's tables have it: hexadecimal words, each turned around.
fn address_in(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for word in text.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_le_bytes());
    }
    let four: Result<[u8; 4], _> = bytes.as_slice().try_into();
    let sixteen: Result<[u8; 16], _> = bytes.as_slice().try_into();
    let four = four.ok().map(|four| IpAddr::V4(Ipv4Addr::from(four)));
    four.or_else(|| {
        sixteen
            .ok()
            .map(|it| IpAddr::V6(Ipv6Addr::from(it)).to_canonical())
    })
}

/// The first process that has this open.
fn owner(link: &str) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|each| each.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.as_os_str() == link)
    })
}

/// How many files a process may have open; this one where none is given.
pub(super) fn open_files(pid: Option<u32>) -> Option<u64> {
    let whose = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let limits = fs::read_to_string(format!("/proc/{whose}/limits")).ok()?;
    open_files_in(&limits)
}

fn open_files_in(limits: &str) -> Option<u64> {
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_systems_tables_are_understood() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 7 fe:00:4711 0 EOF
2: FLOCK  ADVISORY  WRITE 42 fe:00:4711 0 EOF";
        assert_eq!(locked_by(locks, 4711), Some(42));
        assert_eq!(locked_by(locks, 4712), None);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files";
        assert_eq!(open_files_in(limits), Some(1024));
        assert_eq!(address_in("0100007F"), Some("127.0.0.1".parse().unwrap()));
        let six = "0000000000000000FFFF00000100007F";
        assert_eq!(address_in(six), Some("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn who_listens_is_found_by_the_port() {
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = listener(bound.local_addr().unwrap()).unwrap();
        assert_eq!(holder.pid, std::process::id());
    }

    #[test]
    fn who_has_a_folder_locked_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("LOCK")).unwrap();
        assert_eq!(lock_holder(dir.path()), None);
        file.lock().unwrap();
        let holder = lock_holder(dir.path()).unwrap();
        assert_eq!(holder.pid, std::process::id());
    }
}
