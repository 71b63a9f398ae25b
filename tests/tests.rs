//! Every integration test, linked once.
#![cfg(test)]

mod cli;
mod layers;
mod outbox;
