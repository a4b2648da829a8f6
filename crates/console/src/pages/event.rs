//! What happened to this event, and why? And which event does somebody mean?
//!
//! `/events/4711` explains one record; `/find?q=..` leads there from whatever a
//! person has in hand.

mod address;
mod curl;
mod detail;
mod story;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

pub(crate) use self::address::{address, event_path, place_of};
pub(crate) use self::detail::Detail;
pub(crate) use self::story::Piece;
pub use self::story::{Telling, tell};
use crate::form::encoded;
use crate::process::Process;
use crate::seen::Lookup;
use crate::shell::{Console, Nav, NoPage, Shell, Visit, answer, page};
use crate::words::exact;

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route("/events/{*place}", get(event::<P>))
        .route("/find", get(find::<P>))
}

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    shell: Shell,
    detail: Detail,
}

async fn event<P: Process>(
    State(console): State<Console<P>>,
    Path(place): Path<String>,
    visit: Visit,
) -> Response {
    let made = explained(&console, &visit, &place).await;
    answer(&console, &visit, made).await
}

async fn explained<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    text: &str,
) -> Result<Response, NoPage> {
    let Some(detail) = look_up(console, text).await? else {
        return Err(NoPage::Missing(missing(console, text).await));
    };
    let title = detail.explained.row.name.clone();
    let shell = visit.shell(console, Nav::Debugger, title).await;
    Ok(page(&EventPage { shell, detail }))
}

/// Why there is nothing to show of a record.
async fn missing<P: Process>(console: &Console<P>, text: &str) -> String {
    let erased_at = match place_of(text) {
        Some(place) => console.process.erased_at(place).await,
        None => None,
    };
    match erased_at {
        Some(at) => format!(
            "record {text}: it was erased on {}, with all that was kept of it",
            exact(at)
        ),
        None => format!("record {text}: it is no place, or not kept (any more)"),
    }
}

/// What there is to show of a record that an address names; none where there is
/// no such record.
pub(crate) async fn look_up<P: Process>(
    console: &Console<P>,
    place: &str,
) -> Result<Option<Detail>, NoPage> {
    let Some(place) = place_of(place) else {
        return Ok(None);
    };
    Ok(console.process.explain(place).await?.map(Detail::of))
}

#[derive(Template)]
#[template(path = "find.html")]
struct FindPage {
    shell: Shell,
    /// None where nothing was asked for.
    found: Option<Lookup>,
    retention_days: u64,
}

async fn find<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = found(&console, &visit).await;
    answer(&console, &visit, made).await
}

async fn found<P: Process>(console: &Console<P>, visit: &Visit) -> Result<Response, NoPage> {
    let found = match visit.query.filled("q") {
        Some(words) => Some(console.process.find(words).await?),
        None => None,
    };
    if let Some(Lookup {
        rows, more: false, ..
    }) = &found
        && let [only] = rows.as_slice()
    {
        return Ok(Redirect::to(&event_path(&only.place)).into_response());
    }
    let overview = console.process.overview().await?;
    let template = FindPage {
        shell: visit.shell(console, Nav::Debugger, "Find").await,
        found,
        retention_days: overview.journal.retention_days,
    };
    Ok(page(&template))
}

/// Where everything of a person, a delivery or an id is listed.
pub(crate) fn find_path(words: &str) -> String {
    format!("/find?q={}", encoded(words))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::seen::{Outcome, RowKind};
    use crate::trying::{HOSTILE, Scene, Trial, explained, place, row};

    fn plain(text: &str) -> String {
        text.replace('\u{202f}', " ")
    }

    #[tokio::test]
    async fn an_event_begins_with_what_became_of_it_and_tells_its_story() {
        let answered = Trial::of(Scene::busy()).get("/events/2").await;
        assert_eq!(answered.status, StatusCode::OK);
        let text = plain(&answered.text);
        for there in [
            "accepted by acme-production 218 ms after it arrived.",
            "signature matched key 9f3c0a11",
            "Journaled as record 2 and answered 200",
            "First of its event id",
            "Sent in a batch of 162",
            "<mark title=\"became userId\">",
            "$SEGMENT_WRITE_KEY:",
            "as they are now",
        ] {
            assert!(text.contains(there), "{there}\n{text}");
        }
    }

    #[tokio::test]
    async fn a_repeat_and_what_it_repeats_lead_to_each_other() {
        let mut scene = Scene::busy();
        let mut seen = explained(2);
        seen.row.kind = RowKind::Duplicate { of: place(1) };
        seen.row.ends = Vec::new();
        seen.told = Vec::new();
        scene.explained = Some(seen);
        let answered = Trial::of(scene.clone()).get("/events/2").await;
        assert!(answered.text.contains("<a href=\"/events/1\">1</a>"));
        let mut seen = explained(2);
        seen.repeats = vec![place(7), place(9)];
        scene.explained = Some(seen);
        let answered = Trial::of(scene).get("/events/2").await;
        assert!(answered.text.contains("<a href=\"/events/7\">7</a>"));
        assert!(answered.text.contains("<a href=\"/events/9\">9</a>"));
    }

    #[tokio::test]
    async fn a_dead_letter_and_a_first_occurrence_are_one_click_away() {
        let mut scene = Scene::busy();
        let mut seen = explained(2);
        seen.told[0].outcome = Outcome::Buried {
            letter: Some(31),
            reason: "Segment answered 400".to_owned(),
        };
        seen.told.push(seen.told[0].clone());
        seen.told[1].outcome = Outcome::Skipped {
            reason: "not the first".to_owned(),
        };
        seen.told[1].call = None;
        seen.told[1].first = Some(place(1));
        scene.explained = Some(seen);
        let answered = Trial::of(scene).get("/events/2").await;
        assert!(answered.text.contains("href=\"/dead-letters/31\""));
        assert!(answered.text.contains("<a href=\"/events/1\">record 1</a>"));
    }

    #[tokio::test]
    async fn a_record_that_is_not_kept_is_said_to_be_missing() {
        for path in [
            "/events/9",
            "/events/p2-9",
            "/events/p2/9",
            "/events/%3Cb%3E",
        ] {
            let answered = Trial::of(Scene::busy()).get(path).await;
            assert_eq!(answered.status, StatusCode::NOT_FOUND, "{path}");
            assert!(!answered.text.contains("<b>"), "{path}");
        }
    }

    #[tokio::test]
    async fn a_record_that_was_erased_is_said_to_be_so() {
        let mut scene = Scene::busy();
        scene.erased = Some((place(9), "2026-03-01T12:00:00Z".parse().unwrap()));
        let trial = Trial::of(scene);
        let answered = trial.get("/events/9").await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND);
        assert!(
            answered
                .text
                .contains("was erased on 1 March 2026, 12:00:00")
        );
        assert!(!trial.get("/events/8").await.text.contains("erased"));
    }

    #[tokio::test]
    async fn markup_out_of_an_event_is_text_everywhere() {
        let mut scene = Scene::busy();
        let mut seen = explained(2);
        let hostile = || HOSTILE.to_owned();
        seen.row.name = hostile();
        seen.row.person = Some(hostile());
        seen.row.event_id = Some(hostile());
        seen.row.delivery_id = Some(hostile());
        seen.body = format!("{{\"{}\": {}}}", "<b>", serde_json::json!(HOSTILE));
        seen.told[0].attempts[0].answer = hostile();
        seen.told[0].outcome = Outcome::Waiting { reason: hostile() };
        let call = seen.told[0].call.as_mut().unwrap();
        call.event = hostile();
        call.json = serde_json::json!({ "event": HOSTILE, "userId": HOSTILE }).to_string();
        call.notes = vec![hostile()];
        let row = seen.row.clone();
        scene.explained = Some(seen);
        scene.rows = vec![row.clone(), row];
        let trial = Trial::of(scene);
        for path in [
            "/events/2",
            "/find?q=%3Cscript%3Ealert",
            "/debugger/detail/2",
        ] {
            let text = trial.get_part(path).await.text;
            assert!(text.contains("alert"), "{path}");
            for bad in ["<script>alert", "<img src=x", "<b>\""] {
                assert!(!text.contains(bad), "{path}: {bad}");
            }
        }
    }

    #[tokio::test]
    async fn what_leads_to_one_event_goes_there() {
        let mut scene = Scene::busy();
        scene.rows = vec![row(2)];
        let answered = Trial::of(scene).get("/find?q=RPILAgABcRhIBqSp7kiP").await;
        assert_eq!(answered.status, StatusCode::SEE_OTHER);
        assert_eq!(answered.location, "/events/2");
    }

    #[tokio::test]
    async fn what_leads_to_several_is_a_list() {
        let answered = Trial::of(Scene::busy()).get("/find?q=42").await;
        assert!(answered.text.contains("href=\"/events/1\""));
        assert!(answered.text.contains("href=\"/events/2\""));
        assert!(answered.text.contains("a delivery id"));
    }

    #[tokio::test]
    async fn what_leads_to_nothing_is_said_with_how_long_things_are_kept() {
        let trial = Trial::of(Scene::empty());
        let text = trial.get("/find?q=nobody").await.text;
        assert!(
            text.contains("nobody") && text.contains("30 days"),
            "{text}"
        );
        let text = trial.get("/find").await.text;
        assert!(text.contains("delivery id"), "{text}");
    }

    #[tokio::test]
    async fn in_trouble_the_trouble_is_the_page() {
        let mut scene = Scene::busy();
        scene.trouble = Some("the index is being rebuilt".to_owned());
        for path in ["/events/2", "/find?q=42"] {
            let answered = Trial::of(scene.clone()).get(path).await;
            assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(answered.text.contains("the index is being rebuilt"));
        }
    }
}
