//! What the daemon's threads share, and what each of them says of itself.
//!
//! In: what the capture, door and desk threads have seen last. Out: the same, to the main thread, which
//! tells the world. Everything is the newest value: nothing queues here.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::decoding::Decoding;
use super::meter::Meter;
use super::pulse::{Pulse, Thread};
use super::signer::SigningStatus;
use super::slot::{Pressure, Slot};
use crate::capture::{
    CameraDoubt, CameraState, CameraStatus, CaptureError, FrameSource, SourceDescription,
};
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::detect::StillFace;
use crate::serve::Feed;
use crate::store::Condition;

/// How long a thread waits before it looks whether it shall end, and beats.
pub(super) const TURN: Duration = Duration::from_millis(200);

/// What all threads share.
pub(super) struct Shared {
    pub stop: AtomicBool,
    pub slot: Slot,
    pub decoding: Decoding,
    pub pulse: Pulse,
    pub meter: Arc<Meter>,
    pub desk: DeskStatus,
    /// The machine's clocks; for beats and latencies also while a recording plays faster.
    pub clock: Arc<SystemClock>,
    /// What the source is and how it does, as last seen by the capture thread, and how it hangs, as
    /// seen by the recogniser.
    pub camera: Mutex<Camera>,
    /// Whether the light at the door strobes.
    pub strobing: AtomicBool,
    /// Set when the camera streams after it did not: it may hang otherwise now.
    pub opened_anew: AtomicBool,
    /// Why the source cannot be read on, where nobody opens it again.
    lost: Mutex<Option<CaptureError>>,
    /// Where the page hears of what happens; `None` where there is no page.
    pub page: Option<Arc<Feed>>,
}

/// The source as the capture thread last saw it.
#[derive(Debug, Clone)]
pub(super) struct Camera {
    pub description: SourceDescription,
    /// `None` for a recording whose frames can be decoded.
    pub status: Option<CameraStatus>,
    /// What is doubtful about which camera it is.
    pub doubt: Option<CameraDoubt>,
    /// Where most faces stand otherwise than upright.
    pub misoriented: Option<CameraStatus>,
    /// Faces that have not moved for minutes, as last seen by the door thread.
    pub still: Vec<StillFace>,
}

impl Camera {
    /// What `source` says of itself before its first frame.
    pub(super) fn of(source: &dyn FrameSource) -> Self {
        Self {
            description: source.description().clone(),
            status: source.status().cloned(),
            doubt: source.doubt().cloned(),
            misoriented: None,
            still: Vec::new(),
        }
    }

    /// What is to be said of it: how it hangs where nothing worse is wrong.
    pub(super) fn told(&self) -> Option<&CameraStatus> {
        match (&self.status, &self.misoriented) {
            (Some(status), _) if status.state != CameraState::Streaming => Some(status),
            (status, misoriented) => misoriented.as_ref().or(status.as_ref()),
        }
    }
}

impl Shared {
    /// What is shared before any thread has begun; `page` is where the page hears of what happens.
    pub(super) fn new(
        source: &dyn FrameSource,
        pressure: Pressure,
        started: Monotonic,
        clock: &Arc<SystemClock>,
        page: Option<Arc<Feed>>,
    ) -> Self {
        Self {
            stop: AtomicBool::new(false),
            slot: Slot::new(pressure),
            decoding: Decoding::default(),
            pulse: Pulse::new(started),
            meter: Arc::new(Meter::default()),
            desk: DeskStatus::default(),
            camera: Mutex::new(Camera::of(source)),
            strobing: AtomicBool::new(false),
            opened_anew: AtomicBool::new(false),
            lost: Mutex::default(),
            page,
            clock: Arc::clone(clock),
        }
    }

    /// Keeps why the source cannot be read on, where nobody opens it again.
    pub(super) fn lose(&self, error: CaptureError) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Takes out why the source could not be read on, where that was so.
    pub(super) fn lost(&self) -> Option<CaptureError> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The source as it was last seen.
    pub(super) fn camera(&self) -> MutexGuard<'_, Camera> {
        self.camera.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn beat(&self, thread: Thread) {
        self.pulse.beat(thread, self.clock.now());
    }
}

/// How database and enrolments are, as the desk thread last saw them.
#[derive(Debug, Default)]
pub(super) struct DeskStatus {
    condition: AtomicU8,
    /// A decision could not even be handed to the desk.
    overrun: AtomicBool,
    outbox_depth: AtomicU64,
    unreadable_records: AtomicU64,
    withdrawn: AtomicBool,
    signing: Mutex<SigningStatus>,
}

impl DeskStatus {
    /// How the database is; one that is slower than decisions come has failed.
    pub(super) fn condition(&self) -> Condition {
        if self.overrun.load(Ordering::Relaxed) {
            return Condition::Failed;
        }
        match self.condition.load(Ordering::Relaxed) {
            0 => Condition::Usable,
            1 => Condition::Full,
            2 => Condition::ReadOnly,
            _ => Condition::Failed,
        }
    }

    /// Says how the database is.
    pub(super) fn set_condition(&self, condition: Condition) {
        let number = match condition {
            Condition::Usable => 0,
            Condition::Full => 1,
            Condition::ReadOnly => 2,
            Condition::Failed => 3,
        };
        self.condition.store(number, Ordering::Relaxed);
    }

    /// Says whether a decision was lost on its way to the desk.
    pub(super) fn set_overrun(&self, overrun: bool) {
        self.overrun.store(overrun, Ordering::Relaxed);
    }

    /// Audit records that no broker has acknowledged.
    pub(super) fn outbox_depth(&self) -> u64 {
        self.outbox_depth.load(Ordering::Relaxed)
    }

    /// Audit records that cannot be read, and so are not published.
    pub(super) fn unreadable_records(&self) -> u64 {
        self.unreadable_records.load(Ordering::Relaxed)
    }

    /// Says how many records wait, and how many cannot be read.
    pub(super) fn set_records(&self, outbox_depth: u64, unreadable: u64) {
        self.outbox_depth.store(outbox_depth, Ordering::Relaxed);
        self.unreadable_records.store(unreadable, Ordering::Relaxed);
    }

    /// How signing is.
    pub(super) fn signing(&self) -> SigningStatus {
        self.signing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says how signing is.
    pub(super) fn set_signing(&self, status: &SigningStatus) {
        let mut signing = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if *signing != *status {
            signing.clone_from(status);
        }
    }

    /// Whether nobody is enrolled because the enrolments cannot be read.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    /// Says whether the enrolments cannot be read.
    pub(super) fn set_withdrawn(&self, withdrawn: bool) {
        self.withdrawn.store(withdrawn, Ordering::Relaxed);
    }
}
