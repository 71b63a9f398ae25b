//! inferd: an inference daemon for edge gateways. This file is the map of the house and holds no code.
pub mod bundle;
pub mod clock;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod engine;
pub mod ids;
pub mod link;
pub mod message;
pub mod monitor;
pub mod npz;
pub mod outbox;
pub mod pipeline;
pub mod store;
pub mod tensor;
