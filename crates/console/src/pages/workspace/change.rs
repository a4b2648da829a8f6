//! What the forms of a workspace's page change.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use connections::{AppApi, AppApiTarget, Endpoint, Signature};

use super::{Here, replace};
use crate::form::Fields;
use crate::pages::mistakes::Mistakes;
use crate::pages::secret::Given;
use crate::process::Process;
use crate::shell::{Console, NoPage, Typed, Visit, answer};

/// Adds a signing key. Where signatures were off, they are checked from then on.
pub(super) async fn add_key<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let mut mistakes = Mistakes::default();
        let mut next = here.workspace.clone();
        match Given::read(&fields, "signing_keys", &mut mistakes) {
            Some(given) => {
                let at = given.take(&console.process).await?.at;
                match &mut next.signature {
                    Signature::Keys(keys) if keys.contains(&at) => {
                        mistakes.add("signing_keys", "this key is there already");
                    }
                    Signature::Keys(keys) => keys.push(at),
                    off @ Signature::Off => *off = Signature::Keys(vec![at]),
                }
            }
            None if mistakes.is_empty() => mistakes.add("signing_keys", "the key is missing"),
            None => {}
        }
        replace((&console, &visit), here, next, (mistakes, fields)).await
    };
    answer(&console, &visit, made.await).await
}

/// Removes a signing key, but never the last.
pub(super) async fn remove_key<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let mut mistakes = Mistakes::default();
        let mut next = here.workspace.clone();
        let written = fields.text("key").unwrap_or_default();
        if let Signature::Keys(keys) = &mut next.signature {
            keys.retain(|key| key.to_string() != written);
            if keys.is_empty() {
                let what = "the last key stays: add the new one first";
                mistakes.add("signing_keys", what);
                next = here.workspace.clone();
            }
        }
        replace((&console, &visit), here, next, (mistakes, fields)).await
    };
    answer(&console, &visit, made.await).await
}

/// Says how far a signed timestamp may be from now.
pub(super) async fn set<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let mut mistakes = Mistakes::default();
        let mut next = here.workspace.clone();
        next.timestamp_tolerance = read_tolerance(&fields, &mut mistakes);
        replace((&console, &visit), here, next, (mistakes, fields)).await
    };
    answer(&console, &visit, made.await).await
}

fn read_tolerance(fields: &Fields, mistakes: &mut Mistakes) -> Option<Duration> {
    let text = fields.filled("timestamp_tolerance_s")?;
    match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Some(Duration::from_secs(seconds.into())),
        _ => {
            let what = "it takes a number of seconds above 0, or nothing at all";
            mistakes.add("timestamp_tolerance_s", what);
            None
        }
    }
}

/// Says where names are looked up, and with which key.
pub(super) async fn set_names<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let mut mistakes = Mistakes::default();
        let mut next = here.workspace.clone();
        let target = read_target(&fields, &mut mistakes);
        let given = Given::read(&fields, "app_api_key", &mut mistakes);
        let key = match given {
            Some(given) if mistakes.is_empty() => Some(given.take(&console.process).await?.at),
            Some(_) => None,
            None => here.workspace.app_api.as_ref().map(|api| api.key.clone()),
        };
        if key.is_none() && mistakes.is_empty() {
            mistakes.add("app_api_key", "the App API key is missing");
        }
        if let (Some(key), Some(target)) = (key, target) {
            next.app_api = Some(AppApi { key, target });
        }
        replace((&console, &visit), here, next, (mistakes, fields)).await
    };
    answer(&console, &visit, made.await).await
}

fn read_target(fields: &Fields, mistakes: &mut Mistakes) -> Option<AppApiTarget> {
    match fields.text("app_api_region") {
        Some("eu") => Some(AppApiTarget::Eu),
        Some("url") => {
            let url = Endpoint::parse(fields.text("app_api_url").unwrap_or_default());
            let wrong = |_| mistakes.add("app_api_url", "it takes an absolute URL, https or http");
            url.map_err(wrong).ok().map(AppApiTarget::Url)
        }
        _ => Some(AppApiTarget::Us),
    }
}

/// Looks up no names any more.
pub(super) async fn remove_names<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let mut next = here.workspace.clone();
        next.app_api = None;
        let nothing = (Mistakes::default(), Fields::default());
        replace((&console, &visit), here, next, nothing).await
    };
    answer(&console, &visit, made.await).await
}

/// Reads the names again.
pub(super) async fn refresh_names<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made: Result<Response, NoPage> = async {
        let here = Here::at(&console, &name).await?;
        console.process.refresh_names(&name).await?;
        Ok(visit.go(&here.path(), "The names are being read again."))
    }
    .await;
    answer(&console, &visit, made).await
}
