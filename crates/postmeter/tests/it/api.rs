//! The API: what it makes, pages, files and commands show; what it is not told
//! rightly, it says; and nobody is answered who has not shown the token.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::asking::Answer;
use crate::harness::{Home, SIGNING_KEY, Segment, Server, opened, read_json, run, stdout};

const WRITE_KEY: &str = "zyxwvutsrqponmlkjihgfedcba543210";

/// A server about which nothing is decided yet.
fn bare() -> Server {
    Home::new("", "").start()
}

/// Asks a server, and remembers every answer.
struct Caller<'s> {
    server: &'s Server,
    said: String,
}

impl Caller<'_> {
    fn of(server: &Server) -> Caller<'_> {
        Caller {
            server,
            said: String::new(),
        }
    }

    async fn ask(&mut self, method: Method, path: &str, body: Value) -> Answer {
        let answer = self.server.ask(&method, path, &body).await;
        self.said.push_str(&answer.text);
        answer
    }

    /// The answer to a request that must succeed.
    async fn done(&mut self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.ask(method, path, body).await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer.json()
    }

    async fn keep(&mut self, secret: &str) -> Value {
        let body = json!({ "secret": secret });
        let kept = self.done(Method::POST, "/api/secrets", body).await;
        let end = secret.get(secret.len() - 4..).unwrap();
        assert_eq!(kept["ends_with"], end);
        assert!(kept["secret"].as_str().unwrap().starts_with("kept:"));
        kept["secret"].clone()
    }

    /// A workspace and a connection to `segment`, with kept secrets.
    async fn set_up(&mut self, segment: &Segment) {
        let signing_key = self.keep(SIGNING_KEY).await;
        let write_key = self.keep(WRITE_KEY).await;
        let workspace = json!({ "name": "acme", "signing_keys": [signing_key] });
        let made = self.done(Method::POST, "/api/workspaces", workspace).await;
        assert_eq!(made["changes"], json!(["+ workspace acme"]));
        let connection = json!({
            "name": "eu", "workspace": "acme", "write_key": write_key, "endpoint": segment.url(),
        });
        let made = self.done(Method::POST, "/api/connections", connection);
        assert_eq!(made.await["connection"]["write_key"], write_key);
    }
}

#[tokio::test]
async fn what_is_made_over_the_api_works_and_its_secrets_never_come_back() {
    let segment = Segment::start();
    let server = bare();
    let mut caller = Caller::of(&server);
    caller.set_up(&segment).await;
    server.send_all(&[opened(1)]).await;
    assert_eq!(segment.wait(1).await[0]["event"], "Email Opened");
    server
        .api_until("/api/events/1", |told| {
            told["told"][0]["outcome"]["word"] == "accepted"
        })
        .await;

    caller
        .done(Method::POST, "/api/connections/eu/confirm", Value::Null)
        .await;
    caller
        .done(
            Method::POST,
            "/api/connections/eu/reset-claims",
            Value::Null,
        )
        .await;
    let bad = json!({ "write_key": WRITE_KEY });
    let refused = caller.ask(Method::PATCH, "/api/connections/eu", bad).await;
    assert_eq!(refused.status, 422);
    let bad = json!({ "signing_keys": [SIGNING_KEY] });
    let refused = caller.ask(Method::PATCH, "/api/workspaces/acme", bad).await;
    assert_eq!(refused.status, 422);
    for path in [
        "/api/overview",
        "/api/connections",
        "/api/connections/eu",
        "/api/connections/document",
        "/api/connections/eu/preview",
        "/api/workspaces",
        "/api/workspaces/acme",
        "/api/events",
        "/api/events/1",
        "/api/find?q=person-1",
        "/api/audit",
        "/api/nodes",
        "/api/dead-letters",
        "/metrics",
    ] {
        let answer = caller.ask(Method::GET, path, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    for secret in [SIGNING_KEY, WRITE_KEY] {
        assert!(!caller.said.contains(secret), "{secret} came back");
    }
    let audit = server.api("/api/audit").await;
    let lines = audit["audit"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "connection eu: its first-only claims were reset",
            "connection eu: confirmed",
            "+ connection eu",
            "+ workspace acme",
        ]
    );
    assert!(audit["audit"][0]["origin"] == "api", "{audit}");
}

#[tokio::test]
async fn a_pause_holds_what_comes_and_its_end_sends_it() {
    let segment = Segment::start();
    let server = bare();
    let mut caller = Caller::of(&server);
    caller.set_up(&segment).await;
    let path = "/api/connections/eu";
    let paused = json!({ "paused": true });
    let changed = caller.done(Method::PATCH, path, paused).await;
    assert_eq!(changed["connection"]["paused"], true);
    server.send_all(&[opened(1)]).await;
    let is_held = |answer: &Value| {
        let connection = &answer["connections"][0];
        connection["state"] == "paused" && connection["lag_records"] == 1
    };
    server.api_until("/api/connections", is_held).await;
    assert_eq!(segment.calls().await.len(), 0);
    caller
        .done(Method::PATCH, path, json!({ "paused": null }))
        .await;
    segment.wait(1).await;

    caller
        .done(Method::PATCH, path, json!({ "enabled": false }))
        .await;
    server.send_all(&[opened(2)]).await;
    let enabled = json!({ "enabled": true });
    let now = "/api/connections/eu?enable_from=now";
    caller.done(Method::PATCH, now, enabled).await;
    server.send_all(&[opened(3)]).await;
    let calls = segment.wait(2).await;
    let people: Vec<&Value> = calls.iter().map(|call| &call["userId"]).collect();
    assert_eq!(people, ["person-1", "person-3"]);
}

#[tokio::test]
async fn what_one_way_writes_the_others_show() {
    let segment = Segment::start();
    let server = bare();
    let mut caller = Caller::of(&server);
    caller.set_up(&segment).await;
    let patch = json!({ "name": "europe", "label": "The EU", "rename": { "a \"b\"": "c" } });
    let changed = caller
        .done(Method::PATCH, "/api/connections/eu", patch)
        .await;
    let id = changed["connection"]["id"].clone();
    let exported = stdout(&run(&mut server.command(&["export"])));
    for line in [
        "name = \"europe\"",
        "label = \"The EU\"",
        "rename = { \"a \\\"b\\\"\" = \"c\" }",
    ] {
        assert!(exported.contains(line), "{line} is not in {exported}");
    }
    let overview = server.api("/api/overview").await;
    assert_eq!(overview["connections"][0]["name"], "europe");

    let next = exported.replace("label = \"The EU\"", "label = \"Europe\"");
    server.home.write("next.toml", &next);
    let applied = run(server
        .command(&["apply"])
        .arg(server.home.path("next.toml")));
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    let shown = server.api("/api/connections/europe").await;
    assert_eq!((&shown["label"], &shown["id"]), (&json!("Europe"), &id));

    let gone = caller
        .ask(Method::GET, "/api/connections/eu", Value::Null)
        .await;
    assert_eq!(gone.status, 404);
    caller
        .done(Method::DELETE, "/api/connections/europe", Value::Null)
        .await;
    caller
        .done(Method::DELETE, "/api/workspaces/acme", Value::Null)
        .await;
    let exported = stdout(&run(&mut server.command(&["export"])));
    assert_eq!(exported.trim(), "");
}

#[tokio::test]
async fn mistakes_are_answered_422_in_words_that_read_alone() {
    let segment = Segment::start();
    let server = bare();
    let mut caller = Caller::of(&server);
    caller.set_up(&segment).await;
    let cases = [
        (
            Method::POST,
            "/api/connections",
            json!({}),
            "name: is missing",
        ),
        (
            Method::POST,
            "/api/connections",
            json!({ "name": "eu", "workspace": "acme", "write_key": "env:SEGMENT_WRITE_KEY" }),
            "connection eu: name: another connection has this name",
        ),
        (
            Method::POST,
            "/api/connections",
            json!({ "name": "us", "workspace": "acme", "write_key": "env:NO_SUCH_KEY" }),
            "the environment variable NO_SUCH_KEY is not set",
        ),
        (
            Method::POST,
            "/api/workspaces",
            json!({ "name": "beta" }),
            "signature = \"off\" takes events from anyone",
        ),
        (
            Method::PATCH,
            "/api/connections/eu",
            json!({ "regions": "us" }),
            "did you mean `region`?",
        ),
        (
            Method::DELETE,
            "/api/workspaces/acme",
            Value::Null,
            "still has connections: remove eu first",
        ),
        (
            Method::POST,
            "/api/secrets",
            json!({ "secret": " " }),
            "not all blank",
        ),
        (
            Method::POST,
            "/api/dead-letters/discard",
            json!({ "id": 1, "all": true }),
            "exactly one of",
        ),
    ];
    let before = server.private_text("/api/connections/document").await;
    for (method, path, body, words) in cases {
        let answer = caller.ask(method, path, body.clone()).await;
        assert_eq!(answer.status, 422, "{path} {body}: {answer:?}");
        let said = answer.said();
        assert!(said.contains(words), "{path} {body}: {said}");
    }
    let after = server.private_text("/api/connections/document").await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_in_json_with_its_status() {
    let server = bare();
    let patch = || server.request(&Method::PATCH, "/api/connections/eu");
    let json = |text: &str| {
        let request = server.request(&Method::POST, "/api/secrets");
        let request = request.header("Content-Type", "application/json");
        request.body(text.to_owned())
    };
    let get = |path: &str| server.request(&Method::GET, path);
    // Just above the limit: what is read no further breaks a connection off.
    let too_large = format!("{{\"secret\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let cases = [
        (patch().body("{}"), 415, "Content-Type: application/json"),
        (json("{"), 400, "not JSON"),
        (json("[]"), 422, "mistake"),
        (json("{\"secret\": 7}"), 422, "mistake"),
        (json(&too_large), 413, "larger"),
        (get("/api/events?limit=0"), 400, "from 1 to 200"),
        (get("/api/events?limit=many"), 400, "limit"),
        (get("/api/events?channels=sms"), 400, "unknown field"),
        (get("/api/events?after=yesterday"), 400, "next"),
        (get("/api/history?span=year"), 400, "month"),
        (get("/api/find"), 400, "q"),
        (get("/api/events/9"), 404, "4711 or p2-4711"),
        (get("/api/events/%ff"), 400, "UTF-8"),
        (get("/api/connections/eu"), 404, "no connection \"eu\""),
        (get("/api/dead-letters/9"), 404, "no dead letter"),
        (get("/api/nothing"), 404, "openapi.json"),
        (server.request(&Method::DELETE, "/api/audit"), 405, "Allow"),
        (server.request(&Method::POST, "/healthz"), 405, "Allow"),
    ];
    for (request, status, words) in cases {
        let answer = request.send().await.unwrap();
        let url = answer.url().clone();
        assert_eq!(answer.status(), status, "{url}");
        let allowed = answer.headers().contains_key("allow");
        assert_eq!(allowed, status == 405, "{url}");
        assert_eq!(
            answer.headers()["content-type"],
            "application/json",
            "{url}"
        );
        let text = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        let error = body["error"].as_str().unwrap();
        assert!(error.contains(words), "{url}: {error}");
    }
}

#[tokio::test]
async fn dead_letters_are_removed_by_number_or_group_and_those_that_are_not_there_are_404() {
    let segment = Segment::start();
    let server = bare();
    let mut caller = Caller::of(&server);
    caller.set_up(&segment).await;
    let refuse = json!([{ "status": 400, "times": "always" }]);
    segment.faults(refuse).await;
    server.send_all(&[opened(1), opened(2), opened(3)]).await;
    let letters = server
        .api_until("/api/dead-letters", |letters| letters["total"] == 3)
        .await;
    let discard = "/api/dead-letters/discard";
    let one = json!({ "id": letters["dead_letters"][0]["id"] });
    let gone = caller.done(Method::POST, discard, one.clone()).await;
    assert_eq!(gone, json!({ "discarded": 1, "next": null }));
    for (path, body) in [
        (discard, one.clone()),
        ("/api/dead-letters/retry", one),
        (discard, json!({ "group": "no such group" })),
    ] {
        assert_eq!(caller.ask(Method::POST, path, body).await.status, 404);
    }
    let retry = "/api/dead-letters/retry";
    let again = caller
        .done(Method::POST, retry, json!({ "all": true }))
        .await;
    assert_eq!(
        (&again["accepted"], &again["refused"]),
        (&json!(0), &json!(2))
    );
    let groups = server.api("/api/dead-letters/groups").await;
    assert_eq!(groups["groups"][0]["count"], 2);
    let group = json!({ "group": groups["groups"][0]["key"] });
    let gone = caller.done(Method::POST, discard, group).await;
    assert_eq!(gone, json!({ "discarded": 2, "next": null }));
    let audit = server.api("/api/audit?limit=1").await;
    assert_eq!(
        audit["audit"][0]["what"],
        "2 dead letters of one reason were discarded"
    );
}

#[tokio::test]
async fn without_the_token_no_described_path_and_no_page_answers() {
    let server = bare();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/openapi.json");
    let document = read_json(&document);
    let mut asked: Vec<(Method, String)> = ["/", "/settings", "/dead-letters/7", "/api", "/x/y"]
        .map(|page| (Method::GET, page.to_owned()))
        .into();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            asked.push((method, path.replace(['{', '}'], "")));
        }
    }
    assert!(asked.len() > 30, "only {} paths", asked.len());
    for (method, path) in asked {
        let url = format!("http://{}{path}", server.console);
        let open = ["/healthz", "/readyz"].contains(&path.as_str());
        let expected = if open { 200 } else { 401 };
        let request = || server.http.request(method.clone(), &url).body("{}");
        let naked = request().send().await.unwrap();
        assert_eq!(naked.status(), expected, "{method} {path}");
        let wrong = request().bearer_auth("wrong").send().await.unwrap();
        assert_eq!(wrong.status(), expected, "{method} {path}");
    }
}
