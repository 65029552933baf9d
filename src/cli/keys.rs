//! `keys`: the key by which the door signs its grants.
//!
//! In: the database, which knows the public parts, and the key's file. Out: what listeners need to
//! trust this door, or another key in place of this one. Invariants: no private key is printed, written
//! elsewhere or sent; a rotation is one transaction with its record, and whatever breaks it off leaves
//! one key that signs. Deliberately absent: making a listener believe a new key; that is its owner's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::doctor::Findings;
use super::exit::Kind;
use super::failure::Failure;
use super::store_key;
use super::subjects::{clock, existing, signature};
use crate::clock::{Clock as _, WallClock, utc};
use crate::config::Config;
use crate::publish::KeySet;
use crate::sign::{KeyPlace, KeyProblem, KeyTrouble, PlaceKind, PublicKey};
use crate::store::{KnownKey, Rotation, Store};

/// Hours for which a key that was replaced is still named.
const OVERLAP_HOURS: &str = "24";
/// Bytes of a public key's file.
const PUBLIC_BYTES_MAX: u64 = 16 * 1024;

/// What to do with the key.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the public key that listeners are configured with, and whether the door can sign
    Show(Show),
    /// Sign, or seal, by another key from now on
    Rotate(Rotate),
    /// Write the public parts into a folder, for listeners
    Export {
        /// The folder; it is made where it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Arguments of `keys show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Print the public key as a JSON Web Key
    #[arg(long, conflicts_with = "pem")]
    jwk: bool,
    /// Print the public key in PEM
    #[arg(long)]
    pem: bool,
}

/// Arguments of `keys rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// For how many hours the key before is still named on the topic 'keys'; 0 for one that may be
    /// in other hands
    #[arg(long, value_name = "HOURS", conflicts_with = "store", default_value = OVERLAP_HOURS, value_parser = clap::value_parser!(u16).range(0..=8760))]
    overlap: u16,
    /// Make no key: this is the public part (PEM) of the one that the service is given
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    public: Option<PathBuf>,
    /// The key by which names and references are sealed, not the one that signs
    #[arg(long)]
    store: bool,
    /// Seal by the key in this file, which the service is given as its credential
    #[arg(long, value_name = "FILE", requires = "store")]
    key: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        match self {
            Self::Show(verb) => verb.run(context, &config),
            Self::Rotate(verb) => verb.run(context, &config),
            Self::Export { folder } => export(context, &config, &folder),
        }
    }
}

/// The key of a door, as it is from outside of the daemon.
struct Seen {
    current: KnownKey,
    /// Those before it that are still named.
    before: Vec<KnownKey>,
    place: KeyPlace,
    trouble: Option<KeyTrouble>,
    /// It is in the service's hands alone.
    unseen: bool,
}

impl Seen {
    /// `None` where the door has never had a key.
    fn look(config: &Config, store: &Store, wall: WallClock) -> Result<Option<Self>, Failure> {
        let mut known = store.grant_keys()?.into_iter();
        let Some(current) = known.next().filter(|known| known.listed_until_ms.is_none()) else {
            return Ok(None);
        };
        let before = known.filter(|known| known.is_listed(wall.unix_ms)).collect();
        let place = config.grant_key_place();
        let unseen = current.place == PlaceKind::Credential && place.kind == PlaceKind::File;
        let loaded = place.load(Some(current.public.thumbprint()), store.owner());
        let trouble = loaded.err().filter(|_| !unseen);
        Ok(Some(Self { current, before, place, trouble, unseen }))
    }

    fn place_in_words(&self) -> String {
        if self.unseen {
            "a credential of the service, which this command cannot see".to_owned()
        } else {
            let kind = if self.place.kind == PlaceKind::File { "file" } else { "credential" };
            format!("{} ({kind})", self.place.path.display())
        }
    }

    /// What listeners are told, as a JSON Web Key Set.
    fn set(&self) -> Value {
        let listed = std::iter::once(&self.current).chain(&self.before);
        json!({ "keys": KeySet::of(listed.map(|known| &known.public)).keys })
    }
}

fn wall(config: &Config, store: &Store) -> Result<WallClock, Failure> {
    Ok(clock(store, config)?.wall())
}

fn none_yet() -> Failure {
    Failure::new(
        Kind::Absent,
        "this door has no grant key yet",
        "start the daemon, which makes one, or let 'deepid-edge keys rotate' make it now",
    )
}

fn the_key(config: &Config) -> Result<Seen, Failure> {
    let store = existing(config, Store::open_read_only)?;
    Seen::look(config, &store, wall(config, &store)?)?.ok_or_else(none_yet)
}

impl Show {
    fn run(self, context: &Context, config: &Config) -> Result<Kind, Failure> {
        let seen = the_key(config)?;
        let key = &seen.current.public;
        if self.jwk {
            let jwk = serde_json::to_value(key.jwk()).unwrap_or_default();
            context.tell(&jwk, &jwk)?;
            return Ok(Kind::Done);
        }
        if self.pem {
            context.tell(key.to_pem(), &json!({ "pem": key.to_pem() }))?;
            return Ok(Kind::Done);
        }
        let since = utc(seen.current.since_ms);
        let mut text = format!(
            "x            {}\nfingerprint  {}\nsince        {since}\nprivate part {}\n",
            key.x(),
            key.thumbprint(),
            seen.place_in_words()
        );
        for known in &seen.before {
            let until = utc(known.listed_until_ms.unwrap_or_default());
            let _infallible =
                writeln!(text, "before       {}, named until {until}", known.public.thumbprint());
        }
        let trouble = seen.trouble.as_ref().map(|trouble| Failure::of(Kind::Negative, trouble));
        if let Some(failure) = &trouble {
            let _infallible = writeln!(text, "cannot sign  {}", failure.finding());
            if let Some(remedy) = failure.remedy() {
                let _infallible = writeln!(text, "  try: {remedy}");
            }
        } else if !config.sign.grants {
            text.push_str("not in use   sign.grants is false\n");
        }
        let before: Vec<Value> = seen
            .before
            .iter()
            .map(|known| {
                json!({
                    "fingerprint": known.public.thumbprint(),
                    "listed_until": known.listed_until_ms.map(utc),
                })
            })
            .collect();
        let value = json!({
            "fingerprint": key.thumbprint(),
            "since": since,
            "in_use": config.sign.grants,
            "state": seen.trouble.as_ref().map_or("ok", |trouble| trouble.state().name()),
            "what": trouble.as_ref().map(Failure::finding),
            "remedy": trouble.as_ref().and_then(Failure::remedy),
            "place": { "kind": seen.current.place, "path": seen.place.path },
            "jwk": key.jwk(),
            "before": before,
        });
        context.tell(text, &value)?;
        Ok(if trouble.is_none() { Kind::Done } else { Kind::Negative })
    }
}

impl Rotate {
    fn run(self, context: &Context, config: &Config) -> Result<Kind, Failure> {
        if self.store {
            return store_key::rotate(context, config, self.key.as_deref(), self.yes);
        }
        let mut store = existing(config, Store::open)?;
        let known = store.grant_keys()?;
        let before = known.first().filter(|known| known.listed_until_ms.is_none());
        let given = self.public.as_deref().map(read_public).transpose()?;
        let place = config.grant_key_place();
        let in_credential = place.kind == PlaceKind::Credential
            || before.is_some_and(|known| known.place == PlaceKind::Credential);
        if in_credential && given.is_none() {
            return Err(Failure::new(
                Kind::Usage,
                "the key is a credential of the service, which this command cannot write",
                "make one as docs/board.md says, give it to the service, and name its public part with --public FILE",
            ));
        }
        context.confirm(
            "Sign by another key from now on? Listeners take no grant until they are told its fingerprint.",
            self.yes,
        )?;
        let overlap_s = u64::from(self.overlap) * 3600;
        let new = if let Some(key) = &given {
            key.clone()
        } else {
            finish_rotation(&place, before, &store)?;
            make_beside(&place, &store)?
        };
        let kind = if given.is_some() { PlaceKind::Credential } else { PlaceKind::File };
        let rotation = Rotation { key: &new, place: kind, overlap_s };
        let by = signature(&store, config)?;
        let record = match store.rotate_grant_key(rotation, by) {
            Ok(record) => record,
            Err(error) => {
                if given.is_none() {
                    place.forget_beside();
                }
                return Err(error.into());
            }
        };
        if given.is_none()
            && let Err(error) = place.settle()
        {
            // The daemon, which has seen the record, may have been faster.
            let there = place.load(Some(new.thumbprint()), store.owner());
            if !matches!(there, Ok(Some(loaded)) if !loaded.beside) {
                return Err(Failure::of(Kind::Fault, &error));
            }
        }
        tell(context, before, &new, overlap_s, record.seq)
    }
}

/// Puts the recorded key into its place where a rotation was broken off before that: what lies beside
/// the place is about to be written over.
fn finish_rotation(
    place: &KeyPlace,
    before: Option<&KnownKey>,
    store: &Store,
) -> Result<(), Failure> {
    let recorded = before.map(|known| known.public.thumbprint());
    let Some(recorded) = recorded else { return Ok(()) };
    match place.load(Some(recorded), store.owner()) {
        Ok(Some(loaded)) if loaded.beside => {
            place.settle().map_err(|error| Failure::of(Kind::Fault, &error))
        }
        // A key that is gone or spoilt is what a rotation is for.
        _ => Ok(()),
    }
}

fn tell(
    context: &Context,
    before: Option<&KnownKey>,
    new: &PublicKey,
    overlap_s: u64,
    seq: u64,
) -> Result<Kind, Failure> {
    let before = before.map(|known| known.public.thumbprint());
    let mut text = format!("grants are signed by {} from now on", new.thumbprint());
    if let Some(before) = before {
        let _infallible = match overlap_s / 3600 {
            0 => write!(text, "; {before} is no longer named"),
            hours => write!(text, "; {before} is named on 'keys' for {hours} more hours"),
        };
    }
    text.push_str("\ntell every listener: 'deepid-edge keys show', 'deepid-edge keys export DIR'");
    let value = json!({
        "done": "rotated",
        "before": before,
        "after": new.thumbprint(),
        "overlap_s": overlap_s,
        "record": seq,
    });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}

/// A new key beside the one before, of the user to whom the database belongs.
fn make_beside(place: &KeyPlace, store: &Store) -> Result<PublicKey, Failure> {
    let key = place.make_beside().map_err(|error| Failure::of(Kind::Store, &error))?;
    let (made_by, wanted) = (place.owner_beside(), store.owner());
    if made_by == wanted {
        return Ok(key.public().clone());
    }
    place.forget_beside();
    let whose = wanted.map_or_else(|| "another user".to_owned(), |user| format!("user {user}"));
    Err(Failure::new(
        Kind::Store,
        format!("the key would be yours, and the database belongs to {whose}"),
        "run this as that user: 'sudo -u deepid-edge deepid-edge keys rotate'",
    )
    .at(place.path.display().to_string()))
}

pub(super) fn read_public(path: &Path) -> Result<PublicKey, Failure> {
    use std::io::Read as _;
    let at = path.display().to_string();
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(PUBLIC_BYTES_MAX).read_to_end(&mut text))
        .map_err(|error| {
        Failure::new(Kind::Input, error.to_string(), "name a file that this user can read")
            .at(at.clone())
    })?;
    PublicKey::from_pem(&text).map_err(|problem: KeyProblem| {
        let remedy = "'openssl pkey -in grant.key -pubout' writes the public part of a key";
        Failure::new(Kind::Input, problem.to_string(), remedy).at(at)
    })
}

fn export(context: &Context, config: &Config, folder: &Path) -> Result<Kind, Failure> {
    let seen = the_key(config)?;
    let key = &seen.current.public;
    let door = &config.door.id;
    let set = serde_json::to_string_pretty(&seen.set()).unwrap_or_default();
    let files = [
        (format!("{door}.jwks.json"), format!("{set}\n")),
        (format!("{door}.pem"), key.to_pem()),
        (format!("{door}.fingerprint"), format!("{}\n", key.thumbprint())),
    ];
    let failed = |error: std::io::Error, path: &Path| {
        Failure::new(Kind::Input, error.to_string(), "name a folder that this user may write")
            .at(path.display().to_string())
    };
    if !folder.is_dir() {
        std::fs::create_dir(folder).map_err(|error| failed(error, folder))?;
    }
    let mut written = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(error, &path))?;
        written.push(path.display().to_string());
    }
    let value = json!({ "fingerprint": key.thumbprint(), "files": written });
    context.tell(format!("{}\nfingerprint {}", written.join("\n"), key.thumbprint()), &value)?;
    Ok(Kind::Done)
}

/// For `doctor`: whether grants can be signed.
pub(super) fn check(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    const CHECK: &str = "grants";
    if !config.sign.grants {
        return findings.ok(CHECK, "not signed: sign.grants is false");
    }
    let place = config.grant_key_place();
    let Some(store) = store else {
        return findings.ok(CHECK, format!("{}: made at the first start", place.path.display()));
    };
    let seen = wall(config, store).and_then(|wall| Seen::look(config, store, wall));
    match seen {
        Err(failure) => findings.fail(CHECK, &failure),
        // A file that is there already would be taken.
        Ok(None) => match place.load(None, store.owner()) {
            Err(trouble) => findings.fail(CHECK, &Failure::of(Kind::Negative, &trouble)),
            Ok(_) => findings
                .ok(CHECK, format!("{}: taken, or made, at the first start", place.path.display())),
        },
        Ok(Some(Seen { trouble: Some(trouble), .. })) => {
            findings.fail(CHECK, &Failure::of(Kind::Negative, &trouble));
        }
        Ok(Some(seen)) => findings.ok(
            CHECK,
            format!("signed by {}; {}", seen.current.public.thumbprint(), seen.place_in_words()),
        ),
    }
}
