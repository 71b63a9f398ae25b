//! The Open Inference Protocol: server and model metadata, liveness and readiness
//! (<https://github.com/kserve/open-inference-protocol>, REST, version 2).

use serde::Serialize;
use serde_json::json;

use crate::VERSION;
use crate::daemon::models::active::ActiveModel;
use crate::http::Response;
use crate::tensor::{Dtype, TensorSpec};

/// Metadata of one input or output.
#[derive(Serialize)]
struct TensorMetadata<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [usize],
}

/// Metadata of the server.
pub(super) fn server() -> Response {
    Response::json(200, &json!({ "name": "inferd", "version": VERSION, "extensions": [] }))
}

/// Answers `MODEL`, `MODEL/ready`, `MODEL/versions/VERSION` and `MODEL/versions/VERSION/ready`.
pub(super) fn model(path: &str, models: &[ActiveModel]) -> Response {
    let parts: Vec<&str> = path.split('/').collect();
    let (name, version, ready) = match parts.as_slice() {
        [name] => (*name, None, false),
        [name, "ready"] => (*name, None, true),
        [name, "versions", version] => (*name, Some(*version), false),
        [name, "versions", version, "ready"] => (*name, Some(*version), true),
        _ => return error(404, "there is no such path"),
    };
    let active = models.iter().find(|model| model.name().as_str() == name);
    let has_version =
        |model: &&ActiveModel| version.is_none_or(|version| version == model.loaded.card.version);
    match active.filter(has_version) {
        Some(model) if ready => {
            Response::json(200, &json!({ "name": model.name(), "ready": true }))
        }
        Some(model) => metadata(model),
        None if active.is_some() => error(404, "another version of this model is active"),
        None => error(404, "no stream uses a model of this name"),
    }
}

fn metadata(model: &ActiveModel) -> Response {
    let tensors = |specs: &[TensorSpec]| -> serde_json::Value {
        let of = |spec: &TensorSpec| {
            let TensorSpec { name, dtype, shape, .. } = spec;
            serde_json::to_value(TensorMetadata { name, datatype: datatype(*dtype), shape })
        };
        specs.iter().filter_map(|spec| of(spec).ok()).collect()
    };
    let loaded = &model.loaded;
    let value = json!({
        "name": model.name(),
        "versions": [loaded.card.version],
        "platform": "onnx",
        "inputs": tensors(loaded.model.inputs()),
        "outputs": tensors(loaded.model.outputs()),
    });
    Response::json(200, &value)
}

/// An error in the protocol's form.
pub(super) fn error(status: u16, why: &str) -> Response {
    Response::json(status, &json!({ "error": why }))
}

/// The protocol's name of an element type.
pub(super) fn datatype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "FP32",
        Dtype::F64 => "FP64",
        Dtype::I8 => "INT8",
        Dtype::U8 => "UINT8",
        Dtype::I16 => "INT16",
        Dtype::U16 => "UINT16",
        Dtype::I32 => "INT32",
        Dtype::I64 => "INT64",
        Dtype::Bool => "BOOL",
    }
}
