//! Why a model was refused, and why a run failed.

/// Why a model was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("not an ONNX model: {0}")]
    Parse(String),
    #[error("the model has more than this program handles: {0}")]
    TooLarge(String),
    #[error("model input {name:?}: {reason}")]
    Input { name: String, reason: String },
    #[error("model output {name:?}: {reason}")]
    Output { name: String, reason: String },
    #[error("tensor {name:?}: {reason}")]
    Tensor { name: String, reason: String },
    #[error("tensor {tensor:?} names external data {location:?}: {reason}")]
    External { tensor: String, location: String, reason: String },
    #[error("node {node:?} needs operator {operator}, which is not available here{hint}")]
    Operator { node: String, operator: String, hint: &'static str },
    #[error("node {node:?} ({operator}): {reason}")]
    Node { node: String, operator: String, reason: String },
    #[error("the float runtime refused the model: {0}")]
    Float(String),
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("expected {expected} {what}, found {found}")]
    Count { what: &'static str, expected: usize, found: usize },
    #[error("input {index}: {reason}")]
    Input { index: usize, reason: String },
    #[error("output {index}: {reason}")]
    Output { index: usize, reason: String },
    #[error("the float runtime failed: {0}")]
    Float(String),
}
