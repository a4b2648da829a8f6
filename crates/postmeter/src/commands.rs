//! One file per command. Data goes to stdout, talk to stderr.

mod apply;
mod ask;
mod check;
mod cluster;
mod completions;
mod connections;
mod dead_letters;
mod demo;
mod doctor;
mod emulate_app_api;
mod emulate_customerio;
mod emulate_segment;
mod events;
mod explain;
mod export;
mod forget;
mod import;
mod migrate;
mod nodes;
mod replay;
mod send_test;
mod serve;
mod shape;
mod table;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use ::connections::Mistakes;
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, EmulatorCommand};
use crate::client::{Declined, Hinted};

/// It ran, and something is wrong.
const EXIT_WRONG: u8 = 1;
/// It did not run, because of how it was asked.
const EXIT_MISTAKE: u8 = 2;

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Shape(args) => shape::run(args),
        Command::SendTest(args) => send_test::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Connections(args) => connections::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Cluster(args) => cluster::run(&args.command),
        Command::Nodes(args) => nodes::run(&args),
        Command::Events(args) => events::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::DeadLetters(args) => dead_letters::run(args),
        Command::Forget(args) => forget::run(&args),
        Command::Replay(args) => replay::run(args),
        Command::Emulator(args) => match args.command {
            EmulatorCommand::Segment(args) => emulate_segment::run(args),
            EmulatorCommand::Customerio(args) => emulate_customerio::run(&args),
            EmulatorCommand::AppApi(args) => emulate_app_api::run(&args),
        },
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Prints the error with its causes, and says how the process ends.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS; // whoever read our output has had enough
    }
    tell(error);
    let asked_wrongly = error.chain().any(<dyn std::error::Error>::is::<Mistakes>)
        || error
            .downcast_ref::<Declined>()
            .is_some_and(|said| said.0.get("mistakes").is_some());
    ExitCode::from(if asked_wrongly {
        EXIT_MISTAKE
    } else {
        EXIT_WRONG
    })
}

/// Prints what failed and why on one line, and below it the mistakes of a
/// document, each on its own, and one thing to try.
fn tell(error: &anyhow::Error) {
    let causes = error.chain().filter(|cause| !cause.is::<Mistakes>());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    talk(format_args!("error: {}", causes.join(": ")));
    if let Some(mistakes) = error
        .chain()
        .find_map(<dyn std::error::Error>::downcast_ref::<Mistakes>)
    {
        mistakes
            .iter()
            .for_each(|mistake| talk(format_args!("  {mistake}")));
    }
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        talk(format_args!("hint: {}", hinted.hint));
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().map(io::Error::kind)
    };
    error
        .chain()
        .any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}

/// Writes a line of data.
fn print(line: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{line}").context("cannot write to stdout")
}

/// Writes a line of talk. Nothing can be done when even that fails.
fn talk(line: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Prints a value as JSON that people can read too.
fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(serde_json::to_string_pretty(value).context("cannot write JSON")?)
}

/// Logs to stderr: `RUST_LOG` decides what, by default what operators want.
fn start_logging(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// Runs asynchronous work on as many threads as there are cores.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.context("cannot start the runtime")?.block_on(work)
}

/// Runs asynchronous work with a token that the first signal cancels.
async fn until_signal<T, F: Future<Output = anyhow::Result<T>>>(
    work: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<T> {
    let mut signals = tokio::task::JoinSet::new();
    let stop = crate::serve::stop_on_signal(&mut signals)?;
    let done = work(stop).await;
    signals.abort_all();
    done
}
