//! A page of events, as the indexer has seen them, added up before it is counted.

use jiff::Timestamp;
use journal::Seq;

use super::hour::{HOURS_KEPT, Minute};

/// An event, as the indexer has seen it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'r> {
    pub(crate) seq: Seq,
    pub(crate) received_at: Timestamp,
    pub(crate) workspace: &'r str,
    /// What [`super::series::event_code_of`] says.
    pub(crate) code: u8,
    /// Whether another record had the event before.
    pub(crate) is_repeat: bool,
}

/// A page's events by workspace and minute: they come in runs, so that a page has
/// few groups.
pub(super) struct Groups<'r> {
    now: Minute,
    pub(super) groups: Vec<Group<'r>>,
}

pub(super) struct Group<'r> {
    pub(super) workspace: &'r str,
    pub(super) minute: Minute,
    pub(super) repeats: u32,
    /// By [`super::series::event_code`].
    pub(super) events: [u32; 256],
}

impl<'r> Groups<'r> {
    pub(super) fn new(now: Timestamp) -> Groups<'r> {
        Groups {
            now: Minute::of(now),
            groups: Vec::new(),
        }
    }

    /// Counts an event in the minute that it was received in, unless that is too
    /// long ago to be kept.
    pub(super) fn add(&mut self, seen: &Seen<'r>) {
        let minute = Minute::of(seen.received_at).min(self.now);
        if minute.hour().0 + HOURS_KEPT <= self.now.hour().0 {
            return;
        }
        let is_its =
            |group: &Group<'_>| group.minute == minute && group.workspace == seen.workspace;
        let known = self.groups.iter().rposition(is_its);
        let index = known.unwrap_or_else(|| {
            self.groups.push(Group::new(seen.workspace, minute));
            self.groups.len() - 1
        });
        if let Some(group) = self.groups.get_mut(index) {
            if seen.is_repeat {
                group.repeats += 1;
            } else if let Some(count) = group.events.get_mut(usize::from(seen.code)) {
                *count += 1;
            }
        }
    }
}

impl<'r> Group<'r> {
    fn new(workspace: &'r str, minute: Minute) -> Group<'r> {
        Group {
            workspace,
            minute,
            repeats: 0,
            events: [0; 256],
        }
    }
}
