//! Three servers and three nodes under load, while they are killed, cut off, put
//! to sleep and brought back: nothing that was answered 200 is lost, nothing is
//! invented, and nobody is turned away for longer than the servers need to choose
//! a leader.

mod load;
mod oracle;
mod trial;

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::block_in_place;

use crate::harness::cluster::{NODE_TIMEOUT, Nodes};
use crate::harness::{ONE_CONNECTION, PATIENCE, Segment, opened};
use crate::nats::{Cluster, Options, Proxy};
use load::Heard;
use oracle::{ELECTION, Excuse};
use trial::{SIZE, Trial, Victim, alone};

const TAKEN: Heard = Heard::Status(200);
const TURNED_AWAY: Heard = Heard::Status(503);
/// How many events a small test sends: enough for every partition to have some.
const EVENTS: usize = 60;
/// How long after a node is known to be dead its work may lie.
const TAKEOVER: Duration = Duration::from_secs(10);

/// How often all faults happen; `POSTMETER_FAULT_ROUNDS` makes it a run of hours.
fn rounds() -> usize {
    let named = std::env::var_os("POSTMETER_FAULT_ROUNDS");
    named.map_or(1, |rounds| rounds.to_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_servers_and_nodes_are_killed_in_turn() {
    let mut trial = Trial::start().await;
    for _ in 0..rounds() {
        let (servers, nodes) = (trial.chance.order(SIZE), trial.chance.order(SIZE));
        let servers: Vec<_> = servers.into_iter().map(Victim::Server).collect();
        let nodes: Vec<_> = nodes.into_iter().map(Victim::Node).collect();
        for victim in servers.iter().chain(&nodes) {
            trial.kill(&[*victim]).await;
        }
        trial.kill(&[servers[0], nodes[0]]).await;
        trial.kill(&nodes[1..]).await;
        trial.kill(&servers[1..]).await;
    }
    trial.end_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_nodes_are_cut_off_and_whoever_sleeps_wakes_up() {
    let mut trial = Trial::start().await;
    for _ in 0..rounds() {
        let order = trial.chance.order(SIZE);
        one_wire_is_held(&mut trial, order[0]).await;
        all_connections_are_reset(&mut trial).await;
        all_wires_of_a_node_are_held(&mut trial, order[1]).await;
        a_server_sleeps(&mut trial, order[2]).await;
        a_node_sleeps(&mut trial, order[2]).await;
    }
    trial.end_well().await;
}

/// The node moves to another server and goes on.
async fn one_wire_is_held(trial: &mut Trial, node: usize) {
    let server = trial.server_of(node);
    let what = format!("hold the wire of node {node} to its server {server}");
    trial.timeline.fault(what);
    trial.timeline.excuse(Excuse::Alone(node));
    trial.wires[node][server].blackhole();
    trial.timeline.no_excuse(Excuse::Alone(node), ELECTION);
    trial.goes_on().await;
    trial.load.heard_from(node, &TAKEN).await;
    trial.wires[node][server].pass();
    trial.goes_on().await;
}

/// Everybody connects again.
async fn all_connections_are_reset(trial: &mut Trial) {
    trial.timeline.fault("reset every connection".to_owned());
    trial.timeline.excuse(Excuse::NoLeader);
    let wires = || trial.wires.iter().flatten();
    wires().for_each(Proxy::cut);
    wires().for_each(Proxy::pass);
    trial.timeline.no_excuse(Excuse::NoLeader, ELECTION);
    trial.goes_on().await;
}

/// The node says 503, others do its work, and it takes part again afterwards.
async fn all_wires_of_a_node_are_held(trial: &mut Trial, node: usize) {
    trial
        .timeline
        .fault(format!("hold all wires of node {node}"));
    trial.timeline.excuse(Excuse::Alone(node));
    trial.wires[node].iter().for_each(Proxy::blackhole);
    trial.timeline.silence(Some(node));
    trial.load.heard_from(node, &TURNED_AWAY).await;
    trial.goes_on().await;
    trial.all_arrives().await;
    trial.timeline.no_silence();
    trial.wires[node].iter().for_each(Proxy::pass);
    trial.timeline.no_excuse(Excuse::Alone(node), ELECTION);
    trial.load.heard_from(node, &TAKEN).await;
    takes_part(&trial.nodes, node).await;
}

/// A server neither answers nor hangs up; the others take over without it.
async fn a_server_sleeps(trial: &mut Trial, server: usize) {
    trial
        .timeline
        .fault(format!("put server {server} to sleep"));
    trial.timeline.excuse(Excuse::NoLeader);
    block_in_place(|| trial.servers.stop(server));
    trial.timeline.no_excuse(Excuse::NoLeader, ELECTION);
    trial.goes_on().await;
    trial.timeline.excuse(Excuse::NoLeader);
    block_in_place(|| {
        trial.servers.cont(server);
        trial.servers.wait_ready();
    });
    trial.timeline.no_excuse(Excuse::NoLeader, ELECTION);
    trial.goes_on().await;
}

/// A node wakes up and believes that it holds duties which others have taken.
async fn a_node_sleeps(trial: &mut Trial, node: usize) {
    trial.timeline.fault(format!("put node {node} to sleep"));
    trial.timeline.excuse(Excuse::Dead(node));
    trial.nodes.signal(node, "-STOP");
    trial.goes_on().await;
    trial.all_arrives().await;
    trial.nodes.signal(node, "-CONT");
    trial.timeline.no_excuse(Excuse::Dead(node), Duration::ZERO);
    // Its connections to the servers may be gone.
    trial.timeline.excuse(Excuse::Alone(node));
    trial.timeline.no_excuse(Excuse::Alone(node), ELECTION);
    trial.load.heard_from(node, &TAKEN).await;
    takes_part(&trial.nodes, node).await;
}

/// Waits until a node indexes a partition, as each of three does.
async fn takes_part(nodes: &Nodes, node: usize) {
    let name = Nodes::name(node);
    let indexes = |answer: &Value| {
        let mut nodes = answer["nodes"].as_array().unwrap().iter();
        nodes.any(|each| each["name"] == *name && each["indexes"] != serde_json::json!([]))
    };
    nodes.node(node).api_until("/api/nodes", indexes).await;
}

/// Waits until that many calls are stored, and no more.
async fn arrive(n_calls: usize, segment: &Segment, nodes: &Nodes) {
    let begun = Instant::now();
    while segment.calls().await.len() < n_calls {
        if begun.elapsed() > PATIENCE {
            nodes.show().await;
            panic!("{} calls of {n_calls}", segment.calls().await.len());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(segment.calls().await.len(), n_calls);
}

/// A cluster and two nodes, with one connection.
fn pair(segment: &Segment) -> (Cluster, Nodes) {
    let servers = Cluster::start(SIZE, Options::default());
    let urls = [servers.servers(), servers.servers()];
    let nodes = Nodes::start(&urls, ONE_CONNECTION, segment);
    (servers, nodes)
}

#[tokio::test]
async fn the_same_event_through_two_nodes_at_once_is_forwarded_once() {
    let _alone = alone().await;
    let segment = Segment::start();
    let (_servers, nodes) = pair(&segment);
    for event in (0..EVENTS).map(opened) {
        let (one, other) = (nodes.node(0).send(&event), nodes.node(1).send(&event));
        assert_eq!(tokio::join!(one, other), (200, 200));
    }
    arrive(EVENTS, &segment, &nodes).await;
    let found = |answer: &Value| answer["total"]["duplicates"] == EVENTS;
    nodes.node(0).api_until("/api/nodes", found).await;
    nodes.node(1).send_all(&[opened(EVENTS)]).await;
    arrive(EVENTS + 1, &segment, &nodes).await;
    let stats = segment.get("/emulator/stats").await;
    assert_eq!(stats["duplicates"], 0, "something was sent twice: {stats}");
}

#[tokio::test]
async fn the_duties_of_a_killed_node_are_done_by_another_in_seconds() {
    let _alone = alone().await;
    let segment = Segment::start();
    let (_servers, mut nodes) = pair(&segment);
    takes_part(&nodes, 0).await;
    takes_part(&nodes, 1).await;
    let killed = Instant::now();
    nodes.kill(1);
    let events: Vec<Value> = (0..EVENTS).map(opened).collect();
    nodes.node(0).send_all(&events).await;
    arrive(EVENTS, &segment, &nodes).await;
    let took = killed.elapsed();
    println!("taken over after {took:?}");
    assert!(took < NODE_TIMEOUT + TAKEOVER, "{took:?}");
}

#[tokio::test]
async fn duties_that_move_while_there_is_no_majority_are_done_when_there_is_one() {
    let _alone = alone().await;
    let segment = Segment::start();
    let mut servers = Cluster::start(SIZE, Options::default());
    let urls: Vec<_> = (0..SIZE).map(|_| servers.servers()).collect();
    let mut nodes = Nodes::start(&urls, ONE_CONNECTION, &segment);
    for node in 0..SIZE {
        takes_part(&nodes, node).await;
    }
    // Who is left has no leader to wait for, so that everything is refused at once.
    let leader = leader_of(&servers, "pm-kept");
    let other = (leader + 1) % SIZE;
    servers.kill(leader);
    servers.kill(other);
    nodes.kill(2);
    // When it is missed, turns change between the others, and neither can note
    // that it gives back what it held.
    let missed = |answer: &Value| answer["nodes"].as_array().unwrap().len() == 2;
    nodes.node(0).api_until("/api/nodes", missed).await;
    for _ in 0..4 {
        // Each takes as long as the cluster may take for an answer.
        assert_eq!(nodes.node(0).send(&opened(0)).await, 503);
    }
    servers.restart(leader);
    servers.restart(other);
    servers.wait_ready();
    for event in (0..EVENTS).map(opened) {
        while nodes.node(0).send(&event).await != 200 {}
    }
    arrive(EVENTS, &segment, &nodes).await;
}

/// The server that leads a stream.
fn leader_of(servers: &Cluster, stream: &str) -> usize {
    let report = servers.monitor(0, "/jsz?accounts=true&streams=true");
    let report: Value = serde_json::from_str(&report.unwrap()).unwrap();
    let accounts = report["account_details"].as_array().unwrap().iter();
    let mut streams = accounts.flat_map(|each| each["stream_detail"].as_array().unwrap());
    let found = streams.find(|each| each["name"] == *stream).unwrap();
    servers.index_of(found["cluster"]["leader"].as_str().unwrap())
}
