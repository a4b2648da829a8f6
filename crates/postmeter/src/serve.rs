//! The server: every long-lived task is started here and joined here.
//!
//! [`Server::start`] opens and validates; [`Server::run`] lets requests in and runs
//! until told to stop, or until another process takes its place. No request is let in
//! before the journal is open and the connections make sense.

mod ending;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use connections::Written;
use console::seen::Origin;
use jiff::Timestamp;
use journal::{Journal, OpenError, Partition, Seq};
use receive::{Intake, Receipt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use self::ending::{Ended, Entrance};
use crate::api::{self, Api};
use crate::cli::EnableFrom;
use crate::client::Hinted;
use crate::config::{Config, Engine};
use crate::desk::Desk;
use crate::doors::Doors;
use crate::duties::{Duties, is_superseded};
use crate::history::{self, History};
use crate::names;
use crate::nodes;
use crate::observe::Observer;
use crate::operator::{self, Apply, Operator};
use crate::pipeline::indexer::Indexer;
use crate::pipeline::keys;
use crate::replay;
use crate::secrets::environment;
use crate::supervisor::{self, Workshop};
use crate::token::Token;

/// How often old segments are trimmed and levels are measured: a full journal is
/// open again this soon after its connections have caught up.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long a server that has told us to take its place may take to let go of the
/// folder.
const FOLDER_WAIT: Duration = Duration::from_secs(10);
/// The pause between two looks at the folder's lock, which nobody announces.
const FOLDER_PAUSE: Duration = Duration::from_millis(5);

/// A server that is ready to run.
pub(crate) struct Server {
    config: Config,
    journal: Journal,
    operator: Operator,
    observer: Observer,
    history: History,
    token: Token,
}

/// What a server starts with, beside its config.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Connections to apply; `None`: those of the last run.
    pub(crate) connections: Option<Written>,
    /// Whether the index is built anew.
    pub(crate) rebuild_index: bool,
    /// What it follows.
    pub(crate) after: After,
}

/// What a server follows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum After {
    /// Nothing: a folder in use is an error.
    #[default]
    Nothing,
    /// A process that is about to leave the folder.
    Another,
}

impl Server {
    /// Opens the journal, and takes up the connections.
    pub(crate) async fn start(
        config: Config,
        start: Start,
        observer: Observer,
    ) -> anyhow::Result<Server> {
        let journal = open(&config.journal, start.after).await?;
        if start.rebuild_index {
            journal
                .rebuild_index()
                .await
                .context("cannot throw the index away")?;
        }
        let operator = Operator::of(journal.clone(), config.dispatch.clone());
        let warnings = match start.connections {
            Some(written) => {
                let how = Apply::Now(EnableFrom::Backlog);
                let applied = operator.apply(written, how, Origin::Start).await?;
                for change in &applied.changes {
                    info!("connections: {change}");
                }
                applied.warnings
            }
            None => operator.reload().await?,
        };
        for warning in warnings {
            warn!("{warning}");
        }
        let history = History::open(journal.clone(), observer.live()).await;
        let token = Token::open(&config.token_file)?;
        Ok(Server {
            config,
            journal,
            operator,
            observer,
            history,
            token,
        })
    }

    fn start_stages(self, stages: &mut JoinSet<()>, doors: &Doors, stop: &CancellationToken) {
        let Server {
            config,
            journal,
            operator,
            observer,
            history,
            token,
        } = self;
        let intake = Intake {
            journal: journal.clone(),
            workspaces: operator.workspaces(),
            limits: config.limits,
            affinity: keys::affinity,
            now: Timestamp::now,
        };
        let public =
            receive::router(intake).layer(from_fn_with_state(observer.clone(), count_answer));
        let desk = Desk {
            operator: operator.clone(),
            observer: observer.clone(),
            history: history.clone(),
            retention: config.journal.limits().retention,
            origin: Origin::Console,
            stop: stop.clone(),
        };
        let pages = console::router(desk.clone(), console::Access::new(token.reveal()));
        let desk = desk.through(Origin::Api);
        let private = api::router(Api {
            desk: desk.clone(),
            token,
        })
        .merge(pages);
        doors.let_in(public, private);
        for partition in journal.partitions() {
            let indexer = Indexer {
                journal: journal.clone(),
                observer: observer.clone(),
                partition,
            };
            stages.spawn(index(operator.duties.clone(), indexer, stop.clone()));
        }
        let workshop = Workshop {
            journal,
            duties: operator.duties.clone(),
            names: operator.names.clone(),
            observer: observer.clone(),
            desk,
            policy: config.dispatch,
            window: config.window,
        };
        let (decided, running) = (operator.decided(), operator.running.clone());
        stages.spawn(supervisor::run(workshop, decided, running, stop.clone()));
        stages.spawn(names::run(operator.names.clone(), stop.clone()));
        stages.spawn(operator::follow(operator.clone(), stop.clone()));
        stages.spawn(replay::oversee(operator.clone(), stop.clone()));
        let asked = operator.clone();
        stages.spawn(nodes::answer(asked, observer.clone(), stop.clone()));
        let period = config.history_flush;
        stages.spawn(history::keep(history, period, stop.clone()));
        stages.spawn(keep_house(operator, observer, stop.clone()));
    }
}

/// Opens the journal. Where another process is about to leave it, waits for that.
async fn open(engine: &Engine, after: After) -> anyhow::Result<Journal> {
    let begun = Instant::now();
    loop {
        match open_now(engine).await {
            Err(error)
                if after == After::Another
                    && is_in_use(&error)
                    && begun.elapsed() < FOLDER_WAIT =>
            {
                tokio::time::sleep(FOLDER_PAUSE).await;
            }
            Err(error) if is_in_use(&error) => {
                return Err(error.context(Hinted {
                    what: "cannot start".to_owned(),
                    hint: match after {
                        After::Nothing => {
                            "`postmeter serve --take-over` takes the place of a server that runs"
                        }
                        After::Another => {
                            "whatever has the folder does not give it up: stop it, then start"
                        }
                    },
                }));
            }
            opened => return opened,
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause| matches!(cause, OpenError::Locked { .. }))
}

async fn open_now(engine: &Engine) -> anyhow::Result<Journal> {
    match engine {
        Engine::Embedded(config) => {
            let opened = Journal::open(config.clone()).await;
            opened.context("cannot open the journal")
        }
        Engine::Cluster(cluster) => {
            let joined = Journal::join(cluster.unlock(&environment)?).await;
            joined.context("cannot join the journal on the cluster")
        }
    }
}

async fn count_answer(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    if let Some(receipt) = response.extensions().get::<Receipt>() {
        observer.answered(receipt, begun.elapsed());
    }
    response
}

async fn index(duties: Duties, indexer: Indexer, stop: CancellationToken) {
    duties.perform(&indexer, &stop).await;
}

async fn keep_house(operator: Operator, observer: Observer, stop: CancellationToken) {
    let mut rounds = tokio::time::interval(HOUSEKEEPING);
    let mut failing = false;
    while stop.run_until_cancelled(rounds.tick()).await.is_some() {
        operator.journal.tend().await;
        let failed = house_round(&operator, &observer).await.err();
        let failed = failed.filter(|error| !is_superseded(error));
        if let Some(error) = failed.as_ref().filter(|_| !failing) {
            error!("housekeeping failed and is tried every second: {error:#}");
        }
        failing = failed.is_some();
    }
}

/// Trims what nobody needs any more, and measures levels.
async fn house_round(operator: &Operator, observer: &Observer) -> anyhow::Result<()> {
    let mut keep: Vec<(Partition, Seq)> = Vec::new();
    for connection in operator.connections() {
        observer.lag(connection.name.as_str(), operator.lag(&connection).await?);
        if !connection.enabled {
            continue;
        }
        // A paused one goes on where it stands, so its records are kept as well.
        for partition in operator.journal.partitions() {
            let settled = operator.settled(&connection, partition).await?;
            keep.push((partition, settled.next()));
        }
    }
    let trimmed = operator.journal.trim(Timestamp::now(), &keep).await;
    trimmed.context("cannot trim the journal")?;
    let stats = operator.journal.stats();
    let dead_letters = operator.journal.dead_letter_count().await?;
    observer.journal(stats.bytes, dead_letters);
    stats.disk.iter().for_each(|disk| observer.disk(disk));
    stats
        .partitions
        .iter()
        .for_each(|each| observer.partition(each));
    Ok(())
}

/// A token that is cancelled by the first SIGINT or SIGTERM.
///
/// Both are heard from the moment it returns, so that nobody who has read an
/// address from stdout can stop the process too early.
pub(crate) fn stop_on_signal(tasks: &mut JoinSet<()>) -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping");
        asked.cancel();
    });
    Ok(stop)
}
