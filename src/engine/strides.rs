//! Parts taken with a step, as the float runtime gets them right.
//!
//! Its optimizer moves a step up through the graph and into a convolution before it, where it forgets
//! which element the step begins with, or over a recurrence, where it forgets what that does with the
//! steps left out. A list of the elements wanted says the same and stays where it is.

use super::translate::OWN;
use tract_onnx::prelude::{TractResult, TypedModel};
use tract_onnx::tract_core::model::TypedModelPatch;
use tract_onnx::tract_core::ops::TypedOp;
use tract_onnx::tract_core::ops::array::{Gather, StridedSlice};
use tract_onnx::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::scan::Scan;
use tract_onnx::tract_hir::internal::{OutletId, SpecialOps, bail, tensor1};

/// Replaces steps in `model`, and in those inside it.
pub(super) fn as_lists(model: &mut TypedModel) -> TractResult<()> {
    // What is replaced is added behind.
    let mut next = 0;
    while next < model.nodes().len() {
        let id = next;
        next += 1;
        if let Some(slice) = model.node(id).op_as::<StridedSlice>().cloned() {
            apart(model, id, &slice)?;
        }
        if let Some(step) = model.node(id).op_as::<Downsample>().cloned() {
            as_list(model, id, &step)?;
        }
        let node = model.node_mut(id);
        if let Some(scan) = node.op_as_mut::<Scan>() {
            as_lists(&mut scan.body)?;
        } else if let Some(branches) = node.op_as_mut::<IfThenElse>() {
            as_lists(&mut branches.then_body)?;
            as_lists(&mut branches.else_body)?;
        }
    }
    Ok(())
}

/// A slice in parts, of which one is the step.
fn apart(model: &mut TypedModel, id: usize, slice: &StridedSlice) -> TractResult<()> {
    let inputs = model.node(id).inputs.clone();
    let Some(steps) = slice.optional_steps_input else { return Ok(()) };
    let constants: Vec<_> =
        inputs.iter().map(|outlet| known(model, *outlet)).collect::<TractResult<_>>()?;
    let constant = |i: usize| constants.get(i).and_then(Option::as_ref);
    if constant(steps).is_some_and(|steps| steps.iter().all(|&s| s == 1)) {
        return Ok(());
    }
    if [1, 2, steps].into_iter().any(|i| constant(i).is_none()) {
        bail!("{OWN}node {:?} (Slice): its bounds or steps are not constants", model.node(id).name);
    }
    match slice.declutter(model, model.node(id))? {
        Some(patch) => patch.apply(model),
        None => Ok(()),
    }
}

/// The whole numbers that a value is known to be.
fn known(model: &TypedModel, outlet: OutletId) -> TractResult<Option<Vec<i64>>> {
    let Some(tensor) = &model.outlet_fact(outlet)?.konst else { return Ok(None) };
    let Ok(tensor) = tensor.cast_to::<i64>() else { return Ok(None) };
    Ok(Some(tensor.try_as_plain_ram()?.as_slice::<i64>()?.to_vec()))
}

fn as_list(model: &mut TypedModel, id: usize, step: &Downsample) -> TractResult<()> {
    let node = model.node(id);
    let (name, outlets) = (node.name.clone(), node.inputs.clone());
    let fact = model.outlet_fact(*outlets.first().unwrap_or(&id.into()))?;
    let Some(size) = fact.shape.get(step.axis).and_then(|d| d.to_i64().ok()) else { return Ok(()) };
    let stride = step.stride as i64;
    let begin = if stride < 0 { size - 1 } else { i64::try_from(step.modulo)? };
    let inside = |i: &i64| (0..size).contains(i);
    let wanted =
        std::iter::successors(Some(begin).filter(inside), |i| Some(i + stride).filter(inside));
    let wanted: Vec<i64> = wanted.collect();
    let mut patch = TypedModelPatch::default();
    let from = patch.taps(model, &outlets)?;
    let list = patch.add_const(format!("{name}#wanted"), tensor1(&wanted))?;
    let from = from.first().copied().into_iter().chain([list]).collect::<Vec<_>>();
    let made = patch.wire_node(&name, Gather::new(step.axis), &from)?;
    for to in made {
        patch.shunt_outside(model, id.into(), to)?;
    }
    patch.apply(model)
}
