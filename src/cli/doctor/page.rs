//! What `doctor` looks at: the door's page, where there is one.
//!
//! In: the configuration and the accounts. Out: where the page is, the fingerprint of its certificate, and
//! whether anybody may use it. Nothing is made: an own certificate comes with the first start.

use super::findings::Findings;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::config::{Config, Encryption};
use crate::serve::certificate;
use crate::store::{Role, Store};

pub(super) fn check(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    const CHECK: &str = "page";
    let Some(listen) = &config.serve.listen else { return };
    match certificate::fingerprint(config) {
        Err(error) => return findings.fail(CHECK, &Failure::of(Kind::Configuration, &error)),
        Ok(Some(fingerprint)) => {
            findings.ok(CHECK, format!("https://{listen}, certificate SHA-256 {fingerprint}"));
        }
        Ok(None) if config.serve.tls == Encryption::Off => {
            findings.ok(CHECK, format!("http://{listen}, on this machine alone"));
        }
        Ok(None) => {
            findings.ok(CHECK, format!("https://{listen}; the first start makes its certificate"));
        }
    }
    let accounts = store.and_then(|store| store.accounts().ok()).unwrap_or_default();
    if !accounts.iter().any(|account| account.role == Role::Administrator) {
        findings.warn(
            CHECK,
            "no account may administer the door by its page",
            "'deepid-edge accounts add NAME --role administrator' makes one",
        );
    }
}
