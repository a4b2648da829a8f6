//! Making decisions, and taking up those that other nodes have made.
//!
//! A decision counts once the journal's settings have it. Two nodes that decide
//! at once cannot both win: the later one decides anew from what the earlier one
//! has left.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connections::{Change, Connections, Edit, Mistakes, SaveError, Secrets, Unlocked};
use connections::{UnlockedWorkspace, Written};
use console::seen::Origin;
use journal::{PutError, Revision, Seq};
use receive::{Signature, SigningKey, Workspace};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Operator;
use crate::cli::EnableFrom;
use crate::secrets::environment;

/// How often a decision is made anew because another node was faster.
const DECISIONS: usize = 3;
/// The pause before what could not be taken up is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Why a document was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// It has mistakes, or names secrets that cannot be read.
    #[error("the connections have mistakes")]
    Mistakes(#[from] Mistakes),
    /// Other nodes change them at the same time, again and again.
    #[error("other nodes have changed the connections meanwhile: look at them and apply again")]
    Conflict,
    /// It is fine, and the server could not do it.
    #[error("cannot apply the connections")]
    Failed(#[from] anyhow::Error),
}

/// What applying a document changed, or would change.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) changes: Vec<Change>,
    pub(crate) warnings: Vec<String>,
}

/// Whether a decision takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apply {
    /// Only say what would change.
    DryRun,
    /// Do it; connections that become enabled begin here.
    Now(EnableFrom),
}

/// What somebody wants to be decided.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// All of this, and nothing else.
    Document(Written),
    /// One thing other than it is.
    Edit(Box<Edit>),
}

impl From<Written> for Wanted {
    fn from(written: Written) -> Wanted {
        Wanted::Document(written)
    }
}

impl From<Edit> for Wanted {
    fn from(edit: Edit) -> Wanted {
        Wanted::Edit(Box::new(edit))
    }
}

/// Whether what other nodes decided is in effect here.
enum Caught {
    Up,
    Behind,
}

/// Takes up what other nodes decide, until `stop`.
pub(crate) async fn follow(operator: Operator, stop: CancellationToken) {
    let mut settings = operator.journal.watch_settings();
    while !stop.is_cancelled() {
        settings.borrow_and_update();
        let caught = operator.catch_up().await;
        tokio::select! {
            changed = settings.changed() => if changed.is_err() {
                stop.cancelled().await; // the journal is closed
            },
            () = tokio::time::sleep(RETRY_PAUSE), if matches!(caught, Caught::Behind) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Operator {
    /// Takes up what the journal's settings say.
    pub(crate) async fn reload(&self) -> Result<Vec<String>, ApplyError> {
        let mut decided = self.deciding.lock().await;
        let (connections, revision) = self.load().await?;
        self.take_up(&mut decided, &connections, revision).await
    }

    async fn take_up(
        &self,
        decided: &mut Option<Revision>,
        connections: &Connections,
        revision: Option<Revision>,
    ) -> Result<Vec<String>, ApplyError> {
        let unlocked = self.unlock(connections).await?;
        let warnings = unlocked.warnings.clone();
        *decided = revision;
        self.publish(unlocked);
        Ok(warnings)
    }

    /// Reads every secret that `connections` name, those in the journal too.
    async fn unlock(&self, connections: &Connections) -> Result<Unlocked, ApplyError> {
        let kept = self.settings.kept_secrets(connections).await;
        let kept = kept.context("cannot read the secrets that the journal keeps")?;
        Ok(connections.unlock(Secrets {
            environment: &environment,
            kept: &kept,
        })?)
    }

    /// What is decided, whether it is in effect here or not.
    pub(crate) async fn load(&self) -> anyhow::Result<(Connections, Option<Revision>)> {
        self.settings.load().await.context("cannot load them")
    }

    /// Takes up what another node has decided since. What cannot be taken up here
    /// is told once and kept as a warning; the decisions before it stay.
    async fn catch_up(&self) -> Caught {
        let trouble = match self.reload_changed().await {
            Ok(()) => None,
            Err(error) => Some(format!(
                "what another node has decided is not in effect here: {:#}",
                anyhow::Error::from(error)
            )),
        };
        let is_new = self.trouble.send_replace(trouble.clone()) != trouble;
        match trouble {
            None => Caught::Up,
            Some(trouble) => {
                if is_new {
                    error!("{trouble}");
                }
                Caught::Behind
            }
        }
    }

    async fn reload_changed(&self) -> Result<(), ApplyError> {
        let mut decided = self.deciding.lock().await;
        let (connections, newest) = self.load().await?;
        if newest != *decided {
            self.take_up(&mut decided, &connections, newest).await?;
            info!("connections: another node has changed them");
        }
        Ok(())
    }

    /// Makes what is wanted the decisions, or says what that would change; what
    /// it changed is noted in the audit list.
    pub(crate) async fn apply(
        &self,
        wanted: impl Into<Wanted>,
        how: Apply,
        origin: Origin,
    ) -> Result<Applied, ApplyError> {
        let wanted = wanted.into();
        let applied = {
            let mut decided = self.deciding.lock().await;
            self.decide(&mut decided, &wanted, how).await?
        };
        if let Apply::Now(_) = how {
            let changes = applied.changes.iter().map(ToString::to_string);
            self.audit.note(origin, changes.collect()).await;
        }
        Ok(applied)
    }

    async fn decide(
        &self,
        decided: &mut Option<Revision>,
        wanted: &Wanted,
        how: Apply,
    ) -> Result<Applied, ApplyError> {
        for _ in 1..DECISIONS {
            match self.try_apply(decided, wanted, how).await {
                // Another node was faster: what it decided is the old now.
                Err(ApplyError::Conflict) => {}
                applied => return applied,
            }
        }
        self.try_apply(decided, wanted, how).await
    }

    async fn try_apply(
        &self,
        decided: &mut Option<Revision>,
        wanted: &Wanted,
        how: Apply,
    ) -> Result<Applied, ApplyError> {
        let (current, revision) = self.load().await?;
        let written = match wanted {
            Wanted::Document(written) => written.clone(),
            Wanted::Edit(edit) => current.edited(edit)?,
        };
        let next = written.settle_ids(&current);
        let next = next.context("no randomness for an id")?;
        let unlocked = self.unlock(&next).await?;
        let applied = Applied {
            changes: current.changes_to(&next),
            warnings: unlocked.warnings.clone(),
        };
        if let Apply::Now(enable_from) = how {
            self.place_cursors(&current, &next, enable_from).await?;
            *decided = if applied.changes.is_empty() {
                revision
            } else {
                let saved = self.settings.save(&next, revision).await;
                Some(saved.map_err(not_kept)?)
            };
            self.publish(unlocked);
            self.forget_the_removed(&current, &next).await?;
            if let Err(error) = self.settings.drop_secrets(&current, &next).await {
                // The decision stands; a secret that nobody names opens nothing here.
                let error = anyhow::Error::from(error);
                warn!("a secret that is used no more could not be erased: {error:#}");
            }
        }
        Ok(applied)
    }

    /// A new connection begins with the next event. One that becomes enabled
    /// begins where it stopped, or with the next event.
    async fn place_cursors(
        &self,
        current: &Connections,
        next: &Connections,
        enable_from: EnableFrom,
    ) -> anyhow::Result<()> {
        for connection in next.connections() {
            let known = current
                .connections()
                .iter()
                .find(|known| known.id == connection.id);
            let resumes = known.is_some_and(|known| !known.enabled && connection.enabled);
            let from_now = known.is_none() || resumes && enable_from == EnableFrom::Now;
            if known.is_none() && self.journal.has_lost_cursors() {
                // Nobody knows what it had settled: at least once is the promise.
                warn!(
                    "connection {} begins with the first record that is kept, since the cursors \
                     are lost: Segment knows what it had already by its message ids, if the \
                     connection's id is the one it had",
                    connection.name
                );
                continue;
            }
            for partition in self.journal.partitions().filter(|_| from_now) {
                let newest = self
                    .journal
                    .durable(partition)
                    .borrow()
                    .unwrap_or(Seq::ZERO);
                let id = connection.id.as_str();
                let placed = self.journal.place_cursor(id, partition, newest).await;
                placed.context("cannot place a cursor")?;
            }
        }
        Ok(())
    }

    async fn forget_the_removed(
        &self,
        current: &Connections,
        next: &Connections,
    ) -> anyhow::Result<()> {
        for removed in current.connections() {
            if !next
                .connections()
                .iter()
                .any(|stays| stays.id == removed.id)
            {
                let forgotten = self.journal.forget_connection(removed.id.as_str()).await;
                forgotten.context("cannot forget a removed connection")?;
            }
        }
        Ok(())
    }

    fn publish(&self, unlocked: Unlocked) {
        // Before any feed starts on it, so that its first page has names too.
        self.names.take_up(&unlocked);
        let workspaces = unlocked.workspaces.iter().map(workspace).collect();
        self.workspaces.send_replace(Arc::new(workspaces));
        self.decided.send_replace(Arc::new(unlocked));
    }
}

fn not_kept(error: SaveError) -> ApplyError {
    match error {
        SaveError::Write(PutError::Conflict { .. }) => ApplyError::Conflict,
        error => ApplyError::Failed(anyhow::Error::from(error).context("cannot keep the new")),
    }
}

fn workspace(unlocked: &UnlockedWorkspace) -> Workspace {
    let decided = &unlocked.workspace;
    let keys = || {
        unlocked
            .signing_keys
            .iter()
            .map(|key| SigningKey::new(key.reveal()))
            .collect()
    };
    Workspace {
        name: decided.name.as_str().into(),
        signature: match decided.signature {
            connections::Signature::Keys(_) => Signature::Keys(keys()),
            connections::Signature::Off => Signature::Off,
        },
        timestamp_tolerance: decided.timestamp_tolerance,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use journal::{Config, Journal};
    use tempfile::TempDir;
    use tokio::task::JoinSet;

    use super::*;

    /// Two nodes that share a journal, in a folder with secrets.
    struct Pair {
        one: Operator,
        other: Operator,
        folder: TempDir,
    }

    impl Pair {
        async fn new() -> Pair {
            let folder = TempDir::new().unwrap();
            let config = Config::for_tests(folder.path().join("journal"));
            let journal = Journal::open(config).await.unwrap();
            let operator = || Operator::of(journal.clone(), dispatch::Policy::default());
            Pair {
                one: operator(),
                other: operator(),
                folder,
            }
        }

        fn document(&self, connections: &[&str]) -> Written {
            let workspace = "[[workspace]]\nname = \"acme\"\nsignature = \"off\"\n";
            let connection = |name: &&str| {
                let key = secret(self.folder.path(), name);
                std::fs::write(&key, "abcdefghijklmnopqrstuvwxyz012345").unwrap();
                format!(
                    "[[connection]]\nname = \"{name}\"\nworkspace = \"acme\"\n\
                     write_key = \"file:{}\"\n",
                    key.display()
                )
            };
            let connections: String = connections.iter().map(connection).collect();
            Written::parse(&format!("{workspace}{connections}")).unwrap()
        }
    }

    fn secret(folder: &Path, name: &str) -> std::path::PathBuf {
        folder.join(format!("{name}.key"))
    }

    const NOW: Apply = Apply::Now(EnableFrom::Backlog);

    #[tokio::test]
    async fn what_one_node_decides_the_other_takes_up() {
        let pair = Pair::new().await;
        let (mut decided, stop) = (pair.other.decided(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(pair.other.clone(), stop.clone()));
        pair.one
            .apply(pair.document(&["eu"]), NOW, Origin::Api)
            .await
            .unwrap();
        let taken_up = decided.wait_for(|decided| !decided.connections.is_empty());
        tokio::time::timeout(Duration::from_mins(1), taken_up)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(pair.other.connections(), pair.one.connections());
        stop.cancel();
        tasks.join_all().await;
    }

    #[tokio::test]
    async fn what_cannot_be_taken_up_is_a_warning_and_leaves_what_was_before() {
        let pair = Pair::new().await;
        pair.one
            .apply(pair.document(&["eu"]), NOW, Origin::Api)
            .await
            .unwrap();
        pair.other.reload().await.unwrap();
        let both = pair.document(&["eu", "us"]);
        pair.one.apply(both, NOW, Origin::Api).await.unwrap();

        let key = secret(pair.folder.path(), "us");
        std::fs::remove_file(&key).unwrap();
        assert!(matches!(pair.other.catch_up().await, Caught::Behind));
        assert_eq!(pair.other.connections().len(), 1);
        let warnings = pair.other.warnings().join("\n");
        assert!(warnings.contains("us.key"), "{warnings}");

        std::fs::write(&key, "abcdefghijklmnopqrstuvwxyz012345").unwrap();
        assert!(matches!(pair.other.catch_up().await, Caught::Up));
        assert_eq!(pair.other.connections().len(), 2);
        let warnings = pair.other.warnings().join("\n");
        assert!(!warnings.contains("us.key"), "{warnings}");
    }

    #[tokio::test]
    async fn a_pasted_secret_works_on_every_node_until_nothing_names_it() {
        let pair = Pair::new().await;
        let settings = connections::Settings::of(pair.one.journal.clone());
        let kept = settings.keep_secret("abcdefghijklmnopqrstuvwxyz012345");
        let kept = kept.await.unwrap();
        let document = |key: &str| {
            let text = format!(
                "[[workspace]]\nname = \"acme\"\nsignature = \"off\"\n\
                 [[connection]]\nname = \"eu\"\nworkspace = \"acme\"\nwrite_key = \"{key}\"\n"
            );
            Written::parse(&text).unwrap()
        };
        let named = document(&kept.to_string());
        pair.one
            .apply(named.clone(), NOW, Origin::Api)
            .await
            .unwrap();
        assert!(matches!(pair.other.catch_up().await, Caught::Up));
        let unlocked = pair.other.decided().borrow().connections[0].clone();
        let write_key = unlocked.destination.write_key.expose().to_owned();
        assert_eq!(write_key, "abcdefghijklmnopqrstuvwxyz012345");

        let file = secret(pair.folder.path(), "eu");
        std::fs::write(&file, write_key).unwrap();
        let moved = document(&format!("file:{}", file.display()));
        pair.one.apply(moved, NOW, Origin::Api).await.unwrap();
        let refused = pair.one.apply(named, NOW, Origin::Api).await;
        assert!(
            matches!(refused, Err(ApplyError::Mistakes(_))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn two_nodes_that_start_with_one_file_agree_on_the_ids() {
        let pair = Pair::new().await;
        let document = || pair.document(&["eu", "us"]);
        let one = pair.one.apply(document(), NOW, Origin::Api);
        let (one, other) = tokio::join!(one, pair.other.apply(document(), NOW, Origin::Api));
        one.unwrap();
        other.unwrap();
        pair.one.reload().await.unwrap();
        assert_eq!(pair.one.connections(), pair.other.connections());
    }
}
