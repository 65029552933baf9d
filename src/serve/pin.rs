//! A PIN, typed on the screen at the door for whoever's second factor is waited for.
//!
//! In: digits from a kiosk; from the door, who is waited for. Out: what came of them, for the door, whose
//! desk records it. Invariants: a PIN is compared with those of the subject whose face is waited for and
//! with nobody else's, both of them each time, so that neither answer nor time tells the one for duress
//! from the other; it is compared where passwords are, one at a time, and few wait for that; a wrong one
//! makes the next one wait and counts for the lockout, and a visit has but a few; digits are in no log, no
//! record and no answer, and are wiped where nobody else holds them.
//! Deliberately absent: what a PIN is worth; that is for the door to judge.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::app::App;
use super::body;
use super::guard::Identity;
use super::problem::Problem;
use crate::clock::Clock as _;
use crate::compare::SubjectId;
use crate::policy::{Pin, PinResult, RuleName};

/// PINs that may wait for their turn, the one that has it among them.
pub(super) const WAITING_MAX: usize = 2;
const BODY_MAX: usize = 256;
/// What was typed that the door has not taken yet.
const TYPED_MAX: usize = 8;
/// After so many wrong PINs no further one is compared in the same visit.
const WRONG_MAX: u32 = 3;
/// When whoever had so many may ask again, in seconds: the visit may be over by then.
const WRONG_WAIT_S: u64 = 10;

/// Between the door and whoever types.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Whose second factor is waited for, and how many PINs were wrong since.
    awaited: Mutex<Option<(SubjectId, u32)>>,
    /// Whether there is something in `typed`, so that the door takes no lock where there is nothing.
    any: AtomicBool,
    typed: Mutex<Vec<Entered>>,
}

/// What came of a PIN that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// For whom.
    pub subject: SubjectId,
    /// What came of it.
    pub result: PinResult,
    /// The account of the screen on which it was typed.
    pub by: RuleName,
}

impl Waiting {
    /// Whose second factor the door waits for from now on.
    pub fn awaits(&self, subject: Option<SubjectId>) {
        *self.lock_awaited() = subject.map(|subject| (subject, 0));
    }

    /// What was typed since the last call, for whom.
    #[must_use]
    pub fn take(&self) -> Vec<Entered> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.lock_typed())
    }

    fn awaited(&self) -> Option<SubjectId> {
        self.lock_awaited().as_ref().map(|(subject, _)| subject.clone())
    }

    /// Counts a wrong PIN of `subject`, where it is waited for.
    fn note_wrong(&self, subject: &SubjectId) {
        if let Some((_, wrong)) = self.lock_awaited().as_mut().filter(|(one, _)| one == subject) {
            *wrong = wrong.saturating_add(1);
        }
    }

    /// Whether so many of the visit's PINs for `subject` were wrong that it has no further one.
    fn has_failed(&self, subject: &SubjectId) -> bool {
        let failed = |(one, wrong): &(SubjectId, u32)| one == subject && *wrong >= WRONG_MAX;
        self.lock_awaited().as_ref().is_some_and(failed)
    }

    /// Whether the door will hear of it.
    fn put(&self, entered: Entered) -> bool {
        let mut typed = self.lock_typed();
        let room = typed.len() < TYPED_MAX;
        if room {
            typed.push(entered);
        }
        drop(typed);
        self.any.store(true, Ordering::Release);
        room
    }

    fn lock_awaited(&self) -> MutexGuard<'_, Option<(SubjectId, u32)>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_typed(&self) -> MutexGuard<'_, Vec<Entered>> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was typed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    /// Four to ten digits.
    #[schema(pattern = "^[0-9]{4,10}$")]
    pin: String,
}

/// `POST /api/v1/pin`
pub(super) async fn enter(
    State(app): State<Arc<App>>,
    who: Identity,
    body: Body,
) -> Result<StatusCode, Problem> {
    let Typed { pin } = body::secret(body, BODY_MAX).await?;
    let pin =
        Pin::new(Zeroizing::new(pin)).map_err(|problem| Problem::wrong(problem.to_string()))?;
    let subject = app.feed.waiting.awaited();
    let subject = subject.ok_or_else(nobody)?;
    wait(&app, &who, &subject)?;
    let place = Arc::clone(&app.typing).try_acquire_owned();
    let place = place.map_err(|_| Problem::too_many("too many PINs are typed at once", 2))?;
    let comparing = {
        let app = Arc::clone(&app);
        // On its own: who goes away before the answer has tried all the same.
        tokio::spawn(async move {
            let _place = place;
            compare(&app, &who, subject, pin).await
        })
    };
    comparing.await.unwrap_or_else(|error| Err(Problem::inside(&error)))?;
    Ok(StatusCode::NO_CONTENT)
}

fn nobody() -> Problem {
    Problem::conflict("nobody's second factor is waited for")
}

/// Refuses where the next try for `subject` has to wait, or comes in no such visit.
fn wait(app: &App, who: &Identity, subject: &SubjectId) -> Result<(), Problem> {
    if app.feed.waiting.has_failed(subject) {
        return Err(Problem::too_many("too many wrong PINs in this visit", WRONG_WAIT_S));
    }
    let wait = app.throttle().wait_for_pin(subject, &who.shown.key(), app.clock.now());
    if wait.is_zero() {
        return Ok(());
    }
    Err(Problem::too_many("too many wrong PINs", whole_seconds(wait)))
}

/// Seconds of `wait`, of which a begun one counts.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

async fn compare(
    app: &Arc<App>,
    who: &Identity,
    subject: SubjectId,
    pin: Pin,
) -> Result<(), Problem> {
    let Ok(_turn) = app.verifying.acquire().await else {
        return Err(Problem::inside(&"the page is about to end"));
    };
    // Another one may have been wrong while this one waited.
    wait(app, who, &subject)?;
    let result = app.compare_pin(subject.clone(), pin).await?;
    let right = result != PinResult::Wrong;
    if right {
        app.throttle().pin_was_right(&subject, &who.shown.key());
    } else {
        app.feed.waiting.note_wrong(&subject);
        app.throttle().pin_was_wrong(&subject, &who.shown.key(), app.clock.now());
        tracing::warn!(%subject, "a PIN that was typed at the door was wrong");
    }
    // The visit may have ended meanwhile: then the door hears of it, and it is no second factor.
    let late = app.feed.waiting.awaited().as_ref() != Some(&subject);
    let by = who.account.name.clone();
    if !app.feed.waiting.put(Entered { subject, result, by }) {
        return Err(Problem::too_many("the door is behind", 1));
    }
    match (right, late) {
        (false, _) => Err(Problem::wrong("the PIN is wrong")),
        (true, true) => Err(nobody()),
        (true, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::super::app::tests::{app, run, somebody};
    use super::super::password;
    use super::*;
    use crate::inference::ModelKey;
    use crate::store::{Change, Enrolee, PinChange, ReferenceSource, Role};

    fn hashed(digits: &str) -> String {
        password::hash_pin(&Pin::new(digits.to_owned()).unwrap()).unwrap()
    }

    #[test]
    fn a_pin_is_of_whoever_is_waited_for_and_a_wrong_one_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let screen = somebody("hall", Role::Kiosk);
        let enrolled = |name: &str| {
            let change = Change::Enrol {
                who: Enrolee::New(name),
                references: &[],
                source: ReferenceSource::Image,
                model: &ModelKey::made_up().id,
            };
            app.acting(&screen, |store, by| store.administer(change, by)).unwrap().subject.unwrap()
        };
        let (maria, john) = (enrolled("Maria"), enrolled("John"));
        app.acting(&screen, |store, by| {
            store.change_pins(&maria, PinChange::Set(&hashed("4711")), by).unwrap();
            store.change_pins(&maria, PinChange::SetDuress(&hashed("8053")), by).unwrap();
        });
        let before = app.database().newest_record().unwrap();
        let entered = |subject: &SubjectId, result| {
            vec![Entered { subject: subject.clone(), result, by: screen.account.name.clone() }]
        };
        let enter = |text: &str| {
            let body = Body::from(format!("{{\"pin\":\"{text}\"}}"));
            let answer = enter(State(Arc::clone(&app)), screen.clone(), body);
            let answer = run(async move {
                answer.await.map_or_else(axum::response::IntoResponse::into_response, |status| {
                    axum::response::IntoResponse::into_response(status)
                })
            });
            (answer.status().as_u16(), app.feed.waiting.take())
        };
        assert_eq!(enter("4711"), (409, vec![]), "nobody is waited for");
        app.feed.waiting.awaits(Some(maria.clone()));
        assert_eq!(enter("4711"), (204, entered(&maria, PinResult::Right)));
        assert_eq!(enter("8053"), (204, entered(&maria, PinResult::Duress)));
        assert_eq!(enter("471"), (422, vec![]), "no PIN is no try");
        app.feed.waiting.awaits(Some(john.clone()));
        assert_eq!(enter("4711"), (422, entered(&john, PinResult::Wrong)), "Maria's");
        for _ in 0..2 {
            assert_eq!(enter("1234").0, 422);
        }
        assert_eq!(enter("1234"), (429, vec![]), "no further one in this visit");
        let visit_anew = |subject: &SubjectId| {
            app.feed.waiting.awaits(None);
            app.feed.waiting.awaits(Some(subject.clone()));
        };
        visit_anew(&maria);
        assert_eq!(enter("4711").0, 204, "Maria has not failed");
        for text in ["1234", "1235"] {
            visit_anew(&john);
            assert_eq!(enter(text).0, if text == "1234" { 422 } else { 429 }, "John waits");
        }
        let newest = app.database().newest_record().unwrap();
        assert_eq!(newest, before, "the desk records it, by its own connection");
    }

    #[test]
    fn a_pin_whose_visit_has_ended_is_heard_of_and_answered_as_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let screen = somebody("hall", Role::Kiosk);
        let change = Change::Enrol {
            who: Enrolee::New("Maria"),
            references: &[],
            source: ReferenceSource::Image,
            model: &ModelKey::made_up().id,
        };
        let maria = app.acting(&screen, |store, by| store.administer(change, by)).unwrap();
        let maria = maria.subject.unwrap();
        app.acting(&screen, |store, by| {
            store.change_pins(&maria, PinChange::Set(&hashed("4711")), by).unwrap();
            store.change_pins(&maria, PinChange::SetDuress(&hashed("8053")), by).unwrap();
        });
        // The visit ends while the PIN is compared.
        app.feed.waiting.awaits(None);
        for (text, result) in [("4711", PinResult::Right), ("8053", PinResult::Duress)] {
            let pin = Pin::new(text.to_owned()).unwrap();
            let answer = run(compare(&app, &screen, maria.clone(), pin));
            assert_eq!(answer.unwrap_err().into_response().status(), StatusCode::CONFLICT);
            let by = screen.account.name.clone();
            assert_eq!(app.feed.waiting.take(), [Entered { subject: maria.clone(), result, by }]);
        }
    }

    #[test]
    fn a_door_that_is_behind_hears_of_no_more_than_it_can_hold() {
        let waiting = Waiting::default();
        let subject = SubjectId::new("s-000001").unwrap();
        let by = RuleName::new("hall").unwrap();
        let wrong = Entered { subject, result: PinResult::Wrong, by };
        assert!(waiting.take().is_empty());
        for number in 0..2 * TYPED_MAX {
            assert_eq!(waiting.put(wrong.clone()), number < TYPED_MAX);
        }
        assert_eq!(waiting.take().len(), TYPED_MAX);
        assert!(waiting.take().is_empty());
    }
}
