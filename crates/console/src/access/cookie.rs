//! Cookies, as browsers send and take them.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The value of the cookie `name`.
pub(super) fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let sent = headers.get_all(header::COOKIE).into_iter();
    let texts = sent.filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Sets a cookie that no script can read and no other site can make a browser
/// send; `asked` is the request's head, which says whether TLS is in front.
pub(super) fn set(
    headers: &mut HeaderMap,
    (name, value): (&str, &str),
    max_age_s: u64,
    asked: &HeaderMap,
) {
    let secure = if is_behind_tls(asked) { "; Secure" } else { "" };
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Makes the browser forget a cookie.
pub(super) fn clear(headers: &mut HeaderMap, name: &str) {
    set(headers, (name, ""), 0, &HeaderMap::new());
}

/// Any text as a cookie's value.
pub(super) fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// The text of [`encoded`].
pub(super) fn decoded(value: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
    String::from_utf8(bytes).ok()
}

/// Whether a proxy in front says that the browser speaks TLS to it.
fn is_behind_tls(asked: &HeaderMap) -> bool {
    let text = |name: &str| asked.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text("forwarded").is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("proto=https") || value.contains("proto=\"https\"")
    });
    forwarded || text("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        let sent = HeaderValue::from_static("a=1; postmeter_session=x.y.z; b=2");
        headers.insert(header::COOKIE, sent);
        assert_eq!(find(&headers, "postmeter_session"), Some("x.y.z"));
        assert_eq!(find(&headers, "postmeter"), None);
        assert_eq!(find(&headers, "c"), None);
    }

    #[test]
    fn a_cookie_is_secure_behind_tls_only() {
        let cookie = |asked: &HeaderMap| {
            let mut headers = HeaderMap::new();
            set(&mut headers, ("a", "1"), 60, asked);
            headers[header::SET_COOKIE].to_str().unwrap().to_owned()
        };
        let mut tls = HeaderMap::new();
        tls.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert!(cookie(&tls).ends_with("HttpOnly; SameSite=Strict; Secure"));
        assert!(cookie(&HeaderMap::new()).ends_with("HttpOnly; SameSite=Strict"));
    }

    #[test]
    fn what_is_said_survives_as_a_cookie() {
        let text = "paused \u{2014} \"now\"; \u{5d0}";
        assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
        assert_eq!(decoded("%"), None);
    }
}
