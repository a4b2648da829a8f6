//! The App API's lists, as its reference describes them.

use axum::body::Body;
use emulator::customerio::{APP_API_LIMIT, AppApi, AppApiFault, Listing, Named, Workflow};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

const KEY: &str = "app-api-key";

/// One with a campaign of 25 actions and three newsletters.
fn app_api() -> AppApi {
    let app_api = AppApi::new(KEY);
    let actions = (1..=25).map(|id| Named::new(id, format!("Mail {id}")));
    app_api.list(Listing {
        campaigns: vec![Workflow::new(5, "Welcome", actions.collect())],
        broadcasts: vec![Workflow::new(9, "Sale", vec![Named::new(36, "Offer")])],
        newsletters: (1..=3)
            .map(|id| Named::new(id, format!("Week {id}")))
            .collect(),
        transactional: vec![Named::new(2, "Password reset")],
    });
    app_api
}

async fn ask(app_api: &AppApi, key: &str, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).header("Authorization", format!("Bearer {key}"));
    let request = request.body(Body::empty()).unwrap();
    let response = app_api.router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn get(app_api: &AppApi, path: &str) -> Value {
    let (status, answer) = ask(app_api, KEY, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    answer
}

#[tokio::test]
async fn every_list_has_the_members_that_the_reference_shows() {
    let app_api = app_api();
    let campaigns = get(&app_api, "/v1/campaigns").await;
    assert_eq!(campaigns["campaigns"][0]["name"], "Welcome");
    assert_eq!(campaigns["campaigns"][0]["actions"][24]["id"], 25);
    let broadcasts = get(&app_api, "/v1/broadcasts").await;
    assert_eq!(broadcasts["broadcasts"][0]["id"], 9);
    let actions = get(&app_api, "/v1/broadcasts/9/actions").await;
    assert_eq!(
        actions,
        json!({ "actions": [{ "id": 36, "name": "Offer" }] })
    );
    let messages = get(&app_api, "/v1/transactional").await;
    assert_eq!(
        messages["messages"],
        json!([{ "id": 2, "name": "Password reset" }])
    );
    let one = get(&app_api, "/v1/newsletters/3").await;
    assert_eq!(one, json!({ "newsletter": { "id": 3, "name": "Week 3" } }));
}

#[tokio::test]
async fn actions_come_ten_at_a_time_until_there_is_no_next() {
    let app_api = app_api();
    let (mut names, mut start) = (Vec::new(), String::new());
    loop {
        let escaped = start
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        let page = get(
            &app_api,
            &format!("/v1/campaigns/5/actions?start={escaped}"),
        )
        .await;
        let actions = page["actions"].as_array().unwrap();
        assert!(actions.len() <= 10);
        names.extend(actions.iter().map(|action| action["name"].clone()));
        start = page["next"].as_str().unwrap().to_owned();
        if start.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = (1..=25).map(|id| format!("Mail {id}")).collect();
    assert_eq!(names, expected);
    let newsletters = get(&app_api, "/v1/newsletters?limit=2").await;
    assert_eq!(newsletters["newsletters"].as_array().unwrap().len(), 2);
    assert_ne!(newsletters["next"], "");
}

#[tokio::test]
async fn whoever_has_not_the_key_learns_nothing() {
    let app_api = app_api();
    let (status, answer) = ask(&app_api, "another", "/v1/campaigns").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(!answer.to_string().contains("Welcome"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let app_api = app_api();
    for path in [
        "/v1/campaigns/6/actions",
        "/v1/broadcasts/5/actions",
        "/v1/newsletters/4",
        "/v1/nothing",
    ] {
        let (status, _) = ask(&app_api, KEY, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, _) = ask(&app_api, KEY, "/v1/campaigns/n16/actions").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "an id that is no number");
}

#[tokio::test]
async fn a_burst_is_answered_429_after_ten() {
    let app_api = app_api();
    let mut n_answered = 0;
    while ask(&app_api, KEY, "/v1/transactional").await.0 == StatusCode::OK {
        n_answered += 1;
        assert!(n_answered < 10_000, "a burst meets no limit");
    }
    assert!(n_answered >= APP_API_LIMIT);
    let asked = app_api.asked();
    assert_eq!(
        (asked.len(), asked[n_answered].status),
        (n_answered + 1, 429)
    );
}

#[tokio::test]
async fn it_fails_as_it_is_told_to() {
    let app_api = app_api();
    app_api.fail(AppApiFault::Status(500));
    let (status, _) = ask(&app_api, KEY, "/v1/campaigns").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    app_api.fail(AppApiFault::BreakOff);
    let request = Request::get("/v1/campaigns").header("Authorization", format!("Bearer {KEY}"));
    let request = request.body(Body::empty()).unwrap();
    let response = app_api.router().oneshot(request).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    app_api.fail(AppApiFault::None);
    get(&app_api, "/v1/campaigns").await;
}
