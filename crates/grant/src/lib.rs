//! Verifies what a door of deepid-edge signs: a grant, which says who may pass, here, now and once.
//!
//! In: the bytes of one message, the time where it is known, and what the listener was told by hand:
//! the door's id and its public keys. Out: a [`Grant`], or the one [`Refusal`] that says why not.
//! The contract is `docs/wire/grant.md`; `tests/forgeries.txt` lists what must be refused, and every
//! verifier of the project is held to it.
//!
//! Always: no allocation, no panic on any input, no clock of its own; at most [`MESSAGE_BYTES_MAX`]
//! bytes are looked at; nothing is read from a message before its signature is proved, but the header.
//! Deliberately absent: the network, making nonces, keeping state over a restart, opening anything.
//!
//! # Layout
//! `json` reads one flat object, `compact` takes the three parts apart, `header` and `claims` give them
//! meaning, `key` holds a public key and its name, `window` remembers what was taken, and `verifier`
//! asks them all in the order that the contract states.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "sign")]
extern crate alloc;

mod claims;
mod compact;
mod header;
mod json;
mod key;
mod refusal;
#[cfg(feature = "sign")]
mod sign;
mod verifier;
mod window;

pub use claims::{Grant, NONCE_CHARS_MAX, NONCE_CHARS_MIN, Uuid};
pub use compact::MESSAGE_BYTES_MAX;
pub use key::{KEY_ID_CHARS, KeyError, PublicKey};
pub use refusal::Refusal;
#[cfg(feature = "sign")]
pub use sign::Signer;
pub use verifier::{
    DOOR_CHARS_MAX, KEYS_MAX, Mode, SetupError, TOLERANCE_S_MAX, UnixSeconds, Verifier,
};
pub use window::REMEMBERED_IDS;
