//! The debugger: what it shows, what it tells live, and what it says of a sample.

use http_body_util::BodyExt as _;
use serde_json::Value;

use super::*;
use crate::seen::{Outcome, RowEnd, RowKind};
use crate::trying::{HOSTILE, Scene, Trial, explained, open, row};

fn plain(text: &str) -> String {
    text.replace('\u{202f}', " ")
}

/// An open stream, read event by event.
struct Stream {
    body: axum::body::Body,
    text: String,
}

impl Stream {
    async fn open(trial: &Trial, path: &str) -> Stream {
        Stream::of(open(&trial.logged_in().await, path).await)
    }

    fn of(response: Response) -> Stream {
        assert_eq!(response.status(), StatusCode::OK);
        Stream {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event: its kind and what it says; none where the stream ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(str::to_owned)
                };
                let read = field("event: ").zip(field("data: "));
                self.text = rest.to_owned();
                if let Some((kind, data)) = read {
                    return Some((kind, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let frame = self.body.frame().await?.unwrap();
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

fn waiting() -> Vec<RowEnd> {
    vec![RowEnd {
        connection: "acme-production".to_owned(),
        outcome: Outcome::Waiting {
            reason: "Segment answers 429".to_owned(),
        },
    }]
}

#[tokio::test]
async fn the_newest_events_are_there_without_script() {
    let answered = Trial::of(Scene::busy()).get("/debugger").await;
    assert_eq!(answered.status, StatusCode::OK);
    let text = plain(&answered.text);
    for there in [
        "812 events/s, the newest 2",
        "<th scope=\"col\" class=\"out clip\" title=\"acme-production\">acme-production</th>",
        "id=\"row-2\"",
        "href=\"/debugger?record=2\"",
        "218 ms",
        "data-live=\"/live/debugger?column=acme-production&#38;after=2\"",
    ] {
        assert!(text.contains(there), "{there}\n{text}");
    }
}

#[tokio::test]
async fn the_selected_event_is_beside_the_table_without_script() {
    let trial = Trial::of(Scene::busy());
    let text = plain(&trial.get("/debugger?record=2&person=42").await.text);
    assert!(text.contains("Journaled as record 2"), "{text}");
    assert!(text.contains("aria-selected=\"true\""), "{text}");
    assert!(
        text.contains("href=\"/debugger?filter=person%3A42&#38;record=1\""),
        "{text}"
    );
    let part = trial.get_part("/debugger/detail/2").await.text;
    assert!(part.contains("Journaled as record 2") && !part.contains("<html"));
    let part = trial.get_part("/debugger/detail/9").await.text;
    assert!(part.contains("not kept any more"), "{part}");
    assert_eq!(trial.get("/debugger/detail/2").await.location, "/events/2");
}

#[tokio::test]
async fn a_filter_stays_in_every_link_and_in_the_form() {
    let trial = Trial::of(Scene::busy());
    let text = trial
        .get("/debugger?channel=email&event=Opened&filter=state%3Aaccepted")
        .await
        .text;
    for there in [
        "value=\"Opened\"",
        "value=\"channel:email event:Opened state:accepted\"",
        "<input type=\"hidden\" name=\"filter\" value=\"channel:email state:accepted\">",
        "href=\"/debugger?filter=channel%3Apush%20event%3AOpened%20state%3Aaccepted\"",
        "/live/debugger?filter=channel%3Aemail%20event%3AOpened%20state%3Aaccepted&#38;",
    ] {
        assert!(text.contains(there), "{there}\n{text}");
    }
}

#[tokio::test]
async fn a_mistake_in_the_filter_is_said_and_nothing_is_shown() {
    let trial = Trial::of(Scene::busy());
    let answered = trial
        .get("/debugger?filter=colour%3Ared+state%3Alost")
        .await;
    assert_eq!(answered.status, StatusCode::UNPROCESSABLE_ENTITY);
    for there in [
        "there is no &#34;colour&#34; to filter by",
        "value=\"colour:red state:lost\"",
        "aria-invalid=\"true\"",
        "the filter has a mistake",
    ] {
        assert!(answered.text.contains(there), "{there}\n{}", answered.text);
    }
    assert!(!answered.text.contains("id=\"row-2\""));
    let mut stream = Stream::open(&trial, "/live/debugger?filter=colour%3Ared").await;
    assert_eq!(stream.next().await.unwrap().0, "full");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn what_is_further_back_is_a_link_away_and_not_live() {
    let mut scene = Scene::busy();
    scene.older = Some("0:1".to_owned());
    let trial = Trial::of(scene);
    let text = trial.get("/debugger?filter=event%3AOpened").await.text;
    assert!(
        text.contains("href=\"/debugger?filter=event%3AOpened&#38;before=0%3A1\""),
        "{text}"
    );
    assert!(
        text.contains("2 among 2 events back to"),
        "{}",
        plain(&text)
    );
    let text = trial
        .get("/debugger?filter=event%3AOpened&before=0%3A1")
        .await
        .text;
    assert!(!text.contains("data-live"), "{text}");
}

#[tokio::test]
async fn an_empty_table_says_what_to_do() {
    let text = Trial::of(Scene::empty()).get("/debugger").await.text;
    assert!(text.contains("No event has come yet."), "{text}");
    assert!(text.contains("Add a connection"), "{text}");
    let text = Trial::of(Scene::busy())
        .get("/debugger?event=Nothing")
        .await
        .text;
    assert!(
        text.contains("No event that is kept is like that."),
        "{text}"
    );
}

#[tokio::test]
async fn markup_out_of_an_event_is_text_on_the_page_and_in_the_stream() {
    let mut scene = Scene::busy();
    let mut hostile = row(3);
    hostile.name = HOSTILE.to_owned();
    hostile.person = Some(HOSTILE.to_owned());
    hostile.ends[0].outcome = Outcome::Skipped {
        reason: HOSTILE.to_owned(),
    };
    let mut unusable = row(2);
    unusable.kind = RowKind::Unusable {
        reason: HOSTILE.to_owned(),
    };
    scene.rows = vec![hostile, unusable];
    let mut seen = explained(3);
    seen.row = scene.rows[0].clone();
    scene.explained = Some(seen);
    let trial = Trial::of(scene);
    let page = trial
        .get("/debugger?record=3&person=%3Cscript%3Ealert")
        .await
        .text;
    let mut stream = Stream::open(&trial, "/live/debugger").await;
    let (_, found) = stream.next().await.unwrap();
    let rows = found["rows"].as_array().unwrap().iter();
    let rows: String = rows.map(|row| row["html"].as_str().unwrap()).collect();
    for text in [page, rows] {
        assert!(text.contains("alert"), "{text}");
        for bad in ["<script>alert", "<img src=x", "\"'&"] {
            assert!(!text.contains(bad), "{bad}\n{text}");
        }
    }
}

#[tokio::test]
async fn in_trouble_the_trouble_is_the_page_and_the_streams_word() {
    let mut scene = Scene::busy();
    scene.trouble = Some("the index is being rebuilt".to_owned());
    let trial = Trial::of(scene);
    let answered = trial.get("/debugger").await;
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut stream = Stream::open(&trial, "/live/debugger").await;
    let (kind, said) = stream.next().await.unwrap();
    assert_eq!(
        (kind.as_str(), said.as_str()),
        ("trouble", Some("the index is being rebuilt"))
    );
}

#[tokio::test]
async fn the_stream_sends_what_came_since_the_page_was_made() {
    let trial = Trial::of(Scene::busy());
    let mut stream = Stream::open(&trial, "/live/debugger?after=1&column=acme-production").await;
    let (kind, found) = stream.next().await.unwrap();
    assert_eq!(kind, "found");
    assert_eq!(found["rows"].as_array().unwrap().len(), 1);
    assert_eq!(found["rows"][0]["id"], "row-2");
    assert_eq!(found["after"], "2");
    assert_eq!(found["status"], "812 events/s, showing 1 in 40");
    trial.change(|scene| scene.rows.insert(0, row(3)));
    let (_, found) = stream.next().await.unwrap();
    assert_eq!(found["rows"][0]["id"], "row-3");
    assert_eq!(found["rows"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_row_that_waited_is_sent_again_when_it_has_ended() {
    let mut scene = Scene::busy();
    scene.rows[0].ends = waiting();
    scene.rows[1].kind = RowKind::Fresh;
    let trial = Trial::of(scene);
    // Row 1 was on the page before, row 2 comes by the stream.
    let mut stream = Stream::open(&trial, "/live/debugger?after=1&open=1&open=nonsense").await;
    let (_, found) = stream.next().await.unwrap();
    assert_eq!(found["rows"][0]["id"], "row-2");
    assert_eq!(found["changed"][0]["id"], "row-1");
    trial.change(|scene| scene.rows = vec![row(2), row(1)]);
    let (_, found) = stream.next().await.unwrap();
    assert_eq!(found["rows"].as_array().unwrap().len(), 0);
    let changed = found["changed"].as_array().unwrap();
    let mut ids: Vec<_> = changed
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["row-1", "row-2"]);
    assert!(
        changed
            .iter()
            .all(|row| !row["html"].as_str().unwrap().contains("data-open"))
    );
    // They have ended, so nothing is said of them any more.
    trial.change(|scene| {
        scene.rows = vec![row(3), row(2), row(1)];
        scene.rows[1].name = "Other".to_owned();
    });
    let (_, found) = stream.next().await.unwrap();
    assert_eq!(found["rows"][0]["id"], "row-3");
    assert_eq!(found["changed"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_stream_ends_when_the_process_stops() {
    let trial = Trial::of(Scene::busy());
    let mut stream = Stream::open(&trial, "/live/debugger").await;
    assert_eq!(stream.next().await.unwrap().0, "found");
    trial.scene().stop.notify_one();
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_page_too_many_is_told_so_and_gets_its_place_when_another_leaves() {
    let console = Trial::of(Scene::busy()).logged_in().await;
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        let mut stream = Stream::of(open(&console, "/live/debugger").await);
        assert_eq!(stream.next().await.unwrap().0, "found");
        streams.push(stream);
    }
    let mut late = Stream::of(open(&console, "/live/debugger").await);
    let (kind, said) = late.next().await.unwrap();
    assert_eq!(
        (kind.as_str(), said.as_str()),
        ("full", Some("16 pages are watching already"))
    );
    assert!(late.next().await.is_none());
    streams.pop();
    let mut next = Stream::of(open(&console, "/live/debugger").await);
    assert_eq!(next.next().await.unwrap().0, "found");
}

#[tokio::test]
async fn a_test_event_goes_through_the_chosen_connection() {
    let trial = Trial::of(Scene::busy());
    let answered = trial
        .post("/debugger/test", &[("connection", "acme-production")])
        .await;
    assert_eq!(
        (answered.status, answered.location.as_str()),
        (StatusCode::SEE_OTHER, "/debugger")
    );
    assert_eq!(trial.scene().done, ["send a test through acme-production"]);
}

#[tokio::test]
async fn a_test_that_cannot_be_sent_says_why_on_the_page() {
    let mut scene = Scene::busy();
    scene.mistakes = vec!["acme-production has no write key".to_owned()];
    let trial = Trial::of(scene);
    let answered = trial
        .post("/debugger/test", &[("connection", "acme-production")])
        .await;
    assert_eq!(answered.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answered.text.contains("acme-production has no write key"));
    assert!(answered.text.contains("id=\"row-2\""));
}

#[test]
fn what_a_test_came_to_is_said_with_what_it_does_not_prove() {
    let mut sent = TestSent {
        event: "Postmeter Test".to_owned(),
        message_id: "pm-test".to_owned(),
        accepted: true,
        answer: "200 OK".to_owned(),
    };
    assert!(told("a", &sent).contains("a wrong write key too"));
    sent.accepted = false;
    sent.answer = "x".repeat(5_000);
    assert!(told("a", &sent).len() < 300);
}

#[test]
fn many_connections_share_a_column() {
    let mut document = "[[workspace]]\nname = \"acme\"\nsigning_keys = [\"env:K\"]\n".to_owned();
    let add = |document: &mut String, n: usize| {
        let (name, key) = (
            format!("name = \"c{n}\""),
            format!("write_key = \"env:K{n}\""),
        );
        document.extend([
            "[[connection]]\nworkspace = \"acme\"\n",
            &name,
            "\n",
            &key,
            "\n",
        ]);
    };
    let decided = |document: &str| {
        let written = connections::Written::parse(document).unwrap();
        written.settle_ids(&Connections::default()).unwrap()
    };
    (1..=MAX_COLUMNS).for_each(|n| add(&mut document, n));
    let all = Choice::default();
    assert_eq!(columns(&decided(&document), &all), ["c1", "c2", "c3"]);
    add(&mut document, 4);
    assert_eq!(columns(&decided(&document), &all), [""; 0]);
    let mut one = Choice::default();
    one.filter = one.filter.with(Key::Connection, "c4");
    assert_eq!(columns(&decided(&document), &one), ["c4"]);
    document.push_str("[[workspace]]\nname = \"other\"\nsigning_keys = [\"env:O\"]\n");
    one.filter = crate::seen::Filter::default();
    assert_eq!(columns(&decided(&document), &one), [""; 0]);
}
