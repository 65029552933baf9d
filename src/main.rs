//! Dispatches to `deepid_edge::cli`.
fn main() {}
