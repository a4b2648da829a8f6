//! The workspaces that may send, and the keys that prove it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit};
use sha2::{Digest, Sha256};

/// Every workspace that has a webhook URL, by its name in that URL.
#[derive(Clone, Debug, Default)]
pub struct Workspaces(HashMap<Arc<str>, Arc<Workspace>>);

impl Workspaces {
    /// The workspace whose webhook path ends in `name`.
    pub fn find(&self, name: &str) -> Option<&Arc<Workspace>> {
        self.0.get(name)
    }
}

impl FromIterator<Workspace> for Workspaces {
    fn from_iter<I: IntoIterator<Item = Workspace>>(workspaces: I) -> Self {
        let by_name = workspaces
            .into_iter()
            .map(|workspace| (Arc::clone(&workspace.name), Arc::new(workspace)));
        Workspaces(by_name.collect())
    }
}

/// One origin of events.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The last part of its webhook path.
    pub name: Arc<str>,
    /// How its requests prove where they come from.
    pub signature: Signature,
    /// How far `X-CIO-Timestamp` may be from now. `None`, the default, checks
    /// nothing: whether Customer.io stamps each retry anew is undocumented, and
    /// the duplicate claim already stops repeats.
    pub timestamp_tolerance: Option<Duration>,
}

/// How a workspace's requests prove where they come from.
#[derive(Clone, Debug)]
pub enum Signature {
    /// By a signature of any of these keys; several are valid during a rotation.
    Keys(Vec<SigningKey>),
    /// Not at all: the operator has said so in as many words.
    Off,
}

/// A webhook signing key, ready to verify with. Never shown.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    mac: Hmac<Sha256>,
}

impl SigningKey {
    /// Takes the key as Customer.io's page shows it: its text is the key, with
    /// no decoding.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn new(text: &str) -> SigningKey {
        let mac = Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length");
        SigningKey {
            id: KeyId::of(text),
            mac,
        }
    }

    /// A name for the key that does not reveal it.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.mac.clone()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// Names a signing key without revealing it: 8 hex digits of its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    fn of(text: &str) -> KeyId {
        let digest = Sha256::digest(text.as_bytes());
        let head = digest
            .iter()
            .take(4)
            .fold(0_u32, |head, byte| head << 8 | u32::from(*byte));
        KeyId(format!("{head:08x}").into())
    }

    /// The eight digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
