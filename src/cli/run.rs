//! `run`: the daemon.
//!
//! In: the configuration. Out: nothing but the daemon's own doings; returns when it was asked to
//! stop. Everything that the daemon is stands in [`crate::daemon`]; this is the door to it.

use clap::Args;

use super::context::{Context, direct_flag};
use super::exit::Kind;
use super::failure::Failure;
use super::{doctor, logging};
use crate::daemon::{Control, Stop};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the door, above door.id
    #[arg(long, value_name = "ID")]
    door: Option<String>,
    /// Camera, above camera.device
    #[arg(long, value_name = "PATH", conflicts_with = "replay")]
    device: Option<String>,
    /// Folder, MJPEG or Y4M file in place of the camera, above camera.replay.path
    #[arg(long, value_name = "PATH")]
    replay: Option<String>,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let flags = [
            ("--door", "door.id", self.door),
            ("--device", "camera.device", self.device),
            ("--replay", "camera.replay.path", self.replay),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(flag, key, value)| Some(direct_flag(flag, key, &value?)))
            .collect::<Vec<_>>();
        let config = context.config_with(flags.clone())?;
        let log = logging::for_the_daemon(&config);
        let control = Control {
            read: Box::new(|| context.read_config(flags.clone())),
            log_level: Box::new(|level| log.set(level)),
            doctor: doctor::beside_a_daemon,
        };
        crate::daemon::run(&config, &Stop::default(), &control)?;
        Ok(Kind::Done)
    }
}
