//! Names of graphs that are inlined into others.

use crate::engine::graph::{Graph, Node};
use std::collections::HashMap;

/// New names by old ones.
pub(super) type Names = HashMap<String, String>;

/// The names of the values that nodes make, each behind `prefix`.
pub(super) fn of_nodes(nodes: &[Node], prefix: &str) -> Names {
    let made = nodes.iter().flat_map(|node| &node.outputs).filter(|name| !name.is_empty());
    made.map(|name| (name.clone(), format!("{prefix}{name}"))).collect()
}

/// Renames the values that a node reads and makes, also in the graphs inside it.
pub(super) fn rename(node: &mut Node, names: &Names) {
    let values = node.inputs.iter_mut().chain(&mut node.outputs);
    for name in values {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    }
    for graph in node.subgraphs_mut() {
        rename_outside(graph, names);
    }
}

/// Renames the outside values that a graph reads. Its own values hide those of the same name.
fn rename_outside(graph: &mut Graph, names: &Names) {
    let own = graph.inputs.iter().map(|input| &input.name);
    let own = own.chain(graph.initializers.iter().map(|tensor| &tensor.name));
    let own = own.chain(graph.nodes.iter().flat_map(|node| &node.outputs));
    let mut visible = names.clone();
    for name in own {
        visible.remove(name);
    }
    graph.nodes.iter_mut().for_each(|node| rename(node, &visible));
    for output in &mut graph.outputs {
        if let Some(new) = visible.get(&output.name) {
            output.name.clone_from(new);
        }
    }
}
