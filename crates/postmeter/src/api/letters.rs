//! Dead letters: which there are and why, once more, and for good.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use console::{Process as _, Which};
use journal::DeadLetterId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::answers::{dead_letter, dead_letter_line};
use super::asked::{Asked, Given, Named, filter};
use super::draft::Keys;
use super::failure::Failure;
use super::route::{Route, get, post};

/// Dead letters in one answer unless the request says otherwise, and at most.
const DEAD_LETTERS: usize = 100;
const MAX_DEAD_LETTERS: usize = 10_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/dead-letters", dead_letters),
        get("/api/dead-letters/groups", groups),
        get("/api/dead-letters/{id}", one_dead_letter),
        post("/api/dead-letters/preview", preview),
        post("/api/dead-letters/retry", retry),
        post("/api/dead-letters/discard", discard),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLettersQuery {
    filter: Option<String>,
    group: Option<String>,
    after: Option<u64>,
    limit: Option<u64>,
}

async fn dead_letters(
    State(api): State<Api>,
    Asked(query): Asked<DeadLettersQuery>,
) -> Result<Response, Failure> {
    let which = match (query.group, &query.filter) {
        (None, text) => Which::Matching(filter(text.as_deref())?),
        (Some(key), None) => Which::Group(key),
        (Some(_), Some(_)) => {
            let error = "a group and a filter do not go together: give one of them";
            return Err(Failure::unusable(error));
        }
    };
    let asked = query.limit.map(usize::try_from);
    let asked = asked.map(|limit| limit.unwrap_or(usize::MAX));
    let limit = asked.unwrap_or(DEAD_LETTERS).clamp(1, MAX_DEAD_LETTERS);
    // Counted first, so that an answer never counts letters that it does not show.
    let total = api.desk.operator.journal.dead_letter_count().await?;
    let after = query.after.map(DeadLetterId::new);
    let list = api.desk.letters_of(&which, after, limit).await?;
    let lines: Vec<_> = list.letters.iter().map(dead_letter_line).collect();
    Ok(Json(json!({
        "dead_letters": lines,
        "total": total,
        "examined": list.examined,
        "older": list.older,
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupsQuery {
    filter: Option<String>,
}

async fn groups(
    State(api): State<Api>,
    Asked(query): Asked<GroupsQuery>,
) -> Result<Response, Failure> {
    let filter = filter(query.filter.as_deref())?;
    Ok(Json(api.desk.letters(&filter).await?).into_response())
}

async fn one_dead_letter(State(api): State<Api>, Named(id): Named) -> Result<Response, Failure> {
    let missing = || Failure::not_found(format!("there is no dead letter {id:?}"));
    let number: u64 = id.parse().map_err(|_| missing())?;
    let id = DeadLetterId::new(number);
    let found = api.desk.letter(id).await?.ok_or_else(missing)?;
    Ok(Json(dead_letter(&found)).into_response())
}

/// Which letters a body means, and below which number.
struct Meant {
    which: Which,
    below: Option<DeadLetterId>,
}

async fn preview(State(api): State<Api>, Given(keys): Given<Keys>) -> Result<Response, Failure> {
    let Meant { which, below } = meant(&api, keys).await?;
    Ok(Json(api.desk.foresee(&which, below).await?).into_response())
}

async fn retry(State(api): State<Api>, Given(keys): Given<Keys>) -> Result<Response, Failure> {
    let Meant { which, below } = meant(&api, keys).await?;
    Ok(Json(api.desk.retry(&which, below).await?).into_response())
}

async fn discard(State(api): State<Api>, Given(keys): Given<Keys>) -> Result<Response, Failure> {
    let Meant { which, below } = meant(&api, keys).await?;
    Ok(Json(api.desk.discard(&which, below).await?).into_response())
}

/// Which letters a body means, as far as there are any.
async fn meant(api: &Api, keys: Keys) -> Result<Meant, Failure> {
    let Meant { which, below } = read(keys)?;
    match &which {
        Which::These(ids) => {
            if let [id] = ids.as_slice()
                && api.desk.letter(*id).await?.is_none()
            {
                let error = format!("there is no dead letter {}", id.get());
                return Err(Failure::not_found(error));
            }
        }
        Which::Group(key) if below.is_none() => {
            let list = api.desk.letters_of(&which, None, 1).await?;
            if list.letters.is_empty() && list.older.is_none() {
                let error = format!("no dead letter is in the group {key:?}");
                return Err(Failure::not_found(error));
            }
        }
        Which::Group(_) | Which::Matching(_) => {}
    }
    Ok(Meant { which, below })
}

fn read(mut keys: Keys) -> Result<Meant, Failure> {
    let unreadable = || {
        let one = "say which dead letters with exactly one of";
        Failure::unusable(format!(
            "{one} {{\"id\": 7}}, {{\"ids\": [7, 9]}} (at most {}), {{\"group\": \"its key\"}}, {{\"filter\": \"reason:400\"}} \
             and {{\"all\": true}}, and beside it where you like {{\"below\": 4711}}",
            Which::MOST
        ))
    };
    let number = |value: &Value| value.as_u64().map(DeadLetterId::new);
    let below = match keys.remove("below") {
        None => None,
        Some(below) => Some(number(&below).ok_or_else(unreadable)?),
    };
    let mut keys = keys.iter();
    let (Some((key, value)), None) = (keys.next(), keys.next()) else {
        return Err(unreadable());
    };
    let which = match (key.as_str(), value) {
        ("id", id) => number(id).map(|id| Which::These(vec![id])),
        ("ids", Value::Array(ids)) if (1..=Which::MOST).contains(&ids.len()) => {
            let ids: Option<Vec<_>> = ids.iter().map(number).collect();
            ids.map(Which::These)
        }
        ("group", Value::String(key)) => Some(Which::Group(key.clone())),
        // Who leaves a filter empty by mistake does not mean all.
        ("filter", Value::String(text)) if !text.trim().is_empty() => {
            Some(Which::Matching(filter(Some(text))?))
        }
        ("all", Value::Bool(true)) => Some(Which::all()),
        _ => None,
    };
    let which = which.ok_or_else(unreadable)?;
    Ok(Meant { which, below })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Option<(Which, Option<u64>)> {
        let meant = super::read(body.as_object().unwrap().clone()).ok()?;
        Some((meant.which, meant.below.map(DeadLetterId::get)))
    }

    #[test]
    fn a_body_means_some_letters_or_a_group_or_a_filter_or_all_and_nothing_else() {
        let these =
            |ids: &[u64]| Which::These(ids.iter().copied().map(DeadLetterId::new).collect());
        assert_eq!(read(&json!({ "id": 7 })), Some((these(&[7]), None)));
        let ids = json!({ "ids": [7, 9], "below": 8 });
        assert_eq!(read(&ids), Some((these(&[7, 9]), Some(8))));
        let group = Which::Group("a/b".to_owned());
        assert_eq!(read(&json!({ "group": "a/b" })), Some((group, None)));
        assert_eq!(read(&json!({ "all": true })), Some((Which::all(), None)));
        let Some((Which::Matching(filter), None)) = read(&json!({ "filter": "reason:400" })) else {
            panic!("a filter is read");
        };
        assert_eq!(filter.to_string(), "reason:400");
        for none in [
            json!({}),
            json!({ "id": 7, "all": true }),
            json!({ "id": "7" }),
            json!({ "id": -7 }),
            json!({ "ids": [] }),
            json!({ "ids": [7, "8"] }),
            json!({ "ids": vec![1; Which::MOST + 1] }),
            json!({ "all": false }),
            json!({ "every": true }),
            json!({ "filter": "" }),
            json!({ "filter": " " }),
            json!({ "filter": "colour:red" }),
            json!({ "all": true, "below": "x" }),
            json!({ "below": 7 }),
        ] {
            assert_eq!(read(&none), None, "{none}");
        }
    }
}
