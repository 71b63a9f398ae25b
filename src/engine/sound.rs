//! What the float runtime takes on trust, and must not be given: it computes addresses from the
//! sizes of windows without looking whether they fit.

use super::proto::{Attributes, label};
use super::spec::MOST_ELEMENTS;
use super::translate::OWN;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::{Datum, InferenceModel, TractResult};
use tract_onnx::tract_hir::infer::{Factoid, InferenceFact};
use tract_onnx::tract_hir::internal::{DimLike, bail};

/// Refuses unreasonably large tensors and windows that do not fit, in an analysed graph.
pub(super) fn check(graph: &GraphProto, model: &InferenceModel) -> TractResult<()> {
    for outlet in model.nodes().iter().flat_map(|n| &n.outputs) {
        check_volume(&outlet.fact)?;
    }
    for proto in &graph.node {
        check_types(proto, model)?;
        if !matches!(
            proto.op_type.as_str(),
            "Conv" | "ConvInteger" | "MaxPool" | "AveragePool" | "LpPool"
        ) {
            continue;
        }
        let Ok(node) = model.node_by_name(label(proto)) else { continue };
        let shapes: Vec<_> = model.node_input_facts(node.id)?.into_iter().map(shape).collect();
        if let Some(reason) = misfit(proto, &shapes) {
            bail!("{OWN}node {:?} ({}): {reason}", label(proto), proto.op_type);
        }
    }
    Ok(())
}

/// Refuses what would fail in every run.
fn check_types(proto: &NodeProto, model: &InferenceModel) -> TractResult<()> {
    if !matches!(proto.op_type.as_str(), "ReduceMax" | "ReduceMin") {
        return Ok(());
    }
    let Ok(node) = model.node_by_name(label(proto)) else { return Ok(()) };
    let facts = model.node_input_facts(node.id)?;
    if facts.first().is_some_and(|f| f.datum_type.concretize() == Some(bool::datum_type())) {
        bail!("{OWN}node {:?} ({}): it reduces booleans", label(proto), proto.op_type);
    }
    Ok(())
}

fn check_volume(fact: &InferenceFact) -> TractResult<()> {
    let mut volume = 1usize;
    for dim in fact.shape.dims().filter_map(|d| d.concretize()?.to_i64().ok()) {
        let Ok(dim) = usize::try_from(dim) else {
            bail!("{OWN}a tensor has {dim} elements along an axis")
        };
        volume = volume.saturating_mul(dim);
    }
    if volume > MOST_ELEMENTS {
        bail!("{OWN}a tensor has {volume} elements, more than {MOST_ELEMENTS}");
    }
    Ok(())
}

fn shape(fact: &InferenceFact) -> Option<Vec<usize>> {
    let dims = fact.shape.concretize()?;
    dims.iter().map(|d| d.to_usize().ok()).collect()
}

/// Why the window of a convolution or pool does not fit its input, as far as shapes are known.
fn misfit(proto: &NodeProto, shapes: &[Option<Vec<usize>>]) -> Option<String> {
    let [_, channels, spatial @ ..] = shapes.first()?.as_deref()? else {
        return Some("its input has no channels".into());
    };
    let listed = |name: &str| -> Option<Vec<usize>> {
        let values = proto.ints(name).filter(|v| !v.is_empty())?;
        values.iter().map(|&v| usize::try_from(v).ok()).collect()
    };
    let kernel = if proto.op_type.starts_with("Conv") {
        let weights = shapes.get(1)?.as_deref()?;
        let [outputs, depth, kernel @ ..] = weights else {
            return Some(format!("its weights have shape {weights:?}"));
        };
        let groups = usize::try_from(proto.int("group").unwrap_or(1)).unwrap_or(0);
        if groups == 0 || depth.saturating_mul(groups) != *channels || outputs % groups != 0 {
            return Some(format!("weights of shape {weights:?} do not fit {channels} channels"));
        }
        if listed("kernel_shape").is_some_and(|k| k != kernel) {
            return Some("its kernel_shape is not that of its weights".into());
        }
        kernel.to_vec()
    } else {
        listed("kernel_shape").unwrap_or_default()
    };
    let count = spatial.len();
    let sizes = |name: &str, n: usize, default: usize| {
        listed(name).map_or(Some(vec![default; n]), |v| (v.len() == n).then_some(v))
    };
    let (Some(_), Some(dilations), Some(pads)) =
        (sizes("strides", count, 1), sizes("dilations", count, 1), sizes("pads", 2 * count, 0))
    else {
        return Some(format!("its window is not one of {count} axes"));
    };
    if kernel.len() != count {
        return Some(format!("a kernel of {} axes for an input of {count}", kernel.len()));
    }
    let same = proto.text("auto_pad").is_some_and(|p| p.starts_with("SAME"));
    let (before, after) = pads.split_at(count);
    let axes = spatial.iter().zip(before).zip(after).zip(kernel.iter().zip(&dilations));
    for (((size, before), after), (kernel, dilation)) in axes {
        let reach = kernel.saturating_sub(1).saturating_mul(*dilation).saturating_add(1);
        if *size == 0 || *kernel == 0 || (!same && size + before + after < reach) {
            return Some("its window is larger than its padded input".into());
        }
    }
    None
}
