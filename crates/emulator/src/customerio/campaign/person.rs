//! Invented people: a number decides who one is.

use serde::{Serialize, Serializer};

use super::chance::Chance;

/// Somebody who gets messages.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) identifiers: Identifiers,
    /// Deprecated, and not always the id.
    pub(super) customer_id: Value,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) device: Device,
}

/// What a workspace knows a person by; which of these there are differs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Identifiers {
    #[serde(skip_serializing_if = "Value::is_absent")]
    pub(super) id: Value,
    #[serde(skip_serializing_if = "Value::is_absent")]
    pub(super) email: Value,
    #[serde(skip_serializing_if = "Value::is_absent")]
    pub(super) cio_id: Value,
}

/// A member that may be missing, null or text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Absent,
    Null,
    Text(String),
}

impl Value {
    pub(super) fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Device {
    pub(super) device_id: String,
    pub(super) device_platform: &'static str,
}

impl Person {
    /// The person of this number: the same in every message of one seed.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        // Any odd constant keeps neighbours apart.
        let mut chance = Chance::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let id = Value::Text(format!("person-{number:06}"));
        let email = format!("person-{number:06}@example.com");
        let known_email = Value::Text(email.clone());
        let cio_id = Value::Text(chance.hex(12));
        let identifiers = match chance.below(100) {
            0..55 => Identifiers {
                id: id.clone(),
                email: known_email,
                cio_id,
            },
            55..85 => Identifiers {
                id: id.clone(),
                email: Value::Absent,
                cio_id: Value::Absent,
            },
            85..97 => Identifiers {
                id: Value::Null,
                email: known_email,
                cio_id,
            },
            _ => Identifiers {
                id: Value::Null,
                email: Value::Null,
                cio_id,
            },
        };
        let customer_id = match (&identifiers.id, chance.below(10)) {
            (Value::Null | Value::Absent, _) => Value::Text(String::new()),
            (Value::Text(_), 0) => Value::Absent,
            (Value::Text(_), 1) => Value::Text(format!("0200{number:06}")),
            (Value::Text(_), _) => id,
        };
        Self {
            identifiers,
            customer_id,
            email,
            phone: format!("+1555{:07}", number % 10_000_000),
            device: Device::new(&mut chance),
        }
    }
}

impl Device {
    fn new(chance: &mut Chance) -> Self {
        if chance.percent(50) {
            return Self {
                device_id: chance.hex(64),
                device_platform: "ios",
            };
        }
        let head = chance.base64_url(11);
        Self {
            device_id: format!("{head}:APA91b{}", chance.base64_url(134)),
            device_platform: "android",
        }
    }
}
