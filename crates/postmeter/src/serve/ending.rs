//! How a server runs and ends: it is stopped, or another process takes its place.
//!
//! In both cases the order is what no sender must notice. Attempts at Segment are
//! finished first, for that may take seconds, while events are still received. Then
//! nothing more is accepted, the requests in hand are answered, the journal is
//! closed, and whoever comes next has it a moment later.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use journal::Journal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Server;
use crate::doors::{self, Doors};
use crate::handover::{Invitation, Successor};
use crate::history::History;
use crate::http::Heir;
use crate::notify::Manager;

/// How long the stages may take to finish what is in hand.
const GRACE: Duration = Duration::from_secs(10);
/// How long the last counts may take to be written.
const LAST_FLUSH: Duration = Duration::from_secs(3);

/// Where a server is entered, and who may come after it.
pub(crate) struct Entrance {
    pub(crate) doors: Doors,
    /// By which a process can take over.
    pub(crate) invitation: Option<Invitation>,
    pub(crate) manager: Manager,
}

impl Entrance {
    /// Doors that close with the server.
    pub(crate) fn plain(doors: Doors) -> Entrance {
        Entrance {
            doors,
            invitation: None,
            manager: Manager::nobody(),
        }
    }
}

/// How it went.
pub(crate) enum Ended {
    /// It was told to stop.
    Stopped,
    /// Another process serves in its place.
    Replaced,
    /// Another process was about to, and ended: the journal is closed, and whoever
    /// comes to these doors waits for a server.
    Deserted(Doors),
}

/// How the doors were left.
enum Left {
    /// Nobody but the next process takes connections.
    Closing(Doors),
    /// The next process is gone: they stay open.
    Holding(Doors),
}

impl Server {
    /// Runs until the signal, or until another process takes over: finishes the
    /// attempts in hand within [`GRACE`], takes no more requests, and closes the
    /// journal. What is left in the journal goes on at the next start.
    pub(crate) async fn run(
        self,
        entrance: Entrance,
        signal: &CancellationToken,
    ) -> anyhow::Result<Ended> {
        let Entrance {
            doors,
            invitation,
            manager,
        } = entrance;
        let (journal, history) = (self.journal.clone(), self.history.clone());
        let stop = signal.child_token();
        let mut stages = JoinSet::new();
        self.start_stages(&mut stages, &doors, &stop);
        // No stage ends before it is told to, except by a bug that unwound it.
        let (died, successor) = tokio::select! {
            ended = stages.join_next() => (ended, None),
            () = stop.cancelled() => (None, None),
            successor = taken(invitation.as_ref()) => (None, Some(successor)),
        };
        stop.cancel();
        if successor.is_some() {
            info!("another process takes over");
            finish(stages).await;
        } else {
            manager.stopping().await;
            tokio::join!(finish(stages), doors.clear());
        }
        drop(invitation);
        let left = leave(doors, successor.as_ref(), &manager).await;
        close(journal, history).await?;
        if let Some(Err(died)) = died {
            return Err(died).context("a stage died");
        }
        conclude(left, successor, signal).await
    }
}

async fn taken(invitation: Option<&Invitation>) -> Successor {
    match invitation {
        Some(invitation) => invitation.taken().await,
        None => std::future::pending().await,
    }
}

async fn finish(mut stages: JoinSet<()>) {
    let rest = async { while stages.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, rest).await.is_err() {
        warn!(
            "some attempts were not finished within {GRACE:?}; they are made again at the next start"
        );
        // What they hold of the journal is let go of before anybody else opens it.
        stages.shutdown().await;
    }
}

/// Leaves the doors to whoever comes next.
async fn leave(doors: Doors, successor: Option<&Successor>, manager: &Manager) -> Left {
    let (heirs, passed) = doors::passage();
    match successor {
        Some(successor) => {
            if successor.accept().await.is_err() {
                doors.hold();
                return Left::Holding(doors);
            }
            let leaving = doors.leave(Heir::Process(heirs));
            tokio::join!(leaving, successor.pass_on(passed));
        }
        None if manager.keeps() => {
            let leaving = doors.leave(Heir::Manager(heirs));
            tokio::join!(leaving, manager.keep_all(passed));
        }
        None => doors.leave(Heir::Nobody).await,
    }
    Left::Closing(doors)
}

async fn close(journal: Journal, history: History) -> anyhow::Result<()> {
    match tokio::time::timeout(LAST_FLUSH, history.flush(Timestamp::now())).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!("the history's last counts are not written: {error:#}"),
        Err(_) => warn!("the history's last counts are not written in time"),
    }
    journal.close().await.context("cannot close the journal")
}

async fn conclude(
    left: Left,
    successor: Option<Successor>,
    signal: &CancellationToken,
) -> anyhow::Result<Ended> {
    let Some(successor) = successor else {
        if let Left::Closing(doors) = left {
            doors.close().await;
        }
        return Ok(Ended::Stopped);
    };
    let doors = match left {
        Left::Holding(doors) => return Ok(Ended::Deserted(doors)),
        Left::Closing(doors) => doors,
    };
    // A signal that comes now is for the one that serves as well.
    let serves = signal.run_until_cancelled(successor.serves());
    match tokio::join!(serves, doors.close()) {
        (None, _) => Ok(Ended::Stopped),
        (Some(true), _) => Ok(Ended::Replaced),
        (Some(false), sockets) => Ok(Ended::Deserted(Doors::open(sockets)?)),
    }
}
