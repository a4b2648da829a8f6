//! Starts the program's processes on free ports and in temporary folders, and
//! ends those that a test leaves behind.

pub(crate) mod browser;
pub(crate) mod chance;
pub(crate) mod cluster;
pub(crate) mod process;
pub(crate) mod stand_in;
pub(crate) mod volume;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

pub(crate) use process::Process;

/// How long anything awaited may take before a test says what it waited for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The signing key of every test's workspace.
pub(crate) const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef";
/// The write key of every test's connection.
pub(crate) const WRITE_KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";
/// A connections file whose keys come from the environment.
pub(crate) const ONE_CONNECTION: &str = r#"
[[workspace]]
name = "acme"
signing_keys = ["env:CIO_SIGNING_KEY"]

[[connection]]
name = "acme-segment"
workspace = "acme"
write_key = "env:SEGMENT_WRITE_KEY"
endpoint = "ENDPOINT"
"#;

/// Names another build of the program to be tested, such as one in release.
const PROGRAM: &str = "POSTMETER_TEST_PROGRAM";

/// The program under test.
pub(crate) fn postmeter() -> Command {
    let built = env!("CARGO_BIN_EXE_postmeter");
    let mut command = Command::new(std::env::var_os(PROGRAM).unwrap_or_else(|| built.into()));
    command.env_remove("RUST_LOG");
    command
        .env("CIO_SIGNING_KEY", SIGNING_KEY)
        .env("SEGMENT_WRITE_KEY", WRITE_KEY);
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The Segment stand-in, as a process of its own.
pub(crate) struct Segment {
    _process: Process,
    url: String,
    http: reqwest::Client,
}

impl Segment {
    pub(crate) fn start() -> Segment {
        let mut command = postmeter();
        let mut process =
            Process::start(command.args(["emulator", "segment", "--listen", "127.0.0.1:0"]));
        let url = process.line("listening on ");
        Segment {
            _process: process,
            url,
            http: http(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        let text = answer
            .expect("the emulator answers")
            .text()
            .await
            .expect("whole");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} answered {text}"))
    }

    /// Every stored call, as Segment's raw debugger shows it.
    pub(crate) async fn calls(&self) -> Vec<Value> {
        let calls = self.get("/emulator/calls").await;
        calls.as_array().expect("an array").clone()
    }

    /// Waits until that many calls are stored, and returns all.
    pub(crate) async fn wait(&self, n_calls: usize) -> Vec<Value> {
        let path = format!(
            "/emulator/wait?calls={n_calls}&timeout_s={}",
            PATIENCE.as_secs()
        );
        let answer = self.get(&path).await;
        let calls = self.calls().await;
        assert!(
            calls.len() >= n_calls,
            "{n_calls} calls were awaited, and {answer} came"
        );
        calls
    }

    pub(crate) async fn faults(&self, steps: Value) {
        let request = self.http.post(format!("{}/emulator/faults", self.url));
        let answer = request
            .body(steps.to_string())
            .send()
            .await
            .expect("the emulator answers");
        let status = answer.status();
        assert!(status.is_success(), "{status}: {:?}", answer.text().await);
    }

    /// From now on everything works.
    pub(crate) async fn no_faults(&self) {
        let url = format!("{}/emulator/faults", self.url);
        let answer = self.http.delete(url).send().await;
        assert!(answer.expect("the emulator answers").status().is_success());
    }
}

/// A running server in a folder of its own.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) home: Home,
    pub(crate) receive: SocketAddr,
    pub(crate) console: SocketAddr,
    pub(crate) http: reqwest::Client,
}

/// A server's files, which outlive its process.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    /// Writes a connections file that sends to `endpoint`.
    pub(crate) fn new(connections: &str, endpoint: &str) -> Home {
        let dir = TempDir::new().expect("a temporary folder");
        Home::of(dir, connections, endpoint)
    }

    /// The same on the disk that holds the build: temporary folders may be in memory.
    pub(crate) fn new_on_disk(connections: &str, endpoint: &str) -> Home {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        Home::of(dir, connections, endpoint)
    }

    fn of(dir: TempDir, connections: &str, endpoint: &str) -> Home {
        let home = Home { dir };
        home.write(
            "connections.toml",
            &connections.replace("ENDPOINT", endpoint),
        );
        home.configure("");
        home
    }

    /// Writes the config file with more lines for `[journal]` and what follows.
    pub(crate) fn configure(&self, more: &str) {
        self.configure_both("", more);
    }

    /// Writes the config file with more lines for `[receive]`.
    pub(crate) fn configure_receive(&self, more: &str) {
        self.configure_both(more, "");
    }

    fn configure_both(&self, receive: &str, journal: &str) {
        let dir = self.path("journal");
        let config = format!(
            "[receive]\nlisten = \"127.0.0.1:0\"\n{receive}\n\
             [console]\nlisten = \"127.0.0.1:0\"\n\
             [journal]\ndir = {dir:?}\n{journal}\n"
        );
        self.write("postmeter.toml", &config);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a temporary folder takes files");
    }

    /// `postmeter serve` on these files.
    pub(crate) fn serve(&self) -> Command {
        let mut command = postmeter();
        command.arg("serve");
        command.arg("--config").arg(self.path("postmeter.toml"));
        command
            .arg("--connections")
            .arg(self.path("connections.toml"));
        command
    }

    pub(crate) fn start(self) -> Server {
        let command = self.serve();
        Server::with(command, self)
    }

    /// Leaves the files where they are, and tells where that is.
    pub(crate) fn keep(&mut self) -> &Path {
        self.dir.disable_cleanup(true);
        self.dir.path()
    }
}

impl Server {
    /// A server with one workspace and one connection to `segment`.
    pub(crate) fn start(segment: &Segment) -> Server {
        Home::new(ONE_CONNECTION, segment.url()).start()
    }

    pub(crate) fn with(mut command: Command, home: Home) -> Server {
        let mut process = Process::start(&mut command);
        let receive = process.line("receiving on http://");
        let receive = receive.split('/').next().expect("an address").to_owned();
        let console = process.line("console on http://");
        Server {
            process,
            home,
            receive: receive.parse().expect("an address"),
            console: console.parse().expect("an address"),
            http: http(),
        }
    }

    /// Ends this process by SIGKILL and starts another on the same files.
    pub(crate) fn kill_and_restart(mut self) -> Server {
        self.process.kill();
        let Server { home, .. } = self;
        home.start()
    }

    pub(crate) fn webhook(&self) -> String {
        format!("http://{}/webhooks/acme", self.receive)
    }

    /// A signed request with this body.
    pub(crate) fn signed(&self, body: &str) -> reqwest::RequestBuilder {
        let timestamp = "1700000000";
        self.http
            .post(self.webhook())
            .header("X-CIO-Timestamp", timestamp)
            .header(
                "X-CIO-Signature",
                sign(SIGNING_KEY, timestamp, body.as_bytes()),
            )
            .header("Content-Type", "application/json")
            .body(body.to_owned())
    }

    /// Sends an event, and the answer's status.
    pub(crate) async fn send(&self, event: &Value) -> u16 {
        let answer = self
            .signed(&event.to_string())
            .send()
            .await
            .expect("the server answers");
        answer.status().as_u16()
    }

    /// Sends events that must all be taken.
    pub(crate) async fn send_all(&self, events: &[Value]) {
        for event in events {
            assert_eq!(self.send(event).await, 200, "{event}");
        }
    }

    /// Writes to the public listener byte by byte as it is, and reads the head of
    /// the answer.
    pub(crate) fn raw(&self, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.receive).expect("the server listens");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a time is taken");
        socket.write_all(request).expect("the server reads");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(socket.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// A command with the arguments by which it finds this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = postmeter();
        command
            .args(args)
            .arg("--config")
            .arg(self.home.path("postmeter.toml"));
        command.arg("--server").arg(self.console.to_string());
        command
    }

    /// What an authorised GET of the private listener answers.
    pub(crate) async fn api(&self, path: &str) -> Value {
        let text = self.private_text(path).await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} answered {text}"))
    }

    /// What an authorised POST of the private listener answers.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("http://{}{path}", self.console));
        let request = request
            .bearer_auth(self.token())
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.expect("the server answers");
        let text = answer.text().await.expect("a whole answer");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} answered {text}"))
    }

    pub(crate) async fn private_text(&self, path: &str) -> String {
        let request = self.http.get(format!("http://{}{path}", self.console));
        let answer = request
            .bearer_auth(self.token())
            .send()
            .await
            .expect("the server answers");
        answer.text().await.expect("a whole answer")
    }

    pub(crate) fn token(&self) -> String {
        let token = std::fs::read_to_string(self.home.path("journal").join("token"));
        token
            .expect("the server has made a token")
            .trim()
            .to_owned()
    }

    /// Waits until the metrics have this line.
    pub(crate) async fn metrics_until(&self, line: &str) {
        let begun = Instant::now();
        loop {
            let metrics = self.private_text("/metrics").await;
            if metrics.contains(line) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{line} is not in {metrics}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the API's answer at `path` satisfies `until`.
    pub(crate) async fn api_until(&self, path: &str, until: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.api(path).await;
            if until(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} still answers {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn http() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}

/// Signs as Customer.io documents it.
pub(crate) fn sign(key: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    let digits = mac.finalize().into_bytes();
    digits
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Events as a file has them, one per line.
pub(crate) fn lines(events: impl IntoIterator<Item = Value>) -> String {
    events
        .into_iter()
        .fold(String::new(), |lines, event| format!("{lines}{event}\n"))
}

/// A plain event that becomes a call.
pub(crate) fn opened(n: usize) -> Value {
    json!({
        "event_id": format!("01TEST{n:020}"),
        "object_type": "email",
        "metric": "opened",
        "timestamp": 1_700_000_000 + n,
        "data": {
            "identifiers": { "id": format!("person-{n}") },
            "delivery_id": format!("delivery-{n}"),
            "recipient": format!("person-{n}@example.com"),
            "subject": "hello",
        },
    })
}

/// Where the contracts' data is.
pub(crate) fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

/// A JSON file of the project.
pub(crate) fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Asserts that of each pair, both texts stand in one line of what was said.
pub(crate) fn assert_lines(said: &str, expected: &[(&str, &str)]) {
    for (head, words) in expected {
        let found = said
            .lines()
            .any(|line| line.contains(head) && line.contains(words));
        assert!(found, "no line with {head:?} and {words:?} in {said}");
    }
}
