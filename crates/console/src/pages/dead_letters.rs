//! What could not be delivered, why, and what to do about it?
//!
//! Groups by reason; the letters of one, or of a filter; one letter. Whatever is
//! done to several is shown first: how many they are, and what a retry would send
//! otherwise than was refused.

mod action;
mod advice;
mod asked;
mod download;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use journal::DeadLetterId;

use self::advice::advice;
use self::asked::{below, path, which};
use crate::compare::{Part, beginning, compare, lay_out};
use crate::pages::event::{event_path, place_of};
use crate::process::{Process, Which};
use crate::seen::{Ahead, Filter, LetterGroup, LetterSeen, Letters};
use crate::shell::{Console, Nav, NoPage, Shell, Visit, answer, page, respond};

/// Letters on one page of a list.
const PAGE: usize = 50;
/// How much of a reason a list shows.
const MAX_REASON_CHARS: usize = 160;
const HOME: &str = "/dead-letters";

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route(HOME, get(groups::<P>))
        .route("/dead-letters/list", get(list::<P>))
        .route("/dead-letters/download", get(download::<P>))
        .route(
            "/dead-letters/retry",
            get(action::ask_retry::<P>).post(action::retry::<P>),
        )
        .route(
            "/dead-letters/discard",
            get(action::ask_discard::<P>).post(action::discard::<P>),
        )
        .route("/dead-letters/{id}", get(letter::<P>))
}

#[derive(Template)]
#[template(path = "letters.html")]
struct GroupsPage {
    shell: Shell,
    letters: Letters,
    /// As it was typed.
    filter: String,
    mistakes: Vec<String>,
    /// Those that pass.
    meant: Which,
}

impl GroupsPage {
    fn of_group(of: &str, key: &str) -> String {
        path(of, &Which::Group(key.to_owned()))
    }

    fn of_meant(&self, of: &str) -> String {
        path(of, &self.meant)
    }

    /// How many pass, of those that were looked at.
    fn matching(&self) -> u64 {
        self.letters.groups.iter().map(|group| group.count).sum()
    }
}

fn clipped(reason: &str) -> String {
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
        None => reason.to_owned(),
    }
}

async fn groups<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = grouped(&console, &visit).await;
    answer(&console, &visit, made).await
}

async fn grouped<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Response, NoPage> {
    let text = visit.query.filled("filter").unwrap_or_default();
    let read = Filter::parse(text, Timestamp::now());
    let (filter, mistakes) = match read {
        Ok(filter) => (filter, Vec::new()),
        Err(mistakes) => (Filter::default(), mistakes),
    };
    let mut letters = console.process.letters(&filter).await?;
    let status = if mistakes.is_empty() {
        StatusCode::OK
    } else {
        letters.groups.clear();
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let template = GroupsPage {
        shell: visit.shell(console, Nav::DeadLetters, "Dead letters").await,
        letters,
        filter: text.to_owned(),
        mistakes,
        meant: Which::Matching(filter),
    };
    Ok(respond(status, &template))
}

#[derive(Template)]
#[template(path = "letter_list.html")]
struct ListPage {
    shell: Shell,
    /// What stands above.
    title: String,
    group: Option<LetterGroup>,
    advice: &'static str,
    shown: Vec<LetterSeen>,
    /// Those that the list is of.
    which: Which,
    /// Whether there may be more letters of it than these.
    is_part: bool,
    /// Where the next ones are.
    older: Option<String>,
}

impl ListPage {
    fn of_all(&self, of: &str) -> String {
        path(of, &self.which)
    }
}

async fn list<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = listed(&console, &visit).await;
    answer(&console, &visit, made).await
}

async fn listed<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Response, NoPage> {
    let which = which(&visit.query)?;
    let group = match &which {
        Which::Group(key) => Some(find_group(console, key).await?),
        Which::These(_) | Which::Matching(_) => None,
    };
    let start = below(&visit.query);
    let list = console.process.letters_of(&which, start, PAGE).await?;
    let first = list.letters.first();
    let reason = first.map_or("", |letter| letter.reason.as_str());
    let status = first.and_then(|letter| letter.answer.as_ref());
    let advice = advice(reason, status.map(|(status, _)| *status));
    let here = path("list", &which);
    Ok(page(&ListPage {
        shell: visit.shell(console, Nav::DeadLetters, "Dead letters").await,
        title: match &which {
            Which::Matching(filter) if !filter.is_all() => filter.to_string(),
            Which::Matching(_) | Which::Group(_) | Which::These(_) => String::new(),
        },
        advice: if group.is_some() { advice } else { "" },
        group,
        is_part: list.older.is_some() || start.is_some(),
        older: list.older.map(|older| format!("{here}&below={older}")),
        shown: list.letters,
        which,
    }))
}

async fn find_group<P: Process>(console: &Console<P>, key: &str) -> Result<LetterGroup, NoPage> {
    let letters = console.process.letters(&Filter::default()).await?;
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
    /// What a retry would send.
    ahead: Option<Ahead>,
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
    let this = Which::These(vec![DeadLetterId::new(letter.id)]);
    let foreseen = console.process.foresee(&this, None).await?;
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
        ahead: foreseen.samples.into_iter().next(),
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
    match which(&visit.query) {
        Ok(which) => download::download(console.process, which),
        Err(no_page) => answer(&console, &visit, Err(no_page)).await,
    }
}

#[cfg(test)]
mod tests;
