//! Reading, comparing and writing documents.

use connections::{Change, Connections, Mistakes, Options, Signature, Target, Written};
use shape::{FirstPer, PayloadVersion, SendFrequency};

use crate::{EVERY_OPTION, EXAMPLE, read};

fn mistakes(text: &str) -> Mistakes {
    Written::parse(text).expect_err("the document has mistakes")
}

/// Asserts that the document's mistakes are exactly these, each by its beginning
/// and some words of it.
fn assert_mistakes(text: &str, expected: &[(&str, &str)]) {
    let found: Vec<String> = mistakes(text).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (head, words)) in found.iter().zip(expected) {
        assert!(
            found.starts_with(head) && found.contains(words),
            "{found:?}, not {head:?} {words:?}"
        );
    }
}

#[test]
fn the_example_means_what_it_says() {
    let connections = read(EXAMPLE);
    let connection = connections.named("acme-segment").unwrap();
    assert!(connection.enabled);
    assert_eq!(connection.target, Target::Us);
    let options = connection.shape_options();
    assert_eq!(options.connection_id, connection.id.to_string());
    assert_eq!(options.send_frequency, SendFrequency::Every);
    assert_eq!(options.payload_version, PayloadVersion::V2);
    assert_eq!(
        options.events.patterns().collect::<Vec<_>>(),
        ["email_*", "sms_sent"]
    );
    assert!(
        matches!(&connections.workspaces()[0].signature, Signature::Keys(keys) if keys.len() == 1)
    );
}

#[test]
fn every_option_reaches_the_shape() {
    let connections = read(EVERY_OPTION);
    let options = connections.named("everything").unwrap().shape_options();
    assert_eq!(
        options.send_frequency,
        SendFrequency::First(FirstPer::DeliveryNameAndLink)
    );
    assert_eq!(options.payload_version, PayloadVersion::V1);
    assert!(options.body_content && options.send_back && options.customer_id && options.names);
    assert!(!options.empty_user_id);
    assert!(options.left_out.contains("recipient") && options.left_out.contains("subject"));
    assert_eq!(options.connection_id, "c-fixed");
}

#[test]
fn what_is_left_out_is_what_the_hosted_integration_does() {
    let connections = read(
        "[[workspace]]\nname = \"a\"\nsignature = \"off\"\n\
         [[connection]]\nname = \"b\"\nworkspace = \"a\"\nwrite_key = \"env:K\"\n",
    );
    let connection = connections.named("b").unwrap();
    let hosted = shape::Options {
        connection_id: connection.id.to_string(),
        ..Default::default()
    };
    assert_eq!(connection.shape_options(), hosted);
    assert_eq!(connection.target, Target::Us);
}

#[test]
fn options_that_stand_alone_read_back_as_they_were() {
    for document in [EXAMPLE, EVERY_OPTION] {
        for connection in read(document).connections() {
            let text = connection.options.to_toml();
            assert_eq!(Options::parse(&text).unwrap(), connection.options, "{text}");
        }
    }
    assert_eq!(Options::parse("").unwrap(), Options::default());
    assert!(Options::parse("surprise = 1").is_err());
}

#[test]
fn an_exported_document_reads_as_the_same_connections() {
    for text in [EXAMPLE, EVERY_OPTION, ""] {
        let connections = read(text);
        let exported = connections.to_toml();
        assert_eq!(read(&exported), connections, "{exported}");
        assert_eq!(
            read(&exported).to_toml(),
            exported,
            "an export of an export differs"
        );
    }
}

#[test]
fn every_mistake_is_named_at_once_with_its_line_and_a_hint() {
    assert_mistakes(
        "[[workspace]]\nname = \"acme corp\"\nsigning_key = [\"env:A\"]\n\
         [[connection]]\nname = \"one\"\nworkspace = \"acme corp\"\nregion = \"ue\"\nbody_content = \"yes\"\n\
         [[connection]]\nname = \"one\"\nworkspace = \"acmee\"\nwrite_key = \"env:K\"\nevents = [\"emial_sent\"]\n",
        &[
            ("line 1: workspace acme corp: signing_keys", "is missing"),
            ("line 2: workspace acme corp: name", "is no name"),
            (
                "line 3: workspace acme corp: signing_key",
                "did you mean `signing_keys`?",
            ),
            ("line 4: connection one: write_key", "is missing"),
            (
                "line 7: connection one: region",
                "is not one of \"us\", \"eu\"",
            ),
            (
                "line 8: connection one: body_content",
                "must be true or false, not \"yes\"",
            ),
            (
                "line 10: connection one: name",
                "another connection has this name",
            ),
            (
                "line 11: connection one: workspace",
                "there is no workspace \"acmee\"",
            ),
            (
                "line 13: connection one: events",
                "did you mean \"email_sent\"?",
            ),
        ],
    );
}

#[test]
fn broken_toml_is_a_mistake_with_its_line() {
    let found = mistakes("[[workspace]]\nname = \"a\"\nsignature = off\n").to_string();
    assert!(found.contains("line 3"), "{found}");
}

#[test]
fn options_that_contradict_each_other_are_mistakes() {
    let head = "[[workspace]]\nname = \"a\"\nsignature = \"off\"\n";
    let connection = |more: &str| {
        format!(
            "{head}[[connection]]\nname = \"c\"\nworkspace = \"a\"\nwrite_key = \"env:K\"\n{more}"
        )
    };
    let cases = [
        (
            "region = \"eu\"\nendpoint = \"https://x.example.com\"\n",
            "keep one of the two",
        ),
        ("first_per = \"link\"\n", "has no effect here"),
        ("events = []\n", "nothing would ever be sent"),
        ("endpoint = \"x.example.com\"\n", "endpoint"),
        ("id = \"a b\"\n", "is no name"),
    ];
    for (more, words) in cases {
        let found = mistakes(&connection(more)).to_string();
        assert!(
            found.contains(words) && found.lines().count() == 1,
            "{more}: {found}"
        );
    }
    let found =
        mistakes("[[workspace]]\nname = \"a\"\nsignature = \"off\"\nsigning_keys = [\"env:K\"]\n");
    assert!(
        found
            .to_string()
            .contains("although there are signing keys")
    );
}

#[test]
fn an_app_api_that_makes_no_sense_is_a_mistake_with_its_line() {
    let head = "[[workspace]]\nname = \"a\"\nsignature = \"off\"\n";
    let cases = [
        (
            "app_api_key = \"0123456789\"\n",
            "line 4: workspace a: app_api_key",
            "env:NAME",
        ),
        (
            "app_api_key = \"env:K\"\napp_api_region = \"ue\"\n",
            "line 5: workspace a: app_api_region",
            "is not one of \"us\", \"eu\"",
        ),
        (
            "app_api_key = \"env:K\"\napp_api_url = \"x.example.com\"\n",
            "line 5: workspace a: app_api_url",
            "https://api.customer.io",
        ),
        (
            "app_api_key = \"env:K\"\napp_api_region = \"eu\"\napp_api_url = \"http://x.example.com\"\n",
            "line 6: workspace a: app_api_url",
            "keep one of the two",
        ),
        (
            "app_api_region = \"eu\"\n",
            "line 4: workspace a: app_api_region",
            "has no effect here",
        ),
    ];
    for (more, at, words) in cases {
        assert_mistakes(&format!("{head}{more}"), &[(at, words)]);
    }
}

#[test]
fn a_connection_is_paused_only_where_it_says_so() {
    assert!(!read(EXAMPLE).connections()[0].paused);
    assert!(!read(EXAMPLE).to_toml().contains("paused"));
    let paused = read(&EXAMPLE.replace("region = \"us\"", "paused = true"));
    assert!(paused.connections()[0].enabled && !paused.connections()[0].is_sending());
    assert!(paused.to_toml().contains("paused = true"));
}

#[test]
fn a_secret_in_clear_is_refused_and_not_repeated() {
    let key = "abcdefghijklmnopqrstuvwxyz012345";
    let found = mistakes(&EXAMPLE.replace("env:SEGMENT_WRITE_KEY", key)).to_string();
    assert!(
        found.contains("env:NAME") && !found.contains(key),
        "{found}"
    );
}

#[test]
fn a_namesake_keeps_its_id_and_a_renamed_connection_is_still_itself() {
    let first = read(EXAMPLE);
    let again = Written::parse(EXAMPLE).unwrap().settle_ids(&first).unwrap();
    assert_eq!(again, first);
    let other = read(EXAMPLE);
    assert_ne!(
        other.connections()[0].id,
        first.connections()[0].id,
        "two installations differ"
    );

    let renamed = first
        .to_toml()
        .replace("name = \"acme-segment\"", "name = \"acme-prod\"");
    let renamed = Written::parse(&renamed)
        .unwrap()
        .settle_ids(&first)
        .unwrap();
    assert_eq!(renamed.connections()[0].id, first.connections()[0].id);
    let changes = first.changes_to(&renamed);
    assert_eq!(changes.len(), 1);
    assert!(matches!(&changes[0], Change::Changed { key, .. } if key == "name"));
}

#[test]
fn a_difference_names_what_is_added_removed_and_changed() {
    let before = read(EVERY_OPTION);
    let after = EVERY_OPTION
        .replace("\nregion = \"eu\"\n", "\n")
        .replace("name = \"lab\"", "name = \"labor\"");
    let after = after.replace("workspace = \"lab\"", "workspace = \"labor\"");
    let after = after.replace("send_back = true", "send_back = false");
    let after = Written::parse(&after).unwrap().settle_ids(&before).unwrap();
    let lines: Vec<String> = before
        .changes_to(&after)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "- workspace lab",
            "~ connection europe: region \"eu\" -> \"us\"",
            "~ connection europe: workspace \"lab\" -> \"labor\"",
            "~ connection everything: send_back true -> false",
            "+ workspace labor",
        ]
    );
    assert!(before.changes_to(&before).is_empty());
    assert_eq!(Connections::default().changes_to(&before).len(), 4);
}
