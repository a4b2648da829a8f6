//! Asks Customer.io's App API for lists, one page at a time.
//!
//! What is asked and answered, as its reference has it:
//!
//! ```text
//! GET /v1/campaigns                  {"campaigns":   [{"id": 5, "name": ".."}, ..]}
//! GET /v1/broadcasts                 {"broadcasts":  [..]}
//! GET /v1/transactional              {"messages":    [..]}
//! GET /v1/newsletters?start=         {"newsletters": [..], "next": ".."}
//! GET /v1/newsletters/7              {"newsletter":  {..}}
//! GET /v1/campaigns/5/actions?start= {"actions":     [..], "next": ".."}
//! GET /v1/broadcasts/9/actions       {"actions":     [..]}
//! ```
//!
//! Ids are read whether they are numbers or strings. The reference names no `next`
//! for broadcasts' actions; it is followed there too if it comes. Refuses to know
//! when to ask, and for what.

use std::time::Duration;

use anyhow::Context as _;
use connections::UnlockedAppApi;
use reqwest::header::RETRY_AFTER;
use reqwest::{StatusCode, redirect, retry};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::known::{Id, Key, Parent};

/// How long a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an answer may take in all.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// The most bytes of one answer: ten actions come with the bodies of their mails.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// What is waited for where an answer says longer, and where it says less.
const RETRY_AFTER_BOUNDS: (u64, u64) = (1, 300);
/// Newsletters in one page.
const PAGE: u32 = 100;

/// One list, or a page of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum List {
    Campaigns,
    Broadcasts,
    Transactional,
    Newsletters { start: String },
    Newsletter(Id),
    Actions { of: Parent, start: String },
}

/// What a page said.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Page {
    pub(super) names: Vec<(Key, String)>,
    /// The page after it.
    pub(super) next: Option<List>,
}

/// Why there is no page. The text is for a person.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The key is wrong, or may not see this.
    #[error("the App API refuses the key ({0})")]
    Refused(StatusCode),
    /// It does not answer now.
    #[error("the App API does not answer: {reason}")]
    Away {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// It answered what we do not understand; asking again would not help.
    #[error("the App API's answer to {path} makes no sense: {reason}")]
    Senseless { path: String, reason: String },
}

/// A workspace's App API.
pub(super) struct AppApi {
    http: reqwest::Client,
    api: UnlockedAppApi,
}

impl AppApi {
    pub(super) fn new(api: UnlockedAppApi) -> anyhow::Result<AppApi> {
        // Already installed is as good: there is one provider in this program.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .user_agent(concat!("postmeter/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never()) // every request counts towards the limit
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(AppApi { http, api })
    }

    /// One request. What is not there (404) is an empty page, and so is what an id
    /// names that could not be there (400, as the reference has it).
    pub(super) async fn page(&self, list: &List) -> Result<Page, Failure> {
        let path = list.path();
        let request = self.http.get(format!("{}{path}", self.api.url));
        let request = request.bearer_auth(self.api.key.reveal());
        let answer = request.send().await.map_err(|error| away(&error))?;
        let status = answer.status();
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Page::default()),
            StatusCode::BAD_REQUEST if list.is_of_an_id() => return Ok(Page::default()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Failure::Refused(status));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                return Err(busy(&answer));
            }
            _ if status.is_server_error() => return Err(busy(&answer)),
            _ => {
                let reason = format!("status {status}");
                return Err(Failure::Senseless { path, reason });
            }
        }
        let senseless = |reason| Failure::Senseless { path, reason };
        match body(answer).await? {
            Some(bytes) => list.read(&bytes).map_err(senseless),
            None => Err(senseless("it is too long".to_owned())),
        }
    }
}

/// The whole body; none where it is longer than anybody needs.
async fn body(mut answer: reqwest::Response) -> Result<Option<Vec<u8>>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| away(&error))? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// The reference does not say whether a `Retry-After` ever comes; a date is not
/// expected of an API that is asked ten times a second.
fn busy(answer: &reqwest::Response) -> Failure {
    let header = answer.headers().get(RETRY_AFTER);
    let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let (least, most) = RETRY_AFTER_BOUNDS;
    Failure::Away {
        reason: format!("status {}", answer.status()),
        retry_after: seconds.map(|seconds| Duration::from_secs(seconds.clamp(least, most))),
    }
}

/// The deepest cause says the most. Neither it nor the others hold the key.
fn away(error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let reason = if error.is_timeout() {
        "it takes too long".to_owned()
    } else {
        cause.to_string()
    };
    Failure::Away {
        reason,
        retry_after: None,
    }
}

impl List {
    /// The page on which a key's name is; for an action, the first that may have it.
    pub(super) fn with(key: &Key) -> Vec<List> {
        match key {
            Key::Campaign(_) => vec![List::Campaigns, List::Broadcasts],
            Key::Broadcast(_) => vec![List::Broadcasts],
            Key::Transactional(_) => vec![List::Transactional],
            Key::Newsletter(id) => vec![List::Newsletter(id.clone())],
            Key::Action(of, _) => vec![List::actions(of.clone())],
        }
    }

    /// The first page of all newsletters.
    pub(super) fn newsletters() -> List {
        let start = String::new();
        List::Newsletters { start }
    }

    /// The first page of a campaign's or broadcast's actions.
    pub(super) fn actions(of: Parent) -> List {
        let start = String::new();
        List::Actions { of, start }
    }

    /// Whether an id from an event is a part of the address.
    fn is_of_an_id(&self) -> bool {
        match self {
            List::Newsletter(_) | List::Actions { .. } => true,
            List::Campaigns | List::Broadcasts | List::Transactional | List::Newsletters { .. } => {
                false
            }
        }
    }

    fn path(&self) -> String {
        match self {
            List::Campaigns => "/v1/campaigns".to_owned(),
            List::Broadcasts => "/v1/broadcasts".to_owned(),
            List::Transactional => "/v1/transactional".to_owned(),
            List::Newsletter(id) => format!("/v1/newsletters/{id}"),
            List::Newsletters { start } => {
                format!("/v1/newsletters?limit={PAGE}{}", started("&", start))
            }
            List::Actions { of, start } => {
                let (kind, id) = match of {
                    Parent::Campaign(id) => ("campaigns", id),
                    Parent::Broadcast(id) => ("broadcasts", id),
                };
                format!("/v1/{kind}/{id}/actions{}", started("?", start))
            }
        }
    }

    /// Reads the answer to this very request.
    fn read(&self, json: &[u8]) -> Result<Page, String> {
        let answer: Answer<'_> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let items = match self {
            List::Campaigns => answer.campaigns,
            List::Broadcasts => answer.broadcasts,
            List::Transactional => answer.messages,
            List::Newsletters { .. } => answer.newsletters,
            List::Newsletter(_) => answer.newsletter.map(|one| vec![one]),
            List::Actions { .. } => answer.actions,
        };
        let items = items.ok_or("it has no list of what was asked for")?;
        let names = items.into_iter().filter_map(|item| {
            let id = Id::new(item.id?.get().trim_matches('"'))?;
            Some((self.key(id), item.name?))
        });
        let next = answer.next.filter(|next| !next.is_empty());
        Ok(Page {
            names: names.collect(),
            next: next.and_then(|next| self.at(next)),
        })
    }

    fn key(&self, id: Id) -> Key {
        match self {
            List::Campaigns => Key::Campaign(id),
            List::Broadcasts => Key::Broadcast(id),
            List::Transactional => Key::Transactional(id),
            List::Newsletters { .. } | List::Newsletter(_) => Key::Newsletter(id),
            List::Actions { of, .. } => Key::Action(of.clone(), id),
        }
    }

    /// The page of the same list that begins at `next`; none where that is this
    /// page again, which would never end.
    fn at(&self, next: String) -> Option<List> {
        match self {
            List::Newsletters { start } if *start != next => {
                Some(List::Newsletters { start: next })
            }
            List::Actions { of, start } if *start != next => Some(List::Actions {
                of: of.clone(),
                start: next,
            }),
            _ => None,
        }
    }
}

/// The query that asks for the page that begins at `start`.
fn started(before: &str, start: &str) -> String {
    if start.is_empty() {
        return String::new();
    }
    let escaped = start.bytes().fold(String::new(), |escaped, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped + char::from(byte).encode_utf8(&mut [0; 4])
        } else {
            format!("{escaped}%{byte:02X}")
        }
    });
    format!("{before}start={escaped}")
}

/// Any of the answers: each has one of the lists.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    campaigns: Option<Vec<Item<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    broadcasts: Option<Vec<Item<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    messages: Option<Vec<Item<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    newsletters: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    newsletter: Option<Item<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    actions: Option<Vec<Item<'a>>>,
    next: Option<String>,
}

/// A list that is there; `null` is an empty one.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    value: D,
) -> Result<Option<Vec<Item<'a>>>, D::Error> {
    let list: Option<Vec<Item<'a>>> = Option::deserialize(value)?;
    Ok(Some(list.unwrap_or_default()))
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    #[test]
    fn ids_are_read_whether_they_are_numbers_or_strings() {
        let of = Parent::Campaign(id("5"));
        let list = List::actions(of.clone());
        let json = br#"{"actions":[{"id":36,"name":"One","body":"<p>"},{"id":"37","name":"Two"},
            {"id":38},{"name":"None"},{"id":{},"name":"No id"}],"next":"a b"}"#;
        let page = list.read(json).unwrap();
        let named = |action, name: &str| (Key::Action(of.clone(), id(action)), name.to_owned());
        assert_eq!(page.names, [named("36", "One"), named("37", "Two")]);
        let next = page.next.unwrap();
        assert_eq!(next.path(), "/v1/campaigns/5/actions?start=a%20b");
        assert_eq!(
            next.read(json).unwrap().next,
            None,
            "a page that repeats ends"
        );
    }

    #[test]
    fn every_list_is_read_from_the_answer_that_the_reference_shows() {
        let cases = [
            (
                List::Campaigns,
                r#"{"campaigns":[{"id":5,"name":"n"}]}"#,
                "campaign/5",
            ),
            (
                List::Broadcasts,
                r#"{"broadcasts":[{"id":2,"name":"n","tags":"nil"}]}"#,
                "broadcast/2",
            ),
            (
                List::Transactional,
                r#"{"messages":[{"id":2,"name":"n"}]}"#,
                "transactional/2",
            ),
            (
                List::newsletters(),
                r#"{"newsletters":[{"id":128275,"name":"n"}],"next":"x"}"#,
                "newsletter/128275",
            ),
            (
                List::Newsletter(id("7")),
                r#"{"newsletter":{"id":7,"name":"n"}}"#,
                "newsletter/7",
            ),
        ];
        for (list, json, key) in cases {
            let page = list.read(json.as_bytes()).unwrap();
            assert_eq!(page.names, [(key.parse().unwrap(), "n".to_owned())]);
        }
    }

    #[test]
    fn an_answer_without_its_list_is_not_taken_for_an_empty_one() {
        for json in ["{}", "[]", "<html>", r#"{"errors":[]}"#] {
            assert!(List::Campaigns.read(json.as_bytes()).is_err(), "{json}");
        }
        for json in [r#"{"campaigns":[]}"#, r#"{"campaigns":null}"#] {
            let empty = List::Campaigns.read(json.as_bytes()).unwrap();
            assert_eq!(empty, Page::default());
        }
    }
}
