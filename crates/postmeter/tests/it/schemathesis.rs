//! Schemathesis reads the API's document and tries to catch the server at
//! answering otherwise: several thousand requests, right ones and wrong ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Home, ONE_CONNECTION, Segment, opened};

/// What `./test` installs.
const PINNED: &str = "schemathesis==4.32.5";
/// What the program must say of itself.
const VERSION: &str = "4.32.5";

/// The program that `POSTMETER_TEST_SCHEMATHESIS` names, else the installed one.
fn binary() -> PathBuf {
    let named = std::env::var_os("POSTMETER_TEST_SCHEMATHESIS").map(PathBuf::from);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let installed = target.map(|target| target.join("schemathesis/bin/st"));
    let path = named.or(installed).filter(|path| path.is_file());
    let path = path.unwrap_or_else(|| panic!("there is no Schemathesis: pip install {PINNED}"));
    let output = Command::new(&path).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(VERSION), "{said}: pip install {PINNED}");
    path
}

#[tokio::test]
async fn the_api_answers_as_its_document_says() {
    let segment = Segment::start();
    let server = Home::new(ONE_CONNECTION, segment.url()).start();
    // A record, a call and a dead letter, so that there is something to be seen.
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
    assert_eq!(
        server.signed("no event").send().await.unwrap().status(),
        200
    );
    server
        .api_until("/api/dead-letters", |letters| letters["total"] == 1)
        .await;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schemathesis/config.toml");
    let mut program = tokio::process::Command::new(binary());
    program
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(format!("http://{}/api/openapi.json", server.console))
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", server.token()))
        // It leaves a folder of what it has learnt.
        .current_dir(server.home.path("."))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = program.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let counted = said.lines().find(|line| line.contains(" generated, "));
    let counted = counted.unwrap_or_else(|| panic!("nothing was counted: {said}"));
    let mut words = counted.split_whitespace();
    let n_cases: usize = words.find_map(|word| word.parse().ok()).unwrap();
    assert!(n_cases > 500, "only {n_cases} requests were tried: {said}");
    // And nothing of all this has stopped it.
    let taken = server.private_text("/readyz").await;
    assert_eq!(taken, "ready\n");
}
