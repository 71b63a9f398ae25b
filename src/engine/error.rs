//! Errors of loading and of running a model.

/// Why a model is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {0}")]
    Parse(String),
    /// The bytes are not a TensorFlow Lite model that is read here.
    #[error("not a model of TensorFlow Lite that runs here: {0}")]
    Tflite(String),
    /// The model is beyond the limits of this program.
    #[error("the model is beyond the limits of this program: {0}")]
    TooLarge(String),
    /// An input has an unsupported type or shape.
    #[error("model input {name:?}: {reason}")]
    Input { name: String, reason: String },
    /// An output has an unsupported type or shape, or cannot be computed.
    #[error("model output {name:?}: {reason}")]
    Output { name: String, reason: String },
    /// A size is given for a dimension that no input leaves open; `known` lists those that are.
    #[error("dims names {name:?}, which no input of the model leaves open; open are: {known}")]
    Dimension { name: String, known: String },
    /// A constant is malformed.
    #[error("tensor {name:?}: {reason}")]
    Tensor { name: String, reason: String },
    /// External data of a constant cannot be read.
    #[error("tensor {tensor:?} names external data {location:?}: {reason}")]
    External { tensor: String, location: String, reason: String },
    /// An operator is not supported; `hint` is how to avoid it.
    #[error("node {node:?} needs operator {operator}, which is not supported{hint}")]
    Operator { node: String, operator: String, hint: &'static str },
    /// A node is malformed, or uses its operator in an unsupported way.
    #[error("node {node:?} ({operator}): {reason}")]
    Node { node: String, operator: String, reason: String },
    /// The float runtime refused the model.
    #[error("the float runtime refused the model: {0}")]
    Float(String),
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The number of inputs or outputs is wrong; `what` is which of them.
    #[error("expected {expected} {what}, found {found}")]
    Count { what: &'static str, expected: usize, found: usize },
    /// An input has another type or shape than the model's.
    #[error("input {index}: {reason}")]
    Input { index: usize, reason: String },
    /// An output has another type or shape than the model's.
    #[error("output {index}: {reason}")]
    Output { index: usize, reason: String },
    /// An operator does not take a number of its input.
    #[error("{0}")]
    Value(String),
    /// The float runtime failed.
    #[error("the float runtime failed: {0}")]
    Float(String),
}
