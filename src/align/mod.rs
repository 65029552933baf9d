//! A detection becomes an upright crop of fixed size.
