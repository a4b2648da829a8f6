//! Connect Segment: the hosted integration's own steps, a page each.
//!
//! Nothing is decided before the last one. What earlier pages asked for travels in
//! hidden fields ([`Draft`]), so that every page can be gone back to, and none
//! needs a script.

#[cfg(test)]
mod tests;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use connections::{Connection, ConnectionId, Connections, Edit, NewConnection, Target};
use shape::{FirstPer, SendFrequency};

use super::draft::{Draft, EVENTS, SOURCE, told};
use super::mistakes::Mistakes;
use super::options::Region;
use super::sample::{self, Sample};
use super::secret::kept_where;
use crate::form::{Fields, encoded};
use crate::process::{Process, Trouble};
use crate::seen::Enabling;
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, respond};

pub(crate) fn routes<P: Process>() -> Router<Console<P>> {
    Router::new()
        .route("/connect", get(begin::<P>))
        .route("/connect/{step}", get(begin_again).post(go_on::<P>))
}

/// The pages, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Source,
    Events,
    Options,
    Review,
}

impl Step {
    const ALL: [Step; 4] = [Step::Source, Step::Events, Step::Options, Step::Review];

    fn of(word: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Step::Source => "source",
            Step::Events => "events",
            Step::Options => "options",
            Step::Review => "review",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Step::Source => "Write Key",
            Step::Events => "Events",
            Step::Options => "Options",
            Step::Review => "Review",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Step::Source => "Which Segment source?",
            Step::Events => "Which events go to Segment?",
            Step::Options => "How are they sent?",
            Step::Review => "Ready to connect.",
        }
    }

    fn next(self) -> &'static str {
        match self {
            Step::Source => Step::Events.word(),
            Step::Events => Step::Options.word(),
            Step::Options => Step::Review.word(),
            Step::Review => DONE,
        }
    }

    fn back(self) -> Option<&'static str> {
        match self {
            Step::Source => None,
            Step::Events => Some(Step::Source.word()),
            Step::Options => Some(Step::Events.word()),
            Step::Review => Some(Step::Options.word()),
        }
    }

    fn go_on(self) -> &'static str {
        match self {
            Step::Source => "Connect Segment",
            Step::Events => "Set options",
            Step::Options => "Review",
            Step::Review => "Connect",
        }
    }

    fn not_done(self) -> &'static str {
        match self {
            Step::Source | Step::Events | Step::Options => "Not yet.",
            Step::Review => "Nothing was connected.",
        }
    }

    /// The page that mends these mistakes.
    fn that_mends(mistakes: &Mistakes) -> Step {
        if mistakes.has_any(&SOURCE) {
            Step::Source
        } else if mistakes.has_any(&EVENTS) {
            Step::Events
        } else if mistakes.has_any(&["region", "endpoint"]) {
            Step::Options
        } else {
            Step::Review
        }
    }
}

/// What the last page asks for.
const DONE: &str = "done";

#[derive(Template)]
#[template(path = "connect.html")]
struct Page {
    shell: Shell,
    step: Step,
    workspaces: Vec<String>,
    draft: Draft,
    mistakes: Mistakes,
    /// There is none before the connection is.
    key_now: Option<String>,
    samples: Result<Vec<Sample>, Trouble>,
}

impl Page {
    /// What will be set, in words.
    fn settled(&self) -> Vec<(&'static str, String)> {
        settled(&self.draft)
    }
}

async fn begin<P: Process>(State(console): State<Console<P>>, visit: Visit) -> Response {
    let made = async {
        let decided = console.process.decided().await?;
        let draft = Draft::new(visit.query.text("workspace").unwrap_or_default());
        let page = Page::of(&console, &visit, (Step::Source, draft)).await;
        Ok(respond(StatusCode::OK, &page.with(&decided)))
    };
    answer(&console, &visit, made.await).await
}

/// A page in the middle that is loaded by its address has nothing to show.
async fn begin_again() -> Response {
    Redirect::to("/connect").into_response()
}

async fn go_on<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(word): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = match (Step::of(&word), word.as_str()) {
        (Some(step), _) => show(&console, &visit, step, &fields).await,
        (None, DONE) => connect(&console, &visit, &fields).await,
        (None, _) => Err(NoPage::Missing(format!("step {word}"))),
    };
    answer(&console, &visit, made).await
}

/// Shows a page, or the one before it that has a mistake.
async fn show<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    step: Step,
    fields: &Fields,
) -> Result<Response, NoPage> {
    let decided = console.process.decided().await?;
    let mut mistakes = Mistakes::default();
    let draft = Draft::new("")
        .read(fields, &console.process, &mut mistakes)
        .await?;
    let settled = draft.connection(&decided, &mut mistakes);
    // Going back to the first page may leave it unfinished.
    let (step, status) = match settled {
        None if step != Step::Source => (
            Step::that_mends(&mistakes),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        _ => (step, StatusCode::OK),
    };
    let mut page = Page::of(console, visit, (step, draft)).await.with(&decided);
    if status != StatusCode::OK {
        page.mistakes = mistakes;
    }
    if let (Step::Review, Some(connection)) = (step, settled) {
        page.samples = sample::samples(&console.process, &candidate(connection)).await;
    }
    Ok(respond(status, &page))
}

async fn connect<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    fields: &Fields,
) -> Result<Response, NoPage> {
    let decided = console.process.decided().await?;
    let mut mistakes = Mistakes::default();
    let draft = Draft::new("")
        .read(fields, &console.process, &mut mistakes)
        .await?;
    if let Some(connection) = draft.connection(&decided, &mut mistakes) {
        let edit = Edit::AddConnection(connection);
        match console.process.edit(edit, Enabling::Now).await {
            Ok(changed) => {
                let path = format!("/connections/{}?new", encoded(&draft.name));
                let what = format!("{} is connected. {}", draft.name, told(&changed));
                return Ok(visit.go(&path, what.trim_end()));
            }
            Err(refusal) => mistakes.add_refusal(refusal)?,
        }
    }
    let step = Step::that_mends(&mistakes);
    let mut page = Page::of(console, visit, (step, draft)).await.with(&decided);
    page.mistakes = mistakes;
    Ok(respond(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

impl Page {
    async fn of<P: Process>(console: &Console<P>, visit: &Visit, at: (Step, Draft)) -> Page {
        let (step, draft) = at;
        Page {
            shell: visit
                .shell(console, Nav::Connections, "Connect Segment")
                .await,
            step,
            workspaces: Vec::new(),
            draft,
            mistakes: Mistakes::default(),
            key_now: None,
            samples: Ok(Vec::new()),
        }
    }

    fn with(mut self, decided: &Connections) -> Page {
        let workspaces = decided.workspaces().iter();
        self.workspaces = workspaces.map(|one| one.name.to_string()).collect();
        self
    }
}

/// The connection as if it had an id, to try it on events.
fn candidate(connection: NewConnection) -> Connection {
    let id = ConnectionId::new("to-be-connected");
    connection.with_id(id.expect("letters and hyphens are an id"))
}

/// What will be set, in words.
pub(crate) fn settled(draft: &Draft) -> Vec<(&'static str, String)> {
    let chosen = &draft.chosen;
    let frequency = match chosen.options.send_frequency {
        SendFrequency::Every => "every instance of every event",
        SendFrequency::First(FirstPer::DeliveryAndName) => "only the first, for each delivery",
        SendFrequency::First(FirstPer::DeliveryNameAndLink) => {
            "only the first, for each delivery and link"
        }
    };
    let on = |is_on: bool| if is_on { "on" } else { "off" }.to_owned();
    let region = match &chosen.target {
        Target::Us => "US, https://api.segment.io".to_owned(),
        Target::Eu => "EU, https://events.eu1.segmentapis.com".to_owned(),
        Target::Url(url) => url.to_string(),
    };
    let mut settled = vec![
        ("Name", draft.name.clone()),
        ("Workspace", draft.workspace.clone()),
        ("Region", region),
        ("Events", chosen.kinds.summary()),
        ("Send Frequency", frequency.to_owned()),
        ("Body Content", on(chosen.options.body_content)),
        ("Send back to Customer.io", on(chosen.options.send_back)),
        (
            "Payload version",
            chosen.options.payload_version.to_string(),
        ),
    ];
    if !draft.label.is_empty() {
        settled.insert(1, ("Label", draft.label.clone()));
    }
    if let Some(key) = &draft.write_key {
        let ends = match key.ends_with.as_str() {
            "" => String::new(),
            ends => format!(", ends in {ends}"),
        };
        settled.insert(1, ("Write Key", kept_where(&key.at) + &ends));
    }
    settled
}
