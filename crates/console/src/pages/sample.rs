//! Recent events as a connection would send them, to look at before it does.

use connections::Connection;
use jiff::Timestamp;

use crate::compare;
use crate::process::{Process, Trouble};
use crate::seen::{Difference, Preview, differences};

/// How many events are shown.
const SHOWN: usize = 3;
/// How many are looked at for a comparison: each side has those first of which it
/// makes a call, so the newest few need not be the same.
const COMPARED: usize = 30;

/// One event, as it would be sent.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) record: String,
    pub(crate) name: String,
    pub(crate) received_at: Timestamp,
    /// The call, laid out; or why there is none.
    pub(crate) call: Result<String, String>,
    pub(crate) notes: Vec<String>,
}

/// One event as two connections would send it.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) record: String,
    pub(crate) name: String,
    /// Why the one or the other makes no call of it.
    pub(crate) without: Vec<String>,
    pub(crate) differences: Vec<Difference>,
    pub(crate) n_alike: usize,
}

/// The newest events of its workspace, as `candidate` would send them.
pub(crate) async fn samples<P: Process>(
    process: &P,
    candidate: &Connection,
) -> Result<Vec<Sample>, Trouble> {
    let previews = process.preview(candidate, SHOWN).await?;
    Ok(previews.into_iter().map(sample).collect())
}

fn sample(preview: Preview) -> Sample {
    let notes = preview.call.as_ref().map(|call| call.notes.clone());
    let name = match &preview.call {
        Ok(call) => call.event.clone(),
        Err(_) => preview.row.name.clone(),
    };
    Sample {
        record: preview.row.place.to_string(),
        name,
        received_at: preview.row.received_at,
        notes: notes.unwrap_or_default(),
        call: preview.call.map(|call| laid_out(&call.json)),
    }
}

fn laid_out(json: &str) -> String {
    let parts = compare::lay_out(json).into_iter();
    parts.map(|part| part.text).collect()
}

/// The newest events of its workspace, as `before` and `after` would send them.
pub(crate) async fn compared<P: Process>(
    process: &P,
    before: &Connection,
    after: &Connection,
) -> Result<Vec<Compared>, Trouble> {
    let olds = process.preview(before, COMPARED).await?;
    let news = process.preview(after, COMPARED).await?;
    let pair = |old: &Preview| {
        let new = news.iter().find(|new| new.row.place == old.row.place)?;
        Some(compare_one(old, new))
    };
    Ok(olds.iter().filter_map(pair).take(SHOWN).collect())
}

fn compare_one(old: &Preview, new: &Preview) -> Compared {
    let mut compared = Compared {
        record: old.row.place.to_string(),
        name: old.row.name.clone(),
        without: Vec::new(),
        differences: Vec::new(),
        n_alike: 0,
    };
    match (&old.call, &new.call) {
        (Ok(old), Ok(new)) => {
            (compared.differences, compared.n_alike) = differences(&old.json, &new.json);
        }
        (old, new) => {
            for (when, call) in [("Before", old), ("After", new)] {
                compared.without.push(match call {
                    Ok(_) => format!("{when}: it is sent."),
                    Err(why) => format!("{when}: it is not sent, {why}."),
                });
            }
        }
    }
    compared
}
