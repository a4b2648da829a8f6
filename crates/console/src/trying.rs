//! A process that is none, so that pages can be tried without a server: what it
//! shows is a [`Scene`], and what pages ask it to do is noted there.

mod scene;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use connections::{Connection, Connections, Edit, SecretRef};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use journal::{DeadLetterId, Place};
use tower::ServiceExt as _;

use crate::form::encoded;
use crate::process::{Look, NotChanged, Process, Standing, TestSent, Trouble, Which};
use crate::seen::filter::Key;
use crate::seen::{
    Ahead, AuditLine, Changed, Discarded, Enabling, Explained, Filter, Foreseen, History,
    LetterList, LetterSeen, Letters, Lookup, Overview, Preview, ReplayAsked, ReplayPreview,
    ReplaySeen, Retried, Row, Span, Steer, Watched, differences,
};
use crate::{Access, router};

pub(crate) use self::scene::*;

/// The token that begins a session here.
pub(crate) const TOKEN: &str = "a token for trying";

/// A console over a [`Scene`].
#[derive(Clone)]
pub(crate) struct Trial(Arc<Mutex<Scene>>);

/// What a request was answered.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) location: String,
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
        look: Look<'_>,
        filter: &Filter,
        limit: usize,
    ) -> Result<Watched, Trouble> {
        let after = match look {
            Look::After(mark) => Some(mark),
            Look::Newest | Look::Before(_) => None,
        };
        let older = match look {
            Look::Newest => self.scene().older,
            Look::After(_) | Look::Before(_) => None,
        };
        self.look(|scene| {
            let rows = scene.rows.iter().filter(|row| filter.wants(row, &[]));
            // Behind an earlier look there are the rows that came since.
            let after = after.map_or(0, |after| after.parse().unwrap_or(0));
            let rows = rows.filter(|row| row.place.seq.get() > after);
            let newest = scene.rows.iter().map(|row| row.place.seq.get()).max();
            Watched {
                rows: rows.take(limit).cloned().collect(),
                next: newest.unwrap_or(after).to_string(),
                passed: 40,
                examined: 2,
                reached_at: Some(now()),
                older,
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

    async fn erased_at(&self, place: Place) -> Option<Timestamp> {
        let erased = self.look(|scene| scene.erased).ok().flatten();
        erased.and_then(|(there, at)| (there == place).then_some(at))
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

    async fn letters(&self, filter: &Filter) -> Result<Letters, Trouble> {
        self.look(|scene| {
            let mut letters = scene.letters.clone();
            let asked = filter.any_of(Key::Reason);
            letters.groups.retain(|group| {
                asked.is_empty() || asked.iter().any(|word| group.reason.contains(word))
            });
            letters
        })
    }

    async fn letters_of(
        &self,
        _: &Which,
        below: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<LetterList, Trouble> {
        let below = below.map_or(u64::MAX, DeadLetterId::get);
        self.look(|scene| {
            let letters = scene.letter_list.iter();
            let mut letters: Vec<LetterSeen> = letters
                .filter(|letter| letter.id < below)
                .cloned()
                .collect();
            let has_more = letters.len() > limit;
            letters.truncate(limit);
            LetterList {
                older: letters.last().map(|last| last.id).filter(|_| has_more),
                examined: letters.len() as u64,
                letters,
            }
        })
    }

    async fn foresee(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> Result<Foreseen, Trouble> {
        let below = below.map_or(u64::MAX, DeadLetterId::get);
        self.look(|scene| {
            let letters = scene.letter_list.iter();
            let letters = letters.filter(|letter| letter.id < below);
            let meant = letters.filter(|letter| match which {
                Which::These(ids) => ids.iter().any(|id| id.get() == letter.id),
                Which::Group(_) | Which::Matching(_) => true,
            });
            let count = meant.clone().count() as u64;
            Foreseen {
                count,
                examined: scene.letter_list.len() as u64,
                next: None,
                below: meant.clone().next().map_or(0, |newest| newest.id + 1),
                same: 0,
                differ: count,
                fresh: 0,
                unsendable: Vec::new(),
                samples: meant.take(1).map(ahead).collect(),
            }
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

    async fn replays(&self) -> Result<Vec<ReplaySeen>, Trouble> {
        self.look(|scene| scene.replays.clone())
    }

    async fn replay(&self, number: u64) -> Result<Option<ReplaySeen>, Trouble> {
        self.look(|scene| {
            let mut replays = scene.replays.iter();
            replays.find(|replay| replay.number == number).cloned()
        })
    }

    async fn preview_replay(&self, asked: &ReplayAsked) -> Result<ReplayPreview, NotChanged> {
        self.act(format!("preview {asked:?}"), |_| preview(asked))
    }

    async fn start_replay(&self, asked: &ReplayAsked) -> Result<ReplaySeen, NotChanged> {
        self.act(format!("start {asked:?}"), |_| replay(7))
    }

    async fn steer_replay(&self, number: u64, steer: Steer) -> Result<ReplaySeen, NotChanged> {
        self.act(format!("{} replay {number}", steer.word()), |_| {
            replay(number)
        })
    }

    async fn retry(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> Result<Retried, NotChanged> {
        let below = below.map(DeadLetterId::get);
        self.act(format!("retry {which:?} below {below:?}"), |scene| {
            Retried {
                next: scene.letters_left,
                ..Retried::default()
            }
        })
    }

    async fn discard(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> Result<Discarded, NotChanged> {
        let below = below.map(DeadLetterId::get);
        self.act(format!("discard {which:?} below {below:?}"), |scene| {
            Discarded {
                discarded: 1,
                next: scene.letters_left,
            }
        })
    }
}

/// A retry that changes a field.
fn ahead(letter: &LetterSeen) -> Ahead {
    let before = letter.call.clone().unwrap_or_default();
    let now = before.replace("\"42\"", "\"43\"");
    Ahead {
        id: letter.id,
        event: letter.event.clone(),
        connection: letter.connection.clone(),
        differences: differences(&before, &now).0,
        before: Some(before),
        now: Some(now),
        why_not: None,
    }
}
