//! How the servers of a test are configured: well, or badly in one respect.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PASSWORD, SYSTEM_USER, USER};

/// When a server syncs what it has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before it acknowledges: what Postmeter demands.
    Always,
    /// So often, as servers do by default.
    Interval(Duration),
}

/// How one server is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) sync: Sync,
    /// Whether its report is exported to the application's account.
    pub(crate) report: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sync: Sync::Always,
            report: true,
        }
    }
}

impl Options {
    /// Gives server `index` other options than the rest.
    pub(crate) fn server(self, index: usize, options: Options) -> Plan {
        Plan::from(self).server(index, options)
    }
}

/// How the servers of a cluster are configured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    all: Options,
    differing: BTreeMap<usize, Options>,
}

impl From<Options> for Plan {
    fn from(all: Options) -> Plan {
        Plan {
            all,
            differing: BTreeMap::new(),
        }
    }
}

impl Plan {
    /// Gives server `index` other options than the rest.
    pub(crate) fn server(mut self, index: usize, options: Options) -> Plan {
        self.differing.insert(index, options);
        self
    }

    pub(super) fn of(&self, index: usize) -> Options {
        *self.differing.get(&index).unwrap_or(&self.all)
    }
}

/// Where a server of a cluster is, in the words of its configuration.
pub(crate) struct ServerPlace {
    pub(crate) name: String,
    pub(crate) client: String,
    pub(crate) route: String,
    pub(crate) monitor: String,
    /// The routes of all servers, this one's too.
    pub(crate) routes: Vec<String>,
    pub(crate) store: String,
}

/// With the default response type only the first server's answer would pass.
const EXPORTS: &str =
    r#"{ service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream, accounts: [APP] }"#;
const IMPORTS: &str =
    r#"{ service: { account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" }, to: "pm.jsz" }"#;

/// The smallest configuration that Postmeter works on.
///
/// Nothing is advertised, so that a client behind a proxy stays behind it.
pub(super) fn smallest(at: &ServerPlace, options: Options) -> String {
    let sync = match options.sync {
        Sync::Always => "always".to_owned(),
        Sync::Interval(every) => format!("\"{}s\"", every.as_secs()),
    };
    let (exports, imports) = if options.report {
        (EXPORTS, IMPORTS)
    } else {
        ("", "")
    };
    let ServerPlace {
        name,
        client,
        monitor,
        store,
        ..
    } = at;
    let cluster = cluster(at);
    format!(
        r#"
server_name: {name}
listen: "{client}"
http: "{monitor}"
max_payload: 1MB
jetstream {{ store_dir: "{store}", max_mem: 64MB, max_file: 2GB, sync_interval: {sync} }}
{cluster}
accounts {{
  SYS {{ users: [{{ user: {SYSTEM_USER}, password: {PASSWORD} }}], exports: [{exports}] }}
  APP {{ jetstream: enabled, users: [{{ user: {USER}, password: {PASSWORD} }}], imports: [{imports}] }}
}}
system_account: SYS
"#
    )
}

fn cluster(at: &ServerPlace) -> String {
    if at.routes.len() == 1 {
        return String::new();
    }
    let routes = at.routes.iter().map(|route| format!("\"nats://{route}\""));
    let routes = routes.collect::<Vec<_>>().join(", ");
    let listen = &at.route;
    format!("cluster {{ name: pm, listen: \"{listen}\", no_advertise: true, routes: [{routes}] }}")
}
