//! Every page that a link leads to: accessible in both themes, light, whole without
//! script, no wider than the window, and deaf to what strangers write into events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{address, logged_in};
use crate::harness::browser::{Browser, Look, Page};
use crate::harness::{Home, Segment, Server, opened};

/// The first load of any page, with all its files.
const MAX_PAGE_BYTES: u64 = 150_000;
/// Pages that are visited, at most: more than the console has.
const MAX_PAGES: usize = 80;
/// A folder, where one is named, for pictures of all pages.
const PICTURES: &str = "POSTMETER_SCREENSHOTS";
const AXE: &str = "axe-core@4.14.1";

/// The addresses in a page that lead to other pages. A download is none.
const LINKS: &str = "[...document.querySelectorAll('a[href]')] \
    .filter((one) => one.origin === location.origin && !one.hasAttribute('download') \
        && !/^\\/api\\/|\\.toml$|\\/download$/.test(one.pathname)) \
    .map((one) => one.pathname + one.search)";

/// Ticks what a stranger's script would set.
const HOSTILE: &str = "<script>window.ran = 1</script><img src=x onerror=\"window.ran = 1\">\
    '\"><svg onload=\"window.ran = 1\">";

/// The text of axe-core, installed once.
fn axe() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm");
    let file: PathBuf = folder.join("node_modules/axe-core/axe.min.js");
    if !file.exists() {
        std::fs::create_dir_all(&folder).expect("the target folder takes folders");
        let mut install = Command::new("npm");
        install
            .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&folder)
            .arg(AXE);
        assert!(install.status().expect("npm runs").success(), "{AXE}");
    }
    std::fs::read_to_string(&file).expect("npm has installed it")
}

/// What makes two addresses the same page: the path without numbers and names of
/// its own, and the one thing that is asked of it, or that several are.
fn shape_of(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts = path.split('/').map(|part| {
        let is_own = part.contains(|char: char| char.is_ascii_digit()) || part.len() > 40;
        if is_own { "#" } else { part }
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let keys: BTreeSet<&str> = query
        .split('&')
        .filter_map(|one| one.split('=').next())
        .collect();
    match keys.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => format!("{path}?{one}"),
        _ => format!("{path}?several"),
    }
}

/// Visits `first` and every page that a link leads to, each kind of them once, and
/// holds them to what all pages promise.
async fn visit_all(server: &Server, state: &str, first: &[&str]) -> Vec<String> {
    let browser = Browser::start();
    let page = logged_in(&browser, server, Look::LIGHT).await;
    let bare = logged_in_without_script(&browser, server).await;
    let axe = axe();
    let mut seen = BTreeSet::new();
    let mut ahead: VecDeque<String> = first.iter().map(|path| (*path).to_owned()).collect();
    let mut faults = BTreeMap::new();
    let mut visited = Vec::new();
    while let Some(path) = ahead.pop_front() {
        let is_new = seen.insert(shape_of(&path));
        if visited.contains(&path) || !(is_new || first.contains(&path.as_str())) {
            continue;
        }
        assert!(visited.len() < MAX_PAGES, "{visited:?}");
        let found = inspect(&page, server, (&path, &axe)).await;
        let found: Vec<String> = found
            .into_iter()
            .chain(look_bare(&bare, server, &path).await)
            .collect();
        if !found.is_empty() {
            faults.insert(path.clone(), found);
        }
        picture(&page, state, &path).await;
        let links = page.eval(LINKS).await;
        let links = links.as_array().expect("a list").iter();
        ahead.extend(links.filter_map(Value::as_str).map(str::to_owned));
        visited.push(path);
    }
    assert!(faults.is_empty(), "{state}: {faults:#?}");
    visited
}

/// A tab where scripts do not run; it logs in before that.
async fn logged_in_without_script(browser: &Browser, server: &Server) -> Page {
    let page = logged_in(browser, server, Look::LIGHT).await;
    page.look(Look::SCRIPTLESS).await;
    page
}

/// What is wrong with a page.
async fn inspect(page: &Page, server: &Server, (path, axe): (&str, &str)) -> Vec<String> {
    let mut faults = Vec::new();
    let bytes = page.weight(&address(server, path)).await;
    if bytes > MAX_PAGE_BYTES {
        faults.push(format!("{bytes} bytes are loaded"));
    }
    page.eval(axe).await;
    for look in [Look::LIGHT, Look::DARK] {
        page.look(look).await;
        let violations = page.eval(VIOLATIONS).await;
        for violation in violations.as_array().expect("a list") {
            faults.push(format!("{}: {violation}", look.theme));
        }
    }
    for look in [Look::LIGHT, Look::NARROW] {
        page.look(look).await;
        let over = page
            .eval("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            .await;
        if over != json!(0) {
            faults.push(format!("at {} px it is {over} px too wide", look.width));
        }
    }
    page.look(Look::LIGHT).await;
    if page.eval("window.ran === undefined").await != json!(true) {
        faults.push("a stranger's script ran".to_owned());
    }
    faults.extend(page.complaints());
    faults
}

/// What axe-core finds serious or critical.
const VIOLATIONS: &str = "axe.run(document, {resultTypes: ['violations']}).then((found) => \
    found.violations.filter((one) => ['serious', 'critical'].includes(one.impact)) \
    .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => \
    node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? '')).join(' | ')}`))";

/// What is missing where no script runs.
async fn look_bare(page: &Page, server: &Server, path: &str) -> Vec<String> {
    page.go(&address(server, path)).await;
    let heading = page.text("h1").await;
    let main = page.text("main").await;
    let is_whole = !heading.trim().is_empty() && main.len() > heading.len() + 20;
    let fault = format!("without script it shows only {main:?}");
    (!is_whole).then_some(fault).into_iter().collect()
}

/// Keeps pictures of a page where a folder for them is named.
async fn picture(page: &Page, state: &str, path: &str) {
    let Some(folder) = std::env::var_os(PICTURES) else {
        return;
    };
    // Cargo runs tests in their crate's folder; people name one of the project's.
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = project.join(folder);
    std::fs::create_dir_all(&folder).expect("pictures can be kept");
    let name: String = path
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    for (kind, look) in [
        ("light", Look::LIGHT),
        ("dark", Look::DARK),
        ("narrow", Look::NARROW),
    ] {
        page.look(look).await;
        let png = STANDARD.decode(page.screenshot().await).expect("base64");
        let file = folder.join(format!("{state}{name}.{kind}.png"));
        std::fs::write(file, png).expect("pictures can be kept");
    }
    page.look(Look::LIGHT).await;
}

/// Events whose every text is hostile, long, or written from the right.
fn hostile() -> Vec<Value> {
    let mut marked = opened(11);
    marked["data"]["subject"] = json!(HOSTILE);
    marked["data"]["identifiers"]["id"] = json!(HOSTILE);
    marked["data"]["delivery_id"] = json!(HOSTILE);
    marked["data"]["recipient"] = json!(HOSTILE);
    let mut named = opened(12);
    named["object_type"] = json!(HOSTILE);
    named["metric"] = json!(HOSTILE);
    named["event_id"] = json!(HOSTILE);
    let mut long = opened(13);
    long["data"]["subject"] = json!("m".repeat(10_000));
    long["data"]["identifiers"]["id"] = json!("w".repeat(2_000));
    let mut foreign = opened(14);
    foreign["data"]["subject"] = json!(
        "\u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627} \u{1f469}\u{200d}\u{1f680}"
    );
    foreign["data"]["identifiers"]["id"] = json!("\u{202e}\u{5d0}\u{5d1}");
    vec![marked, named, long, foreign]
}

async fn fed(segment: &Segment) -> Server {
    let server = Server::start(segment);
    let plain: Vec<Value> = (1..10).map(opened).collect();
    server.send_all(&plain).await;
    server.send_all(&hostile()).await;
    // No JSON, and no person: two dead letters with different reasons.
    let body = format!("{{\"{HOSTILE}");
    let answer = server.signed(&body).send().await.expect("it answers");
    assert_eq!(answer.status(), 200);
    let nobody =
        json!({"event_id": "nobody", "object_type": "email", "metric": "sent", "data": {}});
    assert_eq!(server.send(&nobody).await, 200);
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
    server
}

#[tokio::test]
async fn every_page_of_a_new_server_keeps_what_pages_promise() {
    let server = Home::new("", "").start();
    let visited = visit_all(&server, "new", &["/", "/nowhere", "/find?q=x"]).await;
    assert!(visited.len() >= 8, "{visited:?}");
}

#[tokio::test]
async fn every_page_with_data_keeps_what_pages_promise_whatever_strangers_write() {
    let segment = Segment::start();
    let server = fed(&segment).await;
    let replay = json!({ "connection": "acme-segment", "rate_per_s": 1 });
    let begun = server.post("/api/replays", &replay).await;
    assert_eq!(begun["number"], 1, "{begun}");
    // The hostile events are records 10 to 13, the dead letters 14 and 15.
    let first = [
        "/",
        "/replays/1",
        "/replays/new?connection=acme-segment&filter=&rate=&look=yes",
        "/debugger",
        "/debugger?record=10",
        "/debugger?record=12",
        "/events/10",
        "/events/11",
        "/events/12",
        "/events/13",
        "/events/14",
        "/dead-letters/1",
        "/dead-letters?filter=reason%3Aperson",
        "/dead-letters/list?all=yes",
        "/dead-letters/retry?all=yes",
        "/debugger?filter=colour%3A%3Cb%3E",
        "/find?q=%3Cscript%3Ewindow.ran%20%3D%201%3C%2Fscript%3E",
    ];
    let visited = visit_all(&server, "data", &first).await;
    assert!(visited.len() >= 25, "{visited:?}");
}

#[tokio::test]
async fn every_page_keeps_what_pages_promise_while_everything_fails() {
    let segment = Segment::start();
    let server = fed(&segment).await;
    let fault = json!([{ "status": 503, "body": HOSTILE, "times": "always" }]);
    segment.faults(fault).await;
    server.send_all(&[opened(21), opened(22)]).await;
    let refused = server.http.post(server.webhook()).body("{}");
    let refused = refused
        .header("X-CIO-Timestamp", "1")
        .header("X-CIO-Signature", "00");
    assert_eq!(refused.send().await.expect("it answers").status(), 401);
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["state"] == "waiting"
        })
        .await;
    let visited = visit_all(&server, "failing", &["/"]).await;
    assert!(visited.len() >= 15, "{visited:?}");
}
