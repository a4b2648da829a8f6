//! TCP, TLS and names: connections that are renewed in time, and those that never come about.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dispatch::{Condition, Outbox, Policy};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use crate::target::{Target, destination, status};
use crate::{batch, dispatch, outbox_with};

fn connections(target: &Target) -> BTreeSet<usize> {
    target
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect()
}

async fn dispatch_ten_batches(target: &Target, policy: Policy) {
    let outbox = outbox_with(target, policy);
    for tag in 0..10 {
        dispatch(&outbox, batch(tag..tag + 1)).await;
    }
}

#[tokio::test]
async fn a_young_connection_is_used_again() {
    let target = Target::playing(vec![]).await;
    dispatch_ten_batches(&target, Policy::for_tests()).await;
    assert!(
        connections(&target).len() < 10,
        "{:?}",
        connections(&target)
    );
}

#[tokio::test]
async fn a_connection_is_renewed_after_its_lifetime() {
    let target = Target::playing(vec![]).await;
    let policy = Policy {
        connection_lifetime: Duration::ZERO,
        ..Policy::for_tests()
    };
    dispatch_ten_batches(&target, policy).await;
    assert_eq!(connections(&target).len(), 10);
}

#[tokio::test]
async fn a_5xx_renews_the_connection() {
    let target = Target::playing(vec![status(500); 5]).await;
    let outcome = dispatch(&outbox_with(&target, Policy::for_tests()), batch(0..1)).await;
    assert_eq!(outcome.n_attempts, 6);
    assert_eq!(connections(&target).len(), 6);
}

#[tokio::test]
async fn a_5xx_soon_after_a_renewal_does_not_renew_again() {
    let target = Target::playing(vec![status(500); 20]).await;
    let policy = Policy {
        renewal_interval: Duration::from_hours(1),
        ..Policy::for_tests()
    };
    dispatch(&outbox_with(&target, policy), batch(0..1)).await;
    assert!(
        connections(&target).len() < 21,
        "{:?}",
        connections(&target)
    );
}

/// Dispatches until the first failure is known, and says how it is explained.
async fn reason(endpoint: &str) -> String {
    let outbox = Outbox::new(destination(endpoint), Policy::for_tests()).unwrap();
    let mut condition = outbox.condition();
    let stop = CancellationToken::new();
    let watching = async {
        let waiting = |now: &Condition| *now != Condition::Flowing;
        let seen = condition.wait_for(waiting).await.unwrap().clone();
        stop.cancel();
        seen
    };
    let (outcome, seen) = tokio::join!(outbox.dispatch(batch(0..1), &stop), watching);
    assert_eq!(outcome.stopped, [0]);
    match seen {
        Condition::Waiting { reason, .. } => reason,
        Condition::Flowing => panic!("it should wait"),
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let host = format!("{}.invalid", "x".repeat(64)); // too long for DNS, so nobody is asked
    let reason = reason(&format!("http://{host}")).await;
    assert!(
        reason.starts_with(&format!("cannot resolve host {host}: ")),
        "{reason}"
    );
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_waited_for() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap(); // reserves the port without listening
    let reason = reason(&format!("http://{}", socket.local_addr().unwrap())).await;
    assert!(
        reason.starts_with("cannot connect to 127.0.0.1: "),
        "{reason}"
    );
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_fault_of_the_destination() {
    let server = SelfSigned::start();
    let reason = reason(&format!("https://localhost:{}", server.address.port())).await;
    let expected =
        "the certificate of localhost cannot be trusted: its issuer is unknown to this system";
    assert_eq!(reason, expected);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_fault_of_the_destination() {
    let target = Target::playing(vec![]).await;
    let plain = target.destination().endpoint.to_string();
    let reason = reason(&plain.replace("http://", "https://")).await;
    assert!(reason.starts_with("cannot "), "{reason}");
}

/// A TLS server with a certificate of its own making, which no client should accept.
struct SelfSigned {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SelfSigned {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let config = Arc::new(config());
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                tls.complete_io(&mut stream.unwrap())
                    .expect_err("the client should hang up");
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for SelfSigned {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).unwrap(); // wakes it
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The certificate is for localhost and good until 2126; it and its key were made for this
/// test with `openssl req -x509 -newkey ec -addext basicConstraints=critical,CA:FALSE`.
fn config() -> ServerConfig {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures");
    let certificate = CertificateDer::from_pem_file(format!("{folder}/self-signed.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}/self-signed.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}
