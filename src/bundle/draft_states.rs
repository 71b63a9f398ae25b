//! States of a model that its names show: an input, and an output of the same type and shape whose name
//! follows from that of the input.

use crate::tensor::{Dtype, TensorSpec};

/// What exporters add to the name of an input for the output that follows it: `state` and `stateN` of
/// silero VAD, `h` and `hn`, `h_0` and `h_n`, `state` and `next_state` …
const SUFFIXES: [&str; 8] = ["n", "_n", "_out", "_next", "_new", "out", "next", "new"];
const PREFIXES: [&str; 4] = ["next_", "new_", "out_", "output_"];
/// Parts of names that differ.
const PAIRS: [(&str, &str); 4] =
    [("_in", "_out"), ("past", "present"), ("input", "output"), ("_0", "_n")];

/// The inputs that are states, with their outputs.
pub(super) fn states<'a>(
    inputs: &'a [TensorSpec],
    outputs: &'a [TensorSpec],
) -> Vec<(&'a TensorSpec, &'a TensorSpec)> {
    let pair = |input: &'a TensorSpec| {
        let is_next = |output: &&TensorSpec| {
            (&output.dtype, &output.shape) == (&input.dtype, &input.shape)
                && follows(&input.name.to_lowercase(), &output.name.to_lowercase())
        };
        Some((input, outputs.iter().find(is_next)?))
    };
    let of_type =
        |it: &&TensorSpec| matches!(it.dtype, Dtype::F32 | Dtype::F64 | Dtype::I32 | Dtype::I64);
    // Something is left to feed and to interpret.
    let all: Vec<_> = inputs.iter().filter(of_type).filter_map(pair).collect();
    let leaves_some = all.len() < inputs.len() && all.len() < outputs.len();
    if leaves_some { all } else { Vec::new() }
}

fn follows(input: &str, output: &str) -> bool {
    let added = |suffix: &str| output.strip_suffix(suffix) == Some(input);
    let before = |prefix: &str| output.strip_prefix(prefix) == Some(input);
    let other = |(of_input, of_output): &(&str, &str)| {
        input.contains(of_input) && input.replacen(of_input, of_output, 1) == output
    };
    SUFFIXES.iter().any(|it| added(it))
        || PREFIXES.iter().any(|it| before(it))
        || PAIRS.iter().any(other)
}

/// Their tables.
pub(super) fn tables(states: &[(&TensorSpec, &TensorSpec)]) -> String {
    let table = |(place, (input, output)): (usize, &(&TensorSpec, &TensorSpec))| {
        let note = if place == 0 {
            "# CHECK: by its names and shapes the model gives a state for its next run. Each\n\
             # device starts with zeros, and again after a longer gap than max_gap.\n"
        } else {
            ""
        };
        format!(
            "\n{note}# Shape {:?}, {}.\n[[state]]\ninput = {:?}\noutput = {:?}\nmax_gap = \"1s\"\n",
            input.shape, input.dtype, input.name, output.name
        )
    };
    states.iter().enumerate().map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::{TensorSpec, states};
    use crate::tensor::Dtype;

    fn spec(name: &str, size: usize) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: Dtype::F32, shape: vec![1, size], quant: None }
    }

    #[test]
    fn states_are_recognized_by_name_and_shape() {
        for (input, output) in [
            ("state", "stateN"),
            ("h", "hn"),
            ("c_0", "c_n"),
            ("state_in", "state_out"),
            ("past.0.key", "present.0.key"),
            ("cache", "new_cache"),
            ("hidden", "hidden_out"),
        ] {
            let (inputs, outputs) =
                ([spec("x", 3), spec(input, 2)], [spec("y", 1), spec(output, 2)]);
            let found: Vec<_> =
                states(&inputs, &outputs).iter().map(|(a, b)| (&a.name, &b.name)).collect();
            assert_eq!(found, [(&input.to_owned(), &output.to_owned())]);
        }
        let none = states(&[spec("x", 3), spec("h", 2)], &[spec("y", 1), spec("hn", 3)]).len();
        assert_eq!(none, 0, "the shapes differ");
        // An autoencoder gives no state.
        assert_eq!(states(&[spec("input", 3)], &[spec("output", 3)]).len(), 0);
    }
}
