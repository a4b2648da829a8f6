//! Several nodes on one journal: real processes, real NATS servers.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{
    Home, ONE_CONNECTION, Segment, Server, opened, postmeter, run, stderr, stdout,
};
use crate::nats::{Cluster, Options, PASSWORD, Sync, USER};

/// A node's files, with a config for a journal on these servers.
pub(crate) fn home(cluster: &Cluster, name: &str, segment: &Segment) -> Home {
    let home = Home::new(ONE_CONNECTION, segment.url());
    home.write("nats-password", PASSWORD);
    let journal = format!(
        "engine = \"jetstream\"\nservers = {:?}\nuser = {USER:?}\npassword = \"file:{}\"\n\
         node_name = {name:?}\nnode_timeout_s = 2\n",
        cluster.servers(),
        home.path("nats-password").display()
    );
    home.configure(&journal);
    home
}

pub(crate) fn three() -> Cluster {
    Cluster::start(3, Options::default())
}

/// How many partitions each node feeds, by the node's name.
fn fed(connections: &Value, node: &str) -> usize {
    let partitions = connections["connections"][0]["partitions"].as_array();
    let partitions = partitions.unwrap().iter();
    partitions.filter(|each| each["node"] == node).count()
}

pub(crate) async fn until_divided(server: &Server, nodes: &[&str]) {
    let divided = |answer: &Value| {
        let each: Vec<usize> = nodes.iter().map(|node| fed(answer, node)).collect();
        each.iter().sum::<usize>() == 3 && each.iter().all(|fed| *fed > 0)
    };
    server.api_until("/api/connections", divided).await;
}

#[tokio::test]
async fn two_nodes_share_the_work_and_either_console_shows_all_of_it() {
    let (cluster, segment) = (three(), Segment::start());
    let a = home(&cluster, "a", &segment).start();
    // What one node was told to do, the other does too.
    let b = home(&cluster, "b", &segment);
    let mut serve = postmeter();
    serve
        .arg("serve")
        .arg("--config")
        .arg(b.path("postmeter.toml"));
    let b = Server::with(serve, b);
    until_divided(&a, &["a", "b"]).await;
    until_divided(&b, &["a", "b"]).await;

    for n in 0..30 {
        let server = if n % 2 == 0 { &a } else { &b };
        server.send_all(&[opened(n)]).await;
    }
    // The same event again, at the other node.
    b.send_all(&[opened(0), opened(2)]).await;
    a.send_all(&[opened(1)]).await;
    let settled = |answer: &Value| answer["connections"][0]["lag_records"] == 0;
    segment.wait(30).await;
    a.api_until("/api/connections", settled).await;
    assert_eq!(segment.calls().await.len(), 30, "each event once");

    // Where the machine is so busy that a node is late, work moves and is done twice.
    let counted = |answer: &Value| {
        let total = &answer["total"];
        total["received"]["journaled"] == 33
            && total["duplicates"].as_u64() >= Some(3)
            && total["ended"]["acme-segment"]["accepted"].as_u64() >= Some(30)
    };
    for server in [&a, &b] {
        let answer = server.api_until("/api/nodes", counted).await;
        assert_eq!(answer["unanswered"], json!([]));
        assert_eq!(answer["durability"]["durable"], true);
        let nodes = answer["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 2, "{answer}");
    }
    let shown = stdout(&run(&mut b.command(&["nodes"])));
    for node in ["a ", "b "] {
        assert!(shown.lines().any(|line| line.starts_with(node)), "{shown}");
    }
}

#[tokio::test]
async fn when_a_node_is_killed_the_other_goes_on_with_all_of_it() {
    let (cluster, segment) = (three(), Segment::start());
    let a = home(&cluster, "a", &segment).start();
    let mut b = home(&cluster, "b", &segment).start();
    until_divided(&a, &["a", "b"]).await;
    b.send_all(&(0..20).map(opened).collect::<Vec<_>>()).await;
    b.process.kill();
    a.send_all(&(20..40).map(opened).collect::<Vec<_>>()).await;
    segment.wait(40).await;
    until_divided(&a, &["a"]).await;
    let b = b.home.start();
    until_divided(&b, &["a", "b"]).await;
    assert_eq!(
        segment.calls().await.len(),
        40,
        "Segment drops repeated ids"
    );
}

#[tokio::test]
async fn without_a_majority_events_are_answered_503_and_nothing_is_lost() {
    let (mut cluster, segment) = (three(), Segment::start());
    let a = home(&cluster, "a", &segment).start();
    a.send_all(&[opened(1)]).await;
    cluster.kill(0);
    cluster.kill(1);
    let mut n = 2;
    while a.send(&opened(n)).await == 200 {
        n += 1; // what was on its way to a majority
    }
    let ready = a.http.get(format!("http://{}/readyz", a.console));
    assert_eq!(ready.send().await.unwrap().status(), 503);
    cluster.restart(0);
    cluster.restart(1);
    cluster.wait_ready();
    while a.send(&opened(n)).await != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let calls = segment.wait(n).await;
    assert_eq!(
        calls.len(),
        n,
        "each event once, whatever it was answered first"
    );
}

fn check(home: &Home, args: &[&str]) -> Output {
    let mut check = postmeter();
    check.args(["cluster", "check", "--config"]);
    run(check.arg(home.path("postmeter.toml")).args(args))
}

#[tokio::test]
async fn a_sound_cluster_passes_its_check_before_and_after_the_first_start() {
    let (cluster, segment) = (three(), Segment::start());
    let home = home(&cluster, "a", &segment);
    let before = check(&home, &[]);
    assert_eq!(before.status.code(), Some(0), "{}", stderr(&before));
    assert!(stderr(&before).contains("no streams yet"));
    let a = home.start();
    let after = check(&a.home, &["--json"]);
    assert_eq!(after.status.code(), Some(0), "{}", stderr(&after));
    let found: Value = serde_json::from_slice(&after.stdout).unwrap();
    assert_eq!(found["durable"], true);
    assert_eq!(found["servers"].as_array().unwrap().len(), 3);
    assert!(!found["streams"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_syncs_now_and_then_is_refused_with_the_line_to_change() {
    let lax = Options {
        sync: Sync::Interval(std::time::Duration::from_mins(2)),
        ..Options::default()
    };
    let cluster = Cluster::start(3, Options::default().server(1, lax));
    let home = home(&cluster, "a", &Segment::start());
    let refused = check(&home, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(
        stdout(&refused).contains("sync_interval: always"),
        "{}",
        stdout(&refused)
    );
    let serve = run(&mut home.serve());
    assert_eq!(serve.status.code(), Some(1));
    assert!(
        stderr(&serve).contains("sync_interval: always"),
        "{}",
        stderr(&serve)
    );
}

#[tokio::test]
async fn a_check_that_cannot_be_made_says_so_by_its_exit_code() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    let embedded = check(&home, &[]);
    assert_eq!(embedded.status.code(), Some(2));
    home.configure("engine = \"jetstream\"\nservers = [\"nats://127.0.0.1:1\"]\n");
    let nobody = check(&home, &[]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(
        stderr(&nobody).contains("cannot connect"),
        "{}",
        stderr(&nobody)
    );
}
