//! What comes over MQTT, and what opens a door: challenges, requests, `info` of another board, grants,
//! and the file of the key that signs them.
//!
//! In: bytes as a payload, a topic or a file. Out: nothing. What must hold: only what the contract in
//! `docs/wire` allows is accepted; a grant that is taken is of this door and of now, and is never taken
//! twice; a key that is read writes itself as one that is read again.

use deepid_edge::clock::Monotonic;
use deepid_edge::publish::Topics;
use deepid_edge::publish::challenge::{CHALLENGE_BYTES_MAX, Challenges};
use deepid_edge::publish::request::{Asked, Gate, Judgement};
use deepid_edge::publish::twin;
use deepid_edge::sign::{GrantKey, PublicKey as DoorKey};
use deepid_edge::store::RequestVerdict;
use deepid_grant::{Mode, PublicKey, Verifier};

use super::halves;

/// When the grants of the table of forgeries were issued, in seconds since 1970.
const ISSUED_S: u64 = 1_800_000_000;
/// The public key of the table's door, whose seed is 32 times the byte 1.
const DOOR_SEED: [u8; 32] = [1; 32];

/// Any bytes as a payload on `challenge`.
pub fn challenge(bytes: &[u8]) {
    let mut judge = Challenges::new(Monotonic::default());
    assert!(judge.judge(true, bytes, Monotonic::default()).is_err(), "a retained one is none");
    if let Ok(challenge) = judge.judge(false, bytes, Monotonic::default()) {
        assert!(bytes.len() <= CHALLENGE_BYTES_MAX);
        assert!((1..=32).contains(&challenge.listener.len()));
        assert!((16..=43).contains(&challenge.nonce.len()));
        assert!(challenge.nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }
}

/// Any text as a request's name and, behind the first line break, as its response topic.
pub fn request(bytes: &[u8]) {
    let (name, topic) = halves(bytes);
    let (name, topic) = (String::from_utf8_lossy(name), String::from_utf8_lossy(topic));
    let topics = Topics::new("deepid-edge", "front").expect("a door");
    let now = Monotonic::default();
    let mut gate = Gate::new(now);
    let asked = Asked {
        name: &name,
        retained: false,
        payload_bytes: 0,
        correlation_bytes: 0,
        response_topic: Some(&topic),
    };
    let judged = gate.judge(asked, &topics, Some("homeassistant"), now);
    let verdict = match judged {
        Judgement::Refuse(verdict) => verdict,
        Judgement::Answer(_) => {
            assert!(!topic.is_empty() && u16::try_from(topic.len()).is_ok());
            assert!(!topic.contains(['+', '#', '\0']) && !topic.starts_with('$'), "{topic:?}");
            assert!(!topics.owns(&topic), "an answer never goes where the door speaks: {topic:?}");
            assert!(!topic.starts_with("homeassistant/"), "{topic:?}");
            RequestVerdict::Answered
        }
    };
    let record = gate.note(&name, verdict, now).expect("the first of its kind is recorded");
    assert!(record.request.chars().count() <= 64);
}

/// Any bytes as what another board left on `info` or says on `access`.
pub fn info(bytes: &[u8]) {
    let _whose = twin::whose(bytes);
}

/// Any bytes as a message on `grant`, for a listener of each kind.
pub fn grant(bytes: &[u8]) {
    let door = GrantKey::of_seed(&DOOR_SEED);
    let Ok(key) = PublicKey::from_x(&door.public().x()) else { panic!("a key") };
    for mode in [
        Mode::Clock { tolerance_s: 2 },
        Mode::Nonce,
        Mode::NonceAndClock { tolerance_s: 2 },
        Mode::NonceAndClockIfKnown { tolerance_s: 2 },
    ] {
        let mut verifier =
            Verifier::new("front", std::slice::from_ref(&key), mode).expect("a listener");
        // The nonce that the table's listeners have sent.
        verifier.set_nonce("AAAAAAAAAAAAAAAAAAAAAA").expect("a nonce");
        let now = Some(ISSUED_S + 1);
        if let Ok(grant) = verifier.verify(bytes, now) {
            assert_eq!(grant.door, "front");
            assert!(grant.expires > grant.issued && grant.expires - grant.issued <= 5);
            assert!(!matches!(mode, Mode::Clock { .. }) || grant.expires + 2 > ISSUED_S);
            assert!(verifier.verify(bytes, now).is_err(), "never a second time");
        }
    }
    if let Some(bytes) = bytes.first_chunk::<32>() {
        drop(PublicKey::from_bytes(bytes));
    }
    drop(std::str::from_utf8(bytes).map(PublicKey::from_x));
}

/// Any bytes as a key file.
pub fn pem(bytes: &[u8]) {
    if let Ok(key) = GrantKey::from_pem(bytes) {
        let again = GrantKey::from_pem(key.to_pem().as_bytes()).expect("what it writes");
        assert_eq!(again.public().x(), key.public().x());
    }
    if let Ok(key) = DoorKey::from_pem(bytes) {
        let again = DoorKey::from_pem(key.to_pem().as_bytes()).expect("what it writes");
        assert_eq!(again.x(), key.x());
    }
}
