//! Whether the camera is the one that it was, and the one that is wanted.
//!
//! In: the [`CameraIdentity`] at each opening, and what the configuration names. Out: a refusal, or a
//! [`CameraDoubt`] for log, topic and audit: another camera than at first, or one without a lens.
//!
//! Invariants: a camera that is refused is never what others are compared with; what has been said is
//! not said again before it changes.
//! Deliberately absent: devices, and clocks; the time is an argument.

use super::identity::CameraIdentity;
use super::{CaptureError, SourceDescription};
use crate::clock::Monotonic;

/// What is doubtful about a camera; the worst where there is more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtKind {
    /// It is another one than at the first opening of this run.
    Changed,
    /// It has no lens.
    Virtual,
    /// It is not the one that is wanted, and refused.
    Foreign,
}

/// What is doubtful about the camera that was opened, or refused, last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraDoubt {
    /// What.
    pub kind: DoubtKind,
    /// The camera that was opened first, where it is another one; for a refused one, what is wanted.
    pub before: Option<String>,
    /// The camera.
    pub after: String,
    /// What is wrong and what to do, in a sentence.
    pub remedy: String,
    /// Since when.
    pub since: Monotonic,
}

impl CameraDoubt {
    /// What is doubtful about `now`, which was opened after `first` and is the camera that `wanted`
    /// means, if anything.
    #[must_use]
    pub fn of(
        now: &CameraIdentity,
        first: &CameraIdentity,
        wanted: Option<&str>,
        since: Monotonic,
    ) -> Option<Self> {
        let before = (!now.is_same_as(first)).then(|| first.to_string());
        let after = now.to_string();
        // Who names a camera has said that it is meant to be there, whatever it is.
        let (kind, remedy) = if now.is_virtual() && wanted.is_none() {
            let remedy = format!(
                "the camera is virtual, and whoever feeds it shows the door any face: {after}: name the camera of the door by camera.identity ('deepid-edge doctor' has the line) and remove this one, or, where it is meant to be there, set {}",
                now.line()
            );
            (DoubtKind::Virtual, remedy)
        } else {
            let first = before.as_ref()?;
            let remedy = format!(
                "another camera is in place of the one that this run began with: {after}, before it {first}: see what is plugged in; where it was replaced on purpose, restart the service; camera.identity lets no other camera count ({})",
                now.line()
            );
            (DoubtKind::Changed, remedy)
        };
        Some(Self { kind, before, after, remedy, since })
    }

    /// What is doubtful about a camera that could not be opened for `error`, if anything.
    #[must_use]
    pub fn refused(error: &CaptureError, since: Monotonic) -> Option<Self> {
        let CaptureError::Foreign { wanted, found, .. } = error else { return None };
        let (before, after) = (Some(wanted.clone()), found.clone());
        let (kind, remedy) = (DoubtKind::Foreign, error.to_string());
        Some(Self { kind, before, after, remedy, since })
    }

    /// Whether `other` says the same, since whenever.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        (self.kind, &self.before, &self.after) == (other.kind, &other.before, &other.after)
    }
}

/// Watches over openings: which camera comes, and which came first.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityWatch {
    wanted: Option<String>,
    first: Option<CameraIdentity>,
    doubt: Option<CameraDoubt>,
}

impl IdentityWatch {
    /// A watch that refuses every camera which `wanted` does not mean.
    pub(super) const fn wanting(wanted: Option<String>) -> Self {
        Self { wanted, first: None, doubt: None }
    }

    /// What is doubtful about the camera that came last.
    pub(super) const fn doubt(&self) -> Option<&CameraDoubt> {
        self.doubt.as_ref()
    }

    /// Refuses a camera that is not the wanted one, and doubts one that is not what it was.
    pub(super) fn admit(
        &mut self,
        description: &SourceDescription,
        now: Monotonic,
    ) -> Result<(), CaptureError> {
        let SourceDescription { origin, location, .. } = description;
        let Some(identity) = origin.camera() else { return Ok(()) };
        let wanted = self.wanted.as_deref();
        identity.check(wanted, location)?;
        let first = self.first.get_or_insert_with(|| {
            tracing::info!(camera = %location, %identity, "this is the camera");
            identity.clone()
        });
        let doubt = CameraDoubt::of(identity, first, wanted, now);
        self.note(doubt);
        Ok(())
    }

    /// Notes that no camera could be opened for `error`.
    pub(super) fn failed(&mut self, error: &CaptureError, now: Monotonic) {
        if let Some(refused) = CameraDoubt::refused(error, now) {
            self.note(Some(refused));
        }
    }

    /// Takes over what is doubtful now, and says what is news of it.
    fn note(&mut self, doubt: Option<CameraDoubt>) {
        match (&self.doubt, &doubt) {
            (Some(before), Some(now)) if before.says_the_same_as(now) => return,
            // Of one that is refused, its error is told.
            (_, Some(now)) if now.kind == DoubtKind::Foreign => {}
            (_, Some(now)) => tracing::warn!(camera = %now.after, "{}", now.remedy),
            (Some(_), None) => tracing::info!("the camera is the right one again"),
            (None, None) => {}
        }
        self.doubt = doubt;
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::made_up::{other, usb};
    use super::*;

    #[test]
    fn a_doubt_says_what_and_what_to_do() {
        let at = Monotonic::from_millis(7);
        let (first, second) = (usb(0x0825, Some("1A2B"), "1.2"), usb(0x0825, Some("9Z"), "1.2"));
        let loopback = other("v4l2 loopback", "HD Webcam", "platform:v4l2loopback-000");
        assert_eq!(CameraDoubt::of(&first, &first, None, at), None);
        let changed = CameraDoubt::of(&second, &first, None, at).unwrap();
        assert_eq!((changed.kind, changed.since), (DoubtKind::Changed, at));
        assert_eq!((changed.before, changed.after), (Some(first.to_string()), second.to_string()));
        assert!(
            changed.remedy.contains("camera.identity = \"usb:046d:0825:9Z\""),
            "{}",
            changed.remedy
        );
        let alone = CameraDoubt::of(&loopback, &loopback, None, at).unwrap();
        assert_eq!((alone.kind, alone.before.as_ref()), (DoubtKind::Virtual, None));
        assert!(alone.remedy.contains("platform:v4l2loopback-000"), "{}", alone.remedy);
        let slipped_in = CameraDoubt::of(&loopback, &first, None, at).unwrap();
        assert_eq!(slipped_in.kind, DoubtKind::Virtual);
        assert_eq!(slipped_in.before, Some(first.to_string()));
        let named = Some("platform:v4l2loopback-000");
        assert_eq!(
            CameraDoubt::of(&loopback, &loopback, named, at),
            None,
            "it is meant to be there"
        );
        let by_model = CameraDoubt::of(&second, &first, Some("usb:046d:0825"), at).unwrap();
        assert_eq!(by_model.kind, DoubtKind::Changed, "another one of the same model");
        let refused =
            CameraDoubt::refused(&second.check(named, "/dev/video0").unwrap_err(), at).unwrap();
        assert_eq!((refused.kind, refused.before.as_deref()), (DoubtKind::Foreign, named));
        assert!(!refused.says_the_same_as(&alone) && alone.says_the_same_as(&alone));
    }
}
