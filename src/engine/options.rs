//! Options of loading a model.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of [`Model::load`](super::Model::load).
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Sizes of dimensions that the model leaves open, by their names, or for dimensions without a
    /// name by input and position from 0, as `x[2]`. A dimension that is not listed has size 1. A
    /// name that no input has is an error.
    pub dims: BTreeMap<String, usize>,
    /// Inputs that always have the same values, by name: one value for all elements, or one for
    /// each. They are not inputs of the loaded model.
    pub constants: BTreeMap<String, Vec<f64>>,
    /// The folder of the model. External tensor data is read only from files in or below it.
    pub folder: Option<PathBuf>,
}
