//! Holds drafts to the document: what a key does, and what is a mistake.

use serde_json::json;

use super::*;

const DOCUMENT: &str = r#"
    [[workspace]]
    name = "acme"
    signing_keys = ["env:KEY"]
    app_api_key = "env:APP"
    app_api_region = "eu"
    [[connection]]
    name = "eu"
    id = "c-1"
    workspace = "acme"
    write_key = "env:EU"
    region = "eu"
    send_frequency = "first"
    first_per = "link"
    rename = { "Email Opened" = "Mail \"read\"" }
"#;

fn decided() -> Connections {
    let written = Written::parse(DOCUMENT).unwrap();
    written.settle_ids(&Connections::default()).unwrap()
}

fn keys(value: &Value) -> Keys {
    value.as_object().unwrap().clone()
}

fn patched(kind: Kind, name: &str, value: &Value) -> Result<Keys, String> {
    let decided = decided();
    let edit = changed(&decided, kind, name, keys(value)).map_err(|e| format!("{e:?}"))?;
    let next = decided.edited(&edit).unwrap().settle_ids(&decided).unwrap();
    let named = value.get("name").and_then(Value::as_str).unwrap_or(name);
    Ok(keys_of(&next, kind, named).unwrap())
}

#[test]
fn what_a_get_answers_changes_nothing_as_a_patch() {
    for (kind, name) in [(Kind::Workspace, "acme"), (Kind::Connection, "eu")] {
        let as_is = keys_of(&decided(), kind, name).unwrap();
        let value = Value::Object(as_is.clone());
        assert_eq!(patched(kind, name, &value).unwrap(), as_is);
        assert_eq!(patched(kind, name, &json!({})).unwrap(), as_is);
    }
}

#[test]
fn given_keys_replace_and_null_goes_back_to_the_default() {
    let patch = json!({
        "paused": true, "label": "Europe", "send_frequency": null,
        "endpoint": "http://127.0.0.1:9", "events": ["email_*"], "rename": {},
    });
    let next = patched(Kind::Connection, "eu", &patch).unwrap();
    assert_eq!(next["id"], "c-1");
    assert_eq!(
        (&next["paused"], &next["label"]),
        (&json!(true), &json!("Europe"))
    );
    assert_eq!(next["endpoint"], "http://127.0.0.1:9");
    assert_eq!(next["send_frequency"], "every");
    assert_eq!(next["events"], json!(["email_*"]));
    for gone in ["region", "first_per", "rename"] {
        assert!(!next.contains_key(gone), "{gone}");
    }
}

#[test]
fn what_contradicts_a_given_key_gives_way() {
    let off = json!({ "signature": "off", "app_api_key": null });
    let next = patched(Kind::Workspace, "acme", &off).unwrap();
    assert_eq!(
        Value::Object(next),
        json!({ "name": "acme", "signature": "off" })
    );
    let url = json!({ "app_api_url": "http://127.0.0.1:9" });
    let next = patched(Kind::Workspace, "acme", &url).unwrap();
    assert!(!next.contains_key("app_api_region"));
}

#[test]
fn a_workspace_keeps_its_name() {
    for name in [json!("beta"), json!(null), json!(7)] {
        let said = patched(Kind::Workspace, "acme", &json!({ "name": name })).unwrap_err();
        assert!(said.contains("never changes"), "{name}: {said}");
    }
    let same = json!({ "name": "acme" });
    assert!(patched(Kind::Workspace, "acme", &same).is_ok());
}

#[test]
fn mistakes_are_the_documents_own_and_without_lines() {
    let cases = [
        (json!({ "id": "c-2" }), "never changes"),
        (json!({ "name": "document" }), "choose another name"),
        (json!({ "name": null }), "is missing"),
        (json!({ "workspace": "acne" }), "did you mean \\\"acme\\\"?"),
        (
            json!({ "write_key": "abcdefghijklmnop" }),
            "a secret itself does not belong",
        ),
        (json!({ "pause": true }), "did you mean `paused`?"),
        (json!({ "enabled": "yes" }), "true or false"),
        (json!({ "events": [null] }), "null inside"),
        (
            json!({ "label": 18_446_744_073_709_551_615_u64 }),
            "too large",
        ),
        (
            json!({ "region": "us", "endpoint": "http://127.0.0.1" }),
            "keep one of the two",
        ),
    ];
    for (patch, words) in cases {
        let said = patched(Kind::Connection, "eu", &patch).unwrap_err();
        assert!(said.contains(words), "{patch}: {said}");
        assert!(said.contains("line: None"), "{patch}: {said}");
        assert!(!said.contains("abcdefghijklmnop"), "{said}");
    }
}

#[test]
fn what_is_new_has_a_name_of_its_own_and_no_id() {
    let decided = decided();
    let new = |more: Value| {
        let mut all = keys(&json!({
            "name": "us", "workspace": "acme", "write_key": "kept:0123", "label": null,
        }));
        all.extend(keys(&more));
        added(&decided, Kind::Connection, all)
    };
    let Ok(Edit::AddConnection(connection)) = new(json!({})) else {
        panic!("it is without mistakes");
    };
    assert_eq!((connection.label, connection.enabled), (None, true));
    for (more, words) in [
        (json!({ "name": "eu" }), "another connection has this name"),
        (json!({ "id": "c-9" }), "is made by the server"),
    ] {
        let said = format!("{:?}", new(more).unwrap_err());
        assert!(said.contains(words), "{said}");
    }
}
