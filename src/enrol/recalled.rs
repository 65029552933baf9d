//! An enrolment of somebody who has just been at the door: from what is remembered of a stranger's visit.
//!
//! In: the vectors of one visit, whom they are for, the networks' cards, the database as it is. Out: a
//! [`Draft`] like that of pictures. Each vector is compared with everybody who is enrolled now. Invariant:
//! faces that are not all alike enrol nobody: people may have changed places within a visit. Deliberately
//! absent: whether the visitor was a living face. Nobody has looked at that of a stranger.

use super::{Draft, EnrolError, Gathered, UsableFace, Whom};
use crate::compare::SearchScratch;
use crate::config::Config;
use crate::equip::{EquipError, Networks};
use crate::recognise::Recalled;
use crate::store::{ReferenceSource, Store};

/// What `recalled` enrols of `whom`.
///
/// # Errors
/// [`EnrolError::Mixed`], or what is wrong with networks or database.
pub fn recall(
    whom: Whom,
    recalled: &Recalled,
    config: &Config,
    networks: &Networks,
    store: &Store,
) -> Result<Draft, EnrolError> {
    let metric = config.recognise.metric;
    let key = networks.cards().key(config, &config.models.embedder)?;
    let gallery = networks.gallery(config, store.references(&key)?)?;
    let comparer = networks.comparer(config, metric)?;
    let threshold = networks.cards().operating(config, metric, 1)?.threshold;
    for (index, face) in recalled.faces().iter().enumerate() {
        for other in recalled.faces().iter().skip(index + 1) {
            let score = comparer.score(&face.vector, &other.vector).map_err(EquipError::from)?;
            if !metric.accepts(score, threshold) {
                return Err(EnrolError::Mixed { score, threshold });
            }
        }
    }
    let mut scratch = SearchScratch::default();
    let mut faces = Vec::new();
    for (index, face) in recalled.faces().iter().enumerate() {
        let found = gallery.search(&face.vector, &mut scratch).map_err(EquipError::from)?;
        let usable = UsableFace {
            faces: 1,
            quality: face.quality,
            vector: face.vector.clone(),
            confirming: face.confirming.clone(),
            found,
        };
        faces.push((format!("the visit's face {}", index + 1), usable));
    }
    let source = if config.camera.replay.path.is_some() {
        ReferenceSource::Replay
    } else {
        ReferenceSource::Camera
    };
    let gathered = Gathered { source, faces, refused: Vec::new(), tally: None };
    Draft::new(whom, gathered, false, config, networks, Some(store))
}
