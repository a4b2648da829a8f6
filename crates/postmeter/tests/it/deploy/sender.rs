//! A sender that notices everything: it speaks HTTP by hand, keeps to a rate, and
//! writes down each answer's status, each wait, and each connection that broke.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{SIGNING_KEY, opened, sign};

/// Connections that are used again and again.
const BUSY: usize = 96;
/// Senders that make a connection for each request.
const FRESH: usize = 32;
/// Connections that are idle nearly always: nothing warns their sender of an end.
const IDLE: usize = 24;
/// The pause before an event that was turned away is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// What the sender has seen.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    /// Numbers of the events that were answered 200.
    pub(crate) taken: Vec<usize>,
    /// How many requests were answered 503.
    pub(crate) turned_away: usize,
    /// Any other status, and connections that were refused or broke.
    pub(crate) wrong: Vec<String>,
    /// The longest wait for an answer, the connection included.
    pub(crate) longest: Duration,
    /// The longest time between two 200s.
    pub(crate) gap: Duration,
    /// How long it sent.
    pub(crate) lasted: Duration,
    last_taken: Option<Instant>,
}

/// Senders at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    senders: JoinSet<()>,
}

struct Shared {
    address: String,
    begun: Instant,
    per_second: usize,
    next: AtomicUsize,
    is_over: AtomicBool,
    seen: Mutex<Seen>,
}

impl Load {
    /// Begins to send so many events a second.
    pub(crate) fn start(address: String, per_second: usize) -> Load {
        let shared = Arc::new(Shared {
            address,
            begun: Instant::now(),
            per_second,
            next: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let mut senders = JoinSet::new();
        for n in 0..BUSY + FRESH + IDLE {
            let shared = Arc::clone(&shared);
            senders.spawn(async move {
                if n < BUSY {
                    shared.send_on_one_connection(None).await;
                } else if n < BUSY + FRESH {
                    shared.send_on_fresh_connections().await;
                } else {
                    shared.send_on_one_connection(Some(n as u64)).await;
                }
            });
        }
        Load { shared, senders }
    }

    /// How many events were answered 200 so far.
    pub(crate) fn n_taken(&self) -> usize {
        self.shared.seen.lock().unwrap().taken.len()
    }

    /// Waits until so many more were.
    pub(crate) async fn more(&self, n: usize) {
        let enough = self.n_taken() + n;
        let begun = Instant::now();
        while self.n_taken() < enough {
            assert!(
                begun.elapsed() < crate::harness::PATIENCE,
                "{:?}",
                self.shared.seen
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets every event that was begun be taken, and says what was seen.
    pub(crate) async fn finish(mut self) -> Seen {
        self.shared.is_over.store(true, Ordering::SeqCst);
        while let Some(sender) = self.senders.join_next().await {
            sender.expect("a sender ends well");
        }
        self.seen()
    }

    /// Stops at once: whatever is under way is left.
    pub(crate) async fn break_off(mut self) -> Seen {
        self.senders.shutdown().await;
        self.seen()
    }

    fn seen(&self) -> Seen {
        let mut seen = std::mem::take(&mut *self.shared.seen.lock().unwrap());
        seen.lasted = self.shared.begun.elapsed();
        seen
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// The next event, when it is due.
    async fn turn(&self) -> usize {
        let n = self.next.fetch_add(1, Ordering::SeqCst);
        let due = Duration::from_secs(1) * u32::try_from(n).unwrap()
            / u32::try_from(self.per_second).unwrap();
        tokio::time::sleep_until((self.begun + due).into()).await;
        n
    }

    /// With a seed, pauses of up to a second between the requests.
    async fn send_on_one_connection(&self, seed: Option<u64>) {
        let mut connection = None;
        let mut round = 0;
        while !self.is_over() {
            if let Some(seed) = seed {
                round += 1;
                let pause = (seed * 7_919 + round * 104_729) % 1_000;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let n = self.turn().await;
            while !self.send(n, &mut connection).await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn send_on_fresh_connections(&self) {
        while !self.is_over() {
            let n = self.turn().await;
            while !self.send(n, &mut None).await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Sends an event, on a connection that is kept while the server keeps it, and
    /// says whether it was taken.
    async fn send(&self, n: usize, kept: &mut Option<TcpStream>) -> bool {
        let begun = Instant::now();
        let was_kept = kept.is_some();
        let answered = self.exchange(n, kept).await;
        let mut seen = self.seen.lock().unwrap();
        seen.longest = seen.longest.max(begun.elapsed());
        match answered {
            Ok(200) => {
                let gap = seen.last_taken.map(|last| last.elapsed());
                seen.gap = seen.gap.max(gap.unwrap_or_default());
                seen.last_taken = Some(Instant::now());
                seen.taken.push(n);
                return true;
            }
            Ok(503) => seen.turned_away += 1,
            Ok(status) => seen.wrong.push(format!("status {status}")),
            Err(error) => {
                *kept = None;
                let at = self.begun.elapsed();
                let which = if was_kept { "kept" } else { "fresh" };
                seen.wrong
                    .push(format!("{at:?}, {which} connection: {error}"));
            }
        }
        false
    }

    async fn exchange(&self, n: usize, kept: &mut Option<TcpStream>) -> std::io::Result<u16> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => TcpStream::connect(&self.address).await?,
        };
        let body = opened(n).to_string();
        let signature = sign(SIGNING_KEY, "1700000000", body.as_bytes());
        let request = format!(
            "POST /webhooks/acme HTTP/1.1\r\nHost: test\r\nX-CIO-Timestamp: 1700000000\r\n\
             X-CIO-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(request.as_bytes()).await?;
        let (status, stays) = read_answer(&mut connection).await?;
        *kept = stays.then_some(connection);
        Ok(status)
    }
}

/// The status, and whether the server keeps the connection.
async fn read_answer(connection: &mut TcpStream) -> std::io::Result<(u16, bool)> {
    let mut answer = Vec::new();
    let head = loop {
        if connection.read_buf(&mut answer).await? == 0 {
            let what = format!("end after {} bytes of the answer", answer.len());
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, what));
        }
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let header = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name).map(str::trim))
    };
    let length: usize = header("content-length:").unwrap().parse().unwrap();
    while answer.len() < head + length {
        if connection.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    Ok((status, header("connection:") != Some("close")))
}
