//! The operators of ONNX itself.

use super::super::rule::{
    AttributeRule, ValueRule, float, floats, graph, int, ints, tensor, text, texts,
};
use super::{ALPHA, AXIS, BOOL, MANY, ONE, Operator, POOL, ZERO, op, plain};

/// Of convolutions.
const WINDOW: &[AttributeRule] = &[
    text("auto_pad", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
    ints("dilations"),
    int("group"),
    ints("kernel_shape"),
    ints("pads"),
    ints("strides"),
];

/// Of reductions that return a value unchanged if they reduce nothing.
const REDUCE: &[AttributeRule] =
    &[ints("axes").until(17), int("keepdims").only(BOOL), int("noop_with_empty_axes").only(BOOL)];

/// Of reductions that change values even if they reduce nothing.
const REDUCE_CHANGED: &[AttributeRule] =
    &[ints("axes").until(17), int("keepdims").only(BOOL), int("noop_with_empty_axes").only(ZERO)];

const ARG: &[AttributeRule] =
    &[int("axis"), int("keepdims").only(BOOL), int("select_last_index").only(BOOL)];
const WINDOW_FUNCTION: &[AttributeRule] = &[int("output_datatype"), int("periodic").only(BOOL)];

const ROUND: AttributeRule = text("round_mode", &["up", "down", "nearest"]);
/// Of all recurrent operators. `super::super::relations` checks `activations`, whose number depends
/// on the operator.
macro_rules! recurrent {
    ($($more:expr),*) => {
        &[
            floats("activation_alpha"),
            floats("activation_beta"),
            texts("activations"),
            float("clip"),
            text("direction", &["forward", "bidirectional", "reverse"]),
            int("hidden_size"),
            int("layout").only(BOOL),
            $($more),*
        ]
    };
}

const REDUCTION: AttributeRule = text("reduction", &["none", "add", "mul", "min", "max"]);
const COORDINATES: &[&str] = &[
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
];

pub(super) const OPERATORS: &[Operator] = &[
    plain("Abs", 1),
    plain("Acos", 1),
    plain("Acosh", 1),
    plain("Add", 2),
    plain("And", 2),
    op("ArgMax", 1, 1, ARG),
    op("ArgMin", 1, 1, ARG),
    plain("Asin", 1),
    plain("Asinh", 1),
    plain("Atan", 1),
    plain("Atanh", 1),
    op("AveragePool", 1, 1, POOL),
    op(
        "BatchNormalization",
        5,
        1,
        &[
            float("epsilon"),
            // Of training only.
            float("momentum"),
            int("spatial").only(ONE).until(8),
            int("training_mode").only(ZERO),
        ],
    )
    .since(7),
    op("BitShift", 2, 1, &[text("direction", &["LEFT", "RIGHT"])]),
    plain("BitwiseAnd", 2),
    plain("BitwiseNot", 1),
    plain("BitwiseOr", 2),
    plain("BitwiseXor", 2),
    op("BlackmanWindow", 1, 1, WINDOW_FUNCTION),
    // How to saturate and round matters to 8-bit floats only, which are refused.
    op("Cast", 1, 1, &[int("to"), int("saturate").only(BOOL), ROUND]).since(6),
    op("CastLike", 2, 1, &[int("saturate").only(BOOL), ROUND]),
    plain("Ceil", 1),
    op("Celu", 1, 1, ALPHA),
    op("Clip", 3, 1, &[float("max").until(10), float("min").until(10)]).since(6),
    op("Compress", 2, 1, AXIS),
    op("Concat", MANY, 1, AXIS).since(4),
    op(
        "Constant",
        0,
        1,
        &[
            tensor("value"),
            float("value_float"),
            floats("value_floats"),
            int("value_int"),
            ints("value_ints"),
        ],
    ),
    op("ConstantOfShape", 1, 1, &[tensor("value")]),
    op("Conv", 3, 1, WINDOW),
    op("ConvInteger", 4, 1, WINDOW),
    op(
        "ConvTranspose",
        3,
        1,
        &[
            text("auto_pad", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
            ints("dilations"),
            int("group"),
            ints("kernel_shape"),
            ints("output_padding"),
            ints("output_shape"),
            ints("pads"),
            ints("strides"),
        ],
    ),
    plain("Cos", 1),
    plain("Cosh", 1),
    op("CumSum", 2, 1, &[int("exclusive").only(BOOL), int("reverse").only(BOOL)]),
    op(
        "DFT",
        3,
        1,
        // The float runtime finds the shapes of another axis wrongly before opset 20.
        &[
            int("axis").only(&[1, -2]).until(19),
            int("inverse").only(BOOL),
            int("onesided").only(BOOL),
        ],
    ),
    op("DepthToSpace", 1, 1, &[int("blocksize"), text("mode", &["DCR", "CRD"])]),
    op(
        "DequantizeLinear",
        3,
        1,
        &[int("axis"), int("block_size").only(ZERO), int("output_dtype").only(&[0, 1])],
    ),
    plain("Div", 2),
    op("Dropout", 3, 2, &[float("ratio").until(11), int("seed")]).since(7),
    op("DynamicQuantizeLinear", 1, 3, &[]),
    op("Einsum", MANY, 1, &[AttributeRule::new("equation", ValueRule::Text)]),
    op("Elu", 1, 1, ALPHA).since(6),
    plain("Equal", 2),
    plain("Erf", 1),
    plain("Exp", 1),
    plain("Expand", 2),
    op("EyeLike", 1, 1, &[int("dtype"), int("k")]),
    op("Flatten", 1, 1, AXIS),
    plain("Floor", 1),
    op("GRU", 6, 2, recurrent!(int("linear_before_reset").only(BOOL))).since(7),
    op("Gather", 2, 1, AXIS),
    op("GatherElements", 2, 1, AXIS),
    op("GatherND", 2, 1, &[int("batch_dims")]),
    op("Gelu", 1, 1, &[text("approximate", &["none", "tanh"])]),
    op(
        "Gemm",
        3,
        1,
        &[float("alpha"), float("beta"), int("transA").only(BOOL), int("transB").only(BOOL)],
    )
    .since(7),
    plain("GlobalAveragePool", 1),
    plain("GlobalMaxPool", 1),
    plain("Greater", 2),
    plain("GreaterOrEqual", 2),
    op(
        "GridSample",
        2,
        1,
        &[
            int("align_corners").only(BOOL),
            text("mode", &["bilinear", "nearest", "bicubic", "linear", "cubic"]),
            text("padding_mode", &["zeros", "border", "reflection"]),
        ],
    ),
    op(
        "GroupNormalization",
        3,
        1,
        &[float("epsilon"), int("num_groups"), int("stash_type").only(ONE)],
    ),
    op("HammingWindow", 1, 1, WINDOW_FUNCTION),
    op("HannWindow", 1, 1, WINDOW_FUNCTION),
    op("HardSigmoid", 1, 1, &[float("alpha"), float("beta")]).since(6),
    plain("HardSwish", 1),
    op("Hardmax", 1, 1, AXIS),
    plain("Identity", 1),
    op("If", 1, MANY, &[graph("else_branch"), graph("then_branch")]),
    op("InstanceNormalization", 3, 1, &[float("epsilon")]).since(6),
    op("IsInf", 1, 1, &[int("detect_negative").only(BOOL), int("detect_positive").only(BOOL)]),
    plain("IsNaN", 1),
    op("LRN", 1, 1, &[float("alpha"), float("beta"), float("bias"), int("size")]),
    op("LSTM", 8, 3, recurrent!(int("input_forget").only(BOOL))).since(7),
    op("LayerNormalization", 3, 3, &[int("axis"), float("epsilon"), int("stash_type").only(ONE)]),
    op("LeakyRelu", 1, 1, ALPHA).since(6),
    plain("Less", 2),
    plain("LessOrEqual", 2),
    plain("Log", 1),
    op("LogSoftmax", 1, 1, AXIS),
    op("LpNormalization", 1, 1, &[int("axis"), int("p").only(&[1, 2])]),
    plain("MatMul", 2),
    plain("MatMulInteger", 4),
    plain("Max", MANY),
    op(
        "MaxPool",
        1,
        2,
        &[
            text("auto_pad", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
            int("ceil_mode").only(BOOL),
            ints("dilations"),
            ints("kernel_shape"),
            ints("pads"),
            int("storage_order").only(BOOL),
            ints("strides"),
        ],
    ),
    plain("Mean", MANY),
    op("MeanVarianceNormalization", 1, 1, &[ints("axes")]),
    op("MelWeightMatrix", 5, 1, &[int("output_datatype")]),
    plain("Min", MANY),
    plain("Mish", 1),
    op("Mod", 2, 1, &[int("fmod").only(BOOL)]),
    plain("Mul", 2),
    plain("Neg", 1),
    op("NonMaxSuppression", 5, 1, &[int("center_point_box").only(BOOL)]),
    plain("NonZero", 1),
    plain("Not", 1),
    op("OneHot", 3, 1, AXIS),
    plain("Or", 2),
    plain("PRelu", 2),
    op(
        "Pad",
        4,
        1,
        &[
            text("mode", &["constant", "edge", "reflect"]),
            ints("pads").until(10),
            float("value").until(10),
        ],
    )
    .since(2),
    plain("Pow", 2),
    op("QLinearConv", 9, 1, WINDOW),
    plain("QLinearMatMul", 8),
    op(
        "QuantizeLinear",
        3,
        1,
        &[
            int("axis"),
            int("block_size").only(ZERO),
            int("output_dtype"),
            int("precision").only(&[0, 1]),
            // Of 8-bit floats only, which are refused.
            int("saturate").only(BOOL),
        ],
    ),
    op("RMSNormalization", 2, 1, &[int("axis"), float("epsilon"), int("stash_type").only(ONE)]),
    op("RNN", 6, 2, recurrent!()).since(7),
    plain("Range", 3),
    plain("Reciprocal", 1),
    op("ReduceL1", 2, 1, REDUCE_CHANGED),
    op("ReduceL2", 2, 1, REDUCE_CHANGED),
    op("ReduceLogSum", 2, 1, REDUCE_CHANGED),
    op("ReduceLogSumExp", 2, 1, REDUCE_CHANGED),
    op("ReduceMax", 2, 1, REDUCE),
    op("ReduceMean", 2, 1, REDUCE),
    op("ReduceMin", 2, 1, REDUCE),
    op("ReduceProd", 2, 1, REDUCE),
    op(
        "ReduceSum",
        2,
        1,
        &[
            ints("axes").until(12),
            int("keepdims").only(BOOL),
            int("noop_with_empty_axes").only(BOOL),
        ],
    ),
    op("ReduceSumSquare", 2, 1, REDUCE_CHANGED),
    plain("Relu", 1),
    op("Reshape", 2, 1, &[int("allowzero").only(BOOL)]).since(5),
    op(
        "Resize",
        4,
        1,
        &[
            int("antialias").only(BOOL),
            ints("axes"),
            text("coordinate_transformation_mode", COORDINATES),
            float("cubic_coeff_a"),
            int("exclude_outside").only(BOOL),
            float("extrapolation_value"),
            text("keep_aspect_ratio_policy", &["stretch", "not_larger", "not_smaller"]),
            text("mode", &["nearest", "linear", "cubic"]),
            text("nearest_mode", &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
        ],
    )
    .since(11),
    op(
        "RotaryEmbedding",
        4,
        1,
        &[int("interleaved").only(BOOL), int("num_heads"), int("rotary_embedding_dim")],
    ),
    plain("Round", 1),
    op("STFT", 4, 1, &[int("onesided").only(BOOL)]),
    op(
        "Scan",
        MANY,
        MANY,
        &[
            graph("body"),
            int("num_scan_inputs"),
            ints("scan_input_axes"),
            ints("scan_input_directions"),
            ints("scan_output_axes"),
            ints("scan_output_directions"),
        ],
    )
    .since(9),
    op("Scatter", 3, 1, AXIS),
    op("ScatterElements", 3, 1, &[int("axis"), REDUCTION]),
    op("ScatterND", 3, 1, &[REDUCTION]),
    op("Selu", 1, 1, &[float("alpha"), float("gamma")]).since(6),
    op("Shape", 1, 1, &[int("end"), int("start")]),
    op("Shrink", 1, 1, &[float("bias"), float("lambd")]),
    plain("Sigmoid", 1),
    plain("Sign", 1),
    plain("Sin", 1),
    plain("Sinh", 1),
    plain("Size", 1),
    op("Slice", 5, 1, &[ints("axes").until(9), ints("ends").until(9), ints("starts").until(9)]),
    op("Softmax", 1, 1, AXIS),
    plain("Softplus", 1),
    plain("Softsign", 1),
    op("SpaceToDepth", 1, 1, &[int("blocksize")]),
    op("Split", 2, MANY, &[int("axis"), int("num_outputs"), ints("split").until(12)]).since(2),
    plain("Sqrt", 1),
    op("Squeeze", 2, 1, &[ints("axes").until(12)]),
    plain("Sub", 2),
    plain("Sum", MANY),
    op("Swish", 1, 1, ALPHA),
    plain("Tan", 1),
    plain("Tanh", 1),
    op("ThresholdedRelu", 1, 1, ALPHA),
    plain("Tile", 2).since(6),
    // In order is one of the orders that `sorted = 0` allows.
    op("TopK", 2, 2, &[int("axis"), int("largest").only(BOOL), int("sorted").only(BOOL)]).since(10),
    op("Transpose", 1, 1, &[ints("perm")]),
    op("Trilu", 2, 1, &[int("upper").only(BOOL)]),
    op("Unsqueeze", 2, 1, &[ints("axes").until(12)]),
    plain("Where", 3),
    plain("Xor", 2),
];
