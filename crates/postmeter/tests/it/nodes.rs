//! One console for all nodes, where there is just one.

use crate::harness::{Home, ONE_CONNECTION, Segment, Server, opened, run, stdout};

#[tokio::test]
async fn a_server_alone_is_one_node_that_does_everything() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&[opened(1), opened(2), opened(1)]).await;
    segment.wait(2).await;
    let counted = |answer: &serde_json::Value| {
        let total = &answer["total"];
        total["duplicates"] == 1 && total["ended"]["acme-segment"]["accepted"] == 2
    };
    let answer = server.api_until("/api/nodes", counted).await;
    let nodes = answer["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0]["this"], true);
    assert_eq!(nodes[0]["health"], "healthy");
    assert_eq!(nodes[0]["indexes"], serde_json::json!([0]));
    assert_eq!(nodes[0]["feeds"]["acme-segment"], serde_json::json!([0]));
    assert_eq!(answer["total"]["received"]["journaled"], 3);

    let shown = stdout(&run(&mut server.command(&["nodes"])));
    for words in [
        "this server",
        "healthy",
        "acme-segment 0",
        "requests, answered journaled",
    ] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
}

#[tokio::test]
async fn a_connection_says_which_node_feeds_which_partition_while_it_is_enabled() {
    let segment = Segment::start();
    let server = Home::new(ONE_CONNECTION, segment.url()).start();
    let fed = |answer: &serde_json::Value| {
        let partitions = &answer["connections"][0]["partitions"];
        partitions[0]["partition"] == 0 && partitions[0]["node"] == "this server"
    };
    server.api_until("/api/connections", fed).await;

    let disabled = format!("{ONE_CONNECTION}enabled = false\n");
    let disabled = disabled.replace("ENDPOINT", segment.url());
    server.home.write("connections.toml", &disabled);
    let mut apply = server.command(&["apply"]);
    let applied = run(apply.arg(server.home.path("connections.toml")));
    assert_eq!(applied.status.code(), Some(0));
    let given_back = |answer: &serde_json::Value| {
        let connection = &answer["connections"][0];
        connection["state"] == "disabled" && connection["partitions"] == serde_json::json!([])
    };
    server.api_until("/api/connections", given_back).await;
}
