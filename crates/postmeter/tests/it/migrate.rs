//! A stopped server's journal goes into that of another: every event once.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster;
use crate::harness::{Home, ONE_CONNECTION, Process, Segment, Server, opened, run, stderr, stdout};
use crate::nats::{Cluster, Options};

/// A connections file with a connection that sends first occurrences only.
fn both() -> String {
    format!(
        "{ONE_CONNECTION}\n[[connection]]\nname = \"firsts\"\nworkspace = \"acme\"\n\
         write_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"ENDPOINT\"\n\
         send_frequency = \"first\"\nevents = [\"email_opened\"]\n"
    )
}

/// A server without connections: those of the old one are taken over.
fn empty() -> Home {
    Home::new("", "")
}

fn migrate(old: &Home, node: &Server) -> std::process::Command {
    let mut migrate = node.command(&["migrate"]);
    migrate.arg("--from").arg(old.path("journal"));
    migrate
}

async fn until_settled(server: &Server) {
    let settled = |answer: &Value| {
        let connections = answer["connections"].as_array().unwrap();
        !connections.is_empty() && connections.iter().all(|each| each["lag_records"] == 0)
    };
    server.api_until("/api/connections", settled).await;
}

fn ids(calls: &[Value]) -> BTreeSet<String> {
    let ids = calls.iter().map(|call| call["messageId"].to_string());
    ids.collect()
}

fn again(n: usize) -> Value {
    let mut event = opened(n);
    event["event_id"] = json!(format!("01AGAIN{n:019}"));
    event
}

async fn a_migration_sends_every_event_once(new: Server) {
    let segment = Segment::start();
    let mut old = Home::new(&both(), segment.url()).start();
    // Sent by the old server, to both connections.
    old.send_all(&(0..20).map(opened).collect::<Vec<_>>()).await;
    segment.wait(40).await;
    until_settled(&old).await;
    old.send_all(&[json!("no event")]).await;
    let buried = |answer: &Value| answer["total"] == 1;
    old.api_until("/api/dead-letters", buried).await;
    until_settled(&old).await;
    // Stored by the old server, and not sent.
    segment
        .faults(json!([{ "status": 503, "times": "always" }]))
        .await;
    old.send_all(&(20..30).map(opened).collect::<Vec<_>>())
        .await;
    assert_eq!(old.process.terminate(), Some(0));
    segment.no_faults().await;

    let migrated = run(&mut migrate(&old.home, &new));
    assert_eq!(migrated.status.code(), Some(0), "{}", stderr(&migrated));
    assert!(
        stdout(&migrated).contains("31 records"),
        "{}",
        stdout(&migrated)
    );
    until_settled(&new).await;
    segment.wait(60).await;

    // Live: new ones, the same again, and second occurrences of what is known.
    new.send_all(&(30..35).map(opened).collect::<Vec<_>>())
        .await;
    new.send_all(&(0..30).map(opened).collect::<Vec<_>>()).await;
    new.send_all(&(0..30).map(again).collect::<Vec<_>>()).await;
    segment.wait(60 + 10 + 30).await;
    until_settled(&new).await;
    let calls = segment.calls().await;
    assert_eq!(
        calls.len(),
        100,
        "second occurrences go to one connection only"
    );
    assert_eq!(ids(&calls).len(), 100);
    let stats = segment.get("/emulator/stats").await;
    assert_eq!(stats["duplicates"], 0, "nothing was sent twice: {stats}");
    let letters = new.api("/api/dead-letters").await;
    assert_eq!(letters["total"], 1, "{letters}");

    let once_more = run(&mut migrate(&old.home, &new));
    assert_eq!(once_more.status.code(), Some(0), "{}", stderr(&once_more));
    assert!(
        stdout(&once_more).starts_with("0 records"),
        "{}",
        stdout(&once_more)
    );
}

#[tokio::test]
async fn a_journal_goes_into_another_servers_and_every_event_is_sent_once() {
    a_migration_sends_every_event_once(empty().start()).await;
}

#[tokio::test]
async fn a_journal_goes_into_a_clusters_and_every_event_is_sent_once() {
    let servers = Cluster::start(3, Options::default());
    let home = || {
        let home = cluster::home(&servers, "a", &Segment::start());
        home.write("connections.toml", "");
        home
    };
    let (a, _b) = (home().start(), home().start());
    a_migration_sends_every_event_once(a).await;
}

#[tokio::test]
async fn a_journal_goes_into_a_clusters_while_that_receives() {
    let (servers, segment) = (Cluster::start(3, Options::default()), Segment::start());
    segment
        .faults(json!([{ "status": 503, "times": "always" }]))
        .await;
    let mut old = Home::new(ONE_CONNECTION, segment.url()).start();
    old.send_all(&(0..600).map(opened).collect::<Vec<_>>())
        .await;
    let document = stdout(&run(&mut old.command(&["export"])));
    assert_eq!(old.process.terminate(), Some(0));
    segment.no_faults().await;
    let home = || {
        let home = cluster::home(&servers, "a", &segment);
        home.write("connections.toml", &document);
        home
    };
    let (a, b) = (home().start(), home().start());
    let mut migrating = Process::start(&mut migrate(&old.home, &a));
    for n in (0..900).step_by(3) {
        let server = if n % 2 == 0 { &a } else { &b };
        server.send_all(&[opened(n)]).await;
    }
    assert_eq!(migrating.exit_code(), Some(0), "{}", migrating.stderr());
    segment.wait(700).await;
    until_settled(&a).await;
    let calls = segment.calls().await;
    assert_eq!(
        calls.len(),
        700,
        "600 of the old server, every third of 300 more"
    );
}

#[tokio::test]
async fn a_journal_in_use_and_a_folder_without_one_are_refused() {
    let segment = Segment::start();
    let (old, new) = (Server::start(&segment), empty().start());
    let locked = run(&mut migrate(&old.home, &new));
    assert_eq!(locked.status.code(), Some(1));
    let said = stderr(&locked);
    assert!(
        said.contains("in use") && said.contains("stop the server"),
        "{said}"
    );

    let nothing = empty();
    let refused = run(&mut migrate(&nothing, &new));
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("there is no journal in"));
    assert!(!nothing.path("journal").exists(), "none is made");
}

#[tokio::test]
async fn connections_with_other_ids_are_refused_and_nothing_is_carried_over() {
    let segment = Segment::start();
    let mut old = Server::start(&segment);
    old.send_all(&[opened(1)]).await;
    segment.wait(1).await;
    assert_eq!(old.process.terminate(), Some(0));
    let new = Server::start(&segment);
    let refused = run(&mut migrate(&old.home, &new));
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("acme-segment has the id"), "{said}");
    let received = new.private_text("/metrics").await;
    assert!(
        received.contains("postmeter_journal_last_record{partition=\"0\"} 0"),
        "{received}"
    );
}
