//! Dead letters: which there are and why, once more, and for good.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use console::{Process as _, Which};
use journal::{DeadLetterFilter, DeadLetterId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::answers::{dead_letter, dead_letter_line};
use super::asked::{Asked, Given, Named};
use super::draft::{Keys, Kind};
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
        post("/api/dead-letters/retry", retry),
        post("/api/dead-letters/discard", discard),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLettersQuery {
    connection: Option<String>,
    after: Option<u64>,
    limit: Option<u64>,
}

async fn dead_letters(
    State(api): State<Api>,
    Asked(query): Asked<DeadLettersQuery>,
) -> Result<Response, Failure> {
    let operator = &api.desk.operator;
    let connection = match &query.connection {
        Some(name) => {
            let id = operator.id_of(name);
            Some(id.ok_or_else(|| Kind::Connection.missing(name))?)
        }
        None => None,
    };
    let asked = query.limit.map(usize::try_from);
    let asked = asked.map(|limit| limit.unwrap_or(usize::MAX));
    let filter = DeadLetterFilter {
        connection,
        after: query.after.map(DeadLetterId::new),
        limit: asked.unwrap_or(DEAD_LETTERS).min(MAX_DEAD_LETTERS),
    };
    // Counted first, so that an answer never counts letters that it does not show.
    let total = operator.journal.dead_letter_count().await?;
    let letters = operator.journal.dead_letters(filter).await?;
    let line = |each| dead_letter_line(operator, each);
    let lines: Vec<_> = letters.iter().map(line).collect();
    Ok(Json(json!({ "dead_letters": lines, "total": total })).into_response())
}

async fn groups(State(api): State<Api>) -> Result<Response, Failure> {
    Ok(Json(api.desk.letters().await?).into_response())
}

async fn one_dead_letter(State(api): State<Api>, Named(id): Named) -> Result<Response, Failure> {
    let missing = || Failure::not_found(format!("there is no dead letter {id:?}"));
    let number: u64 = id.parse().map_err(|_| missing())?;
    let operator = &api.desk.operator;
    let found = operator.journal.dead_letter(DeadLetterId::new(number));
    let found = found.await?.ok_or_else(missing)?;
    Ok(Json(dead_letter(operator, &found)).into_response())
}

async fn retry(State(api): State<Api>, Given(keys): Given<Keys>) -> Result<Response, Failure> {
    let which = which(&api, &keys).await?;
    Ok(Json(api.desk.retry(which).await?).into_response())
}

async fn discard(State(api): State<Api>, Given(keys): Given<Keys>) -> Result<Response, Failure> {
    let which = which(&api, &keys).await?;
    let discarded = api.desk.discard(which).await?;
    Ok(Json(json!({ "discarded": discarded })).into_response())
}

/// Which letters a body means, as far as there are any.
async fn which(api: &Api, keys: &Keys) -> Result<Which, Failure> {
    let which = read(keys).ok_or_else(|| {
        let one = "say which dead letters with exactly one of";
        Failure::unusable(format!(
            "{one} {{\"id\": 7}}, {{\"group\": \"its key\"}} and {{\"all\": true}}"
        ))
    })?;
    match &which {
        Which::One(id) if api.desk.letter(*id).await?.is_none() => {
            let error = format!("there is no dead letter {}", id.get());
            Err(Failure::not_found(error))
        }
        Which::Group(key) if api.desk.letters_of(Some(key), None, 1).await?.is_empty() => {
            let error = format!("no dead letter is in the group {key:?}");
            Err(Failure::not_found(error))
        }
        Which::One(_) | Which::Group(_) | Which::All => Ok(which),
    }
}

fn read(keys: &Keys) -> Option<Which> {
    let mut keys = keys.iter();
    let (Some((key, value)), None) = (keys.next(), keys.next()) else {
        return None;
    };
    match (key.as_str(), value) {
        ("id", Value::Number(id)) => Some(Which::One(DeadLetterId::new(id.as_u64()?))),
        ("group", Value::String(key)) => Some(Which::Group(key.clone())),
        ("all", Value::Bool(true)) => Some(Which::All),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_means_one_letter_or_a_group_or_all_and_nothing_else() {
        let read = |body: Value| read(body.as_object().unwrap());
        assert_eq!(
            read(json!({ "id": 7 })),
            Some(Which::One(DeadLetterId::new(7)))
        );
        assert_eq!(
            read(json!({ "group": "a/b" })),
            Some(Which::Group("a/b".to_owned()))
        );
        assert_eq!(read(json!({ "all": true })), Some(Which::All));
        for none in [
            json!({}),
            json!({ "id": 7, "all": true }),
            json!({ "id": "7" }),
            json!({ "id": -7 }),
            json!({ "all": false }),
            json!({ "every": true }),
        ] {
            assert_eq!(read(none.clone()), None, "{none}");
        }
    }
}
