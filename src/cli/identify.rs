//! `identify`: who of those enrolled does a picture show?
//!
//! In: a picture, the database. Out: the nearest subject with score, threshold, margin and claim,
//! and what the daemon would make of such a frame. Invariant: nobody is named who does not reach
//! the threshold with the margin; one picture grants nothing, and the audit is not touched.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::usable;
use crate::capture::picture::Picture;
use crate::compare::{Match, Operating};
use crate::config::Config;
use crate::decide::{Outcome, Verdict};
use crate::enrol::Judge;
use crate::equip::Networks;
use crate::inference::ModelKey;
use crate::store::{Store, Subject};

/// Arguments of `identify`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A JPEG, PNG or WebP file
    image: PathBuf,
}

/// What to do while nobody can be recognised.
const ENROL: &str = "nobody is enrolled for this model: 'deepid-edge enroll NAME --image FILE', with the same database";

/// An outcome in the words of the access message; one picture grants nothing.
const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "recognised",
        Outcome::Denied => "denied",
        Outcome::Unknown => "unknown",
        Outcome::Ambiguous => "ambiguous",
    }
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let picture = Picture::read(&self.image)?;
        let networks = Networks::open(&config)?;
        let store = usable::opened(&config)?;
        let store = store.as_ref();
        let (cards, embedder) = (networks.cards(), &config.models.embedder);
        let enrolled = usable::references(store, &config, cards, embedder)?;
        let operating = deciding(store, &config, &networks, enrolled.len())?;
        let mut judge = Judge::new(&config, &networks, enrolled)?;
        let face = judge.picture(&picture).map_err(|why| Failure::of_face(&self.image, &why))?;
        if face.faces > 1 {
            let path = self.image.display();
            context.mention(format!(
                "note: {path}: {} faces, the largest central one was taken",
                face.faces
            ));
        }
        let found = &face.found;
        let verdict = Verdict::of_one(found, config.recognise.margin, operating.beyond_accepted);
        let (outcome, reason) = (word(verdict.outcome()), verdict.reason());
        let subject = store.zip(verdict.subject()).map(|(store, id)| store.subject(id.as_str()));
        let subject = subject.transpose()?;
        if reason == "empty_gallery" {
            context.mention(format!("try: {ENROL}"));
            usable::mention(context, &usable::idle_here(store, &config, cards));
        }
        let (what, remedy) = operating.beyond_words(config.recognise.accept_fpir, 1.0);
        if reason == "beyond_calibration" {
            context.mention(format!("{what}; {remedy}"));
        }
        let remedy = match reason {
            "empty_gallery" => Some(ENROL),
            "beyond_calibration" => Some(remedy.as_str()),
            _ => None,
        };
        let best_score = found.best.as_ref().map(|best| best.score);
        context.tell(
            as_text(outcome, reason, subject.as_ref(), found),
            &json!({
                "picture": self.image,
                "outcome": outcome,
                "reason": reason,
                "remedy": remedy,
                "subject": subject.as_ref().map(|s| json!({ "id": s.id, "name": s.name, "enabled": s.enabled })),
                "score": best_score,
                "threshold": found.threshold,
                "metric": found.metric,
                "margin": found.margin,
                "claimed_fmr": found.claimed_fmr,
                "claimed_fpir": operating.claimed_fpir,
                "model": found.model,
                "faces": face.faces,
                "quality": face.quality,
            }),
        )?;
        Ok(if verdict.outcome() == Outcome::Granted { Kind::Done } else { Kind::Negative })
    }
}

/// What can be claimed of the gallery that decides: the confirming embedder's, where there is one.
fn deciding(
    store: Option<&Store>,
    config: &Config,
    networks: &Networks,
    references: usize,
) -> Result<Operating, Failure> {
    let of = |key: &ModelKey| usable::references(store, config, networks.cards(), &key.id);
    match networks.confirming(config, of)? {
        Some(second) => Ok(second.gallery.operating()),
        None => Ok(networks.cards().operating(config, config.recognise.metric, references)?),
    }
}

fn as_text(outcome: &str, reason: &str, subject: Option<&Subject>, found: &Match) -> String {
    let who = subject.map_or(String::new(), |s| format!(": {} ({})", s.name, s.id));
    let score = found.best.as_ref().map_or("-".to_owned(), |best| format!("{:.3}", best.score));
    let margin = found.margin.map_or("-".to_owned(), |margin| format!("{margin:.3}"));
    let claim = found.claimed_fmr.map_or("-".to_owned(), |fmr| format!("{fmr:.1e}"));
    format!(
        "{outcome} ({reason}){who}\n{} score {score}, threshold {:.3}, margin to the second subject {margin}, claimed FMR {claim}",
        found.metric, found.threshold,
    )
}
