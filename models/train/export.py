"""From trained layers to ONNX: the float graph, and the int8 one by ONNX Runtime's static quantizer."""
import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

INPUT, OUTPUT = 'window', 'logits'


def float_model(shape, layers, channels, length):
    """The network as ONNX: `window` [1, channel, length] to `logits` [1, class]. No normalisation inside."""
    nodes, tensors, x = [], [], INPUT
    for i, ((weight, bias), (_, kernel, stride)) in enumerate(zip(layers, shape.convolutions)):
        tensors += [constant(f'conv{i}.weight', weight), constant(f'conv{i}.bias', bias)]
        nodes.append(helper.make_node('Conv', [x, f'conv{i}.weight', f'conv{i}.bias'], [f'conv{i}.out'],
                                      name=f'conv{i}', kernel_shape=[kernel], strides=[stride], pads=[0, 0]))
        nodes.append(helper.make_node('Relu', [f'conv{i}.out'], [f'relu{i}.out'], name=f'relu{i}'))
        x = f'relu{i}.out'
    weight, bias = layers[-1]
    tensors += [constant('dense.weight', weight), constant('dense.bias', bias)]
    nodes += [
        helper.make_node('GlobalAveragePool', [x], ['mean.out'], name='mean'),
        helper.make_node('Flatten', ['mean.out'], ['flat.out'], name='flat', axis=1),
        helper.make_node('Gemm', ['flat.out', 'dense.weight', 'dense.bias'], [OUTPUT], name='dense', transB=1),
    ]
    graph = helper.make_graph(
        nodes, 'motion',
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, channels, length])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, len(bias)])],
        tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8,
                              producer_name='inferd models/train')
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def constant(name, value):
    """An initialiser in f32, the type the graph runs in."""
    return numpy_helper.from_array(np.asarray(value, np.float32), name)


class Windows(CalibrationDataReader):
    """Hands the quantizer the normalised training windows, one at a time."""

    def __init__(self, windows):
        self.rest = iter(windows.astype(np.float32))

    def get_next(self):
        window = next(self.rest, None)
        return None if window is None else {INPUT: window[None]}


def int8_model(float_onnx, calibration):
    """QDQ, s8 activations with a zero point, s8 symmetric weights per output channel, min-max ranges over
    `calibration` [n, channel, length]: real windows of the training recordings."""
    # It advises a pre-processing step, which would infer shapes and fuse nodes: ours has its shapes and nothing to fuse.
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, 'float.onnx'), Path(folder, 'int8.onnx')
        onnx.save(float_onnx, source)
        quantize_static(
            source, target, Windows(calibration),
            quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax)
        model = onnx.load(target)
    onnx.checker.check_model(model, full_check=True)
    return model


def output_step(model):
    """One step of the quantized output: the scale of the node that makes `logits`."""
    last = next(n for n in model.graph.node if OUTPUT in n.output)
    assert last.op_type == 'DequantizeLinear', last.op_type
    return float(numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == last.input[1])))
