//! Recurrent layers: LSTM, GRU and RNN over whole sequences, in one or both directions.

mod activations;
mod dynamic;
mod layers;

use super::operands::floats;
use crate::engine::explain::NodePlacement;
use crate::engine::graph::{Node, element_count, integers};
use crate::engine::lower::context::{LowerResult, Lowering, NotLowered, run_in_float};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::Value;
use crate::engine::plan::{FloatStep, Lengths, Operation, RecurrentLayer, RecurrentStep};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::StridedView;
use inferd_kernels::float::Cell;

/// The LSTM of ONNX Runtime with weights of integers.
const DYNAMIC: &str = "DynamicQuantizeLSTM";

/// Whether the operator is a recurrent layer.
pub(in crate::engine::lower) fn is_recurrent(op: &str) -> bool {
    matches!(op, "LSTM" | "GRU" | "RNN" | DYNAMIC)
}

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
    pub(in crate::engine::lower) fn recurrent(&mut self, node: &ExpandedNode) -> LowerResult {
        let placement = match node.op == DYNAMIC {
            true => NodePlacement::Integer,
            false => NodePlacement::float("it works on floats"),
        };
        match self.recurrent_layer(node) {
            Ok(()) => self.record_placement(node, placement),
            // The float runtime does not have it.
            Err(NotLowered::RunInFloat(reason)) if node.op == DYNAMIC => {
                self.certain = true;
                return Err(self.refuse(node, reason).into());
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn recurrent_layer(&mut self, node: &ExpandedNode) -> LowerResult {
        let by_batch = node.int("layout").unwrap_or(0) != 0;
        let input = self.float_view(node, 0)?;
        if input.shape.len() != 3 {
            return run_in_float("its input is not a sequence of batches");
        }
        // In memory: step, sequence of the batch, element.
        let input = if by_batch { input.transposed(&[1, 0, 2]) } else { input };
        let input = self.builder.plain(&input, ElementKind::Floats);
        let sizes = self.recurrent_sizes(node, &input)?;
        let Sizes { steps, batch, input: width, hidden, directions: count } = sizes;
        let has_cells = matches!(cell(node), Cell::Lstm { .. });
        let states = count * batch * hidden;
        let total = steps * states + states * if has_cells { 2 } else { 1 };
        // A kernel of integers has the sums of all gates of all steps in memory.
        if element_count(&[total, 4]).is_err() {
            return run_in_float("its result is too large");
        }
        let directions = self.directions(node, sizes)?;
        let mut sources = vec![input];
        let mut initial = [false, false];
        for (i, has) in initial.iter_mut().enumerate().take(if has_cells { 2 } else { 1 }) {
            *has = Self::has_input(node, 5 + i);
            if *has {
                sources.push(self.initial_state(node, 5 + i, by_batch, sizes)?);
            }
        }
        let lengths = self.lengths(node, sizes, &mut sources)?;
        let input = width;
        let step =
            RecurrentStep { directions, steps, batch, input, hidden, has_cells, initial, lengths };
        let operation = Operation::Float(Box::new(FloatStep::Recurrent(Box::new(step))));
        let from: Vec<&TensorView> = sources.iter().collect();
        let made = self.builder.emit_step(operation, &from, ElementKind::Floats, &[total], &[0]);
        self.recurrent_results(node, &made, by_batch, sizes);
        let weights = if node.op == DYNAMIC { 1..12 } else { 1..4 };
        weights.for_each(|i| self.release_constant(node, i));
        Ok(())
    }

    /// The values of the outputs, which are parts of what the step makes.
    fn recurrent_results(
        &mut self,
        node: &ExpandedNode,
        made: &TensorView,
        by_batch: bool,
        sizes: Sizes,
    ) {
        let Sizes { steps, batch, hidden, directions, .. } = sizes;
        let states = directions * batch * hidden;
        let every = TensorView::plain(made.buffer, &[steps, directions, batch, hidden]);
        let every = if by_batch { every.transposed(&[2, 0, 1, 3]) } else { every };
        self.set_output(node, 0, Value::Float(every));
        for i in 1..node.outputs.len() {
            if node.outputs.get(i).is_some_and(|name| self.used.contains(name)) {
                let state = self.last_state(made, (steps + i - 1) * states, sizes);
                let state = if by_batch { state.transposed(&[1, 0, 2]) } else { state };
                self.set_output(node, i, Value::Float(state));
            }
        }
    }

    /// The sizes, which the weights must have too.
    fn recurrent_sizes(&self, node: &Node, input: &TensorView) -> LowerResult<Sizes> {
        let [steps, batch, width] = *input.shape.as_slice() else {
            return run_in_float("its input is not a sequence of batches");
        };
        let shapes = [1, 2].map(|i| match node.op == DYNAMIC {
            true => self.constant(node, i).map(|t| transposed(&t.shape)),
            false => self.float_constant(node, i).map(|t| t.shape.clone()),
        });
        let [Some(w), Some(r)] = shapes else {
            return run_in_float("its weights are not constants");
        };
        let [directions, rows, hidden] = *r.as_slice() else {
            return run_in_float("its weights do not fit its input");
        };
        let bidirectional = node.text("direction") == Some("bidirectional");
        let fits = directions == if bidirectional { 2 } else { 1 }
            && Some(rows) == hidden.checked_mul(cell(node).gates())
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

    /// The kernel of each direction, and whether it runs backwards.
    fn directions(&self, node: &Node, sizes: Sizes) -> LowerResult<Vec<(RecurrentLayer, bool)>> {
        let layers = match node.op == DYNAMIC {
            true => self.dynamic_layers(node, sizes)?,
            false => self.float_layers(node, sizes)?,
        };
        let reverse = node.text("direction") == Some("reverse");
        Ok(layers.into_iter().enumerate().map(|(d, layer)| (layer, d == 1 || reverse)).collect())
    }

    /// A constant input of `len` floats for each direction, if the node has it.
    fn of_each_direction(
        &self,
        node: &Node,
        i: usize,
        len: usize,
        sizes: Sizes,
    ) -> LowerResult<Option<Vec<Vec<f32>>>> {
        match self.float_constant(node, i) {
            Some(tensor) if tensor.data.len() == sizes.directions * len => {
                Ok(Some(floats(&tensor).chunks(len).map(<[f32]>::to_vec).collect()))
            }
            None if !Self::has_input(node, i) => Ok(None),
            _ => run_in_float("its biases or peepholes are not constants of its size"),
        }
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

    /// The lengths of the sequences. Those that a run has become a source.
    fn lengths(
        &mut self,
        node: &ExpandedNode,
        sizes: Sizes,
        sources: &mut Vec<TensorView>,
    ) -> LowerResult<Lengths> {
        if !Self::has_input(node, 4) {
            return Ok(Lengths::Whole);
        }
        let Sizes { steps, batch, .. } = sizes;
        if let Some(tensor) = self.constant(node, 4) {
            #[expect(clippy::cast_possible_truncation, reason = "cast from 32-bit integers")]
            let whole = |tensor| floats(tensor).iter().map(|&x| x as i64).collect();
            let lengths: Vec<i64> = integers(tensor).unwrap_or_else(|| whole(tensor));
            let lengths = lengths.into_iter().map(|n| usize::try_from(n).ok());
            let lengths: Option<Vec<usize>> = lengths.map(|n| n.filter(|&n| n <= steps)).collect();
            return match lengths.filter(|all| all.len() == batch) {
                Some(all) if all.iter().all(|&n| n == steps) => Ok(Lengths::Whole),
                Some(all) => Ok(Lengths::Fixed(all)),
                None => {
                    self.certain = true;
                    run_in_float(format!(
                        "its sequence_lens are not {batch} numbers from 0 to {steps}"
                    ))
                }
            };
        }
        let lengths = self.float_view(node, 4)?;
        if lengths.shape != [batch] {
            return run_in_float("its sequence_lens are not one number for each sequence");
        }
        sources.push(lengths);
        Ok(Lengths::Given)
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
    let is = |name| node.int(name).unwrap_or(0) != 0;
    match node.op.as_str() {
        "LSTM" | DYNAMIC => Cell::Lstm { input_forget: is("input_forget") },
        "GRU" => Cell::Gru { linear_before_reset: is("linear_before_reset") },
        _ => Cell::Rnn,
    }
}

/// A shape with its last two axes swapped.
fn transposed(shape: &[usize]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let [.., a, b] = shape.as_mut_slice() {
        std::mem::swap(a, b);
    }
    shape
}
