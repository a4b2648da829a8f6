//! Who may see and change things: a session that the server's token begins.
//!
//! A session is a signed cookie, so the server keeps none: when it ends, a nonce,
//! and a MAC under a key made from the token. A new token ends all sessions. Every
//! form carries a word that only its session could have been told, and a request
//! that a browser says comes from another site is refused before that.

mod cookie;
mod limit;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use jiff::Timestamp;

use self::limit::Limit;
pub(crate) use self::session::Session;
use self::session::Sessions;
use crate::form::Fields;
use crate::pages::login;

/// A form's body, at most. The largest holds a list of every kind of event.
pub(crate) const MAX_FORM_BYTES: usize = 256 * 1024;
/// The field with which a form shows that its session made it.
pub(crate) const CSRF_FIELD: &str = "csrf";
/// The session's cookie.
pub(crate) const SESSION_COOKIE: &str = "postmeter_session";
/// The cookie with what the last action has to say.
pub(crate) const SAID_COOKIE: &str = "postmeter_said";

/// The right to use the console. Cheap to clone; never printed.
#[derive(Clone)]
pub struct Access {
    sessions: Arc<Sessions>,
    attempts: Arc<Limit>,
}

impl Access {
    /// Access for whoever knows `token`.
    pub fn new(token: &str) -> Access {
        Access {
            sessions: Arc::new(Sessions::of(token)),
            attempts: Arc::default(),
        }
    }

    /// The session that a request's cookie proves; none where it has none that
    /// still holds.
    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let cookie = cookie::find(headers, SESSION_COOKIE)?;
        self.sessions.check(cookie, Timestamp::now())
    }
}

/// Puts `pages` behind a session, and adds the way to begin and end one.
pub(crate) fn guarded<S: Clone + Send + Sync + 'static>(
    pages: Router<S>,
    access: Access,
) -> Router<S> {
    let logging_in = post(log_in).with_state(access.clone());
    pages
        .route("/logout", post(log_out))
        .layer(from_fn_with_state(access, guard))
        .route("/login", logging_in)
        .layer(axum::middleware::map_response(harden))
}

async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let Some(session) = access.session(request.headers()) else {
        return ask(request.uri().path());
    };
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return pass(session, request, next).await;
    }
    if comes_from_elsewhere(request.headers()) {
        return refuse("this form was sent from another site");
    }
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_FORM_BYTES).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the form is too large\n").into_response();
    };
    if !session.made(&shown_csrf(&body)) {
        return refuse("this form is not of your session: reload the page and try again");
    }
    pass(session, Request::from_parts(head, Body::from(body)), next).await
}

async fn pass(session: Session, mut request: Request, next: Next) -> Response {
    let said = cookie::find(request.headers(), SAID_COOKIE).is_some();
    request.extensions_mut().insert(session);
    let mut response = next.run(request).await;
    let is_page = response.status() == StatusCode::OK
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(is_html);
    if said && is_page {
        cookie::clear(response.headers_mut(), SAID_COOKIE);
    }
    response
}

fn is_html(kind: &HeaderValue) -> bool {
    kind.as_bytes().starts_with(b"text/html")
}

fn shown_csrf(body: &Bytes) -> String {
    let fields = Fields::parse(body);
    fields.text(CSRF_FIELD).unwrap_or_default().to_owned()
}

/// The log-in form for an answer, whatever was asked for.
fn ask(path: &str) -> Response {
    let mut response = login::form(path, None);
    // A live part of an open page begins the session anew by loading the page.
    let reload = HeaderValue::from_static("true");
    response.headers_mut().insert("hx-refresh", reload);
    response
}

fn refuse(why: &'static str) -> Response {
    (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
}

/// Whether a browser says that another site made it send this.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else {
        return false;
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_none() || host != text("host")
}

async fn log_in(State(access): State<Access>, headers: HeaderMap, body: Bytes) -> Response {
    if comes_from_elsewhere(&headers) {
        return refuse("this form was sent from another site");
    }
    let fields = Fields::parse(&body);
    let next = local(fields.text("next").unwrap_or("/"));
    if let Some(wait) = access.attempts.wait() {
        return login::too_many(next, wait);
    }
    let now = Timestamp::now();
    let token = fields.text("token").unwrap_or_default().trim();
    let Some(cookie) = access.sessions.begin(token, now) else {
        access.attempts.failed();
        return login::form(next, Some("That is not the token of this server."));
    };
    let mut response = Redirect::to(next).into_response();
    let age = session::LIFETIME.as_secs();
    cookie::set(
        response.headers_mut(),
        (SESSION_COOKIE, &cookie),
        age,
        &headers,
    );
    response
}

async fn log_out() -> Response {
    let mut response = Redirect::to("/").into_response();
    cookie::clear(response.headers_mut(), SESSION_COOKIE);
    response
}

/// A path of ours; the overview for anything that could lead elsewhere.
fn local(path: &str) -> &str {
    let is_ours = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\r', '\n'])
        && !path.starts_with("/login");
    if is_ours { path } else { "/" }
}

/// Redirects to `path`, where the page says `what` once.
pub(crate) fn redirect_saying(path: &str, what: &str, headers: &HeaderMap) -> Response {
    let mut response = Redirect::to(local(path)).into_response();
    let value = cookie::encoded(what);
    cookie::set(response.headers_mut(), (SAID_COOKIE, &value), 60, headers);
    response
}

/// What the last action said.
pub(crate) fn said(headers: &HeaderMap) -> Option<String> {
    cookie::decoded(cookie::find(headers, SAID_COOKIE)?)
}

async fn harden(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
        img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
        frame-ancestors 'none'";
    let headers = response.headers_mut();
    let defaults = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in defaults {
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_on_this_server() {
        assert_eq!(local("/connections/a?b=c"), "/connections/a?b=c");
        for elsewhere in ["//evil.example", "https://evil.example", "/\\evil", "", "x"] {
            assert_eq!(local(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn another_site_is_recognised_by_what_the_browser_says() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            headers
        };
        let elsewhere = [
            headers(&[("sec-fetch-site", "cross-site")]),
            headers(&[("sec-fetch-site", "same-site")]),
            headers(&[
                ("origin", "http://evil.example"),
                ("host", "127.0.0.1:8081"),
            ]),
            headers(&[("origin", "null"), ("host", "127.0.0.1:8081")]),
        ];
        assert!(elsewhere.iter().all(comes_from_elsewhere));
        let here = [
            headers(&[("sec-fetch-site", "same-origin")]),
            headers(&[
                ("origin", "http://127.0.0.1:8081"),
                ("host", "127.0.0.1:8081"),
            ]),
            headers(&[]),
        ];
        assert!(!here.iter().any(comes_from_elsewhere));
    }
}
