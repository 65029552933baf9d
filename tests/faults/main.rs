//! Faults of every kind, one after the other, and what must hold of the door in each: no lost record, no
//! second grant, no grant that the rules do not allow, and a state that has a name.
//!
//! In: a fault from outside: a kill, a power cut, a storage, a broker, a camera, a network, a clock, a
//! key or a system that fails. Out: the rows of `docs/reliability.md`, which this binary makes
//! (`make reliability`) and holds to what the tests declare. Rows that other tests carry name them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

#[path = "../support/sight.rs"]
mod sight;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/visitor.rs"]
mod visitor;

mod brokers;
mod clocks;
mod damage;
mod desk;
mod document;
mod errors;
mod keys;
mod kills;
mod migration;
mod own_broker;
mod power;
mod sights;
mod storage;
