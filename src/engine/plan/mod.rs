//! Plans: the steps of a lowered model over its buffers.

mod float;

pub(super) use float::{FloatStep, Lengths, RecurrentLayer, RecurrentStep};

use super::classical::Classical;
use super::tensor_view::BufferRef;
use super::tract::FloatGraph;
use crate::tensor::{Data, Dtype};
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
    /// Numbered apart from those of bytes.
    pub float_constants: Vec<Vec<f32>>,
    pub regions: Vec<FloatGraph>,
    /// Length of every working buffer of bytes, and of floats.
    pub bytes: Vec<usize>,
    pub floats: Vec<usize>,
    /// Number of ranges that are measured at run time.
    pub dynamic_ranges: usize,
    /// Number of values that only the float runtime reads and writes.
    pub opaque_values: usize,
    pub scratch_bytes: usize,
    /// Length of the longest row of scales that is computed at run time.
    pub max_scales: usize,
}

/// A number of elements at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferSlice {
    pub buffer: BufferRef,
    pub len: usize,
}

/// One step. The operation defines the number of sources and their types.
#[derive(Debug)]
pub(super) struct Step {
    pub operation: Operation,
    pub from: Vec<BufferSlice>,
    pub to: BufferSlice,
}

/// The operation of a step.
#[derive(Debug)]
pub(super) enum Operation {
    /// Float to bytes.
    Quantize {
        scale: f32,
        fit: OutputQuant,
    },
    /// Float to bytes by the measured range of the values, which is stored in a slot.
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
    /// Bytes to bytes, through a table if there is one.
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
    /// Floats to floats.
    Float(Box<FloatStep>),
    /// An operator of a classical model; `from` and `to` are unused.
    Classical(Box<ClassicalStep>),
    /// A part of the graph in the float runtime; `from` and `to` are unused.
    Region {
        index: usize,
        inputs: Vec<RegionInput>,
        outputs: Vec<Vec<RegionOutput>>,
    },
}

/// Sums of products and their epilogue.
#[derive(Debug)]
pub(super) struct Product {
    pub kernel: Kernel,
    /// Number of runs of the kernel, over equal parts of its input and output.
    pub batch: usize,
    /// The slot of the input's range, if that is measured at run time.
    pub slot: Option<usize>,
    pub epilogue: Epilogue,
}

/// The kernel of a product.
#[derive(Debug)]
pub(super) enum Kernel {
    Dense { dense: Dense, rows: usize },
    Conv(Conv),
    Depthwise(Depthwise),
    Matmul { matmul: Matmul, zeros: [i8; 2] },
}

/// The conversion of sums to results.
#[derive(Debug)]
pub(super) enum Epilogue {
    Bytes(Requant),
    Float {
        /// One per column; multiplied by the scale in the product's slot, if it has one.
        scales: Vec<f32>,
        bias: Option<Vec<f32>>,
        clamp: Option<(f32, f32)>,
    },
}

/// An operator of a classical model with its inputs and the destinations of its results.
#[derive(Debug)]
pub(super) struct ClassicalStep {
    pub operator: Classical,
    pub inputs: Vec<ClassicalInput>,
    pub outputs: Vec<Vec<RegionOutput>>,
    /// The number of the memory for its results.
    pub slot: usize,
}

/// An input of an operator of a classical model.
#[derive(Debug)]
pub(super) enum ClassicalInput {
    Buffer(RegionInput),
    Constant(Data),
}

/// An input of a region.
#[derive(Clone, Debug)]
pub(super) struct RegionInput {
    pub slice: BufferSlice,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// The number of the opaque value, if it is one.
    pub opaque: Option<usize>,
}

/// The destination of a result of a region.
#[derive(Clone, Debug)]
pub(super) enum RegionOutput {
    Slice(BufferSlice, Dtype),
    Opaque(usize),
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

impl Operation {
    /// The destinations of each result of a region or of a classical operator.
    pub(super) fn destinations_mut(&mut self) -> Option<&mut Vec<Vec<RegionOutput>>> {
        match self {
            Self::Region { outputs, .. } => Some(outputs),
            Self::Classical(step) => Some(&mut step.outputs),
            _ => None,
        }
    }

    /// Working memory for a run.
    pub(super) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Product(product) => product.kernel.scratch_bytes(),
            Self::AveragePool { pool, .. } => pool.scratch_bytes(),
            Self::Float(step) => step.scratch_bytes(),
            _ => 0,
        }
    }
}
