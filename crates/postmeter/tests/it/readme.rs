//! The documents, taken at their word: the tour is run and its output compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Home, ONE_CONNECTION, postmeter, run, stderr};
use crate::nats;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name);
    std::fs::read_to_string(path).expect("the document is there")
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for part in text.split("```").skip(1).step_by(2) {
        if let Some(block) = part.strip_prefix(&format!("{language}\n")) {
            blocks.push(block.to_owned());
        }
    }
    blocks
}

/// A command as it is typed, here-documents included, and what it prints.
struct Step {
    command: String,
    output: Vec<String>,
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_document = false;
    for line in block.lines() {
        if in_document {
            let step = steps.last_mut().expect("a document follows a command");
            step.command.push('\n');
            step.command.push_str(line);
            in_document = line != "END";
        } else if let Some(command) = line.strip_prefix("$ ") {
            in_document = command.contains("<<'END'");
            steps.push(Step {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else {
            let step = steps.last_mut().expect("output follows a command");
            step.output.push(line.to_owned());
        }
    }
    steps
}

/// The text with all that differs from run to run replaced: message ids, times,
/// durations, and the width of the columns that hold them.
fn settled(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let bare = word.trim_matches(['"', ',']);
        let is_time = bare.parse::<jiff::Timestamp>().is_ok();
        let digits = bare.trim_end_matches(['m', 's', 'µ', 'n']);
        let is_duration = digits.len() < bare.len() && digits.parse::<f64>().is_ok();
        match word {
            _ if is_time => "TIME".to_owned(),
            _ if is_duration => "TOOK".to_owned(),
            _ => without_message_id(word),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn without_message_id(word: &str) -> String {
    match word.split_once("pm-") {
        Some((before, rest)) => {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            format!("{before}pm-ID{}", &rest[end..])
        }
        None => word.to_owned(),
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The text with each port in it replaced by a free one.
fn moved(text: &str, ports: &BTreeMap<&str, String>) -> String {
    ports.iter().fold(text.to_owned(), |text, (port, free)| {
        text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{free}"))
    })
}

fn free_ports() -> BTreeMap<&'static str, String> {
    let ports = ["9100", "8080", "8081"].into_iter();
    ports.map(|port| (port, free_port().to_string())).collect()
}

/// Types every command into one shell, and tells what each printed.
fn perform(tour: &[Step], programs: &[&Path]) -> Vec<Vec<String>> {
    const MARK: &str = "=== next step ===";
    let folder = TempDir::new().unwrap();
    let mut script = "set -m\n".to_owned();
    for step in tour {
        writeln!(script, "{}\necho; echo '{MARK}'", step.command).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let mut folders: Vec<_> = programs
        .iter()
        .map(|program| program.parent().unwrap().to_owned())
        .collect();
    folders.extend(std::env::split_paths(&path));
    let output = Command::new("timeout")
        .args(["200", "bash", "-c", &format!("exec 2>&1\n{script}")])
        .current_dir(folder.path())
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let sections: Vec<&str> = printed.split(MARK).collect();
    assert_eq!(sections.len(), tour.len() + 1, "{printed}");
    let is_job = |line: &&str| !line.trim().is_empty() && !line.starts_with('[');
    let sections = sections.into_iter().take(tour.len());
    sections
        .map(|section| section.lines().filter(is_job).map(settled).collect())
        .collect()
}

fn assert_as_written(step: &Step, actual: &[String]) {
    let promised = step.output.iter().map(|line| settled(line));
    // The one JSON document begins with what looks like a job's line.
    let promised: Vec<String> = promised
        .filter(|line| line != "[" && !line.is_empty())
        .collect();
    assert_eq!(actual, promised, "after {}", step.command);
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_postmeter"))
}

#[test]
fn the_tour_prints_what_the_readme_says() {
    let ports = free_ports();
    // The first block builds; here the program is built already.
    let tour: Vec<Step> = blocks(&document("README.md"), "console")
        .iter()
        .skip(1)
        .flat_map(|block| steps(&moved(block, &ports)))
        .collect();
    assert!(tour.len() > 15, "the tour has gone");
    for (step, actual) in tour.iter().zip(perform(&tour, &[program()])) {
        assert_as_written(step, &actual);
    }
}

/// Three digits and more that make free ports with any of 1, 2 and 3 behind them.
fn free_prefix() -> String {
    loop {
        let prefix = free_port() / 10;
        let is_free = |digit| TcpListener::bind(("127.0.0.1", prefix * 10 + digit)).is_ok();
        if (1..=3).all(is_free) {
            return prefix.to_string();
        }
    }
}

#[test]
fn the_way_from_one_machine_to_three_is_as_it_is_written() {
    let ports = free_ports();
    let prefixes = ["828", "838", "422", "622"].map(|prefix| (prefix, free_prefix()));
    let with_free_ports = |block: &String| {
        let all = moved(block, &ports);
        prefixes
            .iter()
            .fold(all, |text, (prefix, free)| text.replace(prefix, free))
    };
    let way: Vec<Step> = blocks(&document("docs/operating.md"), "console")
        .iter()
        .flat_map(|block| steps(&with_free_ports(block)))
        .collect();
    assert!(way.len() > 20, "the way has gone");
    // Who takes which duty, and how often a dead leader costs a 503, is chance.
    let by_chance = ["postmeter nodes", "migrate", "--seed", "kill "];
    let server = nats::binary();
    let mut n_compared = 0;
    for (step, actual) in way.iter().zip(perform(&way, &[program(), &server])) {
        if by_chance.iter().any(|chance| step.command.contains(chance)) {
            continue;
        }
        assert_as_written(step, &actual);
        n_compared += usize::from(!actual.is_empty());
    }
    assert!(n_compared >= 4, "only {n_compared} steps printed anything");
}

#[test]
fn the_files_in_the_documents_are_read_without_a_mistake() {
    let operating = blocks(&document("docs/operating.md"), "toml");
    assert_eq!(operating.len(), 3);
    let commented_out = |text: &str| {
        let uncomment = |line: &str| match line.strip_prefix("# ") {
            // Alternatives to a key that is there already.
            Some(rest) if !rest.starts_with("signature") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        text.lines()
            .fold(String::new(), |all, line| all + &uncomment(line))
    };
    for connections in [operating[1].clone(), commented_out(&operating[1])] {
        // `first_per` has no effect without the frequency that it refines.
        let connections = if connections.contains("\nfirst_per") {
            connections.replace("send_frequency = \"every\"", "send_frequency = \"first\"")
        } else {
            connections
        };
        let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
        home.write("postmeter.toml", &commented_out(&operating[0]));
        home.write("connections.toml", &connections);
        let mut command = postmeter();
        command.env("CIO_APP_API_KEY", "an App API key");
        command.current_dir(home.path("")).arg("check");
        command.args([
            "--config",
            "postmeter.toml",
            "--connections",
            "connections.toml",
        ]);
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

#[test]
fn the_keys_of_a_cluster_in_the_documents_are_read_without_a_mistake() {
    let operating = blocks(&document("docs/operating.md"), "toml");
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    home.write("postmeter.toml", &operating[2]);
    home.write("node.toml", &document("deploy/postmeter.toml"));
    for config in ["postmeter.toml", "node.toml"] {
        let mut command = postmeter();
        command
            .current_dir(home.path(""))
            .env("POSTMETER_NATS_PASSWORD", "loopback")
            .args(["check", "--config", config]);
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}
