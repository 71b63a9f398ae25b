//! Normalizations that ONNX Runtime's optimiser writes for transformers.

use super::Rewriter;
use super::builder::{only_attributes, only_inputs, output};
use crate::engine::error::LoadError;
use crate::engine::graph::{Attribute, Node};

impl Rewriter<'_, '_> {
    /// The sum of an input, a skipped connection and a bias, normalized over its last axis. The sum
    /// is an output of its own.
    pub(super) fn skip_normalization(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, &["epsilon"])?;
        let simplified = node.op == "SkipSimplifiedLayerNormalization";
        // input, skip, gamma, then beta unless simplified, then bias.
        let (beta, bias) = if simplified { ("", 3) } else { (node.input(3), 4) };
        only_inputs(node, bias + 1)?;
        let y = output(node)?;
        if let Some(used) = node.outputs.iter().skip(1).take(2).find(|o| !o.is_empty()) {
            return Err(node.refusal(format!("its output {used:?} is not supported")));
        }
        let given = node.outputs.get(3).filter(|o| !o.is_empty());
        let sum = given.cloned().unwrap_or_else(|| format!("{y}#sum"));
        let bias = node.input(bias);
        if bias.is_empty() {
            self.emit(node, "Add", &[node.input(0), node.input(1)], &sum, Vec::new())?;
        } else {
            let skipped = format!("{y}#skipped");
            self.emit(node, "Add", &[node.input(0), node.input(1)], &skipped, Vec::new())?;
            self.emit(node, "Add", &[&skipped, bias], &sum, Vec::new())?;
        }
        // The default of ONNX Runtime, which differs from that of LayerNormalization.
        let epsilon = node.float("epsilon").unwrap_or(1e-12);
        let attributes = vec![Attribute::int("axis", -1), Attribute::float("epsilon", epsilon)];
        let op = if simplified { "RMSNormalization" } else { "LayerNormalization" };
        let mut inputs = vec![sum.as_str(), node.input(2)];
        inputs.extend(Some(beta).filter(|beta| !beta.is_empty()));
        self.emit(node, op, &inputs, y, attributes)
    }

    /// A normalization by the root of the mean square.
    pub(super) fn simplified_normalization(&mut self, node: Node) -> Result<(), LoadError> {
        only_inputs(&node, 2)?;
        super::builder::only_outputs(&node, 1)?;
        only_attributes(&node, &["axis", "epsilon", "stash_type"])?;
        self.keep(Node { op: "RMSNormalization".to_owned(), domain: String::new(), ..node })
    }
}
