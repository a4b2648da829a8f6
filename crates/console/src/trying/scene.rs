//! What a trial shows: a server at one moment, made up, in plain fields.

use std::sync::Arc;

use connections::{Connection, Connections, Edit, Written};
use jiff::{Timestamp, ToSpan as _};
use journal::{Partition, Place, Seq};
use tokio::sync::Notify;

use crate::seen::{
    AttemptSeen, AuditLine, CallSeen, Came, Channel, ConnectionSeen, Difference, Enabling,
    Explained, History, JournalSeen, LetterSeen, Letters, LineState, NodeSeen, Origin, Outcome,
    Overview, Preview, ReplayAsked, ReplayCounts, ReplayPreview, ReplaySample, ReplaySeen,
    ReplayState, Row, RowEnd, RowKind, Told, WorkspaceSeen, WorkspaceState,
};

/// Markup that must never reach a page as markup.
pub(crate) const HOSTILE: &str =
    "<script>alert('\u{202e}x')</script><img src=x onerror=alert(1)>\"'&";

/// What a [`Trial`] shows and has been asked. Change the fields before a request.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) document: String,
    pub(crate) overview: Overview,
    pub(crate) history: Option<History>,
    pub(crate) rows: Vec<Row>,
    pub(crate) explained: Option<Explained>,
    /// A record that was erased, and when.
    pub(crate) erased: Option<(Place, Timestamp)>,
    pub(crate) previews: Vec<Preview>,
    pub(crate) letters: Letters,
    pub(crate) letter_list: Vec<LetterSeen>,
    pub(crate) replays: Vec<ReplaySeen>,
    /// Below which letter an action has to go on.
    pub(crate) letters_left: Option<u64>,
    /// Where older events are than the newest rows.
    pub(crate) older: Option<String>,
    pub(crate) audit: Vec<AuditLine>,
    pub(crate) trouble: Option<String>,
    pub(crate) mistakes: Vec<String>,
    /// Notified when the process stops.
    pub(crate) stop: Arc<Notify>,
    /// What was asked to be done, a line each.
    pub(crate) done: Vec<String>,
    /// The edits among that.
    pub(crate) edits: Vec<(Edit, Enabling)>,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

fn ago(seconds: i64) -> Timestamp {
    now() - seconds.seconds()
}

pub(crate) fn place(seq: u64) -> Place {
    Place::new(Partition::new(0), Seq::new(seq))
}

/// An event that was opened, accepted by one connection.
pub(crate) fn row(seq: u64) -> Row {
    Row {
        place: place(seq),
        received_at: ago(5),
        came: Came::Live,
        workspace: "acme".to_owned(),
        kind: RowKind::Event,
        name: "Email Opened".to_owned(),
        channel: Channel::Email,
        person: Some("42".to_owned()),
        email: None,
        event_id: Some("01E4C8BES5XT87ZWRJFTB35YJ3".to_owned()),
        delivery_id: Some("RPILAgABcRhIBqSp7kiP".to_owned()),
        ends: vec![RowEnd {
            connection: "acme-production".to_owned(),
            outcome: Outcome::Accepted {
                took_ms: Some(218.0),
            },
        }],
    }
}

pub(crate) fn attempt(status: u16) -> AttemptSeen {
    AttemptSeen {
        at: ago(4),
        calls: 162,
        status: Some(status),
        answer: "{\"success\": true}".to_owned(),
        duration_ms: 91.0,
    }
}

pub(crate) fn connection(name: &str, state: LineState) -> ConnectionSeen {
    ConnectionSeen {
        name: name.to_owned(),
        id: format!("id-of-{name}"),
        label: None,
        workspace: "acme".to_owned(),
        region: "US".to_owned(),
        endpoint: "https://api.segment.io".to_owned(),
        write_key_ends_with: "2345".to_owned(),
        payload_version: "2.0.0".to_owned(),
        state,
        reason: None,
        waiting_since: None,
        retry_at: None,
        confirmed_at: Some(ago(86_400)),
        lag_records: 0,
        oldest_s: 0.0,
        rate_per_s: 812.0,
        hour: vec![3; 60],
        attempts: vec![attempt(200)],
    }
}

pub(crate) fn call() -> CallSeen {
    CallSeen {
        event: "Email Opened".to_owned(),
        message_id: "pm-k5v2x7n4mq3d6tjc1wz8hb0ryf".to_owned(),
        json: "{\"type\":\"track\",\"event\":\"Email Opened\",\"userId\":\"42\"}".to_owned(),
        notes: Vec::new(),
    }
}

pub(crate) fn explained(seq: u64) -> Explained {
    Explained {
        row: row(seq),
        body: "{\"event_id\":\"01E4C8BES5XT87ZWRJFTB35YJ3\",\"object_type\":\"email\",\
               \"metric\":\"opened\",\"data\":{\"identifiers\":{\"id\":\"42\"}}}"
            .to_owned(),
        body_bytes: 110,
        happened_at: Some(ago(60)),
        signed_by: Some("9f3c0a11".to_owned()),
        key: None,
        repeats: Vec::new(),
        told: vec![Told {
            connection: "acme-production".to_owned(),
            connection_id: "id-of-acme-production".to_owned(),
            outcome: Outcome::Accepted {
                took_ms: Some(218.0),
            },
            options: "as they are now".to_owned(),
            payload_version: "2.0.0".to_owned(),
            call: Some(call()),
            first: None,
            attempts: vec![attempt(200)],
            endpoint: "https://api.segment.io".to_owned(),
        }],
    }
}

/// A replay that is half through.
pub(crate) fn replay(number: u64) -> ReplaySeen {
    ReplaySeen {
        number,
        connection: "acme-production".to_owned(),
        filter: "channel:email".to_owned(),
        rate_per_s: 200,
        asked_at: ago(600),
        asked_through: Origin::Console,
        state: ReplayState::Running,
        reason: None,
        ended_at: None,
        worked_s: 500.0,
        records: 200_000,
        examined: 100_000,
        counts: ReplayCounts {
            sent: 90_002,
            accepted: 90_001,
            refused: 1,
            not_asked: 9_998,
            ..ReplayCounts::default()
        },
        first_record: Some("1".to_owned()),
        last_record: Some("99998".to_owned()),
        done_at: Some(now() + 600.seconds()),
        notes: Vec::new(),
    }
}

/// What a replay would do.
pub(crate) fn preview(asked: &ReplayAsked) -> ReplayPreview {
    ReplayPreview {
        connection: asked.connection.clone(),
        filter: asked.filter.clone(),
        rate_per_s: asked.rate_per_s.unwrap_or(ReplayAsked::USUAL_RATE),
        records: 4_000,
        examined: 4_000,
        complete: true,
        looked_through: Some(ago(5)),
        calls: 3_000,
        calls_about: 3_000,
        takes_s: 15,
        counts: ReplayCounts {
            not_asked: 1_000,
            ..ReplayCounts::default()
        },
        warnings: vec!["3000 of these calls are of events that came long ago".to_owned()],
        samples: vec![ReplaySample {
            row: row(1),
            call: call(),
            sent_before: true,
            differences: vec![Difference {
                field: "event".to_owned(),
                before: Some("\"Mail Read\"".to_owned()),
                now: Some("\"Email Opened\"".to_owned()),
            }],
        }],
    }
}

impl Scene {
    /// One workspace, one connection that is up to date, one event.
    pub(crate) fn busy() -> Scene {
        let mut scene = Scene::empty();
        scene.document = "[[workspace]]\nname = \"acme\"\nsigning_keys = [\"env:ACME_KEY\"]\n\n\
             [[connection]]\nname = \"acme-production\"\nid = \"abcdefghijklmnop\"\n\
             workspace = \"acme\"\nwrite_key = \"env:ACME_WRITE_KEY\"\n"
            .to_owned();
        scene.overview.workspaces = vec![WorkspaceSeen {
            name: "acme".to_owned(),
            state: WorkspaceState::Sending,
            last_event_at: Some(ago(1)),
            rate_per_s: 812.0,
            received_day: 2_481_190,
            duplicates_day: 318,
            refused_day: 0,
            last_refusal: None,
            signed: true,
            keys: Vec::new(),
            names: None,
        }];
        scene.overview.connections = vec![connection("acme-production", LineState::UpToDate)];
        scene.rows = vec![row(2), row(1)];
        scene.explained = Some(explained(2));
        scene
    }

    /// A server that was just started for the first time.
    pub(crate) fn empty() -> Scene {
        Scene {
            document: String::new(),
            overview: Overview {
                at: now(),
                version: "0.0.0".to_owned(),
                journal: JournalSeen {
                    health: "healthy".to_owned(),
                    reason: None,
                    bytes: 3_100_000_000,
                    max_bytes: 20_000_000_000,
                    retention_days: 30,
                    records: 18_204_117,
                },
                workspaces: Vec::new(),
                connections: Vec::new(),
                dead_letters: 0,
                warnings: Vec::new(),
                nodes: vec![NodeSeen {
                    name: "this server".to_owned(),
                    version: "0.0.0".to_owned(),
                    is_this: true,
                    health: "healthy".to_owned(),
                    reason: None,
                    indexes: vec![0],
                    feeds: Vec::new(),
                }],
                unanswered: Vec::new(),
                assurance: None,
            },
            history: None,
            rows: Vec::new(),
            explained: None,
            erased: None,
            previews: Vec::new(),
            letters: Letters::default(),
            letter_list: Vec::new(),
            replays: Vec::new(),
            letters_left: None,
            older: None,
            audit: vec![AuditLine {
                at: ago(3_600),
                origin: Origin::Start,
                what: "+ connection acme-production".to_owned(),
            }],
            trouble: None,
            mistakes: Vec::new(),
            stop: Arc::default(),
            done: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// The first connection that is decided.
    pub(crate) fn connection(&self) -> Connection {
        self.decided().connections()[0].clone()
    }

    pub(super) fn decided(&self) -> Connections {
        let written = Written::parse(&self.document).expect("the scene's document is valid");
        let decided = written.settle_ids(&Connections::default());
        decided.expect("there is randomness")
    }
}
