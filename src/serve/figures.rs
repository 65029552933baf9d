//! How alike the enrolled people are to themselves, to each other and to strangers.
//!
//! In: the references of the embedder in use, and the cohort of strangers beside its card. Out: counts of
//! scores, and whom the door may confuse: what `calibrate` tells, as figures. Invariant: what is told of
//! strangers is counts alone.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde_json::{Value as Json, json};

use super::app::{App, blocking};
use super::events::{Names, names};
use super::problem::Problem;
use super::read::object;
use crate::calibrate::{Cohort, door_claim};
use crate::compare::{Metric, SubjectId};
use crate::equip::Networks;
use crate::inference::Procedure;

/// Bars of a row of counts.
const BARS: usize = 40;
/// How many pairs, and how many subjects, are told.
const LISTED: usize = 20;

/// `GET /api/v1/calibration`
pub(super) async fn calibration(State(app): State<Arc<App>>) -> Result<Answer<Json>, Problem> {
    let config = app.feed.config();
    blocking(move || {
        let networks = Networks::open(&config)?;
        let (cards, embedder) = (networks.cards(), &config.models.embedder);
        let key = cards.key(&config, embedder)?;
        let store = app.database();
        let (references, names) = (store.references(&key)?, names(&store)?);
        drop(store);
        let gallery = networks.gallery(&config, references.clone())?;
        let operating = gallery.operating();
        let metric = config.recognise.metric;
        let mut told = json!({
            "metric": metric,
            "threshold": operating.threshold,
            "claimed_fpir": operating.claimed_fpir,
            "target_fpir": config.recognise.target_fpir,
            "enrolled": bars(&[], metric),
            "cohort": bars(&[], metric),
            "nearest": [],
            "lookalikes": [],
        });
        let card = networks.card(embedder)?;
        let landmarker = cards.landmarker_of(&card)?;
        let mirrored = config.recognise.mirrored;
        let procedure = Procedure { embedder: &card, landmarker: landmarker.as_deref(), mirrored };
        let path = cards.beside(&format!("{}.cohort.safetensors", card.id));
        let cohort = Cohort::read(&path, &procedure);
        let (Ok(cohort), false) = (cohort, references.is_empty()) else {
            return Ok(Answer(object(told)));
        };
        let claim = door_claim(&gallery, &references, &cohort, config.recognise.target_fpir)
            .map_err(|error| Problem::inside(&error))?;
        let who = |id: &SubjectId| subject(id, &names);
        if let Json::Object(fields) = &mut told {
            let nearest: Vec<Json> = claim
                .near
                .iter()
                .take(LISTED)
                .map(|near| json!({ "a": who(&near.a), "b": who(&near.b), "score": near.score }))
                .collect();
            let lookalikes: Vec<Json> = claim
                .attracting
                .iter()
                .take(LISTED)
                .map(|one| json!({ "subject": who(&one.subject), "count": one.faces }))
                .collect();
            fields.insert("enrolled".to_owned(), bars(&claim.scores.own, metric));
            fields.insert("cohort".to_owned(), bars(&claim.scores.strangers, metric));
            fields.insert("nearest".to_owned(), nearest.into());
            fields.insert("lookalikes".to_owned(), lookalikes.into());
            fields.insert("claim".to_owned(), claim.claim.into());
            fields.insert("cohort_faces".to_owned(), claim.cohort_faces.into());
            fields.insert("cohort_people".to_owned(), claim.cohort_people.into());
        }
        Ok(Answer(object(told)))
    })
    .await
}

fn subject(id: &SubjectId, names: &Names) -> Json {
    object(json!({ "id": id, "name": names.get(id) }))
}

/// Counts of `scores` between evenly spread edges.
fn bars(scores: &[f32], metric: Metric) -> Json {
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
    json!({ "edges": edges, "counts": counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_is_counted_once() {
        let told = bars(&[-1.0, -0.99, 0.0, 0.999, 1.0, f32::NAN], Metric::Cosine);
        let counts: Vec<u64> = serde_json::from_value(told["counts"].clone()).unwrap();
        assert_eq!((counts.len(), counts.iter().sum::<u64>()), (BARS, 5));
        assert_eq!((counts[0], counts[BARS / 2], counts[BARS - 1]), (2, 1, 2));
        assert_eq!(told["edges"].as_array().map(Vec::len), Some(BARS + 1));
    }
}
