//! The store key, by which names and references are sealed: another one in its place, and how it is.
//!
//! In: the configuration and the database. Out: all data keys wrapped by another key. Invariants: no key
//! is printed or sent; a rotation is one transaction with its record, and whatever breaks it off leaves
//! one key that opens all.

use std::io::Read as _;
use std::path::Path;

use serde_json::json;
use zeroize::Zeroizing;

use super::context::Context;
use super::doctor::Findings;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::{existing, signature};
use crate::config::Config;
use crate::sign::PlaceKind;
use crate::store::{SealName, SealPlace, SealTrouble, Store, StoreKey};

/// Bytes of a key's file.
const BYTES_MAX: u64 = 4096;

/// `keys rotate --store`: by the key in `given`, which is to become a credential of the service, or by a
/// new one in the file.
pub(super) fn rotate(
    context: &Context,
    config: &Config,
    given: Option<&Path>,
    yes: bool,
) -> Result<Kind, Failure> {
    let mut store = existing(config, Store::open)?;
    let Some((before, _)) = store.store_key_recorded()? else {
        return Err(Failure::new(
            Kind::Absent,
            "nothing is sealed yet: this door has no store key",
            "enrol somebody, which makes one",
        ));
    };
    // Says now where the key before is missing.
    store.store_key()?;
    let place = config.store_key_place();
    finish(&place, &store)?;
    let given = given.map(read).transpose()?;
    if place.kind == PlaceKind::Credential && given.is_none() {
        return Err(Failure::new(
            Kind::Usage,
            "the store key is a credential of the service, which this command cannot write",
            "make one as docs/board.md says, and name its file with --key FILE",
        ));
    }
    context.confirm(
        "Seal names and references by another store key from now on? Copies of the database that were made before still open by the key before.",
        yes,
    )?;
    let owner = store.owner();
    let by = signature(&store, config)?;
    let (after, record) = if let Some(key) = given {
        (key.name().clone(), store.rotate_store_key(&key, PlaceKind::Credential, by)?)
    } else {
        let key =
            StoreKey::generate().map_err(SealTrouble::from).map_err(|error| sealing(&error))?;
        place.put_beside(&key, owner).map_err(|error| sealing(&error))?;
        // Where this fails the key stays beside: a commit of which nobody knows may have been one.
        let record = store.rotate_store_key(&key, PlaceKind::File, by)?;
        if let Err(error) = place.settle() {
            // The daemon, which has seen the record, may have been faster.
            let there = place.load(Some((key.name(), PlaceKind::File)), owner);
            if !matches!(there, Ok(Some(found)) if !found.beside) {
                return Err(sealing(&error));
            }
        }
        (key.name().clone(), record)
    };
    // Copies of the keys as they were wrapped before are nowhere in the file then.
    if let Err(error) = store.rewrite() {
        context.mention(format_args!(
            "warning: it is done and recorded, but keys wrapped as before may still be in the file ({error})\n  try: 'deepid-edge erase'"
        ));
    }
    let mut text = format!("names and references are sealed by store key {after} from now on");
    if store.store_key_recorded()?.is_some_and(|(_, kind)| kind == PlaceKind::Credential) {
        text.push_str(
            "\ngive it to the service as the credential 'store.key', then 'systemctl restart deepid-edge'; destroy the file and the key before",
        );
    }
    let value =
        json!({ "done": "rotated", "before": before, "after": after, "record": record.seq });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}

/// Puts the recorded key into its place where a rotation was broken off before that: what lies beside
/// the place is about to be written over.
fn finish(place: &SealPlace, store: &Store) -> Result<(), Failure> {
    let recorded = store.store_key_recorded()?;
    let recorded = recorded.as_ref().map(|(name, kind)| (name, *kind));
    match place.load(recorded, store.owner()) {
        Ok(Some(found)) if found.beside => place.settle().map_err(|error| sealing(&error)),
        _ => Ok(()),
    }
}

fn sealing(trouble: &SealTrouble) -> Failure {
    Failure::of(Kind::Store, trouble)
}

fn read(path: &Path) -> Result<StoreKey, Failure> {
    let at = path.display().to_string();
    let mut text = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize));
    std::fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text))
        .map_err(|error| {
            Failure::new(Kind::Input, error.to_string(), "name a file that this user can read")
                .at(at.clone())
        })?;
    StoreKey::from_text(&text).ok_or_else(|| {
        let what = "it does not hold 64 hexadecimal digits";
        Failure::new(Kind::Input, what, "'openssl rand -hex 32' makes a key").at(at)
    })
}

/// For `doctor`: whether names and references can be opened.
pub(super) fn check(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    const CHECK: &str = "store key";
    let place = config.store_key_place();
    let recorded = store.map(Store::store_key_recorded);
    match (store, recorded) {
        (Some(store), Some(Ok(Some((name, kind))))) => match store.store_key() {
            Ok(_) => findings.ok(CHECK, in_words(&name, &place)),
            // Only the service sees its credentials; it says itself where it cannot open what is sealed.
            Err(error) if kind == PlaceKind::Credential && place.kind == PlaceKind::File => {
                let remedy = crate::remedy::Remedied::remedy(&error).unwrap_or_default();
                findings.warn(
                    CHECK,
                    format!("{name}, a credential of the service, which this command cannot see"),
                    remedy,
                );
            }
            Err(error) => findings.fail(CHECK, &Failure::from(error)),
        },
        (_, Some(Err(error))) => findings.fail(CHECK, &Failure::from(error)),
        // A file that is there already would be taken.
        (store, _) => match place.load(None, store.and_then(Store::owner)) {
            Err(trouble) => findings.fail(CHECK, &sealing(&trouble)),
            Ok(_) => findings.ok(
                CHECK,
                format!("{}: taken, or made, at the first enrolment", place.path.display()),
            ),
        },
    }
}

fn in_words(name: &SealName, place: &SealPlace) -> String {
    let kind = if place.kind == PlaceKind::File { "file" } else { "credential" };
    format!("names and references are sealed by {name}; {} ({kind})", place.path.display())
}
