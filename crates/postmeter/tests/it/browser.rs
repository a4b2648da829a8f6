//! The console in a real browser: what a person does, step by step, and what comes
//! of it at the Segment stand-in.

mod options;
mod pages;
mod reach;

use serde_json::json;

use crate::harness::browser::{Browser, Look, Page};
use crate::harness::{Home, SIGNING_KEY, Segment, Server, WRITE_KEY, opened};

/// A tab that has logged in.
async fn logged_in(browser: &Browser, server: &Server, look: Look) -> Page {
    let page = browser.page(look).await;
    page.go(&address(server, "/")).await;
    page.fill("#token", &server.token()).await;
    page.follow("Log in").await;
    page
}

fn address(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.console)
}

#[tokio::test]
async fn a_person_gets_from_an_empty_server_to_a_confirmed_connection() {
    let segment = Segment::start();
    let server = Home::new("", "").start();
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    page.until_shown("Nothing is set up yet.").await;

    page.follow("Add a workspace").await;
    page.fill("#name", "acme").await;
    page.fill("#signing_keys", SIGNING_KEY).await;
    page.follow("Add the workspace").await;
    page.until_shown("/webhooks/acme").await;

    page.follow("Connect Segment").await;
    page.fill("#write_key", WRITE_KEY).await;
    page.fill("#name", "acme-segment").await;
    page.follow("Connect Segment").await;
    page.until_shown("Kinds that Customer.io adds later").await;
    page.follow("Set options").await;
    page.set("input[name=region][value=url]", true).await;
    page.fill("input[name=endpoint]", segment.url()).await;
    page.follow("Review").await;
    page.until_shown("It begins with the next event that arrives.")
        .await;
    page.follow("Connect").await;
    page.until_shown("One thing is left to do.").await;

    assert_eq!(server.send(&opened(1)).await, 200);
    let calls = segment.wait(1).await;
    assert_eq!(calls[0]["event"], "Email Opened");
    assert_eq!(calls[0]["writeKey"], WRITE_KEY);

    page.follow("Send a test event").await;
    page.until_shown("Look for it in Segment.").await;
    let id = page.text("#sent-id").await;
    let calls = segment.wait(2).await;
    assert!(
        calls.iter().any(|call| call["messageId"] == id),
        "{id} in {calls:?}"
    );
    page.follow("I have seen it").await;
    page.go(&address(&server, "/")).await;
    page.until_shown("Everything flows.").await;
}

#[tokio::test]
async fn an_open_overview_tells_of_an_outage_and_of_its_end_by_itself() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    segment
        .faults(json!([{ "status": 503, "times": "always" }]))
        .await;
    assert_eq!(server.send(&opened(1)).await, 200);
    page.until_shown("One connection is waiting; nothing is lost.")
        .await;
    page.until("document.title.startsWith('One connection is waiting')")
        .await;
    segment.no_faults().await;
    segment.wait(1).await;
    page.until("!document.body.innerText.includes('is waiting')")
        .await;
    assert_eq!(page.complaints(), Vec::<String>::new());
}
