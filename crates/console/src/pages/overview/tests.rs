//! What the overview says and shows, and how it reaches an open page.

use axum::http::StatusCode;
use jiff::{Timestamp, ToSpan as _};

use super::telling::tell;
use super::*;
use crate::seen::{Assurance, Channel, ChannelFunnel, History, Latency, LineState, Series};
use crate::seen::{NodeSeen, WorkspaceState};
use crate::trying::{HOSTILE, Scene, Trial, attempt, connection};

const AT: &str = "2026-03-26T20:00:00Z";

fn at() -> Timestamp {
    AT.parse().unwrap()
}

/// What is seen while all is well, changed by `change`.
fn seen(change: impl FnOnce(&mut Overview)) -> Overview {
    let mut seen = Scene::busy().overview;
    seen.at = at();
    change(&mut seen);
    seen
}

fn waiting(name: &str) -> ConnectionSeen {
    ConnectionSeen {
        reason: Some("Segment answers 429".to_owned()),
        lag_records: 18_240,
        oldest_s: 372.0,
        attempts: vec![attempt(429)],
        ..connection(name, LineState::Waiting)
    }
}

fn held(status: u16, drops_at: Timestamp) -> WorkspaceState {
    let since = drops_at - 168.hours();
    WorkspaceState::Holding {
        since,
        status,
        drops_at,
    }
}

fn plain(text: &str) -> String {
    text.replace('\u{202f}', " ")
}

/// The lede as it reads.
fn lede(telling: &Telling) -> String {
    let sentence = |said: &Sentence| {
        let about = said.about.clone().unwrap_or_default();
        let reason = said.reason.as_ref().map(|reason| format!(": {reason}."));
        let parts = format!("{about}{}{}", said.text, reason.unwrap_or_default());
        let link = said.link.as_ref().map(|link| format!(" [{}]", link.to));
        let whole = format!("{parts} {}", said.then).trim().to_owned();
        whole + &link.unwrap_or_default()
    };
    let sentences: Vec<String> = telling.lede.iter().map(sentence).collect();
    plain(&sentences.join(" "))
}

/// A change of what is seen, and the title that it leads to.
type Case = (Box<dyn FnOnce(&mut Overview)>, &'static str);

fn titled(cases: Vec<Case>) {
    for (change, title) in cases {
        assert_eq!(plain(&tell(&seen(change)).title), title);
    }
}

#[test]
fn while_something_is_stuck_the_title_names_all_that_is() {
    let soon = at() + 100.hours();
    let past = at() - 1.hour();
    let node = |seen: &mut Overview| seen.unanswered = vec!["b".to_owned()];
    titled(vec![
        (
            Box::new(|seen| seen.connections = vec![waiting("a")]),
            "One connection is waiting; nothing is lost.",
        ),
        (
            Box::new(|seen| seen.connections = vec![waiting("a"), waiting("b")]),
            "Two connections are waiting; nothing is lost.",
        ),
        (
            Box::new(move |seen| seen.workspaces[0].state = held(401, soon)),
            "Customer.io holds back events of acme; nothing is lost.",
        ),
        (
            Box::new(move |seen| {
                seen.workspaces[0].state = held(401, soon);
                seen.connections = vec![waiting("a")];
                node(seen);
            }),
            "Customer.io holds back events of acme, node b does not answer and one connection \
             is waiting; nothing is lost.",
        ),
        (Box::new(node), "Node b does not answer; nothing is lost."),
        (
            Box::new(move |seen| seen.workspaces[0].state = held(401, past)),
            "Customer.io has begun to drop events of acme.",
        ),
        (
            Box::new(|seen| {
                seen.journal.health = "full".to_owned();
                seen.connections = vec![waiting("a")];
            }),
            "The journal is full; Customer.io keeps new events back.",
        ),
        (
            Box::new(|seen| seen.journal.health = "no space".to_owned()),
            "The journal's disk is full; Customer.io keeps new events back.",
        ),
        (
            Box::new(|seen| seen.journal.health = "poisoned".to_owned()),
            "The journal needs a restart; Customer.io keeps new events back.",
        ),
        (
            Box::new(|seen| {
                seen.workspaces.clear();
                seen.connections.clear();
            }),
            "Nothing is set up yet.",
        ),
    ]);
}

#[test]
fn while_nothing_is_stuck_the_title_says_what_a_person_could_do_next() {
    titled(vec![
        (Box::new(|_| {}), "Everything flows."),
        (
            Box::new(|seen| seen.connections.clear()),
            "Events are kept, and sent nowhere yet.",
        ),
        (
            Box::new(|seen| seen.dead_letters = 1),
            "One event could not be delivered; it is kept.",
        ),
        (
            Box::new(|seen| seen.dead_letters = 12),
            "12 events could not be delivered; they are kept.",
        ),
        (
            Box::new(|seen| seen.connections = vec![connection("a", LineState::Unconfirmed)]),
            "One connection waits for you to confirm a test event.",
        ),
        (
            Box::new(|seen| seen.connections = vec![connection("a", LineState::Disabled)]),
            "Nothing is sent: every connection is paused or disabled.",
        ),
        (
            Box::new(|seen| seen.workspaces[0].state = WorkspaceState::Silent),
            "Ready; Customer.io has sent nothing yet.",
        ),
    ]);
}

#[test]
fn the_lede_says_what_happens_by_itself_and_what_a_person_must_do() {
    let said = |change: fn(&mut Overview)| lede(&tell(&seen(change)));
    assert_eq!(
        said(|_| {}),
        "Events come in at 812/s, and nothing waits. There is nothing to do."
    );
    assert_eq!(
        said(|seen| seen.connections = vec![waiting("a")]),
        "a waits: Segment answers 429. 18 240 events are kept, the oldest for 6 min 12 s; \
         they go out by themselves as soon as it can. [/connections/a]"
    );
    let many = said(|seen| seen.connections = ["a", "b", "c", "d", "e"].map(waiting).into());
    assert!(many.ends_with("So it is with two more."), "{many}");
    let key = said(|seen| {
        seen.connections = vec![waiting("a")];
        seen.connections[0].attempts = vec![attempt(401)];
    });
    assert!(key.contains("once its write key is right"), "{key}");
    let full = said(|seen| {
        seen.journal.health = "full".to_owned();
        seen.journal.reason = Some("the byte budget is used up".to_owned());
    });
    assert!(full.starts_with("Events are answered 503;"), "{full}");
    assert!(full.contains(": the byte budget is used up."), "{full}");
}

#[test]
fn a_note_says_what_is_wrong_until_when_and_has_one_link_that_mends_it() {
    let drops_at: Timestamp = "2026-03-30T12:58:00Z".parse().unwrap();
    let telling = tell(&seen(|seen| {
        seen.workspaces[0].state = held(401, drops_at);
        seen.workspaces[0].signed = false;
        seen.warnings = vec![
            "workspace acme: signatures are off, so anyone who knows the URL can send events"
                .into(),
            "connection acme-production: the write key has 31 characters".into(),
            "the connections file is not read any more".into(),
        ];
        seen.assurance = Some(Assurance {
            durable: true,
            findings: Vec::new(),
            accepted: vec!["Servers sync every two minutes.".to_owned()],
            checked_at: at(),
        });
    }));
    let notes = telling.notes.iter();
    let notes: Vec<_> = notes
        .map(|note| {
            (
                note.strong.as_str(),
                note.link.as_ref().unwrap().to.as_str(),
            )
        })
        .collect();
    let expected = [
        ("acme answers 401 to Customer.io.", "/workspaces/acme#keys"),
        ("You have accepted a loss.", "/settings"),
        (
            "acme takes events without a signature.",
            "/workspaces/acme#keys",
        ),
        ("", "/connections/acme-production"),
        ("", "/settings"),
    ];
    assert_eq!(notes, expected, "what is said of signatures is said once");
    let holding = &telling.notes[0].text;
    assert!(
        holding.ends_with("it begins to drop them on 30 March, 12:58 UTC."),
        "{holding}"
    );
}

fn charted() -> History {
    let counts = |n: u64| (0..60).map(|minute| n + minute % 7 * n / 10).collect();
    let series = |name: &str, n| Series {
        name: name.to_owned(),
        counts: counts(n),
    };
    History {
        span: Span::Hour,
        begins_at: at(),
        step_s: 60,
        channels: vec![series("email", 300), series("push", 90), series("sms", 40)],
        answers: vec![series("200", 40), series("429", 3)],
        latency: Latency {
            p50_s: vec![Some(0.2); 60],
            p99_s: vec![Some(0.9); 60],
        },
        funnels: vec![ChannelFunnel {
            channel: Channel::Email,
            steps: vec![("sent".to_owned(), 48_210), ("opened".to_owned(), 19_884)],
        }],
    }
}

#[tokio::test]
async fn the_page_shows_every_connection_and_workspace_and_the_charts_figures() {
    let mut scene = Scene::busy();
    scene.history = Some(charted());
    scene.overview.connections.push(waiting("acme-analytics"));
    let page = Trial::of(scene).get("/").await;
    let text = plain(&page.text);
    for expected in [
        "<title>One connection is waiting; nothing is lost ·",
        "href=\"/connections/acme-production\"",
        "href=\"/workspaces/acme\"",
        "18 240</td>",
        "6 min 12 s",
        "2 481 190",
        "429, 91 ms",
        "data-chart=\"{&#34;kind&#34;:&#34;stack&#34;",
        "20:59",
        "48 210",
        "41.2 %",
        "sse-connect=\"/live/overview\"",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[tokio::test]
async fn the_first_page_of_a_new_server_leads_through_two_steps() {
    let page = Trial::of(Scene::empty()).get("/").await;
    assert!(page.text.contains("Nothing is set up yet."));
    let steps = ["href=\"/workspaces/new\"", "href=\"/connect\""];
    assert!(steps.iter().all(|step| page.text.contains(step)));
    assert!(
        !page.text.contains("data-chart"),
        "there is nothing to chart"
    );
}

#[tokio::test]
async fn a_span_is_chosen_by_the_address_and_the_shortest_is_the_default() {
    let trial = Trial::of(Scene::busy());
    for (path, chosen) in [
        ("/", "hour"),
        ("/?span=month", "month"),
        ("/?span=x", "hour"),
    ] {
        let page = trial.get(path).await;
        let chip = format!("href=\"/?span={chosen}#history\" aria-current=\"true\"");
        assert!(page.text.contains(&chip), "{path}");
    }
}

#[tokio::test]
async fn the_history_is_json_for_whoever_is_not_an_open_page() {
    let mut scene = Scene::busy();
    scene.history = Some(charted());
    let answered = Trial::of(scene).get("/overview/history?span=hour").await;
    let history: serde_json::Value = serde_json::from_str(&answered.text).unwrap();
    assert_eq!(history["channels"][0]["name"], "email");
}

#[tokio::test]
async fn texts_of_strangers_reach_the_page_escaped_only() {
    let mut scene = Scene::busy();
    scene.overview.connections = vec![ConnectionSeen {
        label: Some(HOSTILE.to_owned()),
        region: HOSTILE.to_owned(),
        endpoint: HOSTILE.to_owned(),
        reason: Some(HOSTILE.to_owned()),
        ..waiting(HOSTILE)
    }];
    let workspace = &mut scene.overview.workspaces[0];
    workspace.name = HOSTILE.to_owned();
    workspace.last_refusal = Some(HOSTILE.to_owned());
    workspace.state = held(401, at());
    scene.overview.warnings = vec![HOSTILE.to_owned()];
    scene.overview.unanswered = vec![HOSTILE.to_owned()];
    let mut history = charted();
    history.answers[0].name = HOSTILE.to_owned();
    scene.history = Some(history);
    let page = Trial::of(scene).get("/").await;
    assert!(page.text.contains("&#60;script&#62;alert"));
    assert!(!page.text.contains("<script>alert") && !page.text.contains("<img"));
}

#[tokio::test]
async fn nodes_are_shown_where_there_is_more_than_one() {
    let mut scene = Scene::busy();
    let page = Trial::of(scene.clone()).get("/").await;
    assert!(!page.text.contains("<h2>Nodes</h2>"));
    let first = scene.overview.nodes[0].clone();
    scene.overview.nodes.push(NodeSeen {
        name: "b".to_owned(),
        is_this: false,
        indexes: vec![1, 2],
        feeds: vec!["acme-production: 1".to_owned()],
        ..first
    });
    let page = Trial::of(scene).get("/").await;
    assert!(page.text.contains("<h2>Nodes</h2>") && page.text.contains("1, 2"));
}

#[test]
fn the_live_part_brings_the_title_and_the_alarm_and_changes_only_with_the_facts() {
    let alone = || Sending::Alone {
        trouble: Some("the disk is full".to_owned()),
    };
    let facts = seen(|_| {});
    let part = Part::of(Ok(facts.clone()), alone());
    let html = part.rendered(at());
    assert!(html.contains("<title>Everything flows ·"), "{html}");
    assert!(html.contains("id=\"standing\" hx-swap-oob=\"true\""));
    assert!(html.contains("the disk is full"));
    assert_eq!(html, Part::of(Ok(facts), alone()).rendered(at()));
    let trouble = Trouble("node b did not answer".to_owned());
    let html = Part::of(Err(trouble), alone()).rendered(at());
    assert!(html.contains("This cannot be said just now."));
    assert!(html.contains("<bdi>node b did not answer</bdi>"));
}

#[tokio::test]
async fn what_cannot_be_found_out_is_said() {
    let mut scene = Scene::busy();
    scene.trouble = Some("node b did not answer".to_owned());
    let page = Trial::of(scene).get("/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("node b did not answer"));
}

#[tokio::test]
async fn the_live_stream_ends_when_the_process_stops() {
    let trial = Trial::of(Scene::busy());
    trial.scene().stop.notify_one();
    let answered = trial.get("/live/overview").await;
    assert_eq!(
        (answered.status, answered.text.as_str()),
        (StatusCode::OK, "")
    );
}
