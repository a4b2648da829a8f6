//! What must hold of the pages whatever is asked of them: for the fuzz target
//! `console`, and for a test that runs its seeds. No part of the product.
//!
//! ```text
//! input = method path, to the end of the line | cookies, to the end of the line | form
//! ```
//!
//! The session's cookie is put in front of the cookies, and its word in front of the
//! form. A dollar sign in a line stands for markup that must never reach a page.

#![expect(clippy::missing_panics_doc, reason = "a panic is what is looked for")]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt as _;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use crate::form::Fields;
use crate::trying::{HOSTILE, Scene, Trial};

/// The pages, and a session of theirs.
struct Visitor {
    runtime: Runtime,
    trial: Trial,
    scene: Scene,
    console: Router,
    cookie: String,
    word: String,
}

/// Asks for what `data` describes.
pub fn console(data: &[u8]) {
    thread_local! {
        static VISITOR: Visitor = Visitor::new();
    }
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || parts.next().unwrap_or_default();
    let text = |line: &[u8]| String::from_utf8_lossy(line).replace('$', HOSTILE);
    let (asked, cookies, form) = (line(), text(line()), line());
    let asked = String::from_utf8_lossy(asked);
    let (method, path) = asked.split_once(' ').unwrap_or(("GET", &asked));
    VISITOR.with(|visitor| {
        let form = [visitor.word.as_bytes(), form].concat();
        let fields = Fields::parse(&form);
        assert!(fields.iter().count() > 0, "the word is gone");
        let method = if method == "POST" {
            Method::POST
        } else {
            Method::GET
        };
        visitor.ask(&method, path, (&cookies, form));
    });
}

impl Visitor {
    fn new() -> Visitor {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let trial = Trial::of(Scene::busy());
        let (console, cookie) = runtime.block_on(trial.logged_in());
        let page = Request::get("/nowhere").header(header::COOKIE, &cookie);
        let page = page.body(Body::empty()).expect("a request");
        let page = console.clone().oneshot(page);
        let (_, page) = runtime.block_on(async { read(page.await.expect("an answer")).await });
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        let word = rest.split('"').next().unwrap_or_default();
        Visitor {
            word: format!("csrf={word}&"),
            scene: trial.scene(),
            runtime,
            trial,
            console,
            cookie,
        }
    }

    fn ask(&self, method: &Method, path: &str, (cookies, form): (&str, Vec<u8>)) {
        let cookie = format!("{}; {cookies}", self.cookie);
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::COOKIE, cookie);
        let Ok(request) = request.body(Body::from(form)) else {
            return; // no server would be given it
        };
        let answered = async {
            let response = self.console.clone().oneshot(request).await;
            read(response.expect("an answer")).await
        };
        let (headers, page) = self.runtime.block_on(answered);
        if is_html(&headers) {
            for markup in ["<script>alert", "<img src=x"] {
                assert!(!page.contains(markup), "{path} shows markup of others");
            }
        }
        self.trial.change(|scene| *scene = self.scene.clone());
    }
}

/// The headers and the text of an answer that ends.
async fn read(response: axum::response::Response) -> (HeaderMap, String) {
    let (head, body) = response.into_parts();
    assert!(head.status.as_u16() != 500, "an answer that nobody meant");
    let kind = head.headers.get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return (head.headers, String::new());
    }
    let bytes = body.collect().await.expect("memory does not fail");
    let text = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
    (head.headers, text)
}

fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_of_the_console_is_answered_without_markup_of_others() {
        assert!(super::seeds::each("console", super::console) > 20);
    }
}
