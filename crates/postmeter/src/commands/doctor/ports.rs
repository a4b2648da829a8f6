//! Whether the two listeners can be had, and who has them if not.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use super::finding::{Check, Finding};
use super::proc::{Holder, listener, open_files};
use crate::config::Config;
use crate::http::MAX_CONNECTIONS;

/// Files beside the sockets of both listeners: the log, the state, calls under way.
const FILES_BESIDE: u64 = 1_024;

/// The process that has the journal open, as far as one sees.
#[derive(Clone, Copy)]
pub(super) enum Server<'h> {
    /// None does.
    Stopped,
    /// This one, or one that cannot be seen.
    Runs(Option<&'h Holder>),
}

/// How a port is.
enum Port {
    Free,
    Held(Option<Holder>),
    Unusable(io::Error),
}

/// Looks at both listeners and at the files that they need.
pub(super) fn examine(config: &Config, server: Server<'_>) -> Vec<Finding> {
    let public = Check::new("public listener", config.receive_listen);
    let private = Check::new("private listener", config.console_listen);
    let reach = reach(config.receive_listen);
    let mut findings = vec![
        judge(public, &probe(config.receive_listen), (server, reach)),
        judge(private, &probe(config.console_listen), (server, "")),
    ];
    let pid = match server {
        Server::Runs(Some(holder)) => Some(holder.pid),
        Server::Runs(None) | Server::Stopped => None,
    };
    findings.extend(open_files(pid).map(|most| judge_files(most, pid)));
    findings
}

/// What an address means for who can reach it.
fn reach(address: SocketAddr) -> &'static str {
    if address.ip().is_loopback() {
        "; on loopback, so Customer.io reaches it through a proxy on this machine or not at all"
    } else {
        ""
    }
}

fn probe(address: SocketAddr) -> Port {
    if address.port() == 0 {
        return Port::Free;
    }
    match TcpListener::bind(address) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Port::Held(listener(address)),
        Err(error) => Port::Unusable(error),
    }
}

fn judge(check: Check, port: &Port, (server, reach): (Server<'_>, &str)) -> Finding {
    match (port, server) {
        (Port::Unusable(error), _) => {
            let advice = match error.kind() {
                ErrorKind::AddrNotAvailable => {
                    "no interface of this machine has this address: correct `listen`"
                }
                ErrorKind::PermissionDenied => {
                    "ports below 1024 are the system's: choose a higher one behind a proxy"
                }
                _ => "correct `listen`",
            };
            check.fail(format!("nobody can listen there: {error}"), advice)
        }
        (Port::Free, Server::Stopped) => check.ok(format!("free{reach}")),
        (Port::Free, Server::Runs(_)) => check.ok(format!(
            "free, so the running server listens elsewhere{reach}"
        )),
        (Port::Held(Some(holder)), Server::Runs(Some(own))) if holder.pid == own.pid => {
            check.ok(format!("our server listens, process {}{reach}", own.pid))
        }
        (Port::Held(None), Server::Runs(_)) => check.ok(format!(
            "in use, by the running server as far as one sees{reach}"
        )),
        (Port::Held(Some(holder)), Server::Runs(None)) if holder.name == "postmeter" => {
            check.ok(format!("our server listens, process {}{reach}", holder.pid))
        }
        (Port::Held(holder), _) => {
            let who = holder.as_ref().map_or_else(
                || "another program".to_owned(),
                |holder| format!("another program: {}, process {}", holder.name, holder.pid),
            );
            let advice = "stop that program, or choose another port with `listen`";
            check.fail(format!("the port is held by {who}"), advice)
        }
    }
}

fn judge_files(most: u64, pid: Option<u32>) -> Finding {
    let whose = pid.map_or_else(
        || "of this shell".to_owned(),
        |pid| format!("of process {pid}"),
    );
    let check = Check::new("open files", whose);
    let needed = 2 * u64::try_from(MAX_CONNECTIONS).unwrap_or(u64::MAX) + FILES_BESIDE;
    let found = format!("{most} allowed, {needed} needed with both listeners full");
    if most < needed {
        let advice = format!("LimitNOFILE={needed} in the systemd unit, or ulimit -n {needed}");
        return check.warn(found, advice);
    }
    check.ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn holder(pid: u32, name: &str) -> Holder {
        let name = name.to_owned();
        Holder { pid, name }
    }

    #[test]
    fn a_port_is_ours_only_where_our_own_process_holds_it() {
        let own = holder(7, "postmeter");
        let runs = Server::Runs(Some(&own));
        let cases = [
            (Port::Free, Server::Stopped, Level::Ok),
            (Port::Held(Some(holder(7, "postmeter"))), runs, Level::Ok),
            (Port::Held(Some(holder(8, "nginx"))), runs, Level::Fail),
            (
                Port::Held(Some(holder(8, "nginx"))),
                Server::Stopped,
                Level::Fail,
            ),
            (
                Port::Held(Some(holder(8, "nginx"))),
                Server::Runs(None),
                Level::Fail,
            ),
            (Port::Held(None), Server::Stopped, Level::Fail),
            (Port::Held(None), Server::Runs(None), Level::Ok),
            (
                Port::Unusable(ErrorKind::AddrNotAvailable.into()),
                Server::Stopped,
                Level::Fail,
            ),
        ];
        for (port, server, level) in cases {
            let finding = judge(Check::new("public listener", "a"), &port, (server, ""));
            assert_eq!(finding.level(), level, "{}", finding.lines());
        }
    }

    #[test]
    fn the_default_limit_of_files_is_too_low() {
        assert_eq!(judge_files(1_024, None).level(), Level::Warn);
        assert_eq!(judge_files(65_536, None).level(), Level::Ok);
    }
}
