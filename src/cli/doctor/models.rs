//! What `doctor` looks at: the cards, files and networks that are in use.
//!
//! In: the configuration, and who is enrolled. Out: whether the library can be opened, each network runs
//! on an empty picture, a threshold follows, a second embedder can confirm, liveness is looked at.
//! Invariant: without the library, cards and files are still looked at.

use std::collections::BTreeSet;

use super::findings::Findings;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::cli::usable;
use crate::clock::Monotonic;
use crate::compare::Operating;
use crate::config::Config;
use crate::detect::Detections;
use crate::equip::{Cards, Networks};
use crate::frame::{Frame, PixelFormat};
use crate::inference::ModelKind;
use crate::liveness::{LivenessNetworks, Mode};
use crate::store::Store;

pub(super) fn check(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    let cards = match Cards::open(config) {
        Ok(cards) => cards,
        Err(error) => {
            let library = config.library_path().map(|path| path.display().to_string());
            match library {
                Ok(path) => findings.ok("library", format!("{path}; not opened without models")),
                Err(error) => findings.fail("library", &error.into()),
            }
            return findings.fail("model", &error.into());
        }
    };
    match Networks::open(config).and_then(|networks| Ok((networks, config.library_path()?))) {
        Err(error) => {
            findings.fail("library", &error.into());
            files(findings, config, &cards);
        }
        Ok((networks, path)) => {
            findings.ok("library", path.display().to_string());
            running(findings, config, &networks);
        }
    }
    of_cards(findings, config, &cards, store);
}

/// The same without a network: cards, files, and what follows from them.
pub(super) fn check_cards(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    match Cards::open(config) {
        Err(error) => findings.fail("model", &error.into()),
        Ok(cards) => {
            files(findings, config, &cards);
            of_cards(findings, config, &cards, store);
        }
    }
}

/// What follows from the cards.
fn of_cards(findings: &mut Findings, config: &Config, cards: &Cards, store: Option<&Store>) {
    threshold(findings, config, cards, store);
    confirming(findings, config, cards, store);
    liveness(findings, config, cards);
    quality(findings, config, cards);
}

/// Whether covered faces are noticed.
fn quality(findings: &mut Findings, config: &Config, cards: &Cards) {
    let card = cards
        .quality(config)
        .and_then(|found| found.map(|card| cards.with_its_files(&card.id)).transpose());
    let share = config.quality.uncovered_refused;
    match card {
        Ok(None) => findings.warn(
            "quality",
            "nobody looks whether a face is covered: whoever is enrolled in sunglasses may be matched by others in sunglasses".to_owned(),
            "set models.quality = \"covered\"",
        ),
        Ok(Some(card)) => {
            let threshold = card.quality.as_ref().and_then(|head| head.threshold(share));
            let claim = threshold.map_or_else(String::new, |threshold| {
                format!(
                    ": refuses {:.1} % of covered faces and {:.1} % of uncovered ones, by its card",
                    100.0 * threshold.covered,
                    100.0 * threshold.uncovered
                )
            });
            findings.ok("quality", format!("{}{claim}", card.id));
        }
        Err(error) => findings.fail("quality", &error.into()),
    }
}

/// What a visit must show to be of a face and not of a picture of one.
fn liveness(findings: &mut Findings, config: &Config, cards: &Cards) {
    let (mode, name) = (config.live.mode, &config.models.liveness);
    if mode == Mode::Off {
        let then = if config.policy.required_liveness {
            "passes for them, and only the second factor keeps it out"
        } else {
            "opens this door"
        };
        return findings.warn(
            "liveness",
            format!("nothing is asked: a photograph of somebody enrolled {then}"),
            "set live.mode to 'deny' or 'confirm' (docs/liveness.md)",
        );
    }
    let median = cards.liveness(config).and_then(|found| {
        found.all().try_for_each(|card| cards.with_its_files(&card.id).map(drop))?;
        Ok((found.closer, cards.liveness_median(config)?))
    });
    match median {
        Ok((closer, median)) => {
            let closer = closer.map_or_else(String::new, |card| format!(" with {}", card.id));
            let mode = mode.name();
            findings.ok(
                "liveness",
                format!("{name}{closer}: mode '{mode}', a visit's median must reach {median:.3}"),
            );
        }
        Err(error) => findings.fail("liveness", &error.into()),
    }
}

/// The confirming stage, where one is configured: its networks, and who can be confirmed.
fn confirming(findings: &mut Findings, config: &Config, cards: &Cards, store: Option<&Store>) {
    let fusion = match cards.fusion(config) {
        Ok(None) => return,
        Ok(Some(fusion)) => fusion,
        Err(error) => return findings.fail("confirm", &error.into()),
    };
    if let Err(error) = cards.with_its_files(&fusion.second.id) {
        return findings.fail("confirm", &error.into());
    }
    let (first, second) = (&fusion.first.id, &fusion.second.id);
    let references = |model| usable::references(store, config, cards, model).unwrap_or_default();
    let of = |model| references(model).into_iter().map(|reference| reference.subject);
    let (enrolled, known): (BTreeSet<_>, Vec<_>) = (of(first).collect(), of(second).collect());
    let operating = match cards.operating_fused(config, &fusion, known.len()) {
        Ok(operating) => operating,
        Err(error) => return findings.fail("confirm", &error.into()),
    };
    let lacking = enrolled.iter().filter(|subject| !known.contains(subject)).count();
    let what = format!(
        "{second} confirms each grant: fused score {:.3}, {} of {} people have its references",
        operating.threshold,
        enrolled.len() - lacking,
        enrolled.len()
    );
    if operating.beyond_accepted && !known.is_empty() {
        findings.fail("confirm", &beyond(config, &what, &operating, config.deciding_tries()));
    } else if lacking > 0 && lacking == enrolled.len() {
        let what = format!("{what}: nobody can be granted");
        let remedy = "enrol them again ('deepid-edge enroll NAME --replace'), which makes references of both networks, or leave models.confirm unset until then";
        findings.fail("confirm", &Failure::new(Kind::Configuration, what, remedy));
    } else if lacking > 0 {
        findings.warn(
            "confirm",
            what,
            "the others can never be granted: enrol them again ('deepid-edge enroll NAME --replace'), or leave models.confirm unset until then",
        );
    } else if operating.falls_short {
        findings.warn(
            "confirm",
            what,
            "the fusion's calibration supports no stricter claim: raise recognise.target_fpir to it, or enrol fewer people",
        );
    } else {
        findings.ok("confirm", what);
    }
}

/// What can be said of the models without the library: cards and files.
fn files(findings: &mut Findings, config: &Config, cards: &Cards) {
    let mut names = vec![&config.models.find, &config.models.follow, &config.models.embedder];
    names.dedup();
    for name in names {
        match cards.with_its_files(name) {
            Ok(_) => {
                findings.ok("model", format!("{name}: card and file belong together; not run"));
            }
            Err(error) => findings.fail("model", &error.into()),
        }
    }
}

/// The models on an empty picture.
fn running(findings: &mut Findings, config: &Config, networks: &Networks) {
    let blank = vec![128; 64 * 64 * 3];
    let size = (64, 64);
    let frame = Frame::new(&blank, PixelFormat::Rgb, size, 64 * 3, 0, Monotonic::default());
    let mut names = vec![&config.models.find];
    if config.models.follow != config.models.find {
        names.push(&config.models.follow);
    }
    for name in names {
        let looked =
            networks.detector(name, config).map_err(Failure::from).and_then(|mut found| {
                let Ok(frame) = &frame else { return Ok(()) };
                let whole = crate::detect::SsdDetector::whole(frame);
                found
                    .detect(frame, whole, 16.0, &mut Detections::default())
                    .map_err(|error| Failure::of(Kind::Model, &error))
            });
        match looked {
            Ok(()) => findings.ok("model", format!("{name}: loads and runs")),
            Err(failure) => findings.fail("model", &failure),
        }
    }
    embedder(findings, config, networks);
    match networks.liveness_networks(config) {
        Ok(None) => {}
        Ok(Some(LivenessNetworks { closer, .. })) => {
            let both = if closer.is_some() { " with the one that looks closer" } else { "" };
            findings.ok("model", format!("{}: loads{both}", config.models.liveness));
        }
        Err(error) => findings.fail("model", &error.into()),
    }
    match networks.cover_judge(config) {
        Ok(None) => {}
        Ok(Some(_)) => {
            let name = config.models.quality.named().map_or("", |id| id.as_str());
            findings.ok("model", format!("{name}: loads"));
        }
        Err(error) => findings.fail("model", &error.into()),
    }
}

fn embedder(findings: &mut Findings, config: &Config, networks: &Networks) {
    let name = &config.models.embedder;
    let loads = || {
        networks.embedder(config)?;
        networks.cutter(config)?;
        networks.card(name)
    };
    let card = match loads() {
        Ok(card) => card,
        Err(error) => return findings.fail("model", &error.into()),
    };
    debug_assert_eq!(card.kind, ModelKind::Embedder, "Embedder::new refuses other kinds");
    findings.ok("model", format!("{name}: loads; {}", card.title));
}

/// Why nobody would be granted, whose threshold is said by `what`, where a visit has so many `tries`.
fn beyond(config: &Config, what: &str, operating: &Operating, tries: f64) -> Failure {
    let (why, remedy) = operating.beyond_words(config.recognise.accept_fpir, tries);
    Failure::new(Kind::Configuration, format!("{what}; {why}"), remedy)
}

fn threshold(findings: &mut Findings, config: &Config, cards: &Cards, store: Option<&Store>) {
    let references = usable::references(store, config, cards, &config.models.embedder);
    let references = references.map_or(1, |references| references.len().max(1));
    match cards.operating(config, config.recognise.metric, references) {
        Err(error) => findings.fail("threshold", &error.into()),
        Ok(operating) => {
            let claim = operating.claimed_fpir.map_or_else(
                || "no claim: the calibration does not cover it".to_owned(),
                |fpir| format!("{fpir:.1e} of strangers' attempts, by the model's calibration"),
            );
            let what = format!(
                "{} {:.3} for {references} references; {claim}",
                config.recognise.metric, operating.threshold
            );
            // Where a second embedder decides, its claim counts.
            if operating.beyond_accepted && config.models.confirm.is_none() {
                findings.fail("threshold", &beyond(config, &what, &operating, 1.0));
            } else if operating.falls_short {
                findings.warn(
                    "threshold",
                    what,
                    "the model's calibration supports no stricter claim: raise recognise.target_fpir to it, enrol fewer people, or use a better model",
                );
            } else if operating.other_averaging {
                findings.warn(
                    "threshold",
                    what,
                    "the calibration was measured with the other setting of recognise.mirrored, so that the claim may be too good: change that setting, or use a model calibrated with it",
                );
            } else {
                findings.ok("threshold", what);
            }
        }
    }
}
