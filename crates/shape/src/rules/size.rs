//! Segment's limit on one call, and what is given up to stay below it.

use std::ops::Range;

use crate::json::Text;

/// Longest call that is made, in bytes of JSON: Segment refuses above 32 KB, and
/// its own libraries do not agree whether that is 32,000 or 32,768.
pub const MAX_CALL_BYTES: usize = 32_000;

/// Whether a call has all of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing was cut.
    Whole,
    /// `content` ends early, and `content_truncated` says so.
    Truncated,
}

/// A call that is too large even without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// What it has without the content.
    pub(crate) bytes: usize,
}

/// What may be cut out of a call that is too large.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spare {
    /// Where the inside of the string `content` is, if it may be cut.
    pub(crate) content: Option<Range<usize>>,
    /// What tells the reader that it was cut: the last member of the properties, or nothing.
    pub(crate) mark: &'static str,
}

/// Cuts `content` so that `json`, which ends with its properties, fits.
pub(crate) fn fit(json: String, spare: Spare) -> Result<(String, Content), TooLarge> {
    const ENDS: &str = "}}";
    if json.len() <= MAX_CALL_BYTES {
        return Ok((json, Content::Whole));
    }
    let too_large = TooLarge { bytes: json.len() };
    let Some((before, content, after)) = spare.content.and_then(|range| parts(&json, range)) else {
        return Err(too_large);
    };
    let others = json.len() - content.len() + spare.mark.len();
    let Some(room) = MAX_CALL_BYTES.checked_sub(others) else {
        return Err(TooLarge { bytes: others });
    };
    let after = after.strip_suffix(ENDS).ok_or(too_large)?;
    let kept = Text::escaped(content).cut(room).as_escaped();
    Ok((
        [before, kept, after, spare.mark, ENDS].concat(),
        Content::Truncated,
    ))
}

fn parts(json: &str, range: Range<usize>) -> Option<(&str, &str, &str)> {
    Some((
        json.get(..range.start)?,
        json.get(range.clone())?,
        json.get(range.end..)?,
    ))
}
