//! The choice of the front end, by the bytes of a file.

use super::error::LoadError;
use super::graph::{Graph, OperatorSets};
use super::onnx;
#[cfg(feature = "tflite")]
use super::tflite;
use std::path::Path;

/// Whether the file has the mark of TensorFlow Lite after its first offset.
pub(super) fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"TFL3")
}

/// Decodes a model of any front end.
///
/// # Errors
/// Bytes that are not a model, or of a front end that this program was built without.
pub(super) fn decode(
    bytes: &[u8],
    folder: Option<&Path>,
) -> Result<(OperatorSets, Graph), LoadError> {
    if !is_tflite(bytes) {
        return onnx::decode(bytes, folder);
    }
    #[cfg(feature = "tflite")]
    return tflite::decode(bytes);
    #[cfg(not(feature = "tflite"))]
    Err(LoadError::Tflite(
        "this program was built without the feature `tflite`: take one with it, or convert the \
         model with `python -m tf2onnx.convert --tflite model.tflite --output model.onnx`"
            .into(),
    ))
}
