//! A real mosquitto on a free loopback port, with a configuration of its own, in a directory that
//! goes away with it.
//!
//! [`Mosquitto::start`] returns when the broker says that it runs; [`Mosquitto::stop`] and
//! [`Mosquitto::start_again`] restart it on the same port. Nothing but its own process is ended.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::ended::Ended;

/// How long anything may take before a test gives up. No test measures time by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the broker is asked to be.
#[derive(Debug, Clone, Default)]
pub struct Broker {
    /// CA, certificate and key for TLS; plain without.
    pub tls: Option<ServerTls>,
    /// Users and passwords; anonymous without any.
    pub passwords: Vec<(&'static str, &'static str)>,
    /// Lines of an access control file.
    pub acl: Option<&'static str>,
}

/// The broker's own certificate.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Whether clients must bring one, too.
    pub require_client: bool,
}

pub struct Mosquitto {
    directory: tempfile::TempDir,
    binary: PathBuf,
    port: u16,
    child: Option<Ended>,
    log: Option<Receiver<String>>,
}

/// The broker's program, or nothing, said aloud, where it is not installed.
pub fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join("mosquitto"))
        .find(|program| program.is_file());
    if found.is_none() {
        super::skip("mosquitto is not installed; run 'apt-get install mosquitto'");
    }
    found
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Mosquitto {
    /// Starts one, or says aloud that it cannot.
    pub fn start(broker: &Broker) -> Option<Self> {
        let binary = installed()?;
        let directory = tempfile::tempdir().unwrap();
        let mut mosquitto = Self { directory, binary, port: free_port(), child: None, log: None };
        // Another process may take the port between finding and using it.
        for _ in 0..5 {
            mosquitto.configure(broker);
            if mosquitto.try_start() {
                return Some(mosquitto);
            }
            mosquitto.port = free_port();
        }
        panic!("mosquitto does not start: see its configuration in this test");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of its process.
    pub fn process(&self) -> String {
        self.child.as_ref().unwrap().id().to_string()
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends it as a power cut would.
    pub fn stop(&mut self) {
        drop(self.child.take());
    }

    /// Stops it from reading, as an overloaded machine would; its sockets stay open.
    pub fn freeze(&self) {
        super::signal(self.child.as_ref().unwrap().id(), "-STOP");
    }

    /// Lets it read again after [`Mosquitto::freeze`].
    pub fn thaw(&self) {
        super::signal(self.child.as_ref().unwrap().id(), "-CONT");
    }

    /// Gives it other rules of access, as its owner would: without a restart.
    pub fn replace_acl(&self, acl: &str) {
        std::fs::write(self.directory.path().join("acl"), acl).unwrap();
        super::signal(self.child.as_ref().unwrap().id(), "-HUP");
    }

    /// Starts it anew on the same port, with nothing remembered.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        assert!(self.try_start(), "mosquitto does not start again on port {}", self.port);
    }

    fn configure(&self, broker: &Broker) {
        let at = |name: &str| self.directory.path().join(name);
        let mut text = String::from("persistence false\nlog_dest stderr\nlog_type all\n");
        // Started by root it would give itself up to a user who may not read this directory.
        text.push_str("user root\n");
        writeln!(text, "listener {} 127.0.0.1", self.port).unwrap();
        if broker.passwords.is_empty() {
            text.push_str("allow_anonymous true\n");
        } else {
            let file = at("passwords");
            std::fs::write(&file, "").unwrap();
            for (user, password) in &broker.passwords {
                let made = Command::new("mosquitto_passwd")
                    .arg("-b")
                    .arg(&file)
                    .args([user, password])
                    .output()
                    .unwrap();
                assert!(made.status.success(), "{made:?}");
            }
            writeln!(text, "allow_anonymous false\npassword_file {}", file.display()).unwrap();
        }
        if let Some(acl) = broker.acl {
            std::fs::write(at("acl"), acl).unwrap();
            writeln!(text, "acl_file {}", at("acl").display()).unwrap();
        }
        if let Some(tls) = &broker.tls {
            writeln!(text, "cafile {}", tls.ca.display()).unwrap();
            writeln!(text, "certfile {}", tls.certificate.display()).unwrap();
            writeln!(text, "keyfile {}", tls.key.display()).unwrap();
            writeln!(text, "require_certificate {}", tls.require_client).unwrap();
        }
        std::fs::write(at("mosquitto.conf"), text).unwrap();
    }

    fn try_start(&mut self) -> bool {
        let child = Command::new(&self.binary)
            .arg("-c")
            .arg(self.directory.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Ended::with(child);
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have stopped listening; mosquitto must not block on its log.
                drop(lines.send(line));
            }
        });
        let mut said = Vec::new();
        while let Ok(line) = log.recv_timeout(PATIENCE) {
            if line.contains("running") {
                self.child = Some(child);
                self.log = Some(log);
                return true;
            }
            said.push(line);
        }
        eprintln!("mosquitto did not start:\n{}", said.join("\n"));
        false
    }
}
