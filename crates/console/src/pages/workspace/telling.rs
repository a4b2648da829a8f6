//! A workspace's state in sentences: whether Customer.io's feed flows, and what to
//! check where it does not.

use crate::seen::{JournalSeen, WorkspaceSeen, WorkspaceState};
use crate::words::day;

/// What the page says first.
pub(super) struct Telling {
    /// The state, as a sentence.
    pub(super) title: String,
    /// What follows from it.
    pub(super) lede: String,
    /// What to check; empty where nothing is wrong.
    pub(super) check: String,
    /// The last refusal, in the words of whoever refused.
    pub(super) refusal: Option<String>,
}

pub(super) fn tell(name: &str, seen: Option<&WorkspaceSeen>, journal: &JournalSeen) -> Telling {
    let silent = Telling {
        title: format!("{name} has not heard from Customer.io yet."),
        lede:
            "Follow the steps below. As soon as Customer.io has sent something, this page says so."
                .to_owned(),
        check: String::new(),
        refusal: None,
    };
    let Some(seen) = seen else { return silent };
    let refusal = seen.last_refusal.clone();
    match &seen.state {
        WorkspaceState::Silent => Telling { refusal, ..silent },
        WorkspaceState::Sending => Telling {
            title: format!("Customer.io sends to {name}."),
            lede: "The last request was answered 200: the event is on stable storage.".to_owned(),
            check: String::new(),
            refusal,
        },
        WorkspaceState::Holding {
            since,
            status,
            drops_at,
        } => Telling {
            title: format!("Customer.io holds back the events of {name}."),
            lede: format!(
                "Since {}, its requests are answered {status}. Customer.io keeps everything behind \
                 the event that failed and tries that one again; it begins to drop events on {}.",
                day(since),
                day(drops_at)
            ),
            check: check(*status, journal),
            refusal,
        },
    }
}

fn check(status: u16, journal: &JournalSeen) -> String {
    match status {
        401 => {
            "No signing key here matches the one that Customer.io signs with. Copy the key from \
                the page of the reporting webhook once more and add it below. Customer.io tries \
                again after about an hour."
                .to_owned()
        }
        413 => {
            "The event is larger than this server takes. Raise body_limit_bytes under [receive] \
                in the configuration and restart."
                .to_owned()
        }
        503 => match &journal.reason {
            Some(reason) => format!("The journal takes nothing just now: {reason}"),
            None => "The journal could not take the event at that moment and can now: Customer.io \
                     goes on by itself at its next attempt."
                .to_owned(),
        },
        _ => "Look at what stands between Customer.io and this server: a proxy may answer in its \
              place."
            .to_owned(),
    }
}
