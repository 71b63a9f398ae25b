//! Attributes of recurrent layers that the float runtime ignores.

use crate::engine::error::LoadError;
use crate::engine::graph::{Graph, Node};

/// Refuses recurrent layers with attributes that the float runtime ignores, also in the graphs
/// inside nodes.
pub(super) fn check(graph: &Graph) -> Result<(), LoadError> {
    let constant = |name: &str| graph.initializers.iter().any(|tensor| tensor.name == name);
    for node in &graph.nodes {
        if let Some(name) = ignored(node, &constant) {
            return Err(node.refusal(format!(
                "its {name} is not supported where its input or weights are not what the float \
                 kernels take, or inside of a loop or branch: export it with constant weights, or \
                 unrolled (Keras: unroll=True)"
            )));
        }
        node.subgraphs().try_for_each(check)?;
    }
    Ok(())
}

/// The attribute or input of a recurrent layer that has another value than its default.
fn ignored(node: &Node, constant: &dyn Fn(&str) -> bool) -> Option<&'static str> {
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
        return Some("attribute activations");
    }
    let is = |name: &str| node.int(name).unwrap_or(0) != 0;
    let parameters = |name: &str| node.floats(name).is_some_and(|values| !values.is_empty());
    // Other lengths than those of all steps are an error of the float runtime.
    let lengths = node.input(4);
    [
        ("attribute clip", node.float("clip").is_some()),
        ("attribute input_forget", is("input_forget")),
        ("attribute activation_alpha", parameters("activation_alpha")),
        ("attribute activation_beta", parameters("activation_beta")),
        ("attribute layout", is("layout") && node.text("direction") == Some("bidirectional")),
        ("attribute direction", node.text("direction") == Some("reverse")),
        ("input sequence_lens", !lengths.is_empty() && !constant(lengths)),
    ]
    .into_iter()
    .find_map(|(name, given)| given.then_some(name))
}
