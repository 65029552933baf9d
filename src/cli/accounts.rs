//! `accounts`: who may use the door's page.
//!
//! In: the database, names, a password that is typed unseen or stands in a file. Out: the list, or what
//! was changed; every change is one transaction with its record. Invariants: a password is neither shown
//! nor logged, and kept as argon2id made it; a token is shown once, and kept as its SHA-256.
//! Deliberately absent: who is logged in, which only the running page knows. Another password, or the
//! removal of an account, ends its sessions.

use std::fmt::Write as _;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::passphrase;
use super::subjects::{existing, signature};
use crate::clock::utc;
use crate::policy::RuleName;
use crate::serve::password::{self, PasswordError};
use crate::store::{Role, Store};

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all accounts: what each may do, and how many tokens it has
    List,
    /// Make an account; asks for its password twice
    Add {
        /// Its name, such as kitchen: records carry it, and with them the broker
        #[arg(value_name = "NAME", value_parser = RuleName::new)]
        name: RuleName,
        /// What it may do: everything, read, or see what a screen at the door shows
        #[arg(long, value_enum)]
        role: RoleWord,
        #[command(flatten)]
        from: passphrase::PasswordFrom,
    },
    /// Give an account another password, which ends its sessions and leaves its tokens
    Password {
        /// Its name
        #[arg(value_name = "NAME", value_parser = RuleName::new)]
        name: RuleName,
        #[command(flatten)]
        from: passphrase::PasswordFrom,
    },
    /// Make a token by which a machine uses the page as this account, and show it once
    Token {
        /// The account
        #[arg(value_name = "NAME", value_parser = RuleName::new)]
        name: RuleName,
        /// Take all its tokens away instead
        #[arg(long)]
        remove: bool,
    },
    /// Remove an account with its tokens, which ends its sessions
    Remove {
        /// Its name
        #[arg(value_name = "NAME", value_parser = RuleName::new)]
        name: RuleName,
    },
}

/// A role as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleWord {
    /// Everything
    Administrator,
    /// Read everything but the camera's pictures
    Viewer,
    /// See what a visitor may see
    Kiosk,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Administrator => Self::Administrator,
            RoleWord::Viewer => Self::Viewer,
            RoleWord::Kiosk => Self::Kiosk,
        }
    }
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        if matches!(self, Self::List) {
            return list(context, &existing(&config, Store::open_read_only)?);
        }
        // An account may be the first thing that a new door gets.
        let mut store = Store::open(&config.store.path, config.store_settings())?;
        let (text, done) = match self {
            Self::List => return Ok(Kind::Done),
            Self::Add { name, role, from } => {
                let hash = hashed(&from.new_one(context, &name)?)?;
                let role = Role::from(role);
                store.add_account(&name, role, &hash, signature(&store, &config)?)?;
                let text = format!("account {name} made; it is {}", role.name());
                (text, json!({ "done": "added", "account": name, "role": role }))
            }
            Self::Password { name, from } => {
                let hash = hashed(&from.new_one(context, &name)?)?;
                store.set_password(&name, &hash, signature(&store, &config)?)?;
                let text = format!("account {name} has another password; its sessions end");
                (text, json!({ "done": "changed", "account": name }))
            }
            Self::Token { name, remove: true } => {
                let count = store.remove_tokens(&name, signature(&store, &config)?)?;
                let text = format!("account {name}: {count} tokens removed");
                (text, json!({ "done": "removed", "account": name, "tokens": count }))
            }
            Self::Token { name, remove: false } => {
                let token = password::token().map_err(|error| refused(&error))?;
                let hash = password::token_hash(&token);
                store.add_token(&name, &hash, signature(&store, &config)?)?;
                // Neither shape is one that the output masks: it is meant to be copied.
                super::context::write_out(&if context.json() {
                    json!({ "done": "added", "account": name, "bearer": token }).to_string()
                } else {
                    token
                })?;
                context.mention("write it down now: it is not shown again");
                return Ok(Kind::Done);
            }
            Self::Remove { name } => {
                store.remove_account(&name, signature(&store, &config)?)?;
                let text = format!("account {name} removed; its sessions end");
                (text, json!({ "done": "removed", "account": name }))
            }
        };
        context.tell(text, &done)?;
        Ok(Kind::Done)
    }
}

fn hashed(password: &str) -> Result<String, Failure> {
    password::hash(password).map_err(|error| refused(&error))
}

fn refused(error: &PasswordError) -> Failure {
    let (kind, remedy) = match error {
        PasswordError::TooShort(_) => {
            (Kind::Usage, "four or five words picked at random are easy to remember")
        }
        PasswordError::TooLong => (Kind::Usage, "choose a shorter one"),
        PasswordError::System(_) => (Kind::Fault, "try again; the system lacks memory"),
    };
    Failure::new(kind, error.to_string(), remedy)
}

fn list(context: &Context, store: &Store) -> Result<Kind, Failure> {
    let accounts = store.accounts()?;
    let mut text = if accounts.is_empty() {
        "there is no account; 'deepid-edge accounts add NAME --role administrator' makes one"
            .to_owned()
    } else {
        format!("{:<32} {:<13} {:>6}  made\n", "account", "role", "tokens")
    };
    let mut values = Vec::new();
    for account in &accounts {
        let (name, role) = (account.name.to_string(), account.role.name());
        let made = utc(account.created_ms);
        let _infallible = writeln!(text, "{name:<32} {role:<13} {:>6}  {made}", account.tokens);
        values.push(json!({ "name": name, "role": role, "tokens": account.tokens, "made": made }));
    }
    context.tell(text, &json!({ "accounts": values }))?;
    Ok(Kind::Done)
}
