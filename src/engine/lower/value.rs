//! The values of the graph during lowering.

use super::float::FloatDraft;
use crate::engine::tensor_view::TensorView;
use crate::tensor::{Dtype, Quant, Tensor};
use inferd_kernels::ConvGeometry;
use std::rc::Rc;

/// A value of the graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Known at load.
    Constant(Rc<Tensor>),
    /// An initializer of a type that only the float runtime may know.
    Opaque,
    /// Integers in memory.
    Quantized(QuantizedTensor),
    /// Floats in memory.
    Float(TensorView),
    /// Real numbers that are not in memory. They are computed when their use is known.
    Deferred(Deferred),
    /// Accumulators, not in memory.
    Accumulators(Rc<Product>),
    /// The scale measured into a slot, times factors.
    Scale { slot: usize, factors: Rc<Vec<f32>> },
    /// The zero point measured into a slot.
    ZeroPoint { slot: usize },
    /// In memory of the float runtime, which alone reads it.
    OpaqueTensor(OpaqueTensor),
    /// Computed by the float region that is being collected.
    Pending,
    /// Unknown until the region is complete.
    Blocked,
}

/// An eight-bit tensor in memory; u8 is stored minus 128.
#[derive(Clone, Debug)]
pub(super) struct QuantizedTensor {
    pub view: TensorView,
    pub unsigned: bool,
    pub scale: Scaling,
}

/// The scale and zero point of stored integers, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scaling {
    Unknown,
    Fixed(Quant),
    /// Measured into a slot.
    Measured(usize),
}

/// A tensor that only float regions exchange.
#[derive(Clone, Debug)]
pub(super) struct OpaqueTensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub at: OpaqueLocation,
}

/// The location of an [`OpaqueTensor`].
#[derive(Clone, Copy, Debug)]
pub(super) enum OpaqueLocation {
    Input(usize),
    Kept(usize),
}

/// Real numbers that are not in memory yet.
#[derive(Clone, Debug)]
pub(super) enum Deferred {
    /// Dequantized constants.
    Weights(Rc<Weights>),
    /// `scale * (stored - zero)`.
    Affine(Affine),
    /// Any function of one stored byte; indexed by its bits.
    Table { view: TensorView, values: Rc<[f64; 256]> },
    /// The result of an operator, not yet rounded.
    Op(Box<DeferredOp>),
    /// A product of floats.
    Float(Box<FloatDraft>),
}

#[derive(Clone, Debug)]
pub(super) struct Affine {
    pub view: TensorView,
    pub scale: f32,
    pub zero: i8,
}

/// Constants dequantized by a DequantizeLinear.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub tensor: Rc<Tensor>,
    /// One, or one per index along `axis`; the zero points have the same length.
    pub scales: Vec<f32>,
    pub zeros: Vec<i32>,
    pub axis: usize,
}

/// The deferred result of an operator, with the operations applied to it since.
#[derive(Clone, Debug)]
pub(super) struct DeferredOp {
    pub op: OpKind,
    /// Bounds from Relu and Clip.
    pub clamp: (f64, f64),
    /// Applied to the operator's result, in order.
    pub moves: Vec<ShapeOp>,
    pub shape: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum ShapeOp {
    Transpose(Vec<usize>),
    Reshape(Vec<usize>),
}

#[derive(Clone, Debug)]
pub(super) enum OpKind {
    Product(Rc<Product>),
    Add(Affine, Affine),
    Sub(Affine, Affine),
    Mul(Affine, Affine),
    AveragePool(Average),
    Softmax(Affine, usize),
    Concat(Vec<Deferred>, usize),
}

/// A mean over windows. The axes of `input.view` and of the result are in the order of the window.
#[derive(Clone, Debug)]
pub(super) struct Average {
    pub input: Affine,
    pub window: ConvGeometry,
    pub include_pad: bool,
    pub batch: usize,
    pub result: ResultLayout,
}

/// The shape and axis order of a result that has no buffer yet.
#[derive(Clone, Debug)]
pub(super) struct ResultLayout {
    pub shape: Vec<usize>,
    pub order: Vec<usize>,
}

/// Sums of products of stored integers, each minus its zero point.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub input: TensorView,
    pub zero: ZeroPoint,
    pub kind: Kind,
    pub batch: usize,
    pub result: ResultLayout,
    /// The axis of the result that the columns run along.
    pub axis: usize,
    pub columns: usize,
    /// The value of an accumulator's unit: one, or one per column; none for raw sums.
    pub unit: AccumulatorScale,
    /// Per column, in accumulator units.
    pub bias: Option<Rc<Vec<i32>>>,
    /// Added per column, in real numbers.
    pub offset: Option<Rc<Vec<f64>>>,
}

/// The zero point of a product's input.
#[derive(Clone, Copy, Debug)]
pub(super) enum ZeroPoint {
    Fixed(i8),
    Measured(usize),
}

/// The scale of accumulators.
#[derive(Clone, Debug)]
pub(super) enum AccumulatorScale {
    None,
    /// The sums were cast to float.
    One,
    Fixed(Rc<Vec<f64>>),
    /// Times the scale in the slot.
    Measured(usize, Rc<Vec<f32>>),
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Dense { matrix: Rc<Matrix>, rows: usize },
    Conv { matrix: Rc<Matrix>, window: ConvGeometry, groups: usize },
    Depthwise { matrix: Rc<Matrix>, window: ConvGeometry },
    Matmul { right: TensorView, zero: i8, transposed: bool, size: [usize; 3] },
}

/// Weights in the order of the kernels: one row per column of the result.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub values: Vec<i8>,
    pub zeros: Vec<i8>,
    /// Length of a row.
    pub depth: usize,
}

impl DeferredOp {
    pub(super) fn new(op: OpKind, shape: Vec<usize>) -> Box<Self> {
        Box::new(Self { op, clamp: (f64::NEG_INFINITY, f64::INFINITY), moves: Vec::new(), shape })
    }
}

impl ResultLayout {
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl QuantizedTensor {
    /// The zero point as stored.
    pub(super) fn shift(unsigned: bool, zero: i32) -> Option<i8> {
        i8::try_from(if unsigned { zero - 128 } else { zero }).ok()
    }
}
