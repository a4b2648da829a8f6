//! A server with an embedded journal, a stand-in for Segment, and wires between
//! them and the senders: where faults happen.
//!
//! It starts, ends and disturbs. What must come of that, it does not know.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use emulator::segment;
use serde_json::Value;

use super::clock;
use super::disk::Disk;
use super::event::SEGMENT_CALL_BYTES;
use super::oracle::{Arrived, Connection, Letter, Outcome};
use super::wire::Wire;
use crate::harness::stand_in::StandIn;
use crate::harness::{Home, Process, Server};

/// How many lines of each process are shown when a run fails.
const SHOWN_LINES: usize = 40;
/// How many dead letters are asked for; a run has some dozens.
const LETTERS: usize = 10_000;
/// What a server may hold open and in memory after any run.
const MAX_FILES: usize = 200;
const MAX_RESIDENT_KB: u64 = 300 * 1024;

/// What a run needs from the start, since it cannot be added later.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Needs {
    /// A disk of its own that can be filled.
    pub(super) disk: bool,
    /// A clock of its own that can be moved.
    pub(super) clock: bool,
}

/// The stage of one run.
pub(super) struct Stage {
    pub(super) segment: segment::Segment,
    pub(super) to_segment: Wire,
    pub(super) door: Wire,
    pub(super) disk: Option<Disk>,
    clock: Option<PathBuf>,
    server: Option<Server>,
    home: Option<Home>,
    /// What the processes that are dead had to say.
    said: Vec<String>,
    _stand_in: StandIn,
}

impl Stage {
    /// Starts everything.
    pub(super) async fn start(needs: Needs, journal: &str) -> Stage {
        let stand_in = StandIn::start(SEGMENT_CALL_BYTES).await;
        let to_segment = Wire::start(stand_in.address).await;
        let home = Home::new(&connections(to_segment.address()), "");
        home.configure(&format!(
            "{journal}\n[dispatch]\nrequest_timeout_s = 1\nbackoff_max_s = 1\n"
        ));
        let clock = needs.clock.then(|| home.path("clock"));
        let mut stage = Stage {
            disk: needs.disk.then(|| Disk::mount(&home.path("journal"))),
            to_segment,
            door: Wire::start(stand_in.address).await,
            segment: stand_in.segment.clone(),
            _stand_in: stand_in,
            clock,
            server: None,
            home: Some(home),
            said: Vec::new(),
        };
        stage.set_clock(0);
        stage.restart();
        stage
    }

    fn serve(&self) -> Command {
        let mut command = self.home.as_ref().expect("no server runs").serve();
        command.env("RUST_LOG", "info");
        for connection in Connection::ALL {
            let variable = format!("KEY_{}", connection.name().to_uppercase());
            command.env(variable, connection.write_key());
        }
        if let Some(clock) = &self.clock {
            command
                .env("LD_PRELOAD", clock::library().expect("somebody has looked"))
                .env("FAKETIME_TIMESTAMP_FILE", clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("NO_FAKE_STAT", "1");
        }
        command
    }

    /// Starts a server on what the last one left behind.
    pub(super) fn restart(&mut self) {
        let command = self.serve();
        let home = self.home.take().expect("no server runs");
        let server = Server::with(command, home);
        self.door.aim(server.receive);
        self.server = Some(server);
    }

    /// Starts a server, and kills it after so long, wherever it is then.
    pub(super) async fn start_and_kill(&mut self, after: Duration) {
        let mut process = Process::start(&mut self.serve());
        tokio::time::sleep(after).await;
        process.kill();
        self.said.push(process.stderr());
    }

    /// SIGKILL: what a power cut is to a process.
    pub(super) fn kill(&mut self) {
        let server = self.server.take().expect("a server runs");
        let Server {
            mut process, home, ..
        } = server;
        process.kill();
        self.said.push(process.stderr());
        self.home = Some(home);
    }

    /// Asks the server to stop, and waits until it has.
    pub(super) fn stop(&mut self) {
        let server = self.server.take().expect("a server runs");
        let Server {
            mut process, home, ..
        } = server;
        let code = process.terminate();
        self.said.push(process.stderr());
        self.home = Some(home);
        assert_eq!(code, Some(0), "the server stopped badly");
    }

    pub(super) fn signal(&self, signal: &str) {
        self.server().process.signal(signal);
    }

    /// Whether the server's clock is not this process's.
    pub(super) fn has_own_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// Sets the server's clock to so many seconds beside the time.
    pub(super) fn set_clock(&self, seconds: i64) {
        if let Some(clock) = &self.clock {
            // Renamed into place: a server that looks meanwhile sees one or the other.
            let next = clock.with_extension("next");
            std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
            std::fs::rename(&next, clock).unwrap();
        }
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().expect("a server runs")
    }

    /// Waits until all connections have settled everything.
    pub(super) async fn caught_up(&self) {
        let settled = |answer: &Value| {
            let connections = answer["connections"].as_array();
            let settled = |each: &Value| each["lag_records"] == 0;
            connections.is_some_and(|all| all.len() == 3 && all.iter().all(settled))
        };
        self.server().api_until("/api/connections", settled).await;
    }

    /// What has arrived and what is buried.
    pub(super) async fn outcome(&self) -> Outcome {
        let calls = self.segment.calls().into_iter().map(|call| Arrived {
            connection: of_key(call.write_key()),
            id: call.message_id().to_owned(),
            call: serde_json::from_str(call.raw()).unwrap(),
        });
        let path = format!("/api/dead-letters?limit={LETTERS}");
        let list = self.server().api(&path).await;
        let mut letters = Vec::new();
        for line in list["dead_letters"].as_array().unwrap() {
            let path = format!("/api/dead-letters/{}", line["id"]);
            letters.push(letter(&self.server().api(&path).await));
        }
        Outcome {
            calls: calls.collect(),
            letters,
            refusals: false,
        }
    }

    /// No process has panicked, and this one holds no more than it should.
    pub(super) fn assert_sound(&self) {
        for said in &self.said {
            assert!(!said.contains("panicked"), "a server panicked: {said}");
        }
        let proc = PathBuf::from(format!("/proc/{}", self.server().process.id()));
        let files = std::fs::read_dir(proc.join("fd")).unwrap().count();
        assert!(files < MAX_FILES, "{files} files are open");
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.unwrap().trim().trim_end_matches(" kB");
        let resident: u64 = resident.parse().unwrap();
        assert!(resident < MAX_RESIDENT_KB, "{resident} kB are resident");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(Server {
            mut process, home, ..
        }) = self.server.take()
        {
            process.kill();
            self.said.push(process.stderr());
            self.home = Some(home);
        }
        if !std::thread::panicking() {
            return;
        }
        for said in &self.said {
            let lines: Vec<&str> = said.lines().collect();
            let left_out = lines.len().saturating_sub(SHOWN_LINES);
            println!("-- a server said last:\n{}", lines[left_out..].join("\n"));
        }
        if let Some(disk) = &mut self.disk {
            disk.keep();
        }
        if let Some(home) = &mut self.home {
            println!("-- the files are kept in {}", home.keep().display());
        }
    }
}

fn connections(segment: SocketAddr) -> String {
    let workspace = "[[workspace]]\nname = \"acme\"\nsigning_keys = [\"env:CIO_SIGNING_KEY\"]\n";
    let more = |connection| match connection {
        Connection::Every => "",
        Connection::First => "send_frequency = \"first\"\n",
        Connection::Old => "payload_version = \"1.0.0\"\n",
    };
    let each = Connection::ALL.map(|connection| {
        let (name, more) = (connection.name(), more(connection));
        let variable = name.to_uppercase();
        format!(
            "[[connection]]\nname = \"{name}\"\nworkspace = \"acme\"\n\
             write_key = \"env:KEY_{variable}\"\nendpoint = \"http://{segment}\"\n{more}"
        )
    });
    format!("{workspace}{}", each.concat())
}

fn of_key(write_key: &str) -> Connection {
    let mut all = Connection::ALL.into_iter();
    let found = all.find(|connection| connection.write_key() == write_key);
    found.expect("no other write keys are used")
}

fn letter(whole: &Value) -> Letter {
    let name = whole["connection"].as_str();
    let mut all = Connection::ALL.into_iter();
    Letter {
        connection: name.map(|name| all.find(|each| each.name() == name).unwrap()),
        body: whole["body"].as_str().unwrap().to_owned(),
        status: whole["status"].as_u64(),
        answer: whole["answer"].as_str().map(str::to_owned),
    }
}
