//! History that is brought from files: what a running server does with it.
//!
//! A file is known by its *source*, a hash of what it is. Its lines arrive in
//! chunks, in order; how far they are stored is kept in a setting, so that whoever
//! sends them can be interrupted at any time and goes on. A chunk that was stored
//! without being noted comes again: its events are duplicates then, and nothing is
//! sent twice.
//!
//! An import leaves room. It takes nothing while the journal is well filled or a
//! connection is far behind, so that live events find their way.

use anyhow::Context as _;
use bytes::Bytes;
use console::seen::Origin;
use jiff::Timestamp;
use journal::{Draft, Health, PutError, Tense};
use serde::{Deserialize, Serialize};

use crate::carry::room;
use crate::operator::Operator;
use crate::pipeline::keys;

/// The part of the journal's byte budget that imports may fill, in percent.
const ROOM_PERCENT: u64 = 75;
/// How many records a connection may be behind while more are imported.
const MAX_LAG_RECORDS: u64 = 20_000;
/// The largest event that is imported: what the public listener takes by default.
pub(crate) const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;
/// The longest name of a source, and of a file as it is shown.
const MAX_NAME_CHARS: usize = 200;

/// What is about to be imported.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begin {
    /// What tells the file from any other: lowercase letters and digits.
    pub(crate) source: String,
    /// The workspace that its events are of.
    pub(crate) workspace: String,
    /// What people call it.
    pub(crate) name: String,
    /// Where to begin.
    #[serde(default)]
    pub(crate) from: From,
}

/// Where an import begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum From {
    /// Behind what is stored already
    #[default]
    Behind,
    /// With the first line, whatever is stored
    Start,
}

/// Some lines of a source.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) source: String,
    /// The line before the first.
    pub(crate) after: u64,
    /// The last line; some between may be left out.
    pub(crate) through: u64,
    /// The events.
    pub(crate) events: Vec<Bytes>,
}

/// How far a source has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) workspace: String,
    pub(crate) name: String,
    /// The last line that is stored, with all before it.
    pub(crate) through: u64,
    /// Records that were appended.
    pub(crate) records: u64,
    /// When its end was reached; none before.
    pub(crate) done_at: Option<Timestamp>,
}

/// What came of a chunk.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is stored.
    Stored(Progress),
    /// Nothing of it is stored: there is no room for history now, for this reason.
    Later(String),
}

/// Why something was not imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It cannot be as it is.
    #[error("{0}")]
    Unusable(String),
    /// The workspace does not exist.
    #[error("there is no workspace {0:?}")]
    NoWorkspace(String),
    /// The lines do not follow those that are stored.
    #[error("these lines follow line {after}, and those through {through} are stored")]
    OutOfOrder {
        /// What they follow.
        after: u64,
        /// What is stored.
        through: u64,
    },
    /// Try again.
    #[error("cannot import now")]
    Failed(#[from] anyhow::Error),
}

/// Says how far a source has come, and takes note of it.
pub(crate) async fn begin(operator: &Operator, begin: Begin) -> Result<Progress, Refused> {
    check(&begin)?;
    let known = operator.load().await?.0;
    let mut workspaces = known.workspaces().iter();
    if !workspaces.any(|each| each.name.as_str() == begin.workspace) {
        return Err(Refused::NoWorkspace(begin.workspace));
    }
    let (found, _) = load(operator, &begin.source).await?;
    let progress = match (begin.from, found) {
        (From::Behind, Some(found)) => found,
        (From::Start, _) | (From::Behind, None) => Progress {
            workspace: begin.workspace,
            name: begin.name,
            ..Progress::default()
        },
    };
    save(operator, &begin.source, &progress).await?;
    let Progress {
        name, workspace, ..
    } = &progress;
    let from = progress.through + 1;
    let what = format!("import of {name} into workspace {workspace} began with line {from}");
    operator.audit.note(Origin::Api, vec![what]).await;
    Ok(progress)
}

/// Stores a chunk, unless there is no room for history now.
pub(crate) async fn store(operator: &Operator, chunk: Chunk) -> Result<Taken, Refused> {
    let (found, _) = load(operator, &chunk.source).await?;
    let Some(mut progress) = found else {
        let what = format!("the import {:?} has not begun", chunk.source);
        return Err(Refused::Unusable(what));
    };
    if chunk.after != progress.through || chunk.through < chunk.after {
        return Err(Refused::OutOfOrder {
            after: chunk.after,
            through: progress.through,
        });
    }
    if let Some(why) = no_room(operator, &progress.workspace).await? {
        return Ok(Taken::Later(why));
    }
    let workspace = progress.workspace.clone();
    let mut appended = Vec::with_capacity(chunk.events.len());
    for body in chunk.events {
        let permit = room(&operator.journal, body.len()).await?;
        appended.push(permit.append(draft(&workspace, body)));
    }
    for stored in appended {
        stored.await.context("cannot append a record")?;
        progress.records += 1;
    }
    progress.through = chunk.through;
    save(operator, &chunk.source, &progress).await?;
    Ok(Taken::Stored(progress))
}

/// Notes that a source has been read to its end.
pub(crate) async fn finish(operator: &Operator, source: &str) -> Result<Progress, Refused> {
    let (found, _) = load(operator, source).await?;
    let Some(mut progress) = found else {
        let what = format!("the import {source:?} has not begun");
        return Err(Refused::Unusable(what));
    };
    progress.done_at.get_or_insert_with(Timestamp::now);
    save(operator, source, &progress).await?;
    let Progress {
        name, workspace, ..
    } = &progress;
    let (lines, records) = (progress.through, progress.records);
    let what = format!(
        "import of {name} into workspace {workspace} ended: {records} records out of {lines} lines"
    );
    operator.audit.note(Origin::Api, vec![what]).await;
    Ok(progress)
}

fn check(begin: &Begin) -> Result<(), Refused> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let unusable = |what: String| Err(Refused::Unusable(what));
    if begin.source.is_empty()
        || begin.source.len() > MAX_NAME_CHARS
        || !begin.source.chars().all(is_plain)
    {
        return unusable(format!(
            "a source is 1 to {MAX_NAME_CHARS} lowercase letters and digits"
        ));
    }
    if begin.name.is_empty() || begin.name.chars().count() > MAX_NAME_CHARS {
        return unusable(format!("a name has 1 to {MAX_NAME_CHARS} characters"));
    }
    Ok(())
}

fn draft(workspace: &str, body: Bytes) -> Draft {
    Draft {
        received_at: Timestamp::now(),
        workspace: workspace.to_owned(),
        signed_by: None,
        affinity: keys::affinity(&body),
        origin: None,
        tense: Tense::Historical,
        body,
    }
}

/// Why history has to wait; none where it may come.
async fn no_room(operator: &Operator, workspace: &str) -> anyhow::Result<Option<String>> {
    let stats = operator.journal.stats();
    if stats.health != Health::Healthy {
        return Ok(Some("the journal takes no events now".to_owned()));
    }
    if stats.bytes > stats.max_bytes / 100 * ROOM_PERCENT {
        let why = format!("more than {ROOM_PERCENT} % of the journal's byte budget is used");
        return Ok(Some(why));
    }
    for connection in operator.connections() {
        if connection.workspace.as_str() != workspace || !connection.is_sending() {
            continue;
        }
        let lag = operator.lag(&connection).await?.records;
        if lag > MAX_LAG_RECORDS {
            let name = &connection.name;
            return Ok(Some(format!("connection {name} is {lag} records behind")));
        }
    }
    Ok(None)
}

fn key(source: &str) -> String {
    format!("import/{source}")
}

type Found = (Option<Progress>, Option<journal::Revision>);

async fn load(operator: &Operator, source: &str) -> anyhow::Result<Found> {
    let found = operator.journal.setting(&key(source)).await?;
    let Some(setting) = found else {
        return Ok((None, None));
    };
    let progress = serde_json::from_slice(&setting.value);
    let progress = progress.context("what is known of the import is damaged")?;
    Ok((Some(progress), Some(setting.revision)))
}

async fn save(operator: &Operator, source: &str, progress: &Progress) -> anyhow::Result<()> {
    let (_, revision) = load(operator, source).await?;
    let json = serde_json::to_vec(progress).context("cannot write how far the import is")?;
    let key = key(source);
    let put = operator.journal.put_setting(&key, json.into(), revision);
    match put.await {
        Err(PutError::Conflict { .. }) => {
            anyhow::bail!("the same import is under way twice: stop one")
        }
        put => put
            .map(drop)
            .context("cannot note how far the import has come"),
    }
}
