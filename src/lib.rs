//! Face recognition at a door, on the board itself: camera frames in, access decisions out.
//!
//! A frame walks once through a row of rooms, each of which knows only the rooms before it, and
//! leaves as a decision. Read [`recognise`] first: it is the whole path in one screen.
//!
//! # Layout
//!
//! [`geometry`], [`mask`], [`remedy`], [`clock`] and [`frame`] are the vocabulary; [`backoff`], [`secret`]
//! and [`durable`] serve several rooms, and [`sign`] has the door's key. [`inference`] runs networks.
//! [`capture`] → [`detect`] → [`align`] → [`embed`] → [`liveness`], [`compare`] → [`decide`] are the
//! path, and [`recognise`] walks it, where configured with a second embedder that confirms; a [`door`]
//! decides by it, and by the rules of [`policy`]. [`store`] and [`publish`] keep and announce what was decided. [`config`] says how,
//! [`equip`] puts it together, [`enrol`] makes references of pictures, [`calibrate`] says what
//! one door may claim, [`serve`] is the door's page, [`daemon`] runs it all, `lab` measures over folders in builds with that feature,
//! [`cli`] is the front door.
#![warn(missing_docs)]

pub mod geometry;

pub mod mask;

pub mod remedy;

pub mod clock;

pub mod backoff;

pub mod secret;

pub mod durable;

pub mod sign;

pub mod frame;

pub mod inference;

pub mod capture;

pub mod detect;

pub mod align;

pub mod embed;

pub mod liveness;

pub mod compare;

pub mod policy;

pub mod decide;

pub mod config;

pub mod recognise;

pub mod door;

pub mod store;

pub mod publish;

pub mod equip;

pub mod enrol;

pub mod calibrate;

pub mod serve;

pub mod daemon;

#[cfg(feature = "lab")]
pub mod lab;

pub mod cli;
