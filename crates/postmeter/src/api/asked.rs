//! What a request says, read so that whatever is wrong with it is answered in JSON
//! and in words: axum's own answers are plain text.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use console::seen::Filter;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::failure::Failure;

/// The part of the path that names something.
pub(super) struct Named(pub(super) String);

/// What stands behind the `?`.
pub(super) struct Asked<T>(pub(super) T);

/// A body of JSON, said to be that.
pub(super) struct Given<T>(pub(super) T);

/// A body that is taken as it is.
pub(super) struct Raw(pub(super) Bytes);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, Failure> {
        let read = Path::<String>::from_request_parts(parts, state).await;
        let unreadable = |_| Failure::bad_request("the path is no UTF-8 once it is decoded");
        read.map(|Path(name)| Named(name)).map_err(unreadable)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked<T>, Failure> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(rejection) => {
                let cause = std::error::Error::source(&rejection);
                let cause = cause.map_or_else(|| rejection.to_string(), ToString::to_string);
                let error = format!("the address has a mistake behind its `?`: {cause}");
                Err(Failure::bad_request(error))
            }
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Raw, Failure> {
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Raw(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Failure::too_large())
            }
            Err(_) => Err(Failure::bad_request("the body broke off: send it again")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Given<T>, Failure> {
        if !is_json(request.headers()) {
            return Err(Failure::no_json());
        }
        let Raw(body) = Raw::from_request(request, state).await?;
        let read = serde_json::from_slice(&body);
        read.map(Given).map_err(|error| match error.classify() {
            Category::Data => Failure::unusable(format!("the body has a mistake: {error}")),
            Category::Syntax | Category::Eof | Category::Io => {
                Failure::bad_request(format!("the body is not JSON: {error}"))
            }
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// How many of something are asked for: `usual` where nothing is said.
pub(super) fn limit(asked: Option<u64>, usual: usize, most: usize) -> Result<usize, Failure> {
    let Some(asked) = asked else { return Ok(usual) };
    let fits = usize::try_from(asked).ok();
    let fits = fits.filter(|asked| (1..=most).contains(asked));
    fits.ok_or_else(|| Failure::bad_request(format!("limit is a number from 1 to {most}")))
}

/// What a filter says; everything where there is none.
pub(super) fn filter(text: Option<&str>) -> Result<Filter, Failure> {
    let read = Filter::parse(text.unwrap_or_default(), Timestamp::now());
    read.map_err(|mistakes| {
        let mistakes = mistakes.join("; ");
        Failure::unusable(format!("the filter has mistakes: {mistakes}"))
    })
}
