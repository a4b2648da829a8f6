//! The Segment stand-in within the test's own process, for tests that set its
//! limits or look at every request.

use std::net::SocketAddr;

use emulator::segment;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A stand-in on a port of its own. It ends with its owner.
pub(crate) struct StandIn {
    pub(crate) segment: segment::Segment,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    _serving: JoinSet<()>,
}

impl StandIn {
    /// One that refuses requests with a call above so many bytes.
    pub(crate) async fn start(call_bytes: usize) -> StandIn {
        let limits = segment::Limits {
            call_bytes,
            ..segment::Limits::default()
        };
        let segment = segment::Segment::new(segment::Config {
            limits,
            ..segment::Config::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
        let run = segment.clone().run(listener, stop.clone());
        serving.spawn(async move { run.await.unwrap() });
        StandIn {
            segment,
            address,
            stop,
            _serving: serving,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
