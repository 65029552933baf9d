//! Enrolment: pictures become references of a person.
//!
//! In: a name, pictures from files, a recording or the camera, or what is remembered of a stranger's
//! visit, the networks and the database of a door. Out: a subject with one reference for each usable
//! face, or nothing at all; why pictures were refused, and what somebody should look at again.
//! Invariants: pictures are forgotten, only feature vectors are kept; nothing is written before every
//! picture was judged, and then all at once with its record.
//! Deliberately absent: words for a terminal, and whose clock and boot sign the record: the command
//! line and a daemon are doors to this one room.

mod draft;
mod gather;
mod judge;
mod recalled;
mod tally;

pub use draft::{Draft, Warning, Whom, Wish};
pub use gather::{Gathered, Pictures, SPACING, Step, gather};
pub use judge::{Bearing, Judge, Unusable, UsableFace};
pub use recalled::recall;
pub use tally::Tally;

use std::fmt::Write as _;

use crate::capture::CaptureError;
use crate::equip::EquipError;
use crate::store;

/// Why nobody was enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Library, models or threshold.
    #[error(transparent)]
    Equip(#[from] EquipError),
    /// The database, or what was asked of it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A camera or recording cannot be used.
    #[error(transparent)]
    Source(CaptureError),
    /// A picture cannot be read.
    #[error(transparent)]
    Picture(CaptureError),
    /// A network failed on a frame.
    #[error("{}", Unusable::Fault.finding())]
    NetworkFailed,
    /// Pictures were refused.
    #[error("{}", refused(.0))]
    Refused(Box<Gathered>),
    /// The faces of a visit are not all alike.
    #[error(
        "two faces of the visit are not alike enough to be one person's (score {score:.3}, {threshold:.3} is asked for)"
    )]
    Mixed {
        /// The score of the two.
        score: f32,
        /// What it has to reach.
        threshold: f32,
    },
}

impl EnrolError {
    /// What to do, where the sentence does not say it.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Equip(_) | Self::Store(_) | Self::Source(_) | Self::Picture(_) => None,
            Self::Mixed { .. } => Some("have that person come again, alone"),
            Self::NetworkFailed => Some(Unusable::Fault.remedy()),
            // One remedy for all; several stand each with its picture.
            Self::Refused(gathered) => Some(match remedies(gathered).as_slice() {
                [only] => only,
                _ => "give other pictures",
            }),
        }
    }
}

fn remedies(gathered: &Gathered) -> Vec<&'static str> {
    let mut remedies: Vec<_> = gathered.refused.iter().map(|(_, why)| why.remedy()).collect();
    remedies.sort_unstable();
    remedies.dedup();
    remedies
}

fn refused(gathered: &Gathered) -> String {
    let mut what = "nobody was enrolled".to_owned();
    let alike = remedies(gathered).len() == 1;
    for (picture, why) in &gathered.refused {
        let _infallible = if alike {
            write!(what, "\n{picture}: {}", why.finding())
        } else {
            write!(what, "\n{picture}: {why}")
        };
    }
    if let Some(tally) = &gathered.tally {
        let _infallible = write!(what, "\n{tally}");
    }
    what
}
