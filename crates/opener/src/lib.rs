//! Opens a door for the signed grants of deepid-edge, on a board inside the wall.
//!
//! In: messages of the broker, a door contact, an exit button. Out: pulses of one line (a relay, or a
//! command), the opener's state on the broker, lines in the journal.
//! Always: without a grant that `deepid-grant` takes, or the button, the line is locked; at the start,
//! at the end, without a broker and after a panic it is locked; no grant opens twice.
//! Deliberately absent: any judgement of faces, keys over the network, and opening by `access`.
//!
//! # Layout
//! [`opener`] decides, purely: events and the time in, effects out, with [`settled`] for inputs that
//! bounce. Around it: [`config`], [`output`] (whose thread ends every pulse by itself) with [`gpio`] and
//! [`command`], [`broker`], [`kept`], [`state`], [`time`]; [`service`] joins them, [`cli`] starts it.
//! `docs/opener.md` says how to wire it.

pub mod broker;
pub mod cli;
pub mod command;
pub mod config;
pub mod gpio;
pub mod kept;
pub mod opener;
pub mod output;
pub mod service;
pub mod settled;
pub mod state;
pub mod time;
