//! What the pages of replays show and do.

use axum::http::StatusCode;

use crate::seen::{ReplaySeen, ReplayState};
use crate::trying::{HOSTILE, Scene, Trial, replay};

fn with(replays: Vec<ReplaySeen>) -> Trial {
    let mut scene = Scene::busy();
    scene.replays = replays;
    Trial::of(scene)
}

fn in_state(state: ReplayState) -> ReplaySeen {
    ReplaySeen { state, ..replay(3) }
}

#[tokio::test]
async fn the_list_says_first_whether_anything_is_being_sent_again() {
    let page = with(Vec::new()).get("/replays").await;
    assert!(page.text.contains("Nothing is being sent again."));
    assert!(page.text.contains("href=\"/replays/new\""));
    let page = with(vec![replay(4), in_state(ReplayState::Paused)])
        .get("/replays")
        .await;
    for there in [
        "One replay is under way, 1 paused.",
        "href=\"/replays/4\"",
        "50 %",
        "channel:email",
    ] {
        assert!(page.text.contains(there), "{there}");
    }
}

#[tokio::test]
async fn a_replay_is_asked_for_seen_and_only_then_begun() {
    let trial = with(Vec::new());
    let form = trial
        .get("/replays/new?connection=acme-production&filter=state:buried")
        .await;
    assert!(form.text.contains("value=\"state:buried\""));
    assert!(!form.text.contains("Begin the replay"));
    assert_eq!(trial.scene().done, [""; 0]);
    let path = "/replays/new?connection=acme-production&filter=channel%3Aemail&rate=50&look=yes";
    let preview = trial.get(path).await;
    for there in [
        "would be sent again.",
        "Mail Read",
        "Email Opened",
        "3000 of these calls",
        "Begin the replay",
        "not meant by the filter",
    ] {
        assert!(preview.text.contains(there), "{there}");
    }
    let fields = [
        ("connection", "acme-production"),
        ("filter", "channel:email"),
        ("rate", "50"),
    ];
    let begun = trial.post("/replays", &fields).await;
    assert_eq!(begun.location, "/replays/7");
    let done = trial.scene().done.join("\n");
    assert!(
        done.contains("start ReplayAsked") && done.contains("Some(50)"),
        "{done}"
    );
}

#[tokio::test]
async fn mistakes_stand_above_the_form_with_what_was_typed() {
    let trial = with(Vec::new());
    let page = trial
        .get("/replays/new?connection=a&filter=b&rate=fast&look=yes")
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("the rate is a number from 1 to 20000"));
    assert!(page.text.contains("value=\"fast\""));
    trial.change(|scene| scene.mistakes = vec![HOSTILE.to_owned()]);
    let fields = [("connection", "acme-production"), ("filter", HOSTILE)];
    let page = trial.post("/replays", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"));
}

#[tokio::test]
async fn a_page_says_how_it_stands_and_offers_what_can_be_done() {
    for (state, said, offered, not_offered) in [
        (
            ReplayState::Running,
            "Replay 3 is 50 % through.",
            "/replays/3/pause",
            "/resume",
        ),
        (
            ReplayState::Paused,
            "Replay 3 is paused.",
            "/replays/3/resume",
            "/pause",
        ),
        (
            ReplayState::Cancelled,
            "Replay 3 was cancelled.",
            "/replays/3/resume",
            "/cancel",
        ),
        (
            ReplayState::Failed,
            "Replay 3 failed.",
            "/replays/3/resume",
            "/cancel",
        ),
        (ReplayState::Done, "refused 1.", "/dead-letters", "/resume"),
    ] {
        let trial = with(vec![in_state(state)]);
        let page = trial.get("/replays/3").await;
        assert!(page.text.contains(said), "{said}: {}", page.text);
        assert!(page.text.contains(offered), "{state:?} offers {offered}");
        assert!(
            !page.text.contains(not_offered),
            "{state:?} offers {not_offered}"
        );
        let is_moving = page.text.contains("hx-trigger=\"every 2s\"");
        assert_eq!(is_moving, state == ReplayState::Running, "{state:?}");
    }
}

#[tokio::test]
async fn it_is_steered_by_buttons_and_by_nothing_else() {
    let trial = with(vec![replay(3)]);
    for word in ["pause", "resume", "cancel"] {
        let steered = trial.post(&format!("/replays/3/{word}"), &[]).await;
        assert_eq!(steered.location, "/replays/3");
    }
    let done = trial.scene().done;
    assert_eq!(
        done,
        ["pause replay 3", "resume replay 3", "cancel replay 3"]
    );
    for path in ["/replays/3/stop", "/replays/x/pause"] {
        let missing = trial.post(path, &[]).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/replays/4", "/replays/x", "/replays/4/part"] {
        assert_eq!(
            trial.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_part_that_moves_comes_alone_and_strangers_words_are_text() {
    let mut seen = replay(3);
    seen.filter = HOSTILE.to_owned();
    seen.notes = vec![HOSTILE.to_owned()];
    seen.reason = Some(HOSTILE.to_owned());
    let trial = with(vec![seen]);
    let part = trial.get_part("/replays/3/part").await;
    assert!(!part.text.contains("<html") && part.text.contains("Replay 3 waits."));
    for path in ["/replays", "/replays/3", "/replays/3/part"] {
        let page = trial.get(path).await;
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"));
    }
}
