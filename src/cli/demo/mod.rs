//! `demo`: wip.
#![allow(dead_code)]
mod broker;
mod listener;
mod story;
