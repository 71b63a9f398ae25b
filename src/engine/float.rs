//! The float runtime: graphs, or parts of graphs, that run in tract as they are.

use super::error::{LoadError, RunError};
use super::{sound, spec, stateless, strides, translate};
use crate::tensor::{Data, Dtype};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::{
    Datum, DatumType, Framework, InferenceModelExt, IntoRunnable, IntoTValue, TValue, TVec,
    Tensor as TractTensor, TractError, TractResult, TypedSimplePlan, TypedSimpleState,
};

/// A graph compiled by tract.
#[derive(Debug)]
pub(super) struct FloatGraph {
    plan: Arc<TypedSimplePlan>,
    /// Element type and shape of each output.
    pub outputs: Vec<(Dtype, Vec<usize>)>,
}

/// The running state of a [`FloatGraph`].
pub(super) type FloatState = TypedSimpleState;

impl FloatGraph {
    /// Compiles `graph`, whose inputs are declared with fixed shapes. `header` carries the
    /// operator sets.
    pub(super) fn new(
        header: &ModelProto,
        graph: GraphProto,
        onnx: &Onnx,
    ) -> Result<Self, LoadError> {
        let names: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
        let model = ModelProto {
            opset_import: header.opset_import.clone(),
            ir_version: header.ir_version,
            graph: Some(graph),
            ..ModelProto::default()
        };
        let plan = fenced(|| {
            let mut parsed = onnx.model_for_proto_model(&model)?;
            parsed.analyse(false)?;
            model.graph.iter().try_for_each(|graph| sound::check(graph, &parsed))?;
            let mut typed = parsed.into_typed()?;
            stateless::reset_every_run(&mut typed);
            strides::as_lists(&mut typed)?;
            let plan = typed.into_optimized()?.into_runnable()?;
            stateless::check(&plan)?;
            Ok(plan)
        })
        .map_err(|text| match &model.graph {
            Some(graph) => translate::load_error(graph, &text),
            None => LoadError::Float(text),
        })?;
        let outputs = names.iter().enumerate().map(|(i, n)| output_type(&plan, i, n));
        let outputs = outputs.collect::<Result<_, _>>()?;
        Ok(Self { plan, outputs })
    }

    /// A fresh state.
    pub(super) fn state(&self) -> Result<FloatState, RunError> {
        fenced(|| self.plan.spawn()).map_err(|text| translate::run_error(&text))
    }
}

fn output_type(
    plan: &TypedSimplePlan,
    index: usize,
    name: &str,
) -> Result<(Dtype, Vec<usize>), LoadError> {
    let refuse = |reason: String| LoadError::Output { name: name.to_owned(), reason };
    let fact = plan.model().output_fact(index);
    let fact = fact.map_err(|_| refuse("nothing in the model makes it".into()))?;
    let shape = fact.shape.as_concrete().ok_or_else(|| {
        refuse(
            "its shape depends on the values that go in: export the model without what selects \
             results (NonMaxSuppression, NonZero, Compress), or give symbolic dimensions in dims \
             of the model card"
                .into(),
        )
    })?;
    let dtype = match fact.datum_type {
        DatumType::F32 => Dtype::F32,
        DatumType::F64 => Dtype::F64,
        DatumType::I8 => Dtype::I8,
        DatumType::U8 => Dtype::U8,
        DatumType::I16 => Dtype::I16,
        DatumType::U16 => Dtype::U16,
        DatumType::I32 => Dtype::I32,
        DatumType::I64 | DatumType::TDim => Dtype::I64,
        DatumType::Bool => Dtype::Bool,
        DatumType::F16 => return Err(refuse(spec::unsupported("FLOAT16"))),
        DatumType::String => return Err(refuse(spec::unsupported("STRING"))),
        _ => return Err(refuse(spec::unsupported("of the output"))),
    };
    Ok((dtype, shape.to_vec()))
}

/// Runs a state once. What a failed run left behind is dropped, so that the next one starts as the
/// first did.
pub(super) fn run(state: &mut FloatState, inputs: TVec<TValue>) -> Result<TVec<TValue>, RunError> {
    fenced(|| state.run(inputs)).or_else(|text| {
        *state = fenced(|| state.plan().spawn()).map_err(|text| translate::run_error(&text))?;
        Err(translate::run_error(&text))
    })
}

/// A copy of `data` as the float runtime takes it.
pub(super) fn value(shape: &[usize], data: &Data) -> Result<TValue, RunError> {
    crate::each_dtype!(data, v => slice(shape, v))
}

/// A copy of a slice as the float runtime takes it.
pub(super) fn slice<T: Datum + Copy>(shape: &[usize], values: &[T]) -> Result<TValue, RunError> {
    TractTensor::from_shape(shape, values).map(IntoTValue::into_tvalue).map_err(failed)
}

/// A u8 tensor of bytes that are stored with 128 taken off.
pub(super) fn unsigned(shape: &[usize], values: &[i8]) -> Result<TValue, RunError> {
    let values: Vec<u8> = values.iter().map(|&v| v.cast_unsigned() ^ 0x80).collect();
    slice(shape, &values)
}

/// Copies a result of the float runtime.
pub(super) fn copy_to<T: Datum + Copy>(value: &TValue, to: &mut [T]) -> Result<(), RunError> {
    let view = value.try_as_plain_ram().map_err(failed)?;
    copy_slice(view.as_slice().map_err(failed)?, to)
}

/// Copies a u8 result of the float runtime with 128 taken off.
pub(super) fn copy_unsigned(value: &TValue, to: &mut [i8]) -> Result<(), RunError> {
    let view = value.try_as_plain_ram().map_err(failed)?;
    let from: &[u8] = view.as_slice().map_err(failed)?;
    if from.len() != to.len() {
        return copy_slice(from, &mut []);
    }
    to.iter_mut().zip(from).for_each(|(y, &x)| *y = (x ^ 0x80).cast_signed());
    Ok(())
}

fn failed(error: TractError) -> RunError {
    translate::run_error(&format!("{error:#}"))
}

/// Copies a result of the float runtime into `data`, which has the type [`FloatGraph::outputs`] says.
pub(super) fn copy_out(value: &TValue, data: &mut Data) -> Result<(), RunError> {
    if value.datum_type() == DatumType::TDim {
        let cast = value.cast_to::<i64>().map_err(failed)?.into_owned();
        return copy_out(&cast.into_tvalue(), data);
    }
    crate::each_dtype!(data, v => copy_to(value, v))
}

fn copy_slice<T: Copy>(from: &[T], to: &mut [T]) -> Result<(), RunError> {
    if from.len() != to.len() {
        let reason = format!("a result has {} elements, not {}", from.len(), to.len());
        return Err(RunError::Float(reason));
    }
    to.copy_from_slice(from);
    Ok(())
}

/// Calls into tract, which may panic on graphs it did not expect: that must not end the program.
fn fenced<T>(f: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    quiet::hush();
    let was = quiet::FENCED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(f));
    quiet::FENCED.set(was);
    match outcome {
        Ok(result) => result.map_err(|e| format!("{e:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}", text.unwrap_or("without a message")))
        }
    }
}

/// A panic that becomes a refusal is told once, in the refusal: not on standard error as well.
mod quiet {
    use std::cell::Cell;
    use std::panic;
    use std::sync::Once;

    thread_local! {
        /// Whether a panic of this thread is about to be caught.
        pub(super) static FENCED: Cell<bool> = const { Cell::new(false) };
    }

    /// Puts a hook before the one there is that is silent behind the fence.
    pub(super) fn hush() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !FENCED.get() {
                    usual(info);
                }
            }));
        });
    }
}
