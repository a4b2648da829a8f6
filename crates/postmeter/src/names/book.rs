//! One workspace's names, as feeds and their look-ups share them.
//!
//! A feed says what it misses and waits a little; whoever looks up says what came.
//! Refuses to know how names are looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::known::{Key, Known};

/// How long a page of records waits for its names, in all.
const MAX_WAIT: Duration = Duration::from_secs(3);
/// How long the App API may take over one answer before nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody waits any more after a wait was in vain: a line that stands
/// still is worse than a call without a name.
const REST: Duration = Duration::from_secs(30);
/// How long an id that has no name is not looked up again.
const ABSENT: Duration = Duration::from_mins(10);
/// The most ids that wait to be looked up, and the most that are known to have no
/// name. Beyond, ids are left out: they come again with later records.
const MAX_IDS: usize = 10_000;

/// How a workspace's names are doing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct NamesStatus {
    /// How many are known.
    pub(crate) names: usize,
    /// When all lists were last read through, by any node.
    pub(crate) refreshed_at: Option<Timestamp>,
    /// Why this node's last request failed; none once one succeeds.
    pub(crate) last_error: Option<String>,
}

/// A workspace's names. Clones are the same book.
#[derive(Clone)]
pub(crate) struct Book(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Told when anything came that somebody may wait for.
    changed: watch::Sender<()>,
    /// Told when something is to be looked up.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    /// Whether anybody looks up: whether the workspace has a key.
    is_open: bool,
    /// Whether what the journal keeps has been read.
    is_loaded: bool,
    known: Arc<Known>,
    absent: BTreeMap<Key, Instant>,
    wanted: BTreeSet<Key>,
    is_refresh_wanted: bool,
    /// When the request under way was made.
    asked_at: Option<Instant>,
    /// No requests are made before.
    away_until: Option<Instant>,
    /// Nobody waits before.
    rest_until: Option<Instant>,
    last_error: Option<String>,
}

impl Default for Book {
    fn default() -> Book {
        Book(Arc::new(Inner {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            wanted: Notify::new(),
        }))
    }
}

/// For feeds, and for whoever shows how things are.
impl Book {
    /// What is known now; nothing where the workspace has no key.
    pub(crate) fn known(&self) -> Arc<Known> {
        let state = self.state();
        if state.is_open {
            Arc::clone(&state.known)
        } else {
            Arc::default()
        }
    }

    /// Has names looked up that are not known yet, and waits for them, at most
    /// [`MAX_WAIT`] and only while the App API answers.
    pub(crate) async fn look_up(&self, keys: BTreeSet<Key>, stop: &CancellationToken) {
        let deadline = Instant::now() + MAX_WAIT;
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let until = self.state().ask(&keys, Instant::now());
            let Some(until) = until else { return };
            self.0.wanted.notify_one();
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(until.min(deadline)) => {}
                () = stop.cancelled() => return,
            }
            if Instant::now() >= deadline {
                return self.state().give_up(Instant::now());
            }
        }
    }

    pub(crate) fn status(&self) -> NamesStatus {
        let state = self.state();
        NamesStatus {
            names: state.known.len(),
            refreshed_at: state.known.refreshed_at,
            last_error: state.last_error.clone(),
        }
    }

    /// Has everything read anew.
    pub(crate) fn refresh(&self) {
        self.state().is_refresh_wanted = true;
        self.0.wanted.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment; it is whole whatever its holder died of.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts the keys that are to be looked up in line. Says until when to wait for
    /// them; none where that makes no sense.
    fn ask(&mut self, keys: &BTreeSet<Key>, now: Instant) -> Option<Instant> {
        if !self.is_open {
            return None;
        }
        let is_missing = |key: &&Key| {
            let absent = self.absent.get(*key).is_some_and(|until| *until > now);
            !absent && !self.known.has(key)
        };
        let missing: Vec<Key> = keys.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return None;
        }
        if self.is_loaded {
            let room = MAX_IDS.saturating_sub(self.wanted.len());
            self.wanted.extend(missing.into_iter().take(room));
        }
        let is_over = |until: Option<Instant>| until.is_none_or(|until| until <= now);
        if !is_over(self.away_until) || !is_over(self.rest_until) {
            return None;
        }
        let until = self.asked_at.unwrap_or(now) + PATIENCE;
        (until > now).then_some(until)
    }

    /// A wait was in vain.
    fn give_up(&mut self, now: Instant) {
        self.rest_until = Some(now + REST);
    }
}

/// For whoever looks up.
impl Book {
    /// Somebody looks up from now on.
    pub(super) fn open(&self) {
        self.state().is_open = true;
    }

    /// Nobody looks up any more, and nobody is to see what is known.
    pub(super) fn close(&self) {
        self.state().is_open = false;
        self.0.changed.send_replace(());
    }

    /// Takes what the journal keeps.
    pub(super) fn load(&self, kept: Option<&Known>) {
        let mut state = self.state();
        if let Some(kept) = kept {
            Arc::make_mut(&mut state.known).merge(kept);
        }
        state.is_loaded = true;
        drop(state);
        self.0.changed.send_replace(());
    }

    /// Returns as soon as something is to be looked up.
    pub(super) async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// What is to be looked up; it is in line no more.
    pub(super) fn take_wanted(&self) -> BTreeSet<Key> {
        std::mem::take(&mut self.state().wanted)
    }

    /// Whether everything is to be read anew; it is so once.
    pub(super) fn take_refresh(&self) -> bool {
        std::mem::take(&mut self.state().is_refresh_wanted)
    }

    /// A request is made.
    pub(super) fn asks(&self) {
        self.state().asked_at = Some(Instant::now());
    }

    /// A request was answered with these names.
    pub(super) fn note(&self, names: Vec<(Key, String)>, read_at: Timestamp) {
        let mut state = self.state();
        if !names.is_empty() {
            Arc::make_mut(&mut state.known).note(names, read_at);
        }
        (state.asked_at, state.away_until, state.last_error) = (None, None, None);
        drop(state);
        self.0.changed.send_replace(());
    }

    /// A request failed, and the next is made after `pause`.
    pub(super) fn fail(&self, error: String, pause: Duration) {
        let mut state = self.state();
        state.asked_at = None;
        state.last_error = Some(error);
        state.away_until = Some(Instant::now() + pause);
        drop(state);
        self.0.changed.send_replace(());
    }

    /// Of `keys`, which were looked up, those that are not known have no name.
    pub(super) fn conclude(&self, keys: BTreeSet<Key>) {
        let (mut state, now) = (self.state(), Instant::now());
        let state = &mut *state;
        if state.absent.len() + keys.len() > MAX_IDS {
            state.absent.retain(|_, until| *until > now);
        }
        for key in keys {
            if !state.known.has(&key) && state.absent.len() < MAX_IDS {
                state.absent.insert(key, now + ABSENT);
            }
        }
        self.0.changed.send_replace(());
    }

    /// Everything was read through.
    pub(super) fn refreshed(&self, at: Timestamp) {
        let mut state = self.state();
        state.absent.clear();
        Arc::make_mut(&mut state.known).refreshed_at = Some(at);
    }

    /// All that is known, whether or not the workspace has a key.
    pub(super) fn all(&self) -> Arc<Known> {
        Arc::clone(&self.state().known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(texts: &[&str]) -> BTreeSet<Key> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn open() -> Book {
        let book = Book::default();
        book.open();
        book.load(None);
        book
    }

    fn noted(book: &Book, text: &str) {
        let names = vec![(text.parse().unwrap(), "name".to_owned())];
        book.note(names, Timestamp::UNIX_EPOCH);
    }

    fn ask(book: &Book, texts: &[&str], now: Instant) -> Option<Instant> {
        book.state().ask(&keys(texts), now)
    }

    #[tokio::test]
    async fn a_page_goes_on_when_its_names_are_known_or_known_not_to_be() {
        let book = open();
        let texts = ["campaign/1", "newsletter/2"];
        let stop = CancellationToken::new();
        let looked_up = book.look_up(keys(&texts), &stop);
        let answered = async {
            book.wanted().await;
            let taken = book.take_wanted();
            assert_eq!(taken, keys(&texts));
            book.asks();
            noted(&book, "campaign/1");
            book.conclude(taken);
        };
        tokio::join!(looked_up, answered);
        assert_eq!(book.known().len(), 1);
        let now = Instant::now();
        assert_eq!(ask(&book, &texts, now), None);
        assert!(
            book.take_wanted().is_empty(),
            "an absent name is asked for again"
        );
        assert!(ask(&book, &texts, now + ABSENT).is_some());
        assert_eq!(book.take_wanted(), keys(&["newsletter/2"]));
    }

    #[test]
    fn nobody_waits_for_an_app_api_that_does_not_answer() {
        let (book, now) = (open(), Instant::now());
        let pause = Duration::from_mins(1);
        book.fail("away".to_owned(), pause);
        assert_eq!(ask(&book, &["campaign/1"], now), None);
        assert_eq!(book.take_wanted(), keys(&["campaign/1"]), "it is asked for");
        let later = Instant::now() + pause;
        assert_eq!(ask(&book, &["campaign/1"], later), Some(later + PATIENCE));
    }

    #[test]
    fn nobody_waits_long_for_one_answer() {
        let book = open();
        book.asks();
        let asked_at = book.state().asked_at.unwrap();
        let until = asked_at + PATIENCE;
        assert_eq!(ask(&book, &["campaign/1"], asked_at), Some(until));
        assert_eq!(ask(&book, &["campaign/1"], until), None);
        noted(&book, "campaign/2");
        assert!(
            ask(&book, &["campaign/1"], until).is_some(),
            "it answers again"
        );
    }

    #[test]
    fn a_wait_in_vain_is_not_repeated_at_once() {
        let (book, now) = (open(), Instant::now());
        book.state().give_up(now);
        assert_eq!(ask(&book, &["campaign/1"], now), None);
        assert_eq!(book.take_wanted(), keys(&["campaign/1"]), "it is asked for");
        assert!(ask(&book, &["campaign/1"], now + REST).is_some());
    }

    #[test]
    fn without_a_key_nothing_is_known_and_nobody_waits() {
        let book = open();
        noted(&book, "campaign/1");
        book.close();
        assert_eq!(ask(&book, &["campaign/2"], Instant::now()), None);
        assert_eq!(book.known().len(), 0);
        assert!(book.take_wanted().is_empty());
    }

    #[test]
    fn what_waits_to_be_looked_up_is_bounded() {
        let book = open();
        let many = (0..=MAX_IDS).map(|n| format!("newsletter/{n}"));
        let many: Vec<String> = many.collect();
        let texts: Vec<&str> = many.iter().map(String::as_str).collect();
        ask(&book, &texts, Instant::now());
        ask(&book, &["campaign/1"], Instant::now());
        let taken = book.take_wanted();
        assert_eq!(taken.len(), MAX_IDS);
        book.conclude(taken);
        book.conclude(keys(&["campaign/1"]));
        assert_eq!(book.state().absent.len(), MAX_IDS);
    }
}
