//! Names by what they are the names of, and how they are kept.
//!
//! Refuses to know where they come from.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::str::FromStr;

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{GzDecoder, GzEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shape::{Names, References};

/// The most names of one workspace; those that were read longest ago go first.
pub(crate) const MAX_NAMES: usize = 50_000;
/// The most bytes of one workspace's names as they are kept: a NATS server takes
/// no message above 1 MiB unless it is told to.
const MAX_KEPT_BYTES: usize = 512 * 1024;
/// The most bytes of what is kept once it is unpacked.
const MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024;
/// The most bytes of one name; Customer.io's own limit is 190 characters.
const MAX_NAME_BYTES: usize = 1_024;

/// An id as Customer.io writes it, fit to be a part of an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Id(Box<str>);

impl Id {
    /// The longest id, in bytes.
    const MAX_BYTES: usize = 32;

    /// Takes an id from an event; none where it could not be one of Customer.io's.
    pub(crate) fn new(text: &str) -> Option<Id> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_id = (1..=Id::MAX_BYTES).contains(&text.len()) && text.bytes().all(fits);
        is_id.then(|| Id(text.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What actions belong to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Parent {
    Campaign(Id),
    Broadcast(Id),
}

/// What has a name. `Display` and `FromStr` are how it is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    Campaign(Id),
    Broadcast(Id),
    Newsletter(Id),
    Transactional(Id),
    Action(Parent, Id),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Campaign(id) => write!(f, "campaign/{id}"),
            Key::Broadcast(id) => write!(f, "broadcast/{id}"),
            Key::Newsletter(id) => write!(f, "newsletter/{id}"),
            Key::Transactional(id) => write!(f, "transactional/{id}"),
            Key::Action(Parent::Campaign(parent), id) => write!(f, "campaign/{parent}/{id}"),
            Key::Action(Parent::Broadcast(parent), id) => write!(f, "broadcast/{parent}/{id}"),
        }
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Key, ()> {
        let (kind, rest) = text.split_once('/').ok_or(())?;
        let id = |text| Id::new(text).ok_or(());
        let parent = |id| match kind {
            "campaign" => Ok(Parent::Campaign(id)),
            "broadcast" => Ok(Parent::Broadcast(id)),
            _ => Err(()),
        };
        match (kind, rest.split_once('/')) {
            (_, Some((of, action))) => Ok(Key::Action(parent(id(of)?)?, id(action)?)),
            ("campaign", None) => id(rest).map(Key::Campaign),
            ("broadcast", None) => id(rest).map(Key::Broadcast),
            ("newsletter", None) => id(rest).map(Key::Newsletter),
            ("transactional", None) => id(rest).map(Key::Transactional),
            _ => Err(()),
        }
    }
}

/// What an event refers to, as keys.
#[derive(Default)]
pub(crate) struct Wanted {
    action: Option<Key>,
    campaign: Option<Key>,
    newsletter: Option<Key>,
    transactional: Option<Key>,
}

impl Wanted {
    pub(crate) fn of(references: &References<'_>) -> Wanted {
        let id = |text: &Option<std::borrow::Cow<'_, str>>| Id::new(text.as_deref()?);
        let campaign = id(&references.campaign);
        let broadcast = id(&references.broadcast).map(Parent::Broadcast);
        let parent = campaign.clone().map(Parent::Campaign).or(broadcast);
        let action = parent.zip(id(&references.action));
        Wanted {
            action: action.map(|(parent, id)| Key::Action(parent, id)),
            campaign: campaign.map(Key::Campaign),
            newsletter: id(&references.newsletter).map(Key::Newsletter),
            transactional: id(&references.transactional_message).map(Key::Transactional),
        }
    }

    /// Each key.
    pub(crate) fn keys(self) -> impl Iterator<Item = Key> {
        let each = [
            self.action,
            self.campaign,
            self.newsletter,
            self.transactional,
        ];
        each.into_iter().flatten()
    }
}

/// The names of one workspace.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Known {
    names: BTreeMap<Key, Named>,
    /// When all lists were last read through.
    pub(crate) refreshed_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Named {
    name: Box<str>,
    /// When the name was last read, in seconds.
    read_at: i64,
}

impl Known {
    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.get(key).is_some()
    }

    /// The names of what an event refers to.
    pub(crate) fn names_of(&self, wanted: &Wanted) -> Names<'_> {
        let name = |key: &Option<Key>| self.get(key.as_ref()?);
        Names {
            action: name(&wanted.action),
            campaign: name(&wanted.campaign),
            newsletter: name(&wanted.newsletter),
            transactional_message: name(&wanted.transactional),
        }
    }

    fn get(&self, key: &Key) -> Option<&str> {
        let found = self.names.get(key).or_else(|| match key {
            // A broadcast's triggers are under `/v1/campaigns/`, so it is taken that
            // the two share their ids. Whether an event ever calls a broadcast a
            // campaign could not be established.
            Key::Campaign(id) => self.names.get(&Key::Broadcast(id.clone())),
            _ => None,
        });
        found.map(|named| &*named.name)
    }

    /// Takes names that were read at that time.
    pub(crate) fn note(&mut self, names: Vec<(Key, String)>, read_at: Timestamp) {
        for (key, name) in names {
            let name = name.get(..name.floor_char_boundary(MAX_NAME_BYTES));
            let named = Named {
                name: name.unwrap_or_default().into(),
                read_at: read_at.as_second(),
            };
            self.names.insert(key, named);
        }
        self.forget_oldest(MAX_NAMES);
    }

    /// Takes from `other` what is newer there.
    pub(crate) fn merge(&mut self, other: &Known) {
        for (key, theirs) in &other.names {
            let ours = self.names.get(key);
            if ours.is_none_or(|ours| ours.read_at < theirs.read_at) {
                self.names.insert(key.clone(), theirs.clone());
            }
        }
        self.refreshed_at = self.refreshed_at.max(other.refreshed_at);
        self.forget_oldest(MAX_NAMES);
    }

    /// The campaigns and broadcasts of which actions are known.
    pub(crate) fn parents(&self) -> Vec<Parent> {
        let mut parents: Vec<Parent> = Vec::new();
        for key in self.names.keys() {
            if let Key::Action(parent, _) = key
                && parents.last() != Some(parent)
            {
                parents.push(parent.clone());
            }
        }
        parents
    }

    fn forget_oldest(&mut self, most: usize) {
        let n_spare = self.names.len().saturating_sub(most);
        if n_spare == 0 {
            return;
        }
        let mut by_age: Vec<(i64, Key)> = self.names.iter().map(aged).collect();
        by_age.sort_unstable();
        for (_, key) in by_age.into_iter().take(n_spare) {
            self.names.remove(&key);
        }
    }

    /// The value of a setting. What does not fit is left out, oldest first.
    pub(crate) fn encode(&self) -> Bytes {
        let mut fitting = self.clone();
        loop {
            let packed = fitting.pack();
            if packed.len() <= MAX_KEPT_BYTES || fitting.names.is_empty() {
                return packed.into();
            }
            let n_fitting = fitting.names.len() * MAX_KEPT_BYTES / packed.len();
            fitting.forget_oldest(n_fitting.min(fitting.names.len() - 1));
        }
    }

    fn pack(&self) -> Vec<u8> {
        let names = self.names.iter();
        let names = names.map(|(key, named)| (key.to_string(), (&*named.name, named.read_at)));
        let written = Written {
            refreshed_at: self.refreshed_at.map(Timestamp::as_second),
            names: names.collect(),
        };
        let json = serde_json::to_vec(&written).expect("text and numbers are JSON");
        let mut packed = Vec::new();
        GzEncoder::new(json.as_slice(), Compression::fast())
            .read_to_end(&mut packed)
            .expect("memory can be read");
        packed
    }

    /// Reads the value of a setting; nothing where it is damaged or from another
    /// version: names can be read anew.
    pub(crate) fn decode(value: &[u8]) -> Option<Known> {
        let mut json = Vec::new();
        let unpacked = GzDecoder::new(value).take(MAX_UNPACKED_BYTES);
        { unpacked }.read_to_end(&mut json).ok()?;
        let read: Read = serde_json::from_slice(&json).ok()?;
        let names = read.names.into_iter().filter_map(|(key, (name, read_at))| {
            let named = Named { name, read_at };
            Some((key.parse().ok()?, named))
        });
        let seconds = read.refreshed_at;
        Some(Known {
            names: names.collect(),
            refreshed_at: seconds.and_then(|at| Timestamp::from_second(at).ok()),
        })
    }
}

fn aged((key, named): (&Key, &Named)) -> (i64, Key) {
    (named.read_at, key.clone())
}

#[derive(Serialize)]
struct Written<'k> {
    refreshed_at: Option<i64>,
    names: BTreeMap<String, (&'k str, i64)>,
}

#[derive(Deserialize)]
struct Read {
    refreshed_at: Option<i64>,
    names: BTreeMap<String, (Box<str>, i64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    fn names_of(known: &Known, data: &str) -> [Option<String>; 4] {
        let body = format!(r#"{{"metric":"sent","object_type":"email","data":{data}}}"#);
        let event = shape::Event::parse(body.as_bytes()).unwrap();
        let wanted = Wanted::of(&event.references());
        let names = known.names_of(&wanted);
        let each = [
            names.action,
            names.campaign,
            names.newsletter,
            names.transactional_message,
        ];
        each.map(|name| name.map(str::to_owned))
    }

    #[test]
    fn an_action_is_known_by_what_it_belongs_to() {
        let mut known = Known::default();
        for (text, name) in [
            ("campaign/5", "Welcome"),
            ("campaign/5/36", "First mail"),
            ("broadcast/5/36", "Another mail"),
            ("broadcast/9", "Flash sale"),
            ("newsletter/7", "Weekly"),
            ("transactional/2", "Password reset"),
        ] {
            assert_eq!(key(text).to_string(), text);
            known.note(vec![(key(text), name.to_owned())], at(1));
        }
        let some = |name: &str| Some(name.to_owned());
        let found = names_of(&known, r#"{"campaign_id":5,"action_id":"36"}"#);
        assert_eq!(found, [some("First mail"), some("Welcome"), None, None]);
        let found = names_of(&known, r#"{"broadcast_id":5,"action_id":36}"#);
        assert_eq!(found, [some("Another mail"), None, None, None]);
        let found = names_of(
            &known,
            r#"{"newsletter_id":7,"transactional_message_id":2}"#,
        );
        assert_eq!(found, [None, None, some("Weekly"), some("Password reset")]);
        let found = names_of(&known, r#"{"campaign_id":9,"action_id":36}"#);
        assert_eq!(found, [None, some("Flash sale"), None, None]);
    }

    #[test]
    fn what_could_lead_a_request_elsewhere_is_no_id() {
        let long = "1".repeat(33);
        for text in ["", "../x", "1/2", "1?a=b", "1#", " 1", "%2e", "1.5", &long] {
            assert_eq!(Id::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_kept_reads_as_the_same_names() {
        let mut known = Known::default();
        known.note(vec![(key("campaign/5"), "Wëlcome \"✓\"".to_owned())], at(7));
        known.note(vec![(key("campaign/5/36"), String::new())], at(8));
        known.refreshed_at = Some(at(9));
        assert_eq!(Known::decode(&known.encode()), Some(known));
    }

    #[test]
    fn damaged_names_are_none() {
        let whole = Known::default().encode();
        for cut in 0..whole.len() {
            assert_eq!(Known::decode(&whole[..cut]), None, "{cut} bytes");
        }
        assert_eq!(Known::decode(b"campaign/5"), None);
    }

    #[test]
    fn the_names_that_were_read_longest_ago_go_first() {
        let mut known = Known::default();
        let most = i64::try_from(MAX_NAMES).unwrap();
        known.names = (1..=most)
            .map(|n| {
                let name = n.to_string().into();
                (key(&format!("newsletter/{n}")), Named { name, read_at: n })
            })
            .collect();
        known.note(vec![(key("campaign/1"), "new".to_owned())], at(most + 1));
        assert_eq!(known.len(), MAX_NAMES);
        assert!(known.has(&key("campaign/1")) && known.has(&key("newsletter/2")));
        assert!(!known.has(&key("newsletter/1")), "the oldest stays");
    }

    #[test]
    fn what_is_kept_is_never_above_its_limit() {
        let mut known = Known::default();
        // Digits of a hash hardly shrink.
        let noise = |n: i64| {
            use sha2::Digest as _;
            let digest = sha2::Sha256::digest(n.to_le_bytes());
            digest
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
        };
        let name = |n: i64| Named {
            name: noise(n).into(),
            read_at: n,
        };
        known.names = (0..30_000)
            .map(|n| (key(&format!("newsletter/{n}")), name(n)))
            .collect();
        let kept = known.encode();
        assert!(kept.len() <= MAX_KEPT_BYTES, "{} bytes", kept.len());
        let read = Known::decode(&kept).unwrap();
        assert!(read.len() > 5_000 && read.has(&key("newsletter/29999")));
        assert!(!read.has(&key("newsletter/0")));
    }

    #[test]
    fn of_two_nodes_the_newer_name_stands() {
        let (mut one, mut other) = (Known::default(), Known::default());
        one.note(vec![(key("campaign/1"), "old".to_owned())], at(1));
        one.note(vec![(key("campaign/2"), "ours".to_owned())], at(5));
        other.note(vec![(key("campaign/1"), "new".to_owned())], at(2));
        other.note(vec![(key("campaign/2"), "theirs".to_owned())], at(4));
        other.refreshed_at = Some(at(2));
        one.merge(&other);
        assert_eq!(one.get(&key("campaign/1")), Some("new"));
        assert_eq!(one.get(&key("campaign/2")), Some("ours"));
        assert_eq!(one.refreshed_at, Some(at(2)));
    }
}
