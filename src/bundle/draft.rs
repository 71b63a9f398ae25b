//! A first model card, from what a model shows. What it cannot show is marked with `CHECK`.

use super::draft_states::{states, tables};
use crate::engine::{Ending, Model, OutputFact};
use crate::tensor::{Dtype, TensorSpec};

/// The most channels or labels that are written out.
const MAX_NAMES: usize = 1000;

/// What the card is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    /// A valid model name.
    pub name: &'a str,
    /// The file of the model, in the folder of the card.
    pub file: &'a str,
    /// The sizes of open dimensions and values of constant inputs that the model was loaded with, as
    /// lines of the card.
    pub dims: &'a str,
    pub constants: &'a str,
    pub model: &'a Model,
}

const IN_ORDER: &str = "# CHECK: elements are taken in the order of the payload.\n";

/// How an input is fed.
struct Feed {
    /// Samples of a window; none where each message is one whole input.
    window: Option<usize>,
    channels: usize,
    layout: &'static str,
    note: String,
}

impl Draft<'_> {
    /// The card, and an example of a stream in its last comment.
    pub(crate) fn card(&self) -> String {
        let outputs = self.model.outputs();
        let states = states(self.model.inputs(), outputs);
        let is_state = |spec: &&TensorSpec| states.iter().any(|(it, _)| it.name == spec.name);
        let inputs = self.model.inputs().iter().filter(|spec| !is_state(spec)).cloned();
        let inputs = &inputs.collect::<Vec<_>>()[..];
        let after = |spec: &TensorSpec| states.iter().any(|(_, it)| it.name == spec.name);
        let mut feeds: Vec<Feed> = inputs.iter().map(feed).collect();
        let window = feeds.first().and_then(|feed| feed.window);
        // Other inputs follow the first.
        for feed in feeds.iter_mut().filter(|feed| feed.window != window) {
            *feed = Feed { window: None, channels: 0, layout: feed.layout, note: IN_ORDER.into() };
        }
        let mut text = self.head();
        if let Some(length) = window {
            text += &format!(
                "\n# A prediction for every {length} samples. CHECK: a shorter hop makes windows \
                 overlap.\n[window]\nlength = {length}\nhop = {length}\n"
            );
        }
        for (spec, feed) in inputs.iter().zip(&feeds) {
            text += &input(spec, feed, window);
        }
        text += &tables(&states);
        text += self.constants;
        text += &output(inputs, outputs, self.model.facts(), after);
        text += GOLDEN;
        text + &self.stream(&feeds)
    }

    fn head(&self) -> String {
        let Self { name, file, dims, .. } = self;
        let open = self.model.open_dimensions();
        let dims = match (open.is_empty(), dims.is_empty()) {
            (true, _) => String::new(),
            (false, true) => {
                let each: Vec<String> = open.iter().map(|name| format!("{name:?} = 1")).collect();
                format!(
                    "# The model leaves these sizes open, and each is 1 now. CHECK: write this \
                     card again\n# with --dim NAME=SIZE for those that are not.\n\
                     dims = {{ {} }}\n",
                    each.join(", ")
                )
            }
            (false, false) => dims.to_string(),
        };
        format!(
            "# A first card, written by `inferd card`. CHECK marks what the model does not show.\n\
             format = 1\n{dims}\n[model]\nname = {name:?}\nversion = \"1\"\nfile = {file:?}\n"
        )
    }

    fn stream(&self, feeds: &[Feed]) -> String {
        let name = self.name;
        let fields = match feeds {
            [feed] if feed.channels > 0 && feed.channels <= MAX_NAMES => {
                format!(", fields = [{}]", names("c", feed.channels))
            }
            _ => String::new(),
        };
        format!(
            "\n# A stream for inferd.toml, with the fields of the payload in the order of \
             `channels`:\n#\n# [[stream]]\n# name = {name:?}\n# model = {name:?}\n\
             # topic = \"sensors/{{device}}/data\"\n\
             # payload = {{ format = \"json\"{fields} }}\n"
        )
    }
}

/// Quoted names with numbers from 0.
fn names(prefix: &str, count: usize) -> String {
    let each: Vec<String> = (0..count).map(|i| format!("\"{prefix}{i}\"")).collect();
    each.join(", ")
}

/// A guess by the shape: of two axes the shorter one has the channels.
fn feed(spec: &TensorSpec) -> Feed {
    let axes: Vec<usize> = spec.shape.iter().copied().filter(|&size| size != 1).collect();
    let whole = |channels: usize, note: String| Feed {
        window: None,
        channels,
        layout: "time-channel",
        note,
    };
    match axes.as_slice() {
        [] => whole(1, String::new()),
        [values] if *values <= MAX_NAMES => {
            let note = format!(
                "# CHECK: each message has all {values} values. If they are {values} samples of \
                 one channel,\n# add [window] with length = {values} and hop, and one channel.\n"
            );
            whole(*values, note)
        }
        [first, second] if first.min(second) <= &MAX_NAMES => {
            let (layout, length, channels) = if first < second {
                ("channel-time", *second, *first)
            } else {
                ("time-channel", *first, *second)
            };
            let note = format!(
                "# CHECK: {length} samples of {channels} channels, because there are usually more \
                 samples.\n"
            );
            Feed { window: Some(length), channels, layout, note }
        }
        _ => whole(0, IN_ORDER.to_owned()),
    }
}

fn input(spec: &TensorSpec, feed: &Feed, window: Option<usize>) -> String {
    let TensorSpec { name, dtype, shape, .. } = spec;
    let mut text = format!("\n# Shape {shape:?}, {dtype}.\n[[input]]\nname = {name:?}\n");
    // Beside an input with a window, a single value is a setting and not a sample.
    if window.is_some() && spec.len() == 1 {
        text += "# CHECK: if it always has one value, such as a sampling rate: write this card \
                 again with\n# --constant NAME=VALUE.\n";
    }
    text += &feed.note;
    if feed.channels > 0 {
        text += &format!(
            "# CHECK: names in the order of the training.\nchannels = [{}]\n",
            names("c", feed.channels)
        );
    }
    if feed.window.is_some() {
        text += &format!("layout = {:?}\n", feed.layout);
    }
    let real = matches!(dtype, Dtype::F32 | Dtype::F64);
    if !real && spec.quant.is_some() {
        text += "# Real values are quantized with the scale in the model.\nquantize = true\n";
    }
    if real || spec.quant.is_some() {
        text += "# CHECK: if samples were normalized for training, with their mean and deviation:\n\
                 # normalize = { kind = \"mean-std\", mean = [0.0], std = [1.0] }\n";
    }
    text
}

/// The output that has scores, else the first.
fn output(
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    facts: &[OutputFact],
    is_state: impl Fn(&TensorSpec) -> bool,
) -> String {
    let scores = facts.iter().find_map(|fact| fact.label.as_ref()?.scores.first().copied());
    let scores = scores.or_else(|| facts.iter().position(|fact| fact.label.is_none()));
    let first = outputs.iter().position(|spec| !is_state(spec));
    let is_open = |index: &usize| outputs.get(*index).is_some_and(|spec| !is_state(spec));
    let index = scores.filter(is_open).or(first).unwrap_or(0);
    let (Some(spec), Some(fact)) = (outputs.get(index), facts.get(index)) else {
        return String::new();
    };
    let TensorSpec { name, dtype, shape, .. } = spec;
    let is_other = |other: &&TensorSpec| !is_state(other) && other.name != *name;
    let others: Vec<&str> = outputs.iter().filter(is_other).map(|o| o.name.as_str()).collect();
    let mut text = format!("\n# Shape {shape:?}, {dtype}.\n");
    if !others.is_empty() {
        text += &format!("# The model has other outputs, which are not interpreted: {others:?}.\n");
    }
    text += &format!("[output]\nname = {name:?}\n");
    let ids = facts.iter().find_map(|fact| fact.label.as_ref()).map(|label| label.ids.clone());
    text + &meaning(inputs, spec, fact, &ids.unwrap_or_default())
}

/// What the output means, as far as its numbers show it.
fn meaning(inputs: &[TensorSpec], spec: &TensorSpec, fact: &OutputFact, ids: &[i64]) -> String {
    let count = spec.len();
    let labels = || {
        let each = |i: usize| ids.get(i).map_or_else(|| i.to_string(), i64::to_string);
        let each: Vec<String> = (0..count).map(|i| format!("\"class {}\"", each(i))).collect();
        format!("# CHECK: names in the order of the training.\nlabels = [{}]\n", each.join(", "))
    };
    let classes = |activation: &str, note: &str| {
        format!("{note}kind = \"classification\"\nactivation = {activation:?}\n{}", labels())
    };
    if count > MAX_NAMES {
        return format!("# CHECK: {count} values.\nkind = \"raw\"\n");
    }
    if fact.label.is_some() {
        return "# The class itself. CHECK: the number of labels.\nkind = \"classification\"\n\
                labels = [\"class 0\", \"class 1\"]\n"
            .to_owned();
    }
    let same = inputs.first().is_some_and(|input| count > 1 && input.shape == spec.shape);
    match fact.ending {
        Ending::Softmax => classes("none", "# The graph ends in a softmax.\n"),
        Ending::LogSoftmax => classes("softmax", "# The graph ends in a logarithmic softmax.\n"),
        Ending::Sigmoid | Ending::Probabilities if count == 1 => {
            "# One probability. CHECK: what it is of, and the threshold.\nkind = \"multi-label\"\n\
             labels = [\"positive\"]\nthreshold = 0.5\n"
                .to_owned()
        }
        Ending::Sigmoid => format!(
            "# The graph ends in a sigmoid for each value: labels that do not exclude each other.\n\
             kind = \"multi-label\"\nthreshold = 0.5\n{}",
            labels()
        ),
        Ending::Probabilities => classes("none", "# The output has probabilities.\n"),
        Ending::Sums | Ending::Unknown if same => {
            "# The output has the shape of the input: an autoencoder. CHECK: the threshold, by\n\
             # what normal samples give.\nkind = \"anomaly\"\nscore = \"reconstruction-mse\"\n\
             threshold = 1.0\n"
                .to_owned()
        }
        Ending::Sums if count > 1 => classes(
            "softmax",
            "# The graph ends in sums, as those of classes before a softmax. CHECK: if they are\n\
             # values, kind = \"regression\" with `names` and without `activation` and `labels`.\n",
        ),
        Ending::Sums | Ending::Unknown => format!(
            "# CHECK: values, with names and units. For classes: kind = \"classification\" with\n\
             # `labels`.\nkind = \"regression\"\nnames = [{}]\n",
            names("value", count)
        ),
    }
}

const GOLDEN: &str = "
# Golden samples prove on every gateway that this card gives the right predictions:
#   inferd infer FOLDER --samples RECORDING.csv --golden golden_samples.json
# and then:
# [golden]
# samples = \"golden_samples.json\"
# tolerance = 0.001
";
