//! Names of campaigns and messages, from the App API to the call.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Home, PATIENCE, Process, Segment, Server, http, opened, postmeter};

pub(crate) const KEY: &str = "an-app-api-key-of-a-workspace";

/// The App API stand-in, as a process of its own.
pub(crate) struct AppApi {
    process: Process,
    url: String,
}

impl AppApi {
    /// One that lists campaigns from 1, each with an action of the same number,
    /// and one of everything else.
    pub(crate) async fn start(n_campaigns: u64) -> AppApi {
        let mut command = postmeter();
        command.env("CIO_APP_API_KEY", KEY).args([
            "emulator",
            "app-api",
            "--listen",
            "127.0.0.1:0",
            "--key",
            "env:CIO_APP_API_KEY",
        ]);
        let mut process = Process::start(&mut command);
        let url = process.line("listening on ");
        let app_api = AppApi { process, url };
        let campaign = |n: u64| {
            let action = json!({ "id": n, "name": format!("Mail {n}") });
            json!({ "id": n, "name": format!("Campaign {n}"), "actions": [action] })
        };
        let names = json!({
            "campaigns": (1..=n_campaigns).map(campaign).collect::<Vec<_>>(),
            "broadcasts": [{ "id": 9, "name": "Sale", "actions": [{ "id": 90, "name": "Offer" }] }],
            "newsletters": [{ "id": 7, "name": "Weekly" }],
            "transactional": [{ "id": 2, "name": "Password reset" }],
        });
        app_api.put("names", &names).await;
        app_api
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    async fn put(&self, what: &str, value: &Value) {
        let request = http().put(format!("{}/emulator/{what}", self.url));
        let request = request.header("Content-Type", "application/json");
        let answer = request.body(value.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
    }

    async fn requests(&self) -> Vec<Value> {
        let answer = http().get(format!("{}/emulator/requests", self.url));
        let text = answer.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// A server whose workspace has this key, with these connections' own lines.
fn server(segment: &Segment, app_api: Option<(&AppApi, &str)>, connections: &[&str]) -> Server {
    let home = Home::new("", segment.url());
    let mut text =
        "[[workspace]]\nname = \"acme\"\nsigning_keys = [\"env:CIO_SIGNING_KEY\"]\n".to_owned();
    if let Some((app_api, key)) = app_api {
        home.write("app-api.key", key);
        let file = home.path("app-api.key");
        let lines = format!(
            "app_api_key = \"file:{}\"\napp_api_url = \"{}\"\n",
            file.display(),
            app_api.url
        );
        text.push_str(&lines);
    }
    for (n, own) in connections.iter().enumerate() {
        let connection = format!(
            "[[connection]]\nname = \"c{n}\"\nworkspace = \"acme\"\nwrite_key = \"env:SEGMENT_WRITE_KEY\"\n\
             endpoint = \"{}\"\n{own}\n",
            segment.url()
        );
        text.push_str(&connection);
    }
    home.write("connections.toml", &text);
    home.start()
}

const V1: &str = "payload_version = \"1.0.0\"";

/// An email that belongs to what these ids say.
fn email(n: usize, ids: &Value) -> Value {
    let mut event = opened(n);
    let data = event["data"].as_object_mut().unwrap();
    data.extend(ids.as_object().unwrap().clone());
    event
}

pub(crate) fn of_campaign(n: usize, campaign: u64) -> Value {
    email(
        n,
        &json!({ "campaign_id": campaign, "action_id": campaign }),
    )
}

/// The properties of the call that the n-th event became, on each connection.
async fn properties(segment: &Segment, n_calls: usize, n: usize) -> Vec<Value> {
    let calls = segment.wait(n_calls).await;
    let delivery = format!("delivery-{n}");
    let its_own = calls.iter().map(|call| call["properties"].clone());
    its_own
        .filter(|properties| properties["delivery_id"] == delivery.as_str())
        .collect()
}

fn names(properties: &Value) -> [Option<&str>; 4] {
    [
        "campaign_name",
        "action_name",
        "newsletter_name",
        "transactional_message_name",
    ]
    .map(|key| properties.get(key).map(|name| name.as_str().unwrap()))
}

/// Waits until all lists were read through.
async fn refreshed(server: &Server) -> Value {
    let is_done = |answer: &Value| answer["workspaces"][0]["refreshed_at"].is_string();
    server.api_until("/api/names", is_done).await
}

#[tokio::test]
async fn a_1_0_0_connection_sends_the_names_that_the_app_api_knows() {
    let (segment, app_api) = (Segment::start(), AppApi::start(5).await);
    let server = server(&segment, Some((&app_api, KEY)), &[V1]);
    let events = [
        of_campaign(1, 5),
        email(2, &json!({ "newsletter_id": 7 })),
        email(3, &json!({ "transactional_message_id": 2 })),
        email(4, &json!({ "broadcast_id": 9, "action_id": "90" })),
        email(5, &json!({ "campaign_id": 404, "action_id": 1 })),
        email(6, &json!({ "campaign_id": "summer", "action_id": "n16" })),
    ];
    server.send_all(&events).await;
    let expected = [
        [Some("Campaign 5"), Some("Mail 5"), None, None],
        [None, None, Some("Weekly"), None],
        [None, None, None, Some("Password reset")],
        [None, Some("Offer"), None, None],
        [None; 4],
        [None; 4],
    ];
    for (n, expected) in (1..).zip(expected) {
        let found = properties(&segment, events.len(), n).await;
        assert_eq!(names(&found[0]), expected, "event {n}: {found:?}");
    }
    let status = refreshed(&server).await;
    assert_eq!(status["workspaces"][0]["last_error"], Value::Null);
}

#[tokio::test]
async fn calls_go_on_with_the_names_that_are_known_when_the_app_api_goes_away() {
    let (segment, mut app_api) = (Segment::start(), AppApi::start(5).await);
    let mut server = server(&segment, Some((&app_api, KEY)), &[V1]);
    server.send_all(&[of_campaign(1, 5)]).await;
    segment.wait(1).await;
    refreshed(&server).await;

    app_api.process.kill();
    server
        .send_all(&[of_campaign(2, 5), of_campaign(3, 6)])
        .await;
    let known = properties(&segment, 3, 2).await;
    assert_eq!(names(&known[0])[..2], [Some("Campaign 5"), Some("Mail 5")]);
    let unknown = properties(&segment, 3, 3).await;
    assert_eq!(names(&unknown[0]), [None; 4], "the line waits for a name");

    assert_eq!(server.process.terminate(), Some(0));
    let server = server.home.start();
    server.send_all(&[of_campaign(4, 5)]).await;
    let kept = properties(&segment, 4, 4).await;
    assert_eq!(names(&kept[0])[..2], [Some("Campaign 5"), Some("Mail 5")]);
}

#[tokio::test]
async fn a_2_0_0_connection_has_names_only_where_it_asks_for_them() {
    let (segment, app_api) = (Segment::start(), AppApi::start(5).await);
    let connections = ["names = true", "label = \"without\""];
    let server = server(&segment, Some((&app_api, KEY)), &connections);
    server.send_all(&[of_campaign(1, 5)]).await;
    let both = properties(&segment, 2, 1).await;
    let mut found: Vec<_> = both.iter().map(|each| names(each)[0]).collect();
    found.sort_unstable();
    assert_eq!(found, [None, Some("Campaign 5")]);
}

#[tokio::test]
async fn without_a_key_there_are_no_names() {
    let segment = Segment::start();
    let server = server(&segment, None, &[V1]);
    server.send_all(&[of_campaign(1, 5)]).await;
    let found = properties(&segment, 1, 1).await;
    assert_eq!(names(&found[0]), [None; 4]);
    assert_eq!(server.api("/api/names").await, json!({ "workspaces": [] }));
}

#[tokio::test]
async fn a_refused_key_shows_in_the_status_and_stops_nothing() {
    let (segment, app_api) = (Segment::start(), AppApi::start(5).await);
    let mut server = server(&segment, Some((&app_api, "a-wrong-key-of-somebody")), &[V1]);
    server.send_all(&[of_campaign(1, 5)]).await;
    let found = properties(&segment, 1, 1).await;
    assert_eq!(names(&found[0]), [None; 4]);
    let is_told = |answer: &Value| {
        let error = answer["workspaces"][0]["last_error"].as_str();
        error.is_some_and(|error| error.contains("refuses the key (401"))
    };
    let status = server.api_until("/api/names", is_told).await;
    assert_eq!(status["workspaces"][0]["names"], 0);
    server.process.terminate();
    let stderr = server.process.stderr();
    assert!(
        !stderr.contains("a-wrong-key"),
        "the key is logged: {stderr}"
    );
    assert!(stderr.contains("names cannot be looked up"), "{stderr}");
}

#[tokio::test]
async fn an_app_api_that_never_answers_stops_no_line() {
    let (segment, app_api) = (Segment::start(), AppApi::start(5).await);
    app_api.put("fault", &json!({ "slow": 600_000 })).await;
    let server = server(&segment, Some((&app_api, KEY)), &[V1]);
    let begun = Instant::now();
    for n in 1..=20 {
        server.send_all(&[of_campaign(n, 5)]).await;
        segment.wait(n).await;
    }
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    let first = properties(&segment, 20, 1).await;
    assert_eq!(names(&first[0]), [None; 4]);
}

#[tokio::test]
async fn never_more_than_ten_requests_are_made_in_a_second() {
    let (segment, app_api) = (Segment::start(), AppApi::start(30).await);
    let server = server(&segment, Some((&app_api, KEY)), &[V1, "names = true"]);
    let events: Vec<Value> = (1..=30).map(|n| of_campaign(n, n as u64)).collect();
    server.send_all(&events).await;
    // Thirty campaigns with an action each, and three others.
    let all_known = |answer: &Value| answer["workspaces"][0]["names"].as_u64() >= Some(63);
    server.api_until("/api/names", all_known).await;

    let requests = app_api.requests().await;
    assert!(requests.len() >= 30, "{}", requests.len());
    assert!(
        requests.iter().all(|each| each["status"] != 429),
        "{requests:?}"
    );
    let at = |request: &Value| request["at_ms"].as_i64().unwrap();
    for eleven in requests.windows(11) {
        let span = at(&eleven[10]) - at(&eleven[0]);
        assert!(span >= 1_000, "eleven requests within {span} ms");
    }
}
