//! Holds the OpenAPI document and the routes to each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// Routes that only `postmeter migrate` and `import` use, between two builds of this
/// program. They are no part of what is promised to anybody else.
const INTERNAL: [&str; 2] = ["/api/migration/", "/api/import/"];

fn document() -> Value {
    serde_json::from_str(OPENAPI).expect("the document is JSON")
}

/// Every operation, with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    each.collect()
}

fn routes(routes: &[Route]) -> BTreeSet<String> {
    let public = routes
        .iter()
        .filter(|route| !INTERNAL.iter().any(|path| route.path.starts_with(path)));
    public
        .map(|route| format!("{} {}", route.method, route.path))
        .collect()
}

#[test]
fn every_route_is_in_the_document_and_nothing_else_is() {
    let document = document();
    let described: BTreeSet<String> = operations(&document)
        .into_iter()
        .map(|(route, _)| route)
        .collect();
    let mut answered = routes(&guarded_routes());
    answered.extend(routes(&open_routes()));
    assert_eq!(described, answered);
}

#[test]
fn every_route_but_health_asks_for_the_token_in_the_document_too() {
    let document = document();
    let open = routes(&open_routes());
    for (route, operation) in operations(&document) {
        let is_open = operation.get("security") == Some(&serde_json::json!([]));
        assert_eq!(is_open, open.contains(&route), "{route}");
        let says_so = operation["responses"].get("401").is_some();
        assert_eq!(says_so, !is_open, "{route}");
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_part_of_its_path_is_described() {
    let document = document();
    let mut names = BTreeSet::new();
    for (route, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name} stands twice");
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let in_path = parameters.into_iter().flatten();
        let in_path = in_path.filter(|parameter| parameter["in"] == "path");
        let described: BTreeSet<&str> = in_path
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let parts = route.split('/').filter_map(|part| part.strip_prefix('{'));
        let parts: BTreeSet<&str> = parts.map(|part| part.trim_end_matches('}')).collect();
        assert_eq!(described, parts, "{route}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_referred_to() {
    let document = document();
    let mut referred = BTreeSet::new();
    let mut left = vec![&document];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(pairs) => {
                left.extend(pairs.values());
                referred.extend(pairs.get("$ref").and_then(Value::as_str));
            }
            _ => {}
        }
    }
    for reference in &referred {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(referred.contains(reference.as_str()), "nobody uses {name}");
        }
    }
}
