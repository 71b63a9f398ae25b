//! What attributes, inputs and outputs of a node must be together.

use crate::engine::constant::{integers, read};
use crate::engine::proto::{Attributes, subgraphs};
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// The values that a graph and those around it hold.
#[derive(Clone, Default)]
pub(super) struct Constants<'a>(HashMap<&'a str, &'a TensorProto>);

impl<'a> Constants<'a> {
    /// With those of a graph inside.
    pub(super) fn with<'b>(&self, graph: &'b GraphProto) -> Constants<'b>
    where
        'a: 'b,
    {
        let mut all: HashMap<&'b str, &'b TensorProto> = self.0.clone();
        // What the graph makes or is given hides what is outside of it.
        let made = graph.node.iter().flat_map(|n| &n.output);
        for name in made.chain(graph.input.iter().map(|i| &i.name)) {
            all.remove(name.as_str());
        }
        all.extend(graph.initializer.iter().map(|t| (t.name.as_str(), t)));
        for node in graph.node.iter().filter(|n| n.op_type == "Constant") {
            let value = node.attribute("value").and_then(|a| a.t.as_ref());
            if let (Some(name), Some(tensor)) = (node.output.first(), value) {
                all.insert(name, tensor);
            }
        }
        Constants(all)
    }

    fn input(&self, node: &NodeProto, i: usize) -> Option<&TensorProto> {
        self.0.get(node.input.get(i)?.as_str()).copied()
    }

    fn numbers(&self, node: &NodeProto, i: usize) -> Option<Vec<i64>> {
        integers(&read(self.input(node, i)?).ok()??)
    }
}

/// What to do about an attribute that is not honoured.
pub(super) fn advice(node: &NodeProto, attribute: &str) -> &'static str {
    match (node.op_type.as_str(), attribute) {
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

/// Refuses, with the reason, what is not honoured of a node that the table allows.
pub(super) fn check(opset: i64, node: &NodeProto, constants: &Constants<'_>) -> Checked {
    match node.op_type.as_str() {
        "GRU" | "LSTM" | "RNN" if opset < 10 && node.text("direction") == Some("reverse") => {
            Err("its direction is not supported before opset 10: export with a newer opset".into())
        }
        "GRU" | "LSTM" | "RNN" => recurrent(node, constants),
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

fn required(node: &NodeProto, name: &str, fits: impl Fn(i64) -> bool) -> Checked {
    match node.int(name) {
        Some(value) if fits(value) => Ok(()),
        Some(value) => Err(format!("its attribute {name} = {value} is out of range")),
        None => Err(format!("its attribute {name} is missing")),
    }
}

/// Recurrences run with their default activations. How many directions there are is read from the
/// weights, so these must say the same.
fn recurrent(node: &NodeProto, constants: &Constants<'_>) -> Checked {
    let defaults: &[&str] = match node.op_type.as_str() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    let direction = node.text("direction").unwrap_or("forward");
    let directions = if direction == "bidirectional" { 2 } else { 1 };
    if let Some(given) = node.attribute("activations").filter(|a| !a.strings.is_empty()) {
        // ONNX Runtime does not look at the case of the names either.
        let same = |(a, b): (&Vec<u8>, &&str)| a.eq_ignore_ascii_case(b.as_bytes());
        let expected = defaults.iter().cycle().take(defaults.len() * directions);
        if given.strings.len() != expected.clone().count()
            || !given.strings.iter().zip(expected).all(same)
        {
            return Err(format!(
                "its attribute activations = {} is not supported, only {defaults:?} in each \
                 direction{}",
                super::rule::shown(given),
                advice(node, "activations")
            ));
        }
    }
    if directions == 2 && node.int("layout").unwrap_or(0) != 0 {
        return Err("its attribute layout = 1 is not supported in two directions: export with \
             layout 0"
            .into());
    }
    for input in 1..3 {
        let Some(weights) = constants.input(node, input) else { continue };
        if usize::try_from(*weights.dims.first().unwrap_or(&0)) != Ok(directions) {
            let dims = &weights.dims;
            return Err(format!("its direction is {direction}, its weights have shape {dims:?}"));
        }
        let hidden = (input == 2).then(|| weights.dims.last().copied()).flatten();
        if let (Some(hidden), Some(given)) = (hidden, node.int("hidden_size"))
            && hidden != given
        {
            return Err(format!("its hidden_size is {given}, its weights are for {hidden}"));
        }
    }
    Ok(())
}

/// Automatic padding leaves nothing for other paddings and roundings to say.
fn window(node: &NodeProto) -> Checked {
    let automatic = node.text("auto_pad").filter(|p| *p != "NOTSET");
    let Some(automatic) = automatic else { return Ok(()) };
    let beside = |name: &str| {
        Err(format!(
            "its attributes auto_pad = {automatic:?} and {name} are not supported together"
        ))
    };
    if node.ints("pads").is_some_and(|pads| pads.iter().any(|&p| p != 0)) {
        return beside("pads");
    }
    for name in ["ceil_mode", "count_include_pad"] {
        if node.int(name).unwrap_or(0) != 0 {
            return beside(name);
        }
    }
    if node.op_type == "ConvTranspose" && node.attribute("output_shape").is_some() {
        return beside("output_shape");
    }
    Ok(())
}

/// What a shift by more than the width gives differs between processors.
fn shift(node: &NodeProto, constants: &Constants<'_>) -> Checked {
    if node.text("direction").is_none() {
        return Err("its attribute direction is missing".into());
    }
    let amounts = constants.input(node, 1).and_then(|proto| read(proto).ok()?);
    let Some((width, amounts)) = amounts.and_then(|t| Some((t.dtype().size() * 8, integers(&t)?)))
    else {
        return Err("it shifts by other than constants: multiply or divide instead".into());
    };
    match amounts.iter().find(|a| !usize::try_from(**a).is_ok_and(|a| a < width)) {
        Some(amount) => Err(format!("it shifts {width} bits by {amount}")),
        None => Ok(()),
    }
}

/// In training it makes noise.
fn dropout(node: &NodeProto, constants: &Constants<'_>) -> Checked {
    if node.input.get(2).is_none_or(String::is_empty) {
        return Ok(());
    }
    let trains = constants.input(node, 2).and_then(|proto| read(proto).ok()?);
    match trains.map(|t| t.data) {
        Some(crate::tensor::Data::Bool(v)) if v == [false] => Ok(()),
        _ => Err("its input training_mode is not false: export the model for inference \
             (model.eval())"
            .into()),
    }
}

fn einsum(node: &NodeProto) -> Checked {
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

/// The type of the result is that of the zero point, u8 without one.
fn quantize(node: &NodeProto, constants: &Constants<'_>) -> Checked {
    let Some(given @ 1..) = node.int("output_dtype") else { return Ok(()) };
    let own = match node.input.get(2).filter(|z| !z.is_empty()) {
        Some(_) => constants.input(node, 2).map(|z| i64::from(z.data_type)),
        None => Some(2),
    };
    if own == Some(given) {
        return Ok(());
    }
    Err(format!("its attribute output_dtype = {given} is not supported: give it a zero point"))
}

fn scan(node: &NodeProto) -> Checked {
    let Some(body) = subgraphs(node).next() else { return Err("it has no body".into()) };
    let scanned = usize::try_from(node.int("num_scan_inputs").unwrap_or(0)).unwrap_or(0);
    if scanned == 0 || scanned > node.input.len() || body.input.len() != node.input.len() {
        return Err(format!(
            "its num_scan_inputs, its {} inputs and the {} of its body do not fit",
            node.input.len(),
            body.input.len()
        ));
    }
    let states = node.input.len() - scanned;
    if body.output.len() < states || body.output.len() < node.output.len() {
        return Err("its body has too few outputs".into());
    }
    let made = body.output.len() - states;
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

fn split(node: &NodeProto) -> Checked {
    match node.int("num_outputs") {
        Some(count) if usize::try_from(count) != Ok(node.output.len()) => {
            Err(format!("its num_outputs is {count}, it has {} outputs", node.output.len()))
        }
        _ => Ok(()),
    }
}

fn transpose(node: &NodeProto) -> Checked {
    let Some(perm) = node.ints("perm") else { return Ok(()) };
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    let fits = sorted.iter().zip(0..).all(|(&axis, i)| axis == i);
    if fits { Ok(()) } else { Err(format!("its perm {perm:?} is no order of its axes")) }
}
