//! Bytes in, tensors out: load an ONNX model, lower its quantized parts to integers, run it.
//!
//! The only room that names tract. Float parts run on tract as it is; quantized parts never reach
//! it, because tract folds their weights to floats and rewrites softmax into a table.

pub mod kernels;

use crate::tensor::{Tensor, TensorSpec};

/// A loaded model: immutable, shared between streams.
#[derive(Debug)]
pub struct Model {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

/// What the caller fixes at load.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Values for symbolic dimensions by name; any other becomes 1.
    pub dims: std::collections::BTreeMap<String, usize>,
    /// Where external tensor data may be read from: files directly inside or below it, nothing else.
    pub folder: Option<std::path::PathBuf>,
}

/// Why a model was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("not an ONNX model: {0}")]
    Parse(String),
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("input {index}: {reason}")]
    Input { index: usize, reason: String },
}

/// How many graph nodes run in integers and how many in float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct NodeCounts {
    pub integer: usize,
    pub float: usize,
}

impl Model {
    /// Loads an ONNX model from its protobuf bytes.
    ///
    /// # Errors
    /// Whatever keeps the model from running: malformed bytes, an operator that nothing here runs
    /// (named with its node), external data outside `options.folder`.
    pub fn load(_bytes: &[u8], _options: &LoadOptions) -> Result<Self, LoadError> {
        Err(LoadError::Parse("not built yet".into()))
    }

    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    #[must_use]
    pub fn nodes(&self) -> NodeCounts {
        NodeCounts::default()
    }

    /// The buffers one caller needs to run the model; one per stream.
    #[must_use]
    pub fn session(self: &std::sync::Arc<Self>) -> Session {
        Session { model: self.clone() }
    }
}

/// One caller's buffers over a shared [`Model`].
#[derive(Debug)]
pub struct Session {
    model: std::sync::Arc<Model>,
}

impl Session {
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Runs once. `inputs` follow [`Model::inputs`]; `outputs` are filled in the order of
    /// [`Model::outputs`] and must have been made for them ([`Tensor::zeros`]).
    ///
    /// # Errors
    /// An input of another type or shape than the model's, or a failure inside the float runtime.
    pub fn run(&mut self, _inputs: &[Tensor], _outputs: &mut [Tensor]) -> Result<(), RunError> {
        Ok(())
    }
}
