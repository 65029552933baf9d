//! The path in one screen: a frame becomes an observation.
