"""Makes small files of TensorFlow Lite, one of each operator, and what LiteRT gives for them.

    python3 -m venv convert && convert/bin/pip install tensorflow-cpu==2.15.1 'numpy<2'
    python3 -m venv run && run/bin/pip install ai-edge-litert==2.3.0
    convert/bin/python tests/models/tflite/make.py files FOLDER [--all]
    run/bin/python tests/models/tflite/make.py outputs FOLDER
    run/bin/python tests/models/tflite/make.py compare FOLDER target/debug/inferd

`files` converts each model below in the kinds f32, f16, dyn (8-bit weights) and int8; without `--all`
only those that are kept beside this script. `outputs` adds NAME.npz: inputs x0, x1, … and LiteRT's
output y, with the runs as first axis. `compare` runs all files by inferd, too, and prints the largest
difference of each: steps for int8, else a part of the largest value.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

KEPT = """conv_same_s2.int8 conv_same_s2.f32 conv_same_s2.f16 conv_same_s2.dyn conv_valid_relu.int8
conv_dil.int8 conv_group.int8 conv_relu6.int8 conv1d.int8 dw_same.int8 dw_mult.int8 dw_mult.f32 fc_3d.int8
fc_chain.int8 fc_chain.dyn avg_same.int8 avg_same.f32 max_same.int8 gap.int8 softmax.int8 pad.int8
logistic.int8 tanh.int8 leaky.int8 prelu.int8 hard_swish.int8 upnear.int8 upbil.int8 upbil.f32
resize_align.int8 tconv_same.int8 tconv_same.f32 tconv_valid.int8 mean_axes.int8 sum.int8 sslice.int8
slice.int8 split.int8 splitv.int8 pack.int8 l2norm.int8 argmax.int8 add.int8 add_bc.int8 add_relu.int8
sub_bc.int8 mul_bc.int8 maximum.int8 concat.int8 matmul_t.int8 greater.f32 lstm.f32 resnet.int8""".split()
RUNS = 4
rng = np.random.default_rng(1)


def models():
    """The models, by name."""
    import tensorflow as tf

    K = tf.keras
    L = K.layers

    def normal(shape, spread, mean=0.0):
        return tf.constant(rng.normal(mean, spread, shape).astype("f4"))

    def kernel(shape, dtype=None):
        # Channels of different size, so that their scales differ.
        return normal(shape, 0.5) * np.exp(rng.normal(0, 0.7, (shape[-1],))).astype("f4")

    def bias(shape, dtype=None):
        return normal(shape, 0.3)

    def sequence(shape, *layers):
        x = first = K.Input(shape, batch_size=1)
        for layer in layers:
            x = layer(x)
        return K.Model(first, x)

    def of(shape, function):
        return sequence(shape, L.Lambda(function))

    def two(function, left, right):
        inputs = [K.Input(left, batch_size=1), K.Input(right, batch_size=1)]
        return K.Model(inputs, L.Lambda(lambda both: function(*both))(inputs))

    def conv(n, size, **more):
        return L.Conv2D(n, size, kernel_initializer=kernel, bias_initializer=bias, **more)

    def depthwise(size, **more):
        return L.DepthwiseConv2D(size, depthwise_initializer=bias, bias_initializer=bias, **more)

    def dense(n, **more):
        return L.Dense(n, kernel_initializer=kernel, bias_initializer=bias, **more)

    def deconv(n, size, **more):
        return L.Conv2DTranspose(n, size, kernel_initializer=kernel, **more)

    def resnet():
        first = K.Input((16, 16, 3), batch_size=1)
        x = conv(8, 3, padding="same", activation="relu")(first)
        x = L.ReLU()(L.Add()([x, conv(8, 3, padding="same")(x)]))
        x = depthwise(3, padding="same", activation=tf.nn.relu6)(L.MaxPooling2D()(x))
        return K.Model(first, dense(5, activation="softmax")(L.GlobalAveragePooling2D()(x)))

    image, resize = tf.compat.v1.image, tf.compat.v1.image.resize_bilinear
    yield "conv_same_s2", sequence((9, 7, 3), conv(5, 3, strides=2, padding="same"))
    yield "conv_valid_relu", sequence((8, 11, 2), conv(4, (3, 2), strides=(1, 2), activation="relu"))
    yield "conv_dil", sequence((12, 13, 3), conv(4, 3, dilation_rate=2))
    yield "conv_dil_same", sequence((12, 13, 3), conv(4, 3, dilation_rate=(2, 3), padding="same"))
    yield "conv_relu6", sequence((5, 5, 7), conv(6, 1, activation=tf.nn.relu6))
    yield "conv_nobias", sequence((5, 6, 3), L.Conv2D(4, 3, use_bias=False, kernel_initializer=kernel))
    yield "conv_group", sequence((6, 6, 8), conv(12, 3, groups=4, padding="same"))
    yield "conv1d", sequence((20, 3), L.Conv1D(4, 5, strides=2, padding="same", kernel_initializer=kernel))
    yield "bn", sequence((6, 6, 3), conv(4, 3), L.BatchNormalization(), L.ReLU())
    yield "dw_same", sequence((9, 8, 5), depthwise(3, strides=2, padding="same", activation="relu"))
    yield "dw_mult", sequence((7, 9, 3), depthwise((5, 3), depth_multiplier=2))
    yield "dw_dil", sequence((12, 12, 3), depthwise(3, dilation_rate=2, padding="same"))
    yield "fc", sequence((33,), dense(9, activation="relu"))
    yield "fc_3d", sequence((4, 6), dense(5))
    layers = [dense(16, activation="relu"), dense(8, activation="relu"), dense(3, activation="softmax")]
    yield "fc_chain", sequence((20,), *layers)
    yield "avg_same", sequence((9, 7, 3), L.AveragePooling2D(3, strides=2, padding="same"))
    yield "avg_valid", sequence((9, 8, 3), L.AveragePooling2D((2, 3)))
    yield "max_same", sequence((9, 7, 3), L.MaxPooling2D(3, strides=2, padding="same"))
    yield "gap", sequence((6, 5, 4), L.GlobalAveragePooling2D())
    yield "gmp", sequence((6, 5, 4), L.GlobalMaxPooling2D())
    yield "softmax", sequence((10,), L.Softmax())
    yield "reshape", sequence((4, 6), L.Reshape((3, 8)))
    yield "permute", sequence((4, 6, 3), L.Permute((3, 1, 2)))
    yield "pad", sequence((5, 6, 3), L.ZeroPadding2D(((1, 2), (0, 3))))
    yield "logistic", of((30,), tf.sigmoid)
    yield "tanh", of((30,), tf.tanh)
    yield "relu", of((30,), tf.nn.relu)
    yield "relu6", of((30,), tf.nn.relu6)
    yield "leaky", sequence((30,), L.LeakyReLU(0.2))
    yield "elu", of((30,), tf.nn.elu)
    alpha = dict(alpha_initializer=lambda s, dtype=None: normal(s, 0.2, 0.2), shared_axes=[1, 2])
    yield "prelu", sequence((5, 4, 3), L.PReLU(**alpha))
    yield "hard_swish", of((60,), lambda x: x * tf.nn.relu6(x + 3) / 6)
    yield "gelu", of((30,), tf.nn.gelu)
    yield "gelu_tanh", of((30,), lambda x: tf.nn.gelu(x, approximate=True))
    yield "exp", of((12,), tf.exp)
    yield "log", of((12,), lambda x: tf.math.log(tf.abs(x) + 0.1))
    yield "rsqrt", of((12,), lambda x: tf.math.rsqrt(tf.abs(x) + 0.1))
    yield "upnear", sequence((4, 5, 3), L.UpSampling2D((2, 3)))
    yield "upbil", sequence((4, 5, 3), L.UpSampling2D(2, interpolation="bilinear"))
    yield "resize_align", of((4, 5, 3), lambda x: resize(x, (7, 9), align_corners=True))
    yield "resize_asym", of((4, 5, 3), lambda x: resize(x, (7, 9)))
    near = image.resize_nearest_neighbor
    yield "resize_nn_align", of((4, 5, 3), lambda x: near(x, (7, 9), align_corners=True))
    yield "tconv_same", sequence((4, 5, 3), deconv(4, 3, strides=2, padding="same"))
    yield "tconv_valid", sequence((4, 5, 3), deconv(4, (2, 3), strides=3))
    yield "mean_axes", of((4, 5, 3), lambda x: tf.reduce_mean(x, axis=[2]))
    yield "sum", of((4, 5, 3), lambda x: tf.reduce_sum(x, axis=[1, 3], keepdims=True))
    yield "rmax", of((4, 5, 3), lambda x: tf.reduce_max(x, axis=[1]))
    yield "rmin", of((4, 5, 3), lambda x: tf.reduce_min(x, axis=[1]))
    yield "sslice", of((9, 8, 3), lambda x: x[:, 1:-1:2, ::-1, 1])
    yield "slice", of((9, 8, 3), lambda x: tf.slice(x, [0, 2, 1, 0], [1, 3, -1, 2]))
    parts = lambda x: [a * (i + 1) for i, a in enumerate(tf.split(x, 3, axis=1))]  # noqa: E731
    yield "split", of((6, 4), lambda x: tf.concat(parts(x), -1))
    yield "splitv", of((6, 4), lambda x: tf.concat(tf.split(x, [1, 3, 2], axis=1)[::-1], 1))
    yield "pack", of((6, 4), lambda x: tf.stack(tf.unstack(x, axis=2)[::-1], axis=1))
    yield "squeeze", of((6, 1, 4), lambda x: tf.squeeze(x, [2]))
    yield "expand", of((6, 4), lambda x: tf.expand_dims(x, 2))
    yield "l2norm", of((12,), lambda x: tf.math.l2_normalize(x, axis=-1))
    yield "argmax", of((12,), lambda x: tf.argmax(x, axis=-1, output_type=tf.int32))
    yield "d2s", of((4, 5, 8), lambda x: tf.nn.depth_to_space(x, 2))
    yield "s2d", of((4, 6, 3), lambda x: tf.nn.space_to_depth(x, 2))
    yield "mirror", of((5, 6, 3), lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT"))
    yield "gather", of((5, 6), lambda x: tf.gather(x, [3, 0, 4, 4], axis=1))
    yield "tile", of((3, 4), lambda x: tf.tile(x, [1, 2, 3]))
    binary = dict(add=tf.add, sub=tf.subtract, mul=tf.multiply, maximum=tf.maximum, minimum=tf.minimum)
    for name, function in dict(binary, sqdiff=tf.math.squared_difference).items():
        yield name, two(function, (5, 4, 3), (5, 4, 3))
        yield f"{name}_bc", two(function, (5, 4, 3), (1, 1, 3))
    yield "add_const", of((5, 4, 3), lambda x: x + tf.constant([0.3, -1.0, 2.0]))
    yield "mul_const", of((5, 4, 3), lambda x: x * tf.constant([0.3, -1.0, 2.0]))
    yield "add_relu", two(lambda a, b: tf.nn.relu(a + b), (5, 4), (5, 4))
    yield "div", two(lambda a, b: a / (tf.abs(b) + 1.0), (5, 4), (5, 4))
    yield "concat", two(lambda a, b: tf.concat([a, b], -1), (5, 4, 3), (5, 4, 2))
    yield "matmul", two(tf.matmul, (5, 4), (4, 3))
    yield "matmul_t", two(lambda a, b: tf.matmul(a, b, transpose_b=True), (5, 4), (3, 4))
    yield "greater", two(lambda a, b: tf.where(a > b, a, b * 2.0), (5, 4), (5, 4))
    yield "lstm", sequence((7, 5), L.LSTM(6))
    yield "lstm_seq", sequence((7, 5), L.LSTM(6, return_sequences=True))
    yield "gru", sequence((7, 5), L.GRU(6, unroll=True))
    yield "resnet", resnet()
    yield "refused", of((5,), lambda x: tf.cast(tf.where(x > 0.0), tf.float32))


def files(folder, everything):
    import tensorflow as tf

    for name, model in models():
        for kind in ("f32", "f16", "dyn", "int8"):
            if f"{name}.{kind}" not in KEPT and not everything and (name, kind) != ("refused", "f32"):
                continue
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
            if kind != "f32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if kind == "f16":
                converter.target_spec.supported_types = [tf.float16]
            if kind == "int8":
                shapes = [[1, *each.shape[1:]] for each in model.inputs]
                samples = [[rng.normal(0, 1.5, s).astype("f4") for s in shapes] for _ in range(20)]
                converter.representative_dataset = lambda samples=samples: iter(samples)
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = converter.inference_output_type = tf.int8
            try:
                converted = converter.convert()
            except Exception as error:
                print(name, kind, str(error).splitlines()[0], file=sys.stderr)
                continue
            file = "refused" if name == "refused" else f"{name}.{kind}"
            (folder / f"{file}.tflite").write_bytes(converted)


def litert(path):
    """Random inputs by name, and LiteRT's first output for each run."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    random = np.random.default_rng(5)
    inputs, outputs = {each["name"]: [] for each in details}, []
    for _ in range(RUNS):
        for each in details:
            if each["dtype"] == np.float32:
                value = random.normal(0, 1.5, each["shape"])
            else:
                value = np.round(random.normal(0, 60, each["shape"]) + each["quantization"][1])
                value = value.clip(-128, 127)
            inputs[each["name"]].append(value.astype(each["dtype"]))
            interpreter.set_tensor(each["index"], inputs[each["name"]][-1])
        interpreter.reset_all_variables()
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy())
    return {name: np.stack(values) for name, values in inputs.items()}, np.stack(outputs)


def paths(folder):
    return [path for path in sorted(folder.glob("*.tflite")) if path.stem != "refused"]


def write_outputs(folder):
    for path in paths(folder):
        inputs, output = litert(path)
        arrays = {f"x{i}": values for i, values in enumerate(inputs.values())}
        np.savez_compressed(path.with_suffix(".npz"), y=output, **arrays)


def compare(folder, program):
    with tempfile.TemporaryDirectory() as work:
        given, made = f"{work}/in.npz", f"{work}/out.npz"
        for path in paths(folder):
            inputs, theirs = litert(path)
            np.savez(given, **inputs)
            command = [program, "infer", str(path), "--inputs", given, "--outputs", made]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode:
                print(f"{path.stem:24} {run.stderr.strip().splitlines()[-1]}")
                continue
            with np.load(made) as arrays:
                ours = arrays[arrays.files[0]]
            difference = np.abs(ours.astype("f8") - theirs.astype("f8")).max()
            if theirs.dtype == np.float32:
                difference /= max(1e-6, np.abs(theirs).max())
            print(f"{path.stem:24} {difference:.3g}")


if __name__ == "__main__":
    verb, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if verb == "files":
        folder.mkdir(exist_ok=True)
        files(folder, "--all" in sys.argv)
    elif verb == "outputs":
        write_outputs(folder)
    else:
        compare(folder, sys.argv[3])
