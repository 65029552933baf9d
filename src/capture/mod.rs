//! Camera or recording in, frames out.
