//! Convolutions, and the geometry of everything that slides a window.

use super::value::{
    Affine, Kind, Lazy, Matrix, Op, Product, Real, Shaped, Unit, Value, Weights, Zero,
};
use super::{Holds, Lower, Lowering, float};
use crate::engine::proto::Attributes;
use crate::engine::qoperator::Node;
use crate::engine::spec::MOST_ELEMENTS;
use crate::engine::view::View;
use inferd_kernels::ConvGeometry;
use std::rc::Rc;
use tract_onnx::pb::NodeProto;

/// Sizes beyond this are no sensor's; keeps all sums of them within 32 bits.
const LARGEST: usize = 1 << 20;

impl Lowering<'_> {
    pub(super) fn conv(&mut self, node: &Node) -> Lower {
        let Value::Real(Real::Affine(input)) = self.value(&node.proto, 0)?.clone() else {
            return float("its input is not quantized");
        };
        let Value::Real(Real::Weights(weights)) = self.value(&node.proto, 1)?.clone() else {
            return float("its weights are not quantized constants");
        };
        let unit = Unit::Fixed(units(input.scale, &weights.scales));
        let mut product =
            self.convolution(node, &input.view, Zero::Fixed(input.zero), &weights, unit)?;
        if let Some(bias) = self.optional(&node.proto, 2).cloned() {
            self.add_bias(&mut product, &bias, 1.0)?;
        }
        fits(&product)?;
        let shape = product.result.shape.clone();
        let lazy = Lazy::new(Op::Product(Rc::new(product)), shape);
        self.set(node, Value::Real(Real::Lazy(lazy)));
        Ok(())
    }

    /// The sums of a convolution of bytes.
    pub(super) fn convolution(
        &mut self,
        node: &Node,
        input: &View,
        zero: Zero,
        weights: &Weights,
        unit: Unit,
    ) -> Lower<Product> {
        let (rank, shape) = (input.shape.len(), &weights.tensor.shape);
        if shape.len() != rank {
            let reason =
                format!("weights of shape {shape:?} for an input of shape {:?}", input.shape);
            return Err(self.refuse(node, reason).into());
        }
        let ([batch, channels, spatial @ ..], [outputs, depth, kernel @ ..]) =
            (input.shape.as_slice(), shape.as_slice())
        else {
            return float("its input has no channels");
        };
        let groups = usize::try_from(node.proto.int("group").unwrap_or(1)).unwrap_or(0);
        if groups == 0 || depth * groups != *channels || outputs % groups != 0 || *outputs == 0 {
            let reason = format!(
                "weights of shape {shape:?} do not fit {channels} channels in {groups} groups"
            );
            return Err(self.refuse(node, reason).into());
        }
        if weights.scales.len() > 1 && weights.axis != 0 {
            return float("its weights have scales along another axis than their outputs");
        }
        let window = window(&node.proto, spatial, kernel, *channels)?;
        let taps = window.taps();
        let Some(matrix) = rows_of_taps(weights, *depth, taps) else {
            return float("its weights are not of bytes");
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
    pub(super) fn channels_last(&mut self, view: &View) -> View {
        let order = channels_last_order(view.shape.len());
        self.draft.ordered(view, &order, Holds::Bytes)
    }

    /// Adds `factor` times a constant, one per column, to the product.
    pub(super) fn add_bias(&self, product: &mut Product, bias: &Value, factor: f64) -> Lower {
        if matches!(product.kind, Kind::Matmul { .. }) || matches!(product.unit, Unit::None) {
            return float("something is added to it");
        }
        let (reals, scaled) = match bias {
            Value::Constant(tensor) => (crate::engine::constant::floats(tensor), None),
            Value::Real(Real::Weights(weights)) => (Some(weights.reals()), Some(weights)),
            _ => return float("its bias is not a constant"),
        };
        let Some(reals) = reals else { return float("its bias is not of numbers") };
        if reals.len() != 1 && reals.len() != product.columns {
            return float("its bias is not one per channel");
        }
        if let Some(weights) = scaled.filter(|_| factor == 1.0)
            && let crate::tensor::Data::I32(values) = &weights.tensor.data
            && let Unit::Fixed(units) = &product.unit
        {
            if !same_scales(&weights.scales, units) {
                return float(
                    "the scale of its bias is not that of its input times that of its weights",
                );
            }
            let own = product.bias.as_deref();
            let sum = (0..product.columns).map(|c| {
                let at =
                    |values: &[i32]| values.get(if values.len() == 1 { 0 } else { c }).copied();
                let value = at(values)?.checked_sub(at(&weights.zeros)?)?;
                own.map_or(0, |b| b.get(c).copied().unwrap_or(0)).checked_add(value)
            });
            let Some(sum) = sum.collect::<Option<Vec<i32>>>() else {
                return float("its bias is beyond 32 bits");
            };
            product.bias = Some(Rc::new(sum));
            return Ok(());
        }
        let own = product.offset.as_deref();
        let sum = (0..product.columns).map(|c| {
            let value = reals.get(if reals.len() == 1 { 0 } else { c }).copied().unwrap_or(0.0);
            own.map_or(0.0, |o| o.get(c).copied().unwrap_or(0.0)) + factor * value
        });
        product.offset = Some(Rc::new(sum.collect()));
        Ok(())
    }
}

/// What one unit of the accumulators is worth.
pub(super) fn units(input: f32, weights: &[f32]) -> Rc<Vec<f64>> {
    Rc::new(weights.iter().map(|&w| f64::from(input) * f64::from(w)).collect())
}

/// Tools write the product of the scales rounded to a float, or made in floats.
fn same_scales(bias: &[f32], units: &[f64]) -> bool {
    let count = bias.len().max(units.len());
    let at = |len: usize, i: usize| if len == 1 { 0 } else { i };
    (0..count).all(|i| match (bias.get(at(bias.len(), i)), units.get(at(units.len(), i))) {
        (Some(&b), Some(&u)) => (f64::from(b) / u - 1.0).abs() < 1e-6,
        _ => false,
    })
}

/// Whether no input can overflow the 32-bit accumulators.
pub(super) fn fits(product: &Product) -> Lower {
    let matrix = match &product.kind {
        Kind::Dense { matrix, .. } | Kind::Conv { matrix, .. } | Kind::Depthwise { matrix, .. } => {
            matrix
        }
        Kind::Matmul { size: [_, k, _], .. } => {
            let widest = i64::try_from(*k).unwrap_or(i64::MAX).saturating_mul(255 * 255);
            let fits = widest <= i64::from(i32::MAX);
            return if fits { Ok(()) } else { float("a 32-bit sum of it could overflow") };
        }
    };
    for (c, row) in matrix.values.chunks_exact(matrix.depth.max(1)).enumerate() {
        let zero = matrix.zeros.get(if matrix.zeros.len() == 1 { 0 } else { c });
        let zero = i64::from(zero.copied().unwrap_or(0));
        let reach: i64 = row.iter().map(|&w| 255 * (i64::from(w) - zero).abs()).sum();
        let bias = product.bias.as_ref().and_then(|b| b.get(c)).copied().unwrap_or(0);
        if reach + i64::from(bias).abs() > i64::from(i32::MAX) {
            return float(format!("the 32-bit sum of its output {c} could overflow"));
        }
    }
    Ok(())
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
    let zeros = weights.zeros.iter().map(|&z| super::value::Stored::shift(unsigned, z));
    Some((values, zeros.collect::<Option<_>>()?))
}

pub(super) fn channels_last_order(rank: usize) -> Vec<usize> {
    [0].into_iter().chain(2..rank).chain([1]).take(rank).collect()
}

/// Shape and order of what a window makes of a batch.
pub(super) fn channels_last_result(
    batch: usize,
    channels: usize,
    window: &ConvGeometry,
    rank: usize,
) -> Shaped {
    let [height, width] = window.output;
    let spatial: &[usize] = if rank == 3 { &[width] } else { &[height, width] };
    let shape = [batch, channels].iter().chain(spatial).copied().collect();
    Shaped { shape, order: channels_last_order(rank) }
}

/// The window of a convolution or pool over one or two spatial axes.
pub(super) fn window(
    proto: &NodeProto,
    spatial: &[usize],
    kernel: &[usize],
    channels: usize,
) -> Lower<ConvGeometry> {
    let count = spatial.len();
    let pair = |sizes: &[usize]| match *sizes {
        [w] => Some([1, w]),
        [h, w] => Some([h, w]),
        _ => None,
    };
    let listed = |name: &str| -> Lower<[usize; 2]> {
        let Some(values) = proto.ints(name).filter(|v| !v.is_empty()) else { return Ok([1, 1]) };
        let sizes = values.iter().map(|&v| usize::try_from(v)).collect::<Result<Vec<_>, _>>();
        match sizes.ok().filter(|s| s.len() == count).and_then(|s| pair(&s)) {
            Some(sizes) => Ok(sizes),
            None => float(format!("its {name} are {values:?}")),
        }
    };
    let (Some(input), Some(kernel)) = (pair(spatial), pair(kernel)) else {
        return float(format!("it has {count} spatial axes"));
    };
    if proto.ints("kernel_shape").is_some_and(|k| !k.is_empty())
        && listed("kernel_shape")? != kernel
    {
        return float("its kernel_shape is not that of its weights");
    }
    let (stride, dilation) = (listed("strides")?, listed("dilations")?);
    let all = [input, kernel, stride, dilation];
    if !all.iter().flatten().all(|&v| v > 0 && v <= LARGEST) {
        return float("a size of its window is zero or too large");
    }
    let mut window =
        ConvGeometry { input, channels, output: [1, 1], kernel, stride, dilation, pad: [0, 0] };
    for axis in 0..2 {
        place(proto, &mut window, axis, count)?;
    }
    Ok(window)
}

/// Finds output size and padding along one axis (0: height, 1: width).
#[expect(clippy::indexing_slicing, reason = "the axis is 0 or 1, of arrays of two")]
fn place(proto: &NodeProto, window: &mut ConvGeometry, axis: usize, count: usize) -> Lower {
    let (input, stride) = (window.input[axis], window.stride[axis]);
    let reach = (window.kernel[axis] - 1).saturating_mul(window.dilation[axis]) + 1;
    let flat = count == 1 && axis == 0;
    let (before, after) = match proto.text("auto_pad").unwrap_or("NOTSET") {
        _ if flat => (0, 0),
        "NOTSET" | "" => pads(proto, if count == 1 { 0 } else { axis }, count)?,
        "VALID" => (0, 0),
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            let total = ((input.div_ceil(stride) - 1) * stride + reach).saturating_sub(input);
            let (small, large) = (total / 2, total - total / 2);
            if same == "SAME_UPPER" { (small, large) } else { (large, small) }
        }
        other => return float(format!("its auto_pad is {other}")),
    };
    let padded = input + before + after;
    if padded < reach || padded > 2 * LARGEST {
        return float("its window is larger than its padded input");
    }
    let left = (padded - reach) % stride;
    if left != 0 && proto.int("ceil_mode").unwrap_or(0) != 0 {
        return float("its ceil_mode adds an output");
    }
    window.output[axis] = (padded - reach) / stride + 1;
    window.pad[axis] = before;
    let volume = window.output.iter().zip(window.stride).map(|(o, s)| o * s + reach);
    if volume.fold(window.channels, usize::saturating_mul) > MOST_ELEMENTS {
        return float("its padded input is too large");
    }
    Ok(())
}

fn pads(proto: &NodeProto, axis: usize, count: usize) -> Lower<(usize, usize)> {
    let Some(pads) = proto.ints("pads").filter(|p| !p.is_empty()) else { return Ok((0, 0)) };
    let at =
        |i: usize| pads.get(i).and_then(|&p| usize::try_from(p).ok()).filter(|&p| p <= LARGEST);
    match (at(axis), at(axis + count)) {
        (Some(before), Some(after)) if pads.len() == 2 * count => Ok((before, after)),
        _ => float(format!("its pads are {pads:?}")),
    }
}

/// The affine input of a node that wants one.
pub(super) fn affine(value: &Value) -> Option<&Affine> {
    match value {
        Value::Real(Real::Affine(affine)) => Some(affine),
        _ => None,
    }
}
