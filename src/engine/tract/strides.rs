//! Slices with a step, rewritten as gathers.
//!
//! The optimizer of the float runtime moves a step up through the graph: into a convolution, where
//! it loses the first element of the step, or over a recurrence, whose skipped steps it loses. A
//! gather of the selected elements is equivalent and stays in place.

use super::error_text::OWN_PREFIX;
use tract_onnx::prelude::{TractResult, TypedModel};
use tract_onnx::tract_core::model::TypedModelPatch;
use tract_onnx::tract_core::ops::TypedOp;
use tract_onnx::tract_core::ops::array::{Gather, StridedSlice};
use tract_onnx::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::scan::Scan;
use tract_onnx::tract_hir::internal::{OutletId, SpecialOps, bail, tensor1};

/// Replaces slices with a step in `model` and in the models inside it.
pub(super) fn replace_steps(model: &mut TypedModel) -> TractResult<()> {
    // Replacements are added at the end.
    let mut next = 0;
    while next < model.nodes().len() {
        let id = next;
        next += 1;
        if let Some(slice) = model.node(id).op_as::<StridedSlice>().cloned() {
            split_slice(model, id, &slice)?;
        }
        if let Some(step) = model.node(id).op_as::<Downsample>().cloned() {
            replace_step(model, id, &step)?;
        }
        let node = model.node_mut(id);
        if let Some(scan) = node.op_as_mut::<Scan>() {
            replace_steps(&mut scan.body)?;
        } else if let Some(branches) = node.op_as_mut::<IfThenElse>() {
            replace_steps(&mut branches.then_body)?;
            replace_steps(&mut branches.else_body)?;
        }
    }
    Ok(())
}

/// Splits a slice into parts, one of which is the step.
fn split_slice(model: &mut TypedModel, id: usize, slice: &StridedSlice) -> TractResult<()> {
    let inputs = model.node(id).inputs.clone();
    let Some(steps) = slice.optional_steps_input else { return Ok(()) };
    let constants: Vec<_> = inputs
        .iter()
        .map(|outlet| constant_integers(model, *outlet))
        .collect::<TractResult<_>>()?;
    let constant = |i: usize| constants.get(i).and_then(Option::as_ref);
    if constant(steps).is_some_and(|steps| steps.iter().all(|&s| s == 1)) {
        return Ok(());
    }
    if [1, 2, steps].into_iter().any(|i| constant(i).is_none()) {
        bail!(
            "{OWN_PREFIX}node {:?} (Slice): its bounds or steps are not constants",
            model.node(id).name
        );
    }
    match slice.declutter(model, model.node(id))? {
        Some(patch) => patch.apply(model),
        None => Ok(()),
    }
}

/// The integers of a value, if it is a constant of integers.
fn constant_integers(model: &TypedModel, outlet: OutletId) -> TractResult<Option<Vec<i64>>> {
    let Some(tensor) = &model.outlet_fact(outlet)?.konst else { return Ok(None) };
    let Ok(tensor) = tensor.cast_to::<i64>() else { return Ok(None) };
    Ok(Some(tensor.try_as_plain_ram()?.as_slice::<i64>()?.to_vec()))
}

fn replace_step(model: &mut TypedModel, id: usize, step: &Downsample) -> TractResult<()> {
    let node = model.node(id);
    let (name, outlets) = (node.name.clone(), node.inputs.clone());
    let fact = model.outlet_fact(*outlets.first().unwrap_or(&id.into()))?;
    let Some(size) = fact.shape.get(step.axis).and_then(|d| d.to_i64().ok()) else { return Ok(()) };
    let stride = step.stride as i64;
    let begin = if stride < 0 { size - 1 } else { i64::try_from(step.modulo)? };
    let inside = |i: &i64| (0..size).contains(i);
    let selected =
        std::iter::successors(Some(begin).filter(inside), |i| Some(i + stride).filter(inside));
    let selected: Vec<i64> = selected.collect();
    let mut patch = TypedModelPatch::default();
    let from = patch.taps(model, &outlets)?;
    let list = patch.add_const(format!("{name}#selected"), tensor1(&selected))?;
    let from = from.first().copied().into_iter().chain([list]).collect::<Vec<_>>();
    let made = patch.wire_node(&name, Gather::new(step.axis), &from)?;
    for to in made {
        patch.shunt_outside(model, id.into(), to)?;
    }
    patch.apply(model)
}
