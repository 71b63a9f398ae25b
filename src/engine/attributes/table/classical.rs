//! The operators of machine learning pipelines.

use super::super::rule::{AttributeRule, ValueRule, float, floats, int, ints, tensor, text, texts};
use super::{BOOL, MANY, ML, Operator, op, plain};

const POST_TRANSFORM: AttributeRule =
    text("post_transform", &["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]);
const KERNEL: AttributeRule = text("kernel_type", &["LINEAR", "POLY", "RBF", "SIGMOID"]);

/// Any text.
const fn words(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Text)
}

pub(super) const OPERATORS: &[Operator] = &[
    plain("ArrayFeatureExtractor", 2).of(ML),
    op("Binarizer", 1, 1, &[float("threshold")]).of(ML),
    op("FeatureVectorizer", MANY, 1, &[ints("inputdimensions")]).of(ML),
    op(
        "Imputer",
        1,
        1,
        &[
            floats("imputed_value_floats"),
            ints("imputed_value_int64s"),
            float("replaced_value_float"),
            int("replaced_value_int64"),
        ],
    )
    .of(ML),
    op(
        "LabelEncoder",
        1,
        1,
        &[
            texts("classes_strings"),
            float("default_float"),
            int("default_int64"),
            words("default_string"),
            tensor("default_tensor"),
            floats("keys_floats"),
            ints("keys_int64s"),
            texts("keys_strings"),
            tensor("keys_tensor"),
            floats("values_floats"),
            ints("values_int64s"),
            texts("values_strings"),
            tensor("values_tensor"),
        ],
    )
    .of(ML),
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
    op("OneHotEncoder", 1, 1, &[ints("cats_int64s"), texts("cats_strings"), int("zeros")]).of(ML),
    op("Scaler", 1, 1, &[floats("offset"), floats("scale")]).of(ML),
    op(
        "SVMClassifier",
        1,
        2,
        &[
            ints("classlabels_ints"),
            texts("classlabels_strings"),
            floats("coefficients"),
            floats("kernel_params"),
            KERNEL,
            POST_TRANSFORM,
            floats("prob_a"),
            floats("prob_b"),
            floats("rho"),
            floats("support_vectors"),
            ints("vectors_per_class"),
        ],
    )
    .of(ML),
    op(
        "SVMRegressor",
        1,
        1,
        &[
            floats("coefficients"),
            floats("kernel_params"),
            KERNEL,
            int("n_supports"),
            int("one_class").only(BOOL),
            POST_TRANSFORM,
            floats("rho"),
            floats("support_vectors"),
        ],
    )
    .of(ML),
    op("TreeEnsemble", 1, 1, TREES_BY_INDEX).of(ML),
    op("TreeEnsembleClassifier", 1, 2, TREE_CLASSIFIER).of(ML),
    op("TreeEnsembleRegressor", 1, 1, TREE_REGRESSOR).of(ML),
    op("ZipMap", 1, 1, &[ints("classlabels_int64s"), texts("classlabels_strings")]).of(ML),
];

const TREE_CLASSIFIER: &[AttributeRule] = &[
    floats("base_values"),
    tensor("base_values_as_tensor"),
    ints("class_ids"),
    ints("class_nodeids"),
    ints("class_treeids"),
    floats("class_weights"),
    tensor("class_weights_as_tensor"),
    ints("classlabels_int64s"),
    texts("classlabels_strings"),
    ints("nodes_falsenodeids"),
    ints("nodes_featureids"),
    // How often a branch was taken: a hint for speed.
    floats("nodes_hitrates"),
    tensor("nodes_hitrates_as_tensor"),
    ints("nodes_missing_value_tracks_true"),
    texts("nodes_modes"),
    ints("nodes_nodeids"),
    ints("nodes_treeids"),
    ints("nodes_truenodeids"),
    floats("nodes_values"),
    tensor("nodes_values_as_tensor"),
    POST_TRANSFORM,
];

const TREE_REGRESSOR: &[AttributeRule] = &[
    text("aggregate_function", &["SUM", "AVERAGE", "MIN", "MAX"]),
    floats("base_values"),
    tensor("base_values_as_tensor"),
    int("n_targets"),
    ints("nodes_falsenodeids"),
    ints("nodes_featureids"),
    floats("nodes_hitrates"),
    tensor("nodes_hitrates_as_tensor"),
    ints("nodes_missing_value_tracks_true"),
    texts("nodes_modes"),
    ints("nodes_nodeids"),
    ints("nodes_treeids"),
    ints("nodes_truenodeids"),
    floats("nodes_values"),
    tensor("nodes_values_as_tensor"),
    POST_TRANSFORM,
    ints("target_ids"),
    ints("target_nodeids"),
    ints("target_treeids"),
    floats("target_weights"),
    tensor("target_weights_as_tensor"),
];

const TREES_BY_INDEX: &[AttributeRule] = &[
    int("aggregate_function"),
    ints("leaf_targetids"),
    tensor("leaf_weights"),
    tensor("membership_values"),
    int("n_targets"),
    ints("nodes_falseleafs"),
    ints("nodes_falsenodeids"),
    ints("nodes_featureids"),
    tensor("nodes_hitrates"),
    ints("nodes_missing_value_tracks_true"),
    tensor("nodes_modes"),
    tensor("nodes_splits"),
    ints("nodes_trueleafs"),
    ints("nodes_truenodeids"),
    int("post_transform"),
    ints("tree_roots"),
];
