"""Makes ensembles of trees for `run --models`: NAME.onnx as exporters write them, and NAME.ref.npz with inputs and the
labels of ONNX Runtime. Needs tests/models/exported/requirements.txt.

    python3 comparisons/engine/trees.py DIR && comparisons/engine/run --models DIR
"""
import pathlib
import sys

import lightgbm
import numpy as np
import onnxruntime
import skl2onnx
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.ensemble import IsolationForest, RandomForestClassifier

FEATURES, ROWS = 16, 2000


def save(folder, name, model, x):
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    field = session.get_inputs()[0].name
    rows = x[:32, None]
    np.savez(folder / f"{name}.ref.npz", x=rows, y=np.stack([session.run(None, {field: row})[0] for row in rows]))


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] ** 2 + 0.3 * rng.normal(size=ROWS) > 0.5).astype(int) + (x[:, 2] > 1)
    forest = RandomForestClassifier(50, max_depth=9, random_state=1).fit(x, y)
    save(folder, "forest-50x9", skl2onnx.to_onnx(forest, x[:1], options={"zipmap": False}), x)
    boosted = lightgbm.LGBMClassifier(n_estimators=120, verbose=-1, random_state=1).fit(x, (y > 0).astype(int))
    field = [("x", FloatTensorType([None, FEATURES]))]
    save(folder, "lightgbm-120", convert_lightgbm(boosted, initial_types=field, zipmap=False), x)
    isolation = IsolationForest(n_estimators=100, random_state=1).fit(x)
    opset = {"": 17, "ai.onnx.ml": 3}
    save(folder, "isolation-100", skl2onnx.to_onnx(isolation, x[:1], target_opset=opset), x)


main()
