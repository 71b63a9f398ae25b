//! Every integration test, linked once.
#![cfg(test)]

mod architecture;
mod check_connect;
mod cli;
mod clients;
mod common;
mod control;
mod daemon;
mod faults;
mod fleet;
mod health;
mod inferctl;
mod link;
mod operator;
mod outbox;
mod power_cut;
mod probe;
mod processors;
mod retained;
mod samples;
mod service;
mod store;
mod store_bound;
mod stored;
mod updates;
mod web;
mod windows;
