//! Every run starts from the initial state.
//!
//! The float runtime is made for streams: it keeps the hidden state of a recurrence from one run to
//! the next. In ONNX every run starts from the initial state, and here many devices share a model.
//! Recurrent operators are therefore set to reset in every run. Operators with any other state are
//! refused.

use super::error_text::OWN_PREFIX;
use std::sync::Arc;
use tract_onnx::prelude::{IntoTValue, TVec, Tensor, TractResult, TypedModel, TypedSimplePlan};
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::scan::{OptScan, Scan};
use tract_onnx::tract_hir::internal::bail;

/// Sets every recurrence to start from its initial state in every run, also those inside others.
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

/// Refuses a plan that keeps anything else from one run to the next, and one whose recurrences fail
/// to run: the float runtime checks some shapes only then.
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
        Err(_) => bail!("{OWN_PREFIX}a recurrence in it does not run with these shapes: unroll it"),
    }
}

/// Whether the plan has state that is reset in every run. Other state is an error.
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
            bail!("{OWN_PREFIX}node {:?} keeps something from one run to the next", node.name);
        }
    }
    Ok(any)
}
