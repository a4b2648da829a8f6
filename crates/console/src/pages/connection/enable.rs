//! Enabling a connection, and moving it from one payload version to the other:
//! both show on real events what will be different.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use connections::Connection;
use shape::PayloadVersion;

use super::{Here, replace};
use crate::pages::sample::{self, Compared};
use crate::process::{Process, Trouble};
use crate::seen::Enabling;
use crate::shell::{Console, Nav, NoPage, Shell, Typed, Visit, answer, respond};

#[derive(Template)]
#[template(path = "connection_enable.html")]
struct EnablePage {
    shell: Shell,
    connection: Connection,
    path: String,
    backlog: Result<u64, Trouble>,
    /// Whether enabling moves it to 2.0.0.
    moves: bool,
    compared: Result<Vec<Compared>, Trouble>,
    versions: (PayloadVersion, PayloadVersion),
}

#[derive(Template)]
#[template(path = "connection_versions.html")]
struct VersionsPage {
    shell: Shell,
    connection: Connection,
    path: String,
    compared: Result<Vec<Compared>, Trouble>,
    versions: (PayloadVersion, PayloadVersion),
}

fn with_version(connection: &Connection, version: PayloadVersion) -> Connection {
    let mut next = connection.clone();
    next.options.payload_version = version;
    next
}

fn other(version: PayloadVersion) -> PayloadVersion {
    match version {
        PayloadVersion::V1 => PayloadVersion::V2,
        PayloadVersion::V2 => PayloadVersion::V1,
    }
}

/// Asks where to begin.
pub(super) async fn page<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = made_page(&console, &visit, &name).await;
    answer(&console, &visit, made).await
}

async fn made_page<P: Process>(
    console: &Console<P>,
    visit: &Visit,
    name: &str,
) -> Result<Response, NoPage> {
    let here = Here::at(console, name).await?;
    if here.connection.enabled {
        return Ok(visit.go(&here.path(), &format!("{name} is enabled already.")));
    }
    let moves = here.connection.options.payload_version == PayloadVersion::V1;
    let versions = (here.connection.options.payload_version, PayloadVersion::V2);
    let compared = if moves {
        let after = with_version(&here.connection, PayloadVersion::V2);
        sample::compared(&console.process, &here.connection, &after).await
    } else {
        Ok(Vec::new())
    };
    let page = EnablePage {
        shell: visit
            .shell(console, Nav::Connections, format!("Enable {name}"))
            .await,
        path: here.path(),
        backlog: console.process.backlog(name).await,
        connection: here.connection,
        moves,
        compared,
        versions,
    };
    Ok(respond(StatusCode::OK, &page))
}

/// Enables it.
pub(super) async fn enable<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let mut next = here.connection.clone();
        next.enabled = true;
        next.paused = false;
        if !fields.is_on("stay") {
            // As in the hosted integration: disabled and enabled again is 2.0.0.
            next.options.payload_version = PayloadVersion::V2;
        }
        let enabling = match fields.text("begin") {
            Some("backlog") => Enabling::Backlog,
            _ => Enabling::Now,
        };
        replace((&console, &visit), here, next, enabling).await
    };
    answer(&console, &visit, made.await).await
}

/// Shows what the other version would make different.
pub(super) async fn versions<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let now = here.connection.options.payload_version;
        let after = with_version(&here.connection, other(now));
        let title = format!("Payload versions of {name}");
        let page = VersionsPage {
            shell: visit.shell(&console, Nav::Connections, title).await,
            path: here.path(),
            compared: sample::compared(&console.process, &here.connection, &after).await,
            connection: here.connection,
            versions: (now, other(now)),
        };
        Ok(respond(StatusCode::OK, &page))
    };
    answer(&console, &visit, made.await).await
}

/// Moves it to the version that the form names.
pub(super) async fn change<P: Process>(
    State(console): State<Console<P>>,
    visit: Visit,
    Path(name): Path<String>,
    Typed(fields): Typed,
) -> Response {
    let made = async {
        let here = Here::at(&console, &name).await?;
        let version = fields.text("payload_version").unwrap_or_default();
        let version: PayloadVersion = version
            .parse()
            .map_err(|_| NoPage::Missing(format!("payload version {version}")))?;
        let next = with_version(&here.connection, version);
        replace((&console, &visit), here, next, Enabling::Now).await
    };
    answer(&console, &visit, made.await).await
}
