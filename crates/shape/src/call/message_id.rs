//! The id under which Segment drops a call that it has seen before.

use sha2::{Digest as _, Sha256};

use crate::event::EventKey;
use crate::options::PayloadVersion;

/// Says whose ids these are: Segment compares them across all of its customers.
const PREFIX: &str = "pm-";

/// 130 bits of the hash, at 5 bits each.
const N_CHARACTERS: usize = 26;

/// RFC 4648, in lowercase.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The `messageId` of an event on a connection: `pm-` and 26 characters of base32.
///
/// A hash of the three, each behind its length. It never changes between
/// retries, replays, machines and releases; another connection, event or version
/// has another id.
pub fn message_id(connection_id: &str, key: &EventKey, version: PayloadVersion) -> String {
    of_text(connection_id, key.as_str(), version)
}

pub(crate) fn of_text(connection_id: &str, key: &str, version: PayloadVersion) -> String {
    let mut hash = Sha256::new();
    for part in [connection_id, key, version.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut id = String::with_capacity(PREFIX.len() + N_CHARACTERS);
    id.push_str(PREFIX);
    id.extend(base32(&hash.finalize()).take(N_CHARACTERS));
    id
}

/// All whole groups of five bits, first bit first.
fn base32(bytes: &[u8]) -> impl Iterator<Item = char> {
    let mut bytes = bytes.iter();
    let (mut bits, mut n_bits) = (0_u16, 0_u32);
    std::iter::from_fn(move || {
        if n_bits < 5 {
            bits = (bits << 8) | u16::from(*bytes.next()?);
            n_bits += 8;
        }
        n_bits -= 5;
        let group = usize::from(bits >> n_bits) % BASE32.len();
        BASE32.get(group).map(|character| char::from(*character))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("fooba", "mzxw6ytb"),
            ("foobarfoob", "mzxw6ytbojtg633c"),
        ] {
            assert_eq!(base32(bytes.as_bytes()).collect::<String>(), text);
        }
    }
}
