//! The operators of machine learning pipelines and of ONNX Runtime.

use super::super::rule::{AttributeRule, float, floats, int, ints, text, texts};
use super::{ALPHA, AXIS, BOOL, MANY, MICROSOFT, ML, Operator, POOL, ZERO, op, plain};

const POST_TRANSFORM: AttributeRule = text("post_transform", &["NONE", "SOFTMAX", "LOGISTIC"]);

pub(super) const OPERATORS: &[Operator] = &[
    plain("ArrayFeatureExtractor", 2).of(ML),
    op(
        "LinearClassifier",
        1,
        2,
        &[
            ints("classlabels_ints"),
            texts("classlabels_strings"),
            floats("coefficients"),
            floats("intercepts"),
            int("multi_class").only(BOOL),
            POST_TRANSFORM,
        ],
    )
    .of(ML),
    op(
        "LinearRegressor",
        1,
        1,
        &[floats("coefficients"), floats("intercepts"), POST_TRANSFORM, int("targets")],
    )
    .of(ML),
    op("Normalizer", 1, 1, &[text("norm", &["MAX", "L1", "L2"])]).of(ML),
    op(
        "TreeEnsembleClassifier",
        1,
        2,
        &[
            floats("base_values"),
            ints("class_ids"),
            ints("class_nodeids"),
            ints("class_treeids"),
            floats("class_weights"),
            ints("classlabels_int64s"),
            texts("classlabels_strings"),
            ints("nodes_falsenodeids"),
            ints("nodes_featureids"),
            // How often a branch was taken: a hint for speed.
            floats("nodes_hitrates"),
            ints("nodes_missing_value_tracks_true"),
            texts("nodes_modes"),
            ints("nodes_nodeids"),
            ints("nodes_treeids"),
            ints("nodes_truenodeids"),
            floats("nodes_values"),
            POST_TRANSFORM,
        ],
    )
    .of(ML),
    plain("BiasGelu", 2).of(MICROSOFT),
    op("DequantizeLinear", 3, 1, AXIS).of(MICROSOFT),
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
