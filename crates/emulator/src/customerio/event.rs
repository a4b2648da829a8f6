//! Events to send, and files of them.
//!
//! An event is bytes: what a file holds is sent as it stands, so that a body's
//! spaces and escapes are under test, too.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::value::RawValue;

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// One webhook body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    body: Bytes,
}

impl Event {
    /// An event of any bytes, sound or not.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into() }
    }

    /// The bytes that are sent and signed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Why a file of events was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read the events in {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// More than [`MAX_FILE_BYTES`].
    #[error("{path} is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON.
    #[error("line {line} is not JSON")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// JSON, but no object.
    #[error("line {line} is no event: an event is a JSON object")]
    NotAnObject {
        /// The line, from 1.
        line: usize,
    },
}

/// Reads a file: one event a line, a JSON array of events, or one event over many lines.
///
/// # Errors
///
/// Names the line at fault; then nothing of the file is returned.
pub fn read_events(path: &Path) -> Result<Vec<Event>, ReadError> {
    let unreadable = |cause| ReadError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if read > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge {
            path: path.to_owned(),
        });
    }
    parse_events(&Bytes::from(bytes))
}

/// Reads events from memory, in the forms of [`read_events`].
///
/// # Errors
///
/// Names the line at fault.
pub fn parse_events(bytes: &Bytes) -> Result<Vec<Event>, ReadError> {
    let trimmed = bytes.trim_ascii();
    if trimmed.starts_with(b"[") {
        return array(bytes);
    }
    if serde_json::from_slice::<&RawValue>(trimmed).is_ok() {
        return Ok(vec![event(bytes, trimmed, 1)?]);
    }
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| event(bytes, line, index + 1))
        .collect()
}

fn array(bytes: &Bytes) -> Result<Vec<Event>, ReadError> {
    let not_json = |cause: serde_json::Error| ReadError::NotJson {
        line: cause.line(),
        cause,
    };
    let events: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(not_json)?;
    // The place of an element is that of its text in the file.
    let line_of = |text: &str| {
        let start = text.as_ptr().addr() - bytes.as_ptr().addr();
        let before = bytes.get(..start).unwrap_or_default();
        before.split(|byte| *byte == b'\n').count()
    };
    let checked = |text: &str| {
        if text.starts_with('{') {
            Ok(Event::new(bytes.slice_ref(text.as_bytes())))
        } else {
            Err(ReadError::NotAnObject {
                line: line_of(text),
            })
        }
    };
    events
        .into_iter()
        .map(|event| checked(event.get()))
        .collect()
}

fn event(bytes: &Bytes, text: &[u8], line: usize) -> Result<Event, ReadError> {
    let checked: Result<&RawValue, _> = serde_json::from_slice(text);
    checked.map_err(|cause| ReadError::NotJson { line, cause })?;
    if !text.starts_with(b"{") {
        return Err(ReadError::NotAnObject { line });
    }
    Ok(Event::new(bytes.slice_ref(text)))
}
