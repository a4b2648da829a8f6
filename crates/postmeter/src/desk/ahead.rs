//! What an action on dead letters would touch, before it does: how many they are, and
//! what a retry would send otherwise than was refused.

use std::collections::BTreeMap;

use console::Which;
use console::seen::{Ahead, Foreseen, differences};
use journal::{DeadLetter, DeadLetterId};

use super::Desk;
use super::letters::Walk;

/// Letters that are shown one by one.
const SAMPLES: usize = 3;
/// Reasons that are told apart; more are counted under the last.
const REASONS: usize = 8;

impl Desk {
    /// What an action on those letters, below `below`, would touch.
    pub(super) async fn foresee_letters(
        &self,
        which: &Which,
        below: Option<DeadLetterId>,
    ) -> anyhow::Result<Foreseen> {
        let mut walk = Walk::step(below);
        let mut foreseen = Foreseen::default();
        let mut reasons = BTreeMap::new();
        let (mut changed, mut others) = (Vec::new(), Vec::new());
        while let Some(page) = self.next_letters(&mut walk, which).await? {
            if foreseen.below == 0 {
                foreseen.below = page.first().map_or(0, |newest| newest.id.get() + 1);
            }
            for found in &page {
                foreseen.count += 1;
                let ahead = self.look_ahead(found);
                let is_changed = ahead.why_not.is_none() && ahead.now != ahead.before;
                match (&ahead.why_not, &ahead.before) {
                    (Some(why), _) => tally(&mut reasons, why),
                    (None, None) => foreseen.fresh += 1,
                    (None, Some(_)) if is_changed => foreseen.differ += 1,
                    (None, Some(_)) => foreseen.same += 1,
                }
                let samples = if is_changed {
                    &mut changed
                } else {
                    &mut others
                };
                if samples.len() < SAMPLES {
                    samples.push(ahead);
                }
            }
        }
        foreseen.examined = walk.examined();
        foreseen.next = walk.next();
        foreseen.unsendable = reasons.into_iter().collect();
        foreseen.samples = changed.into_iter().chain(others).take(SAMPLES).collect();
        for sample in &mut foreseen.samples {
            if let (Some(before), Some(now)) = (&sample.before, &sample.now) {
                sample.differences = differences(before, now).0;
            }
        }
        Ok(foreseen)
    }

    /// What a retry of one letter would send. Its differences are for later: most
    /// letters are only counted.
    fn look_ahead(&self, found: &DeadLetter) -> Ahead {
        let letter = &found.letter;
        let mut connections = self.operator.connections().into_iter();
        let connection = letter.connection.as_deref();
        let connection = connection.and_then(|id| connections.find(|each| each.id.as_str() == id));
        let now = match (&connection, &letter.connection) {
            (Some(connection), _) => {
                let call = self.operator.call_of(found, &connection.shape_options());
                call.map(|call| call.json)
            }
            (None, Some(_)) => Err("its connection is removed".to_owned()),
            (None, None) => Err("an event that nothing can be made of cannot be sent".to_owned()),
        };
        let before = letter.call.as_deref();
        Ahead {
            id: found.id.get(),
            event: letter.event_name.clone(),
            connection: connection.map(|connection| connection.name.to_string()),
            before: before.map(|call| String::from_utf8_lossy(call).into_owned()),
            why_not: now.as_ref().err().cloned(),
            now: now.ok(),
            differences: Vec::new(),
        }
    }
}

/// Counts a reason; where there are too many, under a word for all others.
fn tally(reasons: &mut BTreeMap<String, u64>, why: &str) {
    let is_known = reasons.contains_key(why) || reasons.len() < REASONS;
    let key = if is_known { why } else { "for other reasons" };
    *reasons.entry(key.to_owned()).or_default() += 1;
}
