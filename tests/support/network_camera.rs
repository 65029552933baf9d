//! Network cameras on this machine: MJPEG over HTTP, and RTSP with interleaved RTP.
//!
//! In: who may look, and what is shown. Out: an address. Both want user and password (RFC 7617), both
//! serve one client after the other. The RTP packets are ffmpeg's own, so that what is read over RTSP
//! is H.264 as cameras send it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deepid_edge::capture::replay::mjpeg::MjpegReader;
use deepid_edge::clock::Clock as _;

use super::daemon::{clock, until};
use super::ended::Ended;

/// What a camera knows of those who look.
#[derive(Debug, Default)]
pub struct Facts {
    /// Requests so far, each its first line.
    pub requests: Mutex<Vec<String>>,
    /// How often user and password were wrong or missing.
    pub refused: AtomicUsize,
    /// Set: whoever comes is refused, and who is there is left alone.
    pub refuses: AtomicBool,
    /// Set: it says nothing more, and stays connected.
    pub is_silent: AtomicBool,
}

pub struct NetworkCamera {
    port: u16,
    facts: Arc<Facts>,
    /// What makes the packets of a film.
    _packets: Option<Ended>,
}

impl NetworkCamera {
    /// MJPEG over HTTP: the pictures of the file `film`, 15 a second, again and again.
    pub fn http(film: &Path, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let facts = Arc::new(Facts::default());
        let pictures = Arc::new(pictures(film));
        let wanted = format!("Basic {}", base64(&format!("{user}:{password}")));
        let known = Arc::clone(&facts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (facts, pictures) = (Arc::clone(&known), Arc::clone(&pictures));
                let wanted = wanted.clone();
                std::thread::spawn(move || {
                    let _gone = serve_http(stream, &pictures, &wanted, &facts);
                });
            }
        });
        Self { port, facts, _packets: None }
    }

    /// H.264 over RTSP: the pictures of the file `film`, again and again.
    pub fn rtsp(film: &Path, user: &str, password: &str) -> Self {
        let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let description = film.with_extension("sdp");
        let packets = Command::new("ffmpeg")
            .args(["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-r", "15"])
            .args(["-f", "mjpeg", "-i"])
            .arg(film)
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"])
            .args(["-g", "15", "-bf", "0", "-pix_fmt", "yuv420p", "-sdp_file"])
            .arg(&description)
            .args(["-f", "rtp"])
            .arg(format!("rtp://127.0.0.1:{}?pkt_size=1200", udp.local_addr().unwrap().port()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let packets = Ended::with(packets);
        let text = until("the stream's description", || {
            let text = std::fs::read_to_string(&description).ok()?;
            text.contains("a=fmtp").then_some(text)
        });
        let lines = text.lines().filter(|line| !line.starts_with("SDP:")).map(|line| {
            let is_media = line.starts_with("m=video ");
            if is_media { "m=video 0 RTP/AVP 96".to_owned() } else { line.to_owned() }
        });
        let description: String = lines
            .chain(["a=control:track1".to_owned()])
            .map(|line| line.trim().to_owned() + "\r\n")
            .collect();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let facts = Arc::new(Facts::default());
        let wanted = format!("Basic {}", base64(&format!("{user}:{password}")));
        let (known, udp) = (Arc::clone(&facts), Arc::new(udp));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (facts, udp) = (Arc::clone(&known), Arc::clone(&udp));
                let (wanted, description) = (wanted.clone(), description.clone());
                std::thread::spawn(move || serve_rtsp(stream, &udp, &description, &wanted, &facts));
            }
        });
        Self { port, facts, _packets: Some(packets) }
    }

    /// What it knows.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// `scheme://this camera/path`.
    pub fn address(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/{path}", self.port)
    }
}

fn pictures(film: &Path) -> Vec<Vec<u8>> {
    let mut reader = MjpegReader::new(BufReader::new(std::fs::File::open(film).unwrap()));
    let (mut all, mut one) = (Vec::new(), Vec::new());
    while reader.next_picture(&mut one).unwrap() {
        all.push(one.clone());
    }
    all
}

/// The first line of a request and its authorisation; nothing at the end.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<String>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
        let line = line.trim().to_owned();
        if line.is_empty() && !lines.is_empty() {
            let first = lines.remove(0);
            return Some((first, lines));
        }
        lines.push(line);
    }
}

fn header<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn may_look(lines: &[String], wanted: &str, facts: &Facts) -> bool {
    let may = header(lines, "authorization") == Some(wanted);
    let may = may && !facts.refuses.load(Ordering::Relaxed);
    if !may {
        facts.refused.fetch_add(1, Ordering::Relaxed);
    }
    may
}

fn serve_http(
    mut stream: TcpStream,
    pictures: &[Vec<u8>],
    wanted: &str,
    facts: &Facts,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some((first, lines)) = request(&mut reader) else { return Ok(()) };
    facts.requests.lock().unwrap().push(first);
    if !may_look(&lines, wanted, facts) {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"camera\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(refusal.as_bytes());
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    for picture in pictures.iter().cycle() {
        while facts.is_silent.load(Ordering::Relaxed) {
            clock().sleep(Duration::from_millis(50));
        }
        let length = picture.len();
        write!(stream, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n")?;
        stream.write_all(picture)?;
        stream.write_all(b"\r\n")?;
        clock().sleep(Duration::from_millis(66));
    }
    Ok(())
}

fn serve_rtsp(
    mut stream: TcpStream,
    udp: &Arc<UdpSocket>,
    description: &str,
    wanted: &str,
    facts: &Arc<Facts>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(&first) = reader.fill_buf().ok().and_then(<[u8]>::first) {
        if first == b'$' {
            // What the client reports of the reception.
            let mut head = [0; 4];
            reader.read_exact(&mut head).unwrap();
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            reader.read_exact(&mut vec![0; length]).unwrap();
            continue;
        }
        let Some((first, lines)) = request(&mut reader) else { return };
        facts.requests.lock().unwrap().push(first.clone());
        let method = first.split(' ').next().unwrap_or_default();
        let number = header(&lines, "cseq").unwrap_or_default().to_owned();
        let refused = method != "OPTIONS" && !may_look(&lines, wanted, facts);
        let (code, more) = match method {
            _ if refused => {
                ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"camera\"\r\n\r\n".to_owned())
            }
            "OPTIONS" => ("200 OK", "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n".to_owned()),
            "DESCRIBE" => {
                let length = description.len();
                let head = format!("Content-Type: application/sdp\r\nContent-Length: {length}");
                ("200 OK", format!("{head}\r\n\r\n{description}"))
            }
            "SETUP" => {
                let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
                ("200 OK", format!("Session: 1\r\n{transport}\r\n\r\n"))
            }
            _ => ("200 OK", "Session: 1\r\n\r\n".to_owned()),
        };
        let answer = format!("RTSP/1.0 {code}\r\nCSeq: {number}\r\n{more}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        if method == "PLAY" && !refused {
            let (mut to, udp, facts) =
                (stream.try_clone().unwrap(), Arc::clone(udp), Arc::clone(facts));
            std::thread::spawn(move || {
                let mut packet = vec![0; 65536];
                while let Ok(length) = udp.recv(&mut packet) {
                    if facts.is_silent.load(Ordering::Relaxed) {
                        continue;
                    }
                    let bytes = u16::try_from(length).unwrap().to_be_bytes();
                    let framed = [&[b'$', 0, bytes[0], bytes[1]], &packet[..length]].concat();
                    if to.write_all(&framed).is_err() {
                        return;
                    }
                }
            });
        }
    }
}

pub fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    encoded
}
