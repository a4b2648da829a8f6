//! Sending dead letters again, and discarding them: what it would touch is shown
//! first, and what was touched is told.
//!
//! What is asked about has an upper bound, the newest letter there was: one that is
//! buried while a person reads is not meant. One step works for a bounded time; the
//! page after it leads on.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::asked::{below, fields, path, which};
use super::{HOME, clipped};
use crate::form::Fields;
use crate::process::{Process, Which};
use crate::seen::{Foreseen, Retried};
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, page};
use crate::words;

#[derive(Template)]
#[template(path = "letter_retry.html")]
struct RetryPage {
    shell: Shell,
    question: Question,
}

#[derive(Template)]
#[template(path = "letter_discard.html")]
struct DiscardPage {
    shell: Shell,
    question: Question,
}

/// What is asked before anything is done.
struct Question {
    /// What is meant, in words.
    what: String,
    /// By which filter, as it is written.
    filter: Option<String>,
    foreseen: Foreseen,
    /// What the form carries on.
    fields: Vec<(&'static str, String)>,
    back: String,
    download: Option<String>,
}

impl Question {
    fn is_one(&self) -> bool {
        self.foreseen.count == 1
    }

    /// How many a retry would send.
    fn sendable(&self) -> u64 {
        self.foreseen.same + self.foreseen.differ + self.foreseen.fresh
    }
}

pub(super) async fn ask_retry<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
) -> Response {
    let made = match question(&console, &visit).await {
        Ok(question) => Ok(page(&RetryPage {
            shell: visit.shell(&console, Nav::DeadLetters, "Retry").await,
            question,
        })),
        Err(no_page) => Err(no_page),
    };
    answer(&console, &visit, made).await
}

pub(super) async fn ask_discard<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
) -> Response {
    let made = match question(&console, &visit).await {
        Ok(question) => Ok(page(&DiscardPage {
            shell: visit.shell(&console, Nav::DeadLetters, "Discard").await,
            question,
        })),
        Err(no_page) => Err(no_page),
    };
    answer(&console, &visit, made).await
}

async fn question<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Question, NoPage> {
    let which = which(&visit.query)?;
    let foreseen = console.process.foresee(&which, below(&visit.query)).await?;
    if foreseen.count == 0 && foreseen.next.is_none() {
        let gone = "such dead letter (any more): retried or discarded, or the filter fits none";
        return Err(NoPage::Missing(gone.to_owned()));
    }
    let mut carried = fields(&which);
    carried.push(("below", foreseen.below.to_string()));
    Ok(Question {
        what: named(&which, &foreseen),
        filter: match &which {
            Which::Matching(filter) if !filter.is_all() => Some(filter.to_string()),
            Which::Matching(_) | Which::These(_) | Which::Group(_) => None,
        },
        fields: carried,
        back: match &which {
            Which::These(ids) => match ids.as_slice() {
                [id] => format!("{HOME}/{id}"),
                _ => HOME.to_owned(),
            },
            Which::Group(_) | Which::Matching(_) => path("list", &which),
        },
        download: (!matches!(which, Which::These(_))).then(|| path("download", &which)),
        foreseen,
    })
}

/// What is meant, in words: `dead letter 7`, `all 312 dead letters`.
fn named(which: &Which, foreseen: &Foreseen) -> String {
    let count = words::counted(foreseen.count, "dead letter", "dead letters");
    let count = match foreseen.next {
        Some(_) => format!("at least {count}"),
        None => count,
    };
    match which {
        Which::These(ids) => match ids.as_slice() {
            [id] => format!("dead letter {id}"),
            _ => count,
        },
        Which::Matching(filter) if filter.is_all() => format!("all {count}"),
        Which::Group(_) | Which::Matching(_) => count,
    }
}

pub(super) async fn retry<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Typed(typed): Typed,
) -> Response {
    let made = retried(&console, &visit, &typed).await;
    answer(&console, &visit, made).await
}

async fn retried<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    typed: &Fields,
) -> Result<Response, NoPage> {
    let which = which(typed)?;
    let retried = console.process.retry(&which, below(typed)).await?;
    let next = next("retry", &which, retried.next);
    Ok(visit.go(&next, &told(&retried)))
}

pub(super) async fn discard<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Typed(typed): Typed,
) -> Response {
    let made = discarded(&console, &visit, &typed).await;
    answer(&console, &visit, made).await
}

async fn discarded<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    typed: &Fields,
) -> Result<Response, NoPage> {
    let which = which(typed)?;
    let discarded = console.process.discard(&which, below(typed)).await?;
    let said = words::counted(discarded.discarded, "dead letter is", "dead letters are");
    let mut said = format!("{said} gone for good.");
    if discarded.next.is_some() {
        said.push_str(MORE);
    }
    Ok(visit.go(&next("discard", &which, discarded.next), &said))
}

/// What is said where time was up.
const MORE: &str = " That was one step; there may be more, so go on.";

/// Where one goes after a step: home, or on.
fn next(of: &str, which: &Which, next: Option<u64>) -> String {
    match next {
        Some(next) => format!("{}&below={next}", path(of, which)),
        None => HOME.to_owned(),
    }
}

/// What came of it: `18 accepted, 2 refused again, 1 left`.
pub(super) fn told(retried: &Retried) -> String {
    let counts = [
        (retried.accepted, "accepted"),
        (retried.refused, "refused again"),
        (retried.skipped, "not to be sent with the options of now"),
        (retried.left, "left"),
    ];
    let said = counts.iter().filter(|(n, _)| *n > 0);
    let said = said.map(|(n, what)| format!("{} {what}", words::count(n)));
    let mut said: String = said.collect::<Vec<_>>().join(", ");
    if said.is_empty() {
        "Nothing was left to retry".clone_into(&mut said);
    }
    let said = match &retried.note {
        Some(note) => format!("{said}: {}", clipped(note)),
        None => format!("{said}."),
    };
    match retried.next {
        Some(_) => said + MORE,
        None => said,
    }
}
