//! Dead letters: what the pages show, and what they ask to be done.

use axum::http::StatusCode;
use jiff::Timestamp;

use super::*;
use crate::seen::Retried;
use crate::trying::{HOSTILE, Scene, Trial, explained, now, open};

fn a_letter(id: u64) -> LetterSeen {
    LetterSeen {
        id,
        record: "4711".to_owned(),
        connection: Some("acme-production".to_owned()),
        workspace: "acme".to_owned(),
        buried_at: now(),
        reason: "Segment answered 400".to_owned(),
        event: Some("Email Opened".to_owned()),
        answer: Some((400, "malformed".to_owned())),
        body: explained(1).body,
        call: Some("{\"type\":\"track\",\"event\":\"Email Opened\",\"userId\":\"42\"}".to_owned()),
    }
}

fn a_group(key: &str, count: u64) -> LetterGroup {
    LetterGroup {
        key: key.to_owned(),
        reason: "Segment answered 400".to_owned(),
        connection: Some("acme-production".to_owned()),
        count,
        newest_at: now(),
        oldest_at: Timestamp::UNIX_EPOCH,
        events: vec!["Email Opened".to_owned()],
    }
}

fn buried(count: u64) -> Scene {
    let mut scene = Scene::busy();
    scene.overview.dead_letters = count;
    scene.letters = Letters {
        total: count,
        examined: count,
        groups: vec![a_group("a b&c", count)],
    };
    scene.letter_list = (1..=count).rev().map(a_letter).collect();
    scene
}

#[tokio::test]
async fn groups_are_shown_with_what_can_be_done_about_them() {
    let answered = Trial::of(buried(3)).get("/dead-letters").await;
    assert_eq!(answered.status, StatusCode::OK);
    for there in [
        "3 events could not be delivered as they are.",
        "Segment answered 400",
        "Email Opened",
        "href=\"/dead-letters/list?group=a%20b%26c\"",
        "href=\"/dead-letters/download?group=a%20b%26c\"",
        "href=\"/dead-letters/discard?group=a%20b%26c\"",
        "href=\"/dead-letters/retry?group=a%20b%26c\"",
        "href=\"/dead-letters/list?all=yes\"",
    ] {
        assert!(answered.text.contains(there), "{there}\n{}", answered.text);
    }
}

#[tokio::test]
async fn where_nothing_is_buried_that_is_the_sentence() {
    let answered = Trial::of(Scene::empty()).get("/dead-letters").await;
    assert!(answered.text.contains("<h1>Nothing is buried.</h1>"));
    assert!(!answered.text.contains("Retry all"));
}

#[tokio::test]
async fn a_long_group_goes_on_below_the_last_one_shown() {
    let trial = Trial::of(buried(60));
    let first = trial.get("/dead-letters/list?group=a+b%26c").await.text;
    assert!(
        first.contains("href=\"/dead-letters/60\"") && first.contains("href=\"/dead-letters/11\"")
    );
    assert!(!first.contains("href=\"/dead-letters/10\""));
    assert!(first.contains("group=a%20b%26c&#38;below=11\""), "{first}");
    let second = trial
        .get("/dead-letters/list?group=a+b%26c&below=11")
        .await
        .text;
    assert!(
        second.contains("href=\"/dead-letters/10\"") && second.contains("href=\"/dead-letters/1\"")
    );
    assert!(!second.contains(">Older<"));
    let gone = trial.get("/dead-letters/list?group=other").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn one_letter_says_why_and_what_to_do_beside_what_came_and_what_was_to_go() {
    let trial = Trial::of(buried(1));
    let text = trial.get("/dead-letters/1").await.text;
    for there in [
        "could not be delivered",
        "refused this one call",
        "malformed",
        "href=\"/events/4711\"",
        "<mark title=\"became userId\">",
        "name=\"id\" value=\"1\"",
        "href=\"/dead-letters/discard?id=1\"",
    ] {
        assert!(text.contains(there), "{there}\n{text}");
    }
    for path in ["/dead-letters/2", "/dead-letters/x"] {
        assert_eq!(trial.get(path).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn each_form_asks_for_what_it_names_and_for_nothing_more() {
    let trial = Trial::of(buried(3));
    trial
        .post("/dead-letters/retry", &[("group", "a b&c")])
        .await;
    trial.post("/dead-letters/retry", &[("id", "2")]).await;
    let two = [("id", "2"), ("id", "3"), ("below", "4")];
    trial.post("/dead-letters/retry", &two).await;
    let answered = trial.post("/dead-letters/discard", &[("id", "3")]).await;
    assert_eq!(
        (answered.status, answered.location.as_str()),
        (StatusCode::SEE_OTHER, HOME)
    );
    assert_eq!(
        trial.scene().done,
        [
            "retry Group(\"a b&c\") below None",
            "retry These([DeadLetterId(2)]) below None",
            "retry These([DeadLetterId(2), DeadLetterId(3)]) below Some(4)",
            "discard These([DeadLetterId(3)]) below None",
        ]
    );
    for fields in [&[][..], &[("group", "")], &[("id", "x")]] {
        for path in ["/dead-letters/retry", "/dead-letters/discard"] {
            assert_eq!(trial.post(path, fields).await.status, StatusCode::NOT_FOUND);
        }
    }
    assert_eq!(trial.scene().done.len(), 4);
}

#[tokio::test]
async fn nothing_is_discarded_before_a_page_has_named_the_count() {
    let trial = Trial::of(buried(3));
    let cases = [
        ("group=a+b%26c", "Discard 3 dead letters for good?"),
        ("id=2", "Discard dead letter 2 for good?"),
        ("id=1&id=3", "Discard 2 dead letters for good?"),
        ("filter=reason%3A400", "Discard 3 dead letters for good?"),
        ("all=yes", "Discard all 3 dead letters for good?"),
    ];
    for (query, asked) in cases {
        let text = trial
            .get(&format!("/dead-letters/discard?{query}"))
            .await
            .text;
        assert!(text.contains(asked), "{text}");
    }
    assert_eq!(trial.scene().done, [""; 0]);
    assert_eq!(
        trial.get("/dead-letters/discard").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_retry_is_asked_about_with_what_it_changes() {
    let trial = Trial::of(buried(3));
    let text = trial
        .get("/dead-letters/retry?filter=reason%3A400")
        .await
        .text;
    for there in [
        "Retry 3 dead letters?",
        "<bdi class=\"mono\">reason:400</bdi>",
        "3 calls differ from what was refused",
        "<bdi>userId</bdi>",
        "<bdi>&#34;43&#34;</bdi>",
        "name=\"filter\" value=\"reason:400\"",
        "name=\"below\" value=\"4\"",
    ] {
        assert!(text.contains(there), "{there}\n{text}");
    }
    let one = trial.get("/dead-letters/2").await.text;
    assert!(one.contains("1 field otherwise than was refused"), "{one}");
    let gone = trial.get("/dead-letters/retry?id=9").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_filter_chooses_letters_and_its_mistakes_are_said() {
    let trial = Trial::of(buried(3));
    let text = trial.get("/dead-letters?filter=reason%3A400").await.text;
    for there in [
        "3 dead letters are like that",
        "href=\"/dead-letters/retry?filter=reason%3A400\"",
        "Discard all of these",
    ] {
        assert!(text.contains(there), "{there}\n{text}");
    }
    let none = trial.get("/dead-letters?filter=reason%3Asoup").await.text;
    assert!(none.contains("No dead letter is like that."), "{none}");
    let mistaken = trial.get("/dead-letters?filter=colour%3Ared").await;
    assert_eq!(mistaken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(mistaken.text.contains("to filter by"), "{}", mistaken.text);
    assert!(!mistaken.text.contains("Discard all"), "{}", mistaken.text);
}

#[tokio::test]
async fn several_are_selected_without_script() {
    let text = Trial::of(buried(3))
        .get("/dead-letters/list?all=yes")
        .await
        .text;
    for there in [
        "<input type=\"checkbox\" name=\"id\" value=\"3\"",
        "formaction=\"/dead-letters/discard\"",
        "<form action=\"/dead-letters/retry\">",
    ] {
        assert!(text.contains(there), "{there}\n{text}");
    }
}

#[tokio::test]
async fn a_step_whose_time_was_up_leads_on() {
    let mut scene = buried(3);
    scene.letters_left = Some(2);
    let trial = Trial::of(scene);
    for (path, next) in [
        ("/dead-letters/retry", "/dead-letters/retry?all=yes&below=2"),
        (
            "/dead-letters/discard",
            "/dead-letters/discard?all=yes&below=2",
        ),
    ] {
        let answered = trial.post(path, &[("all", "yes")]).await;
        assert_eq!(answered.location, next);
    }
}

#[test]
fn a_retry_is_told_in_counts() {
    let mut retried = Retried {
        accepted: 18,
        refused: 2,
        skipped: 0,
        left: 1,
        next: None,
        note: None,
    };
    let told = action::told;
    assert_eq!(told(&retried), "18 accepted, 2 refused again, 1 left.");
    retried.note = Some("Segment answers 429".to_owned());
    assert_eq!(
        told(&retried),
        "18 accepted, 2 refused again, 1 left: Segment answers 429"
    );
    assert_eq!(told(&Retried::default()), "Nothing was left to retry.");
}

#[tokio::test]
async fn a_download_has_every_letter_on_a_line_of_its_own() {
    let count = download::PAGE + 1;
    let mut scene = buried(u64::try_from(count).unwrap());
    scene.letter_list[0].call = Some("{\"a\":\n1.10}".to_owned());
    scene.letter_list[1].call = Some("{\"a\":1.10}".to_owned());
    scene.letter_list[2].body = "not \u{202e}\n{json".to_owned();
    let answered = Trial::of(scene)
        .get("/dead-letters/download?group=a+b%26c")
        .await;
    let lines: Vec<&str> = answered.text.lines().collect();
    assert_eq!(lines.len(), count);
    let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    assert_eq!(read(lines[0])["call"], "{\"a\":\n1.10}");
    assert!(lines[1].contains("\"call\":{\"a\":1.10}"));
    assert_eq!(read(lines[2])["body"], "not \u{202e}\n{json");
    assert_eq!(read(lines[2])["answer"]["status"], 400);
    assert_eq!(read(lines[count - 1])["id"], 1);
}

#[tokio::test]
async fn a_download_of_nothing_is_empty() {
    let answered = Trial::of(Scene::empty())
        .get("/dead-letters/download?all=yes")
        .await;
    assert_eq!(
        (answered.status, answered.text.as_str()),
        (StatusCode::OK, "")
    );
}

#[tokio::test]
async fn markup_out_of_a_letter_is_text_everywhere() {
    let mut scene = buried(1);
    let hostile = || HOSTILE.to_owned();
    let letter = &mut scene.letter_list[0];
    letter.reason = hostile();
    letter.event = Some(hostile());
    letter.answer = Some((400, hostile()));
    letter.body = hostile();
    letter.call = Some(hostile());
    letter.record = hostile();
    let group = &mut scene.letters.groups[0];
    group.reason = hostile();
    group.events = vec![hostile()];
    let trial = Trial::of(scene);
    for path in [
        "/dead-letters",
        "/dead-letters/list?group=a+b%26c",
        "/dead-letters/1",
        "/dead-letters/retry?group=a+b%26c",
    ] {
        let text = trial.get(path).await.text;
        assert!(text.contains("alert"), "{path}");
        for bad in ["<script>alert", "<img src=x", "\"'&"] {
            assert!(!text.contains(bad), "{path}: {bad}\n{text}");
        }
    }
}

#[tokio::test]
async fn in_trouble_the_trouble_is_the_page_and_a_download_breaks_off() {
    let mut scene = buried(1);
    scene.trouble = Some("the state cannot be read".to_owned());
    let trial = Trial::of(scene);
    for path in [
        "/dead-letters",
        "/dead-letters/1",
        "/dead-letters/discard?all=yes",
    ] {
        let answered = trial.get(path).await;
        assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answered.text.contains("the state cannot be read"));
    }
    let opened = open(&trial.logged_in().await, "/dead-letters/download?all=yes").await;
    let read = axum::body::to_bytes(opened.into_body(), usize::MAX).await;
    assert!(read.is_err());
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let mut scene = buried(1);
    scene.mistakes = vec!["acme-production is disabled".to_owned()];
    let answered = Trial::of(scene)
        .post("/dead-letters/retry", &[("all", "yes")])
        .await;
    assert!(answered.text.contains("acme-production is disabled"));
}
