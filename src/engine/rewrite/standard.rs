//! Operators of ONNX itself, by their definitions.

use super::Rewriter;
use super::builder::{only_attributes, only_inputs, only_outputs, output};
use crate::engine::error::LoadError;
use crate::engine::graph::{Attribute, Node};
use crate::engine::shapes;
use crate::tensor::Data;

impl Rewriter<'_, '_> {
    /// A BatchNormalization whose parameters are computed:
    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias`. tf2onnx writes the layer
    /// normalization of Keras this way.
    pub(super) fn batch_normalization(&mut self, node: Node) -> Result<(), LoadError> {
        let axes = self.values.shape(node.input(0)).map(<[usize]>::len);
        let training =
            node.int("training_mode").unwrap_or(0) != 0 || node.int("spatial") == Some(0);
        let (false, false, Some(axes), true) =
            ((1..5).all(|i| self.is_fixed(node.input(i))), training, axes, node.inputs.len() == 5)
        else {
            return self.keep(node);
        };
        only_outputs(&node, 1)?;
        only_attributes(&node, &["epsilon", "momentum", "spatial", "training_mode"])?;
        let y = output(&node)?.to_owned();
        let part = |name: &str| format!("{y}#{name}");
        // The channels are the second axis.
        let behind = axes.saturating_sub(2);
        let behind: Vec<i64> = (1..=behind).filter_map(|axis| i64::try_from(axis).ok()).collect();
        let mut rows = Vec::new();
        for i in 1..5 {
            let input = node.input(i).to_owned();
            if behind.is_empty() {
                rows.push(input);
                continue;
            }
            let row = part(&format!("row{i}"));
            self.unsqueeze(&node, &input, &row, behind.clone())?;
            rows.push(row);
        }
        let [scale, bias, mean, variance] = rows.as_slice() else { return self.keep(node) };
        let epsilon = self.scalar(part("epsilon"), node.float("epsilon").unwrap_or(1e-5));
        let (spread, deviation) = (part("spread"), part("deviation"));
        let (centred, normal, scaled) = (part("centred"), part("normal"), part("scaled"));
        self.emit(&node, "Add", &[variance, &epsilon], &spread, Vec::new())?;
        self.emit(&node, "Sqrt", &[&spread], &deviation, Vec::new())?;
        self.emit(&node, "Sub", &[node.input(0), mean], &centred, Vec::new())?;
        self.emit(&node, "Div", &[&centred, &deviation], &normal, Vec::new())?;
        self.emit(&node, "Mul", &[&normal, scale], &scaled, Vec::new())?;
        self.emit(&node, "Add", &[&scaled, bias], &y, Vec::new())
    }

    /// The p-norm of each window: `(mean of |x|^p, padding as zeros, times the size)^(1/p)`.
    pub(super) fn lp_pool(&mut self, node: &Node) -> Result<(), LoadError> {
        const OWN: &[&str] =
            &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"];
        only_attributes(node, OWN)?;
        only_inputs(node, 1)?;
        if node.int("ceil_mode").unwrap_or(0) != 0 {
            return Err(node.refusal("its attribute ceil_mode = 1 is not supported"));
        }
        if node.text("auto_pad").is_some_and(|pad| !matches!(pad, "NOTSET" | "VALID")) {
            return Err(node.refusal("its attribute auto_pad is not supported: give it pads"));
        }
        let y = output(node)?;
        let part = |name: &str| format!("{y}#{name}");
        let kernel = node.ints("kernel_shape").unwrap_or_default();
        let size = kernel.iter().try_fold(1i64, |n, &k| n.checked_mul(k).filter(|&n| n > 0));
        let Some(size) = size.filter(|&size| size < 1 << 20) else {
            return Err(node.refusal(format!("its kernel_shape is {kernel:?}")));
        };
        let powers = self.powers(node)?;
        let mut attributes: Vec<Attribute> =
            node.attributes.iter().filter(|a| a.name != "p").cloned().collect();
        attributes.push(Attribute::int("count_include_pad", 1));
        let (means, sums) = (part("means"), part("sums"));
        self.emit(node, "AveragePool", &[&powers], &means, attributes)?;
        #[expect(clippy::cast_precision_loss, reason = "below 2^20")]
        let size = self.scalar(part("size"), size as f32);
        self.emit(node, "Mul", &[&means, &size], &sums, Vec::new())?;
        self.root(node, &sums)
    }

    /// The p-norm over all positions.
    pub(super) fn global_lp_pool(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, &["p"])?;
        only_inputs(node, 1)?;
        let y = output(node)?;
        let Some(axes) = self.values.shape(node.input(0)).map(<[usize]>::len) else {
            return Err(node.refusal("the number of axes of its input is not known"));
        };
        let powers = self.powers(node)?;
        let axes: Vec<i64> = (2..axes).filter_map(|axis| i64::try_from(axis).ok()).collect();
        let sums = format!("{y}#sums");
        if self.opset < 13 {
            let axes = vec![Attribute::ints("axes", axes)];
            self.emit(node, "ReduceSum", &[&powers], &sums, axes)?;
        } else {
            let axes = self.indices(format!("{y}#axes"), axes);
            self.emit(node, "ReduceSum", &[&powers, &axes], &sums, Vec::new())?;
        }
        self.root(node, &sums)
    }

    /// `|x|^p`
    fn powers(&mut self, node: &Node) -> Result<String, LoadError> {
        let (y, p) = (output(node)?, node.int("p").unwrap_or(2));
        if !(1..=16).contains(&p) {
            return Err(node.refusal(format!("its attribute p = {p} is not supported")));
        }
        let (sizes, powers) = (format!("{y}#abs"), format!("{y}#powers"));
        self.emit(node, "Abs", &[node.input(0)], &sizes, Vec::new())?;
        #[expect(clippy::cast_precision_loss, reason = "at most 16")]
        let p = self.scalar(format!("{y}#p"), p as f32);
        self.emit(node, "Pow", &[&sizes, &p], &powers, Vec::new())?;
        Ok(powers)
    }

    /// `sums^(1/p)`
    fn root(&mut self, node: &Node, sums: &str) -> Result<(), LoadError> {
        let y = output(node)?;
        #[expect(clippy::cast_precision_loss, reason = "at most 16")]
        let root = 1.0 / node.int("p").unwrap_or(2) as f32;
        let root = self.scalar(format!("{y}#root"), root);
        self.emit(node, "Pow", &[sums, &root], y, Vec::new())
    }

    /// A Slice of the middle, then a Pad on both sides.
    pub(super) fn center_crop_pad(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, &["axes"])?;
        only_inputs(node, 2)?;
        let y = output(node)?.to_owned();
        let (shape, sizes) =
            (self.values.shape(node.input(0)), self.values.integers(node.input(1)));
        let (Some(shape), Some(sizes)) = (shape.map(<[usize]>::to_vec), sizes.map(<[i64]>::to_vec))
        else {
            return Err(node.refusal("its shapes are not constants: export with fixed shapes"));
        };
        let all = || (0..shape.len()).filter_map(|axis| i64::try_from(axis).ok()).collect();
        let axes: Vec<i64> = node.ints("axes").map_or_else(all, <[i64]>::to_vec);
        let mut cuts = (Vec::new(), Vec::new());
        let mut pads = vec![0; 2 * shape.len()];
        for (axis, &size) in axes.iter().zip(&sizes) {
            let at = shapes::axis(*axis, shape.len());
            let from = at.and_then(|at| shape.get(at)).and_then(|&d| i64::try_from(d).ok());
            let (Some(at), Some(from), 0..) = (at, from, size) else {
                return Err(node.refusal(format!("its axes {axes:?} do not fit {shape:?}")));
            };
            let (cut, pad) = ((from - size).max(0), (size - from).max(0));
            cuts.0.push(cut / 2);
            cuts.1.push(cut / 2 + from.min(size));
            let behind = at + shape.len();
            for (place, value) in [(at, pad / 2), (behind, pad - pad / 2)] {
                if let Some(to) = pads.get_mut(place) {
                    *to = value;
                }
            }
        }
        if axes.len() != sizes.len() {
            return Err(node.refusal(format!("its axes {axes:?} do not fit the sizes {sizes:?}")));
        }
        let cut = format!("{y}#cut");
        let starts = self.indices(format!("{y}#starts"), cuts.0);
        let ends = self.indices(format!("{y}#ends"), cuts.1);
        let axes = self.indices(format!("{y}#axes"), axes);
        self.emit(node, "Slice", &[node.input(0), &starts, &ends, &axes], &cut, Vec::new())?;
        let pads = self.constant(format!("{y}#pads"), vec![pads.len()], Data::I64(pads));
        self.emit(node, "Pad", &[&cut, &pads], &y, Vec::new())
    }
}
