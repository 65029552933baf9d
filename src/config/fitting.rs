//! Checks across keys: values that are right alone and wrong together.
//!
//! In: typed sections and where each value came from. Out: every contradiction, with both keys and
//! what would be right. Invariant: pure; whether named files exist is for their readers to say.

use super::layers::Setting;
use super::problem::{Origin, Problem};
use super::sections::Sections;
use crate::compare::Metric;
use crate::detect::Strategy;

/// Where the value of `key` came from.
pub(super) fn origin(settings: &[Setting], key: &str) -> Origin {
    settings
        .iter()
        .find(|setting| setting.key == key)
        .map_or(Origin::Default, |setting| setting.origin.clone())
}

/// A `target_fpir` of a higher layer undoes a `threshold` of a lower one: the later word counts.
pub(super) fn resolve(mut settings: Vec<Setting>) -> Vec<Setting> {
    let (target, threshold) =
        (origin(&settings, "recognise.target_fpir"), origin(&settings, "recognise.threshold"));
    if layer(&target) > layer(&threshold)
        && let Some(setting) = settings.iter_mut().find(|s| s.key == "recognise.threshold")
    {
        setting.value = None;
        setting.origin = target;
    }
    settings
}

const fn layer(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::File(_) => 1,
        Origin::Environment(_) => 2,
        Origin::Flag(_) => 3,
    }
}

/// Everything that does not fit.
pub(super) fn contradictions(sections: &Sections, settings: &[Setting]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |key: &'static str, found: String, other: String, remedy: &'static str| {
        let origin = origin(settings, key);
        problems.push(Problem::Contradiction { origin, key, found, other, remedy });
    };

    let visit = &sections.visit;
    if visit.agreeing > visit.window {
        add(
            "visit.agreeing",
            visit.agreeing.to_string(),
            format!("visit.window = {}", visit.window),
            "so many frames can never agree; make the window at least as large",
        );
    }
    if visit.stale_ms > visit.timeout_ms {
        add(
            "visit.stale_ms",
            visit.stale_ms.to_string(),
            format!("visit.timeout_ms = {}", visit.timeout_ms),
            "a frame must not count for longer than a visit lasts; make it smaller",
        );
    }

    let detect = &sections.detect;
    if detect.strategy == Strategy::FindThenFollow && detect.refresh_frames >= visit.agreeing {
        add(
            "detect.refresh_frames",
            detect.refresh_frames.to_string(),
            format!("visit.agreeing = {}", visit.agreeing),
            "a second person could stand outside every frame that agrees; make it smaller, or let more frames agree, or set detect.strategy to \"find\"",
        );
    }
    if visit.weight_min > visit.agreeing as f32 {
        add(
            "visit.weight_min",
            visit.weight_min.to_string(),
            format!("visit.agreeing = {}", visit.agreeing),
            "a frame weighs at most 1, so that many cannot reach it; make it smaller",
        );
    }

    let quality = &sections.quality;
    if quality.exposure_min >= quality.exposure_max {
        add(
            "quality.exposure_min",
            quality.exposure_min.to_string(),
            format!("quality.exposure_max = {}", quality.exposure_max),
            "no face could lie between; make it smaller",
        );
    }

    let recognise = &sections.recognise;
    if let Some(threshold) = recognise.threshold {
        let (fits, remedy) = match recognise.metric {
            Metric::Cosine => {
                ((-1.0..=1.0).contains(&threshold), "for cosine it lies from -1 to 1")
            }
            Metric::Euclidean => (threshold >= 0.0, "for euclidean it is 0 or more"),
            Metric::EuclideanL2 => {
                ((0.0..=2.0).contains(&threshold), "for euclidean-l2 it lies from 0 to 2")
            }
        };
        if !fits {
            add(
                "recognise.threshold",
                threshold.to_string(),
                format!("recognise.metric = \"{}\"", recognise.metric),
                remedy,
            );
        }
        let both = (
            layer(&origin(settings, "recognise.threshold")),
            layer(&origin(settings, "recognise.target_fpir")),
        );
        if both.0 == both.1 {
            add(
                "recognise.threshold",
                threshold.to_string(),
                format!("recognise.target_fpir = {}", recognise.target_fpir),
                "one of them decides; remove the other",
            );
        }
    }

    let mqtt = &sections.mqtt;
    if mqtt.password_file.is_some() && mqtt.username.is_none() {
        add(
            "mqtt.password_file",
            quoted(mqtt.password_file.as_deref()),
            "an unset mqtt.username".to_owned(),
            "set the user name too",
        );
    }
    if !mqtt.tls.enabled && mqtt.tls.ca.is_some() {
        add(
            "mqtt.tls.ca",
            quoted(mqtt.tls.ca.as_deref()),
            "mqtt.tls.enabled = false".to_owned(),
            "enable TLS, or remove the certificate authority: nothing would be encrypted",
        );
    }
    match (&mqtt.tls.cert, &mqtt.tls.key) {
        (Some(cert), None) => add(
            "mqtt.tls.cert",
            quoted(Some(cert)),
            "an unset mqtt.tls.key".to_owned(),
            "a certificate needs its private key; set both or neither",
        ),
        (None, Some(key)) => add(
            "mqtt.tls.key",
            quoted(Some(key)),
            "an unset mqtt.tls.cert".to_owned(),
            "a private key needs its certificate; set both or neither",
        ),
        _ => {}
    }
    problems
}

fn quoted(path: Option<&std::path::Path>) -> String {
    path.map(|path| format!("\"{}\"", path.display())).unwrap_or_default()
}
