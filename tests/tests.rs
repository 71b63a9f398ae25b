//! Every integration test, linked once.
#![cfg(test)]

mod cli;
mod clients;
mod common;
mod control;
mod daemon;
mod faults;
mod inferctl;
mod layers;
mod link;
mod outbox;
mod power_cut;
mod processors;
mod service;
mod store;
mod store_bound;
