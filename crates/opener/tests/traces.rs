//! Holds the opener's core to timed traces (`traces.txt`), whose head explains the words.
//!
//! In: the traces. Out: a failure for each line after which something else was to be done.
//! Always: a nonce is `nonce-number-` with its number; the door's clock and ours show the same time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use deepid_grant::{Mode, Signer, Verifier};
use deepid_opener::opener::{Effect, Event, Note, Now, Opener, Settings};
use deepid_opener::state::{Contact, Report, State};

const EPOCH_S: u64 = 1_800_000_000;
const MARK: &str = "nonce-number-";

struct Scene {
    opener: Opener,
    door: Signer,
    forger: Signer,
    last: String,
}

impl Scene {
    fn new(words: &str) -> Self {
        let has = |word: &str| words.split(' ').any(|one| one == word);
        let held = words.split(' ').find_map(|word| word.strip_prefix("held_open="));
        let settings = Settings {
            pulse_ms: 3000,
            held_open_ms: held.map(|ms| ms.parse().unwrap()),
            debounce_ms: 50,
            nonce: has("nonce"),
            keep: has("keep"),
        };
        let mode = match (has("nonce"), has("clock")) {
            (true, false) => Mode::Nonce,
            (true, true) => Mode::NonceAndClock { tolerance_s: 2 },
            _ => Mode::Clock { tolerance_s: 2 },
        };
        let door = Signer::from_seed(&[1; 32]).unwrap();
        let verifier = Verifier::new("front", &[door.public().clone()], mode).unwrap();
        let mut count = 0;
        let nonces = move || {
            count += 1;
            Some(format!("{MARK}{count:04}"))
        };
        Self {
            opener: Opener::new(settings, verifier, Box::new(nonces)),
            door,
            forger: Signer::from_seed(&[2; 32]).unwrap(),
            last: String::new(),
        }
    }

    fn grant(&self, words: &str, ms: u64) -> String {
        let value = |name: &str| words.split(' ').find_map(|word| word.strip_prefix(name));
        let seq: u64 = value("seq=").unwrap().parse().unwrap();
        let late = u64::from(words.contains("late")) * 60;
        let issued = EPOCH_S + ms / 1000 - late;
        let nonces = value("nonce=").map(|numbers| {
            let all = numbers.split(',').map(|number| format!("\"{MARK}{number:0>4}\""));
            format!(",\"nonce\":[{}]", all.collect::<Vec<_>>().join(","))
        });
        let claims = format!(
            r#"{{"iss":"front","sub":"s-4f9a1c","jti":"0196f3c2-0a0b-7c0d-8e0f-{seq:012x}","iat":{issued},"exp":{},"seq":{seq},"boot":"7c0d2f6a-1111-4222-8333-000000000001"{}}}"#,
            issued + 5,
            nonces.unwrap_or_default(),
        );
        if words.contains("forged") {
            return self.forger.sign(self.door.header().as_bytes(), claims.as_bytes());
        }
        self.door.grant(&claims)
    }

    fn step(&mut self, ms: u64, words: &str) -> String {
        if words.starts_with("grant ") {
            self.last = self.grant(words, ms);
        }
        let event = match words {
            "connect" => Event::Connected,
            "lost" => Event::Lost,
            "tick" => Event::Tick,
            "not_kept" => Event::NotKept,
            "contact open" => Event::Contact { open: true },
            "contact closed" => Event::Contact { open: false },
            "button pressed" => Event::Button { pressed: true },
            "button released" => Event::Button { pressed: false },
            "again" => Event::Message(self.last.as_bytes()),
            grant if grant.starts_with("grant ") => Event::Message(self.last.as_bytes()),
            _ => panic!("no event '{words}'"),
        };
        let now = Now { ms, unix_s: Some(EPOCH_S + ms / 1000) };
        let effects = self.opener.step(event, now);
        let said: Vec<String> = effects.iter().map(written).collect();
        if said.is_empty() { "-".to_owned() } else { said.join("; ") }
    }

    fn poll(&self) -> String {
        self.opener.poll_at().map_or_else(|| "never".to_owned(), |ms| ms.to_string())
    }
}

fn written(effect: &Effect) -> String {
    match effect {
        Effect::Keep(seq) => format!("keep {seq}"),
        Effect::Unlock { ms } => format!("unlock {ms}"),
        Effect::Lock => "lock".to_owned(),
        Effect::Challenge(nonce) => {
            format!("challenge {}", nonce.trim_start_matches(MARK).trim_start_matches('0'))
        }
        Effect::Report(report) => format!("report {}", report_words(*report)),
        Effect::Note(note) => match note {
            Note::Taken { subject, seq } => format!("note taken {subject} {seq}"),
            Note::Refused(refusal) => format!("note refused {refusal}"),
            Note::Button => "note button".to_owned(),
            Note::HeldOpen => "note held_open".to_owned(),
            Note::ClosedAgain => "note closed_again".to_owned(),
            Note::NoNonce => "note no_nonce".to_owned(),
        },
    }
}

fn report_words(report: Report) -> String {
    let state = match report.state {
        State::Ready => "ready",
        State::Open => "open",
        State::HeldOpen => "held_open",
        State::BrokerLost => "broker_lost",
        State::Stopped => "stopped",
    };
    let contact = report.contact.map(|contact| match contact {
        Contact::Open => " open",
        Contact::Closed => " closed",
    });
    let refusal = report.last_refusal.map(|refusal| format!(" {refusal}"));
    format!("{state}{}{}", contact.unwrap_or_default(), refusal.unwrap_or_default())
}

#[test]
fn the_opener_does_what_the_traces_say() {
    let mut wrong = Vec::new();
    let mut scene = None;
    let mut title = "";
    for (number, line) in (1..).zip(include_str!("traces.txt").lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            title = name;
            continue;
        }
        if let Some(words) = line.strip_prefix("settings ") {
            scene = Some(Scene::new(words));
            continue;
        }
        let scene: &mut Scene = scene.as_mut().unwrap();
        let (before, expected) = line.split_once(" => ").unwrap();
        let (ms, event) = before.split_once(' ').unwrap();
        let said = scene.step(ms.parse().unwrap(), event.trim());
        let (expected, poll) = expected.split_once("; poll ").unwrap_or((expected, ""));
        if said != expected.trim() {
            wrong.push(format!("{number} ({title}): {said}"));
        }
        if !poll.is_empty() && scene.poll() != poll {
            wrong.push(format!("{number} ({title}): poll {}", scene.poll()));
        }
    }
    assert!(wrong.is_empty(), "traces.txt:\n{}", wrong.join("\n"));
}

/// No order of events unlocks without a grant of ours or the button, and every pulse ends.
#[test]
fn no_order_of_events_keeps_the_line_unlocked() {
    let mut random = 7_u64;
    let mut scene = Scene::new("nonce held_open=2000");
    let (mut ms, mut until, mut nonce) = (0, None::<u64>, 1);
    let mut taken = std::collections::BTreeSet::new();
    for round in 0..20_000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ms = (ms + (random >> 33) % 700).min(scene.opener.poll_at().unwrap_or(u64::MAX).max(ms));
        let words = match (random >> 48) % 9 {
            0 => "connect".to_owned(),
            1 => "lost".to_owned(),
            2 => format!("grant seq={round} nonce={nonce}"),
            3 => format!("grant seq={round} nonce={nonce} forged"),
            4 => "again".to_owned(),
            5 => "button pressed".to_owned(),
            6 => "button released".to_owned(),
            7 => format!("contact {}", if random.is_multiple_of(2) { "open" } else { "closed" }),
            _ => "tick".to_owned(),
        };
        let said = scene.step(ms, &words);
        let (mut unlocked, mut because) = (0, 0);
        for effect in said.split("; ") {
            match effect.split_once(' ').unwrap_or((effect, "")) {
                ("unlock", _) => {
                    unlocked += 1;
                    until = Some(ms + 3000);
                }
                ("lock", _) => until = None,
                ("challenge", number) => nonce = number.parse().unwrap(),
                ("note", "button") => because += 1,
                ("note", note) if note.starts_with("taken ") => {
                    because += 1;
                    assert!(words == "again" || !words.ends_with("forged"), "{words}: {said}");
                    assert!(taken.insert(note.to_owned()), "a second pulse for one grant: {said}");
                }
                _ => {}
            }
        }
        assert_eq!(unlocked, because, "{words}: {said}");
        assert!(until.is_none_or(|until| ms < until), "round {round}: unlocked beyond its pulse");
    }
    assert!(taken.len() > 100, "grants open, too: {}", taken.len());
}
