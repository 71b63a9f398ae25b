//! Includes the kernels as they are in the main crate; see `cross/README.md`.
#[path = "../../../src/engine/kernels/mod.rs"]
pub mod kernels;
