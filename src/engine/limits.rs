//! Bounds of a graph, before anything is built of it. The bounds of shapes are in [`super::shapes`].

use super::error::LoadError;
use super::graph::{AttributeValue, Graph, Node, TensorData};
use super::shapes::MAX_AXES;

/// The most nodes, in the graph and the graphs inside it.
pub(super) const MAX_NODES: usize = 50_000;
/// The most constants, as for nodes.
pub(super) const MAX_CONSTANTS: usize = 100_000;
/// The most inputs and outputs of a graph or a node.
const MAX_VALUES: usize = 4096;
/// The most numbers or texts in an attribute: tree ensembles hold their nodes in attributes.
const MAX_NUMBERS: usize = 1 << 23;
/// How deep graphs lie in each other.
const MAX_DEPTH: usize = 8;

/// Checks a graph and the graphs inside it.
///
/// # Errors
/// The first bound that is exceeded.
pub(super) fn check(graph: &Graph) -> Result<(), LoadError> {
    check_graph(graph, 0, &mut Counts::default())
}

#[derive(Default)]
struct Counts {
    nodes: usize,
    constants: usize,
}

fn check_graph(graph: &Graph, depth: usize, counts: &mut Counts) -> Result<(), LoadError> {
    counts.nodes = counts.nodes.saturating_add(graph.nodes.len());
    counts.constants = counts.constants.saturating_add(graph.initializers.len());
    at_most("nodes", counts.nodes, MAX_NODES)?;
    at_most("constants", counts.constants, MAX_CONSTANTS)?;
    at_most("graphs inside each other", depth, MAX_DEPTH)?;
    at_most("inputs", graph.inputs.len(), MAX_VALUES)?;
    at_most("outputs", graph.outputs.len(), MAX_VALUES)?;
    graph.initializers.iter().try_for_each(check_constant)?;
    for node in &graph.nodes {
        check_node(node).map_err(|reason| node.refusal(reason))?;
        for graph in node.subgraphs() {
            check_graph(graph, depth + 1, counts)?;
        }
    }
    Ok(())
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), LoadError> {
    if count <= most {
        return Ok(());
    }
    Err(LoadError::TooLarge(format!("it has {count} {what}, more than {most}")))
}

fn check_constant(tensor: &TensorData) -> Result<(), LoadError> {
    if tensor.shape.len() <= MAX_AXES {
        return Ok(());
    }
    let reason = format!("it has {} axes, more than {MAX_AXES}", tensor.shape.len());
    Err(LoadError::Tensor { name: tensor.name.clone(), reason })
}

fn check_node(node: &Node) -> Result<(), String> {
    for (what, count) in [("inputs", node.inputs.len()), ("outputs", node.outputs.len())] {
        if count > MAX_VALUES {
            return Err(format!("it has {count} {what}, more than {MAX_VALUES}"));
        }
    }
    for attribute in &node.attributes {
        let count = match &attribute.value {
            AttributeValue::Ints(axes)
                if attribute.name.ends_with("axes")
                    && axes.iter().any(|axis| axis.unsigned_abs() > MAX_AXES as u64) =>
            {
                let name = &attribute.name;
                return Err(format!("its attribute {name} = {axes:?} is beyond {MAX_AXES} axes"));
            }
            AttributeValue::Ints(values) => values.len(),
            AttributeValue::Floats(values) => values.len(),
            AttributeValue::Texts(values) => values.len(),
            AttributeValue::Int(axis)
                if attribute.name == "axis" && axis.unsigned_abs() > MAX_AXES as u64 =>
            {
                return Err(format!("its attribute axis = {axis} is beyond {MAX_AXES} axes"));
            }
            AttributeValue::Tensor(tensor) if tensor.shape.len() > MAX_AXES => {
                return Err(format!("its constant has more than {MAX_AXES} axes"));
            }
            _ => 0,
        };
        if count > MAX_NUMBERS {
            let name = &attribute.name;
            return Err(format!("its attribute {name} has {count} values, over {MAX_NUMBERS}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::Attribute;

    fn nested(depth: usize) -> Graph {
        let inner = (depth > 0).then(|| nested(depth - 1));
        let attribute =
            |graph| Attribute { name: "body".into(), value: AttributeValue::Graph(graph) };
        let attributes = inner.map(attribute).into_iter().collect();
        Graph { nodes: vec![Node { attributes, ..Node::default() }], ..Graph::default() }
    }

    #[test]
    fn graphs_are_bounded_in_number_and_depth() {
        assert!(check(&nested(MAX_DEPTH)).is_ok());
        assert!(
            check(&nested(MAX_DEPTH + 1)).unwrap_err().to_string().contains("inside each other")
        );
        let nodes = vec![Node::default(); MAX_NODES + 1];
        let refusal = check(&Graph { nodes, ..Graph::default() }).unwrap_err().to_string();
        assert!(refusal.contains("50001 nodes, more than 50000"), "{refusal}");
    }

    #[test]
    fn nodes_are_bounded_in_inputs() {
        let node = Node { inputs: vec![String::new(); MAX_VALUES + 1], ..Node::default() };
        let graph = Graph { nodes: vec![node], ..Graph::default() };
        assert!(check(&graph).unwrap_err().to_string().contains("4097 inputs"));
    }
}
