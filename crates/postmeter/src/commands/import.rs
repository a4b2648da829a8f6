//! `postmeter import`: history out of files, through a running server's journal.

mod file;
mod progress;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shape::Event;
use tokio::time::{Instant, sleep, sleep_until};

use self::file::{Line, Lines, Source};
use self::progress::Progress;
use super::ask::{Yes, agreed};
use super::{EXIT_WRONG, block_on, print, print_json, talk};
use crate::cli::{ImportArgs, Strictness};
use crate::client::{Client, Declined, Hinted};
use crate::import::{Begin, From};

/// What goes to the server in one request.
const CHUNK_EVENTS: usize = 500;
const CHUNK_BYTES: usize = 1024 * 1024;
/// How often a request is tried whose answer did not come, and the pause between.
const TRIES: u32 = 30;
const TRY_PAUSE: Duration = Duration::from_secs(1);
/// The pause when the server has no room for history.
const LATER_PAUSE: Duration = Duration::from_millis(500);
/// Bad lines that are told one by one.
const TOLD: u64 = 20;

pub(super) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let sources = args
        .files
        .iter()
        .map(|path| Source::of(path, &args.workspace));
    let sources: Vec<Source> = sources.collect::<anyhow::Result<_>>()?;
    let reports = if args.dry_run {
        sources
            .iter()
            .map(|source| examine(source, args))
            .collect::<anyhow::Result<_>>()?
    } else {
        block_on(import(&sources, args))?
    };
    for report in &reports {
        report.print(args)?;
    }
    if args.json {
        let each: Vec<Value> = reports.iter().map(Report::json).collect();
        print_json(&json!({ "files": each }))?;
    }
    let is_whole = reports.iter().all(|report| report.left_out == 0);
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_WRONG)
    })
}

/// What became of one file.
#[derive(Debug, Default)]
struct Report {
    name: String,
    /// Lines, empty ones too.
    lines: u64,
    /// Events that were stored by this run.
    stored: u64,
    /// Lines that an earlier run had stored.
    before: u64,
    /// Lines that are no event.
    left_out: u64,
    /// Events that nothing can be made of: they are stored, and become dead letters.
    unusable: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

impl Report {
    fn of(source: &Source) -> Report {
        Report {
            name: source.name.clone(),
            ..Report::default()
        }
    }

    fn print(&self, args: &ImportArgs) -> anyhow::Result<()> {
        if args.json {
            return Ok(());
        }
        let verb = if args.dry_run {
            "to store"
        } else {
            "stored now"
        };
        let mut parts = vec![
            format!("{} lines", self.lines),
            format!("{} events {verb}", self.stored),
        ];
        let counts = [
            (self.before, "lines stored by an earlier run"),
            (self.left_out, "lines left out"),
            (self.unusable, "events that will be dead letters"),
        ];
        let counts = counts.iter().filter(|(n, _)| *n > 0);
        parts.extend(counts.map(|(n, what)| format!("{n} {what}")));
        if let (Some(oldest), Some(newest)) = (self.oldest, self.newest) {
            parts.push(format!("from {oldest} to {newest}"));
        }
        print(format_args!("{}: {}", self.name, parts.join(", ")))
    }

    fn json(&self) -> Value {
        json!({
            "file": self.name,
            "lines": self.lines,
            "stored": self.stored,
            "stored_before": self.before,
            "left_out": self.left_out,
            "unusable": self.unusable,
            "oldest": self.oldest,
            "newest": self.newest,
        })
    }

    /// Takes note of an event's time and of whether anything can be made of it.
    fn look_at(&mut self, event: &[u8]) {
        match Event::parse(event) {
            Ok(event) => {
                let at = event.timestamp();
                self.oldest = self.oldest.into_iter().chain(at).min();
                self.newest = self.newest.into_iter().chain(at).max();
            }
            Err(_) => self.unusable += 1,
        }
    }
}

/// What a line is to an import.
enum Read<'l> {
    Event(&'l [u8]),
    Empty,
    LeftOut,
}

/// Reads lines, counts them, and tells of those that are no events.
struct Reader {
    lines: Lines,
    report: Report,
    strictness: Strictness,
}

impl Reader {
    fn of(source: &Source, args: &ImportArgs) -> anyhow::Result<Reader> {
        Ok(Reader {
            lines: source.lines()?,
            report: Report::of(source),
            strictness: args.bad_lines,
        })
    }

    fn next(&mut self) -> anyhow::Result<Option<Read<'_>>> {
        let Reader {
            lines,
            report,
            strictness,
        } = self;
        let at = report.lines + 1;
        let line = lines
            .next()
            .with_context(|| format!("cannot read {} behind line {}", report.name, report.lines))?;
        let Some(line) = line else { return Ok(None) };
        report.lines = at;
        let wrong = match line {
            Line::Empty => return Ok(Some(Read::Empty)),
            Line::TooLong => "it is longer than any event".to_owned(),
            Line::Event(event) => match check(event) {
                Ok(()) => {
                    report.look_at(event);
                    return Ok(Some(Read::Event(event)));
                }
                Err(wrong) => wrong,
            },
        };
        let place = format!("{}:{at}", report.name);
        if *strictness == Strictness::Stop {
            anyhow::bail!("{place}: {wrong}");
        }
        report.left_out += 1;
        if report.left_out <= TOLD {
            talk(format_args!("{place}: left out: {wrong}"));
        } else if report.left_out == TOLD + 1 {
            talk(format_args!(
                "{place}: left out, and more; the report counts them"
            ));
        }
        Ok(Some(Read::LeftOut))
    }
}

/// Whether a line is one JSON object, which every event is.
fn check(line: &[u8]) -> Result<(), String> {
    if line.first() != Some(&b'{') {
        return Err("it is no JSON object".to_owned());
    }
    let read = serde_json::from_slice::<IgnoredAny>(line);
    read.map(drop)
        .map_err(|error| format!("it is no JSON: {error}"))
}

/// Reads a file through without sending anything.
fn examine(source: &Source, args: &ImportArgs) -> anyhow::Result<Report> {
    let mut reader = Reader::of(source, args)?;
    loop {
        match reader.next()? {
            None => return Ok(reader.report),
            Some(Read::Empty | Read::LeftOut) => {}
            Some(Read::Event(_)) => reader.report.stored += 1,
        }
    }
}

async fn import(sources: &[Source], args: &ImportArgs) -> anyhow::Result<Vec<Report>> {
    let client = Client::find(&args.server)?;
    agree(&client, sources, args).await?;
    let mut reports = Vec::new();
    for source in sources {
        let sending = Sending {
            client: &client,
            source,
            args,
            chunk: Chunk::default(),
            stored: 0,
            begun: Instant::now(),
        };
        reports.push(sending.run().await?);
    }
    Ok(reports)
}

/// Asks before anything goes to Segment that nobody meant to send.
async fn agree(client: &Client, sources: &[Source], args: &ImportArgs) -> anyhow::Result<()> {
    let answer = client.get("/api/connections").await?;
    let all = answer.get("connections").and_then(Value::as_array);
    let of_it = all.into_iter().flatten().filter(|each| {
        let is = |key, wanted: &Value| each.get(key) == Some(wanted);
        is("workspace", &json!(args.workspace)) && is("enabled", &json!(true))
    });
    let names = of_it.filter_map(|each| each.get("name")?.as_str());
    let names: Vec<&str> = names.collect();
    let who = match names.as_slice() {
        [] => "no connection is enabled: nothing is sent until one is".to_owned(),
        names => format!("sent by {}", names.join(", ")),
    };
    let files: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let what = format!(
        "import {} into workspace {}; {who}",
        files.join(", "),
        args.workspace
    );
    if args.yes {
        talk(what);
        return Ok(());
    }
    let is_agreed = agreed(&format!("{what}. Go on?"), Yes::Short)?;
    anyhow::ensure!(is_agreed, "nothing was imported");
    Ok(())
}

/// Lines that go to the server together.
#[derive(Default)]
struct Chunk {
    after: u64,
    through: u64,
    n_events: usize,
    body: Vec<u8>,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.n_events >= CHUNK_EVENTS || self.body.len() >= CHUNK_BYTES
    }

    fn push(&mut self, event: &[u8]) {
        self.body.extend_from_slice(event);
        self.body.push(b'\n');
        self.n_events += 1;
    }
}

/// One file on its way.
struct Sending<'a> {
    client: &'a Client,
    source: &'a Source,
    args: &'a ImportArgs,
    chunk: Chunk,
    /// Events that were stored by this run.
    stored: u64,
    begun: Instant,
}

impl Sending<'_> {
    async fn run(mut self) -> anyhow::Result<Report> {
        let mut reader = Reader::of(self.source, self.args)?;
        let mut through = self.begin(self.args.from).await?;
        let before = through;
        let mut progress = Progress::of(self.source.bytes);
        let chunk_events = self.chunk_events();
        loop {
            let read = reader.next()?;
            let is_end = read.is_none();
            let at = if is_end {
                through.max(self.chunk.through)
            } else {
                self.chunk.through + 1
            };
            if let Some(Read::Event(event)) = read
                && at > through
            {
                self.chunk.push(event);
            }
            self.chunk.through = at;
            let is_due = self.chunk.is_full() || self.chunk.n_events >= chunk_events || is_end;
            if is_due && self.chunk.through > through {
                self.chunk.after = through;
                through = self.send().await?;
            }
            progress.tell(reader.lines.read_bytes(), self.stored);
            if is_end {
                break;
            }
        }
        progress.end();
        let end = json!({ "source": self.source.id });
        self.client.post_json("/api/import/finish", &end).await?;
        Ok(Report {
            stored: self.stored,
            before: before.min(reader.report.lines),
            ..reader.report
        })
    }

    /// How many events go at once, so that the rate is kept evenly.
    fn chunk_events(&self) -> usize {
        usize::try_from(self.args.rate.get() / 4)
            .unwrap_or(CHUNK_EVENTS)
            .clamp(1, CHUNK_EVENTS)
    }

    /// Through which line everything is stored.
    async fn begin(&self, from: From) -> anyhow::Result<u64> {
        let begin = Begin {
            source: self.source.id.clone(),
            workspace: self.args.workspace.clone(),
            name: self.source.name.clone(),
            from,
        };
        let answer = self.client.post_json("/api/import/begin", &begin).await?;
        line(&answer)
    }

    /// Sends the chunk until it is stored; says through which line everything is.
    async fn send(&mut self) -> anyhow::Result<u64> {
        let chunk = std::mem::take(&mut self.chunk);
        let path = format!(
            "/api/import/lines?source={}&after={}&through={}",
            self.source.id, chunk.after, chunk.through
        );
        let (mut failures, mut was_told) = (0, None);
        loop {
            match self.client.post_bytes(&path, chunk.body.clone()).await {
                Ok(answer) => match answer.get("later").and_then(Value::as_str) {
                    None => break,
                    Some(why) => {
                        if was_told.as_deref() != Some(why) {
                            talk(format_args!("waiting: {why}"));
                            was_told = Some(why.to_owned());
                        }
                        sleep(LATER_PAUSE).await;
                    }
                },
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    failures += 1;
                    if failures == TRIES {
                        return Err(error.context(Hinted {
                            what: format!("gave up behind line {}", chunk.after),
                            hint: "run it again when the server is well: it goes on where it was",
                        }));
                    }
                    if failures == 1 {
                        talk(format_args!("trying again: {error:#}"));
                    }
                    sleep(TRY_PAUSE).await;
                    // It may have arrived although the answer did not.
                    let through = self.begin(From::Behind).await;
                    if through.is_ok_and(|through| through >= chunk.through) {
                        break;
                    }
                }
            }
        }
        self.stored += u64::try_from(chunk.n_events).unwrap_or(u64::MAX);
        self.chunk.through = chunk.through;
        self.keep_to_the_rate().await;
        Ok(chunk.through)
    }

    async fn keep_to_the_rate(&self) {
        let seconds = self.stored.to_string().parse::<f64>().unwrap_or_default()
            / f64::from(self.args.rate.get());
        sleep_until(self.begun + Duration::from_secs_f64(seconds)).await;
    }
}

/// Whether trying again is in vain.
fn is_final(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Declined>()
        .is_some_and(|Declined(answer)| {
            let said = answer.get("error").and_then(Value::as_str);
            said.is_none_or(|said| !said.starts_with("cannot"))
        })
}

fn line(answer: &Value) -> anyhow::Result<u64> {
    let through = answer.get("through").and_then(Value::as_u64);
    through.context("the server does not say how far the import is")
}
