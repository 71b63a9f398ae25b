//! `POST /v2/models/MODEL/infer` of the Open Inference Protocol: tensors in, tensors out, as JSON
//! (<https://github.com/kserve/open-inference-protocol>, REST, version 2).
//!
//! The binary extension of Triton is not there, and a client that asks for it is told so.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::inference_protocol::{datatype, error};
use crate::daemon::models::active::ActiveModel;
use crate::http::Response;
use crate::pipeline::Infer;
use crate::tensor::{Data, Dtype, Tensor, TensorSpec};

/// Parameters that ask for the binary extension.
const BINARY: [&str; 3] = ["binary_data", "binary_data_output", "binary_data_size"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InferRequest {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<InferInput>,
    /// Empty for all.
    #[serde(default)]
    outputs: Vec<WantedOutput>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InferInput {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    /// Elements in order of the tensor, flat or nested.
    #[serde(default)]
    data: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedOutput {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct InferAnswer<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<InferOutput<'a>>,
}

#[derive(Debug, Serialize)]
struct InferOutput<'a> {
    name: &'a str,
    shape: &'a [usize],
    datatype: &'static str,
    data: Value,
}

/// The model and the version of `MODEL/infer` or `MODEL/versions/VERSION/infer`.
pub(super) fn target(path: &str) -> Option<(&str, Option<&str>)> {
    let parts: Vec<&str> = path.strip_prefix("/v2/models/")?.split('/').collect();
    match parts.as_slice() {
        [name, "infer"] => Some((name, None)),
        [name, "versions", version, "infer"] => Some((name, Some(version))),
        _ => None,
    }
}

/// Runs the model once on the tensors of the body. Takes as long as the model.
pub(super) fn run(model: &ActiveModel, body: &[u8]) -> Response {
    let request: InferRequest = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(why) => return error(400, &format!("this is not an inference request: {why}")),
    };
    let mut session = model.loaded.model.session();
    let inputs = match check(&request, session.inputs(), session.outputs()) {
        Ok(inputs) => inputs,
        Err(why) => return error(400, &why),
    };
    let zeros = |spec: &TensorSpec| Tensor::zeros(spec.dtype, &spec.shape);
    let mut outputs: Vec<Tensor> = Infer::outputs(&session).iter().map(zeros).collect();
    if let Err(why) = Infer::run(&mut session, &inputs, &mut outputs) {
        return error(500, &why.to_string());
    }
    let wants = |name: &str| {
        request.outputs.is_empty() || request.outputs.iter().any(|wanted| wanted.name == name)
    };
    let found = Infer::outputs(&session).iter().zip(&outputs);
    let found = found.filter(|(spec, _)| wants(&spec.name)).map(|(spec, tensor)| {
        let data = elements(&tensor.data);
        let data = data.ok_or_else(|| format!("output {:?} has NaN or infinity", spec.name))?;
        let (shape, datatype) = (tensor.shape.as_slice(), datatype(spec.dtype));
        Ok(InferOutput { name: &spec.name, shape, datatype, data })
    });
    match found.collect::<Result<Vec<_>, String>>() {
        Ok(outputs) => Response::json(
            200,
            &InferAnswer {
                model_name: model.name().as_str(),
                model_version: &model.loaded.card.version,
                id: request.id.as_deref(),
                outputs,
            },
        ),
        Err(why) => error(500, &why),
    }
}

/// The input tensors in the order of the model.
fn check(
    request: &InferRequest,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Result<Vec<Tensor>, String> {
    let of_outputs = request.outputs.iter().map(|output| &output.parameters);
    let of_inputs = request.inputs.iter().map(|input| &input.parameters);
    for parameters in of_inputs.chain(of_outputs).chain([&request.parameters]) {
        check_parameters(parameters)?;
    }
    let known = |name: &str, specs: &[TensorSpec]| specs.iter().any(|spec| spec.name == name);
    if let Some(other) = request.outputs.iter().find(|output| !known(&output.name, outputs)) {
        return Err(format!("the model has no output {:?}", other.name));
    }
    if let Some(other) = request.inputs.iter().find(|input| !known(&input.name, inputs)) {
        return Err(format!("the model has no input {:?}", other.name));
    }
    let tensor = |spec: &TensorSpec| {
        let mut given = request.inputs.iter().filter(|input| input.name == spec.name);
        match (given.next(), given.next()) {
            (Some(input), None) => tensor(input, spec),
            (None, _) => Err(format!("there is no input {:?}", spec.name)),
            (Some(_), Some(_)) => Err(format!("input {:?} is there twice", spec.name)),
        }
    };
    inputs.iter().map(tensor).collect()
}

/// `false` is what a client sends that does not want the binary extension.
fn check_parameters(parameters: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in parameters {
        let is_binary = BINARY.contains(&name.as_str());
        if is_binary && *value != Value::Bool(false) {
            return Err(format!(
                "{name}: tensors are taken and given as JSON only; set it to false"
            ));
        }
        if !is_binary {
            return Err(format!("the parameter {name:?} is not supported"));
        }
    }
    Ok(())
}

fn tensor(input: &InferInput, spec: &TensorSpec) -> Result<Tensor, String> {
    let TensorSpec { name, dtype, shape, .. } = spec;
    let wanted = datatype(*dtype);
    if input.datatype != wanted {
        let given = &input.datatype;
        return Err(format!("input {name:?} has the datatype {given:?}; the model takes {wanted}"));
    }
    if input.shape != *shape {
        let given = &input.shape;
        return Err(format!("input {name:?} has the shape {given:?}; the model takes {shape:?}"));
    }
    if input.data.is_null() {
        return Err(format!("input {name:?} has no data"));
    }
    let mut values = Vec::new();
    flatten(&input.data, &mut values);
    if values.len() != spec.len() {
        let (given, wanted) = (values.len(), spec.len());
        return Err(format!("input {name:?} has {given} elements instead of {wanted}"));
    }
    let data = data(*dtype, &values);
    let data = data.map_err(|value| format!("input {name:?}: {value} is no {wanted}"))?;
    Ok(Tensor { shape: shape.clone(), data })
}

/// Appends the elements of nested lists. `serde_json` bounds their depth.
fn flatten<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, out)),
        other => out.push(other),
    }
}

/// The elements as this type; the first that is none.
fn data<'a>(dtype: Dtype, values: &[&'a Value]) -> Result<Data, &'a Value> {
    Ok(match dtype {
        Dtype::F32 => Data::F32(each(values, |value| {
            #[expect(clippy::cast_possible_truncation, reason = "what is too large is refused")]
            let real = value.as_f64()? as f32;
            real.is_finite().then_some(real)
        })?),
        Dtype::F64 => Data::F64(each(values, Value::as_f64)?),
        Dtype::I8 => Data::I8(whole(values)?),
        Dtype::U8 => Data::U8(whole(values)?),
        Dtype::I16 => Data::I16(whole(values)?),
        Dtype::U16 => Data::U16(whole(values)?),
        Dtype::I32 => Data::I32(whole(values)?),
        Dtype::I64 => Data::I64(whole(values)?),
        Dtype::Bool => Data::Bool(each(values, Value::as_bool)?),
    })
}

fn whole<'a, T: TryFrom<i64>>(values: &[&'a Value]) -> Result<Vec<T>, &'a Value> {
    each(values, |value| T::try_from(value.as_i64()?).ok())
}

fn each<'a, T>(
    values: &[&'a Value],
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, &'a Value> {
    values.iter().map(|value| read(value).ok_or(*value)).collect()
}

/// The elements as JSON; `None` if one is not finite, which JSON cannot say.
fn elements(data: &Data) -> Option<Value> {
    let is_finite = match data {
        Data::F32(values) => values.iter().all(|value| value.is_finite()),
        Data::F64(values) => values.iter().all(|value| value.is_finite()),
        _ => true,
    };
    let values = crate::each_dtype!(data, values => serde_json::to_value(values));
    values.ok().filter(|_| is_finite)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(dtype: Dtype) -> TensorSpec {
        TensorSpec { name: "x".into(), dtype, shape: vec![2, 2], quant: None }
    }

    fn read(dtype: Dtype, input: &Value) -> Result<Data, String> {
        let input = serde_json::from_value(input.clone()).unwrap();
        let request = InferRequest {
            id: None,
            parameters: Map::new(),
            inputs: vec![input],
            outputs: Vec::new(),
        };
        let mut tensors = check(&request, &[spec(dtype)], &[])?;
        Ok(tensors.remove(0).data)
    }

    fn input(datatype: &str, data: &Value) -> Value {
        json!({"name": "x", "shape": [2, 2], "datatype": datatype, "data": data})
    }

    #[test]
    fn elements_are_flat_or_nested_and_of_the_type_that_the_model_takes() {
        let nested = input("FP32", &json!([[1, 2.5], [-3e2, 0]]));
        assert_eq!(read(Dtype::F32, &nested), Ok(Data::F32(vec![1.0, 2.5, -300.0, 0.0])));
        let flat = input("INT8", &json!([127, -128, 0, 1]));
        assert_eq!(read(Dtype::I8, &flat), Ok(Data::I8(vec![127, -128, 0, 1])));
        let logical = input("BOOL", &json!([true, false, true, true]));
        assert_eq!(read(Dtype::Bool, &logical), Ok(Data::Bool(vec![true, false, true, true])));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (dtype, datatype, data, wanted) in [
            (Dtype::F32, "FP64", json!([1, 2, 3, 4]), "takes FP32"),
            (Dtype::F32, "FP32", json!([1, 2, 3]), "3 elements instead of 4"),
            (Dtype::F32, "FP32", json!([1, 2, 3, null]), "null is no FP32"),
            (Dtype::F32, "FP32", json!(null), "no data"),
            (Dtype::F32, "FP32", json!([1, 2, 3, 1e300]), "1e+300 is no FP32"),
            (Dtype::F32, "FP32", json!([1, 2, 3, "4"]), "\"4\" is no FP32"),
            (Dtype::I8, "INT8", json!([1, 2, 3, 128]), "128 is no INT8"),
            (Dtype::I8, "INT8", json!([1, 2, 3, 1.5]), "1.5 is no INT8"),
            (Dtype::Bool, "BOOL", json!([1, 0, 1, 0]), "1 is no BOOL"),
        ] {
            let why = read(dtype, &input(datatype, &data)).unwrap_err();
            assert!(why.contains(wanted) && why.contains("\"x\""), "{why}");
        }
        let mut shaped = input("FP32", &json!([1, 2, 3, 4]));
        shaped["shape"] = json!([4]);
        assert!(read(Dtype::F32, &shaped).unwrap_err().contains("takes [2, 2]"));
        let mut binary = input("FP32", &json!([1, 2, 3, 4]));
        binary["parameters"] = json!({"binary_data_size": 16});
        assert!(read(Dtype::F32, &binary).unwrap_err().contains("JSON only"));
        let mut other = input("FP32", &json!([1, 2, 3, 4]));
        other["name"] = json!("y");
        assert!(read(Dtype::F32, &other).unwrap_err().contains("no input \"y\""));
    }

    #[test]
    fn a_path_names_the_model_and_perhaps_the_version() {
        assert_eq!(target("/v2/models/m/infer"), Some(("m", None)));
        assert_eq!(target("/v2/models/m/versions/1.0/infer"), Some(("m", Some("1.0"))));
        assert_eq!(target("/v2/models/m/ready"), None);
        assert_eq!(elements(&Data::F32(vec![f32::NAN])), None);
    }
}
