//! Every attribute is honoured or the model is refused.
//!
//! What runs a model reads the attributes it knows and does not look at others, so an attribute that
//! it does not know would be ignored without a word. Before anything is built, every node is held
//! against a table of what is honoured ([`table`]), and against what its attributes, inputs and
//! outputs must be together ([`relations`]).

mod relations;
mod rule;
mod table;

use super::error::LoadError;
use super::proto::{refuse, subgraphs};
use relations::Constants;
use std::collections::BTreeSet;
use table::Operator;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

/// The newest opset whose operators the table was written for.
const NEWEST: i64 = 24;

/// Whether the table has the operator.
pub(super) fn knows(node: &NodeProto) -> bool {
    table::find(&node.domain, &node.op_type).is_some()
}

/// Refuses a model with an attribute, a value of one, an input or an output that is not honoured.
/// `header` has the operator sets of `graph`. Returns the version of the standard one.
pub(super) fn check(header: &ModelProto, graph: &GraphProto) -> Result<i64, LoadError> {
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let mut versions = header.opset_import.iter().filter(|o| standard(&o.domain));
    let opset = versions.next().map(|o| o.version);
    if versions.any(|o| Some(o.version) != opset) {
        return Err(LoadError::Parse("it names two versions of the standard operators".into()));
    }
    if let Some(opset) = opset
        && !(1..=NEWEST).contains(&opset)
    {
        let reason = format!("its opset is {opset}: export it with an opset of 13 to {NEWEST}");
        return Err(LoadError::TooLarge(reason));
    }
    check_graph(opset, graph, &Constants::default())?;
    Ok(opset.unwrap_or(NEWEST))
}

fn check_graph(
    opset: Option<i64>,
    graph: &GraphProto,
    outer: &Constants<'_>,
) -> Result<(), LoadError> {
    let constants = outer.with(graph);
    for node in &graph.node {
        let Some(operator) = table::find(&node.domain, &node.op_type) else {
            return Err(refuse(node, "its operator is not known"));
        };
        let opset = match (operator.domain, opset) {
            ("", None) => return Err(refuse(node, "the model does not say the opset of it")),
            (_, opset) => opset.unwrap_or(NEWEST),
        };
        check_node(opset, operator, node).map_err(|reason| refuse(node, reason))?;
        relations::check(opset, node, &constants).map_err(|reason| refuse(node, reason))?;
        for inner in subgraphs(node) {
            check_graph(Some(opset), inner, &constants)?;
        }
    }
    Ok(())
}

/// Why a node is not honoured, by the table alone.
fn check_node(opset: i64, operator: &Operator, node: &NodeProto) -> Result<(), String> {
    if operator.domain.is_empty() && opset < operator.since {
        let since = operator.since;
        return Err(format!(
            "opset {opset} means something else by it than opset {since}, from which on it is \
             supported: export with a newer opset"
        ));
    }
    let mut seen = BTreeSet::new();
    for attribute in &node.attribute {
        let name = attribute.name.as_str();
        if !seen.insert(name) {
            return Err(format!("its attribute {name} is there twice"));
        }
        let known = operator.attributes.iter().find(|a| a.name == name);
        let Some(known) = known else {
            let value = rule::shown(attribute);
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
        if !attribute.ref_attr_name.is_empty() {
            return Err(format!("its attribute {name} refers to one of a function"));
        }
        if let Some(reason) = known.rule.refusal(attribute) {
            return Err(reason + relations::advice(node, name));
        }
    }
    let used = |names: &[String]| names.iter().rposition(|n| !n.is_empty()).map_or(0, |i| i + 1);
    for (what, names, most) in
        [("input", &node.input, operator.inputs), ("output", &node.output, operator.outputs)]
    {
        let count = used(names);
        if count > most {
            let name = names.get(most).map_or("", String::as_str);
            return Err(format!("its {what} {most} ({name:?}) is not supported"));
        }
    }
    Ok(())
}
