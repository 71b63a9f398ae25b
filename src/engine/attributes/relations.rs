//! Conditions between the attributes, inputs and outputs of a node.

use crate::engine::graph::{AttributeValue, ElementType, Graph, Node, TensorData, integers};
use crate::tensor::Data;
use std::collections::HashMap;

/// The constants of a graph and of those around it, by name.
#[derive(Clone, Default)]
pub(super) struct Constants<'a>(HashMap<&'a str, &'a TensorData>);

impl<'a> Constants<'a> {
    /// These and the constants of a graph inside.
    pub(super) fn with<'b>(&self, graph: &'b Graph) -> Constants<'b>
    where
        'a: 'b,
    {
        let mut all: HashMap<&'b str, &'b TensorData> = self.0.clone();
        // Values of the graph hide those outside that have the same name.
        let made = graph.nodes.iter().flat_map(|n| &n.outputs);
        for name in made.chain(graph.inputs.iter().map(|i| &i.name)) {
            all.remove(name.as_str());
        }
        all.extend(graph.initializers.iter().map(|t| (t.name.as_str(), t)));
        for node in graph.nodes.iter().filter(|n| n.op == "Constant") {
            if let (Some(name), Some(tensor)) = (node.outputs.first(), node.tensor("value")) {
                all.insert(name, tensor);
            }
        }
        Constants(all)
    }

    fn input(&self, node: &Node, i: usize) -> Option<&TensorData> {
        self.0.get(node.inputs.get(i)?.as_str()).copied()
    }

    fn numbers(&self, node: &Node, i: usize) -> Option<Vec<i64>> {
        integers(&self.input(node, i)?.to_tensor()?)
    }
}

/// What to do about an attribute that is not supported.
pub(super) fn advice(node: &Node, attribute: &str) -> &'static str {
    match (node.op.as_str(), attribute) {
        (
            "GRU" | "LSTM" | "RNN",
            "clip" | "activations" | "activation_alpha" | "activation_beta",
        ) => {
            ": use the layer's default activations without clipping, or export it unrolled \
             (Keras: unroll=True)"
        }
        ("GRU" | "LSTM" | "RNN", _) => ": export the layer unrolled (Keras: unroll=True)",
        ("BatchNormalization" | "Dropout", _) => ": export the model for inference (model.eval())",
        ("TreeEnsembleClassifier", _) => ": export with 32-bit floats",
        ("QuantizeLinear" | "DequantizeLinear", _) => {
            ": quantize per tensor or per channel, to 8 or 16 bits"
        }
        ("Resize", _) => ": export with mode \"nearest\", \"linear\" or \"cubic\"",
        ("Pad", "mode") => ": export with constant, edge or reflect padding",
        _ => ": export the model with another opset, or without it",
    }
}

type Checked = Result<(), String>;

/// Checks a node that the table allows.
///
/// # Errors
/// Why the node is not supported.
pub(super) fn check(opset: i64, node: &Node, constants: &Constants<'_>) -> Checked {
    match node.op.as_str() {
        "GRU" | "LSTM" | "RNN" if opset < 10 && node.text("direction") == Some("reverse") => {
            Err("its direction is not supported before opset 10: export with a newer opset".into())
        }
        "DynamicQuantizeLSTM" | "GRU" | "LSTM" | "RNN" => recurrent(node, constants),
        "Conv" | "ConvInteger" | "QLinearConv" | "AveragePool" | "QLinearAveragePool"
        | "MaxPool" | "ConvTranspose" => window(node),
        "BitShift" => shift(node, constants),
        "DepthToSpace" | "SpaceToDepth" => {
            required(node, "blocksize", |b| (1..=1 << 16).contains(&b))
        }
        "Cast" => required(node, "to", |_| true),
        "Concat" => required(node, "axis", |_| true),
        "LRN" => required(node, "size", |s| s > 0),
        "GroupNormalization" => required(node, "num_groups", |g| g > 0),
        "Dropout" => dropout(node, constants),
        "Einsum" => einsum(node),
        "Pad" if opset >= 11 => pad(constants.numbers(node, 1).as_deref()),
        "Pad" => pad(node.ints("pads")),
        "QuantizeLinear" => quantize(node, constants),
        "Scan" => scan(node),
        "Split" => split(node),
        "Transpose" => transpose(node),
        _ => Ok(()),
    }
}

fn required(node: &Node, name: &str, fits: impl Fn(i64) -> bool) -> Checked {
    match node.int(name) {
        Some(value) if fits(value) => Ok(()),
        Some(value) => Err(format!("its attribute {name} = {value} is out of range")),
        None => Err(format!("its attribute {name} is missing")),
    }
}

/// Activations that recurrences have kernels for, with their default parameters.
const ACTIVATIONS: [&str; 11] = [
    "Affine",
    "ScaledTanh",
    "Relu",
    "Tanh",
    "Sigmoid",
    "LeakyRelu",
    "ThresholdedRelu",
    "HardSigmoid",
    "Elu",
    "Softsign",
    "Softplus",
];

/// The float runtime takes the number of directions from the weights, so that the attribute must
/// agree with them.
fn recurrent(node: &Node, constants: &Constants<'_>) -> Checked {
    let count = match node.op.as_str() {
        "LSTM" | "DynamicQuantizeLSTM" => 3,
        "GRU" => 2,
        _ => 1,
    };
    let direction = node.text("direction").unwrap_or("forward");
    let directions = if direction == "bidirectional" { 2 } else { 1 };
    if let Some(given) = node.texts("activations").filter(|names| !names.is_empty()) {
        // ONNX Runtime ignores the case of the names too.
        let known = |a: &Vec<u8>| ACTIVATIONS.iter().any(|b| a.eq_ignore_ascii_case(b.as_bytes()));
        if given.len() != count * directions || !given.iter().all(known) {
            return Err(format!(
                "its attribute activations = {} is not supported, only {count} of {ACTIVATIONS:?} \
                 in each direction{}",
                super::rule::display(&AttributeValue::Texts(given.to_vec())),
                advice(node, "activations")
            ));
        }
    }
    if node.float("clip").is_some_and(|clip| !(clip.is_finite() && clip > 0.0)) {
        return Err("its attribute clip is not a positive number".into());
    }
    parameters(node)?;
    if node.op == "DynamicQuantizeLSTM" {
        return Ok(());
    }
    for input in 1..3 {
        let Some(weights) = constants.input(node, input) else { continue };
        let shape = &weights.shape;
        if shape.first() != Some(&directions) {
            return Err(format!("its direction is {direction}, its weights have shape {shape:?}"));
        }
        let hidden = (input == 2).then(|| shape.last().copied()).flatten();
        if let (Some(hidden), Some(given)) = (hidden, node.int("hidden_size"))
            && Ok(hidden) != usize::try_from(given)
        {
            return Err(format!("its hidden_size is {given}, its weights are for {hidden}"));
        }
    }
    Ok(())
}

/// Activations with an `alpha`, and with a `beta`. The values are taken in the order of the
/// activations.
const WITH_ALPHA: [&str; 6] =
    ["Affine", "ScaledTanh", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Elu"];
const WITH_BETA: [&str; 3] = ["Affine", "ScaledTanh", "HardSigmoid"];
/// ONNX has no defaults for the parameters of these.
const WITHOUT_DEFAULT: [&str; 2] = ["Affine", "ScaledTanh"];

/// The parameters of the activations of a recurrent layer.
fn parameters(node: &Node) -> Checked {
    let names = node.texts("activations").unwrap_or_default();
    for (attribute, takers) in
        [("activation_alpha", &WITH_ALPHA[..]), ("activation_beta", &WITH_BETA)]
    {
        let values = node.floats(attribute).unwrap_or_default();
        let is =
            |name: &[u8], all: &[&str]| all.iter().any(|a| name.eq_ignore_ascii_case(a.as_bytes()));
        let taking: Vec<&Vec<u8>> = names.iter().filter(|name| is(name, takers)).collect();
        if values.iter().any(|x| !x.is_finite()) {
            return Err(format!("its attribute {attribute} has a value that is not finite"));
        }
        if values.len() > taking.len() {
            return Err(format!(
                "its attribute {attribute} has {} values, its activations take {}",
                values.len(),
                taking.len()
            ));
        }
        if taking.iter().skip(values.len()).any(|name| is(name, &WITHOUT_DEFAULT)) {
            return Err(format!("its attribute {attribute} has no value for Affine or ScaledTanh"));
        }
    }
    Ok(())
}

/// Automatic padding excludes explicit padding and rounding.
fn window(node: &Node) -> Checked {
    let automatic = node.text("auto_pad").filter(|p| *p != "NOTSET");
    let Some(automatic) = automatic else { return Ok(()) };
    let conflict = |name: &str| {
        Err(format!(
            "its attributes auto_pad = {automatic:?} and {name} are not supported together"
        ))
    };
    if node.ints("pads").is_some_and(|pads| pads.iter().any(|&p| p != 0)) {
        return conflict("pads");
    }
    for name in ["ceil_mode", "count_include_pad"] {
        if node.int(name).unwrap_or(0) != 0 {
            return conflict(name);
        }
    }
    if node.op == "ConvTranspose" && node.attribute("output_shape").is_some() {
        return conflict("output_shape");
    }
    Ok(())
}

/// The result of a shift by more bits than the type has differs between processors.
fn shift(node: &Node, constants: &Constants<'_>) -> Checked {
    if node.text("direction").is_none() {
        return Err("its attribute direction is missing".into());
    }
    let amounts = constants.input(node, 1).and_then(TensorData::to_tensor);
    let Some((width, amounts)) = amounts.and_then(|t| Some((t.dtype().size() * 8, integers(&t)?)))
    else {
        return Err("it shifts by other than constants: multiply or divide instead".into());
    };
    match amounts.iter().find(|a| !usize::try_from(**a).is_ok_and(|a| a < width)) {
        Some(amount) => Err(format!("it shifts {width} bits by {amount}")),
        None => Ok(()),
    }
}

/// A dropout in training adds noise.
fn dropout(node: &Node, constants: &Constants<'_>) -> Checked {
    if node.inputs.get(2).is_none_or(String::is_empty) {
        return Ok(());
    }
    let trains = constants.input(node, 2).and_then(TensorData::to_tensor);
    match trains.map(|t| t.data) {
        Some(Data::Bool(v)) if v == [false] => Ok(()),
        _ => Err("its input training_mode is not false: export the model for inference \
             (model.eval())"
            .into()),
    }
}

fn einsum(node: &Node) -> Checked {
    let equation = node.text("equation").unwrap_or("");
    if equation.contains("->") {
        return Ok(());
    }
    Err(format!("its attribute equation = {equation:?} does not name its result: write it with ->"))
}

fn pad(pads: Option<&[i64]>) -> Checked {
    match pads.into_iter().flatten().find(|p| **p < 0) {
        Some(pad) => Err(format!("it pads by {pad}: cut with a Slice instead")),
        None => Ok(()),
    }
}

/// The result has the type of the zero point, or u8 without one.
fn quantize(node: &Node, constants: &Constants<'_>) -> Checked {
    let Some(given @ 1..) = node.int("output_dtype") else { return Ok(()) };
    let own = match node.inputs.get(2).filter(|z| !z.is_empty()) {
        Some(_) => constants.input(node, 2).map(|z| z.element),
        None => Some(ElementType::U8),
    };
    if own.is_some_and(|own| i64::from(own.code()) == given) {
        return Ok(());
    }
    Err(format!("its attribute output_dtype = {given} is not supported: give it a zero point"))
}

fn scan(node: &Node) -> Checked {
    let Some(body) = node.subgraphs().next() else { return Err("it has no body".into()) };
    let scanned = usize::try_from(node.int("num_scan_inputs").unwrap_or(0)).unwrap_or(0);
    if scanned == 0 || scanned > node.inputs.len() || body.inputs.len() != node.inputs.len() {
        return Err(format!(
            "its num_scan_inputs, its {} inputs and the {} of its body do not fit",
            node.inputs.len(),
            body.inputs.len()
        ));
    }
    let states = node.inputs.len() - scanned;
    if body.outputs.len() < states || body.outputs.len() < node.outputs.len() {
        return Err("its body has too few outputs".into());
    }
    let made = body.outputs.len() - states;
    let lists = [
        ("scan_input_axes", scanned),
        ("scan_input_directions", scanned),
        ("scan_output_axes", made),
        ("scan_output_directions", made),
    ];
    for (name, count) in lists {
        let Some(values) = node.ints(name) else { continue };
        let direction = |v: &i64| matches!(v, 0 | 1);
        if values.len() != count || (name.ends_with("directions") && !values.iter().all(direction))
        {
            return Err(format!("its attribute {name} = {values:?} does not fit {count} values"));
        }
    }
    Ok(())
}

fn split(node: &Node) -> Checked {
    match node.int("num_outputs") {
        Some(count) if usize::try_from(count) != Ok(node.outputs.len()) => {
            Err(format!("its num_outputs is {count}, it has {} outputs", node.outputs.len()))
        }
        _ => Ok(()),
    }
}

fn transpose(node: &Node) -> Checked {
    let Some(perm) = node.ints("perm") else { return Ok(()) };
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    let fits = sorted.iter().zip(0..).all(|(&axis, i)| axis == i);
    if fits { Ok(()) } else { Err(format!("its perm {perm:?} is not a permutation of its axes")) }
}
