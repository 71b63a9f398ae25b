//! The tables of a TensorFlow Lite file, as far as they are read: `schema.fbs` of TensorFlow has the
//! numbers of the fields.

use super::flatbuffer::{Result, Table};
use super::operator_names::NAMES;
use crate::engine::limits::{MAX_CONSTANTS, MAX_NODES};
use crate::engine::shapes::MAX_AXES;

/// The most bytes of a name that is kept.
const MAX_NAME: usize = 256;
/// The most inputs and outputs of all operators together.
const MAX_OPERANDS: usize = 1 << 20;

/// A graph of the file.
#[derive(Debug)]
pub(super) struct Subgraph<'a> {
    pub tensors: Vec<Tensor<'a>>,
    pub operators: Vec<Operator<'a>>,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Tensor<'a> {
    /// The name, which no other tensor has.
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: Kind,
    /// The values of a constant; empty for others.
    pub data: &'a [u8],
    pub quantization: Table<'a>,
    pub is_sparse: bool,
}

/// The element type of a tensor by its number in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub u8);

impl Kind {
    pub(super) const F32: Self = Self(0);
    pub(super) const F16: Self = Self(1);
    pub(super) const I32: Self = Self(2);
    pub(super) const U8: Self = Self(3);
    pub(super) const I64: Self = Self(4);
    pub(super) const I16: Self = Self(7);
    pub(super) const I8: Self = Self(9);

    pub(super) const fn is_byte(self) -> bool {
        matches!(self, Self::I8 | Self::U8)
    }

    pub(super) const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }
}

#[derive(Debug)]
pub(super) struct Operator<'a> {
    /// The name of the operator, and the file's own after `CUSTOM`.
    pub kind: String,
    pub inputs: Vec<Option<usize>>,
    pub outputs: Vec<usize>,
    pub options: Table<'a>,
}

/// Reads the first graph of a file.
pub(super) fn read(bytes: &[u8]) -> Result<Subgraph<'_>> {
    let model = Table::root(bytes)?;
    let version = model.int(0, 0)?;
    if version != 3 {
        return Err(format!("its version is {version}, not 3"));
    }
    let buffers = model.tables(4)?;
    at_most("buffers", buffers.len(), MAX_CONSTANTS)?;
    let buffers: Vec<&[u8]> = buffers.map(|b| buffer(bytes, b?)).collect::<Result<_>>()?;
    let codes = model.tables(1)?;
    at_most("codes", codes.len(), MAX_NODES)?;
    let codes: Vec<String> = codes.map(|c| operator_code(c?)).collect::<Result<_>>()?;
    let Some(graph) = model.tables(2)?.next() else { return Err("there is no graph in it".into()) };
    let graph = graph?;
    let tensors = graph.tables(0)?;
    at_most("tensors", tensors.len(), MAX_CONSTANTS)?;
    let mut tensors: Vec<Tensor<'_>> =
        tensors.map(|t| tensor(t?, &buffers)).collect::<Result<_>>()?;
    name_apart(&mut tensors);
    let operators = graph.tables(3)?;
    at_most("operators", operators.len(), MAX_NODES)?;
    let mut operands = 0;
    let operators = operators
        .map(|table| operator(table?, &codes, tensors.len(), &mut operands))
        .collect::<Result<Vec<_>>>()?;
    let count = tensors.len();
    let ends = |field| -> Result<Vec<usize>> {
        let indices = graph.ints(field)?;
        at_most("inputs or outputs", indices.len(), MAX_NODES)?;
        indices.map(|i| index(i, count)).collect()
    };
    let (inputs, outputs) = (ends(1)?, ends(2)?);
    if operators.is_empty() || outputs.is_empty() {
        return Err("its graph has no operators or no outputs".into());
    }
    Ok(Subgraph { tensors, operators, inputs, outputs })
}

fn at_most(what: &str, count: usize, most: usize) -> Result<()> {
    if count <= most { Ok(()) } else { Err(format!("it has {count} {what}, more than {most}")) }
}

/// The bytes of a buffer, which may be outside of the tables in a large file.
fn buffer<'a>(bytes: &'a [u8], table: Table<'a>) -> Result<&'a [u8]> {
    let (offset, size) = (table.long(1)?, table.long(2)?);
    if offset <= 1 {
        return table.bytes(0);
    }
    let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
    let range = range.and_then(|(start, size)| bytes.get(start..start.checked_add(size)?));
    range.ok_or_else(|| format!("a buffer at {offset} of {size} bytes leads beyond its end"))
}

/// The name of an operator, with that of a custom one.
fn operator_code(table: Table<'_>) -> Result<String> {
    // Numbers up to 127 are in the field of the first files, which has 127 for larger ones.
    let code = i32::from(table.byte(0)?.cast_signed()).max(table.int(3, 0)?);
    let name = usize::try_from(code).ok().and_then(|code| NAMES.split(' ').nth(code));
    let name = name.map_or_else(|| format!("number {code}"), str::to_owned);
    let custom = String::from_utf8_lossy(cut(table.bytes(1)?)).escape_debug().to_string();
    Ok(if custom.is_empty() { name } else { format!("{name} {custom}") })
}

fn tensor<'a>(table: Table<'a>, buffers: &[&'a [u8]]) -> Result<Tensor<'a>> {
    let name = String::from_utf8_lossy(cut(table.bytes(3)?)).into_owned();
    let shape = table.ints(0)?;
    if shape.len() > MAX_AXES {
        return Err(format!("tensor {name:?} has {} axes, more than {MAX_AXES}", shape.len()));
    }
    let size = |d: i32| {
        usize::try_from(d).map_err(|_| format!("tensor {name:?} has a dimension of size {d}"))
    };
    let shape = shape.map(size).collect::<Result<Vec<_>>>()?;
    let buffer = usize::try_from(table.int(2, 0)?).ok().and_then(|b| buffers.get(b));
    let data = *buffer.ok_or_else(|| format!("tensor {name:?} names a buffer that is absent"))?;
    if table.int(10, 0)? != 0 {
        return Err(format!("tensor {name:?} has its values in another file"));
    }
    let quantization = table.table(4)?.unwrap_or(Table::empty());
    if quantization.byte(4)? > 1 {
        return Err(format!("tensor {name:?} is quantized by blocks, which is not supported"));
    }
    Ok(Tensor {
        name,
        shape,
        kind: Kind(table.byte(1)?),
        data,
        quantization,
        is_sparse: table.table(6)?.is_some(),
    })
}

fn cut(name: &[u8]) -> &[u8] {
    name.get(..MAX_NAME).unwrap_or(name)
}

/// Gives each tensor a name of its own. `#` separates what is added to a name, so that names made
/// here and later are apart from those of the file.
fn name_apart(tensors: &mut [Tensor<'_>]) {
    let mut known = std::collections::BTreeSet::new();
    for (i, tensor) in tensors.iter_mut().enumerate() {
        tensor.name = tensor.name.replace('#', "_");
        if tensor.name.is_empty() || known.contains(&tensor.name) {
            tensor.name = format!("{}#{i}", tensor.name);
        }
        known.insert(tensor.name.clone());
    }
}

fn operator<'a>(
    table: Table<'a>,
    codes: &[String],
    tensors: usize,
    operands: &mut usize,
) -> Result<Operator<'a>> {
    let (inputs, outputs) = (table.ints(1)?, table.ints(2)?);
    *operands = operands.saturating_add(inputs.len()).saturating_add(outputs.len());
    if *operands > MAX_OPERANDS {
        return Err(format!("its operators have more than {MAX_OPERANDS} inputs and outputs"));
    }
    let optional = |i: i32| if i == -1 { Ok(None) } else { index(i, tensors).map(Some) };
    let code = usize::try_from(table.int(0, 0)?).ok().and_then(|code| codes.get(code));
    let kind = code.ok_or("an operator in it has no code")?.clone();
    Ok(Operator {
        kind,
        inputs: inputs.map(optional).collect::<Result<_>>()?,
        outputs: outputs.map(|i| index(i, tensors)).collect::<Result<_>>()?,
        options: table.table(4)?.unwrap_or(Table::empty()),
    })
}

fn index(index: i32, count: usize) -> Result<usize> {
    let found = usize::try_from(index).ok().filter(|&index| index < count);
    found.ok_or_else(|| format!("tensor {index} is named, and there are {count}"))
}
