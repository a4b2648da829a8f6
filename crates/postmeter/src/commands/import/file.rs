//! A file of events as lines, whatever it is packed in.
//!
//! What a file is packed in is known by its first bytes, not by its name. A file
//! that may have several parts one after another, as gzip and zstd allow, is read
//! through all of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest as _, Sha256};

use crate::import::MAX_EVENT_BYTES;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How much of a file's beginning tells it from others.
const TELLING_BYTES: u64 = 1024 * 1024;
/// How much is read from a file in one go.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file that is about to be read.
pub(super) struct Source {
    /// What tells it, for one workspace, from any other file.
    pub(super) id: String,
    /// What people call it.
    pub(super) name: String,
    /// How many bytes it has as it is stored; none where nobody knows.
    pub(super) bytes: Option<u64>,
    path: Option<PathBuf>,
}

/// The lines of a source.
pub(super) struct Lines {
    text: Box<dyn BufRead>,
    read: Arc<AtomicU64>,
    line: Vec<u8>,
}

/// A line, as far as it can be an event.
pub(super) enum Line<'l> {
    Event(&'l [u8]),
    Empty,
    TooLong,
}

impl Source {
    /// The file at `path`, or stdin where that is `-`.
    pub(super) fn of(path: &Path, workspace: &str) -> anyhow::Result<Source> {
        if path == Path::new("-") {
            let id = getrandom::u64().context("the system has no randomness for a name")?;
            return Ok(Source {
                id: format!("{id:016x}"),
                name: "stdin".to_owned(),
                bytes: None,
                path: None,
            });
        }
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        let found = file.metadata().with_context(cannot)?;
        anyhow::ensure!(found.is_file(), "{} is not a file", path.display());
        let mut beginning = Vec::new();
        let mut telling = file.take(TELLING_BYTES);
        telling.read_to_end(&mut beginning).with_context(cannot)?;
        let mut hasher = Sha256::new();
        hasher.update(workspace.as_bytes());
        hasher.update([0]);
        hasher.update(found.len().to_le_bytes());
        hasher.update(&beginning);
        let hash = hasher.finalize();
        let number = hash
            .iter()
            .take(16)
            .fold(0, |n, byte| n << 8 | u128::from(*byte));
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Source {
            id: format!("{number:032x}"),
            name: name.to_string_lossy().into_owned(),
            bytes: Some(found.len()),
            path: Some(path.to_owned()),
        })
    }

    /// Its lines, from the first.
    pub(super) fn lines(&self) -> anyhow::Result<Lines> {
        let cannot = || format!("cannot read {}", self.name);
        let raw: Box<dyn Read> = match &self.path {
            Some(path) => Box::new(File::open(path).with_context(cannot)?),
            None => Box::new(io::stdin()),
        };
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            raw,
            read: Arc::clone(&read),
        };
        let packed = BufReader::with_capacity(BUFFER_BYTES, counted);
        Ok(Lines {
            text: unpacked(packed).with_context(cannot)?,
            read,
            line: Vec::new(),
        })
    }
}

impl Lines {
    /// The next line, without the space around it; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let most = MAX_EVENT_BYTES as u64 + 2;
        let mut limited = self.text.by_ref().take(most);
        if limited.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.len() as u64 == most && self.line.last() != Some(&b'\n') {
            self.text.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        let line = self.line.trim_ascii();
        // What some programs put at the beginning of a text file.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        Ok(Some(match line {
            [] => Line::Empty,
            line if line.len() > MAX_EVENT_BYTES => Line::TooLong,
            line => Line::Event(line),
        }))
    }

    /// How many bytes of the file as it is stored were read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// Counts what is read, for whoever shows how far it is.
struct Counted<R> {
    raw: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.raw.read(buf)?;
        self.read.fetch_add(n_bytes as u64, Ordering::Relaxed);
        Ok(n_bytes)
    }
}

fn unpacked(mut packed: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
    let head = packed.fill_buf()?;
    Ok(if head.starts_with(&GZIP) {
        let unpacked = MultiGzDecoder::new(packed);
        Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
    } else if head.starts_with(&ZSTD) {
        let unpacked = Zstd::Between(Some(packed));
        Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
    } else {
        Box::new(packed)
    })
}

type Frame<R> = Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>;

/// The frames of a zstd file, one after another.
enum Zstd<R: BufRead> {
    Between(Option<R>),
    Within(Frame<R>),
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self {
                Zstd::Within(frame) => {
                    let n_bytes = frame.read(buf)?;
                    if n_bytes > 0 {
                        return Ok(n_bytes);
                    }
                    if let Zstd::Within(ended) = std::mem::replace(self, Zstd::Between(None)) {
                        *self = Zstd::Between(Some(ended.into_inner()));
                    }
                }
                Zstd::Between(rest) => {
                    let Some(mut rest) = rest.take() else {
                        return Ok(0);
                    };
                    if rest.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new(rest).map_err(io::Error::other)?;
                    *self = Zstd::Within(Box::new(frame));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::NamedTempFile;

    use super::*;

    /// Two lines, as the zstd program packs them.
    const ZSTD_FRAME: &[u8] =
        b"\x28\xb5\x2f\xfd\x04\x58\x81\x00\x00{\"a\":1}\n{\"b\":2}\n\x13\x47\x4c\x48";

    fn events(bytes: &[u8]) -> Vec<String> {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = Source::of(file.path(), "acme").unwrap();
        let mut lines = source.lines().unwrap();
        let mut events = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            events.push(match line {
                Line::Event(event) => String::from_utf8(event.to_vec()).unwrap(),
                Line::Empty => String::new(),
                Line::TooLong => "too long".to_owned(),
            });
        }
        assert_eq!(lines.read_bytes(), bytes.len() as u64);
        events
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_are_the_same_whatever_the_file_is_packed_in() {
        let plain = "{\"a\":1}\r\n\n  {\"b\":2}";
        assert_eq!(events(plain.as_bytes()), ["{\"a\":1}", "", "{\"b\":2}"]);
        let parts = [gzip("{\"a\":1}\n{\"b"), gzip("\":2}\n")].concat();
        assert_eq!(events(&parts), ["{\"a\":1}", "{\"b\":2}"]);
        let frames = [ZSTD_FRAME, ZSTD_FRAME].concat();
        let twice = ["{\"a\":1}", "{\"b\":2}", "{\"a\":1}", "{\"b\":2}"];
        assert_eq!(events(&frames), twice);
        assert_eq!(events(b"\xef\xbb\xbf{}\n"), ["{}"]);
        assert_eq!(events(b""), Vec::<String>::new());
    }

    #[test]
    fn a_line_that_no_event_can_be_is_stepped_over() {
        let mut bytes = vec![b'x'; MAX_EVENT_BYTES + 5];
        bytes.extend(b"\n{}\n");
        assert_eq!(events(&bytes), ["too long", "{}"]);
    }

    #[test]
    fn a_file_is_the_same_source_until_it_changes() {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(b"{}\n").unwrap();
        let id = |workspace| Source::of(file.path(), workspace).unwrap().id;
        let before = id("acme");
        assert_eq!(before, id("acme"));
        assert_ne!(before, id("other"));
        file.as_file().write_all(b"{}\n").unwrap();
        assert_ne!(before, Source::of(file.path(), "acme").unwrap().id);
    }
}
