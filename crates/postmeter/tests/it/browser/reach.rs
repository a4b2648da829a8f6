//! What a person changes in the page of where calls go, under which key and name,
//! and which of them go at all: told apart by what then arrives at which stand-in.

use serde_json::{Value, json};

use super::options::{change, save};
use super::{address, logged_in};
use crate::harness::browser::{Browser, Look, Page};
use crate::harness::{
    Home, ONE_CONNECTION, Segment, Server, WRITE_KEY, opened, run, stderr, stdout,
};
use crate::names::{self, AppApi};

const CONNECTION: &str = "/connections/acme-segment";
const OTHER_KEY: &str = "ZYXWVUTSRQPONMLKJIHGFEDCBA987654";

/// Presses a button of the connection's page.
async fn act(page: &Page, server: &Server, button: &str) {
    page.go(&address(server, CONNECTION)).await;
    page.follow(button).await;
}

/// An event of the first delivery, whatever its own number.
fn of_one_delivery(n: usize, metric: &str) -> Value {
    let mut event = opened(n);
    event["metric"] = json!(metric);
    event["data"]["delivery_id"] = json!("delivery-1");
    event
}

/// Waits until so many records lie before the connection.
async fn until_waiting(server: &Server, n_records: u64) {
    let is_so = |answer: &Value| {
        let connections = answer["connections"].as_array().unwrap();
        let its_own = connections.iter().find(|one| one["name"] == "acme-segment");
        its_own.unwrap()["lag_records"] == n_records
    };
    server.api_until("/api/connections", is_so).await;
}

/// What the calls say there, in the order of the alphabet: batches may overtake.
fn sorted<'a>(calls: &'a [Value], place: &str) -> Vec<&'a str> {
    let said = calls
        .iter()
        .filter_map(|call| call.pointer(place)?.as_str());
    let mut said: Vec<&str> = said.collect();
    said.sort_unstable();
    said
}

async fn html(page: &Page) -> String {
    let html = page.eval("document.documentElement.outerHTML").await;
    html.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pasted_write_key_is_the_next_calls_and_in_no_page() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    server.send_all(&[opened(1)]).await;
    assert_eq!(segment.wait(1).await[0]["writeKey"], WRITE_KEY);

    page.go(&address(&server, CONNECTION)).await;
    page.fill("#write_key", OTHER_KEY).await;
    page.follow("Review changes").await;
    page.until_shown("would change.").await;
    let review = html(&page).await;
    assert!(!review.contains(OTHER_KEY), "{review}");
    page.follow("Save").await;
    page.until_shown("pasted, kept in the journal, ends in 7654")
        .await;
    let saved = html(&page).await;
    assert!(!saved.contains(OTHER_KEY), "{saved}");

    server.send_all(&[opened(2)]).await;
    let calls = segment.wait(2).await;
    assert_eq!(sorted(&calls, "/writeKey"), [OTHER_KEY, WRITE_KEY]);
}

#[tokio::test]
async fn the_next_call_goes_to_the_url_that_a_person_gave() {
    let (first, second) = (Segment::start(), Segment::start());
    let server = Server::start(&first);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    server.send_all(&[opened(1)]).await;
    first.wait(1).await;
    let url = json!(second.url());
    change(&page, &server, ("input[name=endpoint]", &url)).await;

    server.send_all(&[opened(2)]).await;
    let delivery = "/properties/delivery_id";
    assert_eq!(sorted(&second.wait(1).await, delivery), ["delivery-2"]);
    until_waiting(&server, 0).await;
    assert_eq!(sorted(&first.calls().await, delivery), ["delivery-1"]);
}

#[tokio::test]
async fn a_region_chosen_in_the_page_is_where_calls_would_go() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    // Nothing may leave this machine.
    act(&page, &server, "Pause").await;
    for (region, url) in [
        ("eu", "https://events.eu1.segmentapis.com"),
        ("us", "https://api.segment.io"),
    ] {
        let button = format!("input[name=region][value={region}]");
        change(&page, &server, (&button, &json!(true))).await;
        let exported = run(&mut server.command(&["export"]));
        let (text, line) = (stdout(&exported), format!("region = \"{region}\""));
        assert!(text.contains(&line), "{text}{}", stderr(&exported));
        assert!(text.contains("paused = true"), "{text}");
        let connections = server.api("/api/connections").await;
        assert_eq!(connections["connections"][0]["endpoint"], url);
    }
}

#[tokio::test]
async fn first_only_for_each_link_sends_one_click_on_each() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    page.go(&address(&server, CONNECTION)).await;
    page.set("input[name=send_frequency][value=first]", true)
        .await;
    page.set("input[name=per_link]", true).await;
    save(&page).await;

    let click = |n: usize, link: &str| {
        let mut event = of_one_delivery(n, "clicked");
        event["data"]["link_id"] = json!(link);
        event["data"]["href"] = json!(format!("https://example.com/{link}"));
        event
    };
    let clicks = [click(1, "a"), click(2, "b"), click(3, "a"), click(4, "b")];
    server.send_all(&clicks).await;
    segment.wait(2).await;
    until_waiting(&server, 0).await;
    let calls = segment.calls().await;
    assert_eq!(sorted(&calls, "/properties/link/id"), ["a", "b"]);
    assert_eq!(calls.len(), 2, "{calls:?}");
}

#[tokio::test]
async fn kinds_that_are_added_later_are_sent_where_a_person_says_so() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    let off = "input[name=new_kinds][value=off]";
    change(&page, &server, (off, &json!(true))).await;
    let events = [of_one_delivery(1, "pondered"), of_one_delivery(2, "opened")];
    server.send_all(&events).await;
    segment.wait(1).await;
    until_waiting(&server, 0).await;
    assert_eq!(sorted(&segment.calls().await, "/event"), ["Email Opened"]);

    // The channel is not whole then, so its boxes alone would not send the kind.
    page.go(&address(&server, CONNECTION)).await;
    page.set("input[name=kind][value=email_clicked]", false)
        .await;
    page.set("input[name=new_kinds][value=on]", true).await;
    save(&page).await;
    server.send_all(&[of_one_delivery(3, "pondered")]).await;
    let calls = segment.wait(2).await;
    assert_eq!(sorted(&calls, "/event"), ["Email Opened", "Email Pondered"]);
}

#[tokio::test]
async fn a_connection_paused_by_its_button_sends_nothing_until_it_is_resumed() {
    let (segment, other) = (Segment::start(), Segment::start());
    let witness = format!(
        "{ONE_CONNECTION}\n[[connection]]\nname = \"witness\"\nworkspace = \"acme\"\n\
         write_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"{}\"\n",
        other.url()
    );
    let server = Home::new(&witness, segment.url()).start();
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    act(&page, &server, "Pause").await;
    server.send_all(&[opened(1), opened(2), opened(3)]).await;
    // The other connection has them all: time enough to have sent them here too.
    other.wait(3).await;
    until_waiting(&server, 3).await;
    assert_eq!(segment.calls().await, Vec::<Value>::new());

    act(&page, &server, "Resume").await;
    assert_eq!(
        sorted(&segment.wait(3).await, "/properties/delivery_id"),
        ["delivery-1", "delivery-2", "delivery-3"]
    );
}

#[tokio::test]
async fn names_are_sent_once_a_key_is_pasted_and_their_box_is_ticked() {
    let (segment, app_api) = (Segment::start(), AppApi::start(5).await);
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    page.go(&address(&server, "/workspaces/acme")).await;
    page.fill("#app_api_key", names::KEY).await;
    page.set("input[name=app_api_region][value=url]", true)
        .await;
    page.fill("input[name=app_api_url]", app_api.url()).await;
    page.follow("Look up names").await;
    page.until_shown("ends in pace").await;
    let saved = html(&page).await;
    assert!(!saved.contains(names::KEY), "{saved}");

    let name = "/properties/campaign_name";
    server.send_all(&[names::of_campaign(1, 5)]).await;
    assert!(sorted(&segment.wait(1).await, name).is_empty());
    change(&page, &server, ("input[name=names]", &json!(true))).await;
    server.send_all(&[names::of_campaign(2, 5)]).await;
    assert_eq!(sorted(&segment.wait(2).await, name), ["Campaign 5"]);
}
