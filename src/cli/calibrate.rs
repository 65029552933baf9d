//! `calibrate`: what may this door claim for the people who are enrolled at it?
//!
//! In: the database, and the cohort that comes with the embedder. Out: how many of the cohort's
//! strangers would be taken for somebody, the FPIR that this supports, the threshold that
//! `recognise.target_fpir` would need, and whom the door may confuse. Invariant: nothing is changed;
//! subjects are told by their ids, never by name.

use std::path::PathBuf;

use clap::Args;

use super::exit::Kind;
use super::faces::references;
use super::failure::Failure;
use super::session::Session;
use crate::config::Networks;
use crate::evaluate::{Cohort, door_claim, plot_claim};

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Another cohort than the one beside the embedder's card
    #[arg(long, value_name = "FILE")]
    cohort: Option<PathBuf>,
    /// Also draw the scores, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Result<Kind, Failure> {
        let config = session.config()?;
        let enrolled = references(&config)?;
        if enrolled.is_empty() {
            return Err(Failure::new(
                Kind::Input,
                format!("nobody is enrolled for {}", config.models.embedder),
                "'deepid-edge enroll NAME --image FILE', with the same database",
            ));
        }
        let networks = Networks::open(&config)?;
        let card = networks.card(&config.models.embedder)?;
        let beside = || networks.cards().beside(&format!("{}.cohort.safetensors", card.id));
        let path = self.cohort.unwrap_or_else(beside);
        let cohort =
            Cohort::read(&path, &card).map_err(|error| Failure::of(Kind::Input, &error))?;
        let gallery = networks.gallery(&config, enrolled.clone())?;
        let recognise = &config.recognise;
        let claim =
            door_claim(&gallery, &enrolled, &cohort, recognise.target_fpir, recognise.mirrored)
                .map_err(|error| Failure::of(Kind::Model, &error))?;
        if let Some(path) = &self.plot {
            plot_claim(&claim, path).map_err(|error| Failure::of(Kind::Input, &error))?;
            session.mention(format_args!("written: {}", path.display()));
        }
        session.tell(&claim, &claim)?;
        Ok(if claim.kept { Kind::Done } else { Kind::Negative })
    }
}
