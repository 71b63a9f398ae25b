//! Transposed convolutions by constants.

use super::operands::floats;
use crate::engine::graph::{Node, element_count};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::conv::{channels_last_order, channels_last_result};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::Value;
use crate::engine::plan::{FloatStep, Operation};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::window_attributes::{WindowAttributes, sizes};
use inferd_kernels::ConvGeometry;
use inferd_kernels::float::{Activation, ConvTranspose, ConvWeights};

/// The largest size of an axis before it is cut to the output.
const MAX_AXIS_SIZE: usize = 1 << 24;

impl Lowering<'_> {
    pub(super) fn float_conv_transpose(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let Some(weights) = self.float_constant(node, 1) else {
            return run_in_float("its weights are not constants");
        };
        let rank = input.shape.len();
        let ([batch, channels, spatial @ ..], [depth, columns, kernel @ ..]) =
            (input.shape.as_slice(), weights.shape.as_slice())
        else {
            return run_in_float("its input has no channels");
        };
        let (batch, channels) = (*batch, *channels);
        let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        let Some(outputs) = columns.checked_mul(groups).filter(|&n| n > 0) else {
            return run_in_float("its weights do not fit its input");
        };
        if *depth != channels || !channels.is_multiple_of(groups) || weights.shape.len() != rank {
            return run_in_float("its weights do not fit its input");
        }
        let window = window(node, spatial, kernel, channels)?;
        let bias = match Self::has_input(node, 2) {
            true => match self.float_constant(node, 2).filter(|bias| bias.shape == [outputs]) {
                Some(bias) => Some(bias),
                None => return run_in_float("its bias is not one constant per output"),
            },
            false => None,
        };
        let result = channels_last_result(batch, outputs, &window, rank);
        if element_count(&result.shape).is_err() {
            return run_in_float("its result is too large");
        }
        let values = floats(&weights);
        let packed = ConvWeights { values, bias: bias.as_deref().map(floats), outputs, groups };
        let isa = self.builder.isa;
        let conv = match ConvTranspose::new(isa, &window, &packed, Activation::None) {
            Ok(conv) => conv,
            Err(error) => return run_in_float(error.to_string()),
        };
        let input = self.builder.ordered(&input, &channels_last_order(rank), ElementKind::Floats);
        let step = FloatStep::ConvTranspose { conv, batch };
        let operation = Operation::Float(Box::new(step));
        let (shape, order) = (&result.shape, &result.order);
        let made = self.builder.emit_step(operation, &[&input], ElementKind::Floats, shape, order);
        self.release_constant(node, 1);
        self.set(node, Value::Float(made));
        Ok(())
    }
}

/// The window over one or two spatial axes.
fn window(
    node: &Node,
    spatial: &[usize],
    kernel: &[usize],
    channels: usize,
) -> LowerResult<ConvGeometry> {
    let axes = spatial.len();
    if !matches!(axes, 1 | 2) || kernel.len() != axes {
        return run_in_float(format!("it has {axes} spatial axes"));
    }
    let read = |name: &str| sizes(node, name).or_else(run_in_float);
    if read("kernel_shape")?.is_some_and(|shape| shape != kernel) {
        return run_in_float("its kernel_shape is not that of its weights");
    }
    let (extra, given) = (read("output_padding")?, read("output_shape")?);
    let attributes = WindowAttributes::read(node, axes).or_else(run_in_float)?;
    let (input, output, kernel_size, one) = ([1, 1], [1, 1], [1, 1], [1, 1]);
    let (stride, dilation, pad) = (one, one, [0, 0]);
    let mut window =
        ConvGeometry { input, channels, output, kernel: kernel_size, stride, dilation, pad };
    let same = node.text("auto_pad").is_some_and(|pad| pad.starts_with("SAME"));
    for (axis, (&size, &taps)) in spatial.iter().zip(kernel).enumerate() {
        let at = |all: &[usize], default| all.get(axis).copied().unwrap_or(default);
        let stride = at(&attributes.strides, 1);
        let extra = extra.as_deref().map_or(0, |all| at(all, 0));
        let reach = size.saturating_sub(1).saturating_mul(stride);
        let full = reach.saturating_add(attributes.extent(axis, taps)).saturating_add(extra);
        if size == 0 || taps == 0 || full > MAX_AXIS_SIZE {
            return run_in_float("a size of its window is zero or too large");
        }
        // An output_shape may have the axes of batch and channels, too.
        let wanted = match &given {
            Some(all) => {
                all.len().checked_sub(axes).and_then(|first| all.get(first + axis)).copied()
            }
            None => same.then(|| size.saturating_mul(stride)),
        };
        let (output, pad) = match wanted {
            Some(output) => {
                let total = full.saturating_sub(output);
                let upper = node.text("auto_pad") == Some("SAME_UPPER");
                (output, if upper { total / 2 } else { total - total / 2 })
            }
            None if given.is_some() => return run_in_float("its output_shape has too few axes"),
            None => {
                let (before, after) = attributes.padding(axis, size, taps);
                (full.saturating_sub(before.saturating_add(after)), before)
            }
        };
        let place = 2 - axes + axis;
        let set = |pair: &mut [usize; 2], value| {
            if let Some(to) = pair.get_mut(place) {
                *to = value;
            }
        };
        set(&mut window.input, size);
        set(&mut window.kernel, taps);
        set(&mut window.stride, stride);
        set(&mut window.dilation, at(&attributes.dilations, 1));
        set(&mut window.output, output);
        set(&mut window.pad, pad);
    }
    Ok(window)
}
