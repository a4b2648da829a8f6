//! What is other in a call than it was in the one before, field by field.

use std::collections::BTreeMap;

use console::seen::Difference;
use serde_json::Value;

/// Differences that are shown of one call.
const SHOWN: usize = 50;
/// Of a value this much is shown.
const VALUE_BYTES: usize = 200;

/// The fields in which two calls differ, by name; nothing where either is no JSON.
pub(super) fn between(before: &str, now: &str) -> Vec<Difference> {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(before), Some(now)) = (read(before), read(now)) else {
        return Vec::new();
    };
    let (before, now) = (fields(&before), fields(&now));
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differ = names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name));
    let shown = differ.take(SHOWN).map(|name| Difference {
        field: name.clone(),
        before: before.get(name).map(|value| shown(value)),
        now: now.get(name).map(|value| shown(value)),
    });
    shown.collect()
}

/// Every value by the path of its names. Lists and empty objects are values.
fn fields(value: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    let mut left = vec![(String::new(), value)];
    while let Some((path, value)) = left.pop() {
        match value {
            Value::Object(entries) if !entries.is_empty() || path.is_empty() => {
                for (name, value) in entries {
                    let path = match path.as_str() {
                        "" => name.clone(),
                        path => format!("{path}.{name}"),
                    };
                    left.push((path, value));
                }
            }
            _ => drop(found.insert(path, value)),
        }
    }
    found
}

fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > VALUE_BYTES {
        text.truncate(text.floor_char_boundary(VALUE_BYTES));
        text.push('\u{2026}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_came_went_or_changed_is_named_with_both_values() {
        let before = r#"{"event":"A","properties":{"x":1,"gone":null,"list":[1]},"same":{}}"#;
        let now = r#"{"event":"B","properties":{"x":1,"came":"y","list":[1,2]},"same":{}}"#;
        let said = between(before, now);
        let said: Vec<_> = said
            .iter()
            .map(|each| {
                (
                    each.field.as_str(),
                    each.before.as_deref(),
                    each.now.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                ("event", Some("\"A\""), Some("\"B\"")),
                ("properties.came", None, Some("\"y\"")),
                ("properties.gone", Some("null"), None),
                ("properties.list", Some("[1]"), Some("[1,2]")),
            ]
        );
    }

    #[test]
    fn the_same_call_has_no_differences_and_long_values_are_cut() {
        assert_eq!(between(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), []);
        let long = format!("{{\"a\":\"{}\"}}", "\u{e9}".repeat(500));
        let said = between("{}", &long);
        assert!(said[0].now.as_ref().unwrap().len() < VALUE_BYTES + 10);
        assert_eq!(between("no JSON", "{}"), []);
    }
}
