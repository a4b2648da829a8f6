//! What this node may write as the holder of a duty: only behind its own last
//! message on the duty's subject.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::watch;

use crate::lock::lock;
use crate::peers::Duty;

/// The duties of one partition that this node has taken.
#[derive(Default)]
pub(crate) struct Fences {
    held: Mutex<HashMap<Duty, Fence>>,
}

/// What the holder of a duty knows.
pub(crate) struct Fence {
    /// The last message on the subject.
    pub(crate) last: u64,
    /// The row of the connection's cursor.
    pub(crate) cursor: u64,
    /// Says when the duty is over.
    pub(crate) over: watch::Sender<bool>,
}

/// What a write must find, to be the holder's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Nobody took the duty here: nothing is expected.
    Free,
    /// The duty is held: the subject's last message, and the cursor's.
    Held {
        /// The last message on the subject.
        last: u64,
        /// The row of the cursor.
        cursor: u64,
    },
    /// The duty was held and is another's now.
    Over,
}

impl Fences {
    /// Notes that the duty was taken behind these messages.
    pub(crate) fn hold(&self, duty: Duty, fence: Fence) {
        lock(&self.held).insert(duty, fence);
    }

    pub(crate) fn standing(&self, duty: &Duty) -> Standing {
        match lock(&self.held).get(duty) {
            None => Standing::Free,
            Some(fence) if *fence.over.borrow() && fence.last == 0 => Standing::Over,
            Some(fence) => Standing::Held {
                last: fence.last,
                cursor: fence.cursor,
            },
        }
    }

    /// Notes the holder's own write to the subject.
    pub(crate) fn wrote(&self, duty: &Duty, message: u64) {
        if let Some(fence) = lock(&self.held).get_mut(duty) {
            fence.last = message;
        }
    }

    /// Notes the holder's own write of the cursor.
    pub(crate) fn moved(&self, duty: &Duty, row: u64) {
        if let Some(fence) = lock(&self.held).get_mut(duty) {
            fence.cursor = row;
        }
    }

    /// Notes that a write failed, so that nobody knows what the subject's last
    /// message is: the duty must be taken anew.
    pub(crate) fn lose(&self, duty: &Duty) {
        if let Some(fence) = lock(&self.held).get_mut(duty) {
            fence.last = 0;
            fence.over.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Partition;

    fn fence(last: u64, over: &watch::Sender<bool>) -> Fence {
        Fence {
            last,
            cursor: 3,
            over: over.clone(),
        }
    }

    #[test]
    fn a_lost_duty_stays_over_until_it_is_taken_anew() {
        let fences = Fences::default();
        let duty = Duty::Index(Partition::ZERO);
        assert_eq!(fences.standing(&duty), Standing::Free);
        let over = watch::Sender::new(false);
        fences.hold(duty.clone(), fence(7, &over));
        fences.wrote(&duty, 9);
        let held = |last| Standing::Held { last, cursor: 3 };
        assert_eq!(fences.standing(&duty), held(9));
        fences.lose(&duty);
        assert_eq!(fences.standing(&duty), Standing::Over);
        assert!(*over.borrow());
        fences.hold(duty.clone(), fence(12, &watch::Sender::new(false)));
        assert_eq!(fences.standing(&duty), held(12));
    }
}
