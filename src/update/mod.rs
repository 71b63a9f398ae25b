//! Over-the-air updates of models: signed documents, their verification, and the update machine.
//!
//! ```text
//!  keyset 1 ──(provisioned)──▶ Trust ──advance──▶ Trust …          trusted keys
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
mod envelope;
mod error;
mod installable;
mod keys;
mod keyset;
pub mod machine;
mod maintenance_window;
pub mod manifest;
mod release;
mod report;
mod slots;
#[cfg(test)]
mod tests;
mod trust;

pub use assemble::{AssembleError, FileSource, Recipe, assemble};
pub use deployment::{Deployment, Source, Target, Trial, is_selected, rollout_bucket};
pub use envelope::{Document, Envelope};
pub use error::VerifyError;
pub use installable::{Installable, Mismatch, is_chunk};
pub use keys::{PublicKey, SecretKey};
pub use keyset::{Keyset, Role};
pub use maintenance_window::{MaintenanceWindow, TimeOfDay, until_open};
pub use manifest::Manifest;
pub use release::{MANIFEST, PackError, PackedRelease, ReleaseInfo};
pub use report::{CandidateReport, ModelReport, ModelState, ShadowReport, VersionReport};
pub use slots::{StagedVersion, VersionSlot, VersionSlots};
pub use trust::{Trust, Verified};
