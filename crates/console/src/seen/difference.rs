//! In which fields two calls differ.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::compare;

/// A field that is not the same in two calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Such as `properties.subject`.
    pub field: String,
    /// As it was; none where it was not there.
    pub before: Option<String>,
    /// As it is; none where it is not there.
    pub now: Option<String>,
}

/// The fields that differ, and how many do not. Values stay as they are written.
pub fn differences(before: &str, after: &str) -> (Vec<Difference>, usize) {
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
                now: new,
            });
        }
    }
    let n_alike = n_before - found.len();
    let added = after.into_iter().map(|(field, new)| Difference {
        field,
        before: None,
        now: Some(new),
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
            format!("{} {} {}", one.field, show(&one.before), show(&one.now))
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
