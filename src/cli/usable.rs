//! Which references count: those of the model files and procedures in use, and why others do not.
//!
//! In: the database, the cards, the configuration. Out: counts, and for references that are never
//! compared a sentence of why with what to do; what can be claimed of those that are, and whether a face
//! alone is enough by it. Nothing here changes anything.

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use crate::config::Config;
use crate::equip::Cards;
use crate::inference::{ModelId, ModelKey, ProcedureHash};
use crate::policy::FaceAlone;
use crate::store::{HeldReferences, ModelReferences, Reference, Store, Usable};

/// What helps whoever may not use the service's database.
pub(super) const AS_THE_SERVICE: &str =
    "run it as the user that runs deepid-edge: 'sudo -u deepid-edge deepid-edge …'";

/// Why references are never compared, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) what: String,
    pub(super) remedy: String,
}

/// What of `held` is compared.
pub(super) fn usable(held: &[HeldReferences], keys: &[ModelKey]) -> Usable {
    Usable::of(held, &keys.iter().collect::<Vec<_>>())
}

/// Whether there is a database yet. A folder that this user may not look into says nothing of it.
pub(super) fn is_there(config: &Config) -> Result<bool, Failure> {
    let path = &config.store.path;
    path.try_exists().map_err(|error| {
        Failure::new(
            Kind::StoreUnavailable,
            format!("this user cannot see whether there is a database ({error})"),
            AS_THE_SERVICE,
        )
        .at(path.display().to_string())
    })
}

/// The database, to be read; `None` when there is none yet.
pub(super) fn opened(config: &Config) -> Result<Option<Store>, Failure> {
    let open = || Store::open_read_only(&config.store.path, config.store_settings());
    Ok(is_there(config)?.then(open).transpose()?)
}

/// The references of `model` by the procedure in use; none when there is no database yet.
pub(super) fn references(
    store: Option<&Store>,
    config: &Config,
    cards: &Cards,
    model: &ModelId,
) -> Result<Vec<Reference>, Failure> {
    let Some(store) = store else { return Ok(Vec::new()) };
    Ok(store.references(&cards.key(config, model)?)?)
}

/// Whether a face alone is enough at this door, by the cards and whoever is enrolled.
pub(super) fn face_alone(config: &Config, store: Option<&Store>) -> Result<FaceAlone, Failure> {
    let cards = Cards::open(config)?;
    let count = |model: &ModelId| Ok::<_, Failure>(references(store, config, &cards, model)?.len());
    let deciding = if let Some(fusion) = cards.fusion(config)? {
        cards.operating_fused(config, &fusion, count(&fusion.second.id)?)?
    } else {
        let enrolled = count(&config.models.embedder)?;
        cards.operating(config, config.recognise.metric, enrolled)?
    };
    Ok(config.face_alone(deciding.claimed_fpir))
}

/// Why references are idle, one entry for each model file and procedure.
pub(super) fn idle(usable: &Usable, cards: Option<&Cards>, config: &Config) -> Vec<Idle> {
    let others = usable.others.iter().map(|entry| of_another(entry, cards, config));
    let unknown = usable.unknown.iter().map(of_unknown_file);
    unknown.chain(others).collect()
}

/// References that do not say what made them.
pub(super) fn of_unknown_file(entry: &ModelReferences) -> Idle {
    let ModelReferences { model, references, .. } = entry;
    Idle {
        what: format!(
            "{references} references of {model} are of an unknown file (they are older than this record) and are never compared"
        ),
        remedy: format!(
            "if the {model} that is installed made them, 'deepid-edge subjects adopt --model {model}'; else enrol those people again with 'deepid-edge enroll NAME --replace'"
        ),
    }
}

fn of_another(entry: &ModelReferences, cards: Option<&Cards>, config: &Config) -> Idle {
    let ModelReferences { model, references, procedure } = entry;
    let shown = procedure.map(ProcedureHash::shown).unwrap_or_default();
    let confirming = confirming(cards, config);
    let same_id = std::iter::once(&config.models.embedder)
        .chain(confirming.as_ref())
        .any(|id| id.as_str() == model);
    if !same_id {
        return Idle {
            what: format!(
                "{references} references of another model ({model}, procedure {shown}) are never compared"
            ),
            remedy: format!(
                "enrol those people again with 'deepid-edge enroll NAME --replace', or set models.embedder to {model}"
            ),
        };
    }
    let mirrored = config.recognise.mirrored;
    let averaged_otherwise = cards.is_some_and(|cards| {
        let key = ModelId::new(model).ok().and_then(|id| cards.key_if(&id, !mirrored).ok());
        key.is_some_and(|key| Some(key.procedure) == *procedure)
    });
    if averaged_otherwise {
        return Idle {
            what: format!(
                "{references} references of {model} were made with recognise.mirrored = {}, and are never compared while it is {mirrored}",
                !mirrored
            ),
            remedy: format!(
                "set recognise.mirrored = {}, or enrol those people again with 'deepid-edge enroll NAME --replace'",
                !mirrored
            ),
        };
    }
    Idle {
        what: format!(
            "{references} references of {model} were made by another file or card under the same id (procedure {shown}), and are never compared"
        ),
        remedy: "enrol those people again with 'deepid-edge enroll NAME --replace', or bring the earlier model file and card back".to_owned(),
    }
}

fn confirming(cards: Option<&Cards>, config: &Config) -> Option<ModelId> {
    let fusion = cards?.fusion(config).ok()??;
    Some(fusion.second.id.clone())
}

/// Tells why references are not compared.
pub(super) fn mention(context: &Context, idle: &[Idle]) {
    for Idle { what, remedy } in idle {
        context.mention(format_args!("note: {what}\n  try: {remedy}"));
    }
}

/// Why references of the database are idle; nothing where it cannot be read.
pub(super) fn idle_here(store: Option<&Store>, config: &Config, cards: &Cards) -> Vec<Idle> {
    match (store.map(Store::held), cards.keys_in_use(config)) {
        (Some(Ok(held)), Ok(keys)) => idle(&usable(&held, &keys), Some(cards), config),
        _ => Vec::new(),
    }
}
