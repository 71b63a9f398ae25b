//! What is known, during lowering, of every value of the graph.

use crate::engine::view::View;
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
    Stored(Stored),
    /// Floats in memory.
    Float(View),
    /// Real numbers that are not in memory: what they are made of, to be made when it is known
    /// what for.
    Real(Real),
    /// Accumulators, not in memory.
    Sums(Rc<Product>),
    /// The scale measured into a slot, times factors.
    Scale { slot: usize, factors: Rc<Vec<f32>> },
    /// The zero point measured into a slot.
    Zero { slot: usize },
    /// In a buffer that only the float runtime reads.
    Other(Other),
    /// Made by the float region that is being gathered.
    Pending,
    /// Waits for the region to be finished.
    Blocked,
}

/// An eight-bit tensor in memory; u8 with 128 taken off.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub view: View,
    pub unsigned: bool,
    pub scale: Scaling,
}

/// What is known of the meaning of stored integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scaling {
    Unknown,
    Fixed(Quant),
    /// Measured into a slot.
    Measured(usize),
}

/// A value between float regions.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub at: OtherPlace,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum OtherPlace {
    Input(usize),
    Kept(usize),
}

/// Real numbers that are not in memory.
#[derive(Clone, Debug)]
pub(super) enum Real {
    /// Dequantized constants.
    Weights(Rc<Weights>),
    /// `scale * (stored - zero)`.
    Affine(Affine),
    /// Any function of one stored byte; indexed by its bits.
    Table { view: View, values: Rc<[f64; 256]> },
    /// The result of an operator, not yet rounded.
    Lazy(Box<Lazy>),
}

#[derive(Clone, Debug)]
pub(super) struct Affine {
    pub view: View,
    pub scale: f32,
    pub zero: i8,
}

/// Constants behind a DequantizeLinear.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub tensor: Rc<Tensor>,
    /// One, or one per index along `axis`; likewise the zero points.
    pub scales: Vec<f32>,
    pub zeros: Vec<i32>,
    pub axis: usize,
}

/// An operator's result with what was done to it since.
#[derive(Clone, Debug)]
pub(super) struct Lazy {
    pub op: Op,
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
pub(super) enum Op {
    Product(Rc<Product>),
    Add(Affine, Affine),
    Sub(Affine, Affine),
    Mul(Affine, Affine),
    AveragePool(Average),
    Softmax(Affine, usize),
    Concat(Vec<Real>, usize),
}

/// A mean over windows. `input.view` lies as the window wants it; the result lies likewise.
#[derive(Clone, Debug)]
pub(super) struct Average {
    pub input: Affine,
    pub window: ConvGeometry,
    pub include_pad: bool,
    pub batch: usize,
    pub result: Shaped,
}

/// Shape and order in memory of a result that has no place yet.
#[derive(Clone, Debug)]
pub(super) struct Shaped {
    pub shape: Vec<usize>,
    pub order: Vec<usize>,
}

/// Sums of products of stored integers, each with its zero point taken off.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub input: View,
    pub zero: Zero,
    pub kind: Kind,
    pub batch: usize,
    pub result: Shaped,
    /// The axis of the result along which the columns are.
    pub axis: usize,
    pub columns: usize,
    /// What an accumulator's unit is worth: one, or one per column; none for raw sums.
    pub unit: Unit,
    /// Per column, in accumulator units; none where there is none.
    pub bias: Option<Rc<Vec<i32>>>,
    /// Per column, in real numbers, on top.
    pub offset: Option<Rc<Vec<f64>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Zero {
    Fixed(i8),
    Measured(usize),
}

#[derive(Clone, Debug)]
pub(super) enum Unit {
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
    Matmul { right: View, zero: i8, transposed: bool, size: [usize; 3] },
}

/// Weights as the kernels take them: one row per column of the result.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub values: Vec<i8>,
    pub zeros: Vec<i8>,
    /// Length of a row.
    pub depth: usize,
}

impl Lazy {
    pub(super) fn new(op: Op, shape: Vec<usize>) -> Box<Self> {
        Box::new(Self { op, clamp: (f64::NEG_INFINITY, f64::INFINITY), moves: Vec::new(), shape })
    }
}

impl Shaped {
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Stored {
    /// The zero point as stored.
    pub(super) fn shift(unsigned: bool, zero: i32) -> Option<i8> {
        i8::try_from(if unsigned { zero - 128 } else { zero }).ok()
    }
}
