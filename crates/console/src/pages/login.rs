//! The log-in form: what everybody sees who has not shown the token.

use std::sync::LazyLock;
use std::time::Duration;

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::assets;
use crate::shell::respond;

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    style: &'a str,
    next: &'a str,
    trouble: Option<&'a str>,
}

/// The page's style. It is a part of the page, since files need a session; the
/// policy names its hash.
static STYLE: LazyLock<(String, String)> = LazyLock::new(|| {
    let style = assets::inline_style();
    let hash = STANDARD.encode(Sha256::digest(&style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    (style, policy)
});

/// Asks for the token; `next` is where it leads to.
pub(crate) fn form(next: &str, trouble: Option<&str>) -> Response {
    made(StatusCode::UNAUTHORIZED, next, trouble)
}

/// Asks to wait: too many wrong tokens came.
pub(crate) fn too_many(next: &str, wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let text = format!(
        "Too many wrong tokens were tried. Tokens are looked at again in {seconds} seconds."
    );
    let mut response = made(StatusCode::TOO_MANY_REQUESTS, next, Some(&text));
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn made(status: StatusCode, next: &str, trouble: Option<&str>) -> Response {
    let (style, policy) = &*STYLE;
    let template = Login {
        style,
        next,
        trouble,
    };
    let mut response = respond(status, &template);
    let policy = HeaderValue::from_str(policy).expect("a policy is made of ASCII");
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("content-security-policy"), policy);
    response
}
