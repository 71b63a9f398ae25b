//! The ONNX graph of a file under construction.

use super::file::{Kind, Operator, Subgraph, Tensor};
use super::refusal::{Refusal, hint};
use crate::engine::error::LoadError;
use crate::engine::graph::{Attribute, ElementType, Graph, Node, TensorData};
use crate::engine::graph::{ValueInfo, element_count};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const I8: ElementType = ElementType::from_code(3);
pub(super) const I32: ElementType = ElementType::from_code(6);
const U8: ElementType = ElementType::U8;

pub(super) type Converted<T = ()> = Result<T, Refusal>;

/// Makes the nodes of a graph, operator by operator.
#[derive(Debug)]
pub(super) struct GraphBuilder<'a> {
    file: &'a Subgraph<'a>,
    graph: Graph,
    /// Constants of operators that are computed here, by the tensor that they are read as.
    aliases: BTreeMap<usize, usize>,
    /// Names of constants and dequantizations that were made.
    made: BTreeSet<String>,
    /// How many bytes of constants may still be made.
    left: usize,
    /// The name of the nodes of the current operator, and a number for its values.
    label: String,
    values: usize,
}

impl<'a> GraphBuilder<'a> {
    /// `size` is that of the file: constants may take a multiple of it, because tensors may share
    /// their bytes.
    pub(super) fn new(file: &'a Subgraph<'a>, size: usize) -> Self {
        Self {
            file,
            graph: Graph::default(),
            aliases: BTreeMap::new(),
            made: BTreeSet::new(),
            left: size.saturating_mul(16).saturating_add(1 << 20),
            label: String::new(),
            values: 0,
        }
    }

    /// Starts the nodes of an operator.
    pub(super) fn start(&mut self, operator: &Operator<'_>) -> Result<(), LoadError> {
        let output = operator.outputs.first().and_then(|&o| self.file.tensors.get(o));
        self.label = format!("{} {}", operator.kind, output.map_or("", |o| &o.name));
        self.values = 0;
        if output.is_none() {
            return Err(self.refused(operator, "it has no outputs".into()));
        }
        let read = operator.inputs.iter().flatten().filter_map(|&i| self.file.tensors.get(i));
        let mut tensors =
            read.chain(operator.outputs.iter().filter_map(|&o| self.file.tensors.get(o)));
        match tensors.find(|t| t.is_sparse) {
            Some(tensor) => {
                let reason = format!(
                    "tensor {:?} is sparse: convert the model without pruned storage",
                    tensor.name
                );
                Err(self.refused(operator, reason))
            }
            None => Ok(()),
        }
    }

    /// The refusal of the current operator for a reason.
    pub(super) fn refused(&self, operator: &Operator<'_>, reason: String) -> LoadError {
        LoadError::Node {
            node: self.output_name(operator),
            operator: operator.kind.clone(),
            reason,
        }
    }

    pub(super) fn unsupported(&self, operator: &Operator<'_>) -> LoadError {
        LoadError::Operator {
            node: self.output_name(operator),
            operator: operator.kind.clone(),
            hint: hint(&operator.kind),
        }
    }

    fn output_name(&self, operator: &Operator<'_>) -> String {
        let output = operator.outputs.first().and_then(|&o| self.file.tensors.get(o));
        output.map_or_else(String::new, |o| o.name.clone())
    }

    pub(super) fn finish(mut self) -> Result<Graph, LoadError> {
        for &i in &self.file.inputs {
            let tensor = self.file.tensors.get(i);
            self.graph.inputs.extend(tensor.map(Self::value_info).transpose()?);
        }
        for &i in &self.file.outputs {
            let tensor = self.file.tensors.get(i);
            let info = tensor.map(|tensor| ValueInfo::untyped(&tensor.name));
            self.graph.outputs.extend(info);
        }
        Ok(self.graph)
    }

    fn value_info(tensor: &Tensor<'_>) -> Result<ValueInfo, LoadError> {
        let element = element(tensor.kind);
        let element =
            element.map_err(|reason| LoadError::Input { name: tensor.name.clone(), reason })?;
        Ok(ValueInfo::tensor(&tensor.name, element, &tensor.shape))
    }

    pub(super) fn tensor(&self, i: usize) -> Converted<&'a Tensor<'a>> {
        let i = self.aliases.get(&i).copied().unwrap_or(i);
        self.file.tensors.get(i).ok_or_else(|| "it names a tensor that is absent".into())
    }

    /// Lets tensor `output` be the constant `input`.
    pub(super) fn alias(&mut self, output: usize, input: usize) {
        let input = self.aliases.get(&input).copied().unwrap_or(input);
        self.aliases.insert(output, input);
    }

    /// A name for a value within the current operator.
    pub(super) fn value(&mut self) -> String {
        self.values += 1;
        format!("{}#{}", self.label, self.values)
    }

    /// Adds a node with one output.
    pub(super) fn push(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<Attribute>,
    ) {
        self.push_many(op, inputs, vec![output.to_owned()], attributes);
    }

    pub(super) fn push_many(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: Vec<String>,
        attributes: Vec<Attribute>,
    ) {
        self.graph.nodes.push(Node {
            name: outputs.first().cloned().unwrap_or_default(),
            op: op.to_owned(),
            inputs: inputs.iter().map(|&i| i.to_owned()).collect(),
            outputs,
            attributes,
            original: self.label.clone(),
            ..Node::default()
        });
    }

    /// Adds a node whose result only the current operator reads. Returns the name of the result.
    pub(super) fn step(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = self.value();
        self.push(op, inputs, &output, attributes);
        output
    }

    /// Adds a constant of the current operator.
    pub(super) fn constant(
        &mut self,
        element: ElementType,
        shape: Vec<usize>,
        bytes: Vec<u8>,
    ) -> Converted<String> {
        let name = self.value();
        self.named_constant(name.clone(), element, shape, bytes)?;
        Ok(name)
    }

    fn named_constant(
        &mut self,
        name: String,
        element: ElementType,
        shape: Vec<usize>,
        bytes: Vec<u8>,
    ) -> Converted {
        let left = self.left.checked_sub(bytes.len().saturating_add(name.len()));
        self.left = left.ok_or("the constants of the model are many times the size of its file")?;
        self.graph.initializers.push(TensorData::new(name, element, shape, bytes)?);
        Ok(())
    }

    pub(super) fn scalar(&mut self, value: f32) -> Converted<String> {
        self.constant(ElementType::F32, Vec::new(), value.to_le_bytes().to_vec())
    }

    pub(super) fn numbers(&mut self, values: &[i64]) -> Converted<String> {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(ElementType::I64, vec![values.len()], bytes)
    }

    /// The name of a tensor as it is in the file. A constant is added when it is first read.
    pub(super) fn stored(&mut self, i: usize) -> Converted<String> {
        let tensor = self.tensor(i)?;
        if !tensor.data.is_empty() && self.made.insert(tensor.name.clone()) {
            let element = element(tensor.kind)?;
            let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
            self.named_constant(name, element, shape, tensor.data.to_vec())?;
        }
        Ok(tensor.name.clone())
    }

    /// The name of a tensor's real numbers, which are dequantized once if it has a scale.
    pub(super) fn real(&mut self, i: usize) -> Converted<String> {
        let tensor = self.tensor(i)?;
        let stored = self.stored(i)?;
        if !is_quantized(tensor)? {
            return Ok(stored);
        }
        let real = format!("{stored}#real");
        if self.made.insert(real.clone()) {
            let axis = tensor.quantization.int(6, 0)?;
            let parameters = self.quantization(tensor)?;
            let inputs: Vec<&str> =
                std::iter::once(&stored).chain(&parameters).map(String::as_str).collect();
            self.push(
                "DequantizeLinear",
                &inputs,
                &real,
                vec![Attribute::int("axis", axis.into())],
            );
        }
        Ok(real)
    }

    /// Scale and zero point of a tensor as constants.
    fn quantization(&mut self, tensor: &Tensor<'_>) -> Converted<[String; 2]> {
        let (scales, zeros) = quantization(tensor)?;
        let element = element(tensor.kind)?;
        self.quantization_constants(&scales, &zeros, element)
    }

    /// Scales and zero points of bytes as constants.
    pub(super) fn quantization_constants(
        &mut self,
        scales: &[f32],
        zeros: &[i64],
        element: ElementType,
    ) -> Converted<[String; 2]> {
        let shape = if scales.len() == 1 { Vec::new() } else { vec![scales.len()] };
        let bytes = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        let scale = self.constant(ElementType::F32, shape.clone(), bytes)?;
        let limit = match () {
            () if element == U8 => 0..=255,
            () if element == I8 => -128..=127,
            () => 0..=0,
        };
        if let Some(zero) = zeros.iter().find(|&z| !limit.contains(z)) {
            return Err(format!("a zero point of it is {zero}").into());
        }
        let width = if limit == (0..=0) { 4 } else { 1 };
        let bytes = zeros.iter().flat_map(|z| z.to_le_bytes().into_iter().take(width)).collect();
        Ok([scale, self.constant(element, shape, bytes)?])
    }

    /// The name under which a result of the current operator is made, before [`Self::complete`].
    pub(super) fn result(&mut self, output: usize) -> Converted<String> {
        let tensor = self.tensor(output)?;
        Ok(if is_quantized(tensor)? {
            format!("{}#result", tensor.name)
        } else {
            tensor.name.clone()
        })
    }

    /// Quantizes a result that was made under the name of [`Self::result`], if the file does.
    pub(super) fn complete(&mut self, output: usize) -> Converted {
        let tensor = self.tensor(output)?;
        if is_quantized(tensor)? {
            let [scale, zero] = self.quantization(tensor)?;
            let made = format!("{}#result", tensor.name);
            self.push("QuantizeLinear", &[&made, &scale, &zero], &tensor.name, Vec::new());
        }
        Ok(())
    }

    /// Makes a result of the current operator from a value.
    pub(super) fn set(&mut self, output: usize, value: &str) -> Converted {
        let result = self.result(output)?;
        self.push("Identity", &[value], &result, Vec::new());
        self.complete(output)
    }

    /// Makes a result of the current operator by a last node.
    pub(super) fn set_by(
        &mut self,
        output: usize,
        op: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> Converted {
        let result = self.result(output)?;
        self.push(op, inputs, &result, attributes);
        self.complete(output)
    }

    /// The integers of a constant.
    pub(super) fn constants(&self, i: usize) -> Converted<Vec<i64>> {
        let tensor = self.tensor(i)?;
        let values: Vec<i64> = match tensor.kind {
            Kind::I32 => chunks(tensor.data).map(|c| i32::from_le_bytes(c).into()).collect(),
            Kind::I64 => chunks(tensor.data).map(i64::from_le_bytes).collect(),
            _ => return Err(format!("tensor {:?} is not of integers", tensor.name).into()),
        };
        if element_count(&tensor.shape) != Ok(values.len()) {
            return Err(format!("tensor {:?} is not a constant", tensor.name).into());
        }
        Ok(values)
    }
}

pub(super) fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Whether a tensor is of bytes with a scale. 16-bit integers with a scale are refused.
pub(super) fn is_quantized(tensor: &Tensor<'_>) -> Converted<bool> {
    let has_scale = tensor.quantization.floats(2)?.len() > 0;
    if has_scale && tensor.kind == Kind::I16 {
        let reason = format!(
            "tensor {:?} has quantized integers of 16 bits: convert with 8-bit activations",
            tensor.name
        );
        return Err(reason.into());
    }
    Ok(has_scale && tensor.kind.is_byte())
}

/// The scales and zero points of a tensor, as many of one as of the other.
pub(super) fn quantization(tensor: &Tensor<'_>) -> Converted<(Vec<f32>, Vec<i64>)> {
    let scales = tensor.quantization.floats(2)?;
    let axis = usize::try_from(tensor.quantization.int(6, 0)?).ok();
    let channels = axis.and_then(|axis| tensor.shape.get(axis)).copied().unwrap_or(1);
    if scales.len() != 1 && scales.len() != channels {
        let reason = format!("tensor {:?} has {} scales", tensor.name, scales.len());
        return Err(reason.into());
    }
    let scales: Vec<f32> = scales.collect();
    let mut zeros: Vec<i64> = tensor.quantization.longs(3)?.take(scales.len()).collect();
    if zeros.len() < scales.len() {
        let one = zeros.first().copied().unwrap_or(0);
        zeros = vec![one; scales.len()];
    }
    Ok((scales, zeros))
}

/// The element type in a graph.
pub(super) fn element(kind: Kind) -> Result<ElementType, String> {
    let code = match kind.0 {
        0 => 1,
        1 => 10,
        2 => 6,
        3 => 2,
        4 => 7,
        5 => 8,
        6 => 9,
        7 => 5,
        9 => 3,
        10 => 11,
        12 => 13,
        15 => 12,
        16 => 4,
        other => return Err(format!("element type {other} of TensorFlow Lite is not supported")),
    };
    Ok(ElementType::from_code(code))
}
