//! Reading secrets, and never showing them.

use std::collections::BTreeMap;

use connections::{Connections, Mistakes, Secret, SecretRef, Secrets, Unlocked};
use tempfile::TempDir;

use crate::{EXAMPLE, read};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";

fn unlock(
    connections: &Connections,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Unlocked, Mistakes> {
    connections.unlock(Secrets::without_kept(environment))
}

#[test]
fn secrets_come_from_the_environment_and_from_files() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let text = EXAMPLE.replace("env:SEGMENT_WRITE_KEY", &format!("file:{}", file.display()));
    let environment = |name: &str| (name == "CIO_SIGNING_KEY").then(|| "signing".to_owned());
    let unlocked = unlock(&read(&text), &environment).unwrap();
    assert_eq!(unlocked.workspaces[0].signing_keys[0].reveal(), "signing");
    assert_eq!(unlocked.connections[0].destination.write_key.expose(), KEY);
    assert!(unlocked.warnings.is_empty(), "{:?}", unlocked.warnings);
    let shown = format!("{unlocked:?}");
    assert!(
        !shown.contains(KEY) && !shown.contains("\"signing\""),
        "{shown}"
    );
}

#[test]
fn every_secret_that_cannot_be_read_is_named() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing");
    let text = EXAMPLE.replace(
        "env:SEGMENT_WRITE_KEY",
        &format!("file:{}", missing.display()),
    );
    let mistakes = unlock(&read(&text), &|_| Some(String::new()))
        .unwrap_err()
        .to_string();
    assert!(
        mistakes.contains("the secret in env:CIO_SIGNING_KEY is empty"),
        "{mistakes}"
    );
    assert!(mistakes.contains(missing.to_str().unwrap()), "{mistakes}");
    assert_eq!(mistakes.lines().count(), 2, "{mistakes}");
}

#[test]
fn what_works_and_deserves_a_look_is_a_warning() {
    let text = EXAMPLE
        .replace(
            "signing_keys = [\"env:CIO_SIGNING_KEY\"]",
            "signature = \"off\"",
        )
        .replace(
            "region = \"us\"",
            "endpoint = \"http://gateway.example.com\"",
        );
    let unlocked = unlock(&read(&text), &|_| Some("short".to_owned())).unwrap();
    let warnings = unlocked.warnings.join("\n");
    for words in [
        "signatures are off",
        "5 characters instead of 32",
        "is not https",
    ] {
        assert!(warnings.contains(words), "{words:?} is not in {warnings}");
    }
}

#[test]
fn an_emulator_on_this_machine_is_no_reason_to_warn() {
    for host in ["127.0.0.1:9100", "localhost:9100", "[::1]:9100"] {
        let endpoint = format!("endpoint = \"http://{host}\"");
        let text = EXAMPLE.replace("region = \"us\"", &endpoint);
        let unlocked = unlock(&read(&text), &|_| Some(KEY.to_owned())).unwrap();
        assert!(unlocked.warnings.is_empty(), "{:?}", unlocked.warnings);
    }
}

#[test]
fn a_kept_secret_is_read_from_what_the_journal_keeps() {
    let text = EXAMPLE.replace("env:SEGMENT_WRITE_KEY", "kept:abc");
    let connections = read(&text);
    let named: Vec<String> = connections.secrets().map(ToString::to_string).collect();
    assert_eq!(named, ["env:CIO_SIGNING_KEY", "kept:abc"]);

    let kept = BTreeMap::from([("abc".to_owned(), Secret::new(KEY.to_owned()))]);
    let unlocked = connections.unlock(Secrets {
        environment: &|_| Some("signing".to_owned()),
        kept: &kept,
    });
    let unlocked = unlocked.unwrap();
    assert_eq!(unlocked.connections[0].destination.write_key.expose(), KEY);

    let mistakes = unlock(&connections, &|_| Some("signing".to_owned())).unwrap_err();
    let mistakes = mistakes.to_string();
    assert!(
        mistakes.contains("acme-segment: write_key") && mistakes.contains("kept:abc"),
        "{mistakes}"
    );
}

#[test]
fn an_id_that_nobody_could_have_made_names_no_secret() {
    let long = "a".repeat(65);
    for id in ["", "Upper", "a/b", "a b", "..", &long] {
        let read: Result<SecretRef, _> = format!("kept:{id}").parse();
        assert!(read.is_err(), "{id:?}");
    }
}

#[test]
fn at_most_a_third_of_a_secret_is_ever_shown() {
    let cases = [
        ("", ""),
        ("ab", ""),
        ("abcde", "e"),
        ("abcdefgh", "gh"),
        ("abcdefghijk", "ijk"),
        (KEY, "2345"),
        ("ä✓äö✓ü", "✓ü"),
    ];
    for (secret, shown) in cases {
        assert_eq!(Secret::new(secret.to_owned()).last_four(), shown);
    }
}

#[test]
fn the_app_api_key_is_read_with_the_address_that_it_is_for() {
    let app_api = |more: &str| {
        let keys = "signing_keys = [\"env:CIO_SIGNING_KEY\"]\n";
        let text = EXAMPLE.replace(keys, &format!("{keys}{more}\n"));
        unlock(&read(&text), &|_| Some(KEY.to_owned())).unwrap()
    };
    let cases = [
        ("", "https://api.customer.io"),
        ("app_api_region = \"eu\"", "https://api-eu.customer.io"),
        ("app_api_url = \"http://[::1]:9200/\"", "http://[::1]:9200"),
    ];
    for (more, url) in cases {
        let unlocked = app_api(&format!("app_api_key = \"env:APP\"\n{more}"));
        let found = unlocked.workspaces[0].app_api.as_ref().unwrap();
        assert_eq!((found.url.as_str(), found.key.reveal()), (url, KEY));
        assert!(unlocked.warnings.is_empty(), "{:?}", unlocked.warnings);
    }
    assert_eq!(app_api("").workspaces[0].app_api, None);
    let clear = app_api("app_api_key = \"env:APP\"\napp_api_url = \"http://names.example.com\"");
    let warnings = clear.warnings.join("\n");
    assert!(warnings.contains("the App API key travels in clear"));
}
