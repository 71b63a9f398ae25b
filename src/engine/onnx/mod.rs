//! The ONNX front end: files to graphs, and graphs to the protobuf messages that tract reads.

mod decode;
mod encode;
mod external_data;
#[cfg(test)]
mod tests;
mod truncation;

#[cfg(test)]
pub(super) use decode::{decode_graph, decode_tensor};
pub(super) use encode::encode;
#[cfg(test)]
pub(super) use encode::encode_tensor;

use super::error::LoadError;
use super::file_format;
use super::graph::{Graph, OperatorSets};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::{GraphProto, ModelProto};

/// Decodes a model and checks that its graph is not empty. External data is read from files in or
/// below `folder`.
///
/// # Errors
/// Bytes that are not an ONNX model, external data that cannot be read, a malformed constant.
pub(super) fn decode(
    bytes: &[u8],
    folder: Option<&Path>,
) -> Result<(OperatorSets, Graph), LoadError> {
    let (model, mut graph) = decode_protobuf(bytes)?;
    external_data::inline(&mut graph, folder)?;
    let sets = model.opset_import.into_iter().map(|set| (set.domain, set.version));
    Ok((OperatorSets(sets.collect()), decode::decode_graph(graph)?))
}

/// The model with its external data in the place of the references, and the number of bytes that
/// were read. None for a model without external data.
///
/// # Errors
/// Bytes that are not an ONNX model, external data that cannot be read or is too large.
pub(super) fn embed_external_data(
    bytes: &[u8],
    folder: &Path,
) -> Result<Option<(Vec<u8>, u64)>, LoadError> {
    // The key of every reference, which spares other models the decoding.
    const KEY: &[u8] = b"location";
    if !bytes.windows(KEY.len()).any(|part| part == KEY) {
        return Ok(None);
    }
    let (mut model, mut graph) = decode_protobuf(bytes)?;
    let read = external_data::inline(&mut graph, Some(folder))?;
    model.graph = Some(graph);
    Ok((read > 0).then(|| (model.encode_to_vec(), read)))
}

fn decode_protobuf(bytes: &[u8]) -> Result<(ModelProto, GraphProto), LoadError> {
    let mut model = ModelProto::decode(bytes).map_err(|error| {
        log::debug!("cannot decode the model: {error}");
        undecodable(bytes, "its bytes are damaged or of an unknown format")
    })?;
    let Some(graph) = model.graph.take() else {
        return Err(undecodable(bytes, "there is no graph in it; is it cut off?"));
    };
    if graph.node.is_empty() || graph.output.is_empty() {
        return Err(undecodable(bytes, "its graph has no nodes or no outputs"));
    }
    if model.opset_import.is_empty() {
        return Err(undecodable(bytes, "it names no operator set; is it cut off?"));
    }
    Ok((model, graph))
}

/// The error for bytes that are not a model: their format, how many are missing, or `otherwise`.
fn undecodable(bytes: &[u8], otherwise: &str) -> LoadError {
    let format = file_format::identify(bytes).map(|what| format!("it is {what}"));
    let truncated = || {
        let missing = truncation::missing_bytes(bytes)?;
        Some(format!(
            "it is cut off, at least {missing} bytes are missing at its end: copy or download it \
             again"
        ))
    };
    LoadError::Parse(format.or_else(truncated).unwrap_or_else(|| otherwise.to_owned()))
}
