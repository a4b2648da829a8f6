//! That real servers are taken at their word, and not at the lack of one.

use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::{Config, PersistenceMode, StorageType};
use async_nats::jetstream::{self, Context};
use journal::durability::{About, Finding, Judgement, Loss, Moment, Report, Standing, examine};

use crate::nats::{Cluster, Options, PASSWORD, PATIENCE, REPORT_SUBJECT, Sync, USER};

/// How long servers that will not answer are waited for.
const SHORT: Duration = Duration::from_millis(500);
const EVERY_TWO_MINUTES: Options = Options {
    sync: Sync::Interval(Duration::from_mins(2)),
    report: true,
};
const WITHOUT_REPORT: Options = Options {
    sync: Sync::Always,
    report: false,
};

pub(crate) async fn connect(cluster: &Cluster) -> Context {
    let options = ConnectOptions::with_user_and_password(USER.to_owned(), PASSWORD.to_owned());
    let client = options.connect(cluster.servers()).await.unwrap();
    jetstream::new(client)
}

/// A replicated file, as Postmeter makes its streams.
pub(crate) fn stream(name: &str, replicas: usize) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("test.{name}")],
        num_replicas: replicas,
        ..Config::default()
    }
}

pub(crate) async fn create(context: &Context, config: Config) {
    context.create_stream(config).await.unwrap();
}

async fn examine_for(context: &Context, streams: &[&str], patience: Duration) -> Report {
    let streams: Vec<String> = streams.iter().map(|&name| name.to_owned()).collect();
    let report = examine(context, &streams, REPORT_SUBJECT, 3, patience).await;
    report.unwrap()
}

/// What is there when all that are expected answer.
pub(crate) async fn examine_all(context: &Context, streams: &[&str]) -> Report {
    examine_for(context, streams, PATIENCE).await
}

/// The one finding that is refused.
fn only(judgement: Judgement) -> Finding {
    let [finding]: [Finding; 1] = judgement
        .refused
        .try_into()
        .unwrap_or_else(|refused| panic!("{refused:#?}"));
    finding
}

fn assert_only(report: &Report, loss: Loss, about: &About, fix: &str) {
    for moment in [Moment::Created, Moment::Started] {
        let finding = only(report.judge(&[], moment));
        assert_eq!((finding.loss, &finding.about), (loss, about));
        assert!(finding.fix.contains(fix), "{}", finding.fix);
    }
}

#[tokio::test]
async fn three_servers_that_sync_prove_it_and_a_stream_that_is_less_is_refused() {
    let cluster = Cluster::start(3, Options::default());
    let context = connect(&cluster).await;
    create(&context, stream("good", 3)).await;
    create(&context, stream("few", 1)).await;
    let memory = Config {
        storage: StorageType::Memory,
        ..stream("memory", 3)
    };
    create(&context, memory).await;
    let persist_async = Config {
        persist_mode: Some(PersistenceMode::Async),
        ..stream("async", 1)
    };
    create(&context, persist_async).await;

    let report = examine_all(&context, &["good"]).await;
    let judgement = report.judge(&[], Moment::Created);
    assert!(judgement.is_durable(), "{judgement:#?}");
    assert!(judgement.accepted.is_empty() && judgement.away.is_empty());
    assert_eq!(report.cluster_size, Some(3));
    let names: Vec<&str> = report
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    assert_eq!(names, ["n1", "n2", "n3"]);

    let about = |name: &str| About::Stream(name.to_owned());
    let few = examine_all(&context, &["good", "few"]).await;
    let fix = "nats stream edit few --replicas 3";
    assert_only(&few, Loss::FewReplicas, &about("few"), fix);
    assert!(
        few.judge(&[Loss::FewReplicas], Moment::Created)
            .is_durable()
    );
    let memory = examine_all(&context, &["good", "memory"]).await;
    let fix = "nats stream rm memory";
    assert_only(&memory, Loss::MemoryStorage, &about("memory"), fix);

    // Servers take it with a single replica only.
    let persist_async = examine_all(&context, &["good", "async"]).await;
    let accepted = [Loss::FewReplicas];
    let finding = only(persist_async.judge(&accepted, Moment::Created));
    assert_eq!(
        (finding.loss, finding.about),
        (Loss::AsyncPersist, about("async"))
    );
}

#[tokio::test]
async fn one_server_that_syncs_every_two_minutes_is_refused_by_name() {
    let plan = Options::default().server(2, EVERY_TWO_MINUTES);
    let cluster = Cluster::start(3, plan);
    let context = connect(&cluster).await;
    create(&context, stream("good", 3)).await;
    let report = examine_all(&context, &["good"]).await;
    let fix = "in the configuration of server n3:\n  jetstream { sync_interval: always }";
    let about = About::Server("n3".to_owned());
    assert_only(&report, Loss::UnsyncedWrites, &about, fix);
}

#[tokio::test]
async fn servers_that_do_not_export_their_report_are_refused_without_waiting() {
    let cluster = Cluster::start(1, WITHOUT_REPORT);
    let context = connect(&cluster).await;
    create(&context, stream("good", 1)).await;
    let begun = Instant::now();
    let report = examine_all(&context, &["good"]).await;
    assert!(begun.elapsed() < PATIENCE / 2);
    for moment in [Moment::Created, Moment::Running] {
        let finding = only(report.judge(&[Loss::FewReplicas], moment));
        assert_eq!(
            (finding.loss, finding.about),
            (Loss::Unproven, About::Cluster)
        );
        assert!(finding.fix.contains("response_type: stream"));
    }
}

#[tokio::test]
async fn a_single_server_passes_where_few_replicas_are_accepted() {
    let cluster = Cluster::start(1, Options::default());
    let context = connect(&cluster).await;
    create(&context, stream("good", 1)).await;
    let report = examine_all(&context, &["good"]).await;
    let judgement = report.judge(&[Loss::FewReplicas], Moment::Created);
    assert!(judgement.is_durable(), "{judgement:#?}");
    assert_eq!(judgement.accepted.len(), 1);

    let cluster = Cluster::start(1, EVERY_TWO_MINUTES);
    let context = connect(&cluster).await;
    create(&context, stream("good", 1)).await;
    let report = examine_all(&context, &["good"]).await;
    let finding = only(report.judge(&[Loss::FewReplicas], Moment::Created));
    assert_eq!(finding.loss, Loss::UnsyncedWrites);
}

#[tokio::test]
async fn a_killed_server_is_excused_once_it_is_missed_and_asked_again_when_it_returns() {
    let mut cluster = Cluster::start(3, Options::default());
    let context = connect(&cluster).await;
    create(&context, stream("good", 3)).await;
    let report = examine_all(&context, &["good"]).await;
    // Not the leader, and not the server that we are connected to.
    let ours = context.client().server_info().server_name;
    let leader = report.streams[0].leader.clone().unwrap();
    let peers = &report.streams[0].peers;
    let peer = peers
        .iter()
        .find(|peer| peer.name != ours && peer.name != leader)
        .unwrap();
    let (killed, index) = (peer.name.clone(), cluster.index_of(&peer.name));
    cluster.kill(index);

    // Whoever makes a journal wants to hear from all: nothing excuses its silence.
    let report = examine_for(&context, &["good"], SHORT).await;
    let refused = report.judge(&[], Moment::Created).refused;
    let silent = About::Server(killed.clone());
    assert!(
        refused.iter().any(|each| each.about == silent),
        "{refused:#?}"
    );

    let begun = Instant::now();
    let report = loop {
        let report = examine_for(&context, &["good"], SHORT).await;
        let mut servers = report.servers.iter();
        let server = servers.find(|server| server.name == killed).unwrap();
        if server.standing == Standing::Away {
            break report;
        }
        assert!(begun.elapsed() < PATIENCE, "{report:#?}");
    };
    let judgement = report.judge(&[], Moment::Started);
    assert!(judgement.is_durable(), "{judgement:#?}");
    assert_eq!(judgement.away, [killed.as_str()]);
    assert!(!report.judge(&[], Moment::Created).is_durable());

    cluster.restart_with(index, EVERY_TWO_MINUTES);
    cluster.wait_ready();
    let report = examine_all(&context, &["good"]).await;
    let finding = only(report.judge(&[], Moment::Running));
    assert_eq!(
        (finding.loss, finding.about),
        (Loss::UnsyncedWrites, About::Server(killed))
    );
}

// The server that led a stream and died has never been heard of by the next leader,
// which calls that an age of zero: it was taken for one that takes part and is
// silent, and one dead server of three stopped everything.
#[tokio::test]
async fn a_leader_that_was_killed_is_missed_by_its_successor() {
    let mut cluster = Cluster::start(3, Options::default());
    let context = connect(&cluster).await;
    create(&context, stream("good", 3)).await;
    let report = examine_all(&context, &["good"]).await;
    let killed = report.streams[0].leader.clone().unwrap();
    cluster.kill(cluster.index_of(&killed));
    let names = ["good".to_owned()];
    let begun = Instant::now();
    let judgement = loop {
        let examined = examine(&context, &names, REPORT_SUBJECT, 3, SHORT).await;
        // Without a leader there is nobody to ask.
        let judged = examined.map(|report| report.judge(&[], Moment::Running));
        match judged {
            Ok(judgement) if judgement.is_durable() && !judgement.away.is_empty() => {
                break judgement;
            }
            other => assert!(begun.elapsed() < PATIENCE, "{other:#?}"),
        }
    };
    assert_eq!(judgement.away, [killed]);
}
