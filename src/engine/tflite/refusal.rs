//! Why an operator is not converted, and how to do without it.

/// Why an operator is not converted.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The operator is not supported at all.
    Unsupported,
    Because(String),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::Because(reason.to_owned())
    }
}

/// How to do without an operator.
pub(super) fn hint(kind: &str) -> &'static str {
    if kind.contains("DetectionPostprocess") || kind.contains("Detection_PostProcess") {
        ": convert the model without its post-processing, and take boxes and scores as outputs"
    } else if kind.starts_with("CUSTOM Flex") {
        ": it is one of TensorFlow itself; convert without SELECT_TF_OPS"
    } else if matches!(kind, "VAR_HANDLE" | "READ_VARIABLE" | "ASSIGN_VARIABLE" | "CALL_ONCE") {
        ": the model keeps state between runs; convert the one for whole windows"
    } else if matches!(kind, "WHILE" | "IF") {
        ": unroll the loop (Keras: unroll=True), or convert to ONNX with tf2onnx"
    } else {
        ": convert the model to ONNX with `python -m tf2onnx.convert --tflite model.tflite \
         --output model.onnx`, or replace the layer"
    }
}
