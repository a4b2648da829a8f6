//! Every option of a connection, changed by a person in its page, and what the next
//! call at the Segment stand-in looks like.

use serde_json::{Value, json};

use super::{address, logged_in};
use crate::harness::browser::{Browser, Look, Page};
use crate::harness::{Segment, Server, opened};

/// An option: what a person does in the form, and the event that shows its effect.
struct Case {
    what: &'static str,
    /// The field, and what is set or typed.
    field: &'static str,
    value: Value,
    event: fn(usize) -> Value,
    shows: fn(&Value) -> bool,
}

fn sent(n: usize) -> Value {
    let mut event = opened(n);
    event["metric"] = json!("sent");
    event["data"]["content"] = json!("<p>hello</p>");
    event
}

fn without_id(n: usize) -> Value {
    let mut event = opened(n);
    event["data"]["identifiers"] = json!({ "email": "a@example.com" });
    event
}

fn with_customer_id(n: usize) -> Value {
    let mut event = opened(n);
    event["data"]["customer_id"] = json!("old-id");
    event
}

fn cases() -> Vec<Case> {
    let case = |what, field, value, event, shows| Case {
        what,
        field,
        value,
        event,
        shows,
    };
    vec![
        case(
            "send back",
            "input[name=send_back]",
            json!(true),
            opened,
            |call| call["integrations"].get("Customer.io").is_none(),
        ),
        case(
            "body content",
            "input[name=body_content]",
            json!(true),
            sent,
            |call| call["properties"]["content"] == "<p>hello</p>",
        ),
        case(
            "empty user id",
            "input[name=empty_user_id]",
            json!(false),
            without_id,
            |call| call.get("userId").is_none_or(Value::is_null),
        ),
        case(
            "customer id",
            "input[name=customer_id]",
            json!(true),
            with_customer_id,
            |call| call["properties"]["customer_id"] == "old-id",
        ),
        case(
            "left-out fields",
            "#leave_out",
            json!("recipient"),
            opened,
            |call| call["properties"].get("recipient").is_none(),
        ),
        case(
            "version",
            "input[name=payload_version][value='1.0.0']",
            json!(true),
            opened,
            |call| call["context"]["integration"]["version"] == "1.0.0",
        ),
    ]
}

/// Opens the form, lets `change` change it, and saves.
pub(super) async fn change(page: &Page, server: &Server, (field, value): (&str, &Value)) {
    page.go(&address(server, "/connections/acme-segment")).await;
    match value {
        Value::String(typed) => page.fill(field, typed).await,
        ticked => page.set(field, ticked.clone()).await,
    }
    save(page).await;
}

pub(super) async fn save(page: &Page) {
    page.follow("Review changes").await;
    page.until_shown("would change.").await;
    page.follow("Save").await;
}

#[tokio::test]
async fn what_a_person_changes_in_the_page_shows_in_the_next_call() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    for (n, case) in cases().into_iter().enumerate() {
        let before = 2 * n;
        server.send_all(&[(case.event)(before + 1)]).await;
        let calls = segment.wait(before + 1).await;
        let call = of_delivery(&calls, before + 1);
        assert!(!(case.shows)(call), "{} shows before: {call}", case.what);
        change(&page, &server, (case.field, &case.value)).await;
        server.send_all(&[(case.event)(before + 2)]).await;
        let calls = segment.wait(before + 2).await;
        let call = of_delivery(&calls, before + 2);
        assert!((case.shows)(call), "{} does not show: {call}", case.what);
    }
}

fn of_delivery(calls: &[Value], n: usize) -> &Value {
    let delivery = format!("delivery-{n}");
    let is_it = |call: &&Value| {
        let properties = &call["properties"];
        properties["delivery_id"] == *delivery || properties["email_id"] == *delivery
    };
    let found = calls.iter().find(is_it);
    found.unwrap_or_else(|| panic!("no call of {delivery} in {calls:?}"))
}

#[tokio::test]
async fn events_renamed_unticked_and_limited_to_the_first_are_so_from_the_next_on() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let browser = Browser::start();
    let page = logged_in(&browser, &server, Look::LIGHT).await;
    page.go(&address(&server, "/connections/acme-segment"))
        .await;
    page.fill("input[name=rename_from]", "Email Opened").await;
    page.fill("input[name=rename_to]", "Read").await;
    page.set("input[name=kind][value=email_clicked]", false)
        .await;
    page.set("input[name=send_frequency][value=first]", true)
        .await;
    save(&page).await;
    let again = |n: usize, metric: &str| {
        let mut event = opened(n);
        event["metric"] = json!(metric);
        event["data"]["delivery_id"] = json!("delivery-1");
        event
    };
    let events = [
        again(1, "opened"),
        again(2, "opened"),
        again(3, "clicked"),
        again(4, "delivered"),
    ];
    server.send_all(&events).await;
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
    let calls = segment.wait(2).await;
    let names: Vec<&str> = calls
        .iter()
        .filter_map(|call| call["event"].as_str())
        .collect();
    assert_eq!(names, ["Read", "Email Delivered"]);
}
