//! The tracking pixel: a call in a query string, answered with a picture.
//!
//! The call is base64 JSON in `data`, or flat keys such as
//! `properties.subject=Hello`, whose values are all strings.

use axum::{
    body::Body,
    extract::Query,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD_PAD_INDIFFERENT};
use http::{HeaderValue, StatusCode, Uri, header::CONTENT_TYPE};
use serde_json::{Map, Value};

/// A transparent picture of one point.
const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
/// Levels that flat keys may nest; deeper keys end in one name with dots.
const MAX_DEPTH: usize = 16;

/// The answer to every pixel, whatever it brought.
pub(super) fn picture() -> Response {
    let gif = HeaderValue::from_static("image/gif");
    (StatusCode::OK, [(CONTENT_TYPE, gif)], Body::from(GIF)).into_response()
}

/// The call of a pixel's query as JSON text, or `None` where there is none.
pub(super) fn call(uri: &Uri) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let data = pairs.iter().find(|(name, _)| name == "data");
    if let Some((_, data)) = data {
        return decoded(data);
    }
    let mut call = Map::new();
    for (name, value) in pairs {
        let path: Vec<&str> = name.splitn(MAX_DEPTH, '.').collect();
        insert(&mut call, &path, value);
    }
    (!call.is_empty()).then(|| Value::Object(call).to_string())
}

/// Both alphabets are in use, and a bare `+` arrives as a space.
fn decoded(data: &str) -> Option<String> {
    let standard: String = data
        .chars()
        .map(|char| match char {
            '-' | ' ' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    String::from_utf8(STANDARD_PAD_INDIFFERENT.decode(standard).ok()?).ok()
}

/// Sets the value at `path`; one that stands in the way of an object stays.
fn insert(into: &mut Map<String, Value>, path: &[&str], value: String) {
    match path {
        [] => (),
        [name] => {
            into.insert((*name).to_owned(), Value::String(value));
        }
        [name, rest @ ..] => {
            let inner = into
                .entry((*name).to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_safe_data_and_a_plus_that_became_a_space_decode() {
        // "{"a":"~~~???"}" encodes with + and / in the standard alphabet.
        let text = r#"{"a":"~~~???>>>"}"#;
        let standard = STANDARD_PAD_INDIFFERENT.encode(text);
        assert!(
            standard.contains('+') || standard.contains('/'),
            "the case is worthless: {standard}"
        );
        let url_safe = standard.replace('+', "-").replace('/', "_");
        let spaced = standard.replace('+', " ");
        for data in [
            &standard,
            &url_safe,
            &spaced,
            &standard.trim_end_matches('=').to_owned(),
        ] {
            assert_eq!(decoded(data).as_deref(), Some(text));
        }
    }
}
