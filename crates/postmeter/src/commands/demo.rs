//! `postmeter demo`: the whole at work, on free ports and in a temporary folder.
//!
//! A simulated campaign is sent, signed, through a real socket to a real server,
//! whose connection delivers to the Segment stand-in. Nothing leaves the machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use connections::Written;
use emulator::customerio::{Campaign, Event, Report, Sender, SigningKey};
use emulator::segment::{Segment, StoredCall};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{EXIT_WRONG, block_on, print, start_logging, until_signal};
use crate::cli::DemoArgs;
use crate::config::Config;
use crate::doors::Doors;
use crate::http;
use crate::observe::{End, Observer, Sample};
use crate::serve::{Entrance, Server, Start};
use crate::sockets::{Inherited, Listeners};

/// The signing key of the demo's workspace. It protects nothing.
const SIGNING_KEY: &str = "the-demo-signs-with-this-key";
/// The write key of the demo's connection. It opens nothing.
const WRITE_KEY: &str = "demoWriteKeyOfThirtyTwoLetters00";
/// Of a hundred events, how many come twice, as after a lost answer.
const REPEAT_PERCENT: u8 = 4;
/// Events that the simulated Customer.io has on the wire.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");
/// Events of a campaign that are over when the demo begins.
const WARM_UP_EVENTS: u64 = 20_000;
/// How long the last calls may take to arrive.
const ARRIVAL_TIME: Duration = Duration::from_mins(1);
/// How long the index may take to follow.
const RECOGNITION_TIME: Duration = Duration::from_secs(5);
/// Calls shown per second; above it, some stand for all.
const SHOWN_PER_SECOND: u64 = 100;
/// Latencies kept for the account; the demo may run for days.
const MAX_LATENCIES: usize = 1_000_000;

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    start_logging("error");
    block_on(until_signal(|stop| async move {
        let stage = Stage::set(args).await?;
        stage.play(args, stop).await
    }))
}

/// Everything that takes part, running.
struct Stage {
    segment: Segment,
    webhook: String,
    observer: Observer,
    parts: JoinSet<anyhow::Result<()>>,
    curtain: CancellationToken,
    /// Removed when the demo ends.
    _folder: TempDir,
}

impl Stage {
    async fn set(args: &DemoArgs) -> anyhow::Result<Stage> {
        let folder = TempDir::with_prefix("postmeter-demo-").context("no temporary folder")?;
        let curtain = CancellationToken::new();
        let mut parts = JoinSet::new();

        let segment = Segment::new(emulator::segment::Config::default());
        let listener = http::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let endpoint = format!("http://{}", listener.local_addr().context("no address")?);
        parts.spawn(run_segment(segment.clone(), listener, curtain.clone()));

        let observer = Observer::new()?;
        let config = config(folder.path())?;
        let start = Start {
            connections: Some(document(folder.path(), &endpoint)?),
            ..Start::default()
        };
        let sockets = Listeners::take_or_bind(Inherited::default(), &config)?;
        let server = Server::start(config, start, observer.clone()).await?;
        let doors = Doors::open(sockets)?;
        let addresses = doors.addresses()?;
        parts.spawn(run_server(server, doors, curtain.clone()));

        let webhook = format!("http://{}/webhooks/demo", addresses.receive);
        print("Nothing leaves this machine. A simulated Customer.io workspace sends to")?;
        print(format_args!("  Postmeter         {webhook}"))?;
        print("which keeps every event on disk before it answers, and delivers it to")?;
        print(format_args!(
            "  Segment stand-in  {endpoint}  (GET /emulator/calls)"
        ))?;
        print("Watch it all in a browser, logged in with the token \"demo\":")?;
        print(format_args!(
            "  Console           http://{}",
            addresses.console
        ))?;
        let n_events = if args.once {
            args.events.to_string()
        } else {
            "endless".to_owned()
        };
        print(format_args!(
            "{n_events} events about {} people, {} a second, {REPEAT_PERCENT} % of them twice.\n",
            args.people, args.rate
        ))?;
        Ok(Stage {
            segment,
            webhook,
            observer,
            parts,
            curtain,
            _folder: folder,
        })
    }

    async fn play(self, args: &DemoArgs, stop: CancellationToken) -> anyhow::Result<ExitCode> {
        let Stage {
            segment,
            webhook,
            observer,
            mut parts,
            curtain,
            _folder,
        } = self;
        let mut watchers = JoinSet::new();
        let shown_one_in = u64::from(args.rate.get()).div_ceil(SHOWN_PER_SECOND);
        let (calls, samples) = (segment.subscribe(), observer.watch());
        watchers.spawn(show_calls(calls, shown_one_in, curtain.clone()));
        let mut timers = JoinSet::new();
        timers.spawn(measure(samples, curtain.clone()));

        let report = send(args, webhook, stop).await?;
        let arrived = segment.wait_for_calls(report.accepted, ARRIVAL_TIME).await;
        let recognised = recognise_all(&observer, report.repeats);
        // The account says how many were: it need not wait for ever.
        tokio::time::timeout(RECOGNITION_TIME, recognised)
            .await
            .ok();
        curtain.cancel();
        watchers.join_all().await;
        let latencies = timers.join_all().await.into_iter().flatten().collect();
        while let Some(part) = parts.join_next().await {
            part.context("a part of the demo died")??;
        }
        account(&report, &segment, &observer, latencies)?;
        let whole = arrived && report.accepted == report.sent;
        if !whole {
            print("\nNot everything arrived.")?;
        }
        Ok(if whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(EXIT_WRONG)
        })
    }
}

/// Waits until the indexer has recognised that many duplicates.
async fn recognise_all(observer: &Observer, repeats: u64) {
    let mut rounds = tokio::time::interval(Duration::from_millis(10));
    while observer.duplicates() < repeats {
        rounds.tick().await;
    }
}

async fn run_server(server: Server, doors: Doors, stop: CancellationToken) -> anyhow::Result<()> {
    server.run(Entrance::plain(doors), &stop).await.map(drop)
}

async fn run_segment(
    segment: Segment,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    segment
        .run(listener, stop)
        .await
        .context("the Segment stand-in stopped")
}

fn config(folder: &Path) -> anyhow::Result<Config> {
    let (journal, token) = (folder.join("journal"), folder.join("token"));
    std::fs::write(&token, "demo").context("cannot write to a temporary folder")?;
    let any_port = "listen = \"127.0.0.1:0\"";
    let text = format!(
        "[receive]\n{any_port}\n[console]\n{any_port}\ntoken_file = \"{}\"\n\
         [journal]\ndir = \"{}\"\n",
        token.display(),
        journal.display()
    );
    Config::parse(&text).context("the demo's config has mistakes")
}

/// The demo's connections, with secrets in files as everybody's should be.
fn document(folder: &Path, endpoint: &str) -> anyhow::Result<Written> {
    let (signing_key, write_key) = (folder.join("signing-key"), folder.join("write-key"));
    std::fs::write(&signing_key, SIGNING_KEY).context("cannot write to a temporary folder")?;
    std::fs::write(&write_key, WRITE_KEY).context("cannot write to a temporary folder")?;
    let text = format!(
        "[[workspace]]\nname = \"demo\"\nsigning_keys = [\"file:{}\"]\n\
         [[connection]]\nname = \"demo-segment\"\nworkspace = \"demo\"\n\
         write_key = \"file:{}\"\nendpoint = \"{endpoint}\"\n",
        signing_key.display(),
        write_key.display()
    );
    Written::parse(&text).context("the demo's connections have mistakes")
}

/// A campaign that has been going for hours, so that people open and click.
///
/// One that ends runs a second per event in its own time; an endless one keeps
/// to the clock.
fn campaign(args: &DemoArgs) -> anyhow::Result<impl Iterator<Item = Event> + use<>> {
    let (rate, n_events, ahead) = if args.once {
        (NonZeroU32::MIN, args.events, WARM_UP_EVENTS + args.events)
    } else {
        (args.rate, u64::MAX, WARM_UP_EVENTS)
    };
    let before = Duration::from_secs(ahead / u64::from(rate.get()));
    let start = Timestamp::now()
        .checked_sub(before)
        .context("the campaign is too long")?;
    let mut campaign = Campaign::new(args.seed, start);
    campaign.people = args.people;
    campaign.rate = rate;
    let warm_up = usize::try_from(WARM_UP_EVENTS).unwrap_or(usize::MAX);
    let n_events = usize::try_from(n_events).unwrap_or(usize::MAX);
    let mut events = campaign.into_iter();
    events.by_ref().take(warm_up).for_each(drop);
    Ok(events.take(n_events))
}

async fn send(args: &DemoArgs, webhook: String, stop: CancellationToken) -> anyhow::Result<Report> {
    let events = campaign(args)?;
    let sender = Sender {
        signing_key: Some(SigningKey::new(SIGNING_KEY)),
        rate: Some(args.rate),
        in_flight: IN_FLIGHT,
        repeat_percent: REPEAT_PERCENT,
        ..Sender::new(webhook)
    };
    sender
        .run(events, stop)
        .await
        .context("the simulated Customer.io cannot send")
}

/// Prints calls as the stand-in stores them.
async fn show_calls(
    mut calls: broadcast::Receiver<StoredCall>,
    one_in: u64,
    stop: CancellationToken,
) {
    let mut n_calls = 0;
    while let Some(received) = stop.run_until_cancelled(calls.recv()).await {
        match received {
            Ok(call) if n_calls % one_in == 0 => {
                n_calls += 1;
                if print(line(&call)).is_err() {
                    return; // nobody reads any more
                }
            }
            Ok(_) => n_calls += 1,
            Err(RecvError::Lagged(missed)) => n_calls += missed,
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(call: &StoredCall) -> String {
    let at = call.received_at().strftime("%H:%M:%S%.3f");
    let event = call.event().unwrap_or("-");
    let person = match call.user_id() {
        Some("") | None => "(no id)",
        Some(id) => id,
    };
    format!("{at}  {event:<32}  {person:<13}  {}", call.message_id())
}

/// Collects the time from receipt to acceptance.
async fn measure(
    mut samples: broadcast::Receiver<Sample>,
    stop: CancellationToken,
) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while let Some(received) = stop.run_until_cancelled(samples.recv()).await {
        match received {
            Ok(sample) if sample.end == End::Accepted && latencies.len() < MAX_LATENCIES => {
                let took = sample.ended_at.duration_since(sample.received_at);
                latencies.extend(Duration::try_from(took).ok());
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
    latencies
}

/// What came, what went, and how long it took.
fn account(
    report: &Report,
    segment: &Segment,
    observer: &Observer,
    mut latencies: Vec<Duration>,
) -> anyhow::Result<()> {
    let stats = segment.stats();
    let duplicates = observer.duplicates();
    print(format_args!(
        "\nreceived    {} events, {} of them again",
        report.accepted, report.repeats
    ))?;
    print(format_args!(
        "duplicates  {duplicates} recognised, none forwarded twice"
    ))?;
    print(format_args!(
        "stored      {} calls by the Segment stand-in",
        stats.calls
    ))?;
    let answers = &report.latency;
    print(format_args!(
        "answered    in {:.1?} (p50), {:.1?} (p99)",
        answers.p50(),
        answers.p99()
    ))?;
    latencies.sort_unstable();
    let quantile = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
        latencies.get(rank).copied().unwrap_or_default()
    };
    print(format_args!(
        "delivered   in {:.1?} (p50), {:.1?} (p99)",
        quantile(50),
        quantile(99)
    ))?;
    print("\ncalls by name")?;
    let mut names: Vec<_> = stats.events.iter().collect();
    names.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (name, n_calls) in names {
        print(format_args!("{n_calls:>8}  {name}"))?;
    }
    Ok(())
}
