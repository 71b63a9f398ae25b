//! The operators of ONNX Runtime.

use super::super::rule::{float, floats, int, text, texts};
use super::{ALPHA, AXIS, BOOL, MANY, MICROSOFT, Operator, POOL, ZERO, op, plain};

pub(super) const OPERATORS: &[Operator] = &[
    plain("BiasGelu", 2).of(MICROSOFT),
    op("DequantizeLinear", 3, 1, AXIS).of(MICROSOFT),
    op(
        "DynamicQuantizeLSTM",
        12,
        3,
        &[
            floats("activation_alpha"),
            floats("activation_beta"),
            texts("activations"),
            float("clip"),
            text("direction", &["forward", "bidirectional", "reverse"]),
            int("hidden_size"),
            int("input_forget").only(BOOL),
        ],
    )
    .of(MICROSOFT),
    plain("FastGelu", 2).of(MICROSOFT),
    plain("Gelu", 1).of(MICROSOFT),
    op("QGemm", 9, 1, &[float("alpha"), int("transA").only(BOOL), int("transB").only(BOOL)])
        .of(MICROSOFT),
    plain("QLinearAdd", 8).of(MICROSOFT),
    op("QLinearAveragePool", 5, 1, POOL).of(MICROSOFT),
    op("QLinearConcat", MANY, 1, AXIS).of(MICROSOFT),
    op("QLinearGlobalAveragePool", 5, 1, &[int("channels_last").only(ZERO)]).of(MICROSOFT),
    op("QLinearLeakyRelu", 5, 1, ALPHA).of(MICROSOFT),
    plain("QLinearMul", 8).of(MICROSOFT),
    plain("QLinearSigmoid", 5).of(MICROSOFT),
    op("QLinearSoftmax", 5, 1, &[int("axis"), int("opset")]).of(MICROSOFT),
    op("QuantizeLinear", 3, 1, AXIS).of(MICROSOFT),
    op("QuickGelu", 1, 1, ALPHA).of(MICROSOFT),
];
