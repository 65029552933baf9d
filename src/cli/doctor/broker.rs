//! What `doctor` looks at: the broker, and the files with which it is spoken to.
//!
//! In: the configuration. Out: whether the broker accepts this door, by TLS or not, whether another machine
//! speaks there as this one, whether secrets are kept from other users. Nothing is published.

use std::os::unix::fs::PermissionsExt as _;

use uuid::Uuid;

use super::findings::Findings;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::clock::{Clock, Floor, SystemClock, rfc3339};
use crate::config::Config;
use crate::store::Store;

/// Whether the files for the broker are what they should be, and secrets kept from other users.
pub(super) fn secrets(findings: &mut Findings, config: &Config) {
    let mqtt = &config.mqtt;
    let now_s = SystemClock::new(config.clock.require, Floor::default()).wall().unix_ms / 1000;
    let now_s = u64::try_from(now_s).unwrap_or_default();
    let troubles = config.session_settings().map(|settings| settings.troubles(now_s));
    for trouble in troubles.into_iter().flatten() {
        findings.fail("broker files", &Failure::of(Kind::Broker, &trouble));
    }
    let files =
        [&mqtt.password_file, &mqtt.tls.key, &config.camera.password_file, &config.serve.key];
    for path in files.into_iter().flatten() {
        let name = path.display().to_string();
        match std::fs::metadata(path) {
            // Told above, where the broker is in use.
            Err(_) => {}
            Ok(about) if about.permissions().mode() & 0o007 != 0 => findings.warn(
                "secrets",
                format!("{name}: every user of this machine can read it"),
                format!("'chmod o= {}', and give it to the user of the service", path.display()),
            ),
            Ok(_) => findings.ok("secrets", format!("{name}: kept from other users")),
        }
    }
}

/// That names go to the broker, by a way that nobody else reads or not.
fn names(findings: &mut Findings, private: bool) {
    if private {
        let what = "messages on 'access' carry names (mqtt.names): whoever may read the broker knows who comes and goes";
        return findings.ok("names", what);
    }
    findings.warn(
        "names",
        "mqtt.names = true: names go over the network for everybody to read",
        "set mqtt.tls.enabled = true, or mqtt.names = false",
    );
}

pub(super) fn check(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    let Some(settings) = config.session_settings() else {
        return findings.warn(
            "broker",
            "mqtt.enabled is false",
            "decisions are recorded and nobody is told; enable it, or leave it so",
        );
    };
    let at = format!("{}:{}", settings.host, settings.port);
    let probed = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Kind::Fault, &error))
        .and_then(|runtime| {
            let probe = crate::publish::probe(&settings);
            runtime.block_on(probe).map_err(|error| Failure::of(Kind::Broker, &error))
        });
    if config.mqtt.names {
        names(findings, settings.tls.is_some() || is_this_machine(&settings.host));
    }
    match probed {
        Err(failure) => findings.fail("broker", &failure),
        Ok(facts) if facts.tls || is_this_machine(&settings.host) => {
            let how = if facts.tls { "encrypted, its certificate is right" } else { "plain" };
            findings.ok("broker", format!("{at}: accepts this door; {how}"));
            door_id(findings, config, store, facts.speaks);
        }
        Ok(facts) => {
            findings.warn(
                "broker",
                format!("{at}: accepts this door; the connection is not encrypted"),
                "set mqtt.tls.enabled: on the network anybody could forge a decision",
            );
            door_id(findings, config, store, facts.speaks);
        }
    }
}

/// Whether another machine speaks to the broker as this door, by what this one has recorded and by
/// who `speaks` there.
fn door_id(findings: &mut Findings, config: &Config, store: Option<&Store>, speaks: Option<Uuid>) {
    let door = &config.door.id;
    let Some(run) = store.and_then(|store| store.newest_run().ok().flatten()) else { return };
    if let Some(contested_ms) = run.contested_ms {
        return findings.warn(
            "door id",
            format!(
                "{door}: another client spoke as this door at {}, or within the hour after it",
                rfc3339(contested_ms)
            ),
            "give every board a door.id of its own, or switch the old board off; then 'systemctl restart deepid-edge'",
        );
    }
    if speaks.is_some_and(|boot| boot != run.boot) {
        return findings.warn(
            "door id",
            format!("{door}: who spoke last as this door was another run than this machine's newest"),
            "nothing, if the service has not reached the broker since it was started; otherwise give every board a door.id of its own",
        );
    }
    findings.ok("door id", format!("{door}: no other client has spoken as this door"));
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
