//! Steps for deferred operators, with the quantization of their results or in float.

use super::context::{LowerResult, Lowering, run_in_float};
use super::plan_builder::ElementKind;
use super::quantization::at;
use super::slices::per_channel;
use super::target::Target;
use super::value::{
    AccumulatorScale, Affine, Average, Deferred, DeferredOp, Kind, Matrix, OpKind, Product,
    ResultLayout, ShapeOp, ZeroPoint,
};
use crate::engine::plan::{self, BufferSlice, Epilogue, Kernel, Operation, Step};
use crate::engine::tensor_view::TensorView;
use inferd_kernels::{
    AveragePool, Conv, Dense, Depthwise, Layout, Matmul, OutputQuant, Requant, Softmax, Table,
    Term, WeightsError,
};

/// The largest error of a float bias that is rounded to accumulator units, in steps of the output.
/// A bias with a larger error is added in float.
const MAX_BIAS_ERROR: f64 = 1.0 / 64.0;

impl Lowering<'_> {
    /// The lazy value quantized.
    pub(super) fn emit(
        &mut self,
        deferred: &DeferredOp,
        target: Target,
    ) -> LowerResult<TensorView> {
        let narrowed = target.narrowed(deferred.clamp);
        let fit = narrowed.fit;
        let scale = target.scale;
        let made = match &deferred.op {
            OpKind::Product(product) => self.emit_product(product, narrowed)?,
            OpKind::Add(a, b) => self.emit_add([a, b], [1.0, 1.0], scale, fit)?,
            OpKind::Sub(a, b) => self.emit_add([a, b], [1.0, -1.0], scale, fit)?,
            OpKind::Mul(a, b) => {
                let ratio = ratio(f64::from(a.scale) * f64::from(b.scale), scale)?;
                let operation = Operation::Mul { zeros: [a.zero, b.zero], ratio, fit };
                self.builder.emit_step_like(operation, &[&a.view, &b.view], ElementKind::Bytes)
            }
            OpKind::AveragePool(average) => self.emit_average(average, scale, fit)?,
            OpKind::Softmax(input, row) => {
                let softmax = Softmax::new(input.scale);
                let operation =
                    Operation::Softmax { softmax, row: *row, quantized: Some((scale, fit)) };
                self.builder.emit_step_like(operation, &[&input.view], ElementKind::Bytes)
            }
            OpKind::Concat(parts, axis) => self.emit_concat(parts, *axis, narrowed)?,
        };
        Ok(self.moved(made, &deferred.moves, ElementKind::Bytes))
    }

    /// The lazy value in float; none if no kernel makes that.
    pub(super) fn emit_float(&mut self, deferred: &DeferredOp) -> LowerResult<Option<TensorView>> {
        let made = match &deferred.op {
            OpKind::Product(product) => self.emit_product_float(product, deferred.clamp)?,
            OpKind::Softmax(input, row) if deferred.clamp == (f64::NEG_INFINITY, f64::INFINITY) => {
                let softmax = Softmax::new(input.scale);
                let operation = Operation::Softmax { softmax, row: *row, quantized: None };
                self.builder.emit_step_like(operation, &[&input.view], ElementKind::Floats)
            }
            _ => return Ok(None),
        };
        Ok(Some(self.moved(made, &deferred.moves, ElementKind::Floats)))
    }

    fn moved(&mut self, view: TensorView, moves: &[ShapeOp], kind: ElementKind) -> TensorView {
        moves.iter().fold(view, |view, step| match step {
            ShapeOp::Transpose(perm) => view.transposed(perm),
            ShapeOp::Reshape(shape) => self.builder.reshaped(&view, shape, kind),
        })
    }

    fn emit_add(
        &mut self,
        [a, b]: [&Affine; 2],
        signs: [f64; 2],
        scale: f32,
        fit: OutputQuant,
    ) -> LowerResult<TensorView> {
        let term = |x: &Affine, sign: f64| -> LowerResult<Term> {
            Ok(Term { zero: x.zero, ratio: ratio(sign * f64::from(x.scale), scale)? })
        };
        let [sign_a, sign_b] = signs;
        let terms = [term(a, sign_a)?, term(b, sign_b)?];
        let operation = Operation::Add { terms, fit };
        Ok(self.builder.emit_step_like(operation, &[&a.view, &b.view], ElementKind::Bytes))
    }

    fn emit_average(
        &mut self,
        average: &Average,
        scale: f32,
        fit: OutputQuant,
    ) -> LowerResult<TensorView> {
        let input = &average.input;
        let pool = AveragePool {
            window: average.window.clone(),
            input_zero: input.zero,
            ratio: ratio(f64::from(input.scale), scale)?,
            include_pad: average.include_pad,
            quant: fit,
        };
        let operation = Operation::AveragePool { pool, batch: average.batch };
        let ResultLayout { shape, order } = &average.result;
        Ok(self.builder.emit_step(operation, &[&input.view], ElementKind::Bytes, shape, order))
    }

    /// Copies each part to its place, converted to the target's scale and zero point.
    fn emit_concat(
        &mut self,
        parts: &[Deferred],
        axis: usize,
        target: Target,
    ) -> LowerResult<TensorView> {
        let mut sources = Vec::new();
        for part in parts {
            sources.push(match part {
                Deferred::Affine(a) if a.scale == target.scale && a.zero == target.fit.zero => {
                    let free = target.fit == OutputQuant::full(target.fit.zero);
                    (a.view.clone(), (!free).then(|| Table::new(|x| target.store(a.real(x)))))
                }
                Deferred::Table { view, values } => {
                    (view.clone(), Some(Table::new(|x| target.store(at(values, x)))))
                }
                Deferred::Affine(_)
                | Deferred::Weights(_)
                | Deferred::Op(_)
                | Deferred::Float(_) => match self.as_affine(part) {
                    Some(a) => (a.view.clone(), Some(Table::new(|x| target.store(a.real(x))))),
                    None => return run_in_float("a part of it is not of bytes"),
                },
            });
        }
        Ok(self.builder.concat(&sources, axis))
    }

    fn emit_product(&mut self, product: &Product, target: Target) -> LowerResult<TensorView> {
        let AccumulatorScale::Fixed(units) = &product.unit else {
            // The scale is known only at run time, so that the result is computed in float first.
            let reals = self.emit_product_float(product, (f64::NEG_INFINITY, f64::INFINITY))?;
            let operation = Operation::Quantize { scale: target.scale, fit: target.fit };
            return Ok(self.builder.emit_step_like(operation, &[&reals], ElementKind::Bytes));
        };
        let step = f64::from(target.scale);
        let coarse = units.iter().any(|u| u / step > MAX_BIAS_ERROR);
        if product.offset.is_some() && coarse {
            let reals = self.emit_product_float(product, (f64::NEG_INFINITY, f64::INFINITY))?;
            let operation = Operation::Quantize { scale: target.scale, fit: target.fit };
            return Ok(self.builder.emit_step_like(operation, &[&reals], ElementKind::Bytes));
        }
        let Some(bias) = whole_bias(product, units) else {
            return run_in_float("its bias is beyond 32 bits");
        };
        let multipliers: Vec<f32> =
            units.iter().map(|u| ratio(*u, target.scale)).collect::<LowerResult<_>>()?;
        let epilogue = Epilogue::Bytes(Requant::new(&multipliers, product.columns, target.fit));
        self.push_product(product, bias.as_deref(), epilogue, ElementKind::Bytes)
    }

    fn emit_product_float(
        &mut self,
        product: &Product,
        clamp: (f64, f64),
    ) -> LowerResult<TensorView> {
        let spread = |values: &[f32]| match values {
            [one] => vec![*one; product.columns],
            _ => values.to_vec(),
        };
        let scales = match &product.unit {
            AccumulatorScale::None => return run_in_float("its sums are used as integers"),
            AccumulatorScale::One => vec![1.0; product.columns],
            AccumulatorScale::Fixed(units) => {
                spread(&units.iter().map(|&u| single(u)).collect::<Vec<_>>())
            }
            AccumulatorScale::Measured(_, factors) => spread(factors),
        };
        let offset = product.offset.as_ref().map(|o| o.iter().map(|&x| single(x)).collect());
        let bounded = clamp != (f64::NEG_INFINITY, f64::INFINITY);
        let clamp = bounded.then(|| (single(clamp.0), single(clamp.1)));
        let epilogue = Epilogue::Float { scales, bias: offset, clamp };
        let bias = product.bias.as_ref().map(|b| b.as_slice());
        self.push_product(product, bias, epilogue, ElementKind::Floats)
    }

    fn push_product(
        &mut self,
        product: &Product,
        bias: Option<&[i32]>,
        epilogue: Epilogue,
        kind: ElementKind,
    ) -> LowerResult<TensorView> {
        if product.result.len() == 0 || product.batch == 0 {
            return run_in_float("its result is empty");
        }
        let kernel = match self.kernel(product, bias) {
            Ok(kernel) => kernel,
            Err(error) => return run_in_float(error.to_string()),
        };
        let slot = match (&product.unit, product.zero) {
            (AccumulatorScale::Measured(slot, _), _) => Some(*slot),
            (_, ZeroPoint::Measured(slot)) => Some(slot),
            _ => None,
        };
        let right = match &product.kind {
            Kind::Matmul { right, .. } => Some(right),
            _ => None,
        };
        let ResultLayout { shape, order } = &product.result;
        let buffer = self.builder.buffer(kind, product.result.len());
        let to = BufferSlice { buffer, len: product.result.len() };
        let from = [&product.input].into_iter().chain(right);
        let from = from.map(|v| BufferSlice { buffer: v.buffer, len: v.len() }).collect();
        let product = plan::Product { kernel, batch: product.batch, slot, epilogue };
        let operation = Operation::Product(Box::new(product));
        self.builder.steps.push(Step { operation, from, to });
        Ok(TensorView { buffer, shape: shape.clone(), order: order.clone() })
    }

    fn kernel<'a>(
        &self,
        product: &'a Product,
        bias: Option<&'a [i32]>,
    ) -> Result<Kernel, WeightsError> {
        let isa = self.builder.isa;
        let input_zero = match product.zero {
            ZeroPoint::Fixed(zero) => zero,
            ZeroPoint::Measured(_) => 0,
        };
        let weights = |matrix: &'a Matrix| matrix.weights(product.columns, bias, input_zero);
        Ok(match &product.kind {
            Kind::Dense { matrix, rows } => {
                let pack = if *rows == 1 { Dense::for_one_row } else { Dense::new };
                Kernel::Dense { dense: pack(isa, &weights(matrix))?, rows: *rows }
            }
            Kind::Conv { matrix, window, groups } => {
                Kernel::Conv(Conv::new(isa, window, *groups, &weights(matrix))?)
            }
            Kind::Depthwise { matrix, window } => {
                Kernel::Depthwise(Depthwise::new(isa, window, &weights(matrix))?)
            }
            Kind::Matmul { zero, transposed, size, .. } => {
                let layout = if *transposed { Layout::Transposed } else { Layout::RowMajor };
                let matmul = Matmul::new(isa, *size, layout)?;
                Kernel::Matmul { matmul, zeros: [input_zero, *zero] }
            }
        })
    }
}

/// The bias in accumulator units, including the rounded float offset. None if it is beyond 32 bits.
fn whole_bias(product: &Product, units: &[f64]) -> Option<Option<Vec<i32>>> {
    let Some(offset) = &product.offset else {
        return Some(product.bias.as_ref().map(|b| b.to_vec()));
    };
    let whole = (0..product.columns).map(|c| {
        let unit = per_channel(units, c)?;
        let rounded = (offset.get(c)? / unit).round_ties_even();
        let own = product.bias.as_ref().and_then(|b| b.get(c)).copied().unwrap_or(0);
        let sum = rounded + f64::from(own);
        #[expect(clippy::cast_possible_truncation, reason = "checked in the same line")]
        (sum.abs() <= f64::from(i32::MAX)).then_some(sum as i32)
    });
    whole.collect::<Option<Vec<i32>>>().map(Some)
}

/// `scale / step` as a factor for the kernels.
fn ratio(scale: f64, step: f32) -> LowerResult<f32> {
    let ratio = single(scale / f64::from(step));
    if ratio.is_normal() { Ok(ratio) } else { run_in_float("its scales are too far apart") }
}

#[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
fn single(x: f64) -> f32 {
    x as f32
}
