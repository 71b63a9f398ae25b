//! Parsing of `[[state]]`.

use super::card::{StateSpec, WindowSpec};
use crate::config::section::Section;

/// Reads the states of a card; `inputs` are the names of its `[[input]]` tables.
pub(super) fn states(
    root: &Section<'_>,
    inputs: &[String],
    window: Option<&WindowSpec>,
) -> Vec<StateSpec> {
    let sections = root.sections("state");
    let all: Vec<StateSpec> = sections.iter().map(|section| state(section, window)).collect();
    for (place, (section, it)) in sections.iter().zip(&all).enumerate() {
        let before = all.get(..place).unwrap_or_default();
        if inputs.contains(&it.input) {
            section.problem("input", "an [[input]] has this name", "an input without [[input]]");
        }
        if before.iter().any(|other| other.input == it.input) {
            section.problem("input", "another state has this input", "each input once");
        }
        if before.iter().any(|other| other.output == it.output) {
            section.problem("output", "another state has this output", "each output once");
        }
        if before.first().is_some_and(|first| first.max_gap != it.max_gap) {
            section.problem("max_gap", "not that of the first [[state]]", "the same for all");
        }
    }
    all
}

fn state(section: &Section<'_>, window: Option<&WindowSpec>) -> StateSpec {
    let value = if section.has("value") { section.doubles("value") } else { vec![0.0] };
    if value.is_empty() {
        section.problem("value", "has no number", "one number, or one for each element");
    }
    let max_gap = section.duration_if("max_gap");
    StateSpec {
        input: section.text("input"),
        output: section.text("output"),
        value,
        max_gap: max_gap.or_else(|| window.and_then(|window| window.max_gap)),
    }
}
