//! The desk thread: a short loop around the [`Desk`], and the look at the enrolments.
//!
//! In: orders of the door, the session and the main thread. Out: what the desk hands out, to the
//! session; the newest enrolled set, to the door; how both are, in [`Shared`].
//! Enrolments made by another program, and rules changed by one, are noticed here and become a new
//! gallery with its rules.

use std::sync::mpsc::{Receiver, RecvTimeoutError};

use tokio::sync::mpsc::Sender;

use super::desk::{Desk, Task, Wanted};
use super::enrolments::{Enrolments, Looked};
use super::indexes::Indexes;
use super::neighbour::Neighbour;
use super::pulse::Thread;
use super::reload::Renewal;
use super::shared::{Shared, TURN};
use crate::clock::Clock;
use crate::decide::{DeniedReason, Verdict};
use crate::publish::Outgoing;
use crate::store::Condition;

/// What the desk thread is told.
#[derive(Debug)]
pub(super) enum Order {
    /// A task of the desk.
    Do(Task),
    /// Go on by another configuration.
    Renew(Box<Renewal>),
    /// Nothing more will come.
    Stop,
}

/// What the desk thread works with.
pub(super) struct DeskThread {
    pub desk: Desk,
    pub enrolments: Enrolments,
    pub indexes: Indexes,
    pub orders: Receiver<Order>,
    pub outgoing: Sender<Outgoing>,
}

/// Orders in, durable records out, until it is told to stop.
pub(super) fn run(shared: &Shared, mut work: DeskThread) {
    let mut outgoing = Vec::new();
    work.report(shared);
    loop {
        shared.beat(Thread::Desk);
        match work.orders.recv_timeout(TURN) {
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(order) => work.execute(shared, order, &mut outgoing),
            Err(RecvTimeoutError::Timeout) => {}
        }
        work.look(shared, &mut outgoing);
        work.send(shared, &mut outgoing);
    }
    // What was decided before the end is still made durable.
    while let Ok(order) = work.orders.try_recv() {
        work.execute(shared, order, &mut outgoing);
        work.send(shared, &mut outgoing);
    }
}

impl DeskThread {
    fn execute(&mut self, shared: &Shared, order: Order, outgoing: &mut Vec<Outgoing>) {
        match order {
            Order::Do(task) => {
                let decided = matches!(task, Task::Decided { .. });
                say_why_untrusted(shared, &task);
                let (now, wall) = (shared.clock.now(), shared.clock.wall());
                let before = outgoing.len();
                self.desk.handle(task, now, wall, outgoing);
                if decided && outgoing.len() > before {
                    shared.meter.add_decision();
                }
                self.report(shared);
            }
            Order::Renew(renewal) => {
                let Renewal { config: renewed, answer } = *renewal;
                let records_max = renewed.store.records_max;
                let (strangers, names) = (renewed.strangers_policy(), renewed.mqtt.names);
                let (neighbour, config) = Neighbour::of_or_none(&renewed);
                if self.enrolments.renew(Renewal { config, answer }, self.desk.store()) {
                    self.desk.store_mut().keep_records(records_max);
                    self.desk.watch_strangers(strangers);
                    self.desk.tell_names(names);
                    self.desk.follow(neighbour);
                    self.desk.recall_by(&renewed);
                    self.desk.go_by(&renewed);
                    self.note(Looked::Loaded, shared);
                    self.report(shared);
                }
            }
            Order::Stop => {}
        }
    }

    /// Looks, once in a while, at what other programs have done to the database.
    fn look(&mut self, shared: &Shared, outgoing: &mut Vec<Outgoing>) {
        // The door says so, too, where a decision could not even be handed over.
        let failed = shared.desk.condition().has_failed();
        let Wanted { read_again, reset_lockout, factors, passages } = self.desk.take_wanted();
        if !factors.is_empty() {
            self.enrolments.bring(factors);
        }
        if !passages.is_empty() {
            self.enrolments.pass(passages);
        }
        if read_again || self.indexes.take_grown() {
            self.enrolments.read_again();
        }
        if reset_lockout {
            self.enrolments.reset_lockout();
        }
        let looked = self.enrolments.look(self.desk.store(), failed, shared.clock.now());
        if looked == Looked::TooEarly {
            return;
        }
        self.note(looked, shared);
        self.desk.retry_start(shared.clock.wall(), outgoing);
        self.desk.look_at_keys(shared.clock.wall(), outgoing);
        if self.desk.look_at_arming(shared.clock.now(), shared.clock.wall(), outgoing) {
            self.enrolments.read_again();
        }
        self.desk.look_at_requests(shared.clock.now(), shared.clock.wall(), outgoing);
        self.desk.look_at_ended(shared.clock.now(), shared.clock.wall(), outgoing);
        self.report(shared);
        // Another program may have made records, or settled the clock.
        if let Ok(floor) = self.desk.store().clock_floor() {
            shared.clock.set_floor(floor);
        }
    }

    fn note(&mut self, looked: Looked, shared: &Shared) {
        match looked {
            Looked::TooEarly | Looked::Same => {}
            Looked::Loaded => {
                shared.desk.set_withdrawn(false);
                shared.desk.set_overrun(false);
                if self.desk.condition().has_failed() {
                    self.desk.set_condition(Condition::Usable);
                }
            }
            Looked::Withdrawn { by_store } => {
                shared.desk.set_withdrawn(true);
                if by_store {
                    self.desk.set_condition(Condition::Failed);
                }
            }
        }
    }

    /// Says how the desk is.
    fn report(&self, shared: &Shared) {
        shared.desk.set_condition(self.desk.condition());
        shared.desk.set_signing(self.desk.signing());
        shared.desk.set_records(self.desk.outbox_depth(), self.desk.unreadable_records());
    }

    /// Lets the page know what it shows of what is handed out.
    fn show(shared: &Shared, item: &Outgoing) {
        let Some(page) = &shared.page else { return };
        match item {
            Outgoing::Access { .. } | Outgoing::Recorded => page.recorded(),
            Outgoing::Armed(armed) => page.armed(armed.clone()),
            _ => {}
        }
    }

    fn send(&self, shared: &Shared, outgoing: &mut Vec<Outgoing>) {
        for item in outgoing.drain(..) {
            Self::show(shared, &item);
            if self.outgoing.try_send(item).is_err() {
                tracing::warn!("the broker session is behind; the outbox keeps what it missed");
            }
        }
    }
}

/// Tells the log what the clock lacks where a decision was denied because of it.
fn say_why_untrusted(shared: &Shared, task: &Task) {
    let Task::Decided { decision, .. } = task else { return };
    let untrusted =
        matches!(decision.verdict, Verdict::Denied { reason: DeniedReason::ClockUntrusted, .. });
    if untrusted && let (_, Some(doubt)) = shared.clock.wall_with_doubt() {
        tracing::warn!(%doubt, remedy = doubt.remedy(), "denied: the clock is not trusted");
    }
}
