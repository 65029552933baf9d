//! `mqtt forget`: takes the door out of Home Assistant.
//!
//! In: the broker's settings. Out: one announcement more and an empty one on the discovery topic, which
//! removes the device there. Nothing else of the broker's is touched.

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;

/// What to do at the broker.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Remove this door from Home Assistant
    Forget,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let Self::Forget = self;
        let config = context.config()?;
        let Some(settings) = config.session_settings() else {
            return Err(Failure::new(
                Kind::Configuration,
                "mqtt.enabled is false",
                "enable it for this command: --set mqtt.enabled=true",
            ));
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::of(Kind::Fault, &error))?;
        runtime
            .block_on(crate::publish::forget(&settings, &config.mqtt.home_assistant.prefix))
            .map_err(|error| Failure::of(Kind::Broker, &error))?;
        let door = &config.door.id;
        context.tell(
            format!("Home Assistant was told to forget door '{door}'"),
            &json!({ "forgotten": door }),
        )?;
        Ok(Kind::Done)
    }
}
