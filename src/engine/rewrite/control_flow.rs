//! Conditions and loops that do not depend on the input of a run.
//!
//! Exporters write many: Keras' recurrent layers are loops over a known number of steps, and models
//! for several sampling rates choose one by a constant. The float runtime has no Loop, and plans
//! both branches of an If, which must then have the same shapes.

use super::builder::original;
use super::names::{self, Names};
use super::{MAX_NODES, Rewriter};
use crate::engine::error::LoadError;
use crate::engine::graph::{Attribute, AttributeValue, Graph, Node, TensorData};
use crate::tensor::{Data, Tensor};

/// The most turns of a loop.
const MAX_TURNS: i64 = 4096;

const DEPENDS: &str = "its number of turns depends on the input: in Keras, export recurrent layers \
                       with unroll=True; in PyTorch, replace loops over tensors by a fixed number \
                       of steps";

/// The parts of a loop.
struct Turns {
    /// The largest number of turns, if there is one.
    limit: Option<i64>,
    /// Whether there is a first turn.
    first: bool,
    body: Graph,
    /// The values that a turn passes to the next one.
    states: Vec<String>,
    /// The results of each turn, for each output that collects them.
    collected: Vec<Vec<String>>,
}

impl Rewriter<'_, '_> {
    /// An If with a constant condition becomes its branch.
    pub(super) fn condition(&mut self, mut node: Node) -> Result<(), LoadError> {
        let Some(test) = self.values.integer(node.input(0)) else { return self.keep(node) };
        let name = if test == 0 { "else_branch" } else { "then_branch" };
        let Some(branch) = take_graph(&mut node, name) else { return self.keep(node) };
        if branch.outputs.len() < node.outputs.len() || !branch.inputs.is_empty() {
            return Err(node.refusal("its branches do not have its outputs"));
        }
        let results = self.inline(&node, branch, Names::new())?;
        self.assign(&node, &results)
    }

    /// A Loop with a constant count becomes its turns.
    pub(super) fn repetition(&mut self, node: Node) -> Result<(), LoadError> {
        if node.subgraphs().next().is_none() {
            return self.keep(node);
        }
        let mut turns = self.turns(&node)?;
        self.hoist_constants(&node, &mut turns.body);
        let (mut turn, mut goes_on) = (0, turns.first);
        while goes_on && turns.limit.is_none_or(|limit| turn < limit) {
            let nodes = self.inlined.nodes.saturating_add(turns.body.nodes.len());
            if turn >= MAX_TURNS || nodes > MAX_NODES {
                return Err(node.refusal(format!(
                    "its turns are more than {MAX_TURNS}, or make more than {MAX_NODES} nodes: \
                     export the model for a shorter sequence"
                )));
            }
            goes_on = self.turn(&node, &mut turns, turn)?;
            turn += 1;
        }
        let mut results = std::mem::take(&mut turns.states);
        for (i, parts) in turns.collected.iter().enumerate() {
            results.push(self.stacked(&node, i, parts)?);
        }
        self.assign(&node, &results)
    }

    /// Reads a loop, whose count and condition must be constants.
    fn turns(&self, node: &Node) -> Result<Turns, LoadError> {
        let mut graphs = node.subgraphs();
        let Some(body) = graphs.next() else { return Err(node.refusal("it has no body")) };
        let known = |i: usize| match node.input(i) {
            "" => Ok(None),
            name => match self.values.integer(name) {
                Some(value) => Ok(Some(value)),
                None => Err(node.refusal(DEPENDS)),
            },
        };
        let (limit, first) = (known(0)?, known(1)?.is_none_or(|first| first != 0));
        let states: Vec<String> = node.inputs.iter().skip(2).cloned().collect();
        let collects = body.outputs.len().checked_sub(states.len() + 1);
        let fits = body.inputs.len() == states.len() + 2
            && collects.is_some_and(|collects| node.outputs.len() <= states.len() + collects);
        let (true, Some(collects)) = (fits, collects) else {
            return Err(node.refusal("its body does not have its inputs and outputs"));
        };
        let collected = vec![Vec::new(); collects];
        Ok(Turns { limit, first, body: body.clone(), states, collected })
    }

    /// Moves the constants of a loop's body out of it, so that all turns share them.
    fn hoist_constants(&mut self, node: &Node, body: &mut Graph) {
        let prefix = self.prefix(node);
        let mut hoisted = Names::new();
        let mut constants = std::mem::take(&mut body.initializers);
        body.nodes.retain_mut(|inner| {
            let name = inner.outputs.first().cloned().unwrap_or_default();
            let value = inner.attributes.iter_mut().find(|a| a.name == "value");
            let Some(AttributeValue::Tensor(tensor)) = value.map(|a| &mut a.value) else {
                return true;
            };
            if inner.op != "Constant" {
                return true;
            }
            let tensor = std::mem::replace(tensor, empty_tensor());
            constants.push(TensorData { name, ..tensor });
            false
        });
        for mut tensor in constants {
            let new = format!("{prefix}{}", tensor.name);
            hoisted.insert(std::mem::replace(&mut tensor.name, new.clone()), new);
            self.add_constant(tensor);
        }
        body.nodes.iter_mut().for_each(|inner| names::rename(inner, &hoisted));
        for output in &mut body.outputs {
            if let Some(new) = hoisted.get(&output.name) {
                output.name.clone_from(new);
            }
        }
    }

    /// Adds one turn. Returns whether there is another one.
    fn turn(&mut self, node: &Node, turns: &mut Turns, turn: i64) -> Result<bool, LoadError> {
        let prefix = self.prefix(node);
        let count = self.constant(format!("{prefix}turn"), Vec::new(), Data::I64(vec![turn]));
        let goes_on = self.constant(format!("{prefix}on"), Vec::new(), Data::Bool(vec![true]));
        let given = [count, goes_on].into_iter().chain(turns.states.iter().cloned());
        let own = turns.body.inputs.iter().map(|input| input.name.clone());
        let mut results = self.inline(node, turns.body.clone(), own.zip(given).collect())?;
        let on = results.first().and_then(|name| self.values.integer(name));
        let Some(on) = on else { return Err(node.refusal(DEPENDS)) };
        results.remove(0);
        let parts = results.split_off(turns.states.len().min(results.len()));
        turns.states = results;
        for (all, part) in turns.collected.iter_mut().zip(parts) {
            all.push(part);
        }
        Ok(on != 0)
    }

    /// Joins the results of all turns along a new first axis.
    fn stacked(&mut self, node: &Node, i: usize, parts: &[String]) -> Result<String, LoadError> {
        if parts.is_empty() {
            return Err(node.refusal("it has no turn, so that its results have no elements"));
        }
        let prefix = self.prefix(node);
        let mut rows = Vec::new();
        for (turn, part) in parts.iter().enumerate() {
            let row = format!("{prefix}{i}/{turn}");
            self.unsqueeze(node, part, &row, vec![0])?;
            rows.push(row);
        }
        let all = format!("{prefix}{i}");
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let axis = vec![Attribute::int("axis", 0)];
        self.emit(node, "Concat", &rows, &all, axis)?;
        Ok(all)
    }

    /// Adds the nodes of a graph inside `node`, whose inputs have the names in `names`. Returns the
    /// names of its results.
    fn inline(
        &mut self,
        node: &Node,
        mut graph: Graph,
        mut names: Names,
    ) -> Result<Vec<String>, LoadError> {
        let prefix = self.prefix(node);
        names.extend(names::of_nodes(&graph.nodes, &prefix));
        for tensor in &mut graph.initializers {
            let new = format!("{prefix}{}", tensor.name);
            names.insert(std::mem::replace(&mut tensor.name, new.clone()), new);
        }
        graph.initializers.into_iter().for_each(|tensor| self.add_constant(tensor));
        for mut inner in graph.nodes {
            inner.original = original(&inner);
            names::rename(&mut inner, &names);
            inner.name = format!("{prefix}{}", inner.name);
            self.node(inner)?;
        }
        let result = |name: String| names.get(&name).cloned().unwrap_or(name);
        Ok(graph.outputs.into_iter().map(|output| result(output.name)).collect())
    }

    /// Gives results the names of a node's outputs.
    fn assign(&mut self, node: &Node, results: &[String]) -> Result<(), LoadError> {
        for (output, result) in node.outputs.iter().zip(results) {
            if !output.is_empty() {
                self.emit(node, "Identity", &[result], output, Vec::new())?;
            }
        }
        Ok(())
    }

    /// A prefix for names that no other node has.
    fn prefix(&mut self, node: &Node) -> String {
        self.inlined.graphs += 1;
        format!("{}#{}/", node.label(), self.inlined.graphs)
    }
}

fn empty_tensor() -> TensorData {
    let empty = Tensor { shape: vec![0], data: Data::U8(Vec::new()) };
    TensorData::from_tensor(String::new(), &empty)
}

/// Takes a graph out of an attribute.
fn take_graph(node: &mut Node, name: &str) -> Option<Graph> {
    let attribute = node.attributes.iter_mut().find(|a| a.name == name)?;
    match std::mem::replace(&mut attribute.value, AttributeValue::Other) {
        AttributeValue::Graph(graph) => Some(graph),
        other => {
            attribute.value = other;
            None
        }
    }
}
