//! Set-ups that cannot work: each ends with a message that says what to do.

use crate::harness::{
    Home, ONE_CONNECTION, Process, Segment, Server, assert_lines, opened, postmeter, run, stderr,
    stdout,
};

#[test]
fn a_config_with_five_mistakes_gets_five_messages() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    home.write(
        "postmeter.toml",
        "[receive]\nlisten = \"everywhere\"\nbody_limt_bytes = 5\n\
         [consol]\nlisten = \"127.0.0.1:0\"\n\
         [journal]\ndir = 7\nretention_days = 0\n",
    );
    let output = run(&mut home.serve());
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert_lines(
        &said,
        &[
            ("line 2: receive: listen", "127.0.0.1:8080"),
            (
                "line 3: receive: body_limt_bytes",
                "did you mean `body_limit_bytes`?",
            ),
            ("line 4: consol", "did you mean `console`?"),
            ("line 7: journal: dir", "must be text in quotes"),
            ("line 8: journal: retention_days", "at least 1"),
        ],
    );
    assert!(
        !home.path("journal").exists(),
        "nothing is made before the config is right"
    );
}

#[test]
fn a_connections_file_with_five_mistakes_gets_five_messages() {
    let home = Home::new(
        r#"
[[workspace]]
name = "acme"
signing_keys = ["0123456789abcdef"]

[[connection]]
name = "acme-segment"
workspace = "acne"
write_key = "env:SEGMENT_WRITE_KEY"
region = "ue"
events = ["email_opend"]
send_frequncy = "first"
"#,
        "",
    );
    let output = run(&mut home.serve());
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert_lines(
        &said,
        &[
            ("line 4: workspace acme: signing_keys", "env:NAME"),
            (
                "line 8: connection acme-segment: workspace",
                "did you mean \"acme\"?",
            ),
            ("line 10: connection acme-segment: region", "is not one of"),
            (
                "line 11: connection acme-segment: events",
                "did you mean \"email_opened\"?",
            ),
            (
                "line 12: connection acme-segment: send_frequncy",
                "did you mean `send_frequency`?",
            ),
        ],
    );
    assert!(
        !said.contains("0123456789abcdef"),
        "a secret was printed: {said}"
    );
}

#[test]
fn a_body_limit_above_what_the_journal_takes_is_a_mistake() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    for (limit, budget) in [(70_000_000_u64, 20_000_000_000_u64), (200_000, 1_048_576)] {
        home.write(
            "postmeter.toml",
            &format!("[receive]\nbody_limit_bytes = {limit}\n[journal]\nmax_bytes = {budget}\n"),
        );
        let output = run(&mut home.serve());
        assert_eq!(output.status.code(), Some(2));
        assert_lines(
            &stderr(&output),
            &[("line 2: receive: body_limit_bytes", "more than")],
        );
    }
}

#[test]
fn check_finds_the_same_mistakes_without_starting_anything() {
    let home = Home::new(ONE_CONNECTION, "ftp://example.com");
    home.write("postmeter.toml", "[receive]\nlisten = 8080\n");
    let mut command = postmeter();
    command
        .arg("check")
        .arg("--config")
        .arg(home.path("postmeter.toml"));
    let output = run(command
        .arg("--connections")
        .arg(home.path("connections.toml")));
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("receive: listen") && said.contains("endpoint"),
        "{said}"
    );

    let home = Home::new(ONE_CONNECTION, "https://api.example.com");
    let mut command = postmeter();
    command
        .arg("check")
        .arg("--config")
        .arg(home.path("postmeter.toml"));
    let output = run(command
        .arg("--connections")
        .arg(home.path("connections.toml")));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("1 workspace(s), 1 connection(s)"));
}

#[test]
fn secrets_that_cannot_be_read_are_all_named() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    let mut command = home.serve();
    let output = run(command
        .env_remove("CIO_SIGNING_KEY")
        .env_remove("SEGMENT_WRITE_KEY"));
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("CIO_SIGNING_KEY is not set"), "{said}");
    assert!(said.contains("SEGMENT_WRITE_KEY is not set"), "{said}");
    assert!(
        !home.path("journal").exists(),
        "nothing is made before all is right"
    );
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    home.write("journal", "a file where the folder should be");
    let output = run(&mut home.serve());
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("cannot create or write the journal folder"),
        "{said}"
    );
}

#[tokio::test]
async fn a_data_folder_in_use_is_refused_and_the_first_process_goes_on() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let output = run(&mut server.home.serve());
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("in use: stop the other process"), "{said}");
    assert!(
        said.contains(server.home.path("journal").to_str().unwrap()),
        "{said}"
    );
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
}

#[tokio::test]
async fn a_data_folder_from_a_newer_format_is_refused_and_left_alone() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    server.send_all(&[opened(1)]).await;
    assert_eq!(server.process.terminate(), Some(0));
    let format = server.home.path("journal").join("FORMAT");
    let written = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, written.replace('1', "999")).unwrap();
    let output = run(&mut server.home.serve());
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("format 999") && said.contains("knows up to 2"),
        "{said}"
    );
    std::fs::write(&format, written).unwrap();
    let server = server.home.start();
    server.send_all(&[opened(2)]).await;
    segment.wait(2).await;
}

#[test]
fn a_write_key_with_a_typo_is_warned_about_and_never_printed() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    let typo = "abcdefghijklmnopqrstuvwxyz01234";
    let mut command = home.serve();
    let mut server = Process::start(command.env("SEGMENT_WRITE_KEY", typo));
    server.line("console on ");
    assert_eq!(server.terminate(), Some(0));
    let said = server.stderr();
    assert!(said.contains("31 characters instead of 32"), "{said}");
    assert!(said.contains("200 even to a wrong write key"), "{said}");
    assert!(!said.contains(typo), "the key was printed: {said}");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    let journal = home.path("journal");
    home.write(
        "postmeter.toml",
        &format!("[receive]\nlisten = \"{address}\"\n[journal]\ndir = {journal:?}\n"),
    );
    let output = run(&mut home.serve());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("cannot listen on {address}")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_stopped_server_is_named_by_the_commands_that_need_one() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    let mut command = home.serve();
    let mut server = Process::start(&mut command);
    let console = server.line("console on http://");
    assert_eq!(server.terminate(), Some(0));
    for args in [&["connections"][..], &["export"], &["dead-letters", "list"]] {
        let mut command = postmeter();
        command
            .args(args)
            .arg("--config")
            .arg(home.path("postmeter.toml"));
        let output = run(command.args(["--server", &console]));
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains("cannot reach a server"),
            "{}",
            stderr(&output)
        );
    }
}
