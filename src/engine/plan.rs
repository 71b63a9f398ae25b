//! What a lowered model does in a run: a list of steps over buffers.

use super::float::FloatGraph;
use super::view::Place;
use crate::tensor::Dtype;
use inferd_kernels::{
    AveragePool, Conv, ConvGeometry, Dense, Depthwise, Isa, Matmul, OutputQuant, Requant, Softmax,
    Strided, Table, Term,
};

/// The steps of a model, ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    pub isa: Isa,
    pub steps: Vec<Step>,
    pub constants: Vec<Vec<i8>>,
    pub regions: Vec<FloatGraph>,
    /// Length of every working buffer of bytes, and of floats.
    pub bytes: Vec<usize>,
    pub floats: Vec<usize>,
    /// Ranges measured at run time.
    pub slots: usize,
    /// Values that only the float runtime reads and writes.
    pub others: usize,
    pub scratch_bytes: usize,
    /// Longest row of scales made at run time.
    pub most_scales: usize,
}

/// A number of elements somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub place: Place,
    pub len: usize,
}

/// One step. `from` and `to` are as many and of such types as the action wants.
#[derive(Debug)]
pub(super) struct Step {
    pub action: Action,
    pub from: Vec<Span>,
    pub to: Span,
}

#[derive(Debug)]
pub(super) enum Action {
    /// Float to bytes.
    Quantize {
        scale: f32,
        fit: OutputQuant,
    },
    /// Float to bytes, by the range of the values themselves; the range goes to a slot.
    QuantizeDynamic {
        slot: usize,
    },
    /// Bytes to float.
    Dequantize {
        scale: f32,
        zero: i8,
    },
    /// A u8 tensor of the caller to bytes.
    FromUnsigned,
    /// Bytes to a u8 tensor of the caller.
    ToUnsigned,
    /// Bytes to bytes, element by element.
    Table(Box<Table>),
    /// Bytes to float, element by element.
    TableFloat(Box<[f32; 256]>),
    /// Bytes to bytes, through the table where there is one.
    Copy {
        strided: Strided,
        table: Option<Box<Table>>,
    },
    CopyFloat(Strided),
    /// Fills bytes.
    Fill(i8),
    /// Bytes to bytes or floats.
    Product(Box<Product>),
    AveragePool {
        pool: AveragePool,
        batch: usize,
    },
    MaxPool {
        window: ConvGeometry,
        batch: usize,
    },
    Add {
        terms: [Term; 2],
        fit: OutputQuant,
    },
    Mul {
        zeros: [i8; 2],
        ratio: f32,
        fit: OutputQuant,
    },
    /// Rows of bytes to bytes (with scale and fit) or to floats.
    Softmax {
        softmax: Softmax,
        row: usize,
        quantized: Option<(f32, OutputQuant)>,
    },
    /// A part of the graph in the float runtime; `from` and `to` are unused.
    Region {
        index: usize,
        inputs: Vec<Feed>,
        outputs: Vec<Vec<Drain>>,
    },
}

/// Sums of products, and what becomes of them.
#[derive(Debug)]
pub(super) struct Product {
    pub kernel: Kernel,
    /// How often the kernel runs, over equal parts of its input and output.
    pub batch: usize,
    /// The slot with the input's zero point, where that is measured at run time.
    pub slot: Option<usize>,
    pub tail: Tail,
}

#[derive(Debug)]
pub(super) enum Kernel {
    Dense { dense: Dense, rows: usize },
    Conv(Conv),
    Depthwise(Depthwise),
    Matmul { matmul: Matmul, zeros: [i8; 2] },
}

#[derive(Debug)]
pub(super) enum Tail {
    Bytes(Requant),
    Float {
        /// One per column; times the scale in the product's slot, where it has one.
        scales: Vec<f32>,
        bias: Option<Vec<f32>>,
        clamp: Option<(f32, f32)>,
    },
}

/// What a region gets.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub span: Span,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Which of the region-only values it is, where it is one.
    pub other: Option<usize>,
}

/// Where a result of a region goes.
#[derive(Clone, Debug)]
pub(super) enum Drain {
    Span(Span, Dtype),
    Other(usize),
    Output(usize),
}

impl Kernel {
    pub(super) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Dense { dense, rows } => dense.scratch_bytes(*rows),
            Self::Conv(conv) => conv.scratch_bytes(),
            Self::Depthwise(conv) => conv.scratch_bytes(),
            Self::Matmul { matmul, .. } => matmul.scratch_bytes(),
        }
    }
}

impl Action {
    /// Working memory for a run.
    pub(super) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Product(product) => product.kernel.scratch_bytes(),
            Self::AveragePool { pool, .. } => pool.scratch_bytes(),
            _ => 0,
        }
    }
}
