//! inferd: an inference daemon for edge gateways. This file is the map of the modules and holds no
//! code.
//!
//! A sample comes in by [`link`], goes through its stream's [`pipeline`] on a worker's thread, and
//! leaves by the [`outbox`] and the link; what the broker has not acknowledged waits in the
//! [`store`]. The [`daemon`] wires them. Imports point one way, from the end of this list to its
//! beginning:
//!
//! | room | what it does |
//! |---|---|
//! | [`tensor`] [`ids`] [`clock`] [`message`] | what crosses between the rooms |
//! | [`config`] | the gateway's file, typed and bounded |
//! | [`npz`] | arrays in files |
//! | [`engine`] | ONNX in, tensors out; quantized regions in integers |
//! | [`bundle`] | what a model promises, and how that is proved |
//! | [`pipeline`] | payload to prediction, per stream and device |
//! | [`outbox`] | results the broker has not acknowledged, as a pure machine |
//! | [`update`] | models over the air: signed documents, what may be installed |
//! | [`monitor`] | counters, latencies, rate limits |
//! | [`control`] | what local commands and the daemon say to each other |
//! | [`store`] | results and small state on disk |
//! | [`link`] | the MQTT connection |
//! | [`web`] | ranges of files over HTTP(S) |
//! | [`daemon`] | threads, queues, supervision, stopping |
//! | [`ctl`] | the verbs of `inferctl` |
//! | `demo` | real recordings through the whole of it |
//!
//! Words: a *stream* is one configured sensor input; its *key* the device, taken from the topic. A
//! *sample* is one decoded reading; a *prediction* what a model said; a *reject* a counted bad
//! input. The *backlog* is the part of the outbox on disk. A *bundle* is a model with its *card*
//! and golden vectors. A *worker* is an inference thread, a *lane* a stream on it.

#[cfg(any(test, target_env = "musl"))]
mod allocator;
mod backoff;
pub mod bundle;
pub mod cli;
pub mod clock;
mod codec;
pub mod config;
pub mod control;
pub mod ctl;
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
pub mod engine;
mod failpoints;
mod fs;
pub mod ids;
pub mod link;
pub mod message;
pub mod monitor;
pub mod npz;
pub mod outbox;
pub mod pipeline;
mod procfs;
pub mod store;
pub mod tensor;
pub mod update;
pub mod web;

/// The version of this program, as in every message that names it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
