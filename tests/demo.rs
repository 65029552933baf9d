//! The demonstration, from outside: the real binary, its exit code, its JSON.
//!
//! It needs what `make assets` fetches; without it these tests say so and skip.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use deepid_edge::clock::Clock as _;
use support::command::{deepid_edge, json};
use support::daemon::clock;
use support::ended::Ended;
use support::models::assets;
use support::subscriber::Subscriber;

#[test]
fn the_demonstration_grants_the_enrolled_person_alone() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sheet = folder.path().join("sheet.png");
    let output =
        deepid_edge(&["demo", "--fast", "--json", "--picture", sheet.to_str().expect("UTF-8")]);
    let closing = json(&output);
    assert!(output.status.success(), "{closing:#}");
    assert_eq!(closing["as_expected"], true);
    let came: Vec<String> = closing["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .flat_map(|part| part["decisions"].as_array().expect("decisions"))
        .map(|decision| {
            let text = |key: &str| decision[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("outcome"), text("reason"))
        })
        .collect();
    let expected = [
        "unknown no_match",
        "granted matched",
        "denied several_faces",
        "denied outside_schedule",
        "ambiguous not_live",
    ];
    assert_eq!(came, expected);
    assert_eq!(closing["grants_verified"], 1, "{closing:#}");
    let refused = serde_json::json!(["replayed", "expired", "unknown_key"]);
    assert_eq!(closing["grants_refused"], refused, "somebody else at the broker opens nothing");
    assert_eq!(closing["health"]["frames"]["processed"], closing["frames_recorded"]);
    let sheet = image::open(&sheet).expect("the contact sheet is a picture").to_rgb8();
    assert!(
        sheet.width() > 1000 && sheet.height() > 500,
        "rows of tiles: {:?}",
        sheet.dimensions()
    );
}

#[test]
fn a_demonstration_that_is_kept_asks_for_its_figures_and_ends_when_interrupted() {
    if !assets() {
        return;
    }
    let child = Command::new(env!("CARGO_BIN_EXE_deepid-edge"))
        .args(["demo", "--keep"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEEPID_EDGE_CONFIG")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut child = Demonstration(Ended::with(child));
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut said = Vec::new();
    let mut audit = None;
    for line in lines.by_ref().map_while(Result::ok) {
        if let (None, Some(port)) = (&audit, port_of(&line)) {
            audit = Some(Subscriber::connect(port, "deepid-edge/demo/audit"));
        }
        let over = line.contains("Ctrl-C");
        said.push(line);
        if over {
            break;
        }
    }
    let audit = audit.expect("a line that says how to listen");
    let request = audit.next("the record of the request", |message| {
        message.json().pointer("/administrative/event") == Some(&"requested".into())
    });
    let request = request.json();
    assert_eq!(request["administrative"]["verdict"], "answered", "{request}");
    let page = said.iter().find_map(|line| page_of(line)).expect("a line that names the page");
    assert!(healthz(page).starts_with("HTTP/1.1 200"), "the page is there");
    support::signal(child.0.id(), "-INT");
    drop(lines);
    let status = child.0.wait().expect("it ends");
    let said = said.join("\n");
    // On a machine that is too slow for real time a decision may differ; then that is the answer.
    let right = said.contains("every decision came as expected");
    let tag = said.contains("was shown: the door takes it");
    assert!(tag || !right, "a grant of the household waits for a tag: {said}");
    assert_eq!(status.code(), Some(i32::from(!right)), "{said}");
    assert!(said.contains(" captured, "), "health arrived: {said}");
}

/// One that is asked to end before it is killed: killed, it would leave its daemon behind.
struct Demonstration(Ended);

impl Drop for Demonstration {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        support::signal(self.0.id(), "-INT");
        for _ in 0..500 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            clock().sleep(Duration::from_millis(20));
        }
    }
}

/// The port in the line that says how to listen.
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("listening ")?.split_once("-p ")?.1.split(' ').next()?.parse().ok()
}

/// The port of the page, in the line that names it.
fn page_of(line: &str) -> Option<u16> {
    let address = line.strip_prefix("page ")?.split_once("http://127.0.0.1:")?.1;
    address.split('/').next()?.parse().ok()
}

fn healthz(port: u16) -> String {
    let mut page = TcpStream::connect(("127.0.0.1", port)).expect("the page listens");
    let host = format!("127.0.0.1:{port}");
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    page.write_all(request.as_bytes()).expect("it takes a request");
    let mut answer = String::new();
    page.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn the_same_visit_with_a_threshold_that_nobody_reaches_is_no_success() {
    if !assets() {
        return;
    }
    let output = deepid_edge(&["demo", "--fast", "--json", "--set", "recognise.threshold=0.99"]);
    let closing = json(&output);
    assert_eq!(output.status.code(), Some(1), "{closing:#}");
    assert_eq!(closing["as_expected"], false);
}

#[test]
fn absent_photographs_are_named_with_their_remedy() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output =
        deepid_edge(&["demo", "--fast", "--photographs", folder.path().to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("obama.jpg"), "{said}");
}
