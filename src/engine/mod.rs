//! Bytes in, tensors out: load a model, lower its quantized parts to integers, run it.
//!
//! A front end (`onnx`, `tflite`) decodes the file to a `graph`, which is bounded (`limits`, `shapes`),
//! rewritten (`rewrite`), checked (`operators`, `attributes`) and lowered (`lower`) to a `plan`. Quantized parts run on integer kernels.
//! Float parts run on tract (`tract`), which never sees quantized ones: it folds their weights to
//! floats and rewrites softmax into a table.

mod attributes;
mod canonicalize;
mod classical;
mod error;
mod executor;
mod explain;
mod file_format;
mod front_end;
mod graph;
mod input_specs;
mod limits;
mod lower;
mod mel_weight_matrix;
mod model;
mod onnx;
mod operators;
mod options;
mod output_facts;
mod plan;
mod qoperator_to_qdq;
mod rewrite;
mod shapes;
mod tensor_view;
#[cfg(test)]
mod tests;
#[cfg(feature = "tflite")]
mod tflite;
mod tract;
mod window_attributes;

pub use error::{LoadError, RunError};
pub use explain::{FloatNode, NodeCounts};
pub use file_format::identify;
pub use model::{Model, Session};
pub use options::LoadOptions;
pub use output_facts::{Ending, Label, OutputFact};
