//! Every attribute is supported, or the model is refused.
//!
//! The float runtime reads only the attributes that it knows, so that it silently ignores others.
//! Before anything is built, every node is checked against a table of supported attributes
//! ([`table`]) and against the conditions between its attributes, inputs and outputs
//! ([`relations`]).

mod relations;
mod rule;
mod table;

use crate::engine::error::LoadError;
use crate::engine::graph::{AttributeValue, Graph, Node, OperatorSets};
use relations::Constants;
use std::collections::BTreeSet;
use table::Operator;

/// The newest opset that the table covers.
pub(super) const MAX_OPSET: i64 = 24;

/// Whether the table has the operator.
pub(super) fn knows(node: &Node) -> bool {
    table::find(&node.domain, &node.op).is_some()
}

/// Returns the version of the standard operator set of a model.
///
/// # Errors
/// An attribute, a value of one, an input or an output that is not supported.
pub(super) fn check(sets: &OperatorSets, graph: &Graph) -> Result<i64, LoadError> {
    let mut versions = sets.standard();
    let opset = versions.next();
    if versions.any(|version| Some(version) != opset) {
        return Err(LoadError::Parse("it names two versions of the standard operators".into()));
    }
    if let Some(opset) = opset
        && !(1..=MAX_OPSET).contains(&opset)
    {
        let reason = format!("its opset is {opset}: export it with an opset of 13 to {MAX_OPSET}");
        return Err(LoadError::TooLarge(reason));
    }
    check_graph(opset, graph, &Constants::default())?;
    Ok(opset.unwrap_or(MAX_OPSET))
}

fn check_graph(opset: Option<i64>, graph: &Graph, outer: &Constants<'_>) -> Result<(), LoadError> {
    let constants = outer.with(graph);
    for node in &graph.nodes {
        let Some(operator) = table::find(&node.domain, &node.op) else {
            return Err(node.refusal("its operator is unknown"));
        };
        let opset = match (operator.domain, opset) {
            ("", None) => return Err(node.refusal("the model does not import its operator set")),
            (_, opset) => opset.unwrap_or(MAX_OPSET),
        };
        check_node(opset, operator, node).map_err(|reason| node.refusal(reason))?;
        relations::check(opset, node, &constants).map_err(|reason| node.refusal(reason))?;
        for inner in node.subgraphs() {
            check_graph(Some(opset), inner, &constants)?;
        }
    }
    Ok(())
}

/// Checks a node against the table.
///
/// # Errors
/// Why the node is not supported.
fn check_node(opset: i64, operator: &Operator, node: &Node) -> Result<(), String> {
    if operator.domain.is_empty() && opset < operator.since {
        let since = operator.since;
        return Err(format!(
            "opset {opset} means something else by it than opset {since}, from which on it is \
             supported: export with a newer opset"
        ));
    }
    let mut seen = BTreeSet::new();
    for attribute in &node.attributes {
        let name = attribute.name.as_str();
        if !seen.insert(name) {
            return Err(format!("it has two attributes {name}"));
        }
        let known = operator.attributes.iter().find(|a| a.name == name);
        let Some(known) = known else {
            let value = rule::display(&attribute.value);
            return Err(format!(
                "its attribute {name} = {value} is not supported{}",
                relations::advice(node, name)
            ));
        };
        if operator.domain.is_empty() && opset > known.until {
            return Err(format!(
                "its attribute {name} is not one of opset {opset}, only of opsets up to {}: \
                 export the model again",
                known.until
            ));
        }
        if attribute.value == AttributeValue::Reference {
            return Err(format!("its attribute {name} refers to an attribute of a function"));
        }
        if let Some(reason) = known.rule.refusal(attribute) {
            return Err(reason + relations::advice(node, name));
        }
    }
    let used = |names: &[String]| names.iter().rposition(|n| !n.is_empty()).map_or(0, |i| i + 1);
    for (what, names, most) in
        [("input", &node.inputs, operator.inputs), ("output", &node.outputs, operator.outputs)]
    {
        let count = used(names);
        if count > most {
            let name = names.get(most).map_or("", String::as_str);
            return Err(format!("its {what} {most} ({name:?}) is not supported"));
        }
    }
    Ok(())
}
