//! A Segment behind a certificate that nothing vouches for.

use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{doctor, finds, nobody};
use crate::harness::*;

/// A TLS server of openssl's, ended with the test.
struct Tls {
    process: Child,
    dir: TempDir,
    address: SocketAddr,
}

impl Tls {
    /// One whose certificate says `localhost` and is good for so many days.
    fn start(days: i32) -> Tls {
        let dir = TempDir::new().expect("a temporary folder");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (key, certificate, days) = (at("key.pem"), at("cert.pem"), days.to_string());
        let made = openssl(&[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &at("req.pem"),
            "-subj",
            "/CN=nobody that anybody trusts",
        ]);
        assert!(made.status.success(), "{}", stderr(&made));
        let extensions = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
        std::fs::write(at("ext.cnf"), extensions).expect("a temporary folder takes files");
        let signed = openssl(&[
            "x509",
            "-req",
            "-in",
            &at("req.pem"),
            "-signkey",
            &key,
            "-days",
            &days,
            "-out",
            &certificate,
            "-extfile",
            &at("ext.cnf"),
        ]);
        assert!(signed.status.success(), "{}", stderr(&signed));
        let address = nobody();
        let process = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-www",
                "-cert",
                &certificate,
                "-key",
                &key,
            ])
            .args(["-accept", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "openssl does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Tls {
            process,
            dir,
            address,
        }
    }

    fn home(&self) -> Home {
        Home::new(
            ONE_CONNECTION,
            &format!("https://localhost:{}", self.address.port()),
        )
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn openssl(args: &[&str]) -> Output {
    run(Command::new("openssl").args(args))
}

#[test]
fn a_certificate_of_nobody_and_one_that_has_expired_are_told_apart() {
    let selfmade = Tls::start(30);
    finds(
        &mut doctor(&selfmade.home()),
        "segment",
        "its issuer is unknown",
        "SSL_CERT_FILE",
    );
    let trusted = selfmade.dir.path().join("cert.pem");
    let said = stdout(&run(doctor(&selfmade.home()).env("SSL_CERT_FILE", trusted)));
    assert!(
        said.contains("ok    segment"),
        "a trusted one is fine: {said}"
    );
    let expired = Tls::start(-1);
    let trusted = expired.dir.path().join("cert.pem");
    let home = expired.home();
    let mut command = doctor(&home);
    finds(
        command.env("SSL_CERT_FILE", trusted),
        "segment",
        "it has expired",
        "renew",
    );
}
