"""Makes the small models beside it, with weights chosen by hand. Needs: onnx.

    python3 tests/models/make.py
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
ML = "ai.onnx.ml"


def save(name, nodes, outputs, constants=(), width=2):
    """outputs: (name, element type, shape)"""
    constants = [numpy_helper.from_array(np.array(v), k) for k, v in dict(constants).items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, width])
    outputs = [helper.make_tensor_value_info(*o) for o in outputs]
    graph = helper.make_graph(nodes, name, [x], outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def stump(ids, weights, post="NONE"):
    """One tree: x[0] <= 0 or not. weights: of the two leaves, pairs of class and weight."""
    rows = [(n, c, w) for n, leaf in zip((1, 2), weights) for c, w in leaf]
    return helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "probabilities"], name="trees", domain=ML,
        nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_nodeids=[0, 1, 2], nodes_treeids=[0, 0, 0], nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0], nodes_values=[0.0, 0.0, 0.0],
        class_ids=[c for _, c, _ in rows], class_nodeids=[n for n, _, _ in rows],
        class_treeids=[0 for _ in rows], class_weights=[w for _, _, w in rows],
        classlabels_int64s=ids, post_transform=post,
    )


LABEL = ("label", TensorProto.INT64, [1])
WEIGHTS = {"w": np.eye(2, 3, dtype=np.float32), "b": np.float32([0.0, 0.25, -0.5])}
LOGITS = helper.make_node("Gemm", ["x", "w", "b"], ["logits"], name="last")


def scores(classes, name="probabilities"):
    return (name, TensorProto.FLOAT, [1, classes])


# As scikit-learn's forests and LightGBM write two classes: one weight a leaf.
save("forest-binary", [stump([0, 1], [[(0, 0.25)], [(0, 0.75)]])], [LABEL, scores(2)])
save("boosted-binary", [stump([0, 1], [[(0, -1.5)], [(0, 0.5)]], "LOGISTIC")], [LABEL, scores(2)])
save("forest-ids", [stump([10, 20, 30], [[(0, 0.5), (1, 0.25), (2, 0.25)], [(0, 0.1), (1, 0.1), (2, 0.8)]])],
     [LABEL, scores(3)])
save("forest-label-only", [stump([1, 2], [[(0, 0.25)], [(0, 0.75)]])], [LABEL])
save("logits", [LOGITS], [scores(3, "logits")], WEIGHTS)
for op in ("Softmax", "LogSoftmax", "Sigmoid"):
    save(op.lower(), [LOGITS, helper.make_node(op, ["logits"], ["y"])], [scores(3, "y")], WEIGHTS)
# A class by a rule of its own: the first one only from 0.9 on.
save("own-rule",
     [LOGITS, helper.make_node("Softmax", ["logits"], ["probabilities"]),
      helper.make_node("Gather", ["probabilities", "first"], ["p"], axis=1),
      helper.make_node("Less", ["p", "limit"], ["below"]),
      helper.make_node("Cast", ["below"], ["whole"], to=TensorProto.INT64),
      helper.make_node("Reshape", ["whole", "flat"], ["label"])],
     [LABEL, scores(3)],
     {**WEIGHTS, "first": np.int64([0]), "limit": np.float32(0.9), "flat": np.int64([-1])})

# The model of the README's quick start: the means of the three channels of a window.
window = helper.make_tensor_value_info("window", TensorProto.FLOAT, [1, 128, 3])
means = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])
mean = helper.make_node("ReduceMean", ["window"], ["logits"], name="mean", axes=[1], keepdims=0)
graph = helper.make_graph([mean], "vibration", [window], [means])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
(HERE / "vibration.onnx").write_bytes(model.SerializeToString())

# A state that is carried from run to run: the sum of everything so far, and the number of runs.
f, i = TensorProto.FLOAT, TensorProto.INT64
info = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
     helper.make_node("Add", ["total", "sum"], ["total_out"]),
     helper.make_node("Add", ["runs", "one"], ["runs_out"]),
     helper.make_node("Cast", ["runs_out"], ["n"], to=f),
     helper.make_node("Concat", ["total_out", "n"], ["y"], axis=0)],
    "running-sum", [info("x", f, [4]), info("total", f, [1]), info("runs", i, [1])],
    [info("y", f, [2]), info("total_out", f, [1]), info("runs_out", i, [1])],
    [numpy_helper.from_array(np.int64([1]), "one")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
(HERE / "running-sum.onnx").write_bytes(model.SerializeToString())
