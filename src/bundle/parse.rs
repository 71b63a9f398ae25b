//! Parsing of cards, which reports every problem at once.

use super::card::{
    Activation, AnomalyScore, Card, GoldenSpec, InputSpec, Layout, Normalize, OutputKind,
    OutputSpec, WindowSpec,
};
use super::reference::REFERENCE;
use super::{parse_features, parse_state};
use crate::config::problem::{Problem, Problems};
use crate::config::section::Section;
use crate::config::tree::Node;
use crate::ids::ModelName;

impl Card {
    /// Parses `card.toml`; `file` returns the text of another file of the bundle.
    ///
    /// # Errors
    /// Every problem of the card.
    pub fn parse(
        text: &str,
        file: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        match Self::examine(text, file) {
            (Some(card), problems) if problems.is_empty() => Ok(card),
            (_, problems) => Err(problems),
        }
    }

    /// Parses like [`Card::parse`], but also returns a card with problems if its files are known,
    /// so that they can be checked.
    pub(super) fn examine(
        text: &str,
        file: impl Fn(&str) -> Result<String, String>,
    ) -> (Option<Self>, Vec<Problem>) {
        let problems = Problems::default();
        let root = Node::parse("card.toml", text, &problems);
        let card = card(&Section::root(REFERENCE, &root, &problems), &file);
        (card, problems.into_sorted())
    }
}

type Files<'a> = &'a dyn Fn(&str) -> Result<String, String>;

fn card(root: &Section<'_>, file: Files<'_>) -> Option<Card> {
    let _format: i64 = root.int("format");
    let model = root.section("model");
    let name = model.parsed("name", ModelName::parse);
    let version = model.parsed("version", ModelName::parse);
    let model_file = model.parsed("file", file_name);
    let window = root.has("window").then(|| window(&root.section("window")));
    let sections = root.sections("input");
    if sections.is_empty() {
        root.problem("input", "missing", "an [[input]] for each input of the model");
    }
    let all: Vec<_> = sections.iter().map(input).collect();
    for (section, input) in sections.iter().zip(&all) {
        parse_features::check(section, input, window.as_ref());
    }
    for (place, (section, input)) in sections.iter().zip(&all).enumerate() {
        let same = |other: &InputSpec| other.name == input.name;
        if all.iter().take(place).any(same) {
            section.problem("name", "another input has this name", "each input once");
        }
    }
    let all_names: Vec<String> = all.iter().map(|input| input.name.clone()).collect();
    let (constant, open): (Vec<_>, Vec<_>) =
        sections.iter().zip(all).partition(|(section, _)| section.has("value"));
    if open.is_empty() && !constant.is_empty() {
        root.problem("input", "all have a value", "one without it at least, for samples");
    }
    let states = parse_state::states(root, &all_names, window.as_ref());
    let constants = constant.iter().map(|(section, input)| constant_input(section, input));
    let constants = constants.collect();
    let inputs = open.into_iter().map(|(_, input)| input).collect();
    let output = output(&root.section("output"), file);
    let golden = root.has("golden").then(|| golden(&root.section("golden")));
    Some(Card {
        name: name?,
        version: version?.to_string(),
        file: model_file?,
        description: model.text("description"),
        licence: model.text("licence"),
        source: model.text("source"),
        window,
        inputs,
        states,
        output: output?,
        golden: golden.flatten(),
        dims: root.counts("dims").into_iter().collect(),
        constants,
    })
}

/// Returns the name of a file directly in the bundle's folder.
pub(crate) fn file_name(text: &str) -> Result<String, &'static str> {
    if text.contains(['/', '\\']) || text.starts_with('.') {
        Err("not a plain file name")
    } else {
        Ok(text.to_owned())
    }
}

fn window(section: &Section<'_>) -> WindowSpec {
    let length = section.int("length");
    let lead = section.int_if("lead").unwrap_or(0);
    if lead > 0 && lead >= length {
        section.problem("lead", "not shorter than the window", "less than `length`");
    }
    WindowSpec {
        length,
        hop: section.int_if("hop").unwrap_or(length),
        max_gap: section.duration_if("max_gap"),
        lead,
    }
}

fn golden(section: &Section<'_>) -> Option<GoldenSpec> {
    let samples = section.parsed("samples", file_name);
    let file = section.parsed("file", file_name)?;
    if samples.as_ref() == Some(&file) {
        section.problem("samples", "the same file as `file`", "a file of its own");
    }
    if samples.is_none() && section.has("samples_tolerance") {
        section.problem("samples_tolerance", "given without `samples`", "not set");
    }
    let tolerance = section.float_if("tolerance")?;
    let samples_tolerance = section.float_if("samples_tolerance").unwrap_or(tolerance);
    let required = section.has("file") || samples.is_none();
    Some(GoldenSpec { file, required, tolerance, samples, samples_tolerance })
}

fn input(section: &Section<'_>) -> InputSpec {
    let channels = section.strings("channels");
    InputSpec {
        name: section.text("name"),
        layout: section.choice("layout", &Layout::NAMES).unwrap_or(Layout::TIME_CHANNEL),
        normalize: normalize(&section.section("normalize"), channels.len()),
        features: parse_features::features(section),
        quantize: section.flag("quantize"),
        channels,
    }
}

/// An input that always has the same values.
fn constant_input(section: &Section<'_>, input: &InputSpec) -> (String, Vec<f64>) {
    for key in ["channels", "layout", "quantize", "normalize", "features"] {
        if section.has(key) {
            section.problem(key, "means nothing for an input with a value", "not set");
        }
    }
    let values = section.doubles("value");
    if values.is_empty() {
        section.problem("value", "has no number", "one number, or one for each element");
    }
    (input.name.clone(), values)
}

fn normalize(section: &Section<'_>, channels: usize) -> Normalize {
    let kind = section.text("kind");
    let pairs = [("mean-std", "mean", "std"), ("min-max", "min", "max")];
    let pairs = pairs.into_iter().chain([("scale-offset", "scale", "offset")]);
    let mut chosen = (Vec::new(), Vec::new());
    for (of, first, second) in pairs {
        if of == kind {
            let floats = |key| per_element(section, key, channels, "channel");
            chosen = (floats(first), floats(second));
        } else {
            only_for(section, &[first, second], &kind);
        }
    }
    let (first, second) = chosen;
    match kind.as_str() {
        "mean-std" => {
            if second.iter().any(|&std| std <= 0.0) {
                section.problem("std", "not above zero", "numbers above 0");
            }
            Normalize::MeanStd { mean: first, std: second }
        }
        "min-max" => {
            let pairs = second.iter().zip(first.iter().cycle());
            if first.len() == second.len() && pairs.clone().any(|(max, min)| max <= min) {
                section.problem("max", "not above min", "numbers above min");
            }
            Normalize::MinMax { min: first, max: second }
        }
        "scale-offset" => Normalize::ScaleOffset { scale: first, offset: second },
        _ => Normalize::None,
    }
}

/// Reads a required number, or one for each of `count` (0 if that is unknown: any number).
fn per_element(section: &Section<'_>, key: &str, count: usize, of: &str) -> Vec<f32> {
    let floats = section.floats(key);
    if floats.is_empty() && !section.has(key) {
        section.problem(key, "missing", format!("one number, or one for each {of}"));
    } else if floats.len() > 1 && count > 0 && floats.len() != count {
        let reason = format!("{} numbers for {count} {of}s", floats.len());
        section.problem(key, reason, format!("one number, or {count}"));
    }
    floats
}

/// Reports those of `keys` that are set but have no meaning for `kind`.
fn only_for(section: &Section<'_>, keys: &[&str], kind: &str) {
    for key in keys.iter().filter(|key| section.has(key)) {
        section.problem(key, format!("means nothing for kind = {kind:?}"), "not set");
    }
}

fn output(section: &Section<'_>, file: Files<'_>) -> Option<OutputSpec> {
    let activations = [
        ("none", Activation::None),
        ("softmax", Activation::Softmax),
        ("sigmoid", Activation::Sigmoid),
    ];
    let kind = section.text_if("kind");
    let activation = section.choice("activation", &activations);
    let name = section.text_if("name");
    let of_kinds = [
        ("classification", &["labels", "labels_file", "top_k", "threshold"][..]),
        ("multi-label", &["labels", "labels_file", "threshold", "thresholds"]),
        ("regression", &["names", "units", "scale", "offset"]),
        ("anomaly", &["score", "threshold"]),
        ("raw", &[]),
    ];
    let kind = kind?;
    let (_, own) = of_kinds.iter().find(|(name, _)| *name == kind)?;
    let foreign = of_kinds.iter().flat_map(|(_, keys)| *keys).filter(|key| !own.contains(key));
    let mut foreign: Vec<&str> = foreign.copied().collect();
    foreign.sort_unstable();
    foreign.dedup();
    only_for(section, &foreign, &kind);
    let kind = match kind.as_str() {
        "classification" => classification(section, file),
        "multi-label" => multi_label(section, file),
        "regression" => regression(section),
        "anomaly" => anomaly(section),
        _ => OutputKind::Raw,
    };
    Some(OutputSpec { name, kind, activation: activation?, class_ids: Vec::new() })
}

fn classification(section: &Section<'_>, file: Files<'_>) -> OutputKind {
    // Without labels those of the model are taken, once it is loaded.
    let from_model = !section.has("labels") && !section.has("labels_file");
    let labels = if from_model { Vec::new() } else { labels(section, file) };
    let otherwise = if from_model { 0 } else { labels.len().clamp(1, 5) };
    let top_k = section.int_if("top_k").unwrap_or(otherwise);
    if top_k > labels.len() && !labels.is_empty() {
        let reason = format!("more than the {} labels", labels.len());
        section.problem("top_k", reason, format!("1 to {}", labels.len()));
    }
    OutputKind::Classification { top_k, threshold: threshold(section).unwrap_or(0.0), labels }
}

fn multi_label(section: &Section<'_>, file: Files<'_>) -> OutputKind {
    let labels = labels(section, file);
    let one = threshold(section);
    let each = section.floats("thresholds");
    if one.is_some() && !each.is_empty() {
        section.problem("threshold", "given with thresholds", "one of the two");
    }
    let thresholds = match each.len() {
        0 => vec![one.unwrap_or(0.5); labels.len()],
        n if n == labels.len() => each,
        n => {
            let reason = format!("{n} numbers for {} labels", labels.len());
            section.problem("thresholds", reason, "one for each label");
            each
        }
    };
    OutputKind::MultiLabel { labels, thresholds }
}

fn regression(section: &Section<'_>) -> OutputKind {
    let names = section.strings("names");
    let count = names.len();
    if names.is_empty() {
        section.problem("names", "missing", "a name for each element of the output");
    }
    let mut units = section.strings("units");
    if !units.is_empty() && units.len() != count {
        let reason = format!("{} units for {count} names", units.len());
        section.problem("units", reason, "one for each name");
    }
    units.resize(count, String::new());
    let each = |key, otherwise| {
        let floats = if section.has(key) {
            per_element(section, key, count, "name")
        } else {
            vec![otherwise]
        };
        match floats[..] {
            [one] => vec![one; count],
            _ => floats,
        }
    };
    OutputKind::Regression { units, scale: each("scale", 1.0), offset: each("offset", 0.0), names }
}

fn anomaly(section: &Section<'_>) -> OutputKind {
    let scores = [
        ("output", AnomalyScore::Output),
        ("reconstruction-mse", AnomalyScore::ReconstructionMse),
        ("reconstruction-mae", AnomalyScore::ReconstructionMae),
    ];
    if !section.has("threshold") {
        section.problem("threshold", "missing", "the score an anomaly starts at");
    }
    let score = section.choice("score", &scores).unwrap_or(AnomalyScore::Output);
    OutputKind::Anomaly { score, threshold: threshold(section).unwrap_or_default() }
}

#[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
fn threshold(section: &Section<'_>) -> Option<f32> {
    section.float_if("threshold").map(|threshold| threshold as f32)
}

/// Reads the labels from `labels` or `labels_file`.
fn labels(section: &Section<'_>, file: Files<'_>) -> Vec<String> {
    let written = section.strings("labels");
    let key = if section.has("labels_file") { "labels_file" } else { "labels" };
    if section.has("labels") && section.has("labels_file") {
        section.problem("labels_file", "given with labels", "one of the two");
    }
    let read = |name: &str| file_name(name).map_err(String::from).and_then(|name| file(&name));
    let labels = match section.parsed("labels_file", read) {
        Some(text) => text.lines().map(|line| line.trim().to_owned()).collect(),
        None => written,
    };
    if labels.is_empty() && (key == "labels" || section.has("labels")) {
        section.problem(key, "missing", "a name for each element of the output");
    }
    let mut seen = std::collections::BTreeSet::new();
    if labels.iter().any(String::is_empty) {
        section.problem(key, "has an empty label", "a name for each element of the output");
    } else if let Some(twice) = labels.iter().find(|label| !seen.insert(label.as_str())) {
        section.problem(key, format!("{twice:?} is there twice"), "each label once");
    }
    labels
}
