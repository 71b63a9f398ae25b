//! Lengths of sequences that depend on the input of a run: the kernels take them as floats.

use super::builder::original;
use crate::engine::graph::{Attribute, ElementType, Graph, Node};
use std::collections::HashSet;

/// Casts the computed `sequence_lens` of the recurrent layers of a graph, but not of those inside its
/// nodes, to floats.
pub(super) fn cast_lengths(graph: &mut Graph) {
    let constants: HashSet<&str> = graph.initializers.iter().map(|t| t.name.as_str()).collect();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (i, mut node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        let recurrent = matches!(node.op.as_str(), "LSTM" | "GRU" | "RNN" | "DynamicQuantizeLSTM");
        let own = original(&node);
        if let Some(lengths) = node.inputs.get_mut(4).filter(|name| recurrent && !name.is_empty())
            && !constants.contains(lengths.as_str())
        {
            let cast = format!("{own}#{i}/lengths");
            let from = std::mem::replace(lengths, cast.clone());
            nodes.push(Node {
                name: cast.clone(),
                op: "Cast".to_owned(),
                inputs: vec![from],
                outputs: vec![cast],
                attributes: vec![Attribute::int("to", i64::from(ElementType::F32.code()))],
                original: own,
                ..Node::default()
            });
        }
        nodes.push(node);
    }
    graph.nodes = nodes;
}
