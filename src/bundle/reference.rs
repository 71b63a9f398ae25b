//! The reference of every option of a model card, like `config::reference` for the configuration.

use std::time::Duration;

use super::feature_options::FEATURES;
use crate::config::docs;
use crate::config::reference::chained;
use crate::config::schema::DefaultValue::{Derived, Required, Unset, Value};
use crate::config::schema::{Kind, OptionSpec, options};

const NAME: Kind =
    Kind::Text { max: 64, form: "1 to 64 of a-z A-Z 0-9 . _ -, not starting with a dot" };
const LINE: Kind = Kind::Text { max: 1000, form: "one line of text" };
const TENSOR: Kind = Kind::Text { max: 256, form: "the name of an input or output of the model" };
const FILE: Kind = Kind::Text { max: 100, form: "a file's name, without a folder" };
const NUMBER: Kind = Kind::Float { min: f64::MIN, max: f64::MAX };
const PER_CHANNEL: Kind = Kind::Floats { max: 65_536 };
const MAX_LABELS: usize = 10_000;
const LABELS: Kind = Kind::Strings { max: MAX_LABELS, form: "names" };

/// All options, in the order of the documentation.
pub const REFERENCE: &[OptionSpec] = &chained::<{ CARD.len() + FEATURES.len() }>(CARD, FEATURES);

const CARD: &[OptionSpec] = options! {
    "format": Kind::Int { min: 1, max: 1 } => Required, eg "1",
        "The version of this form of card.";

    "model.name": NAME => Required, eg "\"motion\"",
        "The model's name, the same for all its versions: streams ask for it.";
    "model.version": NAME => Required, eg "\"1.0.0\"",
        "The version; published with every prediction.";
    "model.file": FILE => Value("\"model.onnx\""),
        "The model in the bundle: an ONNX or a TensorFlow Lite file.";
    "model.description": LINE => Unset, eg "\"What a watch wearer does\"",
        "What it tells from what.";
    "model.licence": LINE => Unset, eg "\"MIT\"",
        "Under which terms it may be used.";
    "model.source": LINE => Unset, eg "\"trained by train.py on BasicMotions\"",
        "Who trained it, how and on what.";

    "window.length": Kind::Int { min: 1, max: 1_000_000 } => Required, eg "40",
        "Samples in a window. Leave out the table where each message is one whole input.";
    "window.hop": Kind::Int { min: 1, max: 1_000_000 } => Derived("`length`"), eg "10",
        "Samples from one window's start to the next one's. Shorter than `length`: windows \
         overlap.";
    "window.max_gap": Kind::Duration {
        min: Duration::from_millis(1),
        max: Duration::from_secs(86_400),
    }
        => Unset, eg "\"1s\"",
        "A longer time between two samples starts the window over. Keep it above the \
         sensor's interval: `inferd status` shows windows that never fill.";

    "window.lead": Kind::Int { min: 0, max: 999_999 } => Value("0"), eg "64",
        "A window that starts with a device's first sample, or after a gap, has this many samples \
         of zeros before it, so that it is complete after `length` - `lead` samples. For models \
         that take the end of the last window again, with zeros the first time: `length` = chunk + \
         lead, `hop` = chunk.";

    "input[].name": TENSOR => Required, eg "\"window\"",
        "The model input's name. Inputs are listed in the model's order.";
    "input[].value": Kind::Floats { max: 65_536 } => Unset, eg "16000",
        "The input always has this value: one number for all elements, or one for each. Streams \
         do not feed it, and it has no other options than `name`. For inputs such as a sampling \
         rate.";
    "input[].channels": Kind::Strings { max: 65_536, form: "names" } => Value("[]"),
        "The channels in the model's order; a stream's `payload.fields` match them by place. \
         Without them elements are taken in the order they come in.";
    "input[].layout": Kind::Choice(&["time-channel", "channel-time"]) => Value("\"time-channel\""),
        "The axes of a window in the model's input: the last one runs fastest.";
    "input[].quantize": Kind::Bool => Value("false"),
        "For integer inputs: quantize real values with the model input's own scale, rather than \
         take whole numbers as they are.";
    "input[].rate": Kind::Float { min: 1e-6, max: 1e9 } => Unset, eg "1000.0",
        "Samples per second, for features that have a frequency or a time.";
    "input[].samples": Kind::Int { min: 1, max: 1_000_000 } => Unset, eg "16_000",
        "Samples of a message, for features without `[window]`.";
    "input[].normalize.kind": Kind::Choice(&["none", "mean-std", "min-max", "scale-offset"])
        => Value("\"none\""),
        "mean-std: (x - mean) / std. min-max: (x - min) / (max - min). scale-offset: x * scale + \
         offset.";
    "input[].normalize.mean": PER_CHANNEL => Unset, eg "[0.0]",
        "For mean-std; one number, or one for each channel.";
    "input[].normalize.std": PER_CHANNEL => Unset, eg "[1.0]", "As `mean`; above zero.";
    "input[].normalize.min": PER_CHANNEL => Unset, eg "[0.0]", "For min-max; as `mean`.";
    "input[].normalize.max": PER_CHANNEL => Unset, eg "[1.0]", "For min-max; above `min`.";
    "input[].normalize.scale": PER_CHANNEL => Unset, eg "[1.0]", "For scale-offset; as `mean`.";
    "input[].normalize.offset": PER_CHANNEL => Unset, eg "[0.0]", "For scale-offset; as `mean`.";

    "state[].input": TENSOR => Required, eg "\"h\"",
        "The model input that takes the state. It has no `[[input]]`.";
    "state[].output": TENSOR => Required, eg "\"hn\"",
        "The model output that is the input of the next run, of the same type (f32, f64, i32 or \
         i64) and shape.";
    "state[].value": Kind::Floats { max: 65_536 } => Value("0.0"), eg "0.0",
        "What the first run takes: one number for all elements, or one for each.";
    "state[].max_gap": Kind::Duration {
        min: Duration::from_millis(1),
        max: Duration::from_secs(86_400),
    }
        => Derived("`window.max_gap`"), eg "\"1s\"",
        "A longer time between two samples of a device starts its states over. The same for all \
         states.";

    "output.name": TENSOR => Derived("the model's first output"), eg "\"logits\"",
        "The output that is interpreted. Where the card names none, or names a class, and the \
         model also gives the scores that the class was chosen by, the scores are interpreted and \
         `inferd check` reports it. A class that the graph does not derive from the scores is \
         refused.";
    "output.kind":
        Kind::Choice(&["classification", "multi-label", "regression", "anomaly", "raw"])
        => Required, eg "\"classification\"",
        "What the output means.";
    "output.activation": Kind::Choice(&["none", "softmax", "sigmoid"]) => Value("\"none\""),
        "What turns the model's output into scores, where the model does not do it itself. A model \
         whose graph ends in a softmax or a sigmoid, or gives probabilities, is refused with \
         another activation than `none`; logits with `none` are a warning.";
    "output.labels": LABELS => Unset, eg "[\"resting\", \"walking\"]",
        "classification, multi-label: a name for each element of the output. A classification \
         without them takes the names of classes in the model, which exporters of scikit-learn and \
         LightGBM write.";
    "output.labels_file": FILE => Unset, eg "\"labels.txt\"",
        "In place of `labels`: a file in the bundle with one on each line.";
    "output.top_k": Kind::Int { min: 1, max: 10_000 } => Derived("all labels, at most 5"), eg "3",
        "classification: as many scores are published, the highest first.";
    "output.threshold": NUMBER => Derived("0 for classification, 0.5 for multi-label"), eg "0.5",
        "classification: no label below this score. multi-label: a label from this score on. \
         anomaly: an anomaly from this score on; required there.";
    "output.thresholds": Kind::Floats { max: MAX_LABELS } => Unset, eg "[0.5, 0.8]",
        "multi-label: in place of `threshold`, one for each label.";
    "output.names": LABELS => Unset, eg "[\"temperature\"]",
        "regression: a name for each element of the output; required there.";
    "output.units": LABELS => Unset, eg "[\"°C\"]",
        "regression: units, one for each name.";
    "output.scale": Kind::Floats { max: MAX_LABELS } => Unset, eg "[1.0]",
        "regression: value = output * scale + offset; one number, or one for each name.";
    "output.offset": Kind::Floats { max: MAX_LABELS } => Unset, eg "[0.0]", "As `scale`.";
    "output.score": Kind::Choice(&["output", "reconstruction-mse", "reconstruction-mae"])
        => Value("\"output\""),
        "anomaly: the output is the score, or it is the mean squared or absolute difference \
         between output and input.";

    "golden.file": FILE => Value("\"golden.npz\""),
        "Golden vectors: inputs with the outputs the model must give, in arrays named as the \
         model's inputs and outputs, with one more axis in front, a run each. They begin at the \
         model's input, after all preprocessing. The file must be in the bundle, unless the card \
         names `samples` and not `file`.";
    "golden.tolerance": Kind::Float { min: 0.0, max: 1e12 } => Value("0.0"),
        "For golden vectors: the largest difference allowed, in the output's own (for integers: \
         stored) units.";
    "golden.samples": FILE => Unset, eg "\"golden_samples.json\"",
        "Golden samples: recordings as the sensor sends them, with the predictions they must give. \
         They prove the preprocessing, too: see [Golden samples](#golden-samples).";
    "golden.samples_tolerance": Kind::Float { min: 0.0, max: 1e12 }
        => Derived("`tolerance`"), eg "0.001",
        "For golden samples: the largest difference allowed, in the units of the published scores \
         and values.";

    "dims": Kind::Counts { max: 1 << 24 } => Unset, eg "{ batch = 1 }",
        "Sizes of the dimensions that the model's inputs leave open, by their names; those \
         without a name by input and position from 0, as `{ \"x[2]\" = 16000 }`. 1 where they are \
         not given. A name that no input has is an error.";
};

/// The tables with their descriptions, in the order of the documentation.
pub const TABLES: &[(&str, &str)] = &[
    ("", "`format`, and `dims` where it is needed."),
    ("model", "What the model is."),
    ("window", "How samples become an input."),
    ("input[]", "One for each input of the model."),
    ("input[].normalize", "What is done to samples before the model sees them."),
    (
        "input[].features[]",
        "Blocks that make the model's input of the normalised samples, in this order: see \
         [features.md](features.md).",
    ),
    (
        "state[]",
        "Outputs that are inputs of the next run of the same device: see \
         [inputs.md](inputs.md#models-with-a-state). At most 1 MiB a device.",
    ),
    ("output", "What the model's output means. Options of other kinds than `kind` are errors."),
    (
        "golden",
        "The proof that the model predicts here what it predicted where it was made. Checked \
      whenever the model is loaded.",
    ),
];

const PAGE_HEAD: &str = "\
# The model card

Written from the table in `src/bundle/reference.rs`; `INFERD_WRITE_REFERENCE=1 cargo test --lib bundle` writes it again.

What changes when a model is retrained lives with the model. A bundle is a folder, or an uncompressed tar file `NAME.bundle`, with `card.toml`, the model,
golden vectors and golden samples side by side. The model is refused if the card does not fit it, or if a golden vector or golden sample comes out differently.
An unknown option is an error, and all mistakes are reported at once.
";

const PAGE_END: &str = include_str!("golden_samples.md");

/// Returns the content of `docs/model-card.md`.
#[must_use]
pub fn page() -> String {
    format!("{PAGE_HEAD}{}\n{PAGE_END}", docs::tables(REFERENCE, TABLES).trim_end_matches('\n'))
}
