//! A copy of the few rows without which nobody could go on, for the day on which
//! the database that keeps them does not open: cursors, the settings that the
//! caller names, and the numbers that are never used twice.
//!
//! ```text
//! "postmeter spare 1\n" | rows | crc32c of the rows, u32
//! row = key length u32 | value length u32 | key | value
//! ```
//!
//! Numbers are big-endian. It is older than the database by up to the time that
//! passes between two copies, so a cursor out of it repeats, and never leaves out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bytes::{Buf as _, BufMut as _};

use super::fault::Fault;
use super::kept::Kept;
use super::rows::{self, kept};
use crate::embedded::log::sync_folder;
use crate::lock::lock;

const HEAD: &[u8] = b"postmeter spare 1\n";
/// The most bytes of a copy; settings beyond it are left out.
const MAX_BYTES: usize = 8 * 1024 * 1024;

impl Kept {
    /// The rows worth a copy, as bytes. `precious` are heads of settings' keys.
    pub(crate) fn spare(&self, precious: &[String]) -> Result<Vec<u8>, Fault> {
        let mut prefixes = vec![
            vec![kept::LAST_REVISION],
            vec![kept::LAST_LETTER],
            vec![kept::BURIED_THROUGH],
            vec![kept::CURSOR],
        ];
        let settings = precious.iter().map(|head| rows::named(kept::SETTING, head));
        prefixes.extend(settings);
        let mut bytes = Vec::new();
        for prefix in prefixes {
            for row in self.rows.prefix(prefix) {
                let (key, value) = row.into_inner()?;
                if bytes.len() + key.len() + value.len() < MAX_BYTES {
                    bytes.put_u32(u32::try_from(key.len()).unwrap_or(0));
                    bytes.put_u32(u32::try_from(value.len()).unwrap_or(0));
                    bytes.put_slice(&key);
                    bytes.put_slice(&value);
                }
            }
        }
        Ok(bytes)
    }

    /// Takes rows from such a copy into a database that has none.
    pub(crate) fn restore(&self, spare: &[u8]) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        for (key, value) in parse(spare).ok_or(Fault::Row("row of the copy"))? {
            batch.insert(&self.rows, key, value);
        }
        self.commit(batch)?;
        let revision = self.number(&[kept::LAST_REVISION])?;
        self.settings.send_replace(revision);
        Ok(())
    }
}

/// Puts a copy in the place of the one at `path`, durably; readable by its owner
/// only, since settings hold secrets.
pub(crate) fn write(path: &Path, spare: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    let written = write_all(&mut file, spare).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| drop(fs::remove_file(&new)))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn write_all(file: &mut File, spare: &[u8]) -> io::Result<()> {
    file.write_all(HEAD)?;
    file.write_all(spare)?;
    file.write_all(&crc32c::crc32c(spare).to_be_bytes())?;
    file.sync_all()
}

/// The copy at `path`; none where there is none that is whole.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let rest = bytes.strip_prefix(HEAD)?;
    let (spare, sum) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
    (crc32c::crc32c(spare).to_be_bytes() == sum && parse(spare).is_some()).then(|| spare.to_vec())
}

fn parse(mut spare: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = Vec::new();
    while !spare.is_empty() {
        let key_bytes = spare.try_get_u32().ok()? as usize;
        let value_bytes = spare.try_get_u32().ok()? as usize;
        let (key, rest) = spare.split_at_checked(key_bytes)?;
        let (value, rest) = rest.split_at_checked(value_bytes)?;
        rows.push((key.to_vec(), value.to_vec()));
        spare = rest;
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_is_not_whole_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spare");
        let row = [0, 0, 0, 1, 0, 0, 0, 2, b'k', b'v', b'w'];
        write(&path, &row).unwrap();
        assert_eq!(read(&path).unwrap(), row);
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(read(&path), None, "cut at {end}");
        }
        let mut flipped = whole.clone();
        flipped[HEAD.len() + 8] ^= 1;
        fs::write(&path, flipped).unwrap();
        assert_eq!(read(&path), None);
    }
}
