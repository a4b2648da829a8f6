//! `postmeter migrate`: a stopped server's journal goes into that of a running node.
//!
//! Reads the old journal and sends it, in order, to the node's private listener;
//! what the node does with it is in [`crate::carry`]. Whatever breaks off is sent
//! again: the same event twice is a duplicate there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use connections::{Connections, Settings};
use journal::{Config, DeadLetter, DeadLetterFilter, Indexed, Journal, Partition, Place};
use journal::{ReadLimit, Seq, Verdict};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{block_on, print, print_json, start_logging, talk, until_signal};
use crate::carry::{Begin, CarriedLetter, Chunk, Finish, Letters, PastedSecrets};
use crate::cli::MigrateArgs;
use crate::client::{Client, Hinted};
use crate::duties::Work as _;
use crate::observe::Observer;
use crate::pipeline::indexer::Indexer;

/// The old journal's setting with its name.
const NAME: &str = "migration/name";
/// What is sent at a time.
const CHUNK: ReadLimit = ReadLimit {
    records: 2_000,
    bytes: 4 * 1024 * 1024,
};
/// The most bytes of a letter: one setting of a cluster holds it.
const MAX_LETTER_BYTES: usize = 700 * 1024;
/// Letters that are sent at a time.
const LETTERS: usize = 100;
/// How often in a row a chunk may fail, and the pause in between.
const TRIES: u32 = 120;
const TRY_PAUSE: Duration = Duration::from_millis(500);
/// How often somebody who waits is told how far it is.
const TELL_PAUSE: Duration = Duration::from_secs(2);

pub(super) fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    start_logging("warn");
    let client = Client::find(&args.server)?;
    let Some(from) = &args.from else {
        block_on(client.post("/api/migration/abandon"))?;
        talk("given up: connections go on with what has arrived");
        return Ok(ExitCode::SUCCESS);
    };
    anyhow::ensure!(
        from.join("FORMAT").exists(),
        "there is no journal in {}",
        from.display()
    );
    block_on(until_signal(|stop| async move {
        let moving = Box::pin(carry_over(from, &client));
        let moved = stop.run_until_cancelled(moving).await;
        let moved = moved.context("stopped; run it again and it goes on where it was")??;
        report(&moved, args)?;
        Ok(ExitCode::SUCCESS)
    }))
}

/// What was carried over.
struct Moved {
    records: u64,
    damaged: u64,
    letters: u64,
    /// Letters that stay behind, each with its reason.
    left_behind: Vec<String>,
    took: Duration,
}

async fn carry_over(from: &Path, client: &Client) -> anyhow::Result<Moved> {
    let begun = Instant::now();
    let old = Old::open(from).await?;
    let begin = old.begin().await?;
    let owners = old.connections.clone();
    let through = begin_again(client, &begin).await?;
    let mut sending = Sending {
        client,
        old: &old,
        begin: &begin,
        told_at: Instant::now(),
        records: 0,
        damaged: 0,
    };
    sending.records_after(through).await?;
    let (records, damaged) = (sending.records, sending.damaged);
    let letters = old.letters(&owners).await?;
    let mut counts = BTreeMap::new();
    for (owner, each) in &letters.each {
        for (n, part) in each.chunks(LETTERS).enumerate() {
            let part = Letters {
                owner: owner.clone(),
                first: u32::try_from(n * LETTERS + 1).context("too many dead letters")?,
                each: part.to_vec(),
            };
            client.post_json("/api/migration/letters", &part).await?;
        }
        counts.insert(owner.clone(), u32::try_from(each.len())?);
    }
    let n_letters = counts.values().copied().map(u64::from).sum();
    let finish = Finish { letters: counts };
    client.post_json("/api/migration/finish", &finish).await?;
    old.journal
        .close()
        .await
        .context("cannot close the old journal")?;
    Ok(Moved {
        records,
        damaged,
        letters: n_letters,
        left_behind: letters.left_behind,
        took: begun.elapsed(),
    })
}

async fn begin_again(client: &Client, begin: &Begin) -> anyhow::Result<u64> {
    let answer = client.post_json("/api/migration/begin", begin).await?;
    let through = answer.get("through").and_then(Value::as_u64);
    through.context("the node does not say what has arrived")
}

/// The journal of the stopped server.
struct Old {
    journal: Journal,
    connections: Connections,
    first: Seq,
    last: Seq,
}

/// Dead letters that go along, by the connection that buries them.
#[derive(Default)]
struct Packed {
    each: BTreeMap<String, Vec<CarriedLetter>>,
    left_behind: Vec<String>,
}

impl Old {
    /// Opens it and lets its index catch up, so that it knows its duplicates.
    async fn open(dir: &Path) -> anyhow::Result<Old> {
        let journal = Journal::open(Config::new(dir)).await.context(Hinted {
            what: "cannot open the old journal".to_owned(),
            hint: "stop the server that uses it first",
        })?;
        let partition = Partition::ZERO;
        let last = journal.durable(partition).borrow().unwrap_or(Seq::ZERO);
        let indexer = Indexer {
            journal: journal.clone(),
            observer: Observer::new()?,
            partition,
        };
        let mut indexed = journal.indexed(partition);
        let never = CancellationToken::new();
        tokio::select! {
            ended = indexer.run(&never) => ended.context("cannot index the old journal")?,
            caught_up = indexed.wait_for(|indexed| indexed.unwrap_or(Seq::ZERO) >= last) => {
                caught_up.context("the old journal is closed")?;
            }
        }
        let stats = journal.stats();
        let first = stats
            .partitions
            .first()
            .and_then(|partition| partition.first);
        let settings = Settings::of(journal.clone());
        let (connections, _) = settings.load().await?;
        Ok(Old {
            journal,
            connections,
            first: first.unwrap_or(last.next()),
            last,
        })
    }

    async fn begin(&self) -> anyhow::Result<Begin> {
        let settings = Settings::of(self.journal.clone());
        let (mut cursors, mut confirmed) = (BTreeMap::new(), BTreeMap::new());
        for connection in self.connections.connections() {
            let id = connection.id.to_string();
            let cursor = self.journal.cursor(&id, Partition::ZERO).await?;
            cursors.insert(id.clone(), cursor.unwrap_or(Seq::ZERO).get());
            if let Some(at) = settings.confirmed(connection).await? {
                confirmed.insert(id, at.to_string());
            }
        }
        Ok(Begin {
            journal: self.name().await?,
            document: self.connections.to_toml(),
            cursors,
            confirmed,
            last: self.last.get(),
            secrets: PastedSecrets::of(&settings.kept_secrets(&self.connections).await?),
        })
    }

    /// The old journal's name for itself, which it is given when it is carried over
    /// for the first time: nobody must take another for the rest of it.
    async fn name(&self) -> anyhow::Result<String> {
        if let Some(name) = self.journal.setting(NAME).await? {
            return String::from_utf8(name.value.to_vec()).context("its name is damaged");
        }
        let random = getrandom::u64().context("the system has no randomness for a name")?;
        let name = format!("{random:016x}");
        let value = name.clone().into();
        let put = self.journal.put_setting(NAME, value, None).await;
        put.context("cannot give the old journal a name")?;
        Ok(name)
    }

    /// The records behind `after`, as many as fit into one chunk; none when there
    /// are no more. Tells how many were damaged.
    async fn chunk(&self, after: u64) -> anyhow::Result<Option<(Chunk, u64)>> {
        let from = Place::new(Partition::ZERO, Seq::new(after).next());
        let page = self.journal.read_indexed(from, CHUNK).await;
        let page = page.context("cannot read the old journal")?;
        let (mut drafts, mut through, mut damaged) = (Vec::new(), after, 0);
        for indexed in page {
            match indexed {
                Indexed::Record { record, verdict } => {
                    through = record.place.seq.get();
                    let origin = self.origin(record.place.seq, verdict);
                    drafts.push(Chunk::draft(record, origin));
                }
                Indexed::Erased(tombstone) => through = tombstone.place.seq.get(),
                Indexed::Damaged { first, last } => {
                    damaged += last.get() - first.get() + 1;
                    through = last.get();
                }
            }
        }
        let chunk = Chunk {
            after,
            through,
            drafts,
        };
        Ok((through > after).then_some((chunk, damaged)))
    }

    /// A record whose first bearer is trimmed looks like a first one there. It is
    /// not to be sent by anybody, as if it had been there before all others.
    fn origin(&self, seq: Seq, verdict: Verdict) -> Seq {
        match verdict {
            Verdict::DuplicateOf(first) if first.seq < self.first => Seq::ZERO,
            Verdict::DuplicateOf(_) | Verdict::First => seq,
        }
    }

    /// Every dead letter, oldest first, but those that the index makes anew.
    async fn letters(&self, owners: &Connections) -> anyhow::Result<Packed> {
        let enabled = owners.connections().iter().find(|each| each.enabled);
        let heir = enabled.map(|each| each.id.to_string());
        let known = |id: &String| {
            let mut each = owners.connections().iter();
            each.any(|each| each.enabled && each.id.as_str() == id)
        };
        let mut packed = Packed::default();
        for DeadLetter { id, letter } in self.all_letters().await?.into_iter().rev() {
            if letter.connection.is_none() && letter.place.seq >= self.first {
                continue;
            }
            let owner = letter
                .connection
                .clone()
                .filter(known)
                .or_else(|| heir.clone());
            let bytes = letter.body.len() + letter.call.as_ref().map_or(0, bytes::Bytes::len);
            match owner {
                None => packed
                    .left_behind
                    .push(format!("{id}: no connection is enabled")),
                Some(_) if bytes * 4 / 3 > MAX_LETTER_BYTES => {
                    packed
                        .left_behind
                        .push(format!("{id}: its {bytes} bytes are too many"));
                }
                Some(owner) => {
                    let letters = packed.each.entry(owner).or_default();
                    letters.push(CarriedLetter::of(&letter));
                }
            }
        }
        Ok(packed)
    }

    async fn all_letters(&self) -> anyhow::Result<Vec<DeadLetter>> {
        let mut all: Vec<DeadLetter> = Vec::new();
        loop {
            let filter = DeadLetterFilter {
                connection: None,
                after: all.last().map(|letter| letter.id),
                limit: 1_000,
            };
            let page = self.journal.dead_letters(filter).await;
            let page = page.context("cannot read the old dead letters")?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}

/// Sends records until all have arrived.
struct Sending<'a> {
    client: &'a Client,
    old: &'a Old,
    begin: &'a Begin,
    told_at: Instant,
    records: u64,
    damaged: u64,
}

impl Sending<'_> {
    async fn records_after(&mut self, mut through: u64) -> anyhow::Result<()> {
        let mut failures = 0;
        while let Some((chunk, damaged)) = self.old.chunk(through).await? {
            let path = "/api/migration/records";
            match self.client.post_bytes(path, chunk.encode()).await {
                Ok(_) => {
                    failures = 0;
                    through = chunk.through;
                    self.records += chunk.drafts.len() as u64;
                    self.damaged += damaged;
                    self.tell(through);
                }
                Err(error) => {
                    failures += 1;
                    if failures == TRIES {
                        return Err(error.context(Hinted {
                            what: format!("gave up behind record {through}"),
                            hint: "run it again when the node is well: it goes on where it was",
                        }));
                    }
                    if failures == 1 {
                        talk(format_args!("trying again: {error:#}"));
                    }
                    tokio::time::sleep(TRY_PAUSE).await;
                    // It may have arrived although the answer did not.
                    through = begin_again(self.client, self.begin)
                        .await
                        .unwrap_or(through);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, through: u64) {
        if self.told_at.elapsed() >= TELL_PAUSE {
            self.told_at = Instant::now();
            talk(format_args!("record {through} of {}", self.begin.last));
        }
    }
}

fn report(moved: &Moved, args: &MigrateArgs) -> anyhow::Result<()> {
    let seconds = moved.took.as_secs_f64();
    if args.json {
        return print_json(&json!({
            "records": moved.records,
            "damaged": moved.damaged,
            "dead_letters": moved.letters,
            "left_behind": moved.left_behind,
            "seconds": seconds,
        }));
    }
    print(format_args!("{} records in {seconds:.1} s", moved.records))?;
    print(format_args!("{} dead letters", moved.letters))?;
    if moved.damaged > 0 {
        print(format_args!(
            "{} records were damaged and stay behind",
            moved.damaged
        ))?;
    }
    for letter in &moved.left_behind {
        print(format_args!("dead letter {letter}, and stays behind"))?;
    }
    Ok(())
}
