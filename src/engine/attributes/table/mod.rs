//! The supported operators with their attributes, inputs and outputs.
//!
//! What is not in this table is refused, so that no unknown attribute is ignored. An entry means
//! that the integer kernels or the float runtime follow the ONNX specification for these values,
//! and that
//! `tests/onnx.rs` and `tests/attributes.rs` cover them.

mod classical;
mod extensions;
mod standard;

use super::rule::{AttributeRule, float, int, ints, text};

/// An operator and what is supported of it.
#[derive(Debug)]
pub(super) struct Operator {
    pub domain: &'static str,
    pub name: &'static str,
    /// The first opset that gives it the supported meaning.
    pub since: i64,
    pub attributes: &'static [AttributeRule],
    /// The largest number of inputs and of outputs.
    pub inputs: usize,
    pub outputs: usize,
}

const STANDARD: &str = "";
const ML: &str = "ai.onnx.ml";
const MICROSOFT: &str = "com.microsoft";

/// Any number of inputs or outputs.
pub(super) const MANY: usize = usize::MAX;

/// The entry of an operator.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let domain = if domain == "ai.onnx" { STANDARD } else { domain };
    let table = match domain {
        STANDARD => standard::OPERATORS,
        ML => classical::OPERATORS,
        _ => extensions::OPERATORS,
    };
    table.iter().find(|o| o.name == name && o.domain == domain)
}

const fn op(
    name: &'static str,
    inputs: usize,
    outputs: usize,
    attributes: &'static [AttributeRule],
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

const POOL: &[AttributeRule] = &[
    text("auto_pad", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
    int("ceil_mode").only(BOOL),
    int("count_include_pad").only(BOOL),
    ints("dilations"),
    ints("kernel_shape"),
    ints("pads"),
    ints("strides"),
    int("channels_last").only(ZERO),
];

const ALPHA: &[AttributeRule] = &[float("alpha")];
const AXIS: &[AttributeRule] = &[int("axis")];
