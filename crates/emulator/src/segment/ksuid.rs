//! The ids that Segment gives to calls which bring none: `api-` and a KSUID.
//!
//! A KSUID is 4 bytes of seconds since its own epoch and 16 bytes of chance,
//! written as 27 base-62 characters.

use jiff::Timestamp;
use rand::Rng;

/// Unix seconds at which the KSUID's time begins.
const EPOCH: i64 = 1_400_000_000;
const CHARS: usize = 27;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fresh message id whose embedded second is that of `now`.
pub(super) fn message_id(now: Timestamp, rng: &mut impl Rng) -> String {
    let mut payload = [0; 16];
    rng.fill_bytes(&mut payload);
    // The field is 32 bits wide; outside of it (before 2014, after 2150) time wraps, as in every KSUID.
    let seconds = (now.as_second() - EPOCH).rem_euclid(1 << 32);
    let seconds = u32::try_from(seconds).expect("the remainder of 2^32 fits 32 bits");
    format!("api-{}", encode(seconds, payload))
}

fn encode(seconds: u32, payload: [u8; 16]) -> String {
    let high = u128::from_be_bytes(payload);
    // The 160-bit number as 32-bit digits, most significant first.
    let mut digits = [
        seconds,
        word(high, 96),
        word(high, 64),
        word(high, 32),
        word(high, 0),
    ];
    let mut chars = [b'0'; CHARS];
    for place in chars.iter_mut().rev() {
        let mut rest = 0_u64;
        for digit in &mut digits {
            let value = (rest << 32) | u64::from(*digit);
            *digit = u32::try_from(value / 62).expect("rest < 62, so the quotient fits the digit");
            rest = value % 62;
        }
        let index = usize::try_from(rest).expect("below 62");
        *place = *ALPHABET.get(index).expect("below 62");
    }
    chars.iter().map(|&byte| char::from(byte)).collect()
}

fn word(of: u128, shift: u32) -> u32 {
    u32::try_from((of >> shift) & 0xffff_ffff).expect("masked to 32 bits")
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn the_published_examples_come_out() {
        let payload = 0xB5A1_CD34_B5F9_9D11_54FB_6853_345C_9735_u128.to_be_bytes();
        assert_eq!(encode(107_608_047, payload), "0ujtsYcgvSTl8PAuAdqWYSMnLOv");
        assert_eq!(encode(u32::MAX, [0xff; 16]), "aWgEPTl1tmebfsQzFP4bxwgy80V");
        assert_eq!(encode(0, [0; 16]), "0".repeat(27));
    }

    #[test]
    fn ids_of_later_seconds_sort_later() {
        let mut rng = StdRng::seed_from_u64(1);
        let ids: Vec<String> = (0..50)
            .map(|n| message_id(Timestamp::from_second(1_600_000_000 + n).unwrap(), &mut rng))
            .collect();
        assert!(ids.is_sorted());
    }
}
