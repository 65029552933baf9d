//! How alike the enrolled people are to themselves, to each other and to strangers.
//!
//! In: the references of the embedder in use, and the cohort of strangers beside its card. Out: counts of
//! scores, and whom the door may confuse: what `calibrate` tells, as figures. Invariants: what is told of
//! strangers is counts alone; one at a time has figures made, of at most [`REFERENCES_MAX`], so that they
//! take seconds; the database is held only while references are read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::app::{App, blocking};
use super::feed::SubjectShown;
use super::problem::Problem;
use crate::calibrate::{Cohort, DoorClaim, door_claim};
use crate::compare::{Metric, SubjectId};
use crate::equip::Networks;
use crate::store::Names;

/// Bars of a row of counts.
const BARS: usize = 40;
/// How many pairs, and how many subjects, are told.
const LISTED: usize = 20;
/// Of how many references figures are made here: each is compared with thousands of strangers.
const REFERENCES_MAX: usize = 1000;
/// For how long somebody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the door may claim for the people who are enrolled at it.
#[derive(Serialize, ToSchema)]
pub(super) struct Calibration {
    #[schema(value_type = String)]
    metric: Metric,
    /// What a score has to reach.
    threshold: f32,
    /// By the model's calibration.
    claimed_fpir: Option<f64>,
    target_fpir: f64,
    /// Scores of different people who are enrolled.
    enrolled: Bars,
    /// Scores of strangers with people who are enrolled.
    cohort: Bars,
    /// Pairs of people who are enrolled, the most alike first.
    nearest: Vec<Pair>,
    /// Who is enrolled and resembles most strangers.
    lookalikes: Vec<LookAlikes>,
    /// The FPIR that this door may claim, by the cohort.
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cohort_faces: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cohort_people: Option<usize>,
}

/// Counts between edges; there is one edge more.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Bars {
    edges: Vec<f32>,
    counts: Vec<u64>,
}

/// Two who are enrolled, and their nearest score.
#[derive(Serialize, ToSchema)]
pub(super) struct Pair {
    a: SubjectShown,
    b: SubjectShown,
    score: f32,
}

/// How many strangers would be taken for somebody.
#[derive(Serialize, ToSchema)]
pub(super) struct LookAlikes {
    subject: SubjectShown,
    count: u64,
}

/// A turn at what one at a time may do, waited for a while.
///
/// # Errors
/// It did not come.
pub(super) async fn turn(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    let waited = tokio::time::timeout(PATIENCE, Arc::clone(&app.looking).acquire_owned()).await;
    waited.ok().and_then(Result::ok).ok_or_else(|| {
        let problem = Problem::too_many("the door is busy with what others asked it", 10);
        problem.helped("try again in a moment")
    })
}

/// `GET /api/v1/calibration`
pub(super) async fn calibration(
    State(app): State<Arc<App>>,
) -> Result<Answer<Calibration>, Problem> {
    let turn = turn(&app).await?;
    let told = blocking(move || {
        let told = make(&app);
        // Until here, also where the client has gone.
        drop(turn);
        told
    });
    Ok(Answer(told.await?))
}

fn make(app: &App) -> Result<Calibration, Problem> {
    let config = app.feed.config();
    let networks = Networks::open(&config)?;
    let key = networks.cards().key(&config, &config.models.embedder)?;
    let (references, names) = {
        let store = app.database();
        (store.references(&key)?, store.names()?)
    };
    within_bound(references.len())?;
    let gallery = networks.gallery(&config, references.clone())?;
    let operating = gallery.operating();
    let metric = config.recognise.metric;
    let mut told = Calibration {
        metric,
        threshold: operating.threshold,
        claimed_fpir: operating.claimed_fpir,
        target_fpir: config.recognise.target_fpir,
        enrolled: bars(&[], metric),
        cohort: bars(&[], metric),
        nearest: Vec::new(),
        lookalikes: Vec::new(),
        claim: None,
        cohort_faces: None,
        cohort_people: None,
    };
    let cohort = Cohort::of(&config, networks.cards(), None::<&Path>);
    let (Ok(cohort), false) = (cohort, references.is_empty()) else { return Ok(told) };
    let claim = door_claim(&gallery, &references, &cohort, config.recognise.target_fpir)
        .map_err(|error| Problem::inside(&error))?;
    add(&claim, &mut told, &names);
    Ok(told)
}

/// Tells what `claim` says.
fn add(claim: &DoorClaim, told: &mut Calibration, names: &Names) {
    let who = |id: &SubjectId| SubjectShown { id: id.clone(), name: names.get(id).cloned() };
    told.enrolled = bars(&claim.scores.own, told.metric);
    told.cohort = bars(&claim.scores.strangers, told.metric);
    let near = claim.near.iter().take(LISTED);
    told.nearest =
        near.map(|near| Pair { a: who(&near.a), b: who(&near.b), score: near.score }).collect();
    let attracting = claim.attracting.iter().take(LISTED);
    told.lookalikes =
        attracting.map(|one| LookAlikes { subject: who(&one.subject), count: one.faces }).collect();
    told.claim = Some(claim.claim);
    told.cohort_faces = Some(claim.cohort_faces);
    told.cohort_people = Some(claim.cohort_people);
}

/// # Errors
/// There are more references than figures are made of here.
fn within_bound(references: usize) -> Result<(), Problem> {
    if references <= REFERENCES_MAX {
        return Ok(());
    }
    let detail = format!(
        "{references} references are enrolled, and figures are made here of {REFERENCES_MAX} at most"
    );
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        .helped("'deepid-edge calibrate' on the door makes them of all"))
}

/// Counts of `scores` between evenly spread edges.
fn bars(scores: &[f32], metric: Metric) -> Bars {
    let (low, high) = match metric {
        Metric::Cosine => (-1.0, 1.0),
        Metric::EuclideanL2 => (0.0, 2.0),
        Metric::Euclidean => (0.0, scores.iter().copied().fold(1.0, f32::max)),
    };
    let width = (high - low) / BARS as f32;
    let edges: Vec<f32> = (0..=BARS).map(|bar| low + width * bar as f32).collect();
    let mut counts = vec![0_u64; BARS];
    for score in scores.iter().filter(|score| score.is_finite()) {
        let bar = ((score - low) / width).clamp(0.0, BARS as f32 - 1.0) as usize;
        if let Some(count) = counts.get_mut(bar) {
            *count += 1;
        }
    }
    Bars { edges, counts }
}

#[cfg(test)]
mod tests {
    use super::super::app::tests::app;
    use super::*;

    #[test]
    fn every_score_is_counted_once() {
        let Bars { edges, counts } =
            bars(&[-1.0, -0.99, 0.0, 0.999, 1.0, f32::NAN], Metric::Cosine);
        assert_eq!((counts.len(), counts.iter().sum::<u64>()), (BARS, 5));
        assert_eq!((counts[0], counts[BARS / 2], counts[BARS - 1]), (2, 1, 2));
        assert_eq!(edges.len(), BARS + 1);
    }

    #[test]
    fn figures_have_a_bound() {
        assert!(within_bound(REFERENCES_MAX).is_ok());
        let beyond = within_bound(REFERENCES_MAX + 1).unwrap_err();
        assert!(beyond.remedy().is_some_and(|remedy| remedy.contains("calibrate")), "{beyond:?}");
    }

    #[test]
    fn one_at_a_time_has_figures_made() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let first = turn(&app).await.unwrap();
            assert!(turn(&app).await.is_err(), "it is waited for, and not for ever");
            drop(first);
            assert!(turn(&app).await.is_ok());
        });
    }
}
