//! Does what one node at a time may do, whenever this node is the one.
//!
//! A duty is taken, worked at until it is over or the server stops, given back,
//! and asked for again, for as long as it takes: giving up would look like being
//! idle. What the work is, and where its results go, the work knows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use journal::{Duty, Journal, StateError, Tenure};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// The pause before work that ended too early is begun again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long the same cause is not told again.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// Work that one node at a time does.
pub(crate) trait Work: Sync {
    /// What must be held while it is done.
    fn duty(&self) -> Duty;

    /// What it is, in words for a log.
    fn name(&self) -> String;

    /// Does it until `stop`, then finishes what is in hand. Beginning again is
    /// safe, here or on another node, however it ended.
    fn run(&self, stop: &CancellationToken) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// The duties that this node holds. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Duties {
    journal: Journal,
    held: Arc<Mutex<BTreeSet<Duty>>>,
}

impl Duties {
    /// None yet, of this journal.
    pub(crate) fn of(journal: Journal) -> Duties {
        Duties {
            journal,
            held: Arc::default(),
        }
    }

    /// What this node does now.
    pub(crate) fn held(&self) -> BTreeSet<Duty> {
        self.lock().clone()
    }

    /// Does the work whenever its duty is this node's, until `stop`.
    pub(crate) async fn perform(&self, work: &impl Work, stop: &CancellationToken) {
        let duty = work.duty();
        let mut told = Told::default();
        while let Some(taken) = stop.run_until_cancelled(self.journal.take(&duty)).await {
            let ended = match taken {
                Ok(tenure) => self.tend(tenure, work, stop).await,
                Err(error) => Err(error).context("cannot take it up"),
            };
            let Err(error) = ended else { continue };
            told.report(&work.name(), &error);
            let pause = tokio::time::sleep(RESTART_PAUSE);
            stop.run_until_cancelled(pause).await;
        }
    }

    /// Works until the work ends, which `stop` and the end of the tenure make it
    /// do; gives the duty back only then.
    async fn tend(
        &self,
        mut tenure: Tenure,
        work: &impl Work,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let _noted = self.note(work.duty());
        let leave = stop.child_token();
        let mut working = std::pin::pin!(work.run(&leave));
        tokio::select! {
            biased;
            ended = &mut working => return ended,
            () = tenure.over() => info!("{} goes to another node", work.name()),
        }
        leave.cancel();
        working.await
    }

    fn note(&self, duty: Duty) -> Noted<'_> {
        self.lock().insert(duty.clone());
        Noted { duties: self, duty }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Duty>> {
        // Changed in single steps, so whole whatever its last holder died of.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A duty on the list of those that are held, until this is dropped.
struct Noted<'d> {
    duties: &'d Duties,
    duty: Duty,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.duties.lock().remove(&self.duty);
    }
}

/// Why work ended that was told last, and when: what fails the same way every
/// second is told once in a while.
#[derive(Default)]
struct Told(Option<(String, Instant)>);

impl Told {
    fn report(&mut self, name: &str, error: &anyhow::Error) {
        if is_superseded(error) {
            info!("{name} is another node's work now");
            return;
        }
        let cause = format!("{error:#}");
        let last = self.0.as_ref();
        let is_old = last.is_some_and(|(told, at)| *told == cause && at.elapsed() < TELL_AGAIN);
        if !is_old {
            error!("{name} stopped and starts again: {cause}");
            self.0 = Some((cause, Instant::now()));
        }
    }
}

/// Whether another node has taken over, which is how a cluster is meant to work.
pub(crate) fn is_superseded(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause| matches!(cause, StateError::Superseded))
}

#[cfg(test)]
mod tests {
    use journal::{Config, Partition};
    use tempfile::TempDir;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    use super::*;

    /// Says when it begins and when it ends; fails when it is told to.
    struct Saying {
        begun: mpsc::Sender<BTreeSet<Duty>>,
        duties: Duties,
        fail: CancellationToken,
    }

    impl Work for Saying {
        fn duty(&self) -> Duty {
            Duty::Index(Partition::ZERO)
        }

        fn name(&self) -> String {
            "a test".to_owned()
        }

        async fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
            self.begun.send(self.duties.held()).await?;
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                () = self.fail.cancelled() => anyhow::bail!("told to"),
            }
        }
    }

    async fn journal() -> (TempDir, Journal) {
        let folder = TempDir::new().unwrap();
        let journal = Journal::open(Config::for_tests(folder.path())).await;
        (folder, journal.unwrap())
    }

    #[tokio::test]
    async fn a_duty_is_on_the_list_exactly_while_its_work_goes_on() {
        let (_folder, journal) = journal().await;
        let duties = Duties::of(journal);
        let (begun, mut begins) = mpsc::channel(9);
        let (stop, fail) = (CancellationToken::new(), CancellationToken::new());
        let work = Saying {
            begun,
            duties: duties.clone(),
            fail,
        };
        let mut tasks = JoinSet::new();
        let (working, until) = (duties.clone(), stop.clone());
        tasks.spawn(async move { working.perform(&work, &until).await });
        let held = begins.recv().await.unwrap();
        assert_eq!(held, BTreeSet::from([Duty::Index(Partition::ZERO)]));
        stop.cancel();
        tasks.join_all().await;
        assert_eq!(duties.held(), BTreeSet::new());
    }

    #[tokio::test]
    async fn work_that_failed_is_begun_again() {
        let (_folder, journal) = journal().await;
        let duties = Duties::of(journal);
        let (begun, mut begins) = mpsc::channel(9);
        let (stop, fail) = (CancellationToken::new(), CancellationToken::new());
        let work = Saying {
            begun,
            duties: duties.clone(),
            fail: fail.clone(),
        };
        let mut tasks = JoinSet::new();
        let until = stop.clone();
        tasks.spawn(async move { duties.perform(&work, &until).await });
        begins.recv().await.unwrap();
        fail.cancel();
        begins.recv().await.unwrap();
        stop.cancel();
        tasks.join_all().await;
    }

    #[test]
    fn work_of_another_node_is_no_error() {
        let superseded = anyhow::Error::from(StateError::Superseded).context("cannot settle");
        assert!(is_superseded(&superseded));
        assert!(!is_superseded(&anyhow::Error::from(StateError::Stopping)));
    }
}
