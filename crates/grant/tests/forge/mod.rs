//! Makes the messages of the table of forgeries (`forgeries.txt`), whose head explains the words.
//!
//! In: the text of the table. Out: cases: how the listener is set up, and for each message its bytes, the
//! time, the nonce that was sent before, and what a verifier must say.
//! Always the same bytes: the keys follow from fixed seeds, and Ed25519 signs without chance.
//! Deliberately absent: any use of the verifier: what is expected comes from the table alone.

mod message;

pub use message::{Edits, Keys};
use serde_json::{Value, json};

/// When real grants of the table were issued, in seconds since 1970: 2027-01-15.
pub const ISSUED: i64 = 1_800_000_000;

/// One message to a listener.
#[derive(Debug, Clone)]
pub struct Step {
    pub nonce: Option<String>,
    pub now: Option<u64>,
    pub message: Vec<u8>,
    /// `taken`, or the word of a reason.
    pub expect: String,
}

/// One listener and what comes to it.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub keys: Vec<[u8; 32]>,
    pub mode: &'static str,
    pub tolerance_s: u8,
    pub resume_after: Option<u64>,
    /// Whether a verifier can be set up like this at all.
    pub usable: bool,
    pub steps: Vec<Step>,
}

impl Case {
    /// The line for verifiers in other languages.
    pub fn to_json(&self) -> String {
        let x = |key: &[u8; 32]| message::base64(key);
        let steps: Vec<Value> = self.steps.iter().map(step_to_json).collect();
        json!({
            "name": self.name,
            "door": "front",
            "keys": self.keys.iter().map(x).collect::<Vec<_>>(),
            "mode": self.mode,
            "tolerance_s": self.tolerance_s,
            "resume_after": self.resume_after,
            "setup": if self.usable { "usable" } else { "refused" },
            "steps": steps,
        })
        .to_string()
    }
}

fn step_to_json(step: &Step) -> Value {
    // Nearly all are text; what is none comes as hexadecimal digits.
    let digits = || step.message.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    let (name, message) = std::str::from_utf8(&step.message)
        .map_or_else(|_| ("message_hex", digits().concat()), |text| ("message", text.to_owned()));
    let mut value = json!({"nonce": step.nonce, "now": step.now, "expect": step.expect});
    value[name] = message.into();
    value
}

/// All cases of a table.
///
/// # Panics
/// Where a line cannot be understood: it names the line.
pub fn cases(table: &str) -> Vec<Case> {
    let keys = Keys::fixed();
    let mut all = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [name, mode, how, expect] = columns[..] else { panic!("four columns: {line}") };
        all.extend(one(&keys, name, mode, how, expect));
    }
    all
}

fn one(keys: &Keys, name: &str, mode: &str, how: &str, expect: &str) -> Vec<Case> {
    let (mode, tolerance_s) = match mode {
        "clock" => ("clock", 2),
        "clock-0" => ("clock", 0),
        "clock-5" => ("clock", 5),
        "nonce" => ("nonce", 0),
        "both" => ("nonce_and_clock", 2),
        "if-known" => ("nonce_and_clock_if_known", 2),
        _ => panic!("{name}: no mode '{mode}'"),
    };
    let mut case = Case {
        name: name.to_owned(),
        keys: vec![keys.door_public()],
        mode,
        tolerance_s,
        resume_after: None,
        usable: expect != "setup_refused",
        steps: Vec::new(),
    };
    let messages: Vec<&str> = how.split(" ; ").collect();
    let expected: Vec<&str> = expect.split(' ').collect();
    assert_eq!(messages.len(), expected.len(), "{name}: as many expectations as messages");
    for (number, (words, expect)) in messages.iter().zip(&expected).enumerate() {
        let edits = Edits::read(keys, words, number as u64);
        case.resume_after = case.resume_after.or(edits.resume_after);
        case.keys.extend(&edits.trusts);
        let again = edits.again.then(|| case.steps.last().expect("one before").message.clone());
        let message = again.unwrap_or_else(|| edits.message(keys));
        if edits.every_prefix {
            return prefixes(&case, &message);
        }
        let (nonce, now) = (edits.nonce, edits.now);
        case.steps.push(Step { nonce, now, message, expect: (*expect).to_owned() });
    }
    if !case.usable {
        case.steps.clear();
    }
    vec![case]
}

/// A case for each prefix. Three parts whose last is cut short are well formed by chance of its length.
fn prefixes(case: &Case, message: &[u8]) -> Vec<Case> {
    let of_length = |length: usize| {
        let prefix = &message[..length];
        let parts: Vec<&[u8]> = prefix.split(|&byte| byte == b'.').collect();
        let well_formed = parts.len() == 3 && message::is_canonical(parts[2]);
        let step = Step {
            nonce: None,
            now: Some(ISSUED as u64 + 1),
            message: prefix.to_owned(),
            expect: if well_formed { "bad_signature" } else { "malformed" }.to_owned(),
        };
        Case { name: format!("{}_{length:03}", case.name), steps: vec![step], ..case.clone() }
    };
    (0..message.len()).map(of_length).collect()
}
