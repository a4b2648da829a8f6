//! Sessions that nobody keeps: signed, and good for a day's work.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// How long a session lasts.
pub(super) const LIFETIME: Duration = Duration::from_hours(12);
/// Random bytes that tell one session from another.
const NONCE_BYTES: usize = 16;

/// Begins sessions and recognises them. Never printed.
pub(super) struct Sessions {
    token: String,
    key: Hmac<Sha256>,
}

/// A session that a cookie has proved.
#[derive(Clone)]
pub(crate) struct Session {
    /// The word that forms of this session carry.
    pub(crate) csrf: String,
}

impl Session {
    /// Whether `shown` is the word of this session's forms.
    pub(super) fn made(&self, shown: &str) -> bool {
        self.csrf.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl Sessions {
    /// Sessions of whoever knows `token`.
    pub(super) fn of(token: &str) -> Sessions {
        let key = |text: &[u8]| {
            Hmac::<Sha256>::new_from_slice(text).expect("HMAC takes keys of any length")
        };
        let mut derived = key(token.as_bytes());
        derived.update(b"postmeter console session 1");
        Sessions {
            token: token.to_owned(),
            key: key(&derived.finalize().into_bytes()),
        }
    }

    /// The cookie of a new session; none where `shown` is not the token.
    pub(super) fn begin(&self, shown: &str, now: Timestamp) -> Option<String> {
        let is_token: bool = self.token.as_bytes().ct_eq(shown.as_bytes()).into();
        if !is_token || self.token.is_empty() {
            return None;
        }
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let ends = now.as_second() + i64::try_from(LIFETIME.as_secs()).ok()?;
        let claim = format!("{ends}.{}", URL_SAFE_NO_PAD.encode(nonce));
        Some(format!("{claim}.{}", self.sign("session", &claim)))
    }

    /// The session of a cookie that we made and that has not ended.
    pub(super) fn check(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let (claim, mac) = cookie.rsplit_once('.')?;
        let expected = self.sign("session", claim);
        let is_ours: bool = expected.as_bytes().ct_eq(mac.as_bytes()).into();
        let (ends, _) = claim.split_once('.')?;
        let ends: i64 = ends.parse().ok()?;
        (is_ours && now.as_second() < ends).then(|| Session {
            csrf: self.sign("form", claim),
        })
    }

    fn sign(&self, what: &str, claim: &str) -> String {
        let mut mac = self.key.clone();
        mac.update(what.as_bytes());
        mac.update(b"\n");
        mac.update(claim.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_session_holds_until_it_ends() {
        let sessions = Sessions::of("a token");
        let cookie = sessions.begin("a token", at(1_000)).unwrap();
        assert!(sessions.check(&cookie, at(1_000)).is_some());
        assert!(sessions.check(&cookie, at(1_000 + 12 * 3_600)).is_none());
    }

    #[test]
    fn only_the_token_begins_a_session() {
        assert!(Sessions::of("a token").begin("a toker", at(0)).is_none());
        assert!(Sessions::of("").begin("", at(0)).is_none());
    }

    #[test]
    fn a_cookie_that_was_changed_or_made_with_another_token_is_none() {
        let sessions = Sessions::of("a token");
        let cookie = sessions.begin("a token", at(1_000)).unwrap();
        let later = cookie.replacen("44200", "99999", 1);
        assert_ne!(later, cookie);
        assert!(sessions.check(&later, at(1_000)).is_none());
        assert!(Sessions::of("another").check(&cookie, at(1_000)).is_none());
        for garbage in ["", ".", "..", "1.2.3", "9999999999..", "é.é.é"] {
            assert!(sessions.check(garbage, at(0)).is_none(), "{garbage}");
        }
    }

    #[test]
    fn the_word_of_one_sessions_forms_is_not_anothers() {
        let sessions = Sessions::of("a token");
        let session = || {
            let cookie = sessions.begin("a token", at(1_000)).unwrap();
            sessions.check(&cookie, at(1_000)).unwrap()
        };
        let (one, other) = (session(), session());
        assert!(one.made(&one.csrf));
        assert!(!one.made(&other.csrf));
        assert!(!one.made(""));
    }
}
