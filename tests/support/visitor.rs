//! Made-up sights of visitors, for tests of the policy that run without camera and networks.
//!
//! In: who is seen, how alike, how well. Out: the public values that the visit takes in.
//! Deliberately absent: anything that the networks would do.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part, and may panic")]

use std::time::Duration;

use deepid_edge::compare::{Candidate, Match, Metric, SubjectId};
use deepid_edge::decide::{FaceSeen, Gates, Seen, SeveralFaces, VisitPolicy};
use deepid_edge::embed::{Quality, QualityFault};
use deepid_edge::inference::ModelId;
use deepid_edge::policy::LockoutPolicy;

/// What a cosine score has to reach in these tests.
pub const THRESHOLD: f32 = 0.6;

/// The people of the tables; the first is `s-000001`.
pub const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// The policy that the tables describe; written out, so that a changed default changes no case.
pub fn policy() -> VisitPolicy {
    VisitPolicy {
        agreeing: 3,
        window: 5,
        spacing: Duration::from_millis(100),
        weight_min: 2.0,
        margin_min: 0.05,
        absence: Duration::from_millis(1500),
        cooldown: Duration::from_secs(5),
        several_faces: SeveralFaces::Refuse,
        stale: Duration::from_millis(500),
        timeout: Duration::from_secs(2),
        gates: Gates::NONE,
        lockout: LockoutPolicy::OFF,
        second: Duration::from_secs(30),
    }
}

/// The id of the `number`th person, counted from 1.
pub fn subject(number: usize) -> SubjectId {
    SubjectId::new(&format!("s-{number:06x}")).unwrap()
}

/// A face of a certain weight, without or with a fault.
pub fn quality(weight: f32, fault: Option<QualityFault>) -> Quality {
    Quality {
        eye_distance_px: 60.0,
        sharpness: 200.0,
        exposure: 120.0,
        yaw: 0.0,
        roll_degrees: 0.0,
        outside: 0.0,
        weight,
        fault,
    }
}

/// A comparison with a gallery; `best` is `None` when nobody is enrolled.
pub fn found(best: Option<Candidate>, margin: Option<f32>) -> Match {
    Match {
        model: ModelId::new("deepid2-test").unwrap(),
        metric: Metric::Cosine,
        threshold: THRESHOLD,
        claimed_fmr: Some(1e-5),
        best,
        margin,
        beyond_accepted: false,
    }
}

/// A face whose nearest subject is the `number`th person.
pub fn face(
    number: usize,
    enabled: bool,
    score: f32,
    margin: Option<f32>,
    weight: f32,
) -> FaceSeen {
    let best = Candidate { subject: subject(number), enabled, score };
    FaceSeen { quality: quality(weight, None), found: Some(found(Some(best), margin)) }
}

/// One good face of the `number`th person.
pub fn good(number: usize) -> Seen {
    Seen::Faces { count: 1, principal: face(number, true, 0.8, Some(0.3), 1.0) }
}
