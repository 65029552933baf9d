//! The door's page, served by the real daemon on a recording, asked as browsers, machines and attackers ask.
//!
//! Needs the files that `make assets` fetches; says aloud what it skips. Waiting is bounded and measures
//! nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use deepid_edge::serve::{Access, ROUTES};
use deepid_edge::store::{Administrative, Body, TOKENS_MAX};
use serde_json::{Value, json};
use support::browser::{Browser, free_port, message, reply};
use support::daemon::{Daemon, Home, PATIENCE, until};
use support::models::{assets, root};
use support::scene::Recording;

const PASSWORD: &str = "a password of some length";

/// A door with a page and the three kinds of accounts, before which `recording` plays over and over.
struct Site {
    home: Home,
    port: u16,
    recording: std::path::PathBuf,
}

impl Site {
    fn new(home: Home, recording: Recording) -> Self {
        let port = free_port();
        let home = home
            .set("serve.listen", format!("127.0.0.1:{port}"))
            .set("camera.replay.pace", "real-time")
            .set("camera.replay.repeat", true);
        let file = home.path("visit.mjpeg");
        recording.write(&file, 1);
        let site = Self { home, port, recording: file };
        for role in ["administrator", "viewer", "kiosk"] {
            site.add_account(role, role);
        }
        site
    }

    fn quiet() -> Self {
        Self::new(Home::with_database(), Recording::new().nobody(30))
    }

    fn add_account(&self, name: &str, role: &str) {
        let file = self.home.path("password");
        std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
        let file = file.display().to_string();
        let added =
            self.home.ask(&["accounts", "add", name, "--role", role, "--password-file", &file]);
        assert_eq!(added.code, 0, "{}", added.err);
    }

    fn start(&self) -> (Daemon, Browser) {
        let daemon = self.home.run(&self.recording);
        daemon.until_notified("READY=1");
        (daemon, Browser::new(self.port).until_served())
    }
}

fn photograph(name: &str) -> Vec<u8> {
    std::fs::read(root().join("assets/photographs").join(name)).unwrap()
}

/// The case, the name that is sent, the files, and the status that answers.
type Upload<'a> = (&'a str, Option<&'a str>, &'a [(&'a str, &'a [u8])], u16);

#[test]
fn without_an_address_there_is_no_page_and_no_thread_for_it() {
    if !assets() {
        return;
    }
    let names = |daemon: &Daemon| -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .map(|name| name.trim().to_owned())
            .collect()
    };
    let site = Site::quiet();
    let (daemon, _) = site.start();
    assert!(names(&daemon).contains(&"page".to_owned()), "{:?}", names(&daemon));
    drop(daemon);
    let without = Home::with_database()
        .set("camera.replay.repeat", true)
        .set("camera.replay.pace", "real-time");
    let daemon = without.run(&site.recording);
    daemon.until_notified("READY=1");
    assert!(!names(&daemon).iter().any(|name| name.starts_with("page")), "{:?}", names(&daemon));
}

#[test]
fn every_route_asks_who_it_is_and_whether_it_may() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (_daemon, nobody) = site.start();
    let [administrator, viewer, kiosk] =
        ["administrator", "viewer", "kiosk"].map(|name| nobody.log_in(name, PASSWORD));
    let path_of = |path: &str| {
        path.replace("{*path}", "index.html")
            .replace("{id}", "s-ffffff")
            .replace("{group}", "nobody")
    };
    let mut seen = 0;
    for route in ROUTES {
        let path = path_of(route.path);
        let ask = |who: &Browser| who.send(route.method, &path, "application/json", b"{}").status;
        let what = format!("{} {path}", route.method);
        assert_eq!(ask(&nobody.with("Host: evil.example")), 403, "{what}, as another host");
        assert_eq!(
            ask(&nobody.with("Origin: https://evil.example")),
            403,
            "{what}, from elsewhere"
        );
        let foreign = administrator.with("Origin: https://evil.example");
        assert_eq!(ask(&foreign), 403, "{what}, from elsewhere with a session");
        if route.access == Access::Open {
            continue;
        }
        seen += 1;
        assert_eq!(ask(&nobody), 401, "{what}, without a session");
        let forged = Browser { cookie: Some("deepid_edge_session=x".to_owned()), ..nobody.clone() };
        assert_eq!(ask(&forged), 401, "{what}, with a made-up session");
        assert_eq!(ask(&nobody.with("Authorization: Bearer x")), 401, "{what}, by a made-up token");
        if matches!(route.access, Access::Reader | Access::Administrator) {
            assert_eq!(ask(&kiosk), 403, "{what}, as a kiosk");
        }
        if matches!(route.access, Access::Administrator | Access::Kiosk) {
            assert_eq!(ask(&viewer), 403, "{what}, as a viewer");
        }
        if route.access == Access::Kiosk {
            assert_eq!(ask(&administrator), 403, "{what}, as an administrator");
        }
        if route.method != "GET" {
            for csrf in [None, Some("x".to_owned()), viewer.csrf.clone()] {
                let without = Browser { csrf, ..administrator.clone() };
                assert_eq!(ask(&without), 403, "{what}, without its own token");
            }
        }
    }
    assert!(seen > 20, "{seen}");
    assert_eq!(nobody.get("/nothing").status, 404);
    let refused = administrator.send("DELETE", "/api/v1/state", "", &[]);
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(administrator.get("/api/v1/state").status, 200, "the session is still there");
}

#[test]
fn every_answer_tells_the_browser_to_trust_nothing_else() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    for path in ["/", "/kiosk", "/healthz", "/api/v1/session", "/api/v1/state", "/nothing"] {
        let answer = administrator.get(path);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        let cached = if matches!(path, "/" | "/kiosk") { "no-cache" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), Some(cached), "{path}");
    }
    let page = nobody.get("/");
    let tag = page.header("etag").unwrap().to_owned();
    assert_eq!(nobody.with(&format!("If-None-Match: {tag}")).get("/").status, 304);
    let problem = nobody.get("/api/v1/state");
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    let problem = problem.json();
    assert_eq!((&problem["status"], &problem["title"]), (&json!(401), &json!("Unauthorized")));
    assert!(problem["detail"].is_string() && problem["type"].is_string());
}

#[test]
fn failed_logins_wait_and_a_right_one_is_told_apart_from_nothing() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (daemon, nobody) = site.start();
    let answer =
        nobody.json("POST", "/api/v1/session", &json!({ "name": "viewer", "password": PASSWORD }));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let try_as = |name: &str| {
        let wrong = json!({ "name": name, "password": "not the password" });
        nobody.json("POST", "/api/v1/session", &wrong)
    };
    let (known, unknown) = (try_as("viewer"), try_as("nobody"));
    assert_eq!((known.status, unknown.status), (401, 401));
    assert_eq!(known.json(), unknown.json(), "whether the account is there is not told");
    let refused = until("a wait", || {
        let answer = try_as("viewer");
        (answer.status != 401).then_some(answer)
    });
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
    let right = json!({ "name": "viewer", "password": PASSWORD });
    assert_eq!(
        nobody.json("POST", "/api/v1/session", &right).status,
        429,
        "also a right one waits"
    );
    let log = daemon.log();
    assert!(!log.contains(PASSWORD) && !log.contains("not the password"), "{log}");
    for wrong in [&b"nonsense"[..], b"{}", b"{\"name\":1}", b"[]"] {
        let answer = nobody.send("POST", "/api/v1/session", "application/json", wrong);
        assert_eq!(answer.status, 422, "{}", String::from_utf8_lossy(wrong));
    }
    let endless = vec![b' '; 100_000];
    assert_eq!(nobody.send("POST", "/api/v1/session", "application/json", &endless).status, 413);
}

#[test]
fn whoever_cuts_logins_off_locks_nobody_out() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (_daemon, nobody) = site.start();
    let right = json!({ "name": "viewer", "password": PASSWORD });
    let body = right.to_string();
    for _ in 0..24 {
        let mut stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
        let head = nobody.head_of("POST", "/api/v1/session");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).unwrap();
    }
    until("a login", || {
        (nobody.json("POST", "/api/v1/session", &right).status == 200).then_some(())
    });
}

#[test]
fn an_account_that_is_removed_or_changed_has_no_session_any_more() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let viewer = nobody.log_in("viewer", PASSWORD);
    let kiosk = nobody.log_in("kiosk", PASSWORD);
    let token = site.home.ask(&["accounts", "token", "viewer"]).out.trim().to_owned();
    let machine = nobody.with(&format!("Authorization: Bearer {token}"));
    assert_eq!(machine.get("/api/v1/state").status, 200);
    assert_eq!(viewer.get("/api/v1/state").status, 200);
    let file = site.home.path("password").display().to_string();
    site.home.told(&["accounts", "password", "administrator", "--password-file", &file]);
    assert_eq!(administrator.get("/api/v1/state").status, 401, "another password");
    site.home.told(&["accounts", "remove", "viewer"]);
    assert_eq!(viewer.get("/api/v1/state").status, 401, "removed");
    assert_eq!(machine.get("/api/v1/state").status, 401, "its tokens too");
    assert_eq!(kiosk.get("/api/v1/kiosk").status, 200);
    assert_eq!(kiosk.send("DELETE", "/api/v1/session", "", &[]).status, 204);
    assert_eq!(kiosk.get("/api/v1/kiosk").status, 401, "logged out");
    let last = site.home.records().pop().unwrap();
    let event = serde_json::to_value(&last.body).unwrap()["administrative"].clone();
    assert_eq!(event, json!({ "event": "account_token_removed", "account": "kiosk" }));
    let again = nobody.log_in("kiosk", PASSWORD);
    site.home.told(&["accounts", "password", "kiosk", "--password-file", &file]);
    assert_eq!(again.get("/api/v1/kiosk").status, 401, "another password");
}

#[test]
fn a_screen_at_the_door_stays_logged_in_over_a_restart() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (daemon, nobody) = site.start();
    let kiosk = nobody.log_in("kiosk", PASSWORD);
    let viewer = nobody.log_in("viewer", PASSWORD);
    drop(daemon);
    let (_daemon, _) = site.start();
    assert_eq!(kiosk.get("/api/v1/kiosk").json()["door"], "front");
    assert_eq!(viewer.get("/api/v1/state").status, 401, "others log in again");
}

#[test]
fn a_screen_that_forgets_its_login_takes_the_place_of_none_that_listens() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (_daemon, nobody) = site.start();
    let screens: Vec<_> = (0..TOKENS_MAX).map(|_| nobody.log_in("kiosk", PASSWORD)).collect();
    let _listening = screens[0].listen();
    assert_eq!(screens[1].get("/api/v1/kiosk").status, 200, "used after all others");
    let right = json!({ "name": "kiosk", "password": PASSWORD });
    let told = until("it is known which are used", || {
        let answer = nobody.json("POST", "/api/v1/session", &right);
        let waits = answer.status == 429 && answer.header("retry-after").is_some();
        assert!(waits || answer.status == 200, "{}", answer.text());
        (answer.status == 200).then_some(answer)
    });
    let status = |number: usize| screens[number].get("/api/v1/kiosk").status;
    assert_eq!((status(0), status(1), status(2), status(3)), (200, 200, 401, 200));
    let cookie = told.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let new = Browser { cookie: Some(cookie), ..nobody.clone() };
    assert_eq!(new.get("/api/v1/kiosk").status, 200);
    let last: Vec<_> = site.home.records().into_iter().rev().take(2).collect();
    let events = last.iter().map(|record| {
        serde_json::to_value(&record.body).unwrap()["administrative"]["event"].clone()
    });
    assert_eq!(events.collect::<Vec<_>>(), ["account_token_made", "account_token_removed"]);
}

#[test]
fn a_name_with_markup_is_a_name() {
    if !assets() {
        return;
    }
    let site = Site::new(Home::new().enrol_obama(), Recording::new().nobody(30));
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let id = administrator.get("/api/v1/subjects").json()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/subjects/{id}");
    let name = "<img src=x onerror=alert(1)> \"&' Ünal";
    let changed = administrator.json("PATCH", &path, &json!({ "name": name }));
    assert_eq!((changed.status, &changed.json()["name"]), (200, &json!(name)));
    let listed = administrator.get("/api/v1/subjects?q=onerror");
    assert_eq!(listed.json()[0]["name"], name);
    assert_eq!(listed.header("content-type"), Some("application/json"));
    let csv = administrator.get("/api/v1/records.csv");
    assert!(csv.header("content-disposition").unwrap().starts_with("attachment"));
    assert!(csv.text().contains("onerror"), "{}", csv.text());
    let other = administrator.json("PATCH", &path, &json!({ "name": "=1+1" }));
    assert_eq!(other.status, 200);
    assert!(administrator.get("/api/v1/records.csv").text().contains(",'=1+1,"));
    let exported = site.home.ask(&["records", "export", "--format", "csv", "--names"]).out;
    assert!(exported.contains(",'=1+1\r\n"), "{exported}");
}

#[test]
fn what_is_changed_by_the_page_is_recorded_with_the_account() {
    if !assets() {
        return;
    }
    let site = Site::new(Home::new().enrol_obama(), Recording::new().nobody(30));
    site.home.told(&["groups", "add", "family"]);
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let id = administrator.get("/api/v1/subjects").json()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/subjects/{id}");
    let change = json!({ "enabled": false, "valid_until": "2030-01-01T00:00:00" });
    let both = administrator.json("PATCH", &path, &change);
    assert_eq!(both.status, 422, "{}", both.text());
    let until = json!({ "valid_until": "2030-01-01T00:00:00" });
    let told = administrator.json("PATCH", &path, &until).json();
    assert_eq!(told["valid_until"], "2030-01-01T00:00:00");
    assert_eq!(told["enabled"], true, "of two changes none was made");
    let told = administrator.json("PATCH", &path, &json!({ "enabled": false })).json();
    assert_eq!(told["enabled"], false);
    let told = administrator.json("PATCH", &path, &json!({ "valid_until": null })).json();
    assert!(told.get("valid_until").is_none(), "{told}");
    let group = format!("{path}/groups/family");
    assert_eq!(administrator.send("PUT", &group, "", &[]).json()["groups"], json!(["family"]));
    assert_eq!(administrator.get("/api/v1/groups").json()[0]["members"], 1);
    assert_eq!(administrator.send("DELETE", &group, "", &[]).json()["groups"], json!([]));
    assert_eq!(administrator.send("PUT", &format!("{path}/groups/none"), "", &[]).status, 404);
    for wrong in
        [json!({ "valid_from": "soon" }), json!({ "nam": "x" }), json!({ "name": "" }), json!({})]
    {
        let answer = administrator.json("PATCH", &path, &wrong);
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.text());
    }
    assert_eq!(administrator.send("DELETE", &path, "", &[]).status, 204);
    assert_eq!(administrator.send("DELETE", &path, "", &[]).status, 404);
    let by: Vec<String> = site
        .home
        .records()
        .into_iter()
        .filter(|record| record.by.as_ref().is_some_and(|by| by.as_str() == "administrator"))
        .map(|record| match record.body {
            Body::Administrative(event) => {
                serde_json::to_value(event).unwrap()["event"].to_string()
            }
            Body::Decision(_) => panic!("nobody decides by the page"),
        })
        .collect();
    let wanted = [
        "validity_set",
        "subject_disabled",
        "validity_set",
        "subject_assigned",
        "subject_assigned",
        "subject_removed",
    ];
    assert_eq!(by, wanted.map(|event| format!("\"{event}\"")));
    assert_eq!(site.home.ask(&["records", "verify"]).code, 0, "the chain holds");
}

/// Whether a file in `folder` has `needle` in it, or begins as a picture does.
fn holds_a_picture(folder: &Path, needle: &[u8], but: &Path) -> Option<String> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path == but || !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let found = bytes.windows(needle.len()).any(|window| window == needle)
            || bytes.starts_with(&[0xFF, 0xD8, 0xFF])
            || bytes.starts_with(b"\x89PNG");
        if found {
            return Some(path.display().to_string());
        }
    }
    None
}

#[test]
fn people_are_enrolled_and_told_by_pictures_which_are_forgotten() {
    if !assets() {
        return;
    }
    let site = Site::new(Home::with_database(), Recording::new().nobody(30));
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let [one, two, three, other] =
        ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"].map(photograph);
    let cut = &one[..one.len() / 2];
    let pictures: &[(&str, &[u8])] = &[("one.jpg", &one), ("cut.jpg", cut), ("two.jpg", &two)];
    let made = administrator.pictures("/api/v1/subjects/pictures", Some("Barack"), pictures);
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(made["accepted"], json!([{ "file": "one.jpg" }, { "file": "two.jpg" }]));
    assert_eq!(made["refused"][0]["file"], "cut.jpg");
    assert_eq!(made["refused"][0]["reason"], "unreadable");
    assert_eq!(made["subject"]["references"], 2);
    let again = administrator.pictures("/api/v1/subjects/pictures", Some("Barack"), pictures);
    assert_eq!(again.status, 409, "{}", again.text());
    let id = made["subject"]["id"].as_str().unwrap();
    let further = format!("/api/v1/subjects/{id}/pictures");
    let more = administrator.pictures(&further, None, &[("three.jpg", &three)]);
    assert_eq!(more.json()["subject"]["references"], 3, "{}", more.text());
    let told = administrator.pictures("/api/v1/identify", None, &[("x", &three)]).json();
    assert_eq!(told["faces"][0]["best"]["subject"]["name"], "Barack");
    assert_eq!(told["faces"][0]["accepted"], true);
    assert_eq!(told["faces"][0]["box"].as_array().map(Vec::len), Some(4));
    let stranger = administrator.pictures("/api/v1/identify", None, &[("x", &other)]).json();
    assert_eq!(stranger["faces"][0]["accepted"], false, "{stranger}");
    let path = format!("/api/v1/subjects/{id}/verify");
    let verified = |face: &[u8]| administrator.pictures(&path, None, &[("x", face)]).json();
    let (same, not) = (verified(&three), verified(&other));
    assert_eq!((&same["same"], &not["same"]), (&json!(true), &json!(false)), "{same} {not}");
    assert_eq!(same["subject"]["name"], "Barack");
    assert!(same["score"].as_f64() > same["threshold"].as_f64(), "{same}");
    assert!(not["score"].as_f64() < not["threshold"].as_f64(), "{not}");
    let unread = verified(b"no picture");
    assert_eq!((&unread["same"], &unread["reason"]), (&json!(false), &json!("unreadable")));
    let nobody = administrator.pictures("/api/v1/subjects/s-00000f/verify", None, &[("x", &three)]);
    assert_eq!(nobody.status, 404, "{}", nobody.text());
    let figures = administrator.get("/api/v1/calibration").json();
    let counts: u64 =
        figures["enrolled"]["counts"].as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).sum();
    assert_eq!(counts, 3, "three references make three pairs");
    for needle in [&one, &two, &three, &other] {
        let found = holds_a_picture(&site.home.path("."), &needle[2000..2064], &site.recording);
        assert_eq!(found, None, "a picture is left in a file");
    }
}

#[test]
fn pictures_that_are_none_are_refused_and_change_nothing() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let whole = photograph("obama.jpg");
    let mut spoiled = whole.clone();
    spoiled.truncate(3000);
    let mut huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    huge.extend_from_slice(&[
        0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 8, 2, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let drawn = std::fs::read(root().join("tests/data/pictures/progressive.jpg")).unwrap();
    let bad: &[(&str, &[u8])] = &[
        ("text", b"no picture at all"),
        ("empty", b""),
        ("cut", &spoiled),
        ("huge", &huge),
        ("nobody", &drawn),
        ("gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"),
    ];
    let answer = administrator.pictures("/api/v1/subjects/pictures", Some("Nobody"), bad);
    assert_eq!(answer.status, 422, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["refused"].as_array().map(Vec::len), Some(bad.len()), "{answer}");
    assert!(answer["refused"].as_array().unwrap().iter().all(|one| one["remedy"].is_string()));
    assert!(answer["detail"].is_string(), "{answer}");
    let few: &[Upload<'_>] = &[
        ("no name", None, &[("x", b"x")], 422),
        ("no picture", Some("x"), &[], 422),
        ("a wrong name", Some(""), &[("x", b"x")], 422),
    ];
    for (what, name, pictures, status) in few {
        let answer = administrator.pictures("/api/v1/subjects/pictures", *name, pictures);
        assert_eq!(answer.status, *status, "{what}: {}", answer.text());
    }
    let large = vec![0; (32 << 20) + 1];
    let answer = administrator.pictures("/api/v1/identify", None, &[("large", &large)]);
    assert_eq!(answer.status, 413, "{}", answer.text());
    // As much as may be sent is judged; a byte more is not.
    let quarter = &large[1..];
    let mut whole = vec![("a", quarter), ("b", quarter), ("c", quarter), ("d", quarter)];
    let answer = administrator.pictures("/api/v1/subjects/pictures", Some("Nobody"), &whole);
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.json()["refused"].as_array().map(Vec::len), Some(4));
    whole.push(("e", b"x"));
    let answer = administrator.pictures("/api/v1/subjects/pictures", Some("Nobody"), &whole);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.json()["detail"].as_str().unwrap().contains("together"), "{}", answer.text());
    let nonsense =
        administrator.send("POST", "/api/v1/identify", "multipart/form-data; boundary=YY", b"XX");
    assert_eq!(nonsense.status, 422, "{}", nonsense.text());
    assert_eq!(administrator.get("/api/v1/subjects").json(), json!([]));
    assert!(!daemon.log().contains("panic"), "{}", daemon.log());
}

#[test]
fn a_decision_is_told_as_it_is_made_and_a_screen_at_the_door_hears_less() {
    if !assets() {
        return;
    }
    let visit = Recording::new().nobody(10).person("obama3.jpg", 0.16, 25).nobody(30);
    let site = Site::new(Home::new().enrol_obama(), visit);
    let (_daemon, nobody) = site.start();
    let [administrator, kiosk] =
        ["administrator", "kiosk"].map(|name| nobody.log_in(name, PASSWORD));
    let (mut full, mut short) = (administrator.listen(), kiosk.listen());
    let state = full.next("health", |_| true);
    assert_eq!((&state["door"], &state["enrolled"]["subjects"]), (&json!("front"), &json!(1)));
    let seen =
        full.next("observation", |seen| seen["faces"].as_array().is_some_and(|f| !f.is_empty()));
    assert!(seen["faces"][0]["w"].as_f64().unwrap() > 20.0, "{seen}");
    assert_eq!(seen["faces"][0]["keypoints"].as_array().map(Vec::len), Some(4));
    let decided = full.next("decision", |_| true);
    assert_eq!(
        (&decided["outcome"], &decided["subject"]["name"]),
        (&json!("granted"), &json!("obama"))
    );
    assert!(decided["details"]["score"].as_f64().unwrap() > 0.0, "{decided}");
    let back = administrator.with("Last-Event-ID: 0").listen().next("decision", |_| true);
    assert_eq!(back["outcome"], "granted", "what was missed is told");
    let less = short.next("decision", |_| true);
    assert_eq!(less["outcome"], "granted");
    assert!(!less.to_string().contains("obama") && less.get("details").is_none(), "{less}");
    let page = administrator.get("/api/v1/records?kind=decision&limit=1").json();
    assert_eq!(page["records"][0]["kind"], "decision");
    let system = administrator.get("/api/v1/records?kind=system").json();
    assert!(
        system["records"].as_array().unwrap().iter().any(|r| r["kind"] == "started"),
        "{system}"
    );
    let lines = administrator.get("/api/v1/records.jsonl?outcome=granted").text();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["outcome"], "granted");
    let metrics = administrator.get("/metrics").text();
    assert!(metrics.contains("deepid_edge_subjects 1\n"), "{metrics}");
    assert!(!metrics.contains("obama"));
    site.home.told(&["accounts", "remove", "administrator"]);
    full.until_ended();
}

#[test]
fn who_watches_the_camera_is_recorded_and_no_picture_is_stored() {
    if !assets() {
        return;
    }
    let visit = Recording::new().person("obama3.jpg", 0.16, 30);
    let site = Site::new(Home::with_database(), visit);
    let (daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let (head, mut stream) = administrator.socket("/api/v1/live");
    assert_eq!(head.status, 101, "{head:?}");
    let (kind, text) = message(&mut *stream);
    let seen: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((kind, seen["faces"].as_array().map(Vec::len)), (1, Some(1)), "{seen}");
    let (kind, jpeg) = message(&mut *stream);
    assert_eq!(kind, 2);
    let picture = image::load_from_memory(&jpeg).unwrap();
    assert_eq!(json!(picture.width()), seen["width"]);
    assert_eq!(administrator.get("/api/v1/state").json()["viewers"], 1);
    let held: Vec<_> = (1..5).map(|_| administrator.socket("/api/v1/live")).collect();
    assert!(held.iter().all(|(head, _)| head.status == 101), "five may watch");
    let (beyond, _) = administrator.socket("/api/v1/live");
    assert_eq!(beyond.status, 429, "{beyond:?}");
    assert!(beyond.header("retry-after").is_some(), "{beyond:?}");
    drop(held);
    let watched = site.home.records().into_iter().any(|record| {
        record.body == Body::Administrative(Administrative::LiveViewWatched)
            && record.by.is_some_and(|by| by.as_str() == "administrator")
    });
    assert!(watched, "it is recorded with the account");
    drop(stream);
    until("nobody watches", || {
        (administrator.get("/api/v1/state").json()["viewers"] == 0).then_some(())
    });
    let found = holds_a_picture(&site.home.path("."), &jpeg[200..264], &site.recording);
    assert_eq!(found, None, "{}", daemon.log());
}

/// When the last enrolment at the camera began, and which decisions were made after that, as the daemon's
/// monotonic clock has it.
fn decided_since_the_enrolment(site: &Site) -> usize {
    let records = site.home.records();
    let begun = Body::Administrative(Administrative::EnrolmentBegun);
    let begun = records.iter().rfind(|record| record.body == begun).unwrap().monotonic_ms;
    let decided = |record: &&deepid_edge::store::AuditRecord| {
        matches!(record.body, Body::Decision(_)) && record.monotonic_ms > begun
    };
    records.iter().filter(decided).count()
}

#[test]
fn somebody_is_enrolled_at_the_camera_and_nobody_is_granted_meanwhile() {
    if !assets() {
        return;
    }
    let visit = Recording::new().person("obama3.jpg", 0.16, 40).nobody(40);
    let site = Site::new(Home::new().enrol_obama(), visit);
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let mut events = administrator.listen();
    assert_eq!(administrator.get("/api/v1/enrolments").status, 204);
    let begun = administrator.json("POST", "/api/v1/enrolments", &json!({ "name": "again" }));
    assert_eq!(begun.status, 201, "{}", begun.text());
    assert_eq!(decided_since_the_enrolment(&site), 0, "from the very beginning");
    assert_eq!(administrator.get("/api/v1/state").json()["enrolling"], true);
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let second = administrator.json("POST", "/api/v1/enrolments", &json!({ "name": "other" }));
    assert_eq!(second.status, 409);
    let face = photograph("obama3.jpg");
    let asked = administrator.pictures("/api/v1/identify", None, &[("x", &face)]);
    assert_eq!(asked.status, 409, "the enrolment has the networks: {}", asked.text());
    let straight = events.next("enrolment", |event| event["taken"]["straight"] == 3);
    assert_eq!((&straight["id"], &straight["wanted"]["left"]), (&json!(id), &json!(2)));
    assert_eq!(administrator.get("/api/v1/enrolments").json()["step"], "left");
    let done = administrator.send("POST", &format!("/api/v1/enrolments/{id}/finish"), "", &[]);
    assert_eq!(done.status, 200, "{}", done.text());
    let done = done.json();
    assert_eq!((&done["name"], &done["references"]), (&json!("again"), &json!(3)));
    let last = events.next("enrolment", |event| event["step"] == "done");
    let warned = last["warnings"].to_string();
    assert!(warned.contains("looks like obama"), "{warned}");
    let begun = administrator.json("POST", "/api/v1/enrolments", &json!({ "subject": done["id"] }));
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/enrolments/{id}");
    assert_eq!(decided_since_the_enrolment(&site), 0);
    assert_eq!(administrator.send("DELETE", &path, "", &[]).status, 204);
    let last = events.next("enrolment", |event| event["step"] == "failed");
    assert_eq!(last["detail"], "cancelled");
    let begun = Body::Administrative(Administrative::EnrolmentBegun);
    let begun = site.home.records().into_iter().filter(|record| record.body == begun).count();
    assert_eq!(begun, 2);
    until("the door judges again", || (decided_since_the_enrolment(&site) > 0).then_some(()));
}

#[test]
fn an_enrolment_ends_when_the_page_that_began_it_is_closed() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (_daemon, nobody) = site.start();
    let [closed, other] = [(); 2].map(|()| nobody.log_in("administrator", PASSWORD));
    let page = closed.listen();
    let mut events = other.listen();
    let begun = closed.json("POST", "/api/v1/enrolments", &json!({ "name": "Anna" }));
    assert_eq!(begun.status, 201, "{}", begun.text());
    drop(page);
    let last = events.next("enrolment", |event| event["step"] == "failed");
    assert_eq!(last["detail"], "the page that began it was closed");
    assert_eq!(other.get("/api/v1/state").json()["enrolling"], false);
    let begun = other.json("POST", "/api/v1/enrolments", &json!({ "name": "Anna" }));
    assert_eq!(begun.status, 201, "nothing is held: {}", begun.text());
}

#[test]
fn a_stranger_who_was_just_there_is_enrolled_by_the_page_and_granted_the_next_time() {
    if !assets() {
        return;
    }
    let visit = Recording::new().nobody(3).person("obama3.jpg", 0.16, 60).nobody(40);
    let site = Site::new(Home::with_database(), visit);
    let (daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let visits = || administrator.get("/api/v1/visits").json();
    let listed = until("a visit", || {
        let listed = visits();
        (!listed["visits"].as_array().unwrap().is_empty()).then_some(listed)
    });
    assert_eq!(listed["minutes"], 10);
    let visit = &listed["visits"][0];
    let (faces, left) = (visit["faces"].as_u64().unwrap(), visit["left_s"].as_u64().unwrap());
    assert!((1..=5).contains(&faces) && (500..=600).contains(&left), "{visit}");
    assert!(visit["lasted_ms"].as_u64().is_some_and(|ms| ms > 0), "{visit}");
    let record = administrator.get("/api/v1/records?outcome=unknown").json()["records"].clone();
    let record = record.as_array().unwrap().iter().find(|one| one["seq"] == visit["seq"]).cloned();
    assert_eq!(record.unwrap()["at"], visit["at"], "it is that of its record");
    let path = format!("/api/v1/visits/{}/enrol", visit["id"].as_str().unwrap());
    for wrong in [json!({}), json!({ "nam": "Ada" }), json!({ "name": "" })] {
        let answer = administrator.json("POST", &path, &wrong);
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.text());
    }
    let unknown = administrator.json("POST", &path, &json!({ "subject": "s-00000f" }));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    assert_eq!(administrator.get("/api/v1/subjects").json(), json!([]), "nobody yet");
    let made = administrator.json("POST", &path, &json!({ "name": "Ada" }));
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["subject"]["name"], &made["references"]), (&json!("Ada"), &json!(faces)));
    assert_eq!((&made["subject"]["references"], &made["warnings"]), (&json!(faces), &json!([])));
    let again = administrator.json("POST", &path, &json!({ "name": "Bob" }));
    assert_eq!(again.status, 404, "a visit is enrolled once: {}", again.text());
    let enrolled = site.home.records().into_iter().find(|record| {
        matches!(record.body, Body::Administrative(Administrative::SubjectEnrolled { .. }))
    });
    assert_eq!(enrolled.unwrap().by.unwrap().as_str(), "administrator");
    until("a grant", || {
        let granted = administrator.get("/api/v1/records?outcome=granted").json();
        (granted["records"][0]["subject"]["name"] == "Ada").then_some(())
    });
    assert!(!daemon.log().contains("Ada"), "no name in the log");
    assert_eq!(site.home.ask(&["records", "verify"]).code, 0, "the chain holds");
    let filmed = std::fs::read(&site.recording).unwrap();
    let found = holds_a_picture(&site.home.path("."), &filmed[5000..5064], &site.recording);
    assert_eq!(found, None, "a picture is left in a file");
}

#[test]
fn where_no_visit_is_remembered_the_page_says_so_and_how_to_change_that() {
    if !assets() {
        return;
    }
    let home = Home::with_database().set("policy.recall_minutes", 0);
    let visit = Recording::new().nobody(3).person("obama3.jpg", 0.16, 60).nobody(40);
    let site = Site::new(home, visit);
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    until("a stranger", || {
        let unknown = administrator.get("/api/v1/records?outcome=unknown").json();
        (!unknown["records"].as_array().unwrap().is_empty()).then_some(())
    });
    let listed = administrator.get("/api/v1/visits").json();
    assert_eq!((&listed["minutes"], &listed["visits"]), (&json!(0), &json!([])));
    assert!(listed["remedy"].as_str().unwrap().contains("policy.recall_minutes"), "{listed}");
    let path = "/api/v1/visits/00000000-0000-0000-0000-000000000007/enrol";
    let refused = administrator.json("POST", path, &json!({ "name": "Ada" }));
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert!(refused.json()["remedy"].as_str().unwrap().contains("recall_minutes"));
}

#[test]
fn the_doctor_looks_beside_the_daemon_and_says_what_to_do() {
    if !assets() {
        return;
    }
    let site = Site::new(Home::new().enrol_obama(), Recording::new().nobody(30));
    let (daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    let camera = until("the camera", || {
        let found = administrator.get("/api/v1/doctor").json();
        let all = found.as_array().unwrap().clone();
        let camera = all.iter().find(|check| check["check"] == "camera").unwrap().clone();
        (!camera["text"].as_str().unwrap().contains("not known")).then_some(camera)
    });
    assert_eq!(camera["verdict"], "warning", "a recording stands in for it: {camera}");
    let found = administrator.get("/api/v1/doctor");
    assert_eq!(found.status, 200, "{}", found.text());
    let found = found.json();
    let of = |name: &str| found.as_array().unwrap().iter().find(|check| check["check"] == name);
    for name in
        ["configuration", "model", "threshold", "database", "broker", "clock", "policy", "page"]
    {
        assert!(of(name).is_some(), "{name}: {found}");
    }
    assert_eq!(of("database").unwrap()["verdict"], "ok", "{found}");
    for check in found.as_array().unwrap() {
        assert!(check["verdict"] == "ok" || check["remedy"].is_string(), "{check}");
    }
    let mut other = site.home.command(&["subjects", "list"]);
    assert!(other.status().unwrap().success(), "the database is as it was");
    assert!(!daemon.log().contains("panic"), "{}", daemon.log());
}

#[test]
fn answers_are_what_the_document_of_the_routes_says() {
    if !assets() {
        return;
    }
    let site = Site::new(Home::new().enrol_obama(), Recording::new().nobody(30));
    site.home.told(&["groups", "add", "family"]);
    let (_daemon, nobody) = site.start();
    let administrator = nobody.log_in("administrator", PASSWORD);
    until("its health", || {
        administrator.get("/api/v1/health").json()["now"].is_object().then_some(())
    });
    let document = administrator.get("/api/v1/openapi.json").json();
    let check = |method: &str, path: &str, status: u16, answer: &Value| {
        let operation = &document["paths"][path][method];
        let mut schema = operation["responses"][status.to_string()]["content"]["application/json"]
            ["schema"]
            .clone();
        assert!(schema.is_object(), "{method} {path}: {operation}");
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<_> = validator.iter_errors(answer).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{method} {path}: {wrong:?}\n{answer}");
        assert!(!validator.is_valid(&json!(7)), "{path}: it allows anything");
    };
    for path in [
        "session",
        "state",
        "health",
        "config",
        "doctor",
        "kiosk",
        "subjects",
        "groups",
        "records",
        "calibration",
        "visits",
    ] {
        let path = format!("/api/v1/{path}");
        let answer = administrator.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        check("get", &path, 200, &answer.json());
    }
    let picture = photograph("obama3.jpg");
    for pictures in [&[("x", &picture[..])][..], &[("x", &b"none"[..])]] {
        let told = administrator.pictures("/api/v1/identify", None, pictures).json();
        check("post", "/api/v1/identify", 200, &told);
    }
    let id = administrator.get("/api/v1/subjects").json()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/subjects/{id}/verify");
    for pictures in [&[("x", &picture[..])][..], &[("x", &b"none"[..])]] {
        let told = administrator.pictures(&path, None, pictures).json();
        check("post", "/api/v1/subjects/{id}/verify", 200, &told);
    }
    let made = administrator.pictures("/api/v1/subjects/pictures", Some("x"), &[("x", &picture)]);
    check("post", "/api/v1/subjects/pictures", 200, &made.json());
    let begun = administrator.json("POST", "/api/v1/enrolments", &json!({ "name": "y" }));
    check("post", "/api/v1/enrolments", begun.status, &begun.json());
    check("get", "/api/v1/enrolments", 200, &administrator.get("/api/v1/enrolments").json());
    let problem = nobody.get("/api/v1/state").json();
    let mut schema = document["components"]["schemas"]["Problem"].clone();
    schema["components"] = document["components"].clone();
    assert!(jsonschema::is_valid(&schema, &problem), "{problem}");
}

#[test]
fn a_slow_client_is_cut_off() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (_daemon, nobody) = site.start();
    let mut slow = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.").unwrap();
    let mut body = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
    body.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 100\r\n\r\n{{",
        site.port
    );
    body.write_all(head.as_bytes()).unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("closed, and not waited for");
    assert_eq!(nobody.get("/healthz").text(), "ok\n");
    let answer = reply(&mut body);
    assert_eq!(answer.status, 408, "{answer:?}");
}

#[test]
fn connections_have_a_bound_and_the_page_comes_back() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let (mut daemon, nobody) = site.start();
    let open = || {
        let stream = TcpStream::connect(("127.0.0.1", site.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let held: Vec<TcpStream> = (0..200).map(|_| open()).collect();
    let mut beyond = open();
    let mut rest = Vec::new();
    let closed = beyond.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{closed:?}");
    drop(held);
    until("room again", || {
        let mut stream = open();
        let head = nobody.head_of("GET", "/healthz") + "Connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.contains("200 OK").then_some(())
    });
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
}

#[test]
fn a_certificate_of_its_own_is_made_once_and_told() {
    if !assets() {
        return;
    }
    let site = Site::quiet();
    let site = Site { home: site.home.set("serve.tls", "self-signed"), ..site };
    let told = |site: &Site| {
        let checks = site.home.ask(&["doctor", "--json"]).out;
        let value: Value = serde_json::from_str(&checks).unwrap();
        let all = value["checks"].as_array().unwrap().clone();
        let page = all.iter().find(|check| check["check"] == "page").unwrap();
        page["what"].as_str().unwrap().to_owned()
    };
    assert!(told(&site).contains("the first start makes"), "{}", told(&site));
    let daemon = site.home.run(&site.recording);
    daemon.until_notified("READY=1");
    let certificate = until("a certificate", || std::fs::read(site.home.path("page.crt")).ok());
    let nobody = Browser::new(site.port).believing(&certificate).until_served();
    let asked = json!({ "name": "administrator", "password": PASSWORD });
    let answer = nobody.json("POST", "/api/v1/session", &asked);
    assert!(answer.header("set-cookie").unwrap().contains("; Secure"), "{answer:?}");
    let told = told(&site);
    let fingerprint = told.rsplit(' ').next().unwrap();
    assert_eq!(fingerprint.len(), 95, "{told}");
    assert!(daemon.log().contains(fingerprint), "{}", daemon.log());
    let plain = Browser::new(site.port);
    let mut stream = plain.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "nothing is served in the clear");
}

#[test]
fn a_page_that_cannot_be_served_keeps_no_door_from_deciding() {
    if !assets() {
        return;
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let home = Home::new().enrol_obama().set("serve.listen", format!("127.0.0.1:{port}"));
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    let mut daemon = home.run(&recording);
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    assert!(daemon.log().contains("serve.listen"), "{}", daemon.log());
    let decided = home.records().iter().filter(|r| matches!(r.body, Body::Decision(_))).count();
    assert_eq!(decided, 2);
}
