//! How everything is doing, put together from the nodes' answers, the journal and
//! the history.

use connections::{Connection, Signature, Target, UnlockedConnection, UnlockedWorkspace};
use console::NotChanged;
use console::seen::{
    Assurance, AttemptSeen, ConnectionSeen, History, JournalSeen, KeySeen, NamesSeen, NodeSeen,
    Overview, Span, WorkspaceSeen, WorkspaceState,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{Desk, looking};
use crate::api::health;
use crate::history::Feed;
use crate::nodes::{self, Status};

impl Desk {
    pub(super) async fn see_all(&self) -> anyhow::Result<Overview> {
        let (statuses, unanswered) = nodes::statuses(&self.operator).await?;
        let gathered = nodes::nodes(&self.operator, &self.observer).await;
        let dead_letters = self.operator.journal.dead_letter_count().await;
        let now = Timestamp::now();
        let (workspaces, connections) = self.see_decided(&statuses, &unanswered, now).await?;
        Ok(Overview {
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            journal: self.see_journal(),
            workspaces,
            connections,
            dead_letters: looking(dead_letters, "cannot count the dead letters")?,
            warnings: self.operator.warnings(),
            nodes: gathered.answers.iter().map(node).collect(),
            unanswered: gathered.unanswered,
            assurance: self.see_assurance(),
        })
    }

    fn see_journal(&self) -> JournalSeen {
        let stats = self.operator.journal.stats();
        let (word, reason) = health(&stats.health);
        let partitions = stats.partitions.iter();
        let records = partitions.filter_map(|each| {
            let (first, last) = each.first.zip(each.last)?;
            Some((last.get() + 1).saturating_sub(first.get()))
        });
        JournalSeen {
            health: word.to_owned(),
            reason,
            bytes: stats.bytes,
            max_bytes: stats.max_bytes,
            retention_days: self.retention.as_secs() / 86_400,
            records: records.sum(),
        }
    }

    fn see_assurance(&self) -> Option<Assurance> {
        let watched = self.operator.journal.durability()?;
        let known = watched.borrow().clone();
        let sentences = |findings: &[journal::durability::Finding]| {
            let said = findings.iter();
            said.map(|each| format!("{}: {} ({})", each.about, each.what, each.loss))
                .collect()
        };
        Some(Assurance {
            durable: known.judgement.is_durable(),
            findings: sentences(&known.judgement.refused),
            accepted: sentences(&known.judgement.accepted),
            checked_at: known.checked_at,
        })
    }

    async fn see_decided(
        &self,
        statuses: &[Status],
        unanswered: &[String],
        now: Timestamp,
    ) -> anyhow::Result<(Vec<WorkspaceSeen>, Vec<ConnectionSeen>)> {
        let decided = self.operator.decided().borrow().clone();
        let intake = self.history.intake(now).await?;
        let (mut workspaces, mut connections) = (Vec::new(), Vec::new());
        for unlocked in &decided.workspaces {
            let name = unlocked.workspace.name.as_str();
            let mut seen = self.see_workspace(unlocked, intake.feed(name));
            let day = self.history.day(name, now).await?;
            seen.received_day = day.received;
            seen.duplicates_day = day.duplicates;
            seen.refused_day = day.refused;
            seen.rate_per_s = self.history.rate(name, now).await?;
            workspaces.push(seen);
        }
        for unlocked in &decided.connections {
            let id = &unlocked.connection.id;
            let Some(status) = statuses.iter().find(|each| each.connection.id == *id) else {
                continue;
            };
            let mut seen = see_connection(unlocked, status, unanswered);
            seen.rate_per_s = self.history.accepted_rate(id.as_str(), now).await?;
            seen.hour = self.history.hour(id.as_str(), now).await?;
            connections.push(seen);
        }
        Ok((workspaces, connections))
    }

    fn see_workspace(&self, unlocked: &UnlockedWorkspace, feed: Option<&Feed>) -> WorkspaceSeen {
        let decided = &unlocked.workspace;
        let name = decided.name.as_str();
        let written = match &decided.signature {
            Signature::Keys(keys) => keys.as_slice(),
            Signature::Off => &[],
        };
        let keys = unlocked.signing_keys.iter().zip(written);
        let keys = keys.map(|(key, written)| {
            let id = receive::SigningKey::new(key.reveal()).id().to_string();
            KeySeen {
                matched_at: feed.and_then(|feed| feed.keys.get(&id).copied()),
                id,
                written: written.to_string(),
                ends_with: key.last_four().to_owned(),
            }
        });
        WorkspaceSeen {
            name: name.to_owned(),
            state: feed.map_or(WorkspaceState::Silent, Feed::state),
            last_event_at: feed.and_then(|feed| feed.last_event_at),
            rate_per_s: 0.0,
            received_day: 0,
            duplicates_day: 0,
            refused_day: 0,
            last_refusal: feed
                .and_then(|feed| feed.last_refusal.as_ref())
                .map(|refused| refused.reason.clone()),
            signed: matches!(decided.signature, Signature::Keys(_)),
            keys: keys.collect(),
            names: self.see_names(unlocked),
        }
    }

    fn see_names(&self, unlocked: &UnlockedWorkspace) -> Option<NamesSeen> {
        let written = unlocked.workspace.app_api.as_ref()?;
        let api = unlocked.app_api.as_ref()?;
        let name = unlocked.workspace.name.as_str();
        let status = self.operator.names.status(name).unwrap_or_default();
        Some(NamesSeen {
            names: u64::try_from(status.names).unwrap_or(u64::MAX),
            refreshed_at: status.refreshed_at,
            last_error: status.last_error,
            written: written.key.to_string(),
            ends_with: api.key.last_four().to_owned(),
        })
    }

    pub(super) async fn see_history(&self, span: Span) -> anyhow::Result<History> {
        self.history.over(span, Timestamp::now()).await
    }

    /// Events per second over the last minute, of all workspaces.
    pub(super) async fn rate(&self) -> anyhow::Result<f64> {
        let now = Timestamp::now();
        let decided = self.operator.decided().borrow().clone();
        let mut rate = 0.0;
        for each in &decided.workspaces {
            rate += self.history.rate(each.workspace.name.as_str(), now).await?;
        }
        Ok(rate)
    }

    pub(super) fn read_names_again(&self, workspace: &str) -> Result<(), NotChanged> {
        if self.operator.names.refresh(workspace) {
            return Ok(());
        }
        let what = format!("names directory of workspace {workspace:?}");
        Err(NotChanged::Missing(what))
    }
}

fn node((member, report): &(nodes::Member, nodes::NodeReport)) -> NodeSeen {
    let feeds = report.feeds.iter().map(|(name, partitions)| {
        let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        format!("{name}: {}", partitions.join(", "))
    });
    NodeSeen {
        name: member.name.clone(),
        version: member.version.clone(),
        is_this: member.is_this,
        health: report.health.clone(),
        reason: report.reason.clone(),
        indexes: report.indexes.clone(),
        feeds: feeds.collect(),
    }
}

/// An attempt, as the nodes tell each other of it.
fn attempt(told: &Value) -> Option<AttemptSeen> {
    let text = |key: &str| told.get(key).and_then(Value::as_str);
    let status = told.get("status").and_then(Value::as_u64);
    Some(AttemptSeen {
        at: text("at")?.parse().ok()?,
        calls: told.get("calls").and_then(Value::as_u64).unwrap_or(0),
        status: status.and_then(|status| u16::try_from(status).ok()),
        answer: text("answer").or(text("failure")).unwrap_or("").to_owned(),
        duration_ms: told
            .get("duration_ms")
            .and_then(Value::as_f64)
            .unwrap_or(0.0),
    })
}

fn see_connection(
    unlocked: &UnlockedConnection,
    status: &Status,
    unanswered: &[String],
) -> ConnectionSeen {
    let Connection {
        name,
        id,
        label,
        workspace,
        target,
        options,
        ..
    } = &unlocked.connection;
    let (state, reason) = status.state(unanswered);
    let waiting = status.waiting.as_ref();
    ConnectionSeen {
        name: name.to_string(),
        id: id.to_string(),
        label: label.clone(),
        workspace: workspace.to_string(),
        region: match target {
            Target::Us => "US".to_owned(),
            Target::Eu => "EU".to_owned(),
            Target::Url(endpoint) => endpoint.host().to_owned(),
        },
        endpoint: target.endpoint().to_string(),
        write_key_ends_with: unlocked.write_key_ends_with.clone(),
        payload_version: options.payload_version.to_string(),
        state,
        reason,
        waiting_since: waiting.map(|waiting| waiting.since),
        retry_at: waiting.map(|waiting| waiting.retry_at),
        confirmed_at: status.confirmed_at,
        lag_records: status.lag.records,
        oldest_s: status.lag.oldest.as_secs_f64(),
        rate_per_s: 0.0,
        hour: vec![0; 60],
        attempts: status.attempts.iter().filter_map(attempt).collect(),
    }
}
