//! Errors of the float runtime, rewritten for the owner of a model.
//!
//! The original texts describe internals. They are logged at debug level. The user gets the node
//! and operator of the model, what is missing, and how to export a model without the problem.

use crate::engine::error::{LoadError, RunError};
use crate::engine::graph::{Graph, Node};

/// Prefix of error texts of our own, which the user gets unchanged.
pub(super) const OWN_PREFIX: &str = "inferd: ";

/// Parts of texts about a lack of memory.
const NO_MEMORY: &[&str] = &["memory allocation", "out of memory", "failed to allocate"];

/// The error for a `graph` that the float runtime refused with `text`.
pub(super) fn load_error(graph: &Graph, text: &str) -> LoadError {
    log::debug!("the float runtime refused a graph: {}", text.escape_debug());
    if let Some((_, own)) = text.split_once(OWN_PREFIX) {
        return LoadError::Float(own.to_owned());
    }
    match node_of(graph, text) {
        Some(node) => {
            let advice = advice(node);
            LoadError::Node {
                node: original(node),
                operator: node.operator(),
                reason: reason(text) + advice,
            }
        }
        None => LoadError::Float(reason(text)),
    }
}

/// The error for a run that failed with `text`.
pub(super) fn run_error(text: &str) -> RunError {
    log::debug!("the float runtime failed: {}", text.escape_debug());
    let reason = run_reason(text);
    match quoted(text).last() {
        // Names of the model's own nodes are the prefix.
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

/// The node that the text names last, which is the innermost. The runtime's names for parts of a
/// node begin with the name of the node.
fn node_of<'a>(graph: &'a Graph, text: &str) -> Option<&'a Node> {
    let building = text.strip_prefix("Building node ").and_then(|rest| rest.split_once(" ("));
    let Some((name, rest)) = building else {
        let names: Vec<&str> = quoted(text).collect();
        return names.iter().rev().find_map(|name| find(graph, name));
    };
    let op = rest.split(')').next().unwrap_or_default();
    let unnamed = || graph.nodes.iter().find(|n| n.name.is_empty() && n.op == op);
    if name.is_empty() { unnamed() } else { find(graph, name) }
}

/// The names in quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('"').step_by(2).filter_map(|(start, _)| {
        let rest = text.get(start + 1..)?;
        rest.split_once('"').map(|(name, _)| name).filter(|name| !name.is_empty())
    })
}

/// The node of this name, or the one with the longest name that it begins with.
fn find<'a>(graph: &'a Graph, name: &str) -> Option<&'a Node> {
    let is_part = |node: &&Node| {
        let own = node.label();
        name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '#']))
    };
    let of_graph = graph.nodes.iter().filter(is_part).max_by_key(|node| node.label().len());
    // A node without a name and outputs is named by its position.
    let by_place = || {
        let (place, op) = name.split_once('-')?;
        let node = graph.nodes.get(place.parse::<usize>().ok()?)?;
        (node.op == op).then_some(node)
    };
    let inner = || graph.nodes.iter().flat_map(Node::subgraphs).find_map(|inner| find(inner, name));
    of_graph.or_else(by_place).or_else(inner)
}

/// The name of the model's node that `node` is or replaces.
fn original(node: &Node) -> String {
    if node.original.is_empty() { node.label().to_owned() } else { node.original.clone() }
}

/// The reason in our words, found by keywords in the text of the runtime.
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
        "an input that sets its axes, shape, sizes or scale is not a constant: export \
         with fixed shapes, or fold the constants (python -m onnxsim model.onnx model.onnx)"
    } else if has(&["unify", "rank", "shape", "broadcast", "mismatch", "incompatible", "axis"]) {
        "the shapes or types of its inputs do not match: check the shapes that the model \
         declares, and dims in the model card"
    } else if has(&["mode"]) {
        "its mode is not supported"
    } else {
        "it is used in a way that is not supported"
    };
    known.to_owned()
}

/// The attribute that the text names.
fn attribute(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("attribute '")?;
    rest.split_once('\'').map(|(name, _)| name)
}

/// How to export a model without the operator or this use of it.
fn advice(node: &Node) -> &'static str {
    match node.op.as_str() {
        "Scan" | "LSTM" | "GRU" | "RNN" => {
            "; in Keras, export the layer with unroll=True; in PyTorch, with batch_first=True and \
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

    fn graph(names: &[(&str, &str)]) -> Graph {
        let node = |&(name, op): &(&str, &str)| Node {
            name: name.into(),
            op: op.into(),
            ..Node::default()
        };
        Graph { nodes: names.iter().map(node).collect(), ..Graph::default() }
    }

    fn message(names: &[(&str, &str)], text: &str) -> String {
        load_error(&graph(names), text).to_string()
    }

    #[test]
    fn the_node_and_operator_are_the_models() {
        let nodes = [("y", "ReduceSum"), ("y.z", "Gemm"), ("", "LSTM")];
        let text =
            "Translating node #3 \"y\" Reduce13 ToTypedTranslator: expected axes as a constant";
        let text_of_error = message(&nodes, text);
        assert!(
            text_of_error.starts_with("node \"y\" (ReduceSum): an input that sets its axes"),
            "{text_of_error}"
        );
        let text = "Failed analyse for node #3 \"y.z.matmul\" EinSum: Impossible to unify 1 with 2";
        let text_of_error = message(&nodes, text);
        assert!(
            text_of_error.starts_with("node \"y.z\" (Gemm): the shapes or types"),
            "{text_of_error}"
        );
        let text = "Translating node #3 \"2-LSTM\" LSTM ToTypedTranslator: Non constant seq_len";
        assert!(message(&nodes, text).contains("(LSTM)"));
        let text = "Building node y (Pad): Node y (Pad), attribute 'mode': Unsupported mode wrap";
        assert!(message(&nodes, text).contains("its attribute \"mode\""));
        let text = "Building node  (LSTM): Unknown DatumType X";
        assert!(message(&nodes, text).contains("(LSTM): it makes elements of a type"));
        assert!(
            message(&nodes, "something else").starts_with("the float runtime refused the model")
        );
    }

    /// The probe recognises a lack of memory by these words.
    #[test]
    fn a_lack_of_memory_has_the_words_that_the_probe_looks_for() {
        let text = "Failed: \"n\": memory allocation of 8 bytes failed";
        assert!(message(&[], text).contains("memory allocation failed"));
        assert!(run_error(text).to_string().contains("memory allocation failed"));
    }

    #[test]
    fn own_texts_are_unchanged() {
        assert!(
            message(&[], "Failed: inferd: a tensor is too large")
                .ends_with("a tensor is too large")
        );
    }
}
