//! Every integration test, linked once.
#![cfg(test)]

mod cli;
mod common;
mod layers;
mod link;
mod outbox;
