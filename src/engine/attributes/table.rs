//! The operators that models here may have, with the attributes, inputs and outputs that are honoured.
//!
//! What is not in this table is refused, so that an attribute that nobody thought of is never ignored.
//! An entry means: whatever runs the operator, the integer kernels or the float runtime, does what ONNX
//! says for these values, and `tests/onnx.rs` and `tests/attributes.rs` have tried it.

mod extensions;
mod standard;

use super::rule::{Attribute, float, int, ints, text};

/// An operator, and what of it is honoured.
#[derive(Debug)]
pub(super) struct Operator {
    pub domain: &'static str,
    pub name: &'static str,
    /// The opset from which on its meaning is the one honoured here.
    pub since: i64,
    pub attributes: &'static [Attribute],
    /// The most inputs and outputs.
    pub inputs: usize,
    pub outputs: usize,
}

const STANDARD: &str = "";
const ML: &str = "ai.onnx.ml";
const MICROSOFT: &str = "com.microsoft";

/// No bound on the number of inputs or outputs.
pub(super) const MANY: usize = usize::MAX;

/// The entry of an operator.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let domain = if domain == "ai.onnx" { STANDARD } else { domain };
    let table = if domain == STANDARD { standard::OPERATORS } else { extensions::OPERATORS };
    table.iter().find(|o| o.name == name && o.domain == domain)
}

const fn op(
    name: &'static str,
    inputs: usize,
    outputs: usize,
    attributes: &'static [Attribute],
) -> Operator {
    Operator { domain: STANDARD, name, since: 1, attributes, inputs, outputs }
}

/// An operator of some inputs, one output and no attributes.
const fn plain(name: &'static str, inputs: usize) -> Operator {
    op(name, inputs, 1, &[])
}

impl Operator {
    const fn of(self, domain: &'static str) -> Self {
        Self { domain, ..self }
    }

    const fn since(self, since: i64) -> Self {
        Self { since, ..self }
    }
}

const BOOL: &[i64] = &[0, 1];
const ZERO: &[i64] = &[0];
const ONE: &[i64] = &[1];

const POOL: &[Attribute] = &[
    text("auto_pad", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
    int("ceil_mode").only(BOOL),
    int("count_include_pad").only(BOOL),
    ints("dilations"),
    ints("kernel_shape"),
    ints("pads"),
    ints("strides"),
    int("channels_last").only(ZERO),
];

const ALPHA: &[Attribute] = &[float("alpha")];
const AXIS: &[Attribute] = &[int("axis")];
