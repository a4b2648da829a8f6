//! Which kinds of events a connection sends.

use thiserror::Error;

use super::catalogue::{self, Known, N_CHANNELS, Place};
use crate::event::{CUSTOMER, Family, Kind};

/// What happens to kinds that the catalogue lacks: Customer.io adds some now and then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewKinds {
    /// They are sent if a pattern covers their name.
    #[default]
    ByPattern,
    /// They are sent.
    On,
    /// They are not sent.
    Off,
}

/// The kinds of events that are sent.
///
/// Built from patterns such as `email_*`, `sms_sent` or `*`. Events about a
/// person's consent are covered by `customer_<metric>` and by the channel's name
/// alike, as they arrive under either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What happens to kinds that the catalogue lacks.
    pub new_kinds: NewKinds,
    patterns: Vec<String>,
    /// One bit per row of the catalogue's channels: what the patterns cover of it.
    rows: [u32; N_CHANNELS],
}

/// A pattern that cannot be meant as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadPattern {
    /// It is empty.
    #[error("a pattern is empty")]
    Empty,
    /// Names have lowercase letters, digits and underscores; patterns have `*` besides.
    #[error("{pattern:?} has {found:?}, which no kind of event has")]
    Character {
        /// As it was written.
        pattern: String,
        /// The first offender.
        found: char,
    },
    /// It covers no kind of the catalogue, and so would select nothing.
    #[error("{pattern:?} covers no kind of event that is known")]
    CoversNothing {
        /// As it was written.
        pattern: String,
    },
}

impl BadPattern {
    /// The pattern as it was written.
    pub fn written(&self) -> &str {
        match self {
            Self::Empty => "",
            Self::Character { pattern, .. } | Self::CoversNothing { pattern } => pattern,
        }
    }
}

impl Selection {
    /// Every kind, new ones included.
    pub fn all() -> Selection {
        Self {
            new_kinds: NewKinds::ByPattern,
            patterns: vec!["*".to_owned()],
            rows: [u32::MAX; N_CHANNELS],
        }
    }

    /// The kinds that `patterns` cover; none if there are none.
    ///
    /// `*` stands for any text, and may stand anywhere. Returns all bad patterns at once.
    pub fn parse(patterns: &[impl AsRef<str>]) -> Result<Selection, Vec<BadPattern>> {
        let mut selection = Self {
            new_kinds: NewKinds::ByPattern,
            patterns: Vec::new(),
            rows: [0; N_CHANNELS],
        };
        let bad: Vec<BadPattern> = patterns
            .iter()
            .filter_map(|pattern| selection.add(pattern.as_ref()).err())
            .collect();
        if bad.is_empty() {
            Ok(selection)
        } else {
            Err(bad)
        }
    }

    /// The same selection with another policy for kinds that the catalogue lacks.
    #[must_use]
    pub fn with_new_kinds(self, new_kinds: NewKinds) -> Selection {
        Self { new_kinds, ..self }
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }

    /// Whether the patterns cover this documented kind.
    pub fn includes(&self, known: &Known) -> bool {
        let kind = Kind {
            object_type: Some(known.object_type),
            metric: known.metric,
        };
        self.selects_row(kind) == Some(true)
    }

    fn add(&mut self, pattern: &str) -> Result<(), BadPattern> {
        check_characters(pattern)?;
        let mut covers_any = false;
        for known in catalogue::catalogue().filter(|known| covers_known(pattern, known)) {
            let kind = Kind {
                object_type: Some(known.object_type),
                metric: known.metric,
            };
            if let Some((place, _)) = catalogue::locate(kind) {
                self.select(place);
                covers_any = true;
            }
        }
        let pattern = pattern.to_owned();
        if !covers_any {
            return Err(BadPattern::CoversNothing { pattern });
        }
        self.patterns.push(pattern);
        Ok(())
    }

    fn select(&mut self, place: Place) {
        if let Some(rows) = self.rows.get_mut(place.channel) {
            *rows |= 1 << place.row;
        }
    }

    /// Whether an event of `kind` is sent.
    pub(crate) fn selects(&self, kind: Kind<'_>, family: Family) -> bool {
        let customer = Kind {
            object_type: Some(CUSTOMER),
            ..kind
        };
        if family == Family::Person && self.selects_row(customer) == Some(true) {
            return true;
        }
        self.selects_row(kind)
            .unwrap_or_else(|| self.selects_new(kind, family))
    }

    /// Whether the catalogue's row of `kind` is selected, if it has one.
    fn selects_row(&self, kind: Kind<'_>) -> Option<bool> {
        let (place, _) = catalogue::locate(kind)?;
        Some(self.rows.get(place.channel)? & (1 << place.row) != 0)
    }

    fn selects_new(&self, kind: Kind<'_>, family: Family) -> bool {
        match self.new_kinds {
            NewKinds::On => true,
            NewKinds::Off => false,
            NewKinds::ByPattern => kind
                .spellings(family)
                .any(|name| self.patterns.iter().any(|pattern| covers(pattern, &name))),
        }
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::all()
    }
}

fn check_characters(pattern: &str) -> Result<(), BadPattern> {
    if pattern.is_empty() {
        return Err(BadPattern::Empty);
    }
    let is_usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '*';
    match pattern.chars().find(|c| !is_usual(*c)) {
        Some(found) => Err(BadPattern::Character {
            pattern: pattern.to_owned(),
            found,
        }),
        None => Ok(()),
    }
}

fn covers_known(pattern: &str, known: &Known) -> bool {
    let kind = Kind {
        object_type: Some(known.object_type),
        metric: known.metric,
    };
    kind.spellings(Family::Message)
        .any(|name| covers(pattern, &name))
}

/// Whether `name` is `pattern` with some text for each `*`.
fn covers(pattern: &str, name: &str) -> bool {
    let Some((before, mut pattern)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(before) else {
        return false;
    };
    // What stands between two stars may go to the first place that has it.
    while let Some((between, after)) = pattern.split_once('*') {
        let Some((_, rest)) = name.split_once(between) else {
            return false;
        };
        (pattern, name) = (after, rest);
    }
    name.ends_with(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, is_covered) in [
            ("*", "email_sent", true),
            ("email_*", "email_sent", true),
            ("email_*", "email", false),
            ("*_sent", "email_sent", true),
            ("*_sent", "email_sent_late", false),
            ("e*l_*t", "email_sent", true),
            ("e*x*t", "email_sent", false),
            ("sent*sent", "sent", false),
            ("**", "", true),
            ("email_sent", "email_sent", true),
            ("email_sen", "email_sent", false),
        ] {
            assert_eq!(covers(pattern, name), is_covered, "{pattern} {name}");
        }
    }

    #[test]
    fn a_selection_includes_what_its_patterns_cover() {
        let some = Selection::parse(&["email_*", "sms_sent"]).unwrap();
        for known in catalogue::catalogue() {
            let is_covered = known.object_type == "email" || known.kind() == "sms_sent";
            assert_eq!(some.includes(&known), is_covered, "{}", known.kind());
            assert!(Selection::all().includes(&known), "{}", known.kind());
        }
    }

    #[test]
    fn each_row_of_the_catalogue_has_its_bit() {
        let widest = catalogue::catalogue()
            .filter_map(|known| {
                catalogue::locate(Kind {
                    object_type: Some(known.object_type),
                    metric: known.metric,
                })
            })
            .map(|(place, _)| place.row)
            .max();
        assert!(
            widest.is_some_and(|row| row < 32),
            "a bit for row {widest:?}"
        );
    }
}
