//! Every run starts from the initial state.
//!
//! The float runtime was made for streams: it keeps the hidden state of a recurrence from one run to
//! the next, and takes the initial state once. ONNX takes it in every run, and here one model serves
//! many devices. So its operators are told to start from the initial state each time, which costs
//! nothing where there are none. What keeps anything else is refused.

use super::translate::OWN;
use std::sync::Arc;
use tract_onnx::prelude::{IntoTValue, TVec, Tensor, TractResult, TypedModel, TypedSimplePlan};
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::scan::{OptScan, Scan};
use tract_onnx::tract_hir::internal::bail;

/// Has every recurrence start from its initial state in every run, also those inside others.
pub(super) fn reset_every_run(model: &mut TypedModel) {
    for node in model.nodes_mut() {
        if let Some(scan) = node.op_as_mut::<Scan>() {
            scan.reset_every_turn = true;
            reset_every_run(&mut scan.body);
        } else if let Some(gru) = node.op_as_mut::<GruSeq>() {
            gru.reset_every_turn = true;
        } else if let Some(branches) = node.op_as_mut::<IfThenElse>() {
            reset_every_run(&mut branches.then_body);
            reset_every_run(&mut branches.else_body);
        }
    }
}

/// Refuses a plan that holds anything else from one run to the next, and one whose recurrence does not
/// run: the float runtime finds out about some shapes only then.
pub(super) fn check(plan: &Arc<TypedSimplePlan>) -> TractResult<()> {
    if !holds(plan)? {
        return Ok(());
    }
    let model = plan.model();
    let mut inputs = TVec::new();
    for &outlet in model.input_outlets()? {
        let fact = model.outlet_fact(outlet)?;
        let Some(shape) = fact.shape.as_concrete() else { return Ok(()) };
        inputs.push(Tensor::zero_dt(fact.datum_type, shape)?.into_tvalue());
    }
    match plan.spawn()?.run(inputs) {
        Ok(_) => Ok(()),
        Err(_) => bail!("{OWN}a recurrence of it does not run with these shapes: unroll it"),
    }
}

/// Whether the plan holds anything from one run to the next that each run begins anew.
fn holds(plan: &Arc<TypedSimplePlan>) -> TractResult<bool> {
    let (state, mut any) = (plan.spawn()?, false);
    for (node, held) in plan.model().nodes().iter().zip(&state.op_states) {
        if held.is_none() {
            continue;
        }
        any = true;
        if let Some(scan) = node.op_as::<OptScan>()
            && scan.reset_every_turn
        {
            holds(&scan.plan)?;
        } else if !node.op_as::<GruSeq>().is_some_and(|gru| gru.reset_every_turn) {
            bail!("{OWN}node {:?} keeps something from one run to the next", node.name);
        }
    }
    Ok(any)
}
