//! What `doctor` looks at: whether a second factor that is demanded can come at all.
//!
//! In: the configuration, the rules, whether everybody needs one, accounts, administrators' keys and PINs. Out:
//! a warning where somebody needs a second factor and nothing can bring it, so that nobody of them is ever let
//! in. Nothing is changed.

use super::findings::Findings;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::policy::RuleBook;
use crate::store::{Error, Role, Store, Subject};

const CHECK: &str = "second factor";

/// People who are named; the others are counted.
const NAMED_MAX: usize = 8;

/// `everybody` says that everybody needs a second factor, whatever their group.
pub(super) fn check(
    findings: &mut Findings,
    config: &Config,
    store: Option<&Store>,
    everybody: bool,
) {
    let Some(store) = store else { return };
    if let Err(error) = look(findings, config, store, everybody) {
        findings.fail(CHECK, &Failure::from(error));
    }
}

fn look(
    findings: &mut Findings,
    config: &Config,
    store: &Store,
    everybody: bool,
) -> Result<(), Error> {
    let (book, subjects) = (store.rule_book()?, store.subjects()?);
    let holders = store.pin_holders()?;
    let needing: Vec<&Subject> =
        subjects.iter().filter(|subject| everybody || needs_factor(&book, subject)).collect();
    // What can bring one: a key that may say so over MQTT, a screen on which somebody can type.
    let keys = !store.administrators()?.is_empty();
    let keypad = config.serve.listen.is_some()
        && store.accounts()?.iter().any(|account| account.role == Role::Kiosk);
    let has_pin = |subject: &Subject| holders.iter().any(|holder| holder.subject == subject.id);
    if !holders.is_empty() && !keypad {
        findings.warn(
            CHECK,
            format!("{} people have a PIN, and there is no screen to type it on", holders.len()),
            "set serve.listen, make an account with 'deepid-edge accounts add NAME --role kiosk', and open /kiosk on a screen at the door",
        );
    }
    if needing.is_empty() {
        return Ok(());
    }
    let stranded: Vec<String> = needing
        .iter()
        .filter(|subject| !(keys || keypad && has_pin(subject)))
        .map(|subject| subject.id.to_string())
        .collect();
    if stranded.is_empty() {
        let by = if keypad { "a PIN or a signed request" } else { "a signed request" };
        findings.ok(CHECK, format!("needed by {} people; {by} brings it", needing.len()));
    } else {
        findings.warn(
            CHECK,
            format!("nothing can bring the second factor that they need: {}", listed(&stranded)),
            "'deepid-edge pins set' beside a screen at the door (/kiosk), or a key of a reader: 'deepid-edge admins add NAME FILE --factor-only'",
        );
    }
    Ok(())
}

/// The first of `ids`, and how many there are besides.
fn listed(ids: &[String]) -> String {
    let shown = ids.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(" ");
    match ids.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether the group of `subject` needs a second factor.
fn needs_factor(book: &RuleBook, subject: &Subject) -> bool {
    let group = book.subjects.get(&subject.id).and_then(|terms| terms.group.as_ref());
    group.and_then(|group| book.demands.get(group)).is_some_and(|demand| demand.factor)
}
