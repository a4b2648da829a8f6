//! The official Segment libraries deliver to the emulator with nothing changed but
//! the host. They are installed from their registries into a temporary folder.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Segment, WRITE_KEY};

const NODE_LIBRARY: &str = "@segment/analytics-node@3.1.0";
const PYTHON_LIBRARY: &str = "segment-analytics-python==2.4.0";

const NODE_SENDER: &str = r"
const { Analytics } = require('@segment/analytics-node')
const analytics = new Analytics({ writeKey: process.env.WRITE_KEY, host: process.env.HOST_URL })
analytics.on('error', (error) => { console.error(error); process.exitCode = 1 })
for (let n = 0; n < 40; n++) {
  analytics.track({ userId: `node-${n}`, event: 'Sent by Node', properties: { n, exact: 1.5 } })
}
analytics.identify({ userId: 'node-0', traits: { plan: 'premium' } })
analytics.closeAndFlush({ timeout: 30000 })
";

const PYTHON_SENDER: &str = r#"
import os, sys
from segment.analytics import Client
failed = []
for gzip in (False, True):
    client = Client(os.environ["WRITE_KEY"], host=os.environ["HOST_URL"], gzip=gzip,
                    on_error=lambda error, items: failed.append(error))
    for n in range(40):
        client.track(f"python-{gzip}-{n}", "Sent by Python", {"n": n, "exact": 1.5})
    client.flush()
    client.join()
sys.exit(str(failed) if failed else 0)
"#;

fn succeed(command: &mut Command) {
    let output = command.output().expect("the program is installed");
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn sender<'c>(command: &'c mut Command, dir: &Path, segment: &Segment) -> &'c mut Command {
    command
        .current_dir(dir)
        .env("WRITE_KEY", WRITE_KEY)
        .env("HOST_URL", segment.url())
}

fn assert_arrived(calls: &[Value], event: &str, library: &str) {
    let sent: Vec<&Value> = calls.iter().filter(|call| call["event"] == event).collect();
    for call in &sent {
        assert_eq!(call["context"]["library"]["name"], library, "{call}");
        assert_eq!(call["writeKey"], WRITE_KEY);
        assert_eq!(call["properties"]["exact"].to_string(), "1.5");
        for key in [
            "messageId",
            "receivedAt",
            "sentAt",
            "timestamp",
            "originalTimestamp",
        ] {
            assert!(call[key].is_string(), "{key} is missing in {call}");
        }
    }
}

#[tokio::test]
async fn the_official_node_library_delivers_to_the_emulator() {
    let segment = Segment::start();
    let dir = TempDir::new().unwrap();
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
        .arg(dir.path());
    succeed(install.arg(NODE_LIBRARY));
    std::fs::write(dir.path().join("send.js"), NODE_SENDER).unwrap();
    succeed(sender(
        Command::new("node").arg("send.js"),
        dir.path(),
        &segment,
    ));
    let calls = segment.wait(41).await;
    assert_eq!(calls.len(), 41);
    assert_arrived(&calls, "Sent by Node", "@segment/analytics-node");
    assert_eq!(
        calls
            .iter()
            .filter(|call| call["type"] == "identify")
            .count(),
        1
    );
}

#[tokio::test]
async fn the_official_python_library_delivers_to_the_emulator() {
    let segment = Segment::start();
    let dir = TempDir::new().unwrap();
    let packages = dir.path().join("packages");
    let mut install = Command::new("python3");
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
    ]);
    succeed(install.arg(&packages).arg(PYTHON_LIBRARY));
    std::fs::write(dir.path().join("send.py"), PYTHON_SENDER).unwrap();
    let mut send = Command::new("python3");
    succeed(sender(
        send.arg("send.py").env("PYTHONPATH", &packages),
        dir.path(),
        &segment,
    ));
    let calls = segment.wait(80).await;
    assert_eq!(calls.len(), 80);
    assert_arrived(&calls, "Sent by Python", "analytics-python");
}
