//! Models over the air: signed documents, what they allow, and nothing else.
//!
//! ```text
//!  keyset 1 ──(provisioned)──▶ Trust ──advance──▶ Trust …          who may speak
//!  deployment bytes ──Trust::deployment──▶ Verified<Deployment>     what should run where
//!  manifest bytes ──Trust::manifest──▶ Verified<Manifest>           what it consists of
//!  files + Verified<Manifest> ──▶ Installable                       the only thing a store installs
//! ```
//!
//! Pure: no file, no socket, no clock. A file on a USB stick and chunks from a broker go the same
//! way.

mod assemble;
pub mod chunking;
pub mod delta;
mod deployment;
pub mod device;
mod envelope;
mod install;
mod keys;
mod keyset;
pub mod manifest;
mod packed;
mod report;
#[cfg(test)]
mod tests;
mod trust;
mod window;

pub use assemble::{AssembleError, Origin, Recipe, assemble};
pub use deployment::{Deployment, Source, Target, Trial, drawn, place};
pub use envelope::{Document, Envelope};
pub use install::{Installable, Mismatch, is_chunk};
pub use keys::{PublicKey, SecretKey};
pub use keyset::{Keyset, Role};
pub use manifest::Manifest;
pub use packed::{MANIFEST, PackError, Packed, Release};
pub use report::{CandidateReport, ModelReport, ModelState, ShadowReport, VersionReport};
pub use trust::{Trust, Verified, VerifyError};
pub use window::{TimeOfDay, Window, until_open};
