//! A browser of a few lines: requests as they are on the wire, so that a test can also send what no
//! browser would.
//!
//! Each request has a connection of its own. What is read has a bound in time, which guards against
//! hanging and measures nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a test stops at the first surprise, and takes what it needs"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;

use super::daemon::{PATIENCE, until};

/// What was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One who asks.
#[derive(Clone)]
pub struct Browser {
    pub port: u16,
    pub cookie: Option<String>,
    pub csrf: Option<String>,
    /// Further lines of every head.
    pub head: Vec<String>,
    /// The certificate that is believed, where the page is encrypted.
    pub certificate: Option<Vec<u8>>,
}

/// A port of this machine that nobody listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Browser {
    pub fn new(port: u16) -> Self {
        Self { port, cookie: None, csrf: None, head: Vec::new(), certificate: None }
    }

    /// One that believes the certificate in `pem` and no other.
    pub fn believing(self, pem: &[u8]) -> Self {
        Self { certificate: Some(pem.to_vec()), ..self }
    }

    /// The same with a further line in every head.
    pub fn with(&self, line: &str) -> Self {
        let mut other = self.clone();
        other.head.push(line.to_owned());
        other
    }

    /// Waits until the page answers.
    pub fn until_served(self) -> Self {
        until("the page", || {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            drop(stream);
            (self.get("/healthz").status == 200).then_some(())
        });
        self
    }

    pub fn connect(&self) -> Box<dyn Stream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let Some(pem) = &self.certificate else { return Box::new(stream) };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        Box::new(rustls::StreamOwned::new(session, stream))
    }

    pub fn head_of(&self, method: &str, path: &str) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !self.head.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            write!(head, "Host: 127.0.0.1:{}\r\n", self.port).unwrap();
        }
        for line in &self.head {
            write!(head, "{line}\r\n").unwrap();
        }
        if let Some(cookie) = &self.cookie {
            write!(head, "Cookie: other=1; {cookie}\r\n").unwrap();
        }
        if let Some(csrf) = &self.csrf {
            write!(head, "X-CSRF-Token: {csrf}\r\n").unwrap();
        }
        head
    }

    pub fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Reply {
        let mut stream = self.connect();
        let mut head = self.head_of(method, path);
        head.push_str("Connection: close\r\n");
        if !kind.is_empty() {
            write!(head, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()).unwrap();
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // Whoever is refused early may be cut off while it still sends.
        drop(stream.write_all(body));
        reply(&mut stream)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "", &[])
    }

    pub fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(method, path, "application/json", body.to_string().as_bytes())
    }

    /// Sends pictures, each with the name of its file, and a name where there is one.
    pub fn pictures(&self, path: &str, name: Option<&str>, pictures: &[(&str, &[u8])]) -> Reply {
        let mut body = Vec::new();
        if let Some(name) = name {
            let part =
                format!("--XX\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n{name}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        for (file, bytes) in pictures {
            let part = format!(
                "--XX\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            );
            body.extend_from_slice(part.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--XX--\r\n");
        self.send("POST", path, "multipart/form-data; boundary=XX", &body)
    }

    /// Logs in.
    pub fn log_in(&self, name: &str, password: &str) -> Self {
        let asked = serde_json::json!({ "name": name, "password": password });
        let answer = self.json("POST", "/api/v1/session", &asked);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let csrf = answer.json()["csrf"].as_str().unwrap().to_owned();
        Self { cookie: Some(cookie), csrf: Some(csrf), ..self.clone() }
    }

    /// Listens to events.
    pub fn listen(&self) -> Events {
        let mut stream = self.connect();
        let head = self.head_of("GET", "/api/v1/events");
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert!(first.contains(" 200 "), "{first}");
        Events { lines }
    }

    /// Opens a WebSocket.
    pub fn socket(&self, path: &str) -> (Reply, Box<dyn Stream>) {
        let mut stream = self.connect();
        let head = self.head_of("GET", path);
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        stream.write_all(format!("{head}{upgrade}\r\n").as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        (parse(&head), stream)
    }
}

/// One message of a WebSocket: its kind (1 text, 2 binary, 8 the end), and what it holds.
pub fn message(stream: &mut dyn Stream) -> (u8, Vec<u8>) {
    let mut exact = |count: usize| {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    };
    let head = exact(2);
    let length = match head[1] & 0x7f {
        126 => usize::from(u16::from_be_bytes(exact(2).try_into().unwrap())),
        127 => usize::try_from(u64::from_be_bytes(exact(8).try_into().unwrap())).unwrap(),
        short => usize::from(short),
    };
    (head[0] & 0x0f, exact(length))
}

/// Events as they come.
pub struct Events {
    lines: BufReader<Box<dyn Stream>>,
}

impl Events {
    /// The data of the next event called `name` of which `wanted` is true.
    pub fn next(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut event = String::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no more events: {name}");
            if let Some(called) = line.strip_prefix("event: ") {
                called.trim().clone_into(&mut event);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let value: Value = serde_json::from_str(data.trim()).unwrap();
                if event == name && wanted(&value) {
                    return value;
                }
            }
        }
    }

    /// Waits until the other side ends it.
    pub fn until_ended(mut self) {
        let mut rest = Vec::new();
        self.lines.read_to_end(&mut rest).unwrap();
    }
}

fn parse(head: &[u8]) -> Reply {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Reply { status: status.unwrap_or_default(), headers, body: Vec::new() }
}

/// Reads one answer to the end of the connection.
pub fn reply(stream: &mut dyn Read) -> Reply {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&chunk[..count]),
            // Cut off without a word, as whoever is refused early may be.
            Err(error) if !all.is_empty() && error.kind() != std::io::ErrorKind::WouldBlock => {
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(all.len());
    let mut reply = parse(&all[..end]);
    let body = all.get(end + 4..).unwrap_or_default();
    reply.body = if reply.header("transfer-encoding") == Some("chunked") {
        unchunked(body)
    } else {
        body.to_vec()
    };
    reply
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
    body
}
