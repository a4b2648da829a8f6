//! The token endpoint, and calls under its tokens.

use std::time::Duration;

use axum::body::Body;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use emulator::segment::Segment;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::harness::*;

const TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

fn claims(segment: &Segment) -> Value {
    let now = segment.now().as_second();
    json!({"iss": "app", "sub": "app", "aud": "http://oauth2.example", "iat": now - 5, "exp": now + 55, "jti": "1-2-3"})
}

fn jwt(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn form(assertion: &str) -> String {
    format!(
        "grant_type=client_credentials&client_assertion_type={TYPE}&client_assertion={assertion}&scope=tracking_api%3Awrite"
    )
}

async fn ask(segment: &Segment, body: String) -> Reply {
    let request =
        Request::post("/token").header("content-type", "application/x-www-form-urlencoded");
    send(segment, request.body(Body::from(body)).unwrap()).await
}

async fn track(segment: &Segment, token: &str, body: String) -> Reply {
    let request = Request::post("/v1/track").header("authorization", format!("Bearer {token}"));
    send(segment, request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_good_assertion_gets_a_token_that_works_until_it_expires() {
    let segment = segment();
    let assertion = jwt(
        &json!({"alg": "RS256", "typ": "JWT", "kid": "k"}),
        &claims(&segment),
        "c2ln",
    );
    let reply = ask(&segment, form(&assertion)).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 86_400);
    let token = answer["access_token"].as_str().unwrap().to_owned();

    let keyed = call(&format!(r#""writeKey":"{KEY}""#));
    track(&segment, &token, keyed.clone())
        .await
        .assert_success();
    let keyless = track(&segment, &token, call("")).await;
    assert_eq!(keyless.refusal(), "An invalid write key was provided");
    segment.advance_clock(Duration::from_secs(86_399));
    track(&segment, &token, keyed.clone())
        .await
        .assert_success();
    segment.advance_clock(Duration::from_secs(1));
    assert_eq!(
        track(&segment, &token, keyed.clone()).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        track(&segment, "made-up", keyed).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn bad_forms_are_400_or_415_and_bad_assertions_401() {
    let segment = segment();
    let rs256 = json!({"alg": "RS256"});
    let good = claims(&segment);
    let now = segment.now().as_second();
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        form(&jwt(&rs256, &claims, "c2ln"))
    };
    let assertion = jwt(&rs256, &good, "c2ln");
    let cases = [
        (
            form(&assertion).replace("client_credentials", "password"),
            400,
        ),
        (form(&assertion).replace("jwt-bearer", "saml2-bearer"), 400),
        (form(&assertion).replace("%3Awrite", "%3Aread"), 400),
        (
            form(&assertion).replace("client_assertion=", "assertion="),
            400,
        ),
        (form("only.two"), 401),
        (form(&jwt(&json!({"alg": "HS256"}), &good, "c2ln")), 401),
        (form(&jwt(&rs256, &good, "")), 401),
        (with("exp", json!(now)), 401),
        (with("exp", json!(now + 56)), 401),
        (with("iat", json!(now + 61)), 401),
        (with("iat", Value::Null), 401),
        (with("sub", json!("")), 401),
        (with("aud", Value::Null), 401),
        (with("jti", json!("")), 401),
    ];
    for (body, status) in cases {
        let reply = ask(&segment, body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(reply.json()["error"].is_string());
    }
    assert_eq!(post(&segment, "/token", form(&assertion)).await.status, 415);
    assert_eq!(
        ask(&segment, form(&assertion)).await.status,
        200,
        "the unchanged one is good"
    );
}
