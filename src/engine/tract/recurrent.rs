//! Attributes of recurrent layers that the float runtime ignores.

use crate::engine::error::LoadError;
use crate::engine::graph::{Graph, Node};

/// Refuses recurrent layers with attributes that the float runtime ignores, also in the graphs
/// inside nodes.
pub(super) fn check(graph: &Graph) -> Result<(), LoadError> {
    for node in &graph.nodes {
        if let Some(name) = ignored(node) {
            return Err(node.refusal(format!(
                "its attribute {name} is not supported where its input, weights or sequence \
                 lengths are not what the float kernels take: export it with constant weights and \
                 without sequence lengths, or unrolled (Keras: unroll=True)"
            )));
        }
        node.subgraphs().try_for_each(check)?;
    }
    Ok(())
}

/// The attribute of a recurrent layer that has another value than its default.
fn ignored(node: &Node) -> Option<&'static str> {
    let defaults: &[&str] = match node.op.as_str() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        "RNN" => &["Tanh"],
        _ => return None,
    };
    let mut expected = defaults.iter().cycle();
    let mut named = node.texts("activations").unwrap_or_default().iter();
    let differs =
        |name: &Vec<u8>| expected.next().is_none_or(|e| !name.eq_ignore_ascii_case(e.as_bytes()));
    if named.any(differs) {
        return Some("activations");
    }
    if node.float("clip").is_some() {
        return Some("clip");
    }
    (node.int("input_forget").unwrap_or(0) != 0).then_some("input_forget")
}
