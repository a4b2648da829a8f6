//! What streams and subjects are called.
//!
//! ```text
//! stream        subjects                          holds
//! PFX-log-P     PFX.log.P  PFX.log.P.part         packs of records
//! PFX-state-P   PFX.state.P.index                 index pages
//!               PFX.state.P.first.CONNECTION      first-only claims
//!               PFX.state.P.part
//! PFX-kept      PFX.kept.layout                   what the journal was made as
//!               PFX.kept.set.KEY                  settings
//!               PFX.kept.cursor.P.CONNECTION      cursors
//!               PFX.kept.duty.DUTY                who does what
//!               PFX.kept.first.P                  where a trimmed log begins
//!               PFX.kept.buried.P                 burials made through
//! PFX-letters   PFX.letters.buried  .removed  .part    dead letters
//! -             PFX.nodes.alive  .asked           what nodes say to each other
//! ```
//!
//! A name that came from outside is a single token: bytes other than letters,
//! digits and `-` are written `=XX`.

use std::fmt::Write as _;

use crate::peers::Duty;
use crate::place::Partition;

/// The names of one journal.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Names {
        Names {
            prefix: prefix.to_owned(),
        }
    }

    /// Every stream of a journal with so many partitions.
    pub(crate) fn streams(&self, partitions: u16) -> Vec<String> {
        let each = (0..partitions).map(Partition::new);
        let of_partitions = each.flat_map(|each| [self.log_stream(each), self.state_stream(each)]);
        let shared = [self.kept_stream(), self.letters_stream()];
        shared.into_iter().chain(of_partitions).collect()
    }

    pub(crate) fn log_stream(&self, partition: Partition) -> String {
        format!("{}-log-{partition}", self.prefix)
    }

    pub(crate) fn log(&self, partition: Partition) -> String {
        format!("{}.log.{partition}", self.prefix)
    }

    pub(crate) fn state_stream(&self, partition: Partition) -> String {
        format!("{}-state-{partition}", self.prefix)
    }

    pub(crate) fn state(&self, partition: Partition) -> String {
        format!("{}.state.{partition}", self.prefix)
    }

    pub(crate) fn index(&self, partition: Partition) -> String {
        format!("{}.index", self.state(partition))
    }

    pub(crate) fn first(&self, partition: Partition, connection: &str) -> String {
        format!("{}.first.{}", self.state(partition), token(connection))
    }

    /// The subject that fences a duty: whoever writes to it last holds it.
    pub(crate) fn fence(&self, duty: &Duty) -> String {
        match duty {
            Duty::Index(partition) => self.index(*partition),
            Duty::Feed {
                connection,
                partition,
            } => self.first(*partition, connection),
        }
    }

    pub(crate) fn kept_stream(&self) -> String {
        format!("{}-kept", self.prefix)
    }

    pub(crate) fn kept(&self, key: &KeptKey) -> String {
        let kept = format!("{}.kept", self.prefix);
        match key {
            KeptKey::Layout => format!("{kept}.layout"),
            KeptKey::Setting(key) => format!("{kept}.set.{}", token(key)),
            KeptKey::Cursor(partition, connection) => {
                format!("{kept}.cursor.{partition}.{}", token(connection))
            }
            KeptKey::Duty(Duty::Index(partition)) => format!("{kept}.duty.index.{partition}"),
            KeptKey::Duty(Duty::Feed {
                connection,
                partition,
            }) => format!("{kept}.duty.feed.{partition}.{}", token(connection)),
            KeptKey::First(partition) => format!("{kept}.first.{partition}"),
            KeptKey::Buried(partition) => format!("{kept}.buried.{partition}"),
        }
    }

    /// What a subject of the kept stream is about; none when we do not know.
    pub(crate) fn kept_key(&self, subject: &str) -> Option<KeptKey> {
        let rest = subject.strip_prefix(&self.prefix)?;
        let rest = rest.strip_prefix(".kept.")?;
        let mut tokens = rest.split('.');
        let key = match tokens.next()? {
            "layout" => KeptKey::Layout,
            "set" => KeptKey::Setting(untoken(tokens.next()?)?),
            "cursor" => {
                let partition = partition(tokens.next()?)?;
                KeptKey::Cursor(partition, untoken(tokens.next()?)?)
            }
            "duty" => KeptKey::Duty(match tokens.next()? {
                "index" => Duty::Index(partition(tokens.next()?)?),
                "feed" => {
                    let partition = partition(tokens.next()?)?;
                    let connection = untoken(tokens.next()?)?;
                    Duty::Feed {
                        connection,
                        partition,
                    }
                }
                _ => return None,
            }),
            "first" => KeptKey::First(partition(tokens.next()?)?),
            "buried" => KeptKey::Buried(partition(tokens.next()?)?),
            _ => return None,
        };
        tokens.next().is_none().then_some(key)
    }

    /// The connection of a subject of first-only claims; none when it is another.
    pub(crate) fn claimant(&self, partition: Partition, subject: &str) -> Option<String> {
        let rest = subject.strip_prefix(&self.state(partition))?;
        untoken(rest.strip_prefix(".first.")?)
    }

    pub(crate) fn letters_stream(&self) -> String {
        format!("{}-letters", self.prefix)
    }

    pub(crate) fn letters(&self, what: &str) -> String {
        format!("{}.letters.{what}", self.prefix)
    }

    pub(crate) fn nodes(&self, what: &str) -> String {
        format!("{}.nodes.{what}", self.prefix)
    }
}

/// What a subject of the kept stream is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum KeptKey {
    /// What the journal was made as.
    Layout,
    /// A setting.
    Setting(String),
    /// A connection's cursor.
    Cursor(Partition, String),
    /// Who holds a duty.
    Duty(Duty),
    /// Where the trimmed log of a partition begins.
    First(Partition),
    /// Through where burials of a partition were made.
    Buried(Partition),
}

fn partition(text: &str) -> Option<Partition> {
    text.parse().ok().map(Partition::new)
}

/// Any name as one token of a subject; the empty one is `=`.
fn token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            token.push(char::from(byte));
        } else {
            write!(token, "={byte:02X}").expect("text takes all");
        }
    }
    if token.is_empty() {
        token.push('=');
    }
    token
}

fn untoken(token: &str) -> Option<String> {
    if token == "=" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'=' {
            let (digits, behind) = behind.split_first_chunk::<2>()?;
            rest = behind;
            let digits = str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_name_is_one_token_and_reads_back(name in ".{0,40}") {
            let written = token(&name);
            prop_assert!(!written.is_empty());
            prop_assert!(!written.contains(['.', '*', '>', ' ']));
            prop_assert_eq!(untoken(&written), Some(name));
        }

        #[test]
        fn every_subject_names_its_key(name in ".{0,20}", number in 0..64_u16) {
            let names = Names::new("pm");
            let partition = Partition::new(number);
            let feed = Duty::Feed { connection: name.clone(), partition };
            for key in [
                KeptKey::Layout,
                KeptKey::Setting(name.clone()),
                KeptKey::Cursor(partition, name.clone()),
                KeptKey::Duty(Duty::Index(partition)),
                KeptKey::Duty(feed),
                KeptKey::First(partition),
                KeptKey::Buried(partition),
            ] {
                prop_assert_eq!(names.kept_key(&names.kept(&key)), Some(key));
            }
            let subject = names.first(partition, &name);
            prop_assert_eq!(names.claimant(partition, &subject), Some(name));
        }
    }

    #[test]
    fn subjects_of_others_name_nothing() {
        let names = Names::new("pm");
        for subject in [
            "pn.kept.layout",
            "pm.kept",
            "pm.kept.cursor.x.y",
            "pm.kept.set.a.b",
        ] {
            assert_eq!(names.kept_key(subject), None, "{subject}");
        }
    }
}
