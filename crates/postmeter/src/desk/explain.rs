//! Everything about one event: what it is, and why each connection did with it
//! what it did.
//!
//! Almost nothing of that is written down anywhere. Shaping is pure, so the call
//! is made again from the record and the options of then; cursors, claims, dead
//! letters and the traces of batches say the rest.

use connections::{Connection, Options, Signature};
use console::seen::{AttemptSeen, CallSeen, Explained, KeySeen, Outcome, Told};
use jiff::Timestamp;
use journal::{DeadLetterFilter, Place, Record, Term, TermKind, Verdict};
use shape::{Call, Content, Event, Mapping, SendFrequency, Shaped};

use super::look::Glance;
use super::{Desk, looking, since};
use crate::pipeline::trace::BatchTrace;
use crate::pipeline::{keys, shelf};
use crate::replay::traced_as;

/// Traces of one record that are looked at: it was sent again that often.
const TRACES: usize = 8;
/// Dead letters that are looked through for the one of a record.
const LETTERS: usize = 1_000;
/// Records with the same event that are shown.
const REPEATS: usize = 100;

/// What became of a record on one connection, with how that is known.
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) call: Option<Call>,
    first: Option<Place>,
    options: OptionsOf,
    traces: Vec<BatchTrace>,
}

/// What is known of a record before a connection is asked.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// None where it is not indexed yet.
    pub(super) verdict: Option<Verdict>,
    /// The replay that is looked away from: what was before it is asked for.
    pub(super) but: Option<u64>,
}

/// A record that is the first with its event, before one connection.
#[derive(Clone, Copy)]
struct Case<'c> {
    record: &'c Record,
    connection: &'c Connection,
    reach: Reach,
}

/// Whether a connection is done with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Settled,
    Open,
}

/// The options that a record was shaped with, or would be.
struct OptionsOf {
    options: Options,
    /// Since when they were used, where they are those of a trace.
    since: Option<Timestamp>,
}

impl Desk {
    /// Everything about a record; none where it is not kept.
    pub(super) async fn explain_record(&self, place: Place) -> anyhow::Result<Option<Explained>> {
        let Some(glance) = self.glance_at(place).await? else {
            return Ok(None);
        };
        let mut told = Vec::new();
        for connection in self.connections_of(&glance.record.workspace) {
            let judged = self
                .judge(&glance.record, glance.verdict, &connection)
                .await?;
            told.push(tell(&connection, judged));
        }
        let repeats = self.repeats_of(&glance).await?;
        let Glance {
            mut row, record, ..
        } = glance;
        row.ends = told
            .iter()
            .map(|told| console::seen::RowEnd {
                connection: told.connection.clone(),
                outcome: told.outcome.clone(),
            })
            .collect();
        let event = Event::parse(&record.body).ok();
        Ok(Some(Explained {
            row,
            body: String::from_utf8_lossy(&record.body).into_owned(),
            body_bytes: u64::try_from(record.body.len()).unwrap_or(u64::MAX),
            happened_at: event.and_then(|event| event.timestamp()),
            key: self.key_of(&record),
            signed_by: record.signed_by,
            repeats,
            told,
        }))
    }

    /// Later records that bear the same event.
    async fn repeats_of(&self, glance: &Glance) -> anyhow::Result<Vec<Place>> {
        let Some(event_id) = &glance.row.event_id else {
            return Ok(Vec::new());
        };
        let term = Term {
            kind: TermKind::EventId,
            value: event_id.clone(),
        };
        let bearers = self.operator.journal.look_up(&term, REPEATS).await;
        let mut repeats = Vec::new();
        for place in looking(bearers, "cannot look for repeats")? {
            let verdict = self.operator.journal.verdict(place).await;
            if looking(verdict, "cannot read a verdict")?
                == Some(Verdict::DuplicateOf(glance.record.place))
            {
                repeats.push(place);
            }
        }
        repeats.sort_unstable();
        Ok(repeats)
    }

    /// The key that verified a record, where it is still one of its workspace's.
    fn key_of(&self, record: &Record) -> Option<KeySeen> {
        let signed_by = record.signed_by.as_deref()?;
        let decided = self.operator.decided();
        let decided = decided.borrow();
        let mut workspaces = decided.workspaces.iter();
        let found =
            workspaces.find(|each| each.workspace.name.as_str() == record.workspace.as_str())?;
        let Signature::Keys(written) = &found.workspace.signature else {
            return None;
        };
        let mut keys = found.signing_keys.iter().zip(written);
        keys.find_map(|(key, written)| {
            let id = receive::SigningKey::new(key.reveal()).id().to_string();
            (id == signed_by).then(|| KeySeen {
                id,
                written: written.to_string(),
                ends_with: key.last_four().to_owned(),
                matched_at: None,
            })
        })
    }

    /// What became of a record on a connection.
    pub(super) async fn judge(
        &self,
        record: &Record,
        verdict: Option<Verdict>,
        connection: &Connection,
    ) -> anyhow::Result<Judged> {
        let known = Known { verdict, but: None };
        self.judge_known(record, known, connection).await
    }

    /// The same, as far as what is known says.
    pub(super) async fn judge_known(
        &self,
        record: &Record,
        known: Known,
        connection: &Connection,
    ) -> anyhow::Result<Judged> {
        let Known { verdict, but } = known;
        let id = connection.id.as_str();
        let traces = self.traces_of(record.place, id, but).await?;
        let cursor = self.operator.journal.cursor(id, record.place.partition);
        let cursor = looking(cursor.await, "cannot read a cursor")?;
        let reach = match cursor {
            Some(cursor) if cursor >= record.place.seq => Reach::Settled,
            Some(_) | None => Reach::Open,
        };
        let options = self.options_of(connection, &traces).await;
        let mut judged = Judged {
            outcome: Outcome::Waiting {
                reason: "it was received a moment ago".to_owned(),
            },
            call: None,
            first: None,
            options,
            traces,
        };
        match verdict {
            None => {}
            Some(Verdict::DuplicateOf(of)) => {
                judged.outcome = skipped(format!("a repeat of record {of}"));
            }
            Some(Verdict::First) => {
                let case = Case {
                    record,
                    connection,
                    reach,
                };
                self.judge_first(&mut judged, case).await?;
            }
        }
        Ok(judged)
    }

    /// What was tried with a record, by its feed and by replays but one, in the
    /// order in which it ended.
    async fn traces_of(
        &self,
        place: Place,
        id: &str,
        but: Option<u64>,
    ) -> anyhow::Result<Vec<BatchTrace>> {
        let mut owners = vec![id.to_owned()];
        let replays = self.operator.replays.all().await?;
        let replays = replays.iter().filter(|kept| {
            let is_other = Some(kept.job.number) != but;
            is_other && kept.job.connection == id && kept.has_passed(place)
        });
        owners.extend(replays.map(|kept| traced_as(id, kept.job.number)));
        let mut traces = Vec::new();
        for owner in owners {
            let found = self.operator.journal.traces(&owner, place, TRACES).await;
            let found = looking(found, "cannot read what was tried")?.into_iter();
            let decoded = found.filter_map(|trace| BatchTrace::decode(trace.value));
            traces.extend(decoded.filter(|trace| trace.is_for(place.seq)));
        }
        traces.sort_by_key(|trace| trace.ended_at);
        Ok(traces)
    }

    async fn options_of(&self, connection: &Connection, traces: &[BatchTrace]) -> OptionsOf {
        if let Some(trace) = traces.last()
            && let Some((options, since)) = shelf::find(&self.operator.journal, trace.options).await
            && options != connection.options
        {
            return OptionsOf {
                options,
                since: Some(since),
            };
        }
        OptionsOf {
            options: connection.options.clone(),
            since: None,
        }
    }

    /// The outcome of a record that is the first with its event.
    async fn judge_first(&self, judged: &mut Judged, case: Case<'_>) -> anyhow::Result<()> {
        let Case {
            record,
            connection,
            reach,
        } = case;
        let Ok(event) = Event::parse(&record.body) else {
            judged.outcome = Outcome::Buried {
                letter: self.letter_of(None, record.place).await?,
                reason: "nothing can be made of it".to_owned(),
            };
            return Ok(());
        };
        let options = judged.options.options.of(&connection.id);
        let call = match self.shaped(&event, record, &options) {
            Shaped::Call(call) => call,
            Shaped::Skip(skip) => {
                judged.outcome = skipped(skip.to_string());
                return Ok(());
            }
            Shaped::Bury(burial) => {
                judged.outcome = if reach == Reach::Settled {
                    Outcome::Buried {
                        letter: self
                            .letter_of(Some(connection.id.as_str()), record.place)
                            .await?,
                        reason: burial.to_string(),
                    }
                } else {
                    self.waits(connection)
                };
                return Ok(());
            }
        };
        self.judge_call(judged, case, &call).await?;
        judged.call = Some(call);
        Ok(())
    }

    /// The outcome of a record that became a call.
    async fn judge_call(
        &self,
        judged: &mut Judged,
        case: Case<'_>,
        call: &Call,
    ) -> anyhow::Result<()> {
        let Case {
            record,
            connection,
            reach,
        } = case;
        let id = connection.id.as_str();
        if let SendFrequency::First(_) = judged.options.options.send_frequency
            && let Some(occurrence) = &call.occurrence
        {
            let key = keys::of_occurrence(occurrence);
            let partition = record.place.partition;
            let claims = self
                .operator
                .journal
                .first_claims(id, partition, &[key])
                .await;
            let claims = looking(claims, "cannot read first-only claims")?;
            judged.first = claims.into_iter().next().flatten();
            if let Some(first) = judged.first.filter(|first| *first != record.place) {
                judged.outcome = skipped(format!("because record {first} was first"));
                return Ok(());
            }
        }
        if reach == Reach::Open {
            judged.outcome = self.waits(connection);
            return Ok(());
        }
        let seq = record.place.seq;
        judged.outcome = match judged.traces.last() {
            Some(trace) if trace.refused.contains(&seq) => Outcome::Buried {
                letter: self.letter_of(Some(id), record.place).await?,
                reason: refusal(trace),
            },
            Some(last) => {
                let mut traces = judged.traces.iter();
                // Sent again by a replay, it is there since the first time.
                let first = traces.find(|trace| !trace.refused.contains(&seq));
                let ended_at = first.unwrap_or(last).ended_at;
                Outcome::Accepted {
                    took_ms: Some(since(record.received_at, ended_at).as_secs_f64() * 1_000.0),
                }
            }
            None => self.passed(connection, record).await?,
        };
        Ok(())
    }

    /// What a connection that has no trace of a settled record did with it.
    async fn passed(&self, connection: &Connection, record: &Record) -> anyhow::Result<Outcome> {
        let id = Some(connection.id.as_str());
        if let Some(letter) = self.letter_of(id, record.place).await? {
            return Ok(Outcome::Buried {
                letter: Some(letter),
                reason: "its dead letter says why".to_owned(),
            });
        }
        Ok(Outcome::Passed {
            reason: "the connection went past it without sending it: it began later, was \
                     enabled from a later event, or its options of then left the event out"
                .to_owned(),
        })
    }

    /// Why a record is not settled yet.
    fn waits(&self, connection: &Connection) -> Outcome {
        let reason = if !connection.enabled {
            "the connection is disabled".to_owned()
        } else if connection.paused {
            "the connection is paused".to_owned()
        } else {
            let line = self.operator.running.line(&connection.id);
            let condition = line.map(|line| line.outbox.condition().borrow().clone());
            match condition {
                Some(dispatch::Condition::Waiting { reason, since, .. }) => {
                    format!("{reason}, since {since:.0}")
                }
                Some(dispatch::Condition::Flowing) | None => "it is on its way".to_owned(),
            }
        };
        Outcome::Waiting { reason }
    }

    /// The dead letter of a record, among the newest of its connection.
    async fn letter_of(
        &self,
        connection: Option<&str>,
        place: Place,
    ) -> anyhow::Result<Option<u64>> {
        let filter = DeadLetterFilter {
            connection: connection.map(str::to_owned),
            after: None,
            limit: LETTERS,
        };
        let letters = self.operator.journal.dead_letters(filter).await;
        let letters = looking(letters, "cannot read the dead letters")?;
        let mut letters = letters.into_iter();
        let found = letters.find(|found| {
            found.letter.place == place && found.letter.connection.as_deref() == connection
        });
        Ok(found.map(|found| found.id.get()))
    }
}

fn skipped(reason: String) -> Outcome {
    Outcome::Skipped { reason }
}

fn refusal(trace: &BatchTrace) -> String {
    let answered = trace.attempts.iter().rev();
    let mut refusals = answered.filter(|each| matches!(each.status, Some(400 | 413 | 422)));
    match refusals.next() {
        Some(attempt) => format!("Segment answered {}", attempt.status.unwrap_or_default()),
        None => "Segment refused it".to_owned(),
    }
}

fn tell(connection: &Connection, judged: Judged) -> Told {
    let Judged {
        outcome,
        call,
        first,
        options,
        traces,
    } = judged;
    let OptionsOf {
        options,
        since: used_since,
    } = options;
    Told {
        connection: connection.name.to_string(),
        connection_id: connection.id.to_string(),
        outcome,
        options: match used_since {
            None => "as they are now".to_owned(),
            Some(at) => format!("in use since {}", at.strftime("%-d %B %Y, %H:%M UTC")),
        },
        payload_version: options.payload_version.to_string(),
        call: call.map(|call| call_seen(&call)),
        first,
        attempts: traces.iter().flat_map(attempts).collect(),
        endpoint: connection.target.endpoint().to_string(),
    }
}

/// A call, as pages show it.
pub(crate) fn call_seen(call: &Call) -> CallSeen {
    let mut notes = Vec::new();
    if call.mapping == Mapping::Unmapped {
        notes.push("its kind is unknown to this version; its name is made by rule".to_owned());
    }
    if call.content == Content::Truncated {
        notes.push("its content was cut to fit into 32 KB".to_owned());
    }
    CallSeen {
        event: call.name.clone(),
        message_id: call.message_id.clone(),
        json: call.json.clone(),
        notes,
    }
}

fn attempts(trace: &BatchTrace) -> impl Iterator<Item = AttemptSeen> {
    trace.attempts.iter().map(|tried| AttemptSeen {
        at: tried.at,
        calls: u64::from(tried.calls),
        status: tried.status,
        answer: tried.text.clone(),
        duration_ms: f64::from(tried.took_us) / 1_000.0,
    })
}
