//! Rows as they come: a stream of server-sent events, one for each open page.
//!
//! It is bounded in every way: how often it looks, how much it sends, how many
//! rows it looks at again, how many pages may watch, and how long until a page has
//! to ask again, which shows its session anew.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template as _;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use jiff::Timestamp;
use journal::Place;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::choice::Choice;
use super::line::{Layout, is_open};
use super::pace::Pace;
use crate::pages::event::{address, place_of};
use crate::process::{Look, Process, Trouble};
use crate::seen::Row;
use crate::shell::{Console, Visit};

/// Pages that may watch at once, over all sessions.
pub(super) const MAX_STREAMS: usize = 16;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two looks while there is trouble.
const TROUBLE_WAIT: Duration = Duration::from_secs(5);
/// New rows of one look: twenty a second.
const MAX_ROWS: usize = 10;
/// Rows that are looked at again until nothing more will happen to them.
const MAX_OPEN: usize = 100;
/// After this a page has to ask again.
const MAX_LIFE: Duration = Duration::from_mins(10);
/// Columns of their own that a page may ask for.
pub(super) const MAX_COLUMNS: usize = 3;

/// Watches for one page.
pub(super) fn stream<P: Process>(
    console: Console<P>,
    visit: &Visit,
    room: &Arc<Semaphore>,
) -> Response {
    let mut response = watched(console, visit, room);
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
    // nginx would keep events back until it has a buffer full of them.
    let unbuffered = HeaderValue::from_static("no");
    headers.insert(HeaderName::from_static("x-accel-buffering"), unbuffered);
    response
}

fn watched<P: Process>(console: Console<P>, visit: &Visit, room: &Arc<Semaphore>) -> Response {
    let Ok(permit) = Arc::clone(room).try_acquire_owned() else {
        let full = said("full", &format!("{MAX_STREAMS} pages are watching already"));
        return Sse::new(stream::iter([Ok::<_, Infallible>(full)])).into_response();
    };
    let watch = Watch::of(console, visit, permit);
    if !watch.layout.choice.mistakes.is_empty() {
        let mistaken = said("full", "the filter has mistakes");
        return Sse::new(stream::iter([Ok::<_, Infallible>(mistaken)])).into_response();
    }
    let events = stream::unfold(watch, |mut watch| async {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// An event that says something to a person.
fn said(kind: &str, text: &str) -> Event {
    let text = serde_json::to_string(text).expect("a text is always JSON");
    Event::default().event(kind).data(text)
}

/// What one look found, for the page's script.
#[derive(Serialize, PartialEq)]
struct Found {
    /// New rows, oldest first.
    rows: Vec<Sent>,
    /// Rows that are there already, as they are now.
    changed: Vec<Sent>,
    status: String,
    /// Where to look on from.
    after: String,
}

#[derive(Serialize, PartialEq)]
struct Sent {
    id: String,
    html: String,
}

struct Watch<P> {
    console: Console<P>,
    layout: Layout,
    after: Option<String>,
    /// Rows to which more will happen, with what was last sent of them.
    open: VecDeque<(Place, String)>,
    pace: Pace,
    status: String,
    ticks: Interval,
    ends_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl<P: Process> Watch<P> {
    fn of(console: Console<P>, visit: &Visit, permit: OwnedSemaphorePermit) -> Watch<P> {
        let fields = &visit.query;
        let each = |name: &'static str| fields.iter().filter(move |(there, _)| *there == name);
        let columns = each("column").take(MAX_COLUMNS);
        let open = each("open").take(MAX_OPEN);
        let open = open.filter_map(|(_, text)| Some((place_of(text)?, String::new())));
        let choice = Choice::of(fields, Timestamp::now());
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch {
            console,
            pace: Pace::of(&choice),
            layout: Layout {
                choice,
                columns: columns.map(|(_, name)| name.to_owned()).collect(),
                selected: None,
            },
            after: fields.filled("after").map(str::to_owned),
            open: open.collect(),
            status: String::new(),
            ticks,
            ends_at: Instant::now() + MAX_LIFE,
            _permit: permit,
        }
    }

    /// Waits until there is something to send; none when the page is to ask again, or
    /// the process stops.
    async fn next(&mut self) -> Option<Event> {
        while Instant::now() < self.ends_at {
            let process = self.console.process.clone();
            tokio::select! {
                () = process.stopping() => return None,
                _ = self.ticks.tick() => (),
            }
            match self.look().await {
                Ok(Some(found)) => {
                    let found = serde_json::to_string(&found).expect("texts are always JSON");
                    return Some(Event::default().event("found").data(found));
                }
                Ok(None) => (),
                Err(Trouble(text)) => {
                    self.ticks.reset_after(TROUBLE_WAIT);
                    return Some(said("trouble", &text));
                }
            }
        }
        None
    }

    /// Looks once; none where nothing is new.
    async fn look(&mut self) -> Result<Option<Found>, Trouble> {
        let process = &self.console.process;
        let filter = &self.layout.choice.filter;
        let look = self.after.as_deref().map_or(Look::Newest, Look::After);
        let watched = process.watch(look, filter, MAX_ROWS).await?;
        let changed = self.look_again().await?;
        // A first look is at the newest, which is no sample.
        if self.after.is_some() {
            self.pace.saw(&watched);
        }
        let status = self.pace.said();
        let newest_first = watched.rows.iter().take(MAX_ROWS);
        let rows = newest_first.rev().filter_map(|row| self.sent(row));
        let rows: Vec<Sent> = rows.collect();
        for row in watched
            .rows
            .iter()
            .take(MAX_ROWS)
            .filter(|row| is_open(row))
        {
            self.keep_open(row);
        }
        let is_new = !rows.is_empty() || !changed.is_empty() || self.status != status;
        self.status.clone_from(&status);
        self.after = Some(watched.next.clone());
        Ok(is_new.then_some(Found {
            rows,
            changed,
            status,
            after: watched.next,
        }))
    }

    /// Looks again at rows to which more was to happen.
    async fn look_again(&mut self) -> Result<Vec<Sent>, Trouble> {
        let places: Vec<Place> = self.open.iter().map(|(place, _)| *place).collect();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.console.process.rows(&places).await?;
        let mut changed = Vec::new();
        let was_open = std::mem::take(&mut self.open);
        for (place, last) in was_open {
            // One that is gone is not looked for again.
            let Some(row) = rows.iter().find(|row| row.place == place) else {
                continue;
            };
            let Some(sent) = self.sent(row) else {
                continue;
            };
            if is_open(row) {
                self.open.push_back((place, sent.html.clone()));
            }
            if sent.html != last {
                changed.push(sent);
            }
        }
        Ok(changed)
    }

    fn keep_open(&mut self, row: &Row) {
        if self.open.len() == MAX_OPEN {
            self.open.pop_front();
        }
        let html = self.sent(row).map(|sent| sent.html);
        self.open.push_back((row.place, html.unwrap_or_default()));
    }

    fn sent(&self, row: &Row) -> Option<Sent> {
        Some(Sent {
            id: format!("row-{}", address(&row.place)),
            html: self.layout.line(row).render().ok()?,
        })
    }
}
