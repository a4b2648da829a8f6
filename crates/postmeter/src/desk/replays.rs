//! Replays: asked for, shown and steered.

use connections::Connection;
use console::NotChanged;
use console::seen::filter::Filter;
use console::seen::{Outcome, ReplayAsked, ReplayPreview, ReplaySeen, ReplayState, Steer};
use jiff::Timestamp;
use journal::{Record, Verdict};
use shape::Call;

use super::explain::Known;
use super::{Desk, trouble};
use crate::replay::{Asked, Kept, StartError, SteerError};

/// What became of a record on a connection before a replay.
pub(crate) struct Before {
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// The call that it became with the options of then; none where it became none.
    pub(crate) call: Option<Call>,
}

impl Desk {
    /// What became of a record on a connection, but for what a replay did.
    pub(crate) async fn before(
        &self,
        record: &Record,
        (verdict, but): (Verdict, Option<u64>),
        connection: &Connection,
    ) -> anyhow::Result<Before> {
        let known = Known {
            verdict: Some(verdict),
            but,
        };
        let judged = self.judge_known(record, known, connection).await?;
        Ok(Before {
            outcome: judged.outcome,
            call: judged.call,
        })
    }

    /// What is asked for, with every mistake in it.
    fn asked(&self, asked: &ReplayAsked) -> Result<Asked, NotChanged> {
        let connection = self.named(&asked.connection)?;
        let rate_per_s = asked.rate_per_s.unwrap_or(ReplayAsked::USUAL_RATE);
        let mut mistakes = Vec::new();
        let filter = Filter::parse(&asked.filter, Timestamp::now());
        let filter = filter.map_err(|found| mistakes.extend(found)).ok();
        if !(1..=ReplayAsked::MAX_RATE).contains(&rate_per_s) {
            let most = ReplayAsked::MAX_RATE;
            mistakes.push(format!("the rate is 1 to {most} calls per second"));
        }
        if let Some(workspace) = filter
            .as_ref()
            .and_then(|filter| filter.only(console::seen::filter::Key::Workspace))
            && workspace != connection.workspace.as_str()
        {
            mistakes.push(format!(
                "{} is fed by workspace {}, so no event of {workspace:?} can go there",
                connection.name, connection.workspace
            ));
        }
        match filter {
            Some(filter) if mistakes.is_empty() => Ok(Asked {
                connection,
                filter,
                rate_per_s,
            }),
            _ => Err(NotChanged::Mistakes(mistakes)),
        }
    }

    pub(super) async fn replay_previewed(
        &self,
        asked: &ReplayAsked,
    ) -> Result<ReplayPreview, NotChanged> {
        let asked = self.asked(asked)?;
        Ok(asked.preview(self).await.map_err(trouble)?)
    }

    pub(super) async fn replay_started(
        &self,
        asked: &ReplayAsked,
    ) -> Result<ReplaySeen, NotChanged> {
        let asked = self.asked(asked)?;
        if let Some(why) = held(&asked.connection) {
            return Err(NotChanged::Mistakes(vec![why]));
        }
        let job = asked.job(self).await.map_err(trouble)?;
        let said = said_of(&job.filter);
        let number = match self.operator.replays.add(job).await {
            Ok(number) => number,
            Err(error @ StartError::TooMany) => {
                return Err(NotChanged::Mistakes(vec![error.to_string()]));
            }
            Err(StartError::Failed(error)) => return Err(trouble(error).into()),
        };
        let (name, rate) = (&asked.connection.name, asked.rate_per_s);
        let line = format!("replay {number} of {name} was started: {said}, {rate} calls/s at most");
        self.note(line).await;
        self.shown(number).await
    }

    pub(super) async fn replay_steered(
        &self,
        number: u64,
        steer: Steer,
    ) -> Result<ReplaySeen, NotChanged> {
        if steer == Steer::Resume {
            self.check_resumable(number).await?;
        }
        let now = Timestamp::now();
        match self.operator.replays.steer(number, steer, now).await {
            Ok((_, false)) => {}
            Ok((job, true)) => {
                let done = match steer {
                    Steer::Pause => "paused",
                    Steer::Resume => "resumed",
                    Steer::Cancel => "cancelled",
                };
                let name = &job.connection_name;
                self.note(format!("replay {number} of {name} was {done}"))
                    .await;
            }
            Err(SteerError::Missing(number)) => {
                return Err(NotChanged::Missing(format!("replay {number}")));
            }
            Err(SteerError::NotNow(error)) => {
                return Err(NotChanged::Mistakes(vec![error.to_string()]));
            }
            Err(SteerError::Failed(error)) => return Err(trouble(error).into()),
        }
        self.shown(number).await
    }

    /// Refuses to resume what could only wait.
    async fn check_resumable(&self, number: u64) -> Result<(), NotChanged> {
        let Some(kept) = self.operator.replays.one(number).await.map_err(trouble)? else {
            return Ok(());
        };
        let why = match self.connection_of(&kept) {
            Some(connection) => held(&connection),
            None => Some("its connection was removed: start another replay".to_owned()),
        };
        match why {
            Some(why) if kept.job.state != ReplayState::Done => {
                Err(NotChanged::Mistakes(vec![why]))
            }
            _ => Ok(()),
        }
    }

    async fn shown(&self, number: u64) -> Result<ReplaySeen, NotChanged> {
        let seen = self.replay_seen(number).await.map_err(trouble)?;
        seen.ok_or_else(|| NotChanged::Missing(format!("replay {number}")))
    }

    pub(super) async fn replay_seen(&self, number: u64) -> anyhow::Result<Option<ReplaySeen>> {
        let all = self.replays_seen().await?;
        Ok(all.into_iter().find(|seen| seen.number == number))
    }

    /// Every replay, newest first.
    pub(super) async fn replays_seen(&self) -> anyhow::Result<Vec<ReplaySeen>> {
        let all = self.operator.replays.all().await?;
        let now = Timestamp::now();
        let seen = all.iter().rev().map(|kept| {
            let connection = self.connection_of(kept);
            let name = connection
                .as_ref()
                .map(|connection| connection.name.to_string());
            let name = name.unwrap_or_else(|| kept.job.connection_name.clone());
            let waits = connection.and_then(|connection| waits(kept, &connection, &all));
            let done_at = kept.done_at(now).filter(|_| waits.is_none());
            ReplaySeen {
                done_at,
                ..kept.seen(name, waits)
            }
        });
        Ok(seen.collect())
    }

    fn connection_of(&self, kept: &Kept) -> Option<Connection> {
        let mut connections = self.operator.connections().into_iter();
        connections.find(|each| each.id.as_str() == kept.job.connection)
    }
}

/// Why nothing can be sent through a connection now, and what to do about it.
fn held(connection: &Connection) -> Option<String> {
    let name = &connection.name;
    if !connection.enabled {
        return Some(format!("connection {name} is disabled: enable it first"));
    }
    let why = || format!("connection {name} is paused: let it go on first");
    connection.paused.then(why)
}

/// What a running replay waits for, where that can be said.
fn waits(kept: &Kept, connection: &Connection, all: &[Kept]) -> Option<String> {
    if kept.job.state != ReplayState::Running {
        return None;
    }
    if let Some(why) = held(connection) {
        return Some(format!("it waits: {why}"));
    }
    let mut others = all.iter().filter(|other| {
        other.job.connection == kept.job.connection && other.job.state == ReplayState::Running
    });
    let first = others.next()?.job.number;
    (first < kept.job.number).then(|| format!("it waits for replay {first} of this connection"))
}

/// A filter in a line of the audit list: never what it says of persons.
fn said_of(filter: &str) -> String {
    match Filter::parse(filter, Timestamp::UNIX_EPOCH) {
        Ok(filter) if filter.is_all() => "everything".to_owned(),
        Ok(filter) => {
            use console::seen::filter::Key;
            let public = filter.clone().without(Key::Person).without(Key::Id);
            let more = if public == filter {
                ""
            } else {
                " and some ids"
            };
            format!("{public}{more}").trim().to_owned()
        }
        Err(_) => "a filter".to_owned(),
    }
}
