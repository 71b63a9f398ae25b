//! The float runtime's errors in words that the owner of a model can act on.
//!
//! Its own texts speak of its insides. They are kept for the log at debug level; a user is told the
//! node and operator of the model, what is missing, and which export avoids it.

use super::error::{LoadError, RunError};
use super::proto::{label, operator, subgraphs};
use super::spec;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto};

/// What a text begins with that is ours, and goes to the user as it is.
pub(super) const OWN: &str = "inferd: ";

/// How it says that memory is out.
const NO_MEMORY: &[&str] = &["memory allocation", "out of memory", "failed to allocate"];

/// Why the float runtime refused `graph`, of which it says `text`.
pub(super) fn load_error(graph: &GraphProto, text: &str) -> LoadError {
    log::debug!("the float runtime refused a graph: {}", text.escape_debug());
    if let Some((_, own)) = text.split_once(OWN) {
        return LoadError::Float(own.to_owned());
    }
    let half = half_precision(graph).or_else(|| text.contains("F16").then_some("FLOAT16"));
    let half = half.map(|name| format!("; {}", spec::unsupported(name))).unwrap_or_default();
    match node_of(graph, text) {
        Some(node) => {
            let advice = advice(node);
            LoadError::Node {
                node: original(node),
                operator: operator(node),
                reason: format!("{}{advice}{half}", reason(text)),
            }
        }
        None => LoadError::Float(reason(text) + &half),
    }
}

/// The element type of half precision in `graph` or the graphs inside it. The float runtime mixes
/// these with float32 in few ways only, and its errors do not name the type.
fn half_precision(graph: &GraphProto) -> Option<&'static str> {
    let is_half = |elem_type: i64| match i32::try_from(elem_type).map(DataType::try_from) {
        Ok(Ok(kind @ (DataType::Float16 | DataType::Bfloat16))) => Some(kind.as_str_name()),
        _ => None,
    };
    let constants = graph.initializer.iter().map(|tensor| tensor.data_type);
    let attributes = graph.node.iter().flat_map(|node| {
        let casts = node.op_type == "Cast";
        node.attribute.iter().filter_map(move |attribute| match &attribute.t {
            Some(tensor) => Some(i64::from(tensor.data_type)),
            None => (casts && attribute.name == "to").then_some(attribute.i),
        })
    });
    let inner = || graph.node.iter().flat_map(subgraphs).find_map(half_precision);
    constants.map(i64::from).chain(attributes).find_map(is_half).or_else(inner)
}

/// Why a run failed, of which the float runtime says `text`.
pub(super) fn run_error(text: &str) -> RunError {
    log::debug!("the float runtime failed: {}", text.escape_debug());
    let reason = run_reason(text);
    match quoted(text).last() {
        // What the name begins with is the model's own.
        Some(name) => {
            let name = name.split('#').next().unwrap_or(name);
            RunError::Float(format!("node {name:?}: {reason}"))
        }
        None => RunError::Float(reason.to_owned()),
    }
}

fn run_reason(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if has(NO_MEMORY) {
        "there is not enough memory for it: memory allocation failed"
    } else if has(&["out of bounds", "out of range", "index", "indices"]) {
        "an index that goes in is outside the tensor it is for"
    } else {
        "it cannot work on the values that go in"
    }
}

/// The node that the runtime names last: the innermost, and of its own names for parts of a node
/// those that begin with the node's.
fn node_of<'a>(graph: &'a GraphProto, text: &str) -> Option<&'a NodeProto> {
    let building = text.strip_prefix("Building node ").and_then(|rest| rest.split_once(" ("));
    let Some((name, rest)) = building else {
        let names: Vec<&str> = quoted(text).collect();
        return names.iter().rev().find_map(|name| find(graph, name));
    };
    let op = rest.split(')').next().unwrap_or_default();
    let unnamed = || graph.node.iter().find(|n| n.name.is_empty() && n.op_type == op);
    if name.is_empty() { unnamed() } else { find(graph, name) }
}

/// Names in quotes after the word `node`, and those that an evaluation has.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('"').step_by(2).filter_map(|(start, _)| {
        let rest = text.get(start + 1..)?;
        rest.split_once('"').map(|(name, _)| name).filter(|name| !name.is_empty())
    })
}

/// The node of this name, or the one with the longest name that it begins with.
fn find<'a>(graph: &'a GraphProto, name: &str) -> Option<&'a NodeProto> {
    let is_part = |node: &&NodeProto| {
        let own = label(node);
        name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '#']))
    };
    let of_graph = graph.node.iter().filter(is_part).max_by_key(|node| label(node).len());
    // A node without a name and outputs is called by its place.
    let by_place = || {
        let (place, op) = name.split_once('-')?;
        let node = graph.node.get(place.parse::<usize>().ok()?)?;
        (node.op_type == op).then_some(node)
    };
    let inner = || graph.node.iter().flat_map(subgraphs).find_map(|inner| find(inner, name));
    of_graph.or_else(by_place).or_else(inner)
}

/// The name of the model's node that a node was made for.
fn original(node: &NodeProto) -> String {
    let made = label(node).contains('#') && !node.doc_string.is_empty();
    if made { node.doc_string.clone() } else { label(node).to_owned() }
}

/// What is missing, by the words that the runtime uses for it.
fn reason(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if let Some(name) = attribute(text) {
        return format!("its attribute {name:?} is missing, or its value is not supported");
    }
    let known = if has(NO_MEMORY) {
        "there is not enough memory for it: memory allocation failed"
    } else if has(&["it panicked"]) {
        "its sizes, types or attributes are not supported"
    } else if has(&["datumtype", "datatype", "num_traits"]) {
        "it makes elements of a type that is not supported"
    } else if has(&["f16", "float16"]) {
        "it mixes float16 with other types"
    } else if has(&["wrong number of"]) {
        "the number of its inputs or outputs is not supported"
    } else if has(&["const", "variable", "scalar", "determined", "sizes nor scales"]) {
        "an input that says how it works (axes, shape, sizes, scale) is not a constant: export \
         with fixed shapes, or fold the constants (python -m onnxsim model.onnx model.onnx)"
    } else if has(&["unify", "rank", "shape", "broadcast", "mismatch", "incompatible", "axis"]) {
        "the shapes or types of its inputs do not go together: check the shapes that the model \
         declares, and dims in the model card"
    } else if has(&["mode"]) {
        "its mode is not supported"
    } else {
        "it is used in a way that is not supported"
    };
    known.to_owned()
}

/// The attribute that the runtime complains of.
fn attribute(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("attribute '")?;
    rest.split_once('\'').map(|(name, _)| name)
}

/// Which export avoids the operator, or this way to use it.
fn advice(node: &NodeProto) -> &'static str {
    match node.op_type.as_str() {
        "Scan" | "LSTM" | "GRU" | "RNN" => {
            "; of Keras, export the layer with unroll=True; of PyTorch, with batch_first=True and \
             fixed sizes"
        }
        "If" => "; export without conditions: their branches must give tensors of one shape",
        "BatchNormalization" => "; export for inference (model.eval())",
        "RotaryEmbedding" | "RMSNormalization" => {
            "; export for opset 18 (torch.onnx.export(…, opset_version=18))"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::NodeProto;

    fn graph(names: &[(&str, &str)]) -> GraphProto {
        let node = |&(name, op): &(&str, &str)| NodeProto {
            name: name.into(),
            op_type: op.into(),
            ..NodeProto::default()
        };
        GraphProto { node: names.iter().map(node).collect(), ..GraphProto::default() }
    }

    fn told(names: &[(&str, &str)], text: &str) -> String {
        load_error(&graph(names), text).to_string()
    }

    #[test]
    fn the_node_and_operator_are_the_models() {
        let nodes = [("y", "ReduceSum"), ("y.z", "Gemm"), ("", "LSTM")];
        let text =
            "Translating node #3 \"y\" Reduce13 ToTypedTranslator: expected axes as a constant";
        let told_of = told(&nodes, text);
        assert!(told_of.starts_with("node \"y\" (ReduceSum): an input that says how"), "{told_of}");
        let text = "Failed analyse for node #3 \"y.z.matmul\" EinSum: Impossible to unify 1 with 2";
        let told_of = told(&nodes, text);
        assert!(told_of.starts_with("node \"y.z\" (Gemm): the shapes or types"), "{told_of}");
        let text = "Translating node #3 \"2-LSTM\" LSTM ToTypedTranslator: Non constant seq_len";
        assert!(told(&nodes, text).contains("(LSTM)"));
        let text = "Building node y (Pad): Node y (Pad), attribute 'mode': Unsupported mode wrap";
        assert!(told(&nodes, text).contains("its attribute \"mode\""));
        let text = "Building node  (LSTM): Unknown DatumType X";
        assert!(told(&nodes, text).contains("(LSTM): it makes elements of a type"));
        assert!(told(&nodes, "something else").starts_with("the float runtime refused the model"));
    }

    /// The probe tells want of memory from other failures by these words.
    #[test]
    fn want_of_memory_is_said_in_the_words_that_are_looked_for() {
        let text = "Failed: \"n\": memory allocation of 8 bytes failed";
        assert!(told(&[], text).contains("memory allocation failed"));
        assert!(run_error(text).to_string().contains("memory allocation failed"));
    }

    #[test]
    fn our_own_words_stay() {
        assert!(
            told(&[], "Failed: inferd: a tensor is too large").ends_with("a tensor is too large")
        );
    }
}
