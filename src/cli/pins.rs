//! `pins`: what people type at the door beside showing their face.
//!
//! In: the database, a subject, a PIN that is typed unseen or stands in a file. Out: the list, or what was
//! changed; every change is one transaction with its record. Invariants: a PIN is in no argument, log or
//! record, and is kept as argon2id made it, sealed for its subject; the one for duress is another one.
//! Deliberately absent: who needs a PIN; that is what a group demands (`groups demand --factor`).

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::passphrase::PinFrom;
use super::subjects::{Who, existing, signature};
use crate::clock::utc;
use crate::serve::password::{self, Verifier};
use crate::store::{PinChange, Pins, Store};

/// What to do with PINs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List who has a PIN, and whether one for duress beside it
    List,
    /// Give a subject a PIN, or another one; asks for it twice
    Set {
        #[command(flatten)]
        who: Who,
        /// The second PIN, by which the subject says that it is under duress
        #[arg(long)]
        duress: bool,
        #[command(flatten)]
        from: PinFrom,
    },
    /// Take a subject's PINs away
    Remove {
        #[command(flatten)]
        who: Who,
        /// Only the one for duress
        #[arg(long)]
        duress: bool,
    },
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        if matches!(self, Self::List) {
            return list(context, &existing(&config, Store::open_read_only)?);
        }
        let mut store = existing(&config, Store::open)?;
        let (subject, done, duress) = match self {
            Self::List => return Ok(Kind::Done),
            Self::Set { who, duress, from } => {
                let subject = store.subject(who.asked())?;
                let pin = from.new_one(context, &subject.name)?;
                let other = store.pins(&subject.id)?.and_then(|held| other_of(held, duress));
                if Verifier::default().verify(pin.digits(), other.as_ref().map(|phc| phc.as_str()))
                {
                    return Err(Failure::new(
                        Kind::Usage,
                        "it is the subject's other PIN already; nothing was changed",
                        "the PIN for duress must be another one, and not alike",
                    ));
                }
                let hash = password::hash_pin(&pin).map_err(|error| {
                    Failure::new(
                        Kind::Fault,
                        error.to_string(),
                        "try again; the system lacks memory",
                    )
                })?;
                let change =
                    if duress { PinChange::SetDuress(&hash) } else { PinChange::Set(&hash) };
                store.change_pins(&subject.id, change, signature(&store, &config)?)?;
                (subject, "set", duress)
            }
            Self::Remove { who, duress } => {
                let subject = store.subject(who.asked())?;
                let change = if duress { PinChange::RemoveDuress } else { PinChange::Remove };
                store.change_pins(&subject.id, change, signature(&store, &config)?)?;
                (subject, "removed", duress)
            }
        };
        let what = match (done, duress) {
            (_, true) => "PIN for duress",
            ("removed", false) => "every PIN",
            _ => "PIN",
        };
        context.tell(
            format!("{} ({}): {what} {done}", subject.id, subject.name),
            &json!({ "done": done, "subject": subject.id, "duress": duress }),
        )?;
        Ok(Kind::Done)
    }
}

/// The PIN from which a new one must differ.
fn other_of(held: Pins, duress: bool) -> Option<zeroize::Zeroizing<String>> {
    if duress { Some(held.pin) } else { held.duress }
}

fn list(context: &Context, store: &Store) -> Result<Kind, Failure> {
    let holders = store.pin_holders()?;
    let mut text = if holders.is_empty() {
        "nobody has a PIN; 'deepid-edge pins set SUBJECT' sets one".to_owned()
    } else {
        format!("{:<18} {:<7} {:<24} name\n", "subject", "duress", "set")
    };
    let mut values = Vec::new();
    for holder in &holders {
        let name = store.subject(holder.subject.as_str())?.name;
        let duress = store.pins(&holder.subject)?.is_some_and(|pins| pins.duress.is_some());
        let (id, set) = (holder.subject.to_string(), utc(holder.set_ms));
        let shown = if duress { "yes" } else { "no" };
        let _infallible = writeln!(text, "{id:<18} {shown:<7} {set:<24} {name}");
        values.push(json!({ "subject": id, "name": name, "duress": duress, "set": set }));
    }
    context.tell(text, &json!({ "pins": values }))?;
    Ok(Kind::Done)
}
