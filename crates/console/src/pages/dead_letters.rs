//! What could not be delivered, why, and what to do about it?
//!
//! Groups by reason; the letters of one; one letter. A retry is a button, and
//! what removes for good asks first.

mod advice;
mod asked;
mod download;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use journal::DeadLetterId;

use self::advice::advice;
use self::asked::{field, list_path, path, which};
use crate::compare::{Part, beginning, compare, lay_out};
use crate::pages::event::{event_path, place_of};
use crate::process::{Process, Which};
use crate::seen::{LetterGroup, LetterSeen, Letters, Retried};
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, page};
use crate::words;

/// Letters of a group on one page.
const PAGE: usize = 50;
/// How much of a reason a list shows.
const MAX_REASON_CHARS: usize = 160;
const HOME: &str = "/dead-letters";

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route(HOME, get(groups::<P>))
        .route("/dead-letters/group", get(group::<P>))
        .route("/dead-letters/download", get(download::<P>))
        .route("/dead-letters/retry", post(retry::<P>))
        .route(
            "/dead-letters/discard",
            get(confirm::<P>).post(discard::<P>),
        )
        .route("/dead-letters/{id}", get(letter::<P>))
}

#[derive(Template)]
#[template(path = "letters.html")]
struct GroupsPage {
    shell: Shell,
    letters: Letters,
}

impl GroupsPage {
    fn list_path(key: &str) -> String {
        list_path(key)
    }

    fn download_path(key: &str) -> String {
        path("download", &Which::Group(key.to_owned()))
    }

    fn discard_path(key: &str) -> String {
        path("discard", &Which::Group(key.to_owned()))
    }

    fn clipped(reason: &str) -> String {
        match reason.char_indices().nth(MAX_REASON_CHARS) {
            Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
            None => reason.to_owned(),
        }
    }
}

async fn groups<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = grouped(&console, &visit).await;
    answer(&console, &visit, made).await
}

async fn grouped<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Response, NoPage> {
    let letters = console.process.letters().await?;
    let shell = visit.shell(console, Nav::DeadLetters, "Dead letters").await;
    Ok(page(&GroupsPage { shell, letters }))
}

#[derive(Template)]
#[template(path = "letter_group.html")]
struct GroupPage {
    shell: Shell,
    group: LetterGroup,
    advice: &'static str,
    shown: Vec<LetterSeen>,
    download: String,
    discard: String,
    /// Where the next ones are.
    older: Option<String>,
}

async fn group<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = listed(&console, &visit).await;
    answer(&console, &visit, made).await
}

async fn listed<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Response, NoPage> {
    let key = visit.query.text("key").unwrap_or_default();
    let group = find_group(console, key).await?;
    let after = visit.query.filled("after").and_then(|id| id.parse().ok());
    let after = after.map(DeadLetterId::new);
    let mut shown = console
        .process
        .letters_of(Some(key), after, PAGE + 1)
        .await?;
    let has_more = shown.len() > PAGE;
    shown.truncate(PAGE);
    let last = shown.last().filter(|_| has_more);
    let status = shown.first().and_then(|letter| letter.answer.as_ref());
    let of_it = Which::Group(key.to_owned());
    Ok(page(&GroupPage {
        shell: visit.shell(console, Nav::DeadLetters, "Dead letters").await,
        advice: advice(&group.reason, status.map(|(status, _)| *status)),
        download: path("download", &of_it),
        discard: path("discard", &of_it),
        older: last.map(|last| format!("{}&after={}", list_path(key), last.id)),
        group,
        shown,
    }))
}

async fn find_group<P: Process>(console: &Console<P>, key: &str) -> Result<LetterGroup, NoPage> {
    let letters = console.process.letters().await?;
    let found = letters.groups.into_iter().find(|group| group.key == key);
    found.ok_or_else(|| NoPage::Missing("dead letter with that reason any more".to_owned()))
}

#[derive(Template)]
#[template(path = "letter.html")]
struct LetterPage {
    shell: Shell,
    advice: &'static str,
    /// The page of its event.
    event: Option<String>,
    received: Vec<Part>,
    sent: Vec<Part>,
    raw: String,
    letter: LetterSeen,
}

async fn letter<P: Process>(
    State(console): State<Console<P>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Response {
    let made = one(&console, &visit, &id).await;
    answer(&console, &visit, made).await
}

async fn one<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    id: &str,
) -> Result<Response, NoPage> {
    let letter = find_letter(console, id.parse().ok().map(DeadLetterId::new)).await?;
    let (received, sent) = match &letter.call {
        Some(call) => compare(&letter.body, call),
        None => (lay_out(&letter.body), Vec::new()),
    };
    let status = letter.answer.as_ref().map(|(status, _)| *status);
    let title = format!("Dead letter {}", letter.id);
    Ok(page(&LetterPage {
        shell: visit.shell(console, Nav::DeadLetters, title).await,
        advice: advice(&letter.reason, status),
        event: place_of(&letter.record).map(|place| event_path(&place)),
        received,
        sent,
        raw: beginning(&letter.body),
        letter,
    }))
}

async fn find_letter<P: Process>(
    console: &Console<P>,
    id: Option<DeadLetterId>,
) -> Result<LetterSeen, NoPage> {
    let missing = || NoPage::Missing("such dead letter: it was retried or discarded".to_owned());
    let letter = console.process.letter(id.ok_or_else(missing)?).await?;
    letter.ok_or_else(missing)
}

async fn download<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let group = visit.query.text("group").map(str::to_owned);
    download::download(console.process, group)
}

async fn retry<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Typed(fields): Typed,
) -> Response {
    let Some(which) = which(&fields) else {
        return answer(&console, &visit, Err(nothing_named())).await;
    };
    let made = match console.process.retry(which).await {
        Ok(retried) => Ok(visit.go(HOME, &told(&retried))),
        Err(error) => Err(error.into()),
    };
    answer(&console, &visit, made).await
}

fn nothing_named() -> NoPage {
    NoPage::Missing("dead letter that the form names".to_owned())
}

/// What came of it: `18 accepted, 2 refused again, 1 left`.
fn told(retried: &Retried) -> String {
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
    match &retried.note {
        Some(note) => format!("{said}: {}", GroupsPage::clipped(note)),
        None => format!("{said}."),
    }
}

#[derive(Template)]
#[template(path = "letter_discard.html")]
struct DiscardPage {
    shell: Shell,
    /// What would be gone, in words.
    what: String,
    count: u64,
    reason: Option<String>,
    field: (&'static str, String),
    back: String,
    download: Option<String>,
}

/// Asks before anything is gone.
async fn confirm<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = asked(&console, &visit).await;
    answer(&console, &visit, made).await
}

async fn asked<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Response, NoPage> {
    let which = which(&visit.query).ok_or_else(nothing_named)?;
    let (count, reason, back) = match &which {
        Which::One(id) => {
            let letter = find_letter(console, Some(*id)).await?;
            (1, Some(letter.reason), format!("{HOME}/{id}"))
        }
        Which::Group(key) => {
            let group = find_group(console, key).await?;
            (group.count, Some(group.reason), list_path(key))
        }
        Which::All => (
            console.process.letters().await?.total,
            None,
            HOME.to_owned(),
        ),
    };
    let what = match &which {
        Which::One(id) => format!("dead letter {id}"),
        Which::Group(_) => words::counted(count, "dead letter", "dead letters"),
        Which::All => format!(
            "all {}",
            words::counted(count, "dead letter", "dead letters")
        ),
    };
    let download = !matches!(which, Which::One(_));
    Ok(page(&DiscardPage {
        shell: visit.shell(console, Nav::DeadLetters, "Discard").await,
        what,
        count,
        reason,
        field: field(&which),
        back,
        download: download.then(|| path("download", &which)),
    }))
}

async fn discard<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Typed(fields): Typed,
) -> Response {
    let Some(which) = which(&fields) else {
        return answer(&console, &visit, Err(nothing_named())).await;
    };
    let made = match console.process.discard(which).await {
        Ok(count) => {
            let said = words::counted(count, "dead letter is", "dead letters are");
            Ok(visit.go(HOME, &format!("{said} gone for good.")))
        }
        Err(error) => Err(error.into()),
    };
    answer(&console, &visit, made).await
}

#[cfg(test)]
mod tests;
