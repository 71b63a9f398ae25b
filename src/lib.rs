//! inferd: an inference daemon for edge gateways. This file is the map of the house and holds no code.
pub mod engine;
pub mod tensor;
