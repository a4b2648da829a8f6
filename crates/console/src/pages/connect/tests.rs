//! The wizard's steps, with a process that is none.

use axum::http::StatusCode;
use connections::{Edit, Target};

use crate::seen::{Enabling, Preview};
use crate::trying::{Answered, HOSTILE, Scene, Trial, call, row};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";
const SOURCE: [(&str, &str); 4] = [
    ("asked", "source"),
    ("name", "acme-two"),
    ("workspace", "acme"),
    ("write_key", KEY),
];

/// The hidden fields of a page, as a browser would send them on.
fn carried(page: &Answered) -> Vec<(String, String)> {
    let parts = page.text.split("<input type=\"hidden\" name=\"c_").skip(1);
    let field = |part: &str| {
        let (name, rest) = part.split_once("\" value=\"").unwrap();
        let value = rest.split('"').next().unwrap();
        let plain = [
            ("&#34;", "\""),
            ("&#60;", "<"),
            ("&#62;", ">"),
            ("&#39;", "'"),
            ("&#38;", "&"),
        ];
        let value = plain
            .iter()
            .fold(value.to_owned(), |text, (from, to)| text.replace(from, to));
        (format!("c_{name}"), value)
    };
    parts.map(field).collect()
}

async fn send(trial: &Trial, step: &str, from: &Answered, typed: &[(&str, &str)]) -> Answered {
    let carried = carried(from);
    let carried = carried
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<(&str, &str)> = carried.chain(typed.iter().copied()).collect();
    trial.post(&format!("/connect/{step}"), &fields).await
}

#[tokio::test]
async fn the_four_steps_end_in_a_connection_as_it_was_chosen() {
    let trial = Trial::of(Scene::busy());
    let events = trial.post("/connect/events", &SOURCE).await;
    assert_eq!(events.status, StatusCode::OK);
    assert_eq!(events.text.matches("name=\"kind\"").count(), 93);
    let typed = [
        ("asked", "events"),
        ("kind", "email_sent"),
        ("channel", "sms"),
        ("new_kinds", "off"),
    ];
    let options = send(&trial, "options", &events, &typed).await;
    assert!(options.text.contains("Send Frequency"));
    let typed = [
        ("asked", "hosted"),
        ("send_frequency", "first"),
        ("body_content", "on"),
        ("region", "eu"),
    ];
    let review = send(&trial, "review", &options, &typed).await;
    for there in [
        "1 of Email, all of SMS",
        "only the first",
        "events.eu1.segmentapis.com",
        "ends in 2345",
    ] {
        assert!(review.text.contains(there), "{there}");
    }
    assert!(
        trial.scene().edits.is_empty(),
        "nothing is decided before the last step"
    );

    let done = send(&trial, "done", &review, &[]).await;
    assert_eq!(done.location, "/connections/acme-two?new");
    let scene = trial.scene();
    let [(Edit::AddConnection(added), Enabling::Now)] = scene.edits.as_slice() else {
        panic!("{:?}", scene.edits);
    };
    assert_eq!(added.write_key.to_string(), "kept:k-1");
    assert_eq!(added.target, Target::Eu);
    assert!(added.enabled && added.options.body_content && !added.options.send_back);
    let patterns: Vec<&str> = added.options.events.patterns().collect();
    assert_eq!(patterns, ["email_sent", "sms_*"]);
    assert_eq!(scene.done, ["keep a secret of 32 bytes", "edit"]);
}

#[tokio::test]
async fn a_pasted_key_never_comes_back_into_a_page() {
    let trial = Trial::of(Scene::busy());
    let events = trial.post("/connect/events", &SOURCE).await;
    let source = send(&trial, "source", &events, &[]).await;
    let review = send(&trial, "review", &events, &[]).await;
    for page in [events, source, review] {
        assert!(!page.text.contains(KEY) && page.text.contains("kept:k-1"));
    }
}

#[tokio::test]
async fn mistakes_stand_beside_their_fields_with_what_was_typed() {
    let trial = Trial::of(Scene::busy());
    let typed = [
        ("asked", "source"),
        ("name", "acme two"),
        ("workspace", "acme"),
    ];
    let page = trial.post("/connect/events", &typed).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for there in [
        "value=\"acme two\"",
        "id=\"wrong-name\"",
        "id=\"wrong-write_key\"",
        "role=\"alert\"",
    ] {
        assert!(page.text.contains(there), "{there}");
    }
    let taken = [SOURCE[0], ("name", "acme-production"), SOURCE[2], SOURCE[3]];
    let page = trial.post("/connect/events", &taken).await;
    assert!(page.text.contains("Another connection has this name."));

    let events = trial.post("/connect/events", &SOURCE).await;
    let page = send(&trial, "options", &events, &[("asked", "events")]).await;
    assert!(page.text.contains("choose an event"));
    let typed = [
        ("asked", "hosted"),
        ("region", "url"),
        ("endpoint", "nowhere"),
    ];
    let page = send(&trial, "review", &events, &typed).await;
    assert!(page.text.contains("id=\"wrong-endpoint\"") && page.text.contains("value=\"nowhere\""));
}

#[tokio::test]
async fn an_odd_key_is_warned_about_and_taken() {
    let trial = Trial::of(Scene::busy());
    let typed = [SOURCE[0], SOURCE[1], SOURCE[2], ("write_key", "too short")];
    let page = trial.post("/connect/events", &typed).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("9 characters instead of 32"));
}

#[tokio::test]
async fn a_refusal_of_the_process_leads_back_to_the_page_that_mends_it() {
    let trial = Trial::of(Scene::busy());
    let named = [
        SOURCE[0],
        SOURCE[1],
        SOURCE[2],
        ("write_key_at", "env:NOT_SET"),
    ];
    let review = trial.post("/connect/review", &named).await;
    let mut scene = trial.scene();
    let why = "connection acme-two: write_key: the environment variable NOT_SET is not set";
    scene.mistakes = vec![why.to_owned()];
    let refused = send(&Trial::of(scene), "done", &review, &[]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("Which Segment source?"));
    assert!(refused.text.contains("NOT_SET is not set."));
}

#[tokio::test]
async fn real_events_are_shown_as_they_would_be_sent() {
    let mut scene = Scene::busy();
    let empty = Trial::of(scene.clone())
        .post("/connect/review", &SOURCE)
        .await;
    assert!(empty.text.contains("No event has arrived yet."));
    let mut hostile = call();
    hostile.event = HOSTILE.to_owned();
    hostile.json = serde_json::json!({ "event": HOSTILE }).to_string();
    hostile.notes = vec![HOSTILE.to_owned()];
    let (row, body) = (row(2), String::new());
    scene.previews = vec![
        Preview {
            row: row.clone(),
            body: body.clone(),
            call: Ok(hostile),
        },
        Preview {
            row,
            body,
            call: Err(HOSTILE.to_owned()),
        },
    ];
    let page = Trial::of(scene).post("/connect/review", &SOURCE).await;
    assert!(page.text.contains("not sent"));
    assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"));
}

#[tokio::test]
async fn without_a_workspace_the_wizard_leads_to_one_and_back() {
    let page = Trial::of(Scene::empty()).get("/connect").await;
    assert!(page.text.contains("/workspaces/new?then=connect"));
    let page = Trial::of(Scene::busy())
        .get("/connect?workspace=acme")
        .await;
    assert!(page.text.contains("<option value=\"acme\" selected>"));
    let again = Trial::of(Scene::busy()).get("/connect/review").await;
    assert_eq!(again.location, "/connect");
}
