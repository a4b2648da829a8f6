//! Real NATS servers for tests: as many as one asks for, on free loopback ports
//! and in a folder of their own, each of which can be killed, stopped, cut off
//! and started again with another configuration.
//!
//! Any crate's tests may include this file by its path. It knows the server's
//! command line, its configuration and its monitoring port, and speaks no NATS.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[path = "nats/binary.rs"]
mod binary;
#[path = "nats/config.rs"]
mod config;
#[path = "nats/http.rs"]
mod http;
#[path = "nats/ports.rs"]
mod ports;
#[path = "nats/proxy.rs"]
mod proxy;

pub(crate) use binary::binary;
pub(crate) use config::{Options, Plan, ServerPlace, Sync};
use ports::Ports;
pub(crate) use proxy::Proxy;

/// The user that the servers let into JetStream.
pub(crate) const USER: &str = "postmeter";
/// The password of [`USER`].
pub(crate) const PASSWORD: &str = "loopback";
/// The user that the servers let into their system account.
pub(crate) const SYSTEM_USER: &str = "system";
/// Where the servers' own report is asked for, if they export it.
pub(crate) const REPORT_SUBJECT: &str = "pm.jsz";
/// How long servers may take to be ready. A healthy three need under a second.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(20);
/// How often a start is tried on other ports, when foreign programs hold them.
const STARTS: usize = 5;

/// What a server's process is doing.
#[derive(Debug)]
enum Process {
    Runs(Child),
    Stopped(Child),
    Dead,
}

/// Some servers that know each other, killed and removed when dropped.
///
/// Server `i`, counted from zero, is called `n{i + 1}`. One server alone runs
/// without a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    dir: TempDir,
    ports: Ports,
    servers: Vec<Process>,
    write: fn(&ServerPlace, Options) -> String,
}

impl Cluster {
    /// Starts `n` servers and waits until JetStream answers on all of them.
    pub(crate) fn start(n: usize, plan: impl Into<Plan>) -> Cluster {
        Cluster::start_with(n, plan, config::smallest)
    }

    /// Starts `n` servers on configurations that `write` writes.
    pub(crate) fn start_with(
        n: usize,
        plan: impl Into<Plan>,
        write: fn(&ServerPlace, Options) -> String,
    ) -> Cluster {
        let plan = plan.into();
        for _ in 0..STARTS {
            let mut cluster = Cluster {
                dir: TempDir::new().unwrap(),
                ports: Ports::reserve(n),
                servers: (0..n).map(|_| Process::Dead).collect(),
                write,
            };
            for index in 0..n {
                cluster.restart_with(index, plan.of(index));
            }
            if cluster.is_ready_in_time() {
                return cluster;
            }
        }
        panic!("no NATS servers on free ports after {STARTS} starts");
    }

    /// Where clients connect, each as `nats://127.0.0.1:port`.
    pub(crate) fn servers(&self) -> Vec<String> {
        let urls = (0..self.servers.len()).map(|index| self.server(index));
        urls.collect()
    }

    /// Where clients of server `index` connect.
    pub(crate) fn server(&self, index: usize) -> String {
        format!("nats://{}", self.ports.client(index))
    }

    /// All servers with the user and the password in each, by commas.
    pub(crate) fn url(&self) -> String {
        let urls = (0..self.servers.len())
            .map(|index| format!("nats://{USER}:{PASSWORD}@{}", self.ports.client(index)));
        urls.collect::<Vec<_>>().join(",")
    }

    /// The server that calls itself `name`.
    pub(crate) fn index_of(&self, name: &str) -> usize {
        let found = (0..self.servers.len()).find(|index| server_name(*index) == name);
        found.unwrap_or_else(|| panic!("no server is called {name}"))
    }

    /// What the monitoring port of server `index` answers to a GET of `path`.
    pub(crate) fn monitor(&self, index: usize, path: &str) -> Option<String> {
        http::get(self.ports.monitor(index), path)
    }

    /// SIGKILL: what a power cut is to a process.
    pub(crate) fn kill(&mut self, index: usize) {
        match std::mem::replace(&mut self.servers[index], Process::Dead) {
            Process::Runs(mut child) | Process::Stopped(mut child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Process::Dead => (),
        }
    }

    /// SIGSTOP: the server neither answers nor hangs up.
    pub(crate) fn stop(&mut self, index: usize) {
        let Process::Runs(child) = std::mem::replace(&mut self.servers[index], Process::Dead)
        else {
            panic!("server {index} does not run");
        };
        signal(&child, "-STOP");
        self.servers[index] = Process::Stopped(child);
    }

    /// SIGCONT: the server goes on where it was stopped.
    pub(crate) fn cont(&mut self, index: usize) {
        let Process::Stopped(child) = std::mem::replace(&mut self.servers[index], Process::Dead)
        else {
            panic!("server {index} is not stopped");
        };
        signal(&child, "-CONT");
        self.servers[index] = Process::Runs(child);
    }

    /// Starts server `index` again as it was: same ports, store and options.
    pub(crate) fn restart(&mut self, index: usize) {
        self.kill(index);
        let log = File::create(self.path(index, "log")).unwrap();
        let mut command = Command::new(binary());
        command.arg("-c").arg(self.path(index, "conf"));
        // A shipped configuration reads its secrets from here.
        command
            .env("POSTMETER_NATS_PASSWORD", PASSWORD)
            .env("POSTMETER_NATS_SYSTEM_PASSWORD", PASSWORD);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.servers[index] = Process::Runs(command.stderr(log).spawn().unwrap());
    }

    /// Starts server `index` again with other options.
    pub(crate) fn restart_with(&mut self, index: usize, options: Options) {
        let text = (self.write)(&self.place(index), options);
        std::fs::write(self.path(index, "conf"), text).unwrap();
        self.restart(index);
    }

    /// Waits until every server that runs answers, follows one leader that runs,
    /// and has caught up.
    pub(crate) fn wait_ready(&mut self) {
        assert!(
            self.is_ready_in_time(),
            "the address of a server is in use, although it was reserved"
        );
    }

    /// False if a server ended because its address is in use.
    fn is_ready_in_time(&mut self) -> bool {
        let begun = Instant::now();
        while !self.is_ready() {
            for index in 0..self.servers.len() {
                let Process::Runs(child) = &mut self.servers[index] else {
                    continue;
                };
                let ended = child.try_wait().unwrap().is_some();
                if ended && self.log(index).contains("address already in use") {
                    return false;
                }
                let in_time = begun.elapsed() < PATIENCE;
                assert!(!ended && in_time, "{}", self.logs());
            }
            std::thread::sleep(POLL);
        }
        true
    }

    fn is_ready(&self) -> bool {
        let running: Vec<usize> = (0..self.servers.len())
            .filter(|index| matches!(self.servers[*index], Process::Runs(_)))
            .collect();
        let healthy = |index: &usize| self.monitor(*index, "/healthz").is_some();
        if !running.iter().all(healthy) || self.servers.len() == 1 {
            return running.iter().all(healthy);
        }
        running.iter().any(|leader| {
            let Some(report) = self.monitor(*leader, "/jsz") else {
                return false;
            };
            let mut others = running.iter().filter(|index| *index != leader);
            http::leader(&report) == Some(&server_name(*leader))
                && others.all(|index| http::is_current(&report, &server_name(*index)))
        })
    }

    /// Everything that server `index` has logged since it was last started.
    pub(crate) fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.path(index, "log")).unwrap_or_default()
    }

    fn logs(&self) -> String {
        let logs = (0..self.servers.len()).map(|index| self.log(index));
        format!("NATS is not ready:\n{}", logs.collect::<String>())
    }

    fn path(&self, index: usize, extension: &str) -> PathBuf {
        let name = format!("{}.{extension}", server_name(index));
        self.dir.path().join(name)
    }

    fn place(&self, index: usize) -> ServerPlace {
        ServerPlace {
            name: server_name(index),
            client: self.ports.client(index).to_string(),
            route: self.ports.route(index).to_string(),
            monitor: self.ports.monitor(index).to_string(),
            routes: (0..self.servers.len())
                .map(|index| self.ports.route(index).to_string())
                .collect(),
            store: self.path(index, "store").display().to_string(),
        }
    }
}

fn server_name(index: usize) -> String {
    format!("n{}", index + 1)
}

fn signal(child: &Child, signal: &str) {
    let mut kill = Command::new("kill");
    let sent = kill.arg(signal).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success(), "cannot send {signal}");
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for index in 0..self.servers.len() {
            self.kill(index);
        }
    }
}

// Each crate's tests use what they need of this file; the compiler would call the
// rest of it dead.
const _: () = {
    let _ = |plan: Plan| Cluster::start(3, plan);
    let _ = |plan: Plan, write| Cluster::start_with(3, plan, write);
    let _ = (binary, Options::server, Sync::Interval);
    let _ = (
        Plan::server,
        Cluster::servers,
        Cluster::server,
        Cluster::url,
    );
    let _ = (
        Cluster::index_of,
        Cluster::monitor,
        Cluster::log,
        Cluster::stop,
    );
    let _ = (Cluster::cont, Cluster::restart, Cluster::restart_with);
    let _ = (Cluster::wait_ready, SYSTEM_USER, REPORT_SUBJECT, PASSWORD);
    let _ = (
        Proxy::start,
        Proxy::url,
        Proxy::pass,
        Proxy::blackhole,
        Proxy::cut,
    );
};
