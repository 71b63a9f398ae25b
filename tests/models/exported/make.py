"""Trains small models and exports them as their users do. Classifiers are exported twice: with the options' defaults, which
add a ZipMap (NAME-zipmap.onnx), and without it (NAME.onnx). Beside each model without ZipMap is a file of inputs and of
the outputs of ONNX Runtime. Needs the packages of requirements.txt beside it:

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
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn import ensemble, linear_model, neighbors, neural_network, pipeline, preprocessing, svm, tree

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


def save(name, model, x):
    """Runs the model on one sample at a time, as a gateway does."""
    path = write(name, model)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    field = session.get_inputs()[0].name
    rows = x[:SHOWN]
    outputs = [session.run(None, {field: row[None]}) for row in rows]
    values = {"x": rows.tolist(), "y": {}}
    for place, output in enumerate(session.get_outputs()):
        values["y"][output.name] = [each[place].reshape(-1).tolist() for each in outputs]
    (HERE / f"{name}.json").write_text(json.dumps(values, separators=(",", ":")) + "\n")


def export(name, convert, x):
    """convert: makes the model with the options it is given."""
    model = convert()
    if any(node.op_type == "ZipMap" for node in model.graph.node):
        write(f"{name}-zipmap", model)
        model = convert(zipmap=False)
    save(name, model, x)


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
