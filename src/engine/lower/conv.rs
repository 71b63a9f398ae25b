//! Convolutions, and the geometry of windows.

use super::context::{LowerResult, Lowering, run_in_float};
use super::plan_builder::ElementKind;
use super::slices::per_channel;
use super::value::{
    AccumulatorScale, Affine, Deferred, DeferredOp, Kind, Matrix, OpKind, Product, ResultLayout,
    Value, Weights, ZeroPoint,
};
use crate::engine::graph::{MAX_TENSOR_ELEMENTS, Node, reals};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use crate::engine::window_attributes::{WindowAttributes, sizes};
use inferd_kernels::{ConvGeometry, MAX_SAFE_DEPTH, WeightsError};
use std::rc::Rc;

/// The largest size of a window or an input along an axis; keeps all sums of sizes within 32 bits.
const MAX_AXIS_SIZE: usize = 1 << 20;

impl Lowering<'_> {
    pub(super) fn conv(&mut self, node: &ExpandedNode) -> LowerResult {
        let Value::Deferred(Deferred::Affine(input)) = self.value(node, 0)?.clone() else {
            return run_in_float("its input is not quantized");
        };
        let Value::Deferred(Deferred::Weights(weights)) = self.value(node, 1)?.clone() else {
            return run_in_float("its weights are not quantized constants");
        };
        let unit = AccumulatorScale::Fixed(units(input.scale, &weights.scales));
        let mut product =
            self.convolution(node, &input.view, ZeroPoint::Fixed(input.zero), &weights, unit)?;
        if let Some(bias) = self.optional(node, 2).cloned() {
            self.add_bias(&mut product, &bias, 1.0)?;
        }
        check_overflow(&product)?;
        let shape = product.result.shape.clone();
        let deferred = DeferredOp::new(OpKind::Product(Rc::new(product)), shape);
        self.set(node, Value::Deferred(Deferred::Op(deferred)));
        Ok(())
    }

    /// The integer sums of a convolution.
    pub(super) fn convolution(
        &mut self,
        node: &ExpandedNode,
        input: &TensorView,
        zero: ZeroPoint,
        weights: &Weights,
        unit: AccumulatorScale,
    ) -> LowerResult<Product> {
        let (rank, shape) = (input.shape.len(), &weights.tensor.shape);
        if shape.len() != rank {
            let reason =
                format!("weights of shape {shape:?} for an input of shape {:?}", input.shape);
            return Err(self.refuse(node, reason).into());
        }
        let ([batch, channels, spatial @ ..], [outputs, depth, kernel @ ..]) =
            (input.shape.as_slice(), shape.as_slice())
        else {
            return run_in_float("its input has no channels");
        };
        let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        if groups == 0 || depth * groups != *channels || outputs % groups != 0 || *outputs == 0 {
            let reason = format!(
                "weights of shape {shape:?} do not fit {channels} channels in {groups} groups"
            );
            return Err(self.refuse(node, reason).into());
        }
        if weights.scales.len() > 1 && weights.axis != 0 {
            return run_in_float("its weights have scales along another axis than their outputs");
        }
        let window = window(node, spatial, kernel, *channels)?;
        let taps = window.taps();
        let Some(matrix) = rows_of_taps(weights, *depth, taps) else {
            return run_in_float("its weights are not of bytes");
        };
        let view = self.channels_last(input);
        let result = channels_last_result(*batch, *outputs, &window, rank);
        let matrix = Rc::new(matrix);
        let depthwise = groups == *channels && outputs == channels;
        let kind = if depthwise {
            Kind::Depthwise { matrix, window }
        } else {
            Kind::Conv { matrix, window, groups }
        };
        Ok(Product {
            input: view,
            zero,
            kind,
            batch: *batch,
            result,
            axis: 1,
            columns: *outputs,
            unit,
            bias: None,
            offset: None,
        })
    }

    /// The tensor with its second axis innermost in memory.
    pub(super) fn channels_last(&mut self, view: &TensorView) -> TensorView {
        let order = channels_last_order(view.shape.len());
        self.builder.ordered(view, &order, ElementKind::Bytes)
    }

    /// Adds `factor` times a constant per column to the product.
    pub(super) fn add_bias(&self, product: &mut Product, bias: &Value, factor: f64) -> LowerResult {
        if matches!(product.kind, Kind::Matmul { .. })
            || matches!(product.unit, AccumulatorScale::None)
        {
            return run_in_float("something is added to it");
        }
        let (reals, scaled) = match bias {
            Value::Constant(tensor) => (reals(tensor), None),
            Value::Deferred(Deferred::Weights(weights)) => (Some(weights.reals()), Some(weights)),
            _ => return run_in_float("its bias is not a constant"),
        };
        let Some(reals) = reals else { return run_in_float("its bias is not of numbers") };
        if reals.len() != 1 && reals.len() != product.columns {
            return run_in_float("its bias is not one per channel");
        }
        if let Some(weights) = scaled.filter(|_| factor == 1.0)
            && let crate::tensor::Data::I32(values) = &weights.tensor.data
            && let AccumulatorScale::Fixed(units) = &product.unit
        {
            if !same_scales(&weights.scales, units) {
                return run_in_float(
                    "the scale of its bias is not that of its input times that of its weights",
                );
            }
            let own = product.bias.as_deref();
            let sum = (0..product.columns).map(|c| {
                let value = per_channel(values, c)?.checked_sub(per_channel(&weights.zeros, c)?)?;
                own.map_or(0, |b| b.get(c).copied().unwrap_or(0)).checked_add(value)
            });
            let Some(sum) = sum.collect::<Option<Vec<i32>>>() else {
                return run_in_float("its bias is beyond 32 bits");
            };
            product.bias = Some(Rc::new(sum));
            return Ok(());
        }
        let own = product.offset.as_deref();
        let sum = (0..product.columns).map(|c| {
            let value = per_channel(&reals, c).unwrap_or(0.0);
            own.map_or(0.0, |o| o.get(c).copied().unwrap_or(0.0)) + factor * value
        });
        product.offset = Some(Rc::new(sum.collect()));
        Ok(())
    }
}

/// The real numbers that one unit of each accumulator stands for.
pub(super) fn units(input: f32, weights: &[f32]) -> Rc<Vec<f64>> {
    Rc::new(weights.iter().map(|&w| f64::from(input) * f64::from(w)).collect())
}

/// Whether a bias has the scale of the accumulators. Exporters round the product of the scales to a
/// float.
fn same_scales(bias: &[f32], units: &[f64]) -> bool {
    let count = bias.len().max(units.len());
    (0..count).all(|i| match (per_channel(bias, i), per_channel(units, i)) {
        (Some(b), Some(u)) => (f64::from(b) / u - 1.0).abs() < 1e-6,
        _ => false,
    })
}

/// Checks that no input can overflow the 32-bit accumulators.
pub(super) fn check_overflow(product: &Product) -> LowerResult {
    let checked = match &product.kind {
        Kind::Dense { matrix, .. } | Kind::Conv { matrix, .. } | Kind::Depthwise { matrix, .. } => {
            let bias = product.bias.as_deref().map(Vec::as_slice);
            matrix.weights(product.columns, bias, 0).check(matrix.depth)
        }
        Kind::Matmul { size: [_, k, _], .. } if *k > MAX_SAFE_DEPTH => {
            return run_in_float("a 32-bit sum of it could overflow");
        }
        Kind::Matmul { .. } => Ok(()),
    };
    match checked {
        Err(WeightsError::Overflow { output }) => {
            run_in_float(format!("the 32-bit sum of its output {output} could overflow"))
        }
        // Other errors are reported when the kernel is made.
        _ => Ok(()),
    }
}

impl Matrix {
    /// The matrix as the kernels take it.
    pub(super) fn weights<'a>(
        &'a self,
        outputs: usize,
        bias: Option<&'a [i32]>,
        input_zero: i8,
    ) -> inferd_kernels::Weights<'a> {
        let (values, zeros) = (&self.values, &self.zeros);
        inferd_kernels::Weights { values, outputs, zeros, bias, input_zero }
    }
}

/// Weights `[output][channel][tap]` as rows of `[tap][channel]`.
fn rows_of_taps(weights: &Weights, depth: usize, taps: usize) -> Option<Matrix> {
    let (values, zeros) = matrix_parts(weights)?;
    let rows = values.chunks_exact((depth * taps).max(1));
    let moved = rows.flat_map(|row| {
        (0..taps).flat_map(move |t| row.iter().skip(t).step_by(taps.max(1)).copied())
    });
    let moved: Vec<i8> = if depth == 1 || taps == 1 { values.clone() } else { moved.collect() };
    Some(Matrix { values: moved, zeros, depth: depth * taps })
}

/// The bytes of weights and their zero points, both as stored.
pub(super) fn matrix_parts(weights: &Weights) -> Option<(Vec<i8>, Vec<i8>)> {
    let (values, unsigned) = super::weights::bytes(&weights.tensor)?;
    let zeros = weights.zeros.iter().map(|&z| super::value::QuantizedTensor::shift(unsigned, z));
    Some((values, zeros.collect::<Option<_>>()?))
}

pub(super) fn channels_last_order(rank: usize) -> Vec<usize> {
    [0].into_iter().chain(2..rank).chain([1]).take(rank).collect()
}

/// Shape and axis order of the result of a window over a batch.
pub(super) fn channels_last_result(
    batch: usize,
    channels: usize,
    window: &ConvGeometry,
    rank: usize,
) -> ResultLayout {
    let [height, width] = window.output;
    let spatial: &[usize] = if rank == 3 { &[width] } else { &[height, width] };
    let shape = [batch, channels].iter().chain(spatial).copied().collect();
    ResultLayout { shape, order: channels_last_order(rank) }
}

/// The window of a convolution or pool over one or two spatial axes.
pub(super) fn window(
    node: &Node,
    spatial: &[usize],
    kernel: &[usize],
    channels: usize,
) -> LowerResult<ConvGeometry> {
    let pair = |sizes: &[usize]| match *sizes {
        [w] => Some([1, w]),
        [h, w] => Some([h, w]),
        _ => None,
    };
    let (Some(input), Some(kernel_size)) = (pair(spatial), pair(kernel)) else {
        return run_in_float(format!("it has {} spatial axes", spatial.len()));
    };
    if sizes(node, "kernel_shape").or_else(run_in_float)?.is_some_and(|shape| shape != kernel) {
        return run_in_float("its kernel_shape is not that of its weights");
    }
    let attributes = WindowAttributes::read(node, spatial.len()).or_else(run_in_float)?;
    let stride = pair(&attributes.strides).unwrap_or([1, 1]);
    let dilation = pair(&attributes.dilations).unwrap_or([1, 1]);
    let all = [input, kernel_size, stride, dilation];
    if !all.iter().flatten().all(|&v| v > 0 && v <= MAX_AXIS_SIZE) {
        return run_in_float("a size of its window is zero or too large");
    }
    let mut window = ConvGeometry {
        input,
        channels,
        output: [1, 1],
        kernel: kernel_size,
        stride,
        dilation,
        pad: [0, 0],
    };
    let rounds_up = node.int("ceil_mode").unwrap_or(0) != 0;
    let first = 2 - spatial.len();
    for axis in 0..spatial.len() {
        place(&attributes, axis, rounds_up, &mut window, first + axis)?;
    }
    Ok(window)
}

/// Sets output size and padding along one spatial axis, which is axis `to` (0: height, 1: width) of
/// the window.
#[expect(clippy::indexing_slicing, reason = "the axis is 0 or 1, of arrays of two")]
fn place(
    attributes: &WindowAttributes,
    axis: usize,
    rounds_up: bool,
    window: &mut ConvGeometry,
    to: usize,
) -> LowerResult {
    let (input, kernel, stride) = (window.input[to], window.kernel[to], window.stride[to]);
    let extent = attributes.extent(axis, kernel);
    let padded = attributes.padded(axis, input, kernel).filter(|&p| p <= 2 * MAX_AXIS_SIZE);
    let Some(padded) = padded else {
        return run_in_float("its window is larger than its padded input, or that is too large");
    };
    if rounds_up && !(padded - extent).is_multiple_of(stride) {
        return run_in_float("its ceil_mode adds an output");
    }
    window.output[to] = (padded - extent) / stride + 1;
    window.pad[to] = attributes.padding(axis, input, kernel).0;
    let volume = window.output.iter().zip(window.stride).map(|(o, s)| o * s + extent);
    if volume.fold(window.channels, usize::saturating_mul) > MAX_TENSOR_ELEMENTS {
        return run_in_float("its padded input is too large");
    }
    Ok(())
}

/// The affine tensor that a value is; none for other values.
pub(super) fn affine(value: &Value) -> Option<&Affine> {
    match value {
        Value::Deferred(Deferred::Affine(affine)) => Some(affine),
        _ => None,
    }
}
