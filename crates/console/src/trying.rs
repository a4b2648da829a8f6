//! A process that is none, so that pages can be tried without a server: what it
//! shows is in its fields, and what pages ask it to do is noted.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use connections::{Connection, Connections, Edit, SecretRef, Written};
use http_body_util::BodyExt as _;
use jiff::{Timestamp, ToSpan as _};
use journal::{DeadLetterId, Partition, Place, Seq};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::form::encoded;
use crate::process::{NotChanged, Process, Standing, TestSent, Trouble, Which};
use crate::seen::{
    AttemptSeen, AuditLine, CallSeen, Changed, Channel, ConnectionSeen, Enabling, Explained,
    Filter, History, JournalSeen, LetterSeen, Letters, LineState, Lookup, NodeSeen, Origin,
    Outcome, Overview, Preview, Retried, Row, RowEnd, RowKind, Span, Told, Watched, WorkspaceSeen,
    WorkspaceState,
};
use crate::{Access, router};

/// The token that begins a session here.
pub(crate) const TOKEN: &str = "a token for trying";
/// Markup that must never reach a page as markup.
pub(crate) const HOSTILE: &str =
    "<script>alert('\u{202e}x')</script><img src=x onerror=alert(1)>\"'&";

/// What a [`Trial`] shows and has been asked. Change the fields before a request.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) document: String,
    pub(crate) overview: Overview,
    pub(crate) history: Option<History>,
    pub(crate) rows: Vec<Row>,
    pub(crate) explained: Option<Explained>,
    pub(crate) previews: Vec<Preview>,
    pub(crate) letters: Letters,
    pub(crate) letter_list: Vec<LetterSeen>,
    pub(crate) audit: Vec<AuditLine>,
    pub(crate) trouble: Option<String>,
    pub(crate) mistakes: Vec<String>,
    /// Notified when the process stops.
    pub(crate) stop: Arc<Notify>,
    /// What was asked to be done, a line each.
    pub(crate) done: Vec<String>,
    /// The edits among that.
    pub(crate) edits: Vec<(Edit, Enabling)>,
}

/// A console over a [`Scene`].
#[derive(Clone)]
pub(crate) struct Trial(Arc<Mutex<Scene>>);

/// What a request was answered.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) location: String,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

fn ago(seconds: i64) -> Timestamp {
    now() - seconds.seconds()
}

pub(crate) fn place(seq: u64) -> Place {
    Place::new(Partition::new(0), Seq::new(seq))
}

/// An event that was opened, accepted by one connection.
pub(crate) fn row(seq: u64) -> Row {
    Row {
        place: place(seq),
        received_at: ago(5),
        workspace: "acme".to_owned(),
        kind: RowKind::Event,
        name: "Email Opened".to_owned(),
        channel: Channel::Email,
        person: Some("42".to_owned()),
        event_id: Some("01E4C8BES5XT87ZWRJFTB35YJ3".to_owned()),
        delivery_id: Some("RPILAgABcRhIBqSp7kiP".to_owned()),
        ends: vec![RowEnd {
            connection: "acme-production".to_owned(),
            outcome: Outcome::Accepted {
                took_ms: Some(218.0),
            },
        }],
    }
}

pub(crate) fn attempt(status: u16) -> AttemptSeen {
    AttemptSeen {
        at: ago(4),
        calls: 162,
        status: Some(status),
        answer: "{\"success\": true}".to_owned(),
        duration_ms: 91.0,
    }
}

pub(crate) fn connection(name: &str, state: LineState) -> ConnectionSeen {
    ConnectionSeen {
        name: name.to_owned(),
        id: format!("id-of-{name}"),
        label: None,
        workspace: "acme".to_owned(),
        region: "US".to_owned(),
        endpoint: "https://api.segment.io".to_owned(),
        write_key_ends_with: "2345".to_owned(),
        payload_version: "2.0.0".to_owned(),
        state,
        reason: None,
        waiting_since: None,
        retry_at: None,
        confirmed_at: Some(ago(86_400)),
        lag_records: 0,
        oldest_s: 0.0,
        rate_per_s: 812.0,
        hour: vec![3; 60],
        attempts: vec![attempt(200)],
    }
}

pub(crate) fn call() -> CallSeen {
    CallSeen {
        event: "Email Opened".to_owned(),
        message_id: "pm-k5v2x7n4mq3d6tjc1wz8hb0ryf".to_owned(),
        json: "{\"type\":\"track\",\"event\":\"Email Opened\",\"userId\":\"42\"}".to_owned(),
        notes: Vec::new(),
    }
}

pub(crate) fn explained(seq: u64) -> Explained {
    Explained {
        row: row(seq),
        body: "{\"event_id\":\"01E4C8BES5XT87ZWRJFTB35YJ3\",\"object_type\":\"email\",\
               \"metric\":\"opened\",\"data\":{\"identifiers\":{\"id\":\"42\"}}}"
            .to_owned(),
        body_bytes: 110,
        happened_at: Some(ago(60)),
        signed_by: Some("9f3c0a11".to_owned()),
        key: None,
        repeats: Vec::new(),
        told: vec![Told {
            connection: "acme-production".to_owned(),
            connection_id: "id-of-acme-production".to_owned(),
            outcome: Outcome::Accepted {
                took_ms: Some(218.0),
            },
            options: "as they are now".to_owned(),
            payload_version: "2.0.0".to_owned(),
            call: Some(call()),
            first: None,
            attempts: vec![attempt(200)],
            endpoint: "https://api.segment.io".to_owned(),
        }],
    }
}

impl Scene {
    /// One workspace, one connection that is up to date, one event.
    pub(crate) fn busy() -> Scene {
        let mut scene = Scene::empty();
        scene.document = "[[workspace]]\nname = \"acme\"\nsigning_keys = [\"env:ACME_KEY\"]\n\n\
             [[connection]]\nname = \"acme-production\"\nid = \"abcdefghijklmnop\"\n\
             workspace = \"acme\"\nwrite_key = \"env:ACME_WRITE_KEY\"\n"
            .to_owned();
        scene.overview.workspaces = vec![WorkspaceSeen {
            name: "acme".to_owned(),
            state: WorkspaceState::Sending,
            last_event_at: Some(ago(1)),
            rate_per_s: 812.0,
            received_day: 2_481_190,
            duplicates_day: 318,
            refused_day: 0,
            last_refusal: None,
            signed: true,
            keys: Vec::new(),
            names: None,
        }];
        scene.overview.connections = vec![connection("acme-production", LineState::UpToDate)];
        scene.rows = vec![row(2), row(1)];
        scene.explained = Some(explained(2));
        scene
    }

    /// A server that was just started for the first time.
    pub(crate) fn empty() -> Scene {
        Scene {
            document: String::new(),
            overview: Overview {
                at: now(),
                version: "0.0.0".to_owned(),
                journal: JournalSeen {
                    health: "healthy".to_owned(),
                    reason: None,
                    bytes: 3_100_000_000,
                    max_bytes: 20_000_000_000,
                    retention_days: 30,
                    records: 18_204_117,
                },
                workspaces: Vec::new(),
                connections: Vec::new(),
                dead_letters: 0,
                warnings: Vec::new(),
                nodes: vec![NodeSeen {
                    name: "this server".to_owned(),
                    version: "0.0.0".to_owned(),
                    is_this: true,
                    health: "healthy".to_owned(),
                    reason: None,
                    indexes: vec![0],
                    feeds: Vec::new(),
                }],
                unanswered: Vec::new(),
                assurance: None,
            },
            history: None,
            rows: Vec::new(),
            explained: None,
            previews: Vec::new(),
            letters: Letters::default(),
            letter_list: Vec::new(),
            audit: vec![AuditLine {
                at: ago(3_600),
                origin: Origin::Start,
                what: "+ connection acme-production".to_owned(),
            }],
            trouble: None,
            mistakes: Vec::new(),
            stop: Arc::default(),
            done: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// The first connection that is decided.
    pub(crate) fn connection(&self) -> Connection {
        self.decided().connections()[0].clone()
    }

    fn decided(&self) -> Connections {
        let written = Written::parse(&self.document).expect("the scene's document is valid");
        let decided = written.settle_ids(&Connections::default());
        decided.expect("there is randomness")
    }
}

impl Trial {
    pub(crate) fn of(scene: Scene) -> Trial {
        Trial(Arc::new(Mutex::new(scene)))
    }

    /// The scene as it is now: what was done is in it.
    pub(crate) fn scene(&self) -> Scene {
        self.0.lock().unwrap().clone()
    }

    /// Changes what there is to see, as the world does while a page is open.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Scene)) {
        change(&mut self.0.lock().unwrap());
    }

    /// Asks for a part of a page, as the page's script does, logged in.
    pub(crate) async fn get_part(&self, path: &str) -> Answered {
        let (console, cookie) = self.logged_in().await;
        let request = Request::get(path).header(header::COOKIE, cookie);
        let request = request.header("hx-request", "true");
        let request = request.body(Body::empty()).unwrap();
        text(console.oneshot(request).await.unwrap()).await
    }

    /// Asks for a page, logged in.
    pub(crate) async fn get(&self, path: &str) -> Answered {
        let (console, cookie) = self.logged_in().await;
        ask(&console, &cookie, (Method::GET, path), String::new()).await
    }

    /// Sends a form, logged in, with the word that its session needs.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let (console, cookie) = self.logged_in().await;
        let page = (Method::GET, "/nowhere");
        let page = ask(&console, &cookie, page, String::new()).await;
        let (_, rest) = page.text.split_once("name=\"csrf\" value=\"").unwrap();
        let word = rest.split('"').next().unwrap();
        let body = form(Some(word), fields);
        ask(&console, &cookie, (Method::POST, path), body).await
    }

    /// Sends a form, logged in, with any word for that of its session.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        word: Option<&str>,
        fields: &[(&str, &str)],
    ) -> Answered {
        let (console, cookie) = self.logged_in().await;
        ask(&console, &cookie, (Method::POST, path), form(word, fields)).await
    }

    /// A console of its own, and the cookie of a session with it.
    pub(crate) async fn logged_in(&self) -> (Router, String) {
        let console = router(self.clone(), Access::new(TOKEN));
        let login = Body::from(form(None, &[("token", TOKEN)]));
        let login = Request::post("/login").body(login).unwrap();
        let begun = console.clone().oneshot(login).await.unwrap();
        let cookie = begun.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        (console, cookie)
    }

    fn look<T>(&self, look: impl FnOnce(&Scene) -> T) -> Result<T, Trouble> {
        let scene = self.0.lock().unwrap();
        match &scene.trouble {
            Some(trouble) => Err(Trouble(trouble.clone())),
            None => Ok(look(&scene)),
        }
    }

    fn act<T>(&self, what: String, act: impl FnOnce(&mut Scene) -> T) -> Result<T, NotChanged> {
        let mut scene = self.0.lock().unwrap();
        if !scene.mistakes.is_empty() {
            return Err(NotChanged::Mistakes(scene.mistakes.clone()));
        }
        scene.done.push(what);
        Ok(act(&mut scene))
    }
}

/// Asks for a stream that need not end.
pub(crate) async fn open(
    (console, cookie): &(Router, String),
    path: &str,
) -> axum::response::Response {
    let request = Request::get(path).header(header::COOKIE, cookie);
    let request = request.body(Body::empty()).unwrap();
    console.clone().oneshot(request).await.unwrap()
}

fn form(word: Option<&str>, fields: &[(&str, &str)]) -> String {
    let word = word.map(|word| ("csrf", word));
    let pairs = word.iter().chain(fields);
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
    let pairs: Vec<String> = pairs.map(pair).collect();
    pairs.join("&")
}

async fn ask(
    console: &Router,
    cookie: &str,
    (method, path): (Method, &str),
    body: String,
) -> Answered {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::COOKIE, cookie);
    let request = request.body(Body::from(body)).unwrap();
    text(console.clone().oneshot(request).await.unwrap()).await
}

async fn text(response: axum::response::Response) -> Answered {
    let status = response.status();
    let location = response.headers().get(header::LOCATION);
    let location = location
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answered {
        status,
        text: String::from_utf8_lossy(&body).into_owned(),
        location,
    }
}

impl Process for Trial {
    async fn stopping(&self) {
        let stop = self.scene().stop;
        stop.notified().await;
    }

    async fn standing(&self) -> Standing {
        let scene = self.scene();
        Standing {
            dead_letters: scene.overview.dead_letters,
            journal_bytes: scene.overview.journal.bytes,
            journal_max_bytes: scene.overview.journal.max_bytes,
            trouble: scene.overview.journal.reason,
            node: None,
            version: scene.overview.version,
        }
    }

    async fn overview(&self) -> Result<Overview, Trouble> {
        self.look(|scene| scene.overview.clone())
    }

    async fn history(&self, span: Span) -> Result<History, Trouble> {
        let empty = || History {
            span,
            begins_at: now(),
            step_s: span.points().1 * 60,
            channels: Vec::new(),
            answers: Vec::new(),
            latency: crate::seen::Latency {
                p50_s: vec![None; span.points().0],
                p99_s: vec![None; span.points().0],
            },
            funnels: Vec::new(),
        };
        self.look(|scene| scene.history.clone().unwrap_or_else(empty))
    }

    async fn decided(&self) -> Result<Connections, Trouble> {
        self.look(Scene::decided)
    }

    async fn watch(
        &self,
        after: Option<&str>,
        filter: &Filter,
        limit: usize,
    ) -> Result<Watched, Trouble> {
        let name = filter.event.clone().unwrap_or_default();
        self.look(|scene| {
            let rows = scene.rows.iter().filter(|row| row.name.contains(&name));
            // Behind an earlier look there are the rows that came since.
            let after = after.map_or(0, |after| after.parse().expect("it is one of ours"));
            let rows = rows.filter(|row| row.place.seq.get() > after);
            let newest = scene.rows.iter().map(|row| row.place.seq.get()).max();
            Watched {
                rows: rows.take(limit).cloned().collect(),
                next: newest.unwrap_or(after).to_string(),
                passed: 40,
                examined: 2,
                rate_per_s: 812.0,
            }
        })
    }

    async fn rows(&self, places: &[Place]) -> Result<Vec<Row>, Trouble> {
        self.look(|scene| {
            let rows = scene.rows.iter().filter(|row| places.contains(&row.place));
            rows.cloned().collect()
        })
    }

    async fn explain(&self, place: Place) -> Result<Option<Explained>, Trouble> {
        self.look(|scene| {
            let explained = scene.explained.clone();
            explained.filter(|explained| explained.row.place == place)
        })
    }

    async fn find(&self, words: &str) -> Result<Lookup, Trouble> {
        self.look(|scene| Lookup {
            words: words.to_owned(),
            meaning: (!scene.rows.is_empty()).then(|| "a delivery id".to_owned()),
            rows: scene.rows.clone(),
            more: false,
        })
    }

    async fn preview(&self, _: &Connection, limit: usize) -> Result<Vec<Preview>, Trouble> {
        self.look(|scene| scene.previews.iter().take(limit).cloned().collect())
    }

    async fn backlog(&self, _: &str) -> Result<u64, Trouble> {
        self.look(|_| 18_240)
    }

    async fn letters(&self) -> Result<Letters, Trouble> {
        self.look(|scene| scene.letters.clone())
    }

    async fn letters_of(
        &self,
        _: Option<&str>,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<LetterSeen>, Trouble> {
        let below = after.map_or(u64::MAX, DeadLetterId::get);
        self.look(|scene| {
            let letters = scene.letter_list.iter();
            let letters = letters.filter(|letter| letter.id < below);
            letters.take(limit).cloned().collect()
        })
    }

    async fn letter(&self, id: DeadLetterId) -> Result<Option<LetterSeen>, Trouble> {
        self.look(|scene| {
            let mut letters = scene.letter_list.iter();
            letters.find(|letter| letter.id == id.get()).cloned()
        })
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditLine>, Trouble> {
        self.look(|scene| scene.audit.iter().take(limit).cloned().collect())
    }

    async fn keep_secret(&self, secret: &str) -> Result<SecretRef, NotChanged> {
        let length = secret.len();
        self.act(format!("keep a secret of {length} bytes"), |_| {
            "kept:k-1".parse().expect("it is the id of a kept secret")
        })
    }

    async fn edit(&self, edit: Edit, enabling: Enabling) -> Result<Changed, NotChanged> {
        self.act("edit".to_owned(), |scene| {
            scene.edits.push((edit, enabling));
            Changed::default()
        })
    }

    async fn send_test(&self, connection: &str) -> Result<TestSent, NotChanged> {
        self.act(format!("send a test through {connection}"), |_| TestSent {
            event: "Postmeter Test".to_owned(),
            message_id: "pm-test".to_owned(),
            accepted: true,
            answer: "200 {\"success\": true}".to_owned(),
        })
    }

    async fn confirm(&self, connection: &str) -> Result<(), NotChanged> {
        self.act(format!("confirm {connection}"), |_| ())
    }

    async fn reset_claims(&self, connection: &str) -> Result<(), NotChanged> {
        self.act(format!("reset the claims of {connection}"), |_| ())
    }

    async fn refresh_names(&self, workspace: &str) -> Result<(), NotChanged> {
        self.act(format!("refresh the names of {workspace}"), |_| ())
    }

    async fn retry(&self, which: Which) -> Result<Retried, NotChanged> {
        self.act(format!("retry {which:?}"), |_| Retried::default())
    }

    async fn discard(&self, which: Which) -> Result<u64, NotChanged> {
        self.act(format!("discard {which:?}"), |_| 1)
    }
}
