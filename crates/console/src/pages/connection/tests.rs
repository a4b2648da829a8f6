//! The connection's pages, with a process that is none.

use axum::http::StatusCode;
use connections::{Connection, Edit, Target};
use shape::PayloadVersion;

use crate::seen::{Enabling, LineState, Preview};
use crate::trying::{HOSTILE, Scene, Trial, attempt, call, connection, row};

const PATH: &str = "/connections/acme-production";

/// All that the form would send if nothing was touched.
const FORM: [(&str, &str); 12] = [
    ("asked", "source"),
    ("name", "acme-production"),
    ("workspace", "acme"),
    ("asked", "hosted"),
    ("send_frequency", "every"),
    ("region", "us"),
    ("asked", "events"),
    ("kind", "email_sent"),
    ("new_kinds", "by-pattern"),
    ("asked", "more"),
    ("payload_version", "2.0.0"),
    ("empty_user_id", "on"),
];

fn in_state(state: LineState) -> Scene {
    let mut scene = Scene::busy();
    scene.overview.connections = vec![connection("acme-production", state)];
    scene
}

fn replaced(trial: &Trial) -> (Connection, Enabling) {
    let scene = trial.scene();
    match scene.edits.as_slice() {
        [(Edit::ReplaceConnection(next), enabling)] => (next.clone(), *enabling),
        other => panic!("{other:?}"),
    }
}

fn disabled_v1() -> Scene {
    let mut scene = in_state(LineState::Disabled);
    scene
        .document
        .push_str("enabled = false\npayload_version = \"1.0.0\"\n");
    let old = call();
    let mut new = call();
    new.json = new.json.replace("userId", "anonymousId");
    scene.previews = vec![Preview {
        row: row(2),
        body: String::new(),
        call: Ok(old),
    }];
    scene
}

#[tokio::test]
async fn the_page_says_how_it_is_doing_and_what_was_answered() {
    let mut scene = in_state(LineState::Waiting);
    let seen = &mut scene.overview.connections[0];
    seen.reason = Some("Segment answers 429".to_owned());
    seen.lag_records = 18_240;
    seen.attempts = vec![attempt(429)];
    let page = Trial::of(scene).get(PATH).await;
    let text = page.text.replace('\u{202f}', " ");
    for there in [
        "acme-production is waiting; nothing is lost.",
        "Segment answers 429",
        "18 240 events",
        "environment variable ACME_WRITE_KEY, ends in 2345",
        "action=\"/connections/acme-production/pause\"",
        "Last attempts",
    ] {
        assert!(text.contains(there), "{there}");
    }
    assert_eq!(page.text.matches("<h1").count(), 1);
    let missing = Trial::of(Scene::busy()).get("/connections/other").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_test_event_leads_to_what_to_look_for_and_to_a_confirmation() {
    let mut scene = in_state(LineState::Unconfirmed);
    scene.overview.connections[0].confirmed_at = None;
    let trial = Trial::of(scene);
    let sent = trial.post(&format!("{PATH}/test"), &[]).await;
    assert_eq!(
        sent.location,
        format!("{PATH}?sent=pm-test&event=Postmeter%20Test")
    );
    let page = trial.get(&sent.location).await;
    assert!(page.text.contains("pm-test") && page.text.contains("I have seen it"));
    let forged = trial.get(&format!("{PATH}?sent=%3Cb%3E")).await;
    assert!(!forged.text.contains("sent-id"));
    let confirmed = trial.post(&format!("{PATH}/confirm"), &[]).await;
    assert_eq!(confirmed.location, PATH);
    let done = trial.scene().done;
    assert_eq!(
        done,
        [
            "send a test through acme-production",
            "confirm acme-production"
        ]
    );
}

#[tokio::test]
async fn pause_resume_and_disable_change_that_and_nothing_else() {
    let before = Scene::busy().connection();
    let paused = Connection {
        paused: true,
        ..before.clone()
    };
    let disabled = Connection {
        enabled: false,
        ..before
    };
    for (act, expected) in [("pause", paused), ("disable", disabled)] {
        let trial = Trial::of(Scene::busy());
        let went = trial.post(&format!("{PATH}/{act}"), &[]).await;
        assert_eq!(went.location, PATH);
        assert_eq!(replaced(&trial).0, expected, "{act}");
    }
    let mut scene = in_state(LineState::Paused);
    scene.document.push_str("paused = true\n");
    let trial = Trial::of(scene);
    assert!(trial.get(PATH).await.text.contains("/resume\""));
    trial.post(&format!("{PATH}/resume"), &[]).await;
    assert!(!replaced(&trial).0.paused);
}

#[tokio::test]
async fn enabling_asks_where_to_begin_and_moves_to_the_newer_version() {
    let trial = Trial::of(disabled_v1());
    let page = trial.get(&format!("{PATH}/enable")).await;
    let text = page.text.replace('\u{202f}', " ");
    assert!(text.contains("catch up with 18 240 events") && text.contains("Stay on 1.0.0"));

    trial
        .post(&format!("{PATH}/enable"), &[("begin", "backlog")])
        .await;
    let (next, enabling) = replaced(&trial);
    assert!(next.enabled && enabling == Enabling::Backlog);
    assert_eq!(next.options.payload_version, PayloadVersion::V2);

    let trial = Trial::of(disabled_v1());
    let stay = [("begin", "now"), ("stay", "on")];
    trial.post(&format!("{PATH}/enable"), &stay).await;
    let (next, enabling) = replaced(&trial);
    assert_eq!(enabling, Enabling::Now);
    assert_eq!(next.options.payload_version, PayloadVersion::V1);
}

#[tokio::test]
async fn changing_the_version_is_possible_directly() {
    let trial = Trial::of(Scene::busy());
    let page = trial.get(&format!("{PATH}/versions")).await;
    assert!(
        page.text.contains("It sends 2.0.0.") && page.text.contains("No event to compare yet.")
    );
    trial
        .post(&format!("{PATH}/versions"), &[("payload_version", "1.0.0")])
        .await;
    assert_eq!(
        replaced(&trial).0.options.payload_version,
        PayloadVersion::V1
    );
    let unknown = trial
        .post(&format!("{PATH}/versions"), &[("payload_version", "3")])
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_form_says_what_would_change_before_it_does() {
    let trial = Trial::of(Scene::busy());
    let typed = [("label", "ours"), ("region", "eu"), ("body_content", "on")];
    let form: Vec<_> = FORM
        .into_iter()
        .filter(|(name, _)| *name != "region")
        .collect();
    let fields: Vec<_> = form.iter().copied().chain(typed).collect();
    let review = trial.post(&format!("{PATH}/review"), &fields).await;
    assert_eq!(review.status, StatusCode::OK);
    for there in [
        "Four things would change.",
        "region &#34;us&#34; -&#62; &#34;eu&#34;",
        "body_content false -&#62; true",
        "label left out",
        "events left out",
    ] {
        assert!(review.text.contains(there), "{there}");
    }
    assert!(trial.scene().edits.is_empty());

    trial.post(&format!("{PATH}/save"), &fields).await;
    let (next, _) = replaced(&trial);
    assert_eq!(next.target, Target::Eu);
    assert_eq!(next.write_key, Scene::busy().connection().write_key);
    assert_eq!(next.label.as_deref(), Some("ours"));
}

#[tokio::test]
async fn a_mistake_changes_nothing_and_comes_back_with_what_was_typed() {
    let trial = Trial::of(Scene::busy());
    let wrong = [
        ("rename_from", "Email Opened"),
        ("rename_to", ""),
        ("leave_out", "a, b"),
    ];
    let fields: Vec<_> = FORM.iter().copied().chain(wrong).collect();
    for step in ["review", "save"] {
        let page = trial.post(&format!("{PATH}/{step}"), &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains("id=\"wrong-rename\""));
        assert!(
            page.text.contains("value=\"Email Opened\"") && page.text.contains(">a, b</textarea>")
        );
    }
    assert!(trial.scene().edits.is_empty());
}

#[tokio::test]
async fn a_refused_change_is_said_on_the_page_that_it_came_from() {
    let mut scene = Scene::busy();
    scene.mistakes = vec!["connection acme-production: write_key: is not set".to_owned()];
    let page = Trial::of(scene).post(&format!("{PATH}/pause"), &[]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("Nothing was changed.") && page.text.contains("Is not set."));
}

#[tokio::test]
async fn removing_and_resetting_are_asked_about_first() {
    let trial = Trial::of(Scene::busy());
    let asked = trial.get(&format!("{PATH}/remove")).await;
    assert!(asked.text.contains("dead letters stay"));
    trial.get(&format!("{PATH}/reset")).await;
    assert!(trial.scene().done.is_empty(), "asking does nothing");
    let went = trial.post(&format!("{PATH}/reset"), &[]).await;
    assert_eq!(went.location, PATH);
    let went = trial.post(&format!("{PATH}/remove"), &[]).await;
    assert_eq!(went.location, "/connections");
    let scene = trial.scene();
    assert_eq!(scene.done[0], "reset the claims of acme-production");
    assert!(
        matches!(&scene.edits[0].0, Edit::RemoveConnection(id) if id.as_str() == "abcdefghijklmnop")
    );
}

#[tokio::test]
async fn what_strangers_wrote_is_shown_as_text() {
    let mut scene = in_state(LineState::Waiting);
    let toml = serde_json::to_string(HOSTILE).unwrap();
    let written = format!("label = {toml}\nleave_out = [{toml}]\nrename = {{ x = {toml} }}\n");
    scene.document.push_str(&written);
    let seen = &mut scene.overview.connections[0];
    seen.reason = Some(HOSTILE.to_owned());
    seen.region = HOSTILE.to_owned();
    seen.endpoint = HOSTILE.to_owned();
    seen.attempts[0].answer = HOSTILE.to_owned();
    let mut hostile = call();
    hostile.json = serde_json::json!({ HOSTILE: HOSTILE }).to_string();
    let mut row = row(2);
    row.name = HOSTILE.to_owned();
    scene.previews = vec![Preview {
        row,
        body: String::new(),
        call: Ok(hostile),
    }];
    let trial = Trial::of(scene);
    let sent = format!("{PATH}?sent=pm-1&event=%3Cscript%3Ealert(1)");
    for path in [PATH, &sent, &format!("{PATH}/versions")] {
        let page = trial.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(
            !page.text.contains("<script>alert") && !page.text.contains("<img src=x"),
            "{path}"
        );
    }
}
