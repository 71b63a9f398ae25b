//! Includes the kernels as they are in the main crate, under the same path.
#[path = "../../../src/engine"]
pub mod engine {
    pub mod kernels;
}
