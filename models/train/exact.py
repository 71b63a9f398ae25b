"""What the int8 model means: its graph in real arithmetic, one rounding (half to even) and saturation per
QuantizeLinear. The golden outputs come from here and not from a runtime, whose kernels take short cuts
(ONNX Runtime's u8 x s8 products saturate in 16 bits on AVX2). Knows the operators of our own export only.
"""
import numpy as np
import onnx
from onnx import numpy_helper


def along(value, like, axis):
    """A per-axis scale or zero point shaped to broadcast against `like`."""
    value = np.asarray(value)
    if value.ndim == 0:
        return value
    return value.reshape([-1 if i == axis else 1 for i in range(like.ndim)])


def quantize(x, scale, zero, axis=1):
    low, high = np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max
    q = np.rint(x / along(scale, x, axis).astype(np.float64)) + along(zero, x, axis).astype(np.float64)
    return np.clip(q, low, high).astype(zero.dtype)


def dequantize(q, scale, zero=0, axis=1):
    return (q.astype(np.float64) - along(zero, q, axis).astype(np.float64)) * along(scale, q, axis).astype(np.float64)


def convolve(x, weight, bias, kernel_shape, strides, pads):
    assert pads == [0, 0], pads
    patch = np.lib.stride_tricks.sliding_window_view(x, kernel_shape[0], axis=2)[:, :, ::strides[0]]
    return np.tensordot(patch, weight, axes=((1, 3), (1, 2))).transpose(0, 2, 1) + bias[:, None]


def gemm(x, weight, bias, transB=0):
    return x @ (weight.T if transB else weight) + bias


OPERATORS = {
    'QuantizeLinear': quantize,
    'DequantizeLinear': dequantize,
    'Conv': convolve,
    'Gemm': gemm,
    'Relu': lambda x: np.maximum(x, 0.0),
    'GlobalAveragePool': lambda x: x.mean(axis=2, keepdims=True),
    'Flatten': lambda x, axis: x.reshape(int(np.prod(x.shape[:axis])), -1),
}


def run(model, window):
    """`logits` [1, class] in float64 for one normalised window [1, channel, length] of f32."""
    value = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    value[model.graph.input[0].name] = window.astype(np.float64)
    for node in model.graph.node:
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        value[node.output[0]] = OPERATORS[node.op_type](*(value[name] for name in node.input), **settings)
    return value[model.graph.output[0].name]
