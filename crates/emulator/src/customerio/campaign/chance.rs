//! Chance from a seed, and ids made of it.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use rand::{Rng, SeedableRng, rngs::StdRng};

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A generator whose every answer follows from its seed.
#[derive(Debug)]
pub(super) struct Chance(StdRng);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number below `end`, which is not zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The bias of the remainder is nothing to a test.
        self.0.next_u64() % end.max(1)
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, of which there is at least one.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let n_choices = u64::try_from(choices.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.below(n_choices)).unwrap_or_default();
        choices
            .get(index)
            .expect("there is something to choose from")
    }

    /// Characters of an alphabet whose size divides 256, so that a byte draws one.
    fn text(&mut self, alphabet: &[u8], chars: usize) -> String {
        let mut bytes = vec![0; chars];
        self.0.fill_bytes(&mut bytes);
        let draw = |byte: u8| alphabet.get(usize::from(byte) % alphabet.len());
        let drawn = bytes.into_iter().filter_map(draw);
        drawn.map(|&byte| char::from(byte)).collect()
    }

    pub(super) fn hex(&mut self, chars: usize) -> String {
        self.text(HEX, chars)
    }

    pub(super) fn base64_url(&mut self, chars: usize) -> String {
        self.text(BASE64_URL, chars)
    }

    /// A ULID of this moment, in milliseconds of unix time.
    pub(super) fn ulid(&mut self, at_ms: i64) -> String {
        let mut time = u64::try_from(at_ms).unwrap_or_default();
        let mut chars = [b'0'; 10];
        for place in chars.iter_mut().rev() {
            let index = usize::try_from(time % 32).unwrap_or_default();
            *place = *CROCKFORD.get(index).expect("below 32");
            time /= 32;
        }
        let time = chars.iter().map(|&byte| char::from(byte));
        time.chain(self.text(CROCKFORD, 16).chars()).collect()
    }

    /// A delivery's id: opaque base64url, padded or of a length that needs none.
    pub(super) fn delivery_id(&mut self) -> String {
        let mut bytes = [0; 26];
        self.0.fill_bytes(&mut bytes);
        let length = *self.pick(&[21, 22, 26]);
        URL_SAFE.encode(bytes.get(..length).expect("at most 26"))
    }
}
