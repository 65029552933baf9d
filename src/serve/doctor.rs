//! What `doctor` says, of a door that runs.
//!
//! In: a look at configuration, files, database and clock that disturbs nothing, which whoever started the
//! daemon brings along ([`Doctor`]); what the daemon's threads told last. Out: a verdict for each check,
//! with what to do. Invariants: the camera, the networks and the broker are the daemon's own, and are told
//! from its state; one at a time has this done; paths and secrets are those that `doctor` tells, to
//! administrators alone.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::{App, blocking};
use super::feed::Told;
use super::figures::turn;
use super::problem::Problem;
use crate::capture::CameraState;
use crate::config::Config;
use crate::mask;

/// Looks at what of a door can be looked at beside its daemon.
pub type Doctor = fn(&Config) -> Vec<Check>;

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// It is not.
    Problem,
}

/// One check of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub check: String,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    fn new(check: &str, verdict: Verdict, text: String, remedy: Option<String>) -> Self {
        Self { check: check.to_owned(), verdict, text, remedy }
    }

    /// The same without secrets that may stand in a text.
    fn masked(self) -> Self {
        let mask = |text: String| mask::text(&text).into_owned();
        Self { text: mask(self.text), remedy: self.remedy.map(mask), ..self }
    }
}

/// `GET /api/v1/doctor`
pub(super) async fn look(State(app): State<Arc<App>>) -> Result<Answer<Vec<Check>>, Problem> {
    let turn = turn(&app).await?;
    let found = blocking(move || {
        let config = app.feed.config();
        let mut found = (app.doctor)(&config);
        drop(turn);
        found.extend(of_the_daemon(&app.feed.told(), &config));
        Ok(found.into_iter().map(Check::masked).collect())
    });
    Ok(Answer(found.await?))
}

/// What the daemon knows of its own.
fn of_the_daemon(told: &Told, config: &Config) -> Vec<Check> {
    let mut found = vec![camera(told), broker(told, config)];
    if let Some(info) = &told.info {
        let ids: Vec<_> = info.models.iter().map(|model| model.id.as_str()).collect();
        found.push(Check::new("networks", Verdict::Ok, format!("run: {}", ids.join(", ")), None));
    }
    found
}

fn camera(told: &Told) -> Check {
    const CHECK: &str = "camera";
    let Some(camera) = &told.camera else {
        let text = "how it is is not known yet".to_owned();
        return Check::new(CHECK, Verdict::Warning, text, Some("ask again in a moment".to_owned()));
    };
    let verdict = match (camera.state, &camera.remedy) {
        (CameraState::Streaming, None) => Verdict::Ok,
        (CameraState::Streaming, Some(_)) => Verdict::Warning,
        _ => Verdict::Problem,
    };
    let shown = told.info.as_ref().and_then(|info| info.camera.as_ref());
    let which = shown.map_or_else(String::new, |shown| {
        format!(": {}, {} × {}", shown.name, shown.width, shown.height)
    });
    Check::new(CHECK, verdict, format!("{}{which}", camera.state.name()), camera.remedy.clone())
}

fn broker(told: &Told, config: &Config) -> Check {
    const CHECK: &str = "broker";
    if !config.mqtt.enabled {
        let text = "mqtt.enabled is false".to_owned();
        let remedy = "decisions are recorded and nobody is told; enable it, or leave it so";
        return Check::new(CHECK, Verdict::Warning, text, Some(remedy.to_owned()));
    }
    let (verdict, text) = match told.broker {
        Some(true) => (Verdict::Ok, "the daemon is connected"),
        Some(false) => (Verdict::Problem, "the daemon has no connection"),
        None => (Verdict::Warning, "the daemon has not been connected yet"),
    };
    let remedy = "'deepid-edge doctor' on the door tries a connection of its own and says why";
    let remedy = (verdict != Verdict::Ok).then(|| remedy.to_owned());
    Check::new(CHECK, verdict, text.to_owned(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockTrust, WallClock};
    use crate::config::{Flag, Sources};
    use crate::publish::Camera;

    fn config(mqtt: bool) -> Config {
        let (given_as, key) = ("--set".to_owned(), "mqtt.enabled".to_owned());
        let flags = vec![Flag { given_as, key, value: mqtt.to_string() }];
        Config::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    #[test]
    fn the_daemons_own_state_is_told_with_what_to_do() {
        let wall = WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false };
        let camera =
            |state, remedy: Option<&str>| Some(Camera::new(state, wall, remedy.map(str::to_owned)));
        for (told, mqtt, wanted) in [
            (Told::default(), true, [Verdict::Warning, Verdict::Warning]),
            (
                Told {
                    camera: camera(CameraState::Streaming, None),
                    broker: Some(true),
                    ..Told::default()
                },
                true,
                [Verdict::Ok, Verdict::Ok],
            ),
            (
                Told {
                    camera: camera(CameraState::Streaming, Some("a light")),
                    broker: Some(false),
                    ..Told::default()
                },
                true,
                [Verdict::Warning, Verdict::Problem],
            ),
            (
                Told { camera: camera(CameraState::Stalled, Some("a cable")), ..Told::default() },
                false,
                [Verdict::Problem, Verdict::Warning],
            ),
        ] {
            let found = of_the_daemon(&told, &config(mqtt));
            assert_eq!(
                found.iter().map(|one| one.verdict).collect::<Vec<_>>(),
                wanted,
                "{found:?}"
            );
            let helped = |one: &Check| one.verdict == Verdict::Ok || one.remedy.is_some();
            assert!(found.iter().all(helped), "{found:?}");
        }
    }
}
