//! What is refused and what is let pass, case by case.

use std::time::Duration;

use super::super::find::{Demand, find, standing};
use super::super::{Peer, Storage};
use super::*;

const THREE: [&str; 3] = ["n1", "n2", "n3"];

fn peer(name: &str) -> Peer {
    Peer {
        name: name.to_owned(),
        is_away: false,
    }
}

fn stream(peers: &[&str]) -> StreamReport {
    StreamReport {
        name: "log".to_owned(),
        storage: Storage::File,
        replicas: peers.len(),
        persist_async: false,
        cluster: Some("pm".to_owned()),
        leader: peers.first().map(|&name| name.to_owned()),
        peers: peers.iter().map(|name| peer(name)).collect(),
    }
}

fn running(version: &str) -> ServerReport {
    ServerReport {
        name: "n3".to_owned(),
        cluster: Some("pm".to_owned()),
        version: Some(version.to_owned()),
        sync_always: Some(true),
        sync_interval: Some(Duration::from_mins(2)),
        standing: standing(version, Some(true)),
    }
}

fn good(name: &str) -> ServerReport {
    ServerReport {
        name: name.to_owned(),
        ..running("2.15.1")
    }
}

fn unsynced(name: &str) -> ServerReport {
    ServerReport {
        sync_always: Some(false),
        standing: standing("2.15.1", Some(false)),
        ..good(name)
    }
}

fn mute(name: &str, standing: Standing) -> ServerReport {
    ServerReport {
        name: name.to_owned(),
        cluster: None,
        version: None,
        sync_always: None,
        sync_interval: None,
        standing,
    }
}

fn away(name: &str) -> ServerReport {
    mute(name, Standing::Away)
}

fn silent(name: &str) -> ServerReport {
    mute(name, Standing::Silent)
}

/// The report of a cluster of three, as [`super::super::examine`] makes it.
fn report(streams: Vec<StreamReport>, servers: Vec<ServerReport>) -> Report {
    let demand = Demand {
        replicas: 3,
        report_subject: "pm.jsz",
    };
    Report {
        findings: find(&streams, &servers, demand),
        streams,
        servers,
        cluster_size: Some(3),
    }
}

fn refused(report: &Report, accepted: &[Loss], moment: Moment) -> Vec<(Loss, String)> {
    let judgement = report.judge(accepted, moment);
    assert_eq!(judgement.is_durable(), judgement.refused.is_empty());
    let found = judgement.refused.into_iter();
    found
        .map(|finding| (finding.loss, finding.about.to_string()))
        .collect()
}

/// What is refused when streams are made, and what while they are used.
fn assert_refused(report: &Report, created: &[(Loss, &str)], running: &[(Loss, &str)]) {
    for (moment, wanted) in [
        (Moment::Created, created),
        (Moment::Started, running),
        (Moment::Running, running),
    ] {
        let wanted: Vec<(Loss, String)> = wanted
            .iter()
            .map(|(loss, about)| (*loss, (*about).to_owned()))
            .collect();
        assert_eq!(refused(report, &[], moment), wanted, "{moment:?}");
    }
}

#[test]
fn three_proven_servers_are_durable_at_any_moment() {
    let report = report(vec![stream(&THREE)], THREE.map(good).to_vec());
    assert_refused(&report, &[], &[]);
}

#[test]
fn a_stream_that_can_be_lost_is_refused_at_any_moment() {
    let change = |change: fn(&mut StreamReport)| {
        let mut stream = stream(&THREE);
        change(&mut stream);
        stream
    };
    for (bad, loss) in [
        (stream(&["n1", "n2"]), Loss::FewReplicas),
        (change(|stream| stream.replicas = 1), Loss::FewReplicas),
        (change(|stream| stream.peers.truncate(2)), Loss::FewReplicas),
        (
            change(|stream| stream.storage = Storage::Memory),
            Loss::MemoryStorage,
        ),
        (
            change(|stream| stream.persist_async = true),
            Loss::AsyncPersist,
        ),
    ] {
        let report = report(vec![stream(&THREE), bad], THREE.map(good).to_vec());
        let wanted = [(loss, "stream log")];
        assert_refused(&report, &wanted, &wanted);
    }
}

#[test]
fn a_server_that_can_lose_is_refused_at_any_moment() {
    for (bad, loss) in [
        (unsynced("n3"), Loss::UnsyncedWrites),
        (running("2.15.0"), Loss::OldServer),
        (silent("n3"), Loss::Unproven),
    ] {
        let report = report(vec![stream(&THREE)], vec![good("n1"), good("n2"), bad]);
        // A silent one is missed twice: by its name, and by the cluster's size.
        let mut created = vec![(loss, "server n3")];
        if loss == Loss::Unproven {
            created.push((loss, "the cluster"));
        }
        assert_refused(&report, &created, &[(loss, "server n3")]);
    }
}

#[test]
fn a_server_that_is_away_is_excused_while_the_proven_are_a_majority() {
    let unproven = |about| (Loss::Unproven, about);
    let created = [unproven("server n3"), unproven("the cluster")];
    let one_away = report(
        vec![stream(&THREE)],
        vec![good("n1"), good("n2"), away("n3")],
    );
    assert_refused(&one_away, &created, &[]);
    assert_eq!(one_away.judge(&[], Moment::Running).away, ["n3"]);

    let two_away = report(
        vec![stream(&THREE)],
        vec![good("n1"), away("n2"), away("n3")],
    );
    let created = [
        unproven("server n2"),
        unproven("server n3"),
        unproven("the cluster"),
    ];
    assert_refused(&two_away, &created, &[unproven("stream log")]);

    let lossy = (Loss::UnsyncedWrites, "server n2");
    let one_lossy = report(
        vec![stream(&THREE)],
        vec![good("n1"), unsynced("n2"), away("n3")],
    );
    let created = [lossy, unproven("server n3"), unproven("the cluster")];
    assert_refused(&one_lossy, &created, &[lossy, unproven("stream log")]);
    // Whoever accepts what speaks against n2 has a majority again.
    let accepted = [Loss::UnsyncedWrites];
    assert_eq!(refused(&one_lossy, &accepted, Moment::Started), []);
}

#[test]
fn servers_without_a_replica_matter_only_when_streams_are_made() {
    let mut servers = THREE.map(good).to_vec();
    servers.push(unsynced("n4"));
    let mut report = report(vec![stream(&THREE)], servers);
    assert_refused(&report, &[(Loss::UnsyncedWrites, "server n4")], &[]);
    report.cluster_size = Some(5);
    let created = [
        (Loss::UnsyncedWrites, "server n4"),
        (Loss::Unproven, "the cluster"),
    ];
    assert_refused(&report, &created, &[]);
}

#[test]
fn servers_of_another_cluster_than_the_streams_do_not_matter() {
    let mut servers = THREE.map(good).to_vec();
    let mut far = unsynced("far");
    far.cluster = Some("elsewhere".to_owned());
    servers.push(far);
    assert_refused(&report(vec![stream(&THREE)], servers.clone()), &[], &[]);
    // Before there are streams, nobody knows where they will be.
    let created = [(Loss::UnsyncedWrites, "server far")];
    assert_refused(&report(Vec::new(), servers), &created, &[]);
}

#[test]
fn no_answer_at_all_is_one_finding_with_the_lines_that_are_missing() {
    let report = report(vec![stream(&THREE)], THREE.map(silent).to_vec());
    let judgement = report.judge(&[], Moment::Running);
    let [finding] = judgement.refused.as_slice() else {
        panic!("{judgement:?}");
    };
    assert_eq!(
        (finding.loss, &finding.about),
        (Loss::Unproven, &About::Cluster)
    );
    assert!(finding.fix.contains("response_type: stream"));
    assert!(finding.fix.contains("to: \"pm.jsz\""));
}

#[test]
fn an_accepted_loss_is_not_refused_but_named_for_ever() {
    let report = report(vec![stream(&["n1"])], THREE.map(unsynced).to_vec());
    let judgement = report.judge(&[Loss::FewReplicas], Moment::Running);
    let named: Vec<Loss> = judgement.accepted.iter().map(|each| each.loss).collect();
    assert_eq!(named, [Loss::FewReplicas]);
    let refused: Vec<&str> = judgement
        .refused
        .iter()
        .map(|each| each.fix.as_str())
        .collect();
    let fix = "in the configuration of server n1:\n  jetstream { sync_interval: always }";
    assert_eq!(refused, [fix]);
}
