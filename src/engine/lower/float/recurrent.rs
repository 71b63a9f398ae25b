//! Recurrent layers: LSTM, GRU and RNN over whole sequences, in one or both directions.

use super::operands::floats;
use crate::engine::graph::{Node, element_count};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::Value;
use crate::engine::plan::{FloatStep, Operation, RecurrentStep};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::StridedView;
use inferd_kernels::float::{Cell, Recurrent, RecurrentWeights, UnaryOp};

/// The sizes of a layer.
#[derive(Clone, Copy)]
struct Sizes {
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
    directions: usize,
}

impl Lowering<'_> {
    pub(super) fn float_recurrent(&mut self, node: &ExpandedNode) -> LowerResult {
        if Self::has_input(node, 4) {
            return run_in_float("its sequences have lengths of their own");
        }
        let by_batch = node.int("layout").unwrap_or(0) != 0;
        let input = self.float_view(node, 0)?;
        if input.shape.len() != 3 {
            return run_in_float("its input is not a sequence of batches");
        }
        // In memory: step, sequence of the batch, element.
        let input = if by_batch { input.transposed(&[1, 0, 2]) } else { input };
        let input = self.builder.plain(&input, ElementKind::Floats);
        let sizes = self.recurrent_sizes(node, &input)?;
        let directions = self.directions(node, sizes)?;
        let cells = node.op == "LSTM";
        let mut sources = vec![input];
        let mut initial = [false, false];
        for (i, has) in initial.iter_mut().enumerate().take(if cells { 2 } else { 1 }) {
            *has = Self::has_input(node, 5 + i);
            if *has {
                sources.push(self.initial_state(node, 5 + i, by_batch, sizes)?);
            }
        }
        let Sizes { steps, batch, input, hidden, directions: count } = sizes;
        let has_cells = cells;
        let step = RecurrentStep { directions, steps, batch, input, hidden, has_cells, initial };
        let states = count * batch * hidden;
        let all = steps * states;
        let total = all + states * if cells { 2 } else { 1 };
        if element_count(&[total]).is_err() {
            return run_in_float("its result is too large");
        }
        let operation = Operation::Float(Box::new(FloatStep::Recurrent(Box::new(step))));
        let from: Vec<&TensorView> = sources.iter().collect();
        let made = self.builder.emit_step(operation, &from, ElementKind::Floats, &[total], &[0]);
        let every = TensorView::plain(made.buffer, &[steps, count, batch, hidden]);
        let every = if by_batch { every.transposed(&[2, 0, 1, 3]) } else { every };
        self.set_output(node, 0, Value::Float(every));
        for (i, start) in [all, all + states].into_iter().enumerate().take(node.outputs.len() - 1) {
            if node.outputs.get(i + 1).is_some_and(|name| self.used.contains(name)) {
                let state = self.last_state(&made, start, sizes);
                let state = if by_batch { state.transposed(&[1, 0, 2]) } else { state };
                self.set_output(node, i + 1, Value::Float(state));
            }
        }
        for i in 1..4 {
            self.release_constant(node, i);
        }
        Ok(())
    }

    /// The sizes, which the weights must have too.
    fn recurrent_sizes(&self, node: &Node, input: &TensorView) -> LowerResult<Sizes> {
        let [steps, batch, width] = *input.shape.as_slice() else {
            return run_in_float("its input is not a sequence of batches");
        };
        let gates = cell(node).gates();
        let shapes = [1, 2].map(|i| self.float_constant(node, i).map(|t| t.shape.clone()));
        let [Some(w), Some(r)] = shapes else {
            return run_in_float("its weights are not constants");
        };
        let [directions, rows, hidden] = *r.as_slice() else {
            return run_in_float("its weights do not fit its input");
        };
        let bidirectional = node.text("direction") == Some("bidirectional");
        let fits = directions == if bidirectional { 2 } else { 1 }
            && Some(rows) == hidden.checked_mul(gates)
            && w == [directions, rows, width];
        if !fits {
            return run_in_float("its weights do not fit its input");
        }
        let given = node.int("hidden_size").map(usize::try_from);
        if given.is_some_and(|given| given != Ok(hidden)) {
            return run_in_float("its hidden_size is not that of its weights");
        }
        Ok(Sizes { steps, batch, input: width, hidden, directions })
    }

    /// The packed layer of each direction, and whether it runs backwards.
    fn directions(&self, node: &Node, sizes: Sizes) -> LowerResult<Vec<(Recurrent, bool)>> {
        let Sizes { input, hidden, directions, .. } = sizes;
        let cell = cell(node);
        let gates = cell.gates() * hidden;
        let activations = activations(node, cell.activations(), directions)?;
        let clip = node.float("clip");
        let optional = |i: usize, len: usize| match self.float_constant(node, i) {
            Some(tensor) if tensor.data.len() == directions * len => Ok(Some(tensor)),
            None if !Self::has_input(node, i) => Ok(None),
            _ => run_in_float("its biases or peepholes are not constants of its size"),
        };
        let (bias, peepholes) = (optional(3, 2 * gates)?, optional(7, 3 * hidden)?);
        let [Some(w), Some(r)] = [1, 2].map(|i| self.float_constant(node, i)) else {
            return run_in_float("its weights are not constants");
        };
        let part = |values: &'_ [f32], d: usize, len: usize| -> Vec<f32> {
            values.iter().skip(d * len).take(len).copied().collect()
        };
        let mut made = Vec::new();
        for d in 0..directions {
            let (w, r) = (part(floats(&w), d, gates * input), part(floats(&r), d, gates * hidden));
            let bias = bias.as_ref().map(|b| part(floats(b), d, 2 * gates));
            let peepholes = peepholes.as_ref().map(|p| part(floats(p), d, 3 * hidden));
            let weights = RecurrentWeights {
                input,
                hidden,
                w: &w,
                r: &r,
                bias: bias.as_deref(),
                peepholes: peepholes.as_deref(),
            };
            let own = activations.chunks(cell.activations()).nth(d).unwrap_or_default();
            match Recurrent::new(self.builder.isa, cell, own, clip, &weights) {
                Ok(layer) => {
                    made.push((layer, d == 1 || node.text("direction") == Some("reverse")))
                }
                Err(error) => return run_in_float(error.to_string()),
            }
        }
        Ok(made)
    }

    /// An initial state `[direction][batch][hidden]`.
    fn initial_state(
        &mut self,
        node: &ExpandedNode,
        i: usize,
        by_batch: bool,
        sizes: Sizes,
    ) -> LowerResult<TensorView> {
        let state = self.float_view(node, i)?;
        let state = match (by_batch, state.shape.len()) {
            (true, 3) => state.transposed(&[1, 0, 2]),
            _ => state,
        };
        if state.shape != [sizes.directions, sizes.batch, sizes.hidden] {
            return run_in_float("its initial state does not fit its input");
        }
        Ok(self.builder.plain(&state, ElementKind::Floats))
    }

    /// The last states, copied out of the result of a layer.
    fn last_state(&mut self, made: &TensorView, start: usize, sizes: Sizes) -> TensorView {
        let shape = [sizes.directions, sizes.batch, sizes.hidden];
        let to = TensorView::plain(made.buffer, &shape);
        let from = StridedView { start, ..to.side() };
        self.builder.copied(made, &shape, from, &to, ElementKind::Floats)
    }
}

fn cell(node: &Node) -> Cell {
    match node.op.as_str() {
        "LSTM" => Cell::Lstm { input_forget: node.int("input_forget").unwrap_or(0) != 0 },
        "GRU" => {
            Cell::Gru { linear_before_reset: node.int("linear_before_reset").unwrap_or(0) != 0 }
        }
        _ => Cell::Rnn,
    }
}

/// The activations of all directions, one direction after the other.
fn activations(node: &Node, count: usize, directions: usize) -> LowerResult<Vec<UnaryOp>> {
    let parameters = |name: &str| node.floats(name).is_some_and(|v| !v.is_empty());
    if parameters("activation_alpha") || parameters("activation_beta") {
        return run_in_float("its activations have parameters");
    }
    let defaults: &[UnaryOp] = match count {
        1 => &[UnaryOp::Tanh],
        2 => &[UnaryOp::Sigmoid, UnaryOp::Tanh],
        _ => &[UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Tanh],
    };
    let Some(names) = node.texts("activations").filter(|names| !names.is_empty()) else {
        return Ok(defaults.repeat(directions));
    };
    let known: Option<Vec<UnaryOp>> = names.iter().map(|name| activation(name)).collect();
    match known {
        Some(known) if known.len() == count * directions => Ok(known),
        _ => run_in_float("its activations are not known, or of another number than it needs"),
    }
}

/// The activation of this name, whose case does not matter, with its default parameters.
fn activation(name: &[u8]) -> Option<UnaryOp> {
    Some(match name.to_ascii_lowercase().as_slice() {
        b"relu" => UnaryOp::Relu,
        b"tanh" => UnaryOp::Tanh,
        b"sigmoid" => UnaryOp::Sigmoid,
        b"leakyrelu" => UnaryOp::LeakyRelu { alpha: 0.01 },
        b"thresholdedrelu" => UnaryOp::ThresholdedRelu { alpha: 1.0 },
        b"hardsigmoid" => UnaryOp::HardSigmoid { alpha: 0.2, beta: 0.5 },
        b"elu" => UnaryOp::Elu { alpha: 1.0 },
        b"softsign" => UnaryOp::Softsign,
        b"softplus" => UnaryOp::Softplus,
        _ => return None,
    })
}
