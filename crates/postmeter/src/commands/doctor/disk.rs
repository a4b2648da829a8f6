//! Times what every 200 waits for: a write at the end of a file and an fdatasync,
//! in the journal's folder, in the two shapes that commits have.
//!
//! A sender that waits for each answer gets one event per sync. Many at a time
//! share one: while the disk syncs a group, the next one gathers. So the first
//! figure is the turn-around of a sync, the second a group's events over its sync.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::finding::{Check, Finding};

/// A usual event with its place in the log.
const EVENT_BYTES: usize = 1024;
/// Events of a group: as many requests under way at a time.
const GROUP: usize = 256;
/// The most writes of one event, and of a group; with both, 6 MiB.
const SINGLE_WRITES: usize = 300;
const GROUP_WRITES: usize = 20;
/// How long the one and the other may take.
const SINGLE_TIME: Duration = Duration::from_secs(2);
const GROUP_TIME: Duration = Duration::from_secs(1);

/// A sync that takes so long leaves little of the 4 s that Customer.io waits.
const TOO_SLOW: Duration = Duration::from_secs(2);
/// A sync beyond this is felt: a usual disk takes a tenth of it at the worst.
const SLOW: Duration = Duration::from_millis(100);
/// Fewer events a second from a sender that waits than this are few: a disk with
/// a spinning platter does as many.
const FEW_EVENTS: f64 = 100.0;

/// How long syncs took, sorted.
pub(super) struct Timed {
    single: Vec<Duration>,
    group: Vec<Duration>,
}

/// Writes to a file of its own in `dir`, and removes it.
pub(super) fn time(dir: &Path) -> io::Result<Timed> {
    let path = dir.join(format!(".postmeter-doctor-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(&path)?;
    let timed = time_both(&mut file);
    std::fs::remove_file(&path)?;
    timed
}

fn time_both(file: &mut File) -> io::Result<Timed> {
    let single = time_writes(file, EVENT_BYTES, (SINGLE_WRITES, SINGLE_TIME))?;
    let group = time_writes(file, EVENT_BYTES * GROUP, (GROUP_WRITES, GROUP_TIME))?;
    Ok(Timed { single, group })
}

fn time_writes(
    file: &mut File,
    bytes: usize,
    (most, within): (usize, Duration),
) -> io::Result<Vec<Duration>> {
    let block = vec![0x5A; bytes];
    let begun = Instant::now();
    let mut took = Vec::with_capacity(most);
    while took.len() < most && (took.is_empty() || begun.elapsed() < within) {
        let started = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}

/// What the disk carries, and whether that is enough.
pub(super) fn judge(dir: &Path, timed: &Timed) -> Finding {
    let check = Check::new("disk sync", dir.display());
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| at(&timed.single, share));
    let alone = per_second(1, mean(&timed.single));
    let together = per_second(GROUP, mean(&timed.group));
    let found = format!(
        "fdatasync takes {} at p50, {} at p99, {} at most ({} writes of {EVENT_BYTES} bytes). That \
         carries {} events/s from one sender, who waits for each (1 / mean), and {} events/s of \
         {GROUP} at a time, who share a sync ({GROUP} / {})",
        ms(p50),
        ms(p99),
        ms(most),
        timed.single.len(),
        rounded(alone),
        rounded(together),
        ms(mean(&timed.group)),
    );
    let advice = "put [journal] dir on a local SSD or NVMe disk, away from other writers; a network \
                  disk, a throttled volume or a full one is the usual cause";
    if p99 >= TOO_SLOW {
        let found = format!("{found}; Customer.io gives up after 4 s");
        return check.fail(found, advice);
    }
    if p99 >= SLOW || alone < FEW_EVENTS {
        return check.warn(found, advice);
    }
    check.ok(found)
}

/// The disk that would not be timed.
pub(super) fn unwritable(dir: &Path, error: &io::Error) -> Finding {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space on this disk, or move [journal] dir: until then events are answered 503"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount it for writing, or set [journal] dir to a folder that is"
        }
        io::ErrorKind::PermissionDenied => {
            "give the folder to the user that runs Postmeter (chown), and run doctor as that user"
        }
        _ => "set [journal] dir to a folder that takes files; the system's log may say more",
    };
    let found = format!("it takes no file: {error}");
    Check::new("disk sync", dir.display()).fail(found, advice)
}

/// The value below which a share of the sorted values lies.
fn at(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among a few hundred values"
    )]
    let place = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    let place = sorted.get(place).or(sorted.last());
    place.copied().unwrap_or_default()
}

fn mean(values: &[Duration]) -> Duration {
    let n_values = u32::try_from(values.len()).unwrap_or(u32::MAX).max(1);
    values.iter().sum::<Duration>() / n_values
}

fn per_second(events: usize, took: Duration) -> f64 {
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    f64::from(events) / took.as_secs_f64().max(1e-9)
}

fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1_000.0)
}

/// Two digits are all that a short measurement tells.
fn rounded(number: f64) -> String {
    let mut step = 1.0;
    while number / step >= 100.0 {
        step *= 10.0;
    }
    format!("{:.0}", (number / step).round() * step)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn timed(single_ms: &[u64], group_ms: u64) -> Timed {
        Timed {
            single: single_ms
                .iter()
                .copied()
                .map(Duration::from_millis)
                .collect(),
            group: vec![Duration::from_millis(group_ms)],
        }
    }

    #[test]
    fn a_disk_is_judged_by_its_slow_syncs_and_by_what_it_carries() {
        let cases = [
            (timed(&[1, 1, 2], 4), Level::Ok),
            (timed(&[1, 1, 150], 4), Level::Warn),
            (timed(&[20, 20, 20], 30), Level::Warn),
            (timed(&[1, 1, 3_000], 4), Level::Fail),
        ];
        for (timed, level) in cases {
            let finding = judge(Path::new("d"), &timed);
            assert_eq!(finding.level(), level, "{}", finding.lines());
        }
    }

    #[test]
    fn many_senders_share_a_sync_and_one_does_not() {
        let said = judge(Path::new("d"), &timed(&[2, 2], 8)).lines();
        assert!(said.contains("500 events/s from one sender"), "{said}");
        assert!(said.contains("32000 events/s of 256 at a time"), "{said}");
    }

    #[test]
    fn timing_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let timed = time(dir.path()).unwrap();
        assert!(!timed.single.is_empty() && !timed.group.is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
