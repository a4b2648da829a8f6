//! What the monitoring port of a NATS server says, by the few words of HTTP and
//! JSON that this takes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// The body of the answer, if it is a 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ')
        .nth(1)
        .filter(|status| *status == "200")
        .map(|_| body.to_owned())
}

/// The leader of the servers, by a report of `/jsz`.
pub(crate) fn leader(report: &str) -> Option<&str> {
    let (_, rest) = report.split_once("\"leader\": \"")?;
    rest.split('"').next()
}

/// Whether the leader, whose report this is, says that `name` has caught up.
pub(crate) fn is_current(report: &str, name: &str) -> bool {
    let replicas = report.split_once("\"replicas\": [").map(|(_, rest)| rest);
    let replica = replicas.and_then(|replicas| {
        let mut each = replicas.split('}');
        each.find(|replica| replica.contains(&format!("\"name\": \"{name}\"")))
    });
    replica.is_some_and(|replica| replica.contains("\"current\": true"))
}
