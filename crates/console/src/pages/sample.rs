//! Recent events as a connection would send them, to look at before it does.

use std::collections::BTreeMap;

use connections::Connection;
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::compare;
use crate::process::{Process, Trouble};
use crate::seen::Preview;

/// How many events are shown.
const SHOWN: usize = 3;
/// How many are looked at for a comparison: each side has those first of which it
/// makes a call, so the newest few need not be the same.
const COMPARED: usize = 30;

/// One event, as it would be sent.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) record: String,
    pub(crate) name: String,
    pub(crate) received_at: Timestamp,
    /// The call, laid out; or why there is none.
    pub(crate) call: Result<String, String>,
    pub(crate) notes: Vec<String>,
}

/// A field that is not the same in two calls.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference {
    /// Such as `properties.subject`.
    pub(crate) field: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// One event as two connections would send it.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) record: String,
    pub(crate) name: String,
    /// Why the one or the other makes no call of it.
    pub(crate) without: Vec<String>,
    pub(crate) differences: Vec<Difference>,
    pub(crate) n_alike: usize,
}

/// The newest events of its workspace, as `candidate` would send them.
pub(crate) async fn samples<P: Process>(
    process: &P,
    candidate: &Connection,
) -> Result<Vec<Sample>, Trouble> {
    let previews = process.preview(candidate, SHOWN).await?;
    Ok(previews.into_iter().map(sample).collect())
}

fn sample(preview: Preview) -> Sample {
    let notes = preview.call.as_ref().map(|call| call.notes.clone());
    let name = match &preview.call {
        Ok(call) => call.event.clone(),
        Err(_) => preview.row.name.clone(),
    };
    Sample {
        record: preview.row.place.to_string(),
        name,
        received_at: preview.row.received_at,
        notes: notes.unwrap_or_default(),
        call: preview.call.map(|call| laid_out(&call.json)),
    }
}

fn laid_out(json: &str) -> String {
    let parts = compare::lay_out(json).into_iter();
    parts.map(|part| part.text).collect()
}

/// The newest events of its workspace, as `before` and `after` would send them.
pub(crate) async fn compared<P: Process>(
    process: &P,
    before: &Connection,
    after: &Connection,
) -> Result<Vec<Compared>, Trouble> {
    let olds = process.preview(before, COMPARED).await?;
    let news = process.preview(after, COMPARED).await?;
    let pair = |old: &Preview| {
        let new = news.iter().find(|new| new.row.place == old.row.place)?;
        Some(compare_one(old, new))
    };
    Ok(olds.iter().filter_map(pair).take(SHOWN).collect())
}

fn compare_one(old: &Preview, new: &Preview) -> Compared {
    let mut compared = Compared {
        record: old.row.place.to_string(),
        name: old.row.name.clone(),
        without: Vec::new(),
        differences: Vec::new(),
        n_alike: 0,
    };
    match (&old.call, &new.call) {
        (Ok(old), Ok(new)) => {
            (compared.differences, compared.n_alike) = differences(&old.json, &new.json);
        }
        (old, new) => {
            for (when, call) in [("Before", old), ("After", new)] {
                compared.without.push(match call {
                    Ok(_) => format!("{when}: it is sent."),
                    Err(why) => format!("{when}: it is not sent, {why}."),
                });
            }
        }
    }
    compared
}

/// The fields that differ, and how many do not. Values stay as they are written.
fn differences(before: &str, after: &str) -> (Vec<Difference>, usize) {
    let (before, mut after) = (fields(before), fields(after));
    let mut found = Vec::new();
    let n_before = before.len();
    for (field, old) in before {
        let new = after.remove(&field);
        if new.as_deref() != Some(&*old) {
            let before = Some(old);
            found.push(Difference {
                field,
                before,
                after: new,
            });
        }
    }
    let n_alike = n_before - found.len();
    let added = after.into_iter().map(|(field, new)| Difference {
        field,
        before: None,
        after: Some(new),
    });
    found.extend(added);
    found.sort_by(|a, b| a.field.cmp(&b.field));
    (found, n_alike)
}

/// Every value of a document by its path; objects are looked into, lists are not.
fn fields(json: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect("", json, &mut found);
    found
}

fn collect(path: &str, json: &str, found: &mut BTreeMap<String, String>) {
    /// Below this, objects are taken whole: nothing that we make is deeper.
    const DEEPEST: usize = 8;
    let object = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(json);
    match object {
        Ok(object) if path.split('.').count() <= DEEPEST => {
            for (key, value) in object {
                let below = if path.is_empty() {
                    key
                } else {
                    format!("{path}.{key}")
                };
                collect(&below, value.get(), found);
            }
        }
        _ => {
            found.insert(path.to_owned(), compare::visible(json));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_two_calls_is_told_field_by_field() {
        let before = r#"{"event":"Email Sent","properties":{"email_id":"a","n":1.10,"l":[1]}}"#;
        let after = r#"{"event":"Email Sent","properties":{"subject":"s","n":1.10,"l":[2]}}"#;
        let (found, n_alike) = differences(before, after);
        let told = found.iter().map(|one| {
            let show = |value: &Option<String>| value.clone().unwrap_or_default();
            format!("{} {} {}", one.field, show(&one.before), show(&one.after))
        });
        let told: Vec<String> = told.collect();
        let expected = [
            "properties.email_id \"a\" ",
            "properties.l [1] [2]",
            "properties.subject  \"s\"",
        ];
        assert_eq!(told, expected);
        assert_eq!(n_alike, 2);
    }

    #[test]
    fn what_is_no_json_is_compared_as_it_is() {
        let (found, _) = differences("{\"a\":", "soup");
        assert_eq!(found.len(), 1);
    }
}
