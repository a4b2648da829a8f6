//! What is wrong with a document, all of it at once.

use std::fmt;

/// One mistake in a document, where it stands and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1; `None` where no single line is to blame.
    pub line: Option<usize>,
    /// The key at fault, such as `connection acme-segment: region`.
    pub at: String,
    /// What is wrong with it, without a full stop.
    pub what: String,
    /// One thing to try.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        f.write_str(&self.what)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

/// Every mistake of one document, in the order of its lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// `Ok` where there are none.
    pub fn none_of(mut mistakes: Vec<Mistake>) -> Result<(), Mistakes> {
        if mistakes.is_empty() {
            return Ok(());
        }
        mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
        Err(Mistakes(mistakes))
    }

    /// A single one, of no line.
    pub(crate) fn single(at: String, what: String) -> Mistakes {
        Mistakes(vec![Mistake {
            line: None,
            at,
            what,
            hint: None,
        }])
    }

    /// The same without lines, for a document that nobody has before their eyes.
    pub(crate) fn without_lines(mut self) -> Mistakes {
        for mistake in &mut self.0 {
            mistake.line = None;
        }
        self
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

/// The known word nearest to `written`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// Below this likeness a suggestion confuses more than it helps.
    const MIN_LIKENESS: f64 = 0.75;
    let likeness = |word: &str| strsim::jaro_winkler(written, word);
    known
        .into_iter()
        .map(|word| (likeness(word), word))
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
