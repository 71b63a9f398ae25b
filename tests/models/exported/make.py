"""Trains small models and exports them as their users do. Some classifiers are exported twice: with the options' defaults,
which add a ZipMap (NAME-zipmap.onnx), and without it (NAME.onnx). Beside each model is a file of inputs and of the outputs of
ONNX Runtime: a map of scores as a row in the order of the classes, a text as its place among the classes. Needs the packages of requirements.txt beside it:

    pip install -r tests/models/exported/requirements.txt && python3 tests/models/exported/make.py
"""

import json
import pathlib
import warnings

import lightgbm
import numpy as np
import onnxruntime
import skl2onnx
import skl2onnx.common.data_types as skl_types
import xgboost
from onnx import helper
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn import ensemble, impute, linear_model, neighbors, neural_network, pipeline, preprocessing, svm, tree

HERE = pathlib.Path(__file__).parent
FEATURES, ROWS, SHOWN = 4, 120, 12
warnings.filterwarnings("ignore")


def data(classes):
    """Samples of `classes` clusters that overlap, the same at every run."""
    rng = np.random.default_rng(17)
    centres = rng.normal(0, 1.0, (classes, FEATURES))
    labels = np.arange(ROWS) % classes
    return (centres[labels] + rng.normal(0, 0.8, (ROWS, FEATURES))).astype(np.float32), labels


def write(name, model):
    path = HERE / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def classes_of(model):
    """The texts of the model's classes, if they are texts."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "classlabels_strings":
                return [text.decode() for text in helper.get_attribute_value(attribute)]
    return []


def row(value, classes):
    """An output as numbers."""
    if isinstance(value, list):
        (scores,) = value
        return list(scores.values())
    if value.dtype.kind in "OU":
        return [float(classes.index(text)) for text in value.reshape(-1)]
    return value.reshape(-1).tolist()


def save(name, model, x):
    """Runs the model on one sample at a time, as a gateway does."""
    path = write(name, model)
    classes = classes_of(model)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    field = session.get_inputs()[0].name
    rows = x[:SHOWN]
    outputs = [session.run(None, {field: row[None]}) for row in rows]
    values = {"x": rows.tolist(), "y": {}, "classes": classes}
    for place, output in enumerate(session.get_outputs()):
        values["y"][output.name] = [row(each[place], classes) for each in outputs]
    (HERE / f"{name}.json").write_text(json.dumps(values, separators=(",", ":")).replace("NaN", "null") + "\n")


def export(name, convert, x):
    """convert: makes the model with the options it is given."""
    model = convert()
    if any(node.op_type == "ZipMap" for node in model.graph.node):
        save(f"{name}-zipmap", model, x)
        model = convert(zipmap=False)
    save(name, model, x)


def export_default(name, estimator, x, labels=None, opset=None, **options):
    """Exports with the defaults only."""
    estimator.fit(x, labels) if labels is not None else estimator.fit(x)
    save(name, skl2onnx.to_onnx(estimator, x[:1], name=name, target_opset=opset, **options), x)


def sklearn(name, estimator, classes=2, target=None):
    x, labels = data(classes)
    estimator.fit(x, labels if target is None else target(x))
    field = [("x", skl_types.FloatTensorType([None, FEATURES]))]
    # Without a name the graph gets a random one.
    export(name, lambda **options: skl2onnx.convert_sklearn(estimator, name, field, options=options or None), x)


def boosted(name, classes):
    x, labels = data(classes)
    model = lightgbm.LGBMClassifier(n_estimators=4, num_leaves=5, min_child_samples=5, verbose=-1, random_state=1).fit(x, labels)
    field = [("x", FloatTensorType([None, FEATURES]))]
    export(name, lambda **options: convert_lightgbm(model, name, field, **options), x)


def line(x):
    return x @ np.float32([1.0, -2.0, 0.5, 0.0]) + np.float32(3.0)


seed = {"random_state": 1}
boosted("lightgbm-binary", 2)
boosted("lightgbm-multiclass", 3)
sklearn("tree", tree.DecisionTreeClassifier(max_depth=3, **seed))
sklearn("tree-multiclass", tree.DecisionTreeClassifier(max_depth=3, **seed), 3)
sklearn("forest", ensemble.RandomForestClassifier(n_estimators=4, max_depth=3, **seed))
sklearn("gradient-boosting", ensemble.GradientBoostingClassifier(n_estimators=4, max_depth=2, **seed))
sklearn("gradient-boosting-regressor", ensemble.GradientBoostingRegressor(n_estimators=4, max_depth=2, **seed), target=line)
sklearn("knn", neighbors.KNeighborsClassifier(3))
sklearn("knn-regressor", neighbors.KNeighborsRegressor(3), target=line)
sklearn("logistic-regression", linear_model.LogisticRegression())
sklearn("logistic-regression-multiclass", linear_model.LogisticRegression(), 3)
sklearn("linear-regression", linear_model.LinearRegression(), target=line)
sklearn("linear-svc", svm.LinearSVC(**seed))
sklearn("svc", svm.SVC(**seed))
sklearn("scaled-mlp", pipeline.make_pipeline(
    preprocessing.StandardScaler(), neural_network.MLPClassifier((6,), max_iter=300, **seed)))

# What users have besides, with the defaults only.
x, labels = data(3)
texts = np.array(["fault", "ok", "wear"])[labels]
holes = x.copy()
holes[np.random.default_rng(3).random(x.shape) < 0.1] = np.nan
older = {"": 17, "ai.onnx.ml": 3}
field = [("x", FloatTensorType([None, FEATURES]))]
export_default("texts-forest", ensemble.RandomForestClassifier(n_estimators=4, max_depth=3, **seed), x, texts)
export_default("texts-mlp", neural_network.MLPClassifier((4,), max_iter=200, **seed), x, texts)
export_default("texts-knn", neighbors.KNeighborsClassifier(3), x[:40], texts[:40])
export_default("doubles-forest", ensemble.RandomForestClassifier(n_estimators=3, max_depth=3, **seed), x.astype(np.float64), labels)
export_default("imputed-svc", pipeline.make_pipeline(
    impute.SimpleImputer(), preprocessing.StandardScaler(), svm.SVC(probability=True, **seed)), holes[:60], labels[:60])
export_default("one-class-svm", svm.OneClassSVM(nu=0.1), x[:60])
export_default("svr", svm.SVR(), x[:60], line(x)[:60])
export_default("ada-boost", ensemble.AdaBoostClassifier(n_estimators=3, **seed), x, labels)
export_default("isolation-forest", ensemble.IsolationForest(n_estimators=3, max_samples=16, **seed), x, opset=older)
export_default("forest-regressor", ensemble.RandomForestRegressor(n_estimators=4, max_depth=3, **seed), x, np.stack([line(x), -line(x)], 1))
for name, target in (("xgboost-binary", labels > 0), ("xgboost-multiclass", labels)):
    model = xgboost.XGBClassifier(n_estimators=3, max_depth=3, random_state=1).fit(x, target.astype(int))
    save(name, convert_xgboost(model, name, field), x)
save("xgboost-regressor", convert_xgboost(
    xgboost.XGBRegressor(n_estimators=3, max_depth=3, random_state=1).fit(holes, line(x)), "xgboost-regressor", field), holes)
save("lightgbm-regressor", convert_lightgbm(
    lightgbm.LGBMRegressor(n_estimators=4, num_leaves=5, min_child_samples=5, verbose=-1, random_state=1).fit(holes, line(x)),
    "lightgbm-regressor", field), holes)
save("lightgbm-texts", convert_lightgbm(
    lightgbm.LGBMClassifier(n_estimators=2, num_leaves=4, min_child_samples=5, verbose=-1, random_state=1).fit(x, texts),
    "lightgbm-texts", field), x)
