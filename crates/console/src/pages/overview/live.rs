//! The overview's live part: the same part of the page again, whenever it changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Part, Sending};
use crate::process::Process;
use crate::shell::{Console, Visit};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(2);
/// How long one stream lasts. A browser begins the next by itself, and that one asks
/// again whether the session still holds.
const LIFE: Duration = Duration::from_mins(10);

/// Sends the part as it changes.
pub(super) async fn live<P: Process>(State(console): State<Console<P>>, _: Visit) -> Response {
    let ends = Instant::now() + LIFE;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once; the page was made just now.
    ticks.tick().await;
    let sent = String::new();
    let looking = stream::unfold(
        (console, ticks, sent),
        move |(console, mut ticks, mut sent)| async move {
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = sleep_until(ends) => return None,
                () = console.process.stopping() => return None,
                }
                let part = part(&console).await;
                // Ages are not compared: a browser makes them grow by itself.
                let still = part.rendered(Timestamp::UNIX_EPOCH);
                if still != sent {
                    sent = still;
                    // The format has no place for a carriage return, which a stranger's text may hold.
                    let html = part.rendered(Timestamp::now()).replace('\r', " ");
                    let event = Event::default().event("overview").data(html);
                    return Some((Ok::<_, Infallible>(event), (console, ticks, sent)));
                }
            }
        },
    );
    Sse::new(looking)
        .keep_alive(KeepAlive::default())
        .into_response()
}

async fn part<P: Process>(console: &Console<P>) -> Part {
    let trouble = console.process.standing().await.trouble;
    Part::of(console.process.overview().await, Sending::Alone { trouble })
}
