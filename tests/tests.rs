//! Every integration test, linked once.
#![cfg(test)]

mod architecture;
mod capture;
mod capture_pull;
mod check_connect;
mod cli;
mod clients;
mod common;
mod control;
mod cross_arch;
mod daemon;
mod drift;
mod faults;
mod features;
mod fleet;
mod health;
mod http;
mod inferctl;
mod inputs;
mod labels;
mod link;
mod outbox;
mod power_cut;
mod probe;
mod retained;
mod samples;
mod service;
mod states;
mod store;
mod store_size_limit;
mod stored;
mod tflite;
mod topics;
mod updates;
mod web;
mod windows;
