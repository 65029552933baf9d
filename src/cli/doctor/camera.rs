//! What `doctor` looks at: the camera.
//!
//! In: the configured camera or recording. Out: what is plugged in, whether frames come from it, whether
//! the faces in them stand upright. Deliberately absent: faces that do not move (`scene`).

use std::sync::Arc;
use std::time::Duration;

use super::findings::Findings;
use super::look;
use crate::capture::v4l2::{Listing, list_cameras};
use crate::capture::{self, CaptureError, FrameSource};
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::clock::{Clock, Floor, SystemClock};
use crate::config::Config;
use crate::enrol::{Bearing, Judge};
use crate::equip::Networks;

/// The least patience with a camera that a program reads, in seconds.
const PROGRAM_PATIENCE_S: u32 = 15;

pub(super) fn check(findings: &mut Findings, config: &Config, patience_s: u32) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(config.clock.require, Floor::default()));
    let opened = capture::open(config.source_settings(clock.now()), Arc::clone(&clock));
    let program = config.camera_program().filter(|_| config.camera.replay.path.is_none());
    if config.camera.replay.path.is_none() && program.is_none() {
        let listings = list_cameras(&config.camera_settings().wish);
        if listings.is_empty() {
            let remedy = "plug a camera in (a USB camera needs no driver of its own)";
            findings.warn("camera found", "none is plugged in", remedy);
        }
        for listing in listings {
            found(findings, &listing, config.camera.identity.as_deref());
        }
    }
    if let Err(error @ CaptureError::Busy { .. }) = &opened {
        // On a door that works, this is the daemon.
        return findings.warn(
            "camera",
            error.to_string(),
            "nothing, if it is this door's own daemon: its topic 'camera' says how the camera is, and names faces that do not move",
        );
    }
    // A program takes its time to find its camera.
    let patience_s =
        if program.is_some() { patience_s.max(PROGRAM_PATIENCE_S) } else { patience_s };
    let looked = || look_through(&mut *opened?, config, &*clock, patience_s);
    match looked() {
        Err(failure) => findings.fail("camera", &failure),
        Ok(what) if config.camera.replay.path.is_some() => findings.warn(
            "camera",
            format!("a recording stands in for the camera: {what}"),
            "unset camera.replay.path at a real door: whoever can change the recording can show any face",
        ),
        Ok(what) => findings.ok("camera", what),
    }
}

/// Looks through the camera: do frames come, and do the faces in them stand upright?
fn look_through(
    source: &mut dyn FrameSource,
    config: &Config,
    clock: &dyn Clock,
    patience_s: u32,
) -> Result<String, Failure> {
    let until = clock.now().plus(Duration::from_secs(patience_s.into()));
    // What is wrong with the networks, other checks say.
    let networks = Networks::open(config).ok();
    let mut judge = networks.and_then(|networks| Judge::new(config, &networks, Vec::new()).ok());
    let mut bearing = Bearing::Unknown;
    let seen = look::at(
        source,
        || clock.now() < until,
        |frame| {
            if let (Some(judge), Bearing::Unknown) = (&mut judge, &bearing) {
                bearing = judge.bearing(frame);
            }
        },
    )?;
    let what = seen.judged(source.description())?;
    match bearing {
        Bearing::Upright => Ok(format!("{what}; a face in them stands upright")),
        Bearing::Turned(why) => {
            let what = format!("{what}, but {}", why.finding());
            Err(Failure::new(Kind::Camera, what, why.remedy()))
        }
        Bearing::Unknown if judge.is_some() => Ok(format!(
            "{what}; whether faces stand upright is not known: stand before it and run this again"
        )),
        Bearing::Unknown => Ok(what),
    }
}

/// What is plugged in; that it is there is all right, whatever it can do, where it has a lens.
fn found(findings: &mut Findings, listing: &Listing, wanted: Option<&str>) {
    let what = listed(listing);
    match &listing.identity {
        Some(identity) if identity.is_virtual() && wanted.is_none() => findings.warn(
            "camera found",
            format!("{what}; it is virtual: whoever feeds it shows the door any face"),
            "name the camera of the door by camera.identity, so that this one never counts, and remove it",
        ),
        _ => findings.ok("camera found", what),
    }
}

/// One line of it.
fn listed(listing: &Listing) -> String {
    let name = listing.stable_name.as_ref().unwrap_or(&listing.node).display();
    let choice = match &listing.verdict {
        Ok(choice) => format!("would give {choice}"),
        Err(error) => error.to_string(),
    };
    let Some(identity) = &listing.identity else {
        return format!("{} ({name}): {choice}", listing.node.display());
    };
    let (node, card, line) = (listing.node.display(), identity.card(), identity.line());
    format!("{node} ({name}), {card}: {choice}; {line} lets no other count")
}
