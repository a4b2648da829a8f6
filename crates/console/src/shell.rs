//! What is around every page, and what every page is made with.

use std::convert::Infallible;

use askama::Template;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use tracing::error;

use crate::access::{Session, redirect_saying, said};
use crate::form::Fields;
use crate::process::{NotChanged, Process, Standing, Trouble};

/// What the routes work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Console<P> {
    pub(crate) process: P,
}

/// The places that the side of every page leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nav {
    Overview,
    Connections,
    Debugger,
    DeadLetters,
    Replays,
    Settings,
}

/// What surrounds a page.
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) nav: Option<Nav>,
    pub(crate) standing: Standing,
    /// The word that forms of this session carry.
    pub(crate) csrf: String,
    /// What the last action said.
    pub(crate) said: Option<String>,
    /// What the search field holds.
    pub(crate) searched: String,
    /// The moment that ages count from.
    pub(crate) now: Timestamp,
}

impl Shell {
    /// Whether the side marks `nav` as the place where one is.
    pub(crate) fn is_at(&self, nav: Nav) -> bool {
        self.nav == Some(nav)
    }
}

/// One request of a session: what a handler may know of it.
pub(crate) struct Visit {
    session: Session,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Fields,
    pub(crate) uri: Uri,
    pub(crate) now: Timestamp,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visit, Infallible> {
        let session = parts.extensions.get::<Session>().cloned();
        Ok(Visit {
            session: session.expect("the guard lets nothing pass without a session"),
            headers: parts.headers.clone(),
            query: Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            uri: parts.uri.clone(),
            now: Timestamp::now(),
        })
    }
}

impl Visit {
    /// Goes to `path`, where the page says `what` once.
    pub(crate) fn go(&self, path: &str, what: &str) -> Response {
        redirect_saying(path, what, &self.headers)
    }

    /// Whether a live part of a page asks, which wants that part alone.
    pub(crate) fn is_partial(&self) -> bool {
        self.headers.contains_key("hx-request")
    }

    /// What surrounds the page called `title`.
    pub(crate) async fn shell<P: Process>(
        &self,
        console: &Console<P>,
        nav: Nav,
        title: impl Into<String>,
    ) -> Shell {
        let standing = console.process.standing().await;
        self.around(standing, Some(nav), title.into())
    }

    fn around(&self, standing: Standing, nav: Option<Nav>, title: String) -> Shell {
        Shell {
            title,
            nav,
            standing,
            csrf: self.session.csrf.clone(),
            said: said(&self.headers),
            searched: self.query.text("q").unwrap_or_default().to_owned(),
            now: self.now,
        }
    }
}

/// What was typed into a form whose session is proved.
pub(crate) struct Typed(pub(crate) Fields);

impl<S: Sync> axum::extract::FromRequest<S> for Typed {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Typed, Infallible> {
        let body = request.into_body();
        let body = axum::body::to_bytes(body, crate::access::MAX_FORM_BYTES).await;
        // The guard has read it whole before.
        Ok(Typed(Fields::parse(&body.unwrap_or_default())))
    }
}

/// Why there is no page.
pub(crate) enum NoPage {
    /// What the address names is not there; the text says what.
    Missing(String),
    /// It cannot be shown just now.
    Trouble(Trouble),
}

impl From<Trouble> for NoPage {
    fn from(trouble: Trouble) -> NoPage {
        NoPage::Trouble(trouble)
    }
}

impl From<NotChanged> for NoPage {
    fn from(error: NotChanged) -> NoPage {
        match error {
            NotChanged::Missing(what) => NoPage::Missing(what),
            NotChanged::Trouble(trouble) => NoPage::Trouble(trouble),
            NotChanged::Mistakes(mistakes) => NoPage::Trouble(Trouble(mistakes.join("; "))),
        }
    }
}

#[derive(Template)]
#[template(path = "no_page.html")]
struct NoPageTemplate {
    shell: Shell,
    heading: &'static str,
    text: String,
}

/// Renders a page, or what stands for one.
pub(crate) fn page(template: &impl Template) -> Response {
    respond(StatusCode::OK, template)
}

/// Renders a page with a status of its own, as for a form with mistakes.
pub(crate) fn respond(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            error!(
                error = &error as &dyn std::error::Error,
                "a page cannot be rendered"
            );
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page cannot be rendered\n",
            )
                .into_response()
        }
    }
}

/// What a handler answers: a page, or the page that says why there is none.
pub(crate) async fn answer<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    made: Result<Response, NoPage>,
) -> Response {
    let (status, heading, text) = match made {
        Ok(response) => return response,
        Err(NoPage::Missing(what)) => (
            StatusCode::NOT_FOUND,
            "There is nothing here",
            format!("There is no {what}."),
        ),
        Err(NoPage::Trouble(Trouble(text))) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "This cannot be shown just now",
            text,
        ),
    };
    let standing = console.process.standing().await;
    let template = NoPageTemplate {
        shell: visit.around(standing, None, heading.to_owned()),
        heading,
        text,
    };
    respond(status, &template)
}
