//! Options of loading a model.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of [`Model::load`](super::Model::load).
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Sizes of symbolic dimensions by name. A dimension that is not listed has size 1.
    pub dims: BTreeMap<String, usize>,
    /// The folder of the model. External tensor data is read only from files in or below it.
    pub folder: Option<PathBuf>,
}
