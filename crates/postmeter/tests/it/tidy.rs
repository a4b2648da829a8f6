//! What the compiler cannot hold: the arrows, the headers, the dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which crate may name which of ours. `postmeter` may name all.
const ARROWS: [(&str, &[&str]); 7] = [
    ("receive", &["journal"]),
    ("journal", &[]),
    ("shape", &[]),
    ("dispatch", &[]),
    ("connections", &["journal", "shape", "dispatch"]),
    ("console", &["connections", "journal", "shape"]),
    ("emulator", &[]),
];

/// Licences that go with ours.
const LICENCES: [&str; 11] = [
    "Apache-2.0",
    "MIT",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
];

/// One TLS and one HTTP client, and nothing that sleeps.
const UNWANTED: [&str; 8] = [
    "openssl",
    "native-tls",
    "aws-lc-rs",
    "figment",
    "okaywal",
    "fail",
    "monoio",
    "rusqlite",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn metadata(args: &[&str]) -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(args);
    let output = cargo.current_dir(root()).output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().expect("packages").iter()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn the_crates_name_each_other_only_along_the_arrows() {
    let metadata = metadata(&["--no-deps"]);
    let ours: BTreeSet<&str> = packages(&metadata).map(|each| text(each, "name")).collect();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    for package in packages(&metadata) {
        let name = text(package, "name");
        let Some(allowed) = arrows.get(name) else {
            assert_eq!(name, "postmeter", "{name} has no arrows: draw them here");
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let dependency = text(dependency, "name");
            let foreign = !ours.contains(dependency);
            assert!(
                foreign || allowed.contains(&dependency),
                "{name} names {dependency}"
            );
        }
    }
}

#[test]
fn only_postmeter_uses_anyhow() {
    let metadata = metadata(&["--no-deps"]);
    for package in packages(&metadata).filter(|each| text(each, "name") != "postmeter") {
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let anyhow = dependencies
            .iter()
            .any(|each| text(each, "name") == "anyhow");
        assert!(!anyhow, "{} uses anyhow", text(package, "name"));
    }
}

#[test]
fn every_source_file_opens_by_saying_what_it_is_for() {
    let mut n_files = 0;
    for file in sources(&root().join("crates")) {
        let text = std::fs::read_to_string(&file).expect("a source file is text");
        assert!(
            text.starts_with("//! "),
            "{} has no //! on top",
            file.display()
        );
        n_files += 1;
    }
    assert!(n_files > 50, "only {n_files} files were found");
}

#[test]
fn every_dependency_is_licensed_and_none_is_unwanted_or_from_elsewhere() {
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let resolved: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| text(node, "id"))
        .collect();
    for package in packages(&metadata).filter(|each| resolved.contains(text(each, "id"))) {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        let choices = licence.split(" OR ").flat_map(|choice| choice.split('/'));
        let fits = choices
            .map(|choice| choice.trim_matches(['(', ')']))
            .any(|choice| {
                let mut all = choice
                    .split(" AND ")
                    .flat_map(|part| part.split(" WITH ").take(1));
                all.all(|part| LICENCES.contains(&part.trim_matches(['(', ')', ' '])))
            });
        assert!(fits, "{name} is licensed as {licence:?}");
        assert!(!UNWANTED.contains(&name), "{name} is in the tree");
        let source = text(package, "source");
        assert!(
            source.is_empty() || source.starts_with("registry+"),
            "{name} is from {source}"
        );
    }
}

#[test]
fn every_dependency_of_ours_is_explained_in_the_architecture() {
    let metadata = metadata(&["--no-deps"]);
    let architecture =
        std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("there is one");
    let ours: BTreeSet<&str> = packages(&metadata).map(|each| text(each, "name")).collect();
    for package in packages(&metadata) {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let name = text(dependency, "name");
            let explained = architecture.contains(&format!("`{name}`"));
            assert!(
                explained || ours.contains(name),
                "{name} earns no line in ARCHITECTURE.md"
            );
        }
    }
}

/// The rows of the table of limits that other crates' constants decide.
#[test]
fn the_limits_in_the_architecture_are_those_of_the_code() {
    let architecture =
        std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("there is one");
    let (receive, dispatch) = (receive::Limits::default(), dispatch::Policy::default());
    let journal = journal::Config::new("anywhere");
    let mib = 1024 * 1024;
    let days = |duration: std::time::Duration| duration.as_secs() / 86_400;
    let limits = [
        format!(
            "| {} MiB, `[receive] body_limit_bytes` |",
            receive.body_bytes / mib
        ),
        format!(
            "| {} s, `[receive] body_timeout_s` |",
            receive.body_time.as_secs()
        ),
        format!(
            "| {} GiB, {} days, segments of {} MiB |",
            journal.max_bytes >> 30,
            days(journal.retention),
            journal.segment_bytes >> 20
        ),
        format!(
            "| {} records, {} MiB; beyond, 503 |",
            thousands(journal.queue_records),
            journal.queue_bytes / mib
        ),
        format!(
            "| {} records | `journal::Config` |",
            thousands(journal.index_records_in_memory)
        ),
        format!(
            "| {0} to {1} days |",
            days(journal.duplicate_claims),
            2 * days(journal.duplicate_claims)
        ),
        format!("| {} bytes |", thousands(shape::MAX_CALL_BYTES)),
        format!(
            "| {} calls, {} bytes before compression |",
            thousands(dispatch::Batch::MAX_CALLS),
            thousands(dispatch::Batch::MAX_BYTES)
        ),
        format!(
            "| {} s doubling to {} s, full jitter |",
            dispatch.backoff_first.as_secs_f64(),
            dispatch.backoff_max.as_secs()
        ),
        format!(
            "| {} to {} s |",
            dispatch.retry_after_min.as_secs(),
            dispatch.retry_after_max.as_secs()
        ),
        format!("| {} min |", dispatch.connection_lifetime.as_secs() / 60),
        format!(
            "| 4 KB, {} attempts per connection |",
            dispatch::RECENT_ATTEMPTS
        ),
    ];
    for limit in limits {
        assert!(
            architecture.contains(&limit),
            "{limit:?} is not in ARCHITECTURE.md"
        );
    }
    assert_eq!(shape::MAX_CALL_BYTES, dispatch::Batch::MAX_CALL_BYTES);
}

/// A number with a comma before its last three digits.
fn thousands(number: usize) -> String {
    format!("{},{:03}", number / 1_000, number % 1_000)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
