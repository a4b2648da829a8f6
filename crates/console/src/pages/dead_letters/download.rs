//! Dead letters as JSON lines, in pages: however many there are, only one page of
//! them is in memory.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use jiff::Timestamp;
use journal::DeadLetterId;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::process::{Process, Which};
use crate::seen::LetterSeen;

/// Letters that are in memory at once.
pub(super) const PAGE: usize = 50;

/// One letter on its line.
#[derive(Serialize)]
struct Written<'l> {
    id: u64,
    record: &'l str,
    buried_at: Timestamp,
    reason: &'l str,
    answer: Option<Answer<'l>>,
    call: Option<Call<'l>>,
    body: &'l str,
}

#[derive(Serialize)]
struct Answer<'l> {
    status: u16,
    body: &'l str,
}

/// The call as it is, where it is JSON on one line.
#[derive(Serialize)]
#[serde(untagged)]
enum Call<'l> {
    Json(&'l RawValue),
    Text(&'l str),
}

impl<'l> Call<'l> {
    fn of(text: &'l str) -> Call<'l> {
        match serde_json::from_str(text) {
            Ok(json) if !text.contains(['\n', '\r']) => Call::Json(json),
            _ => Call::Text(text),
        }
    }
}

/// Where the next page begins.
enum Next {
    Below(Option<DeadLetterId>),
    Done,
}

/// Those letters, newest first. One that cannot be read to its
/// end breaks off, so that nobody takes a part for the whole.
pub(super) fn download<P: Process>(process: P, which: Which) -> Response {
    let pages = stream::try_unfold(Next::Below(None), move |next| {
        let (process, which) = (process.clone(), which.clone());
        async move {
            let Next::Below(after) = next else {
                return Ok(None);
            };
            let list = process.letters_of(&which, after, PAGE).await;
            let list = list.map_err(io::Error::other)?;
            let next = match list.older {
                Some(older) => Next::Below(Some(DeadLetterId::new(older))),
                None => Next::Done,
            };
            Ok::<_, io::Error>(Some((lines(&list.letters), next)))
        }
    });
    let mut response = Response::new(Body::from_stream(pages));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/jsonl; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    let name = HeaderValue::from_static("attachment; filename=\"dead-letters.jsonl\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    response
}

fn lines(letters: &[LetterSeen]) -> Bytes {
    let mut out = Vec::new();
    for letter in letters {
        let answer = letter.answer.as_ref();
        let written = Written {
            id: letter.id,
            record: &letter.record,
            buried_at: letter.buried_at,
            reason: &letter.reason,
            answer: answer.map(|(status, body)| Answer {
                status: *status,
                body,
            }),
            call: letter.call.as_deref().map(Call::of),
            body: &letter.body,
        };
        serde_json::to_writer(&mut out, &written).expect("texts and numbers are always JSON");
        out.push(b'\n');
    }
    out.into()
}
