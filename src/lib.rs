//! inferd: an inference daemon for edge gateways. This file is the map of the modules and contains
//! no code.
//!
//! A message arrives by [`link`], goes through the [`pipeline`] of its stream on a worker thread,
//! and its prediction leaves by the [`outbox`] and the link. Predictions that the broker has not
//! acknowledged wait in the [`store`]. The [`daemon`] connects these parts. Imports point one way,
//! from the end of this list to its beginning:
//!
//! | module | what it contains |
//! |---|---|
//! | [`tensor`] [`ids`] [`clock`] [`message`] | the data that modules exchange |
//! | `fs` `procfs` `codec` `backoff` `failpoints` `allocator` | helpers without a domain |
//! | `log_lines` [`log_fields`] | the last lines of the log, and what a line is about |
//! | [`protobuf`] | the wire format of Protocol Buffers, and types from descriptor sets |
//! | [`config`] | the configuration file of a gateway, parsed and validated |
//! | [`npz`] | arrays in files |
//! | [`truth`] | labels that arrive later, joined with predictions; accuracy |
//! | [`engine`] | ONNX models, with quantized regions in integers |
//! | [`features`] | what the blocks of a card make of samples |
//! | [`drift`] | baselines of windows and predictions, and what finds that they have changed |
//! | [`bundle`] | models with their cards and golden vectors |
//! | [`pipeline`] | payload to prediction, per stream and device |
//! | [`outbox`] | the delivery of predictions, as a state machine without I/O |
//! | [`update`] | over-the-air updates: signed documents and the update state machine |
//! | [`monitor`] | counters, latencies, health, rate limits |
//! | [`control`] | the protocol between local commands and the daemon |
//! | [`store`] | predictions and small state on disk |
//! | [`link`] | the MQTT connection |
//! | [`capture`] | captured inputs of models on disk |
//! | [`web`] | ranges of files over HTTP(S) |
//! | [`http`] | an HTTP server for status pages |
//! | [`daemon`] | threads, queues, supervision, shutdown |
//! | `demo` | recordings through the whole system, in a terminal |
//! | [`cli`] | the commands of `inferd` |
//! | [`ctl`] | the commands of `inferctl` |
//!
//! The terms are defined in `docs/glossary.md`.

#[cfg(any(test, target_env = "musl"))]
mod allocator;
mod backoff;
pub mod bundle;
pub mod capture;
pub mod cli;
pub mod clock;
mod codec;
pub mod config;
pub mod control;
pub mod ctl;
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
pub mod drift;
pub mod engine;
mod failpoints;
pub mod features;
mod fs;
pub mod http;
pub mod ids;
pub mod link;
pub mod log_fields;
mod log_lines;
pub mod message;
pub mod monitor;
pub mod npz;
pub mod outbox;
pub mod pipeline;
mod procfs;
pub mod protobuf;
pub mod store;
pub mod tensor;
pub mod terminal;
pub mod truth;
pub mod update;
pub mod web;

/// The version of this program, as in every message that names it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
