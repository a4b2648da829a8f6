//! Reading secrets, and never showing them.

use tempfile::TempDir;

use crate::{EXAMPLE, read};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";

#[test]
fn secrets_come_from_the_environment_and_from_files() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let text = EXAMPLE.replace("env:SEGMENT_WRITE_KEY", &format!("file:{}", file.display()));
    let environment = |name: &str| (name == "CIO_SIGNING_KEY").then(|| "signing".to_owned());
    let unlocked = read(&text).unlock(&environment).unwrap();
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
    let mistakes = read(&text)
        .unlock(&|_| Some(String::new()))
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
    let unlocked = read(&text).unlock(&|_| Some("short".to_owned())).unwrap();
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
        let unlocked = read(&text).unlock(&|_| Some(KEY.to_owned())).unwrap();
        assert!(unlocked.warnings.is_empty(), "{:?}", unlocked.warnings);
    }
}
