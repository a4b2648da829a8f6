//! A new version takes the place of the old one under load, and no sender notices
//! more than a slow answer or a 503: not by a hand-over, nor where systemd holds the
//! sockets.

mod sender;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{
    Home, ONE_CONNECTION, PATIENCE, Process, Segment, Server, opened, run, stderr,
};
use sender::{Load, Seen};

/// Customer.io gives up waiting for an answer after this long.
const CUSTOMER_IO_WAITS: Duration = Duration::from_secs(4);
/// What the server allows itself for its end, and a loaded machine takes besides.
const GRACE: Duration = Duration::from_secs(10 + 5);

/// How often a new version is deployed; `POSTMETER_DEPLOYS` makes it a longer run.
fn deploys() -> usize {
    let named = std::env::var_os("POSTMETER_DEPLOYS");
    named.map_or(3, |deploys| deploys.to_str().unwrap().parse().unwrap())
}

/// Events a second: as many as are asked for, or as a test among others can send.
fn per_second() -> usize {
    let named = std::env::var_os("POSTMETER_DEPLOY_RATE");
    named.map_or(400, |rate| rate.to_str().unwrap().parse().unwrap())
}

/// `serve` on the same files, in the place of the server that runs.
fn take_over(home: &Home) -> Command {
    let mut command = home.serve();
    command.arg("--take-over");
    command
}

/// Deploys a new version in the place of `server`.
fn deploy(server: Server) -> Server {
    let Server {
        process: mut old,
        home,
        receive,
        ..
    } = server;
    let next = Server::with(take_over(&home), home);
    assert_eq!(
        old.exit_code(),
        Some(0),
        "the old one leaves: {}",
        old.stderr()
    );
    assert_eq!(next.receive, receive);
    next
}

fn assert_nobody_noticed(seen: &Seen) {
    println!(
        "{} answered 200 in {:?}, {} answered 503, longest answer {:?}, longest time without a 200 {:?}",
        seen.taken.len(),
        seen.lasted,
        seen.turned_away,
        seen.longest,
        seen.gap
    );
    assert_eq!(seen.wrong, Vec::<String>::new());
    assert!(seen.longest < CUSTOMER_IO_WAITS, "{:?}", seen.longest);
}

/// Every event that was answered 200 arrives once, and none was invented.
async fn assert_all_arrived(segment: &Segment, taken: &[usize]) {
    let calls = segment.wait(taken.len()).await;
    let people = calls.iter().map(|call| call["userId"].as_str().unwrap());
    let people: BTreeSet<&str> = people.collect();
    let sent: BTreeSet<String> = taken.iter().map(|n| format!("person-{n}")).collect();
    assert!(sent.iter().all(|person| people.contains(person.as_str())));
    assert_eq!(calls.len(), people.len(), "one message id each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_by_hand_over_breaks_no_connection_and_loses_nothing() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    let load = Load::start(server.receive.to_string(), per_second());
    for _ in 0..deploys() {
        load.more(per_second()).await;
        server = tokio::task::block_in_place(|| deploy(server));
    }
    load.more(per_second()).await;
    let seen = load.finish().await;
    assert_nobody_noticed(&seen);
    assert_all_arrived(&segment, &seen.taken).await;
    assert_eq!(segment.calls().await.len(), seen.taken.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_by_systemd_breaks_no_connection_and_loses_nothing() {
    let segment = Segment::start();
    let home = Home::new(ONE_CONNECTION, segment.url());
    let served = home.serve();
    let mut command = Command::new("python3");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/deploy/activator.py"))
        .arg(served.get_program())
        .args(served.get_args());
    for (name, value) in served.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let mut server = Server::with(command, home);
    server.process.line("ready");
    let load = Load::start(server.receive.to_string(), per_second());
    let mut n_kept = 0;
    for _ in 0..deploys() {
        load.more(per_second()).await;
        server.process.signal("-HUP");
        let kept = tokio::task::block_in_place(|| server.process.line("kept"));
        n_kept += kept.parse::<usize>().unwrap();
        tokio::task::block_in_place(|| server.process.line("ready"));
    }
    load.more(per_second()).await;
    let seen = load.finish().await;
    assert_nobody_noticed(&seen);
    assert!(n_kept > 0, "idle connections were kept");
    assert_all_arrived(&segment, &seen.taken).await;
    assert_eq!(server.process.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_ends_within_the_grace_and_loses_nothing() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    let load = Load::start(server.receive.to_string(), per_second());
    load.more(per_second()).await;
    let begun = Instant::now();
    let code = tokio::task::block_in_place(|| server.process.terminate());
    assert_eq!(code, Some(0));
    assert!(begun.elapsed() < GRACE, "it took {:?}", begun.elapsed());
    let seen = load.break_off().await;
    let server = server.home.start();
    assert_all_arrived(&segment, &seen.taken).await;
    drop(server);
}

#[tokio::test]
async fn an_idle_connection_is_served_on_by_the_next_process() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let mut idle = TcpStream::connect(server.receive).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut ask = |first: &[u8], rest: &[u8], server: Server| {
        idle.write_all(first).unwrap();
        let server = deploy(server);
        idle.write_all(rest).unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"no workspace has this name\n") {
            assert_eq!(idle.read(&mut byte).unwrap(), 1, "{answer:?}");
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        server
    };
    let request = b"POST /webhooks/nobody HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";
    // Never used; then used once, with half a head on its way.
    let server = ask(b"", request, server);
    let server = ask(&request[..20], &request[20..], server);
    drop(server);
}

#[tokio::test]
async fn a_new_process_that_cannot_start_leaves_the_old_one_as_it_was() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server
        .home
        .write("broken.toml", "[journal]\nno_such_key = 1\n");
    let mut broken = crate::harness::postmeter();
    broken.args(["serve", "--take-over", "--config"]);
    let broken = run(broken.arg(server.home.path("broken.toml")));
    let socket = std::fs::metadata(server.home.path("journal").join("takeover.sock"));
    assert_eq!(socket.unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(broken.status.code(), Some(2), "{}", stderr(&broken));
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
}

#[tokio::test]
async fn a_new_process_that_fails_once_it_has_the_journal_gives_it_back() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    // A secret of the journal's, which it turns out not to have.
    let connections = ONE_CONNECTION
        .replace("env:SEGMENT_WRITE_KEY", "kept:0123456789abcdef")
        .replace("ENDPOINT", segment.url());
    server.home.write("connections.toml", &connections);
    let failed = run(&mut take_over(&server.home));
    assert_eq!(failed.status.code(), Some(2), "{}", stderr(&failed));
    // The old one says again where it receives.
    server.process.line("receiving on");
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
}

/// Sends an event to whoever serves, once somebody does: the server, or one that is
/// started because it has ended.
async fn send_after_all(mut server: Server, event: &Value) -> Server {
    let begun = Instant::now();
    loop {
        if server.process.ended_within(Duration::ZERO).is_some() {
            server = server.home.start();
        }
        let answer = server.signed(&event.to_string()).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return server;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody serves");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_new_process_that_is_killed_at_any_moment_leaves_a_server_or_a_plain_start() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    let moments_ms = [20, 60, 100, 150, 250, 400];
    for (n, moment_ms) in moments_ms.into_iter().enumerate() {
        let mut next = Process::start(&mut take_over(&server.home));
        tokio::time::sleep(Duration::from_millis(moment_ms)).await;
        next.kill();
        server = send_after_all(server, &opened(n)).await;
    }
    segment.wait(moments_ms.len()).await;
}

#[tokio::test]
async fn an_old_process_that_is_killed_at_any_moment_leaves_the_new_one() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    let moments_ms = [20, 60, 100, 150, 250, 400];
    for (n, moment_ms) in moments_ms.into_iter().enumerate() {
        server = send_after_all(server, &opened(n)).await;
        let Server { process, home, .. } = server;
        let mut old = process;
        let killing = async {
            tokio::time::sleep(Duration::from_millis(moment_ms)).await;
            old.kill();
        };
        let next = tokio::task::spawn_blocking(|| Server::with(take_over(&home), home));
        let ((), next) = tokio::join!(killing, next);
        server = next.unwrap();
    }
    segment.wait(moments_ms.len()).await;
}

#[tokio::test]
async fn a_second_server_on_a_port_that_is_taken_is_refused() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let other = Home::new(ONE_CONNECTION, segment.url());
    let config = format!(
        "[receive]\nlisten = \"{}\"\n[console]\nlisten = \"127.0.0.1:0\"\n[journal]\ndir = {:?}\n",
        server.receive,
        other.path("journal")
    );
    other.write("postmeter.toml", &config);
    let refused = run(&mut take_over(&other));
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains(&format!("cannot listen on {}", server.receive)),
        "{said}"
    );
}

#[tokio::test]
async fn two_servers_share_a_port_only_where_both_say_so() {
    let segment = Segment::start();
    let shared = |listen: &str| {
        let home = Home::new(ONE_CONNECTION, segment.url());
        let config = format!(
            "[receive]\nlisten = \"{listen}\"\nshare_port = true\n\
             [console]\nlisten = \"127.0.0.1:0\"\n[journal]\ndir = {:?}\n",
            home.path("journal")
        );
        home.write("postmeter.toml", &config);
        home.start()
    };
    let one = shared("127.0.0.1:0");
    let other = shared(&one.receive.to_string());
    assert_eq!(one.receive, other.receive);
    other.send_all(&[opened(1), opened(2)]).await;
    segment.wait(2).await;
}
