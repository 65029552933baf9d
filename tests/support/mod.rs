//! What several black-box tests need; each test file uses a part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and uses a part of this")]

pub mod answer;
pub mod certificates;
pub mod daemon;
pub mod door;
pub mod models;
pub mod mosquitto;
pub mod path;
pub mod scene;
pub mod subscriber;
