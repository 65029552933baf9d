//! `admins`: who may change something over MQTT.
//!
//! In: a name and the public part of a key; or a file in which to make a key. Out: the list in the
//! database, each change one transaction with its record. Invariants: a private key is written into the
//! file that was named, readable by its owner alone, and nowhere else; no file is overwritten.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::keys::read_public;
use super::subjects::{existing, signature};
use crate::clock::utc;
use crate::policy::RuleName;
use crate::sign::{KeyPlace, PlaceKind};
use crate::store::{May, Store};

/// What to do with the list.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Let the holder of a key change something over MQTT
    Add {
        /// A name for the records, such as 'hub': no person's
        #[arg(value_name = "NAME", value_parser = RuleName::new)]
        name: RuleName,
        /// The public part of the key (PEM), as 'admins key' writes it
        #[arg(value_name = "FILE")]
        public: PathBuf,
        /// It may say that a second factor has come, and nothing else: for a reader of tags
        #[arg(long)]
        factor_only: bool,
    },
    /// Let it change nothing any more
    Remove {
        /// The name
        #[arg(value_name = "NAME", value_parser = RuleName::new)]
        name: RuleName,
    },
    /// Show who may
    List,
    /// Make a key for somebody who asks, and its public part beside it
    Key {
        /// Where to: FILE is the private part, FILE.pub the public one
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        match self {
            Self::Key { file } => return make(context, &file),
            Self::Add { name, public, factor_only } => {
                let config = context.config()?;
                let key = read_public(&public)?;
                let mut store = existing(&config, Store::open)?;
                let by = signature(&store, &config)?;
                let may = if factor_only { May::Factor } else { May::Everything };
                let record = store.add_administrator(&name, &key, may, by)?;
                let text = format!("'{name}' {} with key {}", in_words(may), key.thumbprint());
                let value = json!({
                    "done": "added",
                    "administrator": name,
                    "fingerprint": key.thumbprint(),
                    "may": may,
                    "record": record.seq,
                });
                context.tell(text, &value)?;
            }
            Self::Remove { name } => {
                let config = context.config()?;
                let mut store = existing(&config, Store::open)?;
                let by = signature(&store, &config)?;
                let record = store.remove_administrator(&name, by)?;
                let value =
                    json!({ "done": "removed", "administrator": name, "record": record.seq });
                context.tell(format!("'{name}' may ask for nothing any more"), &value)?;
            }
            Self::List => {
                let config = context.config()?;
                let known = existing(&config, Store::open_read_only)?.administrators()?;
                let lines: Vec<String> = known
                    .iter()
                    .map(|one| {
                        let (name, key) = (one.name.as_str(), one.key.thumbprint());
                        format!(
                            "{name:<32}  {key}  since {}  {}",
                            utc(one.since_ms),
                            in_words(one.may)
                        )
                    })
                    .collect();
                let values: Vec<Value> = known
                    .iter()
                    .map(|one| {
                        json!({
                            "administrator": one.name,
                            "fingerprint": one.key.thumbprint(),
                            "since": utc(one.since_ms),
                            "may": one.may,
                        })
                    })
                    .collect();
                let text = if lines.is_empty() {
                    "nobody may change anything over MQTT; 'deepid-edge admins add' lets somebody"
                        .to_owned()
                } else {
                    lines.join("\n")
                };
                context.tell(text, &json!({ "administrators": values }))?;
            }
        }
        Ok(Kind::Done)
    }
}

const fn in_words(may: May) -> &'static str {
    match may {
        May::Everything => "may ask for everything that can be asked",
        May::Factor => "may say that a second factor has come",
    }
}

fn make(context: &Context, file: &Path) -> Result<Kind, Failure> {
    let beside = |ending: &str| {
        let mut path = file.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    // Where the key stands until it is whole; another key may be there that was cut off.
    let (public, unfinished) = (beside(".pub"), beside(".new"));
    let taken = |path: &Path| {
        Failure::new(Kind::Input, "there is a file of this name already", "name another file")
            .at(path.display().to_string())
    };
    if let Some(there) =
        [file, &public, &unfinished].into_iter().find(|path| path.symlink_metadata().is_ok())
    {
        return Err(taken(there));
    }
    let place = KeyPlace { path: file.to_owned(), kind: PlaceKind::File };
    let key = place.make().map_err(|error| {
        let what = format!("the key could not be written: {error}");
        Failure::new(Kind::Input, what, "name a file in a folder that this user may write")
    })?;
    let written = std::fs::File::create_new(&public)
        .and_then(|mut file| file.write_all(key.public().to_pem().as_bytes()));
    written.map_err(|error| {
        Failure::new(
            Kind::Input,
            error.to_string(),
            "name a file in a folder that this user may write",
        )
        .at(public.display().to_string())
    })?;
    let fingerprint = key.public().thumbprint();
    let text = format!(
        "{}: keep it where the requests are made\n{}: name it at the door: 'deepid-edge admins add NAME {}'\nfingerprint {fingerprint}",
        file.display(),
        public.display(),
        public.display(),
    );
    let value = json!({ "private": file, "public": public, "fingerprint": fingerprint });
    context.tell(text, &value)?;
    Ok(Kind::Done)
}
