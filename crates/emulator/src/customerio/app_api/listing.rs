//! What the stand-in lists.

use serde::{Deserialize, Serialize};

use super::super::campaign::{ACTIONS, BROADCASTS, CAMPAIGNS, NEWSLETTERS, TRANSACTIONAL};

/// Everything that has a name in one workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listing {
    /// Campaigns with their actions.
    pub campaigns: Vec<Workflow>,
    /// API-triggered broadcasts with their actions.
    pub broadcasts: Vec<Workflow>,
    /// Newsletters.
    pub newsletters: Vec<Named>,
    /// Transactional messages.
    pub transactional: Vec<Named>,
}

/// A campaign or a broadcast.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// Its id.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// Its blocks, messages and others.
    #[serde(default)]
    pub actions: Vec<Named>,
}

/// Anything with an id and a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its id.
    pub id: u64,
    /// What people call it.
    pub name: String,
}

impl Named {
    /// One of them.
    pub fn new(id: u64, name: impl Into<String>) -> Named {
        let name = name.into();
        Named { id, name }
    }
}

impl Workflow {
    /// One of them.
    pub fn new(id: u64, name: impl Into<String>, actions: Vec<Named>) -> Workflow {
        let name = name.into();
        Workflow { id, name, actions }
    }
}

impl Listing {
    /// Invented names for every number that a simulated campaign uses as an id.
    pub fn of_simulated_campaign() -> Listing {
        let named = |kind: &str, most: u64| -> Vec<Named> {
            let each = (1..=most).map(|id| Named::new(id, format!("{kind} {id}")));
            each.collect()
        };
        let workflows = |kind: &str, most: u64| -> Vec<Workflow> {
            let actions = named("Message", ACTIONS);
            let each = named(kind, most).into_iter();
            each.map(|each| Workflow::new(each.id, each.name, actions.clone()))
                .collect()
        };
        Listing {
            campaigns: workflows("Campaign", CAMPAIGNS),
            broadcasts: workflows("Broadcast", BROADCASTS),
            newsletters: named("Newsletter", NEWSLETTERS),
            transactional: named("Receipt", TRANSACTIONAL),
        }
    }
}
