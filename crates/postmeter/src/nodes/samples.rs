//! Samples across nodes: who watches one node sees what ends on the others.
//!
//! A node with watchers says so every other second. Those that heard it lately
//! tell what ends with them, a bounded number a second; how many more there were
//! is told as a number. Nobody watching costs nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::wire::moment;
use crate::observe::{End, Observer, Sample, SampleNode};
use crate::operator::Operator;

/// What a node with watchers says.
const WANTED: &str = "samples wanted";
/// What the others tell it then.
const TOLD: &str = "samples";
/// How often it is said.
const SAY_PAUSE: Duration = Duration::from_secs(2);
/// How long it is good for.
const WANTED_TIME: Duration = Duration::from_secs(5);
/// How often samples are told, and how many at a time: 200 a second.
const TELL_PAUSE: Duration = Duration::from_millis(250);
const SAMPLES_PER_TELL: usize = 50;

/// Samples on their way to another node.
#[derive(PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Telling {
    samples: Vec<Told>,
    /// How many there were beside these.
    left_out: u64,
}

/// A sample on its way.
#[derive(PartialEq, Debug, Serialize, Deserialize)]
struct Told {
    #[serde(with = "moment")]
    received_at: Timestamp,
    #[serde(with = "moment")]
    ended_at: Timestamp,
    connection: String,
    end: String,
}

/// Tells samples to nodes that want them, and shows theirs, until `stop`.
pub(crate) async fn share(operator: Operator, observer: Observer, stop: CancellationToken) {
    let mut words = operator.journal.listen();
    let mut sharing = Sharing {
        operator,
        observer,
        own: None,
        wanted_until: Instant::now(),
        telling: Telling::default(),
    };
    let (mut says, mut tells) = (interval(SAY_PAUSE), interval(TELL_PAUSE));
    loop {
        tokio::select! {
            word = words.recv() => match word {
                Ok(word) => sharing.hear(&word.topic, &word.body),
                Err(RecvError::Lagged(_)) => {}
                // There is nobody to hear.
                Err(RecvError::Closed) => return stop.cancelled().await,
            },
            sample = next(&mut sharing.own) => sharing.collect(sample),
            _ = says.tick() => sharing.say(),
            _ = tells.tick() => sharing.tell(),
            () = stop.cancelled() => return,
        }
    }
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

/// The next sample, while anybody wants one.
async fn next(own: &mut Option<Receiver<Sample>>) -> Result<Sample, RecvError> {
    match own {
        Some(own) => own.recv().await,
        None => std::future::pending().await,
    }
}

struct Sharing {
    operator: Operator,
    observer: Observer,
    /// This node's samples, while another wants them.
    own: Option<Receiver<Sample>>,
    wanted_until: Instant,
    telling: Telling,
}

impl Sharing {
    fn hear(&mut self, topic: &str, body: &[u8]) {
        match topic {
            WANTED => {
                self.wanted_until = Instant::now() + WANTED_TIME;
                self.own.get_or_insert_with(|| self.observer.watch());
            }
            TOLD => {
                // What a newer build says is not understood, and nothing is lost.
                let told: Telling = serde_json::from_slice(body).unwrap_or_default();
                self.observer.left_out(told.left_out);
                let samples = told.samples.into_iter().filter_map(Told::sample);
                samples.for_each(|sample| self.observer.relay(sample));
            }
            _ => {}
        }
    }

    fn collect(&mut self, sample: Result<Sample, RecvError>) {
        match sample {
            Ok(sample) if sample.node == SampleNode::Another => {}
            Ok(sample) if self.telling.samples.len() < SAMPLES_PER_TELL => {
                self.telling.samples.push(Told::of(&sample));
            }
            Ok(_) => self.telling.left_out += 1,
            Err(RecvError::Lagged(missed)) => self.telling.left_out += missed,
            Err(RecvError::Closed) => self.own = None,
        }
    }

    /// Says that samples are wanted here, if they are.
    fn say(&self) {
        let watchers = self.observer.watchers() - usize::from(self.own.is_some());
        if watchers > 0 {
            self.operator.journal.tell(WANTED, Bytes::new());
        }
    }

    fn tell(&mut self) {
        if self.own.is_some() && Instant::now() > self.wanted_until {
            self.own = None;
            self.telling = Telling::default();
        }
        if self.telling != Telling::default() {
            let telling = std::mem::take(&mut self.telling);
            let body = super::encode(&telling);
            self.operator.journal.tell(TOLD, body);
        }
    }
}

impl Told {
    fn of(sample: &Sample) -> Told {
        Told {
            received_at: sample.received_at,
            ended_at: sample.ended_at,
            connection: sample.connection.to_string(),
            end: sample.end.label().to_owned(),
        }
    }

    /// As a sample of another node; none where its end is not known here.
    fn sample(self) -> Option<Sample> {
        Some(Sample {
            received_at: self.received_at,
            ended_at: self.ended_at,
            connection: Arc::from(self.connection),
            end: End::labelled(&self.end)?,
            node: SampleNode::Another,
        })
    }
}
