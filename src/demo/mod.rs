//! The demonstration: a broker of our own and real recordings replayed over real MQTT.

mod broker;

pub use broker::{EmbeddedBroker, StartError};
