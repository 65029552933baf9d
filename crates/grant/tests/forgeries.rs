//! Holds the verifier to the table of forgeries, and the table to what other verifiers read.
//!
//! In: `forgeries.txt`. Out: a failure for each case of which the verifier says something else.
//! `forgeries.jsonl` is made of it: with `DEEPID_GRANT_WRITE=1` in the environment it is written, and
//! otherwise it must be the same, byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic, also in what its cases share"
)]

mod forge;

use std::path::{Path, PathBuf};

use deepid_grant::{Mode, PublicKey, Refusal, Verifier};
use forge::{Case, Edits, ISSUED, Keys};

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn table() -> Vec<Case> {
    forge::cases(&std::fs::read_to_string(beside("forgeries.txt")).unwrap())
}

fn mode(case: &Case) -> Mode {
    let tolerance_s = case.tolerance_s;
    match case.mode {
        "clock" => Mode::Clock { tolerance_s },
        "nonce" => Mode::Nonce,
        "nonce_and_clock" => Mode::NonceAndClock { tolerance_s },
        _ => Mode::NonceAndClockIfKnown { tolerance_s },
    }
}

fn set_up(case: &Case) -> Option<Verifier> {
    let keys: Result<Vec<_>, _> = case.keys.iter().map(PublicKey::from_bytes).collect();
    let mut verifier = Verifier::new("front", &keys.ok()?, mode(case)).ok()?;
    if let Some(seq) = case.resume_after {
        verifier.resume_after(seq);
    }
    Some(verifier)
}

#[test]
fn the_verifier_says_what_the_table_says() {
    let mut wrong = Vec::new();
    let mut words = std::collections::BTreeSet::new();
    let cases = table();
    for case in &cases {
        let Some(mut verifier) = set_up(case) else {
            assert!(!case.usable, "{}: cannot be set up", case.name);
            continue;
        };
        assert!(case.usable, "{}: was set up", case.name);
        for (number, step) in case.steps.iter().enumerate() {
            if let Some(nonce) = &step.nonce {
                verifier.set_nonce(nonce).unwrap();
            }
            let said =
                verifier.verify(&step.message, step.now).map_or_else(Refusal::word, |_| "taken");
            words.insert(said);
            if said != step.expect {
                wrong.push(format!("{} {number}: {said}, not {}", case.name, step.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(words.len(), Refusal::ALL.len() + 1, "every reason has a case");
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "each case has a name of its own");
}

#[test]
fn other_verifiers_read_the_same_table() {
    let lines: Vec<String> = table().iter().map(|case| case.to_json() + "\n").collect();
    let (path, made) = (beside("forgeries.jsonl"), lines.concat());
    if std::env::var_os("DEEPID_GRANT_WRITE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{} is not what forgeries.txt makes: write it anew", path.display());
}

#[test]
fn no_change_of_one_byte_is_taken() {
    let keys = Keys::fixed();
    let real = Edits::read(&keys, "-", 0).message(&keys);
    let key = PublicKey::from_bytes(&keys.door_public()).unwrap();
    let fresh = Verifier::new("front", &[key], Mode::Clock { tolerance_s: 2 }).unwrap();
    let now = Some(ISSUED as u64 + 1);
    assert!(fresh.clone().verify(&real, now).is_ok());
    for place in 0..real.len() {
        for change in [1, 2, 4, 8, 16, 32, 64, 128] {
            let mut changed = real.clone();
            changed[place] ^= change;
            let said = fresh.clone().verify(&changed, now).map(|_| ());
            assert!(said.is_err(), "byte {place} changed by {change}");
        }
    }
}

#[test]
fn a_grant_says_what_was_signed() {
    let keys = Keys::fixed();
    let real = Edits::read(&keys, "claim sub = \"s-\\u00e9\"", 0).message(&keys);
    let key = PublicKey::from_bytes(&keys.door_public()).unwrap();
    let mut verifier = Verifier::new("front", &[key], Mode::Clock { tolerance_s: 2 }).unwrap();
    assert_eq!(verifier.largest_seq(), None);
    let grant = verifier.verify(&real, Some(ISSUED as u64)).unwrap();
    assert_eq!((grant.door, grant.subject, grant.seq), ("front", "s-\u{e9}", 42));
    assert_eq!(grant.id.to_string(), "0196f3c2-0a0b-7c0d-8e0f-101112131415");
    assert_eq!(grant.boot.to_string(), "7c0d2f6a-1111-4222-8333-000000000001");
    assert_eq!((grant.issued, grant.expires), (ISSUED as u64, ISSUED as u64 + 5));
    assert_eq!(verifier.largest_seq(), Some(42));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..1100),
        dots in proptest::collection::vec(0_usize..1100, 0..4),
    ) {
        let mut message: Vec<u8> = bytes;
        for dot in dots {
            if let Some(byte) = message.get_mut(dot) {
                *byte = b'.';
            }
        }
        let key = PublicKey::from_bytes(&Keys::fixed().door_public()).unwrap();
        let mut verifier = Verifier::new("front", &[key], Mode::Nonce).unwrap();
        assert!(verifier.verify(&message, None).is_err());
    }

    #[test]
    fn any_claims_that_are_signed_are_read_without_a_panic(payload in "\\{?(\"(iss|exp|nonce|\\\\u0065xp)\":(\"[^\"]{0,9}\"|-?[0-9e.]{1,25}|\\[*\\]*|null),?){0,9}\\}?") {
        let keys = Keys::fixed();
        let message = Edits::read(&keys, &format!("payload {payload}"), 0).message(&keys);
        let key = PublicKey::from_bytes(&keys.door_public()).unwrap();
        let mut verifier = Verifier::new("front", &[key], Mode::Clock { tolerance_s: 2 }).unwrap();
        assert!(verifier.verify(&message, Some(ISSUED as u64)).is_err());
    }
}
