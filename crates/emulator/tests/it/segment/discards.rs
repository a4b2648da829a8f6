//! What is answered 200 and dropped afterwards, and what must not be dropped.

use std::{collections::BTreeMap, time::Duration};

use emulator::segment::{Config, KeyState, Segment};

use super::harness::*;

/// Posts one call and returns the codes of what was dropped.
async fn codes_of(path: &str, body: &str) -> Vec<&'static str> {
    let segment = segment();
    post_keyed(&segment, path, body.to_owned())
        .await
        .assert_success();
    let codes: Vec<_> = segment
        .discards()
        .iter()
        .map(|discard| discard.code.as_str())
        .collect();
    assert_eq!(
        segment.calls().is_empty(),
        !codes.is_empty(),
        "{body}: a call is stored or dropped"
    );
    codes
}

#[tokio::test]
async fn each_semantic_error_has_segments_code() {
    let cases = [
        ("/v1/track", r#"{"event":"e"}"#, "no_user_anon_id"),
        (
            "/v1/track",
            r#"{"event":"e","userId":null}"#,
            "no_user_anon_id",
        ),
        ("/v1/track", r#"{"event":"e","userId":42}"#, "id_not_string"),
        (
            "/v1/track",
            r#"{"event":"e","userId":42,"anonymousId":"a"}"#,
            "id_not_string",
        ),
        ("/v1/track", r#"{"event":"e","userId":""}"#, "id_not_string"),
        (
            "/v1/track",
            r#"{"event":"e","anonymousId":""}"#,
            "id_not_string",
        ),
        (
            "/v1/track",
            r#"{"event":"e","userId":"u","anonymousId":{}}"#,
            "id_not_string",
        ),
        ("/v1/track", r#"{"userId":"u"}"#, "event_not_defined"),
        (
            "/v1/track",
            r#"{"userId":"u","event":""}"#,
            "event_not_defined",
        ),
        (
            "/v1/track",
            r#"{"userId":"u","event":7}"#,
            "event_not_string",
        ),
        (
            "/v1/track",
            r#"{"userId":"u","event":"e","properties":[]}"#,
            "properties_not_object",
        ),
        (
            "/v1/identify",
            r#"{"userId":"u","traits":"t"}"#,
            "traits_not_object",
        ),
        (
            "/v1/group",
            r#"{"userId":"u","traits":1}"#,
            "traits_not_object",
        ),
        ("/v1/page", r#"{"userId":"u","name":1}"#, "name_not_string"),
        (
            "/v1/screen",
            r#"{"userId":"u","category":[]}"#,
            "category_not_string",
        ),
        (
            "/v1/page",
            r#"{"userId":"u","properties":"p"}"#,
            "properties_not_object",
        ),
    ];
    for (path, body, code) in cases {
        assert_eq!(codes_of(path, body).await, [code], "{path} {body}");
    }
}

#[tokio::test]
async fn sound_calls_of_unusual_form_are_stored() {
    let cases = [
        (
            "/v1/track",
            r#"{"event":"e","userId":"","anonymousId":"p@example.com"}"#,
        ),
        (
            "/v1/track",
            r#"{"event":"e","anonymousId":"a","email":"p@example.com"}"#,
        ),
        (
            "/v1/track",
            r#"{"event":"e","userId":"u","properties":null}"#,
        ),
        ("/v1/track", r#"{"event":"e","userId":"u","userId":"v"}"#),
        ("/v1/page", r#"{"userId":"u"}"#),
        ("/v1/alias", r#"{"userId":"u","previousId":"p"}"#),
    ];
    for (path, body) in cases {
        assert!(codes_of(path, body).await.is_empty(), "{path} {body}");
    }
}

#[tokio::test]
async fn the_good_calls_of_a_batch_are_published_and_the_bad_ones_listed() {
    let segment = segment();
    let bad = r#"{"type":"track","event":"e"}"#;
    let body = batch(&[
        call(r#""messageId":"good""#),
        bad.into(),
        r#"{"userId":"u"}"#.into(),
    ]);
    post(&segment, "/v1/batch", body).await.assert_success();
    assert_eq!(segment.calls()[0].message_id(), "good");
    let discards = segment.discards();
    let codes: Vec<_> = discards
        .iter()
        .map(|discard| discard.code.as_str())
        .collect();
    assert_eq!(
        codes,
        ["no_user_anon_id", "type_not_known", "multi_user_error"]
    );
    assert_eq!(discards[0].call.as_ref().unwrap().get(), bad);
    assert_eq!(discards[0].write_key, KEY);
}

#[tokio::test]
async fn an_empty_batch_and_a_batch_of_nothing_good_have_their_own_codes() {
    for body in [r#""batch":[]"#, r#""batch":null"#, r#""other":1"#] {
        let body = format!(r#"{{"writeKey":"{KEY}",{body}}}"#);
        assert_eq!(
            codes_of("/v1/batch", &body).await,
            ["empty_batch"],
            "{body}"
        );
    }
    let body = batch(&[r#"{"type":"track","event":"e"}"#.into()]);
    let codes = codes_of("/v1/batch", &body).await;
    assert_eq!(codes, ["no_user_anon_id", "empty_batch_result"]);
}

#[tokio::test]
async fn a_disabled_source_and_a_locked_workspace_drop_everything_after_a_200() {
    let keys = [
        (
            "disabled-source-key",
            KeyState::SourceDisabled,
            "source_disabled",
        ),
        (
            "locked-workspace-key",
            KeyState::WorkspaceLocked,
            "locked_workspace",
        ),
    ];
    let segment = Segment::new(Config {
        keys: BTreeMap::from(keys.map(|(key, state, _)| (key.to_owned(), state))),
        ..Config::default()
    });
    for (key, _, code) in keys {
        let body = call(&format!(r#""writeKey":"{key}""#));
        post(&segment, "/v1/track", body).await.assert_success();
        assert_eq!(segment.discards().last().unwrap().code.as_str(), code);
    }
    assert!(segment.calls().is_empty());
}

#[tokio::test]
async fn a_repeated_message_id_is_swallowed_for_a_day_whoever_sends_it() {
    let segment = segment();
    let with_key = |key: &str| call(&format!(r#""messageId":"m-1","writeKey":"{key}""#));
    for key in [KEY, "another-source-entirely", KEY] {
        post(&segment, "/v1/track", with_key(key))
            .await
            .assert_success();
    }
    assert_eq!(segment.calls().len(), 1);
    assert_eq!(segment.stats().duplicates, 2);
    segment.advance_clock(Duration::from_secs(24 * 3600 - 1));
    post(&segment, "/v1/track", with_key(KEY))
        .await
        .assert_success();
    assert_eq!(segment.calls().len(), 1, "a day has not passed");
    segment.advance_clock(Duration::from_secs(1));
    post(&segment, "/v1/track", with_key(KEY))
        .await
        .assert_success();
    assert_eq!(segment.calls().len(), 2, "a day has passed");
}

#[tokio::test]
async fn a_repeat_inside_one_batch_is_swallowed() {
    let segment = segment();
    let twin = call(r#""messageId":"m-1""#);
    post(&segment, "/v1/batch", batch(&[twin.clone(), twin]))
        .await
        .assert_success();
    assert_eq!(segment.calls().len(), 1);
    assert!(
        segment.discards().is_empty(),
        "nobody is told of a duplicate"
    );
}

#[tokio::test]
async fn a_dropped_call_does_not_use_up_its_message_id() {
    let segment = segment();
    let bad = r#"{"event":"e","messageId":"m-1"}"#;
    post_keyed(&segment, "/v1/track", bad)
        .await
        .assert_success();
    post_keyed(&segment, "/v1/track", call(r#""messageId":"m-1""#))
        .await
        .assert_success();
    assert_eq!(segment.calls().len(), 1);
}

#[tokio::test]
async fn remembered_ids_have_a_bound() {
    let segment = Segment::new(Config {
        keep_message_ids: 2,
        ..Config::default()
    });
    for id in ["a", "b", "c", "c", "b", "a"] {
        let body = call(&format!(r#""messageId":"{id}""#));
        post_keyed(&segment, "/v1/track", body)
            .await
            .assert_success();
    }
    let ids: Vec<_> = segment
        .calls()
        .iter()
        .map(|call| call.message_id().to_owned())
        .collect();
    assert_eq!(
        ids,
        ["a", "b", "c", "a"],
        "the oldest of three ids was forgotten"
    );
}
