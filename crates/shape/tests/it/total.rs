//! No bytes make it panic, and whatever comes out is a call that Segment takes.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};
use shape::{
    Event, EventKey, FirstPer, MAX_CALL_BYTES, MAX_EVENT_ID_BYTES, Names, Options, PayloadVersion,
    SendFrequency, Shaped, shape,
};

use crate::cases::{Case, examples};

/// Options that reach every branch, two by two.
fn all_options() -> [Options; 3] {
    let eager = Options {
        connection_id: "con_1".to_owned(),
        body_content: true,
        customer_id: true,
        names: true,
        send_frequency: SendFrequency::First(FirstPer::DeliveryNameAndLink),
        renames: [("email_opened".to_owned(), "\"\n".to_owned())]
            .into_iter()
            .collect(),
        left_out: ["subject".to_owned()].into(),
        ..Options::default()
    };
    let older = Options {
        payload_version: PayloadVersion::V1,
        send_back: true,
        empty_user_id: false,
        ..Options::default()
    };
    [Options::default(), eager, older]
}

/// Shapes `body` in every way and checks what must hold of any call.
fn check(body: &[u8]) {
    let Ok(event) = Event::parse(body) else {
        assert!(EventKey::of_body(body).as_bytes().starts_with(b"body:"));
        return;
    };
    assert!((1..=MAX_EVENT_ID_BYTES).contains(&event.key().as_bytes().len()));
    let names = Names {
        action: Some("a\u{1}\"b"),
        ..Names::default()
    };
    for options in all_options() {
        let shaped = shape(&event, None, &options, &names);
        assert_eq!(
            shaped,
            shape(&event, None, &options, &names),
            "shaping is a function"
        );
        if let Shaped::Call(call) = shaped {
            assert!(call.json.len() <= MAX_CALL_BYTES && !call.json.contains('\n'));
            check_call(&call.json, &options);
        }
    }
}

fn check_call(json: &str, options: &Options) {
    // Text that JSON can carry and no reader can hold, such as 1e400, is passed on as well.
    let Ok(Value::Object(call)) = serde_json::from_str(json) else {
        assert!(
            serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok(),
            "{json}"
        );
        return;
    };
    let properties = call["properties"]
        .as_object()
        .expect("properties are an object");
    for (key, value) in properties {
        assert!(!value.is_null() || key == "content", "{key} is null");
    }
    assert!(call["event"].as_str().is_some_and(|name| !name.is_empty()));
    check_person(&call, properties, options);
}

fn check_person(call: &Map<String, Value>, properties: &Map<String, Value>, options: &Options) {
    let text = |key: &str| call.get(key).map(|id| id.as_str().expect("ids are text"));
    match (text("userId"), text("anonymousId")) {
        (Some(user), None) => assert!(!user.is_empty()),
        (Some(""), Some(anonymous)) => assert!(options.empty_user_id && !anonymous.is_empty()),
        (None, Some(anonymous)) => assert!(!options.empty_user_id && !anonymous.is_empty()),
        other => panic!("{other:?} is nobody"),
    }
    for key in ["userId", "anonymousId"] {
        assert_eq!(
            call.get(key),
            properties.get(key),
            "{key} is repeated as it stands"
        );
    }
}

/// What may befall one value of a body.
#[derive(Debug, Clone)]
enum Mutation {
    Drop,
    Put(Value),
    Rename(String),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        "[a-z_]*".prop_map(Value::from),
        (0..MAX_CALL_BYTES).prop_map(|n| Value::from("é\n".repeat(n))),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!([{"a": null}, null, 1])),
        Just(serde_json::json!({"id": 1, "topics": {"a": null}})),
    ];
    prop_oneof![
        Just(Mutation::Drop),
        value.prop_map(Mutation::Put),
        "[a-z_]*|userId|anonymousId|topics|link|content|email_id".prop_map(Mutation::Rename),
    ]
}

/// Applies `mutation` to the member at `place`, counting through all nested objects.
fn mutate(value: &mut Value, place: Index, mutation: &Mutation) {
    let mut paths = Vec::new();
    collect_paths(value, "", &mut paths);
    if paths.is_empty() {
        return;
    }
    let path = place.get(&paths);
    let (parent, key) = path.rsplit_once('/').expect("a path has a parent");
    let Some(parent) = value.pointer_mut(parent).and_then(Value::as_object_mut) else {
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    match mutation {
        Mutation::Drop => _ = parent.remove(&key),
        Mutation::Put(new) => _ = parent.insert(key, new.clone()),
        Mutation::Rename(new) => {
            if let Some(value) = parent.remove(&key) {
                parent.insert(new.clone(), value);
            }
        }
    }
}

fn collect_paths(value: &Value, path: &str, paths: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        collect_paths(value, &path, paths);
        paths.push(path);
    }
}

/// The bodies that mutations start from.
fn samples() -> Vec<Value> {
    let golden = Case::all().into_iter().map(|case| case.event);
    let bodies = golden.chain(examples().into_iter().map(|(_, body)| body));
    bodies
        .filter_map(|body| serde_json::from_str(&body).ok())
        .collect()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in any::<Vec<u8>>()) {
        check(&body);
    }

    #[test]
    fn no_text_of_json_characters_makes_it_panic(data in r#"([\[\]{}:,"\\ au0-9.+-]|null|"[a-z]{1,9}": ?|\\u[d-e]8[0-9a-f]{2}){0,40}"#) {
        check(data.as_bytes());
        check(format!(r#"{{"metric":"sent","data":{{"identifiers":{{"id":"1"}},{data}}}}}"#).as_bytes());
    }

    #[test]
    fn samples_with_anything_wrong_are_still_shaped_or_refused(
        sample in any::<Index>(),
        mutations in prop::collection::vec((any::<Index>(), mutation()), 1..6),
    ) {
        let mut body = sample.get(&samples()).clone();
        for (place, mutation) in &mutations {
            mutate(&mut body, *place, mutation);
        }
        check(body.to_string().as_bytes());
    }

    #[test]
    fn a_sample_that_ends_early_is_refused(sample in any::<Index>(), end in any::<Index>()) {
        let body = sample.get(&samples()).to_string();
        let torn = body.as_bytes().get(..end.index(body.len())).expect("an end within");
        prop_assert!(Event::parse(torn).is_err());
    }

    #[test]
    fn values_keep_their_text(number in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,6})?") {
        let body = format!(r#"{{"object_type":"push","metric":"sent","data":{{"identifiers":{{"id":{number}}},"n": {number} }}}}"#);
        let event = Event::parse(body.as_bytes()).expect("the body can be used");
        let Shaped::Call(call) = shape(&event, None, &Options::default(), &Names::default()) else {
            panic!("it was not sent");
        };
        let expected = format!(r#""properties":{{"n":{number},"userId":"{number}"}}}}"#);
        prop_assert!(call.json.ends_with(&expected), "{}", call.json);
    }
}
