//! A process of the program: its lines are read, signals reach it, and it ends with
//! its test at the latest.
//!
//! It does not know what the process is for.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A process that is killed when its test is done with it.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    stderr: Option<std::thread::JoinHandle<String>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Process {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        let mut err = child.stderr.take().expect("stderr is piped");
        let stderr = std::thread::spawn(move || {
            let mut all = Vec::new();
            let read = err.read_to_end(&mut all);
            let text = String::from_utf8_lossy(&all).into_owned();
            if read.is_err() {
                format!("{text}(broken off)")
            } else {
                text
            }
        });
        Process {
            child,
            lines,
            stderr: Some(stderr),
        }
    }

    /// The next line of stdout that begins with `head`, without it.
    pub(crate) fn line(&mut self, head: &str) -> String {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                self.kill();
                panic!("no line {head:?} on stdout; stderr: {}", self.stderr());
            };
            if let Some(rest) = line.strip_prefix(head) {
                return rest.trim().to_owned();
            }
        }
    }

    /// SIGKILL: what a power cut is to a process.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be awaited");
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.exit_code()
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(
            sent.expect("kill runs").success(),
            "{signal} cannot be sent"
        );
    }

    /// Its number, by which `/proc` knows it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let ended = self.ended_within(PATIENCE);
        ended.expect("the process did not end").code()
    }

    /// How the process ended, if it does so soon; none while it runs.
    pub(crate) fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return Some(status);
            }
            if begun.elapsed() >= patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All of stderr; the process must have ended.
    pub(crate) fn stderr(&mut self) -> String {
        self.stderr
            .take()
            .map_or_else(String::new, |reader| reader.join().expect("it reads"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
