//! Preconditions that the float runtime does not check: it computes addresses from the sizes of
//! windows without checking that these fit.

use super::error_text::OWN_PREFIX;
use crate::engine::graph::{Graph, MAX_TENSOR_ELEMENTS, Node};
use crate::engine::window_attributes::{WindowAttributes, sizes};
use tract_onnx::prelude::{Datum, InferenceModel, TractResult};
use tract_onnx::tract_hir::infer::{Factoid, InferenceFact};
use tract_onnx::tract_hir::internal::{DimLike, bail};

/// Refuses huge tensors and windows that do not fit in an analysed graph.
pub(super) fn check(graph: &Graph, model: &InferenceModel) -> TractResult<()> {
    for outlet in model.nodes().iter().flat_map(|n| &n.outputs) {
        check_volume(&outlet.fact)?;
    }
    for node in &graph.nodes {
        check_types(node, model)?;
        if !matches!(
            node.op.as_str(),
            "Conv" | "ConvInteger" | "MaxPool" | "AveragePool" | "LpPool"
        ) {
            continue;
        }
        let Ok(parsed) = model.node_by_name(node.label()) else { continue };
        let shapes: Vec<_> = model.node_input_facts(parsed.id)?.into_iter().map(shape).collect();
        if let Some(reason) = misfit(node, &shapes) {
            bail!("{OWN_PREFIX}node {:?} ({}): {reason}", node.label(), node.op);
        }
    }
    Ok(())
}

/// Refuses types that would fail in every run.
fn check_types(node: &Node, model: &InferenceModel) -> TractResult<()> {
    if !matches!(node.op.as_str(), "ReduceMax" | "ReduceMin") {
        return Ok(());
    }
    let Ok(parsed) = model.node_by_name(node.label()) else { return Ok(()) };
    let facts = model.node_input_facts(parsed.id)?;
    if facts.first().is_some_and(|f| f.datum_type.concretize() == Some(bool::datum_type())) {
        bail!("{OWN_PREFIX}node {:?} ({}): it reduces booleans", node.label(), node.op);
    }
    Ok(())
}

fn check_volume(fact: &InferenceFact) -> TractResult<()> {
    let mut volume = 1usize;
    for dim in fact.shape.dims().filter_map(|d| d.concretize()?.to_i64().ok()) {
        let Ok(dim) = usize::try_from(dim) else {
            bail!("{OWN_PREFIX}a tensor has {dim} elements along an axis")
        };
        volume = volume.saturating_mul(dim);
    }
    if volume > MAX_TENSOR_ELEMENTS {
        bail!("{OWN_PREFIX}a tensor has {volume} elements, more than {MAX_TENSOR_ELEMENTS}");
    }
    Ok(())
}

fn shape(fact: &InferenceFact) -> Option<Vec<usize>> {
    let dims = fact.shape.concretize()?;
    dims.iter().map(|d| d.to_usize().ok()).collect()
}

/// Why the window of a convolution or pool does not fit its input. None if it fits, or if the
/// shapes are unknown.
fn misfit(node: &Node, shapes: &[Option<Vec<usize>>]) -> Option<String> {
    let [_, channels, spatial @ ..] = shapes.first()?.as_deref()? else {
        return Some("its input has no channels".into());
    };
    let given = match sizes(node, "kernel_shape") {
        Ok(given) => given,
        Err(reason) => return Some(reason),
    };
    let kernel = if node.op.starts_with("Conv") {
        let weights = shapes.get(1)?.as_deref()?;
        let [outputs, depth, kernel @ ..] = weights else {
            return Some(format!("its weights have shape {weights:?}"));
        };
        let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        if groups == 0 || depth.saturating_mul(groups) != *channels || outputs % groups != 0 {
            return Some(format!("weights of shape {weights:?} do not fit {channels} channels"));
        }
        if given.is_some_and(|given| given != kernel) {
            return Some("its kernel_shape is not that of its weights".into());
        }
        kernel.to_vec()
    } else {
        given.unwrap_or_default()
    };
    let count = spatial.len();
    let attributes = match WindowAttributes::read(node, count) {
        Ok(attributes) => attributes,
        Err(reason) => return Some(reason),
    };
    if kernel.len() != count {
        return Some(format!("a kernel of {} axes for an input of {count}", kernel.len()));
    }
    let mut axes = spatial.iter().zip(&kernel).enumerate();
    let fits = axes.all(|(axis, (&size, &kernel))| attributes.padded(axis, size, kernel).is_some());
    (!fits).then(|| "its window is larger than its padded input".into())
}
