//! `calibrate`: what may this door claim for the people who are enrolled at it?
//!
//! In: the database, and the cohort that comes with the embedder. Out: how many of the cohort's
//! strangers would be taken for somebody, the FPIR that this supports, the threshold that
//! `recognise.target_fpir` would need, and whom the door may confuse. Invariant: nothing is changed;
//! subjects are told by their ids, never by name.

use std::path::PathBuf;

use clap::Args;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::usable;
use crate::calibrate::{ClaimVerdict, Cohort, CohortError, door_claim};
use crate::equip::Networks;
#[cfg(feature = "lab")]
use crate::lab::plot_claim;

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Another cohort than the one beside the embedder's card
    #[arg(long, value_name = "FILE")]
    cohort: Option<PathBuf>,
    /// Also draw the scores, as SVG
    #[cfg(feature = "lab")]
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let networks = Networks::open(&config)?;
        let cards = networks.cards();
        let store = usable::opened(&config)?;
        let enrolled = usable::references(store.as_ref(), &config, cards, &config.models.embedder)?;
        let idle = usable::idle_here(store.as_ref(), &config, cards);
        if enrolled.is_empty() {
            let mut what = format!("nobody is enrolled for {}", config.models.embedder);
            let mut remedy =
                "'deepid-edge enroll NAME --image FILE', with the same database".to_owned();
            for one in idle {
                what = format!("{what}; {}", one.what);
                remedy = one.remedy;
            }
            return Err(Failure::new(Kind::Input, what, remedy));
        }
        usable::mention(context, &idle);
        let cohort =
            Cohort::of(&config, cards, self.cohort.as_deref()).map_err(|error| match error {
                CohortError::Equip(error) => error.into(),
                error => Failure::of(Kind::Input, &error),
            })?;
        let gallery = networks.gallery(&config, enrolled.clone())?;
        let claim = door_claim(&gallery, &enrolled, &cohort, config.recognise.target_fpir)
            .map_err(|error| Failure::of(Kind::Model, &error))?;
        #[cfg(feature = "lab")]
        if let Some(path) = &self.plot {
            plot_claim(&claim, path).map_err(|error| Failure::of(Kind::Input, &error))?;
            context.mention(format_args!("written: {}", path.display()));
        }
        context.tell(&claim, &claim)?;
        let missed = claim.verdict == ClaimVerdict::Missed;
        Ok(if missed { Kind::Negative } else { Kind::Done })
    }
}
