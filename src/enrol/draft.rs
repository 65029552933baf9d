//! An enrolment that is complete and not yet written.
//!
//! In: whom the faces are for, the faces, the networks that made them, and the database as it is.
//! Out: what somebody should look at again, because a subject looks alike or pictures do not look
//! alike: both are how a wrong person gets in; then, in one transaction, references and record.

use std::collections::BTreeMap;

use super::{EnrolError, Gathered, UsableFace};
use crate::compare::SubjectId;
use crate::config::Config;
use crate::equip::{EquipError, Networks};
use crate::inference::ModelId;
use crate::store::{
    Change, Done, Enrolee, Error, LookAlike, NewReference, Signature, Store, Subject,
};

/// What is asked for under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// A new subject.
    New,
    /// References in addition to those that the subject has.
    Add,
    /// References in place of all that the subject has.
    Replace,
}

/// Whom the references are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// A new subject of this name.
    New(String),
    /// This one, in addition to those it has.
    Also(SubjectId),
    /// This one, in place of all that it has.
    Instead(SubjectId),
}

impl Whom {
    /// Finds out before anybody poses; without a database nobody is known yet.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::NoSuchSubject`], [`Error::AmbiguousName`] or
    /// [`Error::BadName`]: the wish cannot be fulfilled under this name.
    pub fn find(store: Option<&Store>, name: &str, wish: Wish) -> Result<Self, Error> {
        let known = match store.map(|store| store.subject(name)) {
            Some(Ok(subject)) => Some(subject.id),
            None | Some(Err(Error::NoSuchSubject { .. })) => None,
            Some(Err(error)) => return Err(error),
        };
        match (wish, known) {
            (Wish::New, Some(by)) => Err(Error::NameTaken { by }),
            (Wish::New, None) => {
                Store::check_name(name)?;
                Ok(Self::New(name.to_owned()))
            }
            (Wish::Add, Some(subject)) => Ok(Self::Also(subject)),
            (Wish::Replace, Some(subject)) => Ok(Self::Instead(subject)),
            (Wish::Add | Wish::Replace, None) => {
                Err(Error::NoSuchSubject { asked: name.to_owned() })
            }
        }
    }

    const fn subject(&self) -> Option<&SubjectId> {
        match self {
            Self::New(_) => None,
            Self::Also(subject) | Self::Instead(subject) => Some(subject),
        }
    }
}

/// Something that a person should look at again.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Another subject would be taken for this one.
    Alike {
        /// Which.
        subject: SubjectId,
        /// Its name.
        name: String,
        /// The nearest score.
        score: f32,
    },
    /// A picture that resembles none of the others.
    OutOfLine {
        /// Which.
        picture: String,
        /// Its nearest score.
        score: f32,
    },
    /// A subject whose name looks like the new one.
    Name(LookAlike),
}

/// References that are to be written.
#[derive(Debug)]
pub struct Draft {
    whom: Whom,
    gathered: Gathered,
    warnings: Vec<Warning>,
}

impl Draft {
    /// Refuses what was gathered unless every picture was usable; with `skip_poor`, unless any was.
    ///
    /// # Errors
    /// [`EnrolError::Refused`], or what is wrong with networks or database.
    pub fn new(
        whom: Whom,
        gathered: Gathered,
        skip_poor: bool,
        config: &Config,
        networks: &Networks,
        store: Option<&Store>,
    ) -> Result<Self, EnrolError> {
        if gathered.faces.is_empty() || !(gathered.refused.is_empty() || skip_poor) {
            return Err(EnrolError::Refused(Box::new(gathered)));
        }
        let mut warnings = Vec::new();
        if let Some(store) = store {
            warnings.extend(alike(config, &gathered.faces, store, whom.subject())?);
        }
        warnings.extend(out_of_line(config, networks, &gathered.faces)?);
        if let (Some(store), Whom::New(name)) = (store, &whom) {
            warnings.extend(store.look_alikes(name)?.into_iter().map(Warning::Name));
        }
        Ok(Self { whom, gathered, warnings })
    }

    /// What it is made from.
    #[must_use]
    pub const fn gathered(&self) -> &Gathered {
        &self.gathered
    }

    /// What somebody should look at again.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Writes references and record in one transaction. Where a second embedder confirms grants, each
    /// face gives a reference of that one too; the record counts those of `embedder`.
    ///
    /// # Errors
    /// What the database says; nothing was changed then, and nothing recorded.
    pub fn write(
        &self,
        store: &mut Store,
        embedder: &ModelId,
        by: Signature<'_>,
    ) -> Result<(Subject, Done), Error> {
        let references: Vec<NewReference<'_>> = self
            .gathered
            .faces
            .iter()
            .flat_map(|(_, face)| {
                let quality = face.quality.weight;
                let vectors = std::iter::once(&face.vector).chain(&face.confirming);
                vectors.map(move |vector| NewReference { vector, quality })
            })
            .collect();
        let (who, asked) = match &self.whom {
            Whom::New(name) => (Enrolee::New(name), name.as_str()),
            Whom::Also(subject) => (Enrolee::Also(subject), subject.as_str()),
            Whom::Instead(subject) => (Enrolee::Instead(subject), subject.as_str()),
        };
        let source = self.gathered.source;
        let change = Change::Enrol { who, references: &references, source, model: embedder };
        let done = store.administer(change, by)?;
        let subject = store.subject(done.subject.as_ref().map_or(asked, SubjectId::as_str))?;
        Ok((subject, done))
    }
}

/// Others who are enrolled and would be taken for the one in `faces`.
fn alike(
    config: &Config,
    faces: &[(String, UsableFace)],
    store: &Store,
    own: Option<&SubjectId>,
) -> Result<Vec<Warning>, EnrolError> {
    let metric = config.recognise.metric;
    let mut alike: BTreeMap<SubjectId, f32> = BTreeMap::new();
    for (_, face) in faces {
        let Some(best) = face.found.accepted().filter(|best| Some(&best.subject) != own) else {
            continue;
        };
        let nearest = alike.entry(best.subject.clone()).or_insert(best.score);
        if metric.advantage(best.score, *nearest) > 0.0 {
            *nearest = best.score;
        }
    }
    let warning = |(subject, score): (SubjectId, f32)| {
        let name = store.subject(subject.as_str())?.name;
        Ok(Warning::Alike { subject, name, score })
    };
    alike.into_iter().map(warning).collect()
}

/// Pictures that resemble none of the others.
fn out_of_line(
    config: &Config,
    networks: &Networks,
    faces: &[(String, UsableFace)],
) -> Result<Vec<Warning>, EnrolError> {
    let metric = config.recognise.metric;
    let comparer = networks.comparer(config, metric)?;
    let threshold = networks.cards().operating(config, metric, 1)?.threshold;
    let mut warnings = Vec::new();
    for (index, (picture, face)) in faces.iter().enumerate() {
        let mut nearest: Option<f32> = None;
        for (other, (_, against)) in faces.iter().enumerate() {
            if other != index {
                let score =
                    comparer.score(&face.vector, &against.vector).map_err(EquipError::from)?;
                let nearer = nearest.is_none_or(|best| metric.advantage(score, best) > 0.0);
                nearest = if nearer { Some(score) } else { nearest };
            }
        }
        if let Some(score) = nearest.filter(|score| !metric.accepts(*score, threshold)) {
            warnings.push(Warning::OutOfLine { picture: picture.clone(), score });
        }
    }
    Ok(warnings)
}
