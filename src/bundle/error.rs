//! Errors of bundles.

use std::io;
use std::path::PathBuf;

use super::golden_vectors::GoldenError;
use crate::config::problem::Problem;
use crate::engine::LoadError;
use crate::ids::ModelName;

/// The reason why a bundle is rejected.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{what} has more than the {max} bytes that are read")]
    TooLarge { what: String, max: u64 },
    #[error("no model {name} in {dir}: put a bundle at {dir}/{name}/ or {dir}/{name}.bundle",
        dir = dir.display())]
    NoSuchModel { name: ModelName, dir: PathBuf },
    #[error("the bundle found under the name {wanted} holds the model {found}")]
    OtherModel { wanted: ModelName, found: ModelName },
    #[error("not a bundle: {0}")]
    Archive(String),
    #[error("{name}: {why}")]
    File { name: String, why: String },
    #[error("{}", listed("problem", "in the model card", .0.iter()))]
    Card(Vec<Problem>),
    #[error("the model {file} cannot run: {source}")]
    Model { file: String, source: LoadError },
    #[error("{}", listed("point", &format!("where model {name} does not fit its \
                                            card"), .mismatches.iter()))]
    Mismatch { name: ModelName, mismatches: Vec<String> },
    #[error("model {name} is refused by its golden vectors: {source}")]
    Golden { name: ModelName, source: GoldenError },
    #[error("model {name} is refused by its golden samples ({file}): {why}")]
    Samples { name: ModelName, file: String, why: String },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<BundleError>),
}

impl BundleError {
    /// Whether reading failed, not the content.
    #[must_use]
    pub fn is_io(&self) -> bool {
        match self {
            Self::Read { .. } => true,
            Self::Several(errors) => errors.iter().all(Self::is_io),
            _ => false,
        }
    }

    /// Combines errors into one; `Ok` if there are none.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

impl From<Vec<Problem>> for BundleError {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Card(problems)
    }
}

fn listed<T: std::fmt::Display>(
    what: &str,
    place: &str,
    items: impl ExactSizeIterator<Item = T>,
) -> String {
    let s = if items.len() == 1 { "" } else { "s" };
    let head = format!("{} {what}{s} {place}", items.len());
    items.fold(head, |text, item| format!("{text}\n  {item}"))
}
