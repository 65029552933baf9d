//! `doctor`: is everything there that a door needs?
//!
//! In: the configuration. Out: for configuration, library, models, database, camera, broker and
//! clock a verdict (ok, warn, fail), what was found, and what to do. Invariants: nothing is changed
//! or made; one failed check keeps no other from running; warnings do not fail. Beside a daemon, in its own
//! process, neither camera nor broker nor networks are used, which are the daemon's, and SQLite alone opens
//! the database: another file handle would take its locks away when it is closed.

mod broker;
mod camera;
mod database;
mod face_alone;
mod findings;
mod look;
mod models;
mod page;
mod passback;
mod scene;
mod second;

use clap::Args;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::{keys, policy, store_key, usable};
use crate::clock::{SystemClock, utc};
use crate::config::Config;
use crate::serve::Check;
use crate::store::Store;
pub(super) use findings::Findings;
use findings::{CORRECT, Grade};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Seconds to wait for the first frame of the camera
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    patience: u32,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let mut findings = Findings::default();
        let config = match context.config() {
            Err(failure) => {
                let what = failure.finding() + "\nthe other checks leave out what is wrong here";
                let remedy = failure.remedy().unwrap_or(CORRECT);
                findings.fail("configuration", &Failure::new(failure.kind(), what, remedy));
                context.salvaged_config()
            }
            Ok(config) => {
                let place = config.file().map_or_else(
                    || "no file, defaults".to_owned(),
                    |path| path.display().to_string(),
                );
                findings.ok("configuration", place);
                Some(config)
            }
        };
        if let Some(config) = config {
            let opened = usable::opened(&config);
            // A database that cannot be read is told by the check of it.
            let store = opened.as_ref().ok().and_then(Option::as_ref);
            models::check(&mut findings, &config, store);
            database::check(&mut findings, &config, opened.as_ref().map(Option::as_ref));
            camera::check(&mut findings, &config, self.patience);
            scene::check(&mut findings, &config);
            broker::secrets(&mut findings, &config);
            broker::check(&mut findings, &config, store);
            clock(&mut findings, &config, store);
            policy::check(&mut findings, &config, store);
            second_factor(&mut findings, &config, store);
            passback::check(&mut findings, &config);
            keys::check(&mut findings, &config, store);
            store_key::check(&mut findings, &config, store);
            page::check(&mut findings, &config, store);
        }
        let worst = findings.worst();
        let value = serde_json::json!({ "verdict": worst, "checks": findings });
        context.tell(&findings, &value)?;
        Ok(if worst == Grade::Fail { Kind::Negative } else { Kind::Done })
    }
}

/// What of a door can be looked at in the process of its daemon, which goes on meanwhile.
pub(super) fn beside_a_daemon(config: &Config) -> Vec<Check> {
    let mut findings = Findings::default();
    let place = config
        .file()
        .map_or_else(|| "no file, defaults".to_owned(), |path| path.display().to_string());
    findings.ok("configuration", place);
    let opened = usable::opened(config);
    let store = opened.as_ref().ok().and_then(Option::as_ref);
    models::check_cards(&mut findings, config, store);
    database::check(&mut findings, config, opened.as_ref().map(Option::as_ref));
    broker::secrets(&mut findings, config);
    clock(&mut findings, config, store);
    policy::check(&mut findings, config, store);
    second_factor(&mut findings, config, store);
    passback::check(&mut findings, config);
    keys::check(&mut findings, config, store);
    page::check(&mut findings, config, store);
    findings.into_checks()
}

/// Whether a face alone opens, and whether a second factor can come where one is needed. Where the claim
/// cannot be made, the check of the models has said why.
fn second_factor(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    let face = usable::face_alone(config, store).ok();
    if let Some(face) = &face {
        face_alone::check(findings, face);
    }
    second::check(findings, config, store, face.is_some_and(|face| !face.is_enough()));
}

fn clock(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    let floor = store.and_then(|store| store.clock_floor().ok()).unwrap_or_default();
    let (wall, doubt) = SystemClock::new(config.clock.require, floor).wall_with_doubt();
    let state = if wall.synchronised { "synchronised" } else { "not synchronised" };
    let what = format!("{}, {state}", utc(wall.unix_ms));
    match doubt {
        Some(doubt) => findings.fail(
            "clock",
            &Failure::new(
                Kind::Negative,
                format!(
                    "{what}: not trusted, so {}: {doubt}",
                    super::clock::closed(config.policy.untrusted_clock)
                ),
                doubt.remedy(),
            ),
        ),
        None if !wall.synchronised => findings.warn(
            "clock",
            what,
            "let a time service keep it right (systemd-timesyncd, chrony)",
        ),
        None => findings.ok("clock", what),
    }
}
