//! The files that pages load: embedded, compressed once, cached by their content.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// A browser need not ask again: the address changes with the content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

macro_rules! files {
    ($($name:literal: $kind:literal),* $(,)?) => {
        [$(($name, $kind, include_bytes!(concat!("../assets/", $name)).as_slice())),*]
    };
}

const FILES: [(&str, &str, &[u8]); 9] = files![
    "tokens.css": "text/css; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "uPlot.min.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "debugger.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "htmx-sse.min.js": "text/javascript; charset=utf-8",
    "uPlot.iife.min.js": "text/javascript; charset=utf-8",
];

struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    gzip: Bytes,
    mark: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |(name, kind, plain): (_, _, &'static [u8])| Asset {
        name,
        kind,
        plain,
        gzip: compressed(plain),
        mark: mark(plain),
    };
    FILES.into_iter().map(asset).collect()
});

fn compressed(plain: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(plain)
        .expect("a Vec takes all that is written to it");
    let gzip = gzip
        .finish()
        .expect("a Vec takes all that is written to it");
    gzip.into()
}

/// Eight digits that change with the content.
fn mark(plain: &[u8]) -> String {
    let digest = Sha256::digest(plain);
    let head = digest.iter().take(4);
    let head = head.fold(0_u32, |head, byte| head << 8 | u32::from(*byte));
    format!("{head:08x}")
}

/// The address of a file.
///
/// # Panics
/// Where there is no such file: a mistake in a template, which every page's test finds.
pub(crate) fn path(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.expect("templates name files that are there");
    format!("/assets/{}/{name}", asset.mark)
}

/// All style, for the one page that has no session to load it with.
pub(crate) fn inline_style() -> String {
    let sheets = ["tokens.css", "console.css"].into_iter();
    let sheet = |name| FILES.into_iter().find(|(there, ..)| *there == name);
    let texts = sheets.filter_map(sheet);
    let text = |(_, _, plain): (_, _, &[u8])| String::from_utf8_lossy(plain).into_owned();
    texts.map(text).collect()
}

/// The routes of the files.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/assets/{mark}/{name}", get(asset))
}

async fn asset(Path((_, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let takes = headers.get(header::ACCEPT_ENCODING);
    let takes = takes.and_then(|value| value.to_str().ok());
    let gzip = takes.is_some_and(|takes| takes.contains("gzip"));
    let body = if gzip {
        asset.gzip.clone()
    } else {
        Bytes::from_static(asset.plain)
    };
    let mut response = body.into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
