//! The workspace's pages, with a process that is none.

use axum::http::StatusCode;
use connections::{AppApiTarget, Edit, Signature, Workspace};

use crate::seen::{KeySeen, NamesSeen, WorkspaceState};
use crate::trying::{HOSTILE, Scene, Trial, now};

const PATH: &str = "/workspaces/acme";

fn replaced(trial: &Trial) -> Workspace {
    let scene = trial.scene();
    match scene.edits.as_slice() {
        [(Edit::ReplaceWorkspace(workspace), _)] => workspace.clone(),
        other => panic!("{other:?}"),
    }
}

fn keys(workspace: &Workspace) -> Vec<String> {
    match &workspace.signature {
        Signature::Keys(keys) => keys.iter().map(ToString::to_string).collect(),
        Signature::Off => Vec::new(),
    }
}

fn two_keys() -> Scene {
    let mut scene = Scene::busy();
    scene.document = scene
        .document
        .replace("\"env:ACME_KEY\"", "\"env:ACME_KEY\", \"kept:k-2\"");
    scene
}

#[tokio::test]
async fn a_workspace_is_added_with_a_pasted_key() {
    let trial = Trial::of(Scene::busy());
    let page = trial.get("/workspaces/new?then=connect").await;
    assert!(page.text.contains("https://YOUR-HOST/webhooks/NAME"));
    let typed = [
        ("name", "shop"),
        ("signing_keys", "abcdef012345"),
        ("then", "connect"),
    ];
    let went = trial.post("/workspaces/new", &typed).await;
    assert_eq!(went.location, "/connect?workspace=shop");
    let scene = trial.scene();
    let Edit::AddWorkspace(added) = &scene.edits[0].0 else {
        panic!("{:?}", scene.edits)
    };
    assert_eq!(keys(added), ["kept:k-1"]);
}

#[tokio::test]
async fn without_a_key_a_workspace_is_added_only_by_saying_so() {
    let trial = Trial::of(Scene::busy());
    let page = trial.post("/workspaces/new", &[("name", "shop")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.text.contains("id=\"wrong-signing_keys\"") && page.text.contains("value=\"shop\"")
    );
    let went = trial
        .post("/workspaces/new", &[("name", "shop"), ("signature", "off")])
        .await;
    assert_eq!(went.location, "/workspaces/shop");
    let scene = trial.scene();
    assert!(
        matches!(&scene.edits[0].0, Edit::AddWorkspace(added) if added.signature == Signature::Off)
    );
}

#[tokio::test]
async fn a_name_that_is_taken_or_is_none_is_refused_and_no_key_is_kept() {
    let trial = Trial::of(Scene::busy());
    for (name, why) in [
        ("acme", "Another workspace"),
        ("a b", "letters, digits"),
        ("new", "this page"),
        ("", "missing"),
    ] {
        let typed = [("name", name), ("signing_keys", "abcdef012345")];
        let page = trial.post("/workspaces/new", &typed).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains(why), "{name}: {why}");
        assert!(
            !page.text.contains("abcdef012345"),
            "a secret is typed again"
        );
    }
    assert!(trial.scene().done.is_empty());
}

#[tokio::test]
async fn the_page_shows_which_key_matched_and_how_to_change_it() {
    let mut scene = two_keys();
    scene.overview.workspaces[0].keys = vec![KeySeen {
        id: "9f3c0a11".to_owned(),
        written: "env:ACME_KEY".to_owned(),
        ends_with: "z9f3".to_owned(),
        matched_at: Some(now()),
    }];
    let page = Trial::of(scene).get(PATH).await;
    for there in [
        "Customer.io sends to acme.",
        "https://YOUR-HOST/webhooks/acme",
        "9f3c0a11",
        "z9f3",
        "environment variable ACME_KEY",
        "pasted, kept in the journal",
        "To change the key",
        "href=\"/connections/acme-production\"",
    ] {
        assert!(page.text.contains(there), "{there}");
    }
    assert_eq!(page.text.matches("<h1").count(), 1);
}

#[tokio::test]
async fn a_line_that_is_held_says_until_when_and_what_to_check() {
    let mut scene = Scene::busy();
    let seen = &mut scene.overview.workspaces[0];
    seen.last_refusal = Some("no signing key matches".to_owned());
    let holding = |status| WorkspaceState::Holding {
        since: now(),
        status,
        drops_at: now(),
    };
    for (status, check) in [
        (401, "add it below"),
        (413, "body_limit_bytes"),
        (503, "goes on by itself"),
    ] {
        scene.overview.workspaces[0].state = holding(status);
        let page = Trial::of(scene.clone()).get(PATH).await;
        assert!(
            page.text
                .contains("Customer.io holds back the events of acme.")
        );
        assert!(page.text.contains("begins to drop events on"), "{status}");
        assert!(page.text.contains(check), "{status}: {check}");
        assert!(page.text.contains("no signing key matches"));
    }
}

#[tokio::test]
async fn keys_are_added_and_removed_but_the_last_one_stays() {
    let trial = Trial::of(Scene::busy());
    trial
        .post(&format!("{PATH}/keys"), &[("signing_keys", "abcdef012345")])
        .await;
    assert_eq!(keys(&replaced(&trial)), ["env:ACME_KEY", "kept:k-1"]);

    let trial = Trial::of(two_keys());
    trial
        .post(&format!("{PATH}/keys/remove"), &[("key", "env:ACME_KEY")])
        .await;
    assert_eq!(keys(&replaced(&trial)), ["kept:k-2"]);

    let trial = Trial::of(Scene::busy());
    let page = trial
        .post(&format!("{PATH}/keys/remove"), &[("key", "env:ACME_KEY")])
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("The last key stays"));
    let page = trial
        .post(&format!("{PATH}/keys"), &[("signing_keys_at", "ACME")])
        .await;
    assert!(
        page.text.contains("id=\"wrong-signing_keys\"") && page.text.contains("value=\"ACME\"")
    );
    assert!(trial.scene().edits.is_empty());
}

#[tokio::test]
async fn checking_no_signatures_is_asked_about_and_warned_of() {
    let trial = Trial::of(Scene::busy());
    let asked = trial.get(&format!("{PATH}/unsigned")).await;
    assert!(asked.text.contains("Whoever knows the address"));
    trial.post(&format!("{PATH}/unsigned"), &[]).await;
    assert_eq!(replaced(&trial).signature, Signature::Off);
    let mut scene = Scene::busy();
    scene.document = scene
        .document
        .replace("signing_keys = [\"env:ACME_KEY\"]", "signature = \"off\"");
    let page = Trial::of(scene).get(PATH).await;
    assert!(page.text.contains("Signatures are not checked."));
}

#[tokio::test]
async fn tolerance_and_names_directory_can_be_set() {
    let trial = Trial::of(Scene::busy());
    let typed = [("timestamp_tolerance_s", "300")];
    let went = trial.post(&format!("{PATH}/settings"), &typed).await;
    assert_eq!(went.location, PATH);
    assert_eq!(replaced(&trial).timestamp_tolerance.unwrap().as_secs(), 300);

    let trial = Trial::of(Scene::busy());
    let page = trial
        .post(
            &format!("{PATH}/settings"),
            &[("timestamp_tolerance_s", "soon")],
        )
        .await;
    assert!(page.text.contains("value=\"soon\""));
    assert!(page.text.contains("id=\"wrong-timestamp_tolerance_s\""));

    let typed = [("app_api_key", "0123456789ab"), ("app_api_region", "eu")];
    trial.post(&format!("{PATH}/names"), &typed).await;
    let api = replaced(&trial).app_api.unwrap();
    assert_eq!(
        (api.key.to_string().as_str(), api.target),
        ("kept:k-1", AppApiTarget::Eu)
    );

    let page = trial
        .post(&format!("{PATH}/names"), &[("app_api_region", "us")])
        .await;
    assert!(page.text.contains("The App API key is missing."));
    trial.post(&format!("{PATH}/names/refresh"), &[]).await;
    assert_eq!(
        trial.scene().done.last().unwrap(),
        "refresh the names of acme"
    );
}

#[tokio::test]
async fn a_workspace_that_connections_use_is_not_removed() {
    let trial = Trial::of(Scene::busy());
    let page = trial.post(&format!("{PATH}/remove"), &[]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("remove acme-production first"));
    let mut scene = Scene::busy();
    scene.document = "[[workspace]]\nname = \"acme\"\nsigning_keys = [\"env:K\"]\n".to_owned();
    let trial = Trial::of(scene);
    let went = trial.post(&format!("{PATH}/remove"), &[]).await;
    assert_eq!(went.location, "/connections");
    assert!(
        matches!(&trial.scene().edits[0].0, Edit::RemoveWorkspace(name) if name.as_str() == "acme")
    );
}

#[tokio::test]
async fn what_strangers_wrote_is_shown_as_text() {
    let mut scene = two_keys();
    let seen = &mut scene.overview.workspaces[0];
    seen.last_refusal = Some(HOSTILE.to_owned());
    seen.state = WorkspaceState::Holding {
        since: now(),
        status: 401,
        drops_at: now(),
    };
    seen.keys = vec![KeySeen {
        id: "9f3c0a11".to_owned(),
        written: "kept:k-2".to_owned(),
        ends_with: HOSTILE.to_owned(),
        matched_at: None,
    }];
    seen.names = Some(NamesSeen {
        names: 3,
        refreshed_at: None,
        last_error: Some(HOSTILE.to_owned()),
        written: HOSTILE.to_owned(),
        ends_with: HOSTILE.to_owned(),
    });
    let page = Trial::of(scene).get(PATH).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"));
    let missing = Trial::of(Scene::empty()).get(PATH).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
