//! That the server configuration we ship keeps the promise that it is shipped for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::Config;
use futures_util::StreamExt as _;
use journal::durability::Moment;
use journal::{Access, ClusterConfig, Journal};
use tempfile::TempDir;

use crate::durability::{connect, create, examine_all, stream};
use crate::nats::{Cluster, Options, PASSWORD, PATIENCE, ServerPlace, USER, binary};
use crate::support::{ALL, append, records};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nats-server.conf")
}

/// The shipped file, with a test's addresses in the place of its own.
fn on_loopback(at: &ServerPlace, _: Options) -> String {
    let mut text = std::fs::read_to_string(shipped()).unwrap();
    let mut changes = vec![
        (
            "server_name: n1".to_owned(),
            format!("server_name: {}", at.name),
        ),
        ("0.0.0.0:4222".to_owned(), format!("\"{}\"", at.client)),
        ("127.0.0.1:8222".to_owned(), format!("\"{}\"", at.monitor)),
        ("0.0.0.0:6222".to_owned(), format!("\"{}\"", at.route)),
        (
            "store_dir: /data".to_owned(),
            format!("store_dir: \"{}\"", at.store),
        ),
    ];
    let routes = at.routes.iter().zip(1..);
    changes.extend(routes.map(|(route, number)| (format!("nats-{number}:6222"), route.clone())));
    for (from, to) in changes {
        assert_eq!(text.matches(&from).count(), 1, "{from} in the shipped file");
        text = text.replace(&from, &to);
    }
    text
}

#[test]
fn the_shipped_server_configuration_is_valid_as_it_is() {
    let mut check = Command::new(binary());
    check
        .arg("-t")
        .arg("-c")
        .arg(shipped())
        .env("POSTMETER_NATS_PASSWORD", PASSWORD)
        .env("POSTMETER_NATS_SYSTEM_PASSWORD", PASSWORD);
    let output = check.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // Without its secrets it must not start with empty ones.
    let output = check.env_remove("POSTMETER_NATS_PASSWORD").output();
    assert!(!output.unwrap().status.success());
}

#[tokio::test]
async fn three_servers_on_the_shipped_configuration_prove_that_they_keep_everything() {
    let cluster = Cluster::start_with(3, Options::default(), on_loopback);
    let context = connect(&cluster).await;
    create(&context, log()).await;
    let report = examine_all(&context, &["pm-log"]).await;
    assert_eq!(report.findings, []);
    assert!(report.judge(&[], Moment::Created).is_durable());
    assert_eq!(report.servers.len(), 3);
}

/// Publishes a record; says its place. That a stream listens is known to all servers
/// only a moment after it was made.
async fn publish(context: &Context) -> u64 {
    let begun = Instant::now();
    loop {
        let published = context.publish("pm.log", "record".into()).await.unwrap();
        match published.await {
            Ok(stored) => return stored.sequence,
            Err(error) => {
                let may_pass = error.kind() == PublishErrorKind::StreamNotFound;
                assert!(may_pass && begun.elapsed() < PATIENCE, "{error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_shipped_permissions_let_a_node_work_and_not_remove_the_journal() {
    let cluster = Cluster::start_with(3, Options::default(), on_loopback);
    let context = connect(&cluster).await;
    // One replica, so that a read cannot come to another that is a moment behind.
    let config = Config {
        num_replicas: 1,
        ..log()
    };
    create(&context, config).await;
    let place = publish(&context).await;
    let stream = context.get_stream_no_info("pm-log").await.unwrap();
    let direct = stream.direct_get(place).await.unwrap();
    assert_eq!(direct.payload, "record");

    let config = pull::Config {
        ack_policy: AckPolicy::None,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let message = messages.next().await.unwrap().unwrap();
    assert_eq!(message.payload, "record");

    // Nodes ask and answer each other.
    let client = context.client();
    let mut asked = client.subscribe("pm.nodes.asked").await.unwrap();
    let answer = async {
        let question = asked.next().await.unwrap();
        let reply = question.reply.unwrap();
        client.publish(reply, "here".into()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.request("pm.nodes.asked", "who".into()), answer);
    assert_eq!(answer.unwrap().payload, "here");

    stream.purge().await.unwrap();
    // What is forbidden is not answered.
    let mut impatient = context.clone();
    impatient.set_timeout(Duration::from_millis(500));
    assert!(impatient.delete_stream("pm-log").await.is_err());
    assert!(context.get_stream("pm-log").await.is_ok());
}

#[tokio::test]
async fn a_node_joins_servers_on_the_shipped_configuration_and_keeps_a_record() {
    let cluster = Cluster::start_with(3, Options::default(), on_loopback);
    let dir = TempDir::new().unwrap();
    let config = ClusterConfig {
        access: Access::Password {
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
        },
        ..ClusterConfig::for_tests(dir.path(), cluster.servers())
    };
    let journal = Journal::join(config).await.unwrap();
    let place = append(&journal, "record").await;
    let entries = journal.read(place, ALL).await.unwrap();
    assert_eq!(records(entries)[0].body, "record");
    journal.close().await.unwrap();
    for index in 0..3 {
        let log = cluster.log(index);
        assert!(!log.contains("Permissions Violation"), "{log}");
    }
}

/// A stream under a name and a subject as Postmeter's are.
fn log() -> Config {
    Config {
        subjects: vec!["pm.log".to_owned()],
        allow_direct: true,
        ..stream("pm-log", 3)
    }
}
