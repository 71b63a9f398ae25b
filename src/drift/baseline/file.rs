//! `baseline.npz`: a baseline as arrays, with a row for each quantity. docs/monitoring.md describes
//! them.

use super::{
    Baseline, BlockStatistics, ChannelBaseline, LEVELS, LabelBaseline, NumberBaseline, Shape,
};
use crate::drift::quantity::{BINS, MAX_CHANNELS, MAX_OUTPUTS};
use crate::npz::{self, Arrays, NpzError};
use crate::tensor::{Data, Tensor};

/// The format of the file.
const FORMAT: i64 = 1;
/// The most bytes that a file may unpack to.
const MAX_UNPACKED: u64 = 1 << 20;
const MAX_NUMBERS: usize = MAX_CHANNELS * 2 + MAX_OUTPUTS;
const MAX_LABELS: usize = 10_000;
const EDGES: usize = BINS - 1;

/// Why bytes are no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    #[error("{0}")]
    File(#[from] NpzError),
    #[error(
        "its format is {found}, this version reads {FORMAT}: make it again with `inferctl baseline`"
    )]
    Format { found: i64 },
    #[error("array {name:?}: {problem}; make it again with `inferctl baseline`")]
    Array { name: &'static str, problem: String },
}

fn wrong(name: &'static str, problem: impl Into<String>) -> BaselineError {
    BaselineError::Array { name, problem: problem.into() }
}

impl Baseline {
    /// The bytes of a file that `numpy.load` opens.
    ///
    /// # Errors
    /// None in practice: names of arrays are fixed.
    pub fn write(&self) -> Result<Vec<u8>, NpzError> {
        let numbers = &self.numbers;
        let column =
            |of: fn(&NumberBaseline) -> f64| reals(&[numbers.len()], numbers.iter().map(of));
        let rows = |width: usize, of: fn(&NumberBaseline) -> &[f64]| {
            let cells = numbers.iter().flat_map(move |number| padded(of(number), width));
            reals(&[numbers.len(), width], cells)
        };
        let channels = &self.channels;
        let of_channel =
            |of: fn(&ChannelBaseline) -> f64| reals(&[channels.len()], channels.iter().map(of));
        let mut arrays = vec![
            ("format", whole(&[FORMAT])),
            ("windows", whole(&[i64::try_from(self.windows).unwrap_or(i64::MAX)])),
            ("names", text(numbers.iter().map(|number| number.name.as_str()))),
            ("count", column(|number| number.blocks.count)),
            ("mean", column(|number| number.blocks.mean)),
            ("block_sd", rows(LEVELS, |number| &number.blocks.sd)),
            ("block_low", rows(LEVELS, |number| &number.blocks.low)),
            ("block_high", rows(LEVELS, |number| &number.blocks.high)),
            ("edges", rows(EDGES, |number| &number.edges)),
            ("bins", rows(BINS, |number| &number.shape.counts)),
            ("distances", rows(3, |number| &number.shape.distances)),
            ("channel_names", text(channels.iter().map(|channel| channel.name.as_str()))),
            ("channel_low", of_channel(|channel| channel.range[0])),
            ("channel_high", of_channel(|channel| channel.range[1])),
            ("channel_constant", of_channel(|channel| channel.constant)),
            ("channel_clipped", of_channel(|channel| channel.clipped)),
        ];
        if let Some(labels) = &self.labels {
            let bins: Vec<i64> = labels.bins.iter().map(|bin| i64::from(*bin)).collect();
            let counts = &labels.shape.counts;
            arrays.push(("labels", text(labels.names.iter().map(String::as_str))));
            arrays.push(("label_bins", whole(&bins)));
            arrays.push(("label_counts", reals(&[counts.len()], counts.iter().copied())));
            arrays.push(("label_distances", reals(&[3], labels.shape.distances.into_iter())));
        }
        npz::write(arrays.iter().map(|(name, tensor)| (*name, tensor)))
    }

    /// Reads a file, which anybody may have written.
    ///
    /// # Errors
    /// Bytes that are no such file, or numbers that no baseline has.
    pub fn read(bytes: &[u8]) -> Result<Self, BaselineError> {
        let arrays = Reader(npz::read(bytes, MAX_UNPACKED)?);
        let [found] = arrays.whole("format")?[..] else { return Err(wrong("format", "not one")) };
        if found != FORMAT {
            return Err(BaselineError::Format { found });
        }
        let [windows] = arrays.whole("windows")?[..] else {
            return Err(wrong("windows", "not one"));
        };
        let windows = u64::try_from(windows).map_err(|_| wrong("windows", "negative"))?;
        Ok(Self {
            windows,
            numbers: numbers(&arrays)?,
            channels: channels(&arrays)?,
            labels: if arrays.has("labels") { Some(labels(&arrays)?) } else { None },
        })
    }
}

fn numbers(arrays: &Reader) -> Result<Vec<NumberBaseline>, BaselineError> {
    let names = arrays.texts("names", MAX_NUMBERS)?;
    let n = names.len();
    let (count, mean) = (arrays.reals("count", n)?, arrays.reals("mean", n)?);
    let tables = [
        arrays.reals("block_sd", n * LEVELS)?,
        arrays.reals("block_low", n * LEVELS)?,
        arrays.reals("block_high", n * LEVELS)?,
    ];
    let (edges, bins) = (arrays.reals("edges", n * EDGES)?, arrays.reals("bins", n * BINS)?);
    let distances = arrays.reals("distances", n * 3)?;
    let number = |(row, name): (usize, String)| {
        let table = |of: &[f64]| levels(of, row);
        let [sd, low, high] = &tables;
        let count = cell(&count, row);
        let sd = table(sd);
        if sd.iter().any(|sd| *sd < 0.0) {
            return Err(wrong("block_sd", "negative"));
        }
        let mean = finite("mean", cell(&mean, row))?;
        let blocks = BlockStatistics {
            count: counted("count", count)?,
            mean,
            sd,
            low: table(low),
            high: table(high),
        };
        let edges = ascending(span(&edges, row, EDGES))?;
        let counts = span(&bins, row, BINS).iter().take(edges.len() + 1);
        let counts = counts.map(|n| counted("bins", *n)).collect::<Result<Vec<_>, _>>()?;
        let shape = Shape { counts, distances: triple(span(&distances, row, 3))? };
        Ok(NumberBaseline { name, blocks, edges, shape })
    };
    names.into_iter().enumerate().map(number).collect()
}

fn channels(arrays: &Reader) -> Result<Vec<ChannelBaseline>, BaselineError> {
    let names = arrays.texts("channel_names", MAX_CHANNELS)?;
    let n = names.len();
    let (low, high) = (arrays.reals("channel_low", n)?, arrays.reals("channel_high", n)?);
    let constant = arrays.reals("channel_constant", n)?;
    let clipped = arrays.reals("channel_clipped", n)?;
    let channel = |(row, name): (usize, String)| {
        let range =
            [finite("channel_low", cell(&low, row))?, finite("channel_high", cell(&high, row))?];
        if range[0] > range[1] {
            return Err(wrong("channel_low", "above channel_high"));
        }
        let share = |name, value: f64| {
            if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(wrong(name, "not a share")) }
        };
        let constant = share("channel_constant", cell(&constant, row))?;
        let clipped = share("channel_clipped", cell(&clipped, row))?;
        Ok(ChannelBaseline { name, range, constant, clipped })
    };
    names.into_iter().enumerate().map(channel).collect()
}

fn labels(arrays: &Reader) -> Result<LabelBaseline, BaselineError> {
    let names = arrays.texts("labels", MAX_LABELS)?;
    let bins = arrays.whole("label_bins")?;
    if bins.len() != names.len() {
        return Err(wrong("label_bins", format!("{} for {} labels", bins.len(), names.len())));
    }
    let counts = arrays.reals("label_counts", names.len().min(BINS))?;
    let bin = |bin: &i64| {
        let bin = u8::try_from(*bin).ok().filter(|bin| usize::from(*bin) < counts.len());
        bin.ok_or_else(|| wrong("label_bins", "no such bin"))
    };
    let bins = bins.iter().map(bin).collect::<Result<_, _>>()?;
    let counts = counts.iter().map(|n| counted("label_counts", *n)).collect::<Result<_, _>>()?;
    let distances = triple(&arrays.reals("label_distances", 3)?)?;
    Ok(LabelBaseline { names, bins, shape: Shape { counts, distances } })
}

/// The arrays of a file, each taken with its size and type.
struct Reader(Arrays);

impl Reader {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn get(&self, name: &'static str) -> Result<&Data, BaselineError> {
        let tensor = self.0.get(name).ok_or_else(|| wrong(name, "missing"))?;
        Ok(&tensor.data)
    }

    fn reals(&self, name: &'static str, len: usize) -> Result<Vec<f64>, BaselineError> {
        match self.get(name)? {
            Data::F64(values) if values.len() == len => Ok(values.clone()),
            Data::F64(values) => {
                Err(wrong(name, format!("{} numbers instead of {len}", values.len())))
            }
            other => Err(wrong(name, format!("{} instead of f64", other.dtype()))),
        }
    }

    fn whole(&self, name: &'static str) -> Result<Vec<i64>, BaselineError> {
        match self.get(name)? {
            Data::I64(values) => Ok(values.clone()),
            other => Err(wrong(name, format!("{} instead of i64", other.dtype()))),
        }
    }

    /// Lines of UTF-8 text.
    fn texts(&self, name: &'static str, most: usize) -> Result<Vec<String>, BaselineError> {
        let Data::U8(bytes) = self.get(name)? else { return Err(wrong(name, "not bytes")) };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong(name, "not UTF-8"))?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() > most {
            return Err(wrong(name, format!("{} names; at most {most}", lines.len())));
        }
        Ok(lines)
    }
}

fn cell(values: &[f64], row: usize) -> f64 {
    values.get(row).copied().unwrap_or(f64::NAN)
}

fn span(values: &[f64], row: usize, width: usize) -> &[f64] {
    values.get(row * width..(row + 1) * width).unwrap_or_default()
}

fn levels(values: &[f64], row: usize) -> [f64; LEVELS] {
    let mut levels = [f64::NAN; LEVELS];
    levels.iter_mut().zip(span(values, row, LEVELS)).for_each(|(to, from)| *to = *from);
    levels
}

fn finite(name: &'static str, value: f64) -> Result<f64, BaselineError> {
    if value.is_finite() { Ok(value) } else { Err(wrong(name, "not finite")) }
}

fn counted(name: &'static str, value: f64) -> Result<f64, BaselineError> {
    let fits = (0.0..=1e15).contains(&value);
    if fits { Ok(value) } else { Err(wrong(name, "not a count")) }
}

fn triple(values: &[f64]) -> Result<[f64; 3], BaselineError> {
    let fits = |value: &f64| value.is_finite() && *value >= 0.0;
    match values {
        [mean, sd, count] if values.iter().all(fits) => Ok([*mean, *sd, *count]),
        _ => Err(wrong("distances", "not three numbers from 0")),
    }
}

/// The edges before the padding.
fn ascending(values: &[f64]) -> Result<Vec<f64>, BaselineError> {
    let edges: Vec<f64> = values.iter().copied().take_while(|edge| edge.is_finite()).collect();
    if edges.is_sorted_by(|a, b| a < b) { Ok(edges) } else { Err(wrong("edges", "not ascending")) }
}

fn padded(values: &[f64], width: usize) -> impl Iterator<Item = f64> {
    let padding = std::iter::repeat(f64::NAN);
    values.iter().copied().chain(padding).take(width)
}

fn reals(shape: &[usize], values: impl Iterator<Item = f64>) -> Tensor {
    Tensor { shape: shape.to_vec(), data: Data::F64(values.collect()) }
}

fn whole(values: &[i64]) -> Tensor {
    Tensor { shape: vec![values.len()], data: Data::I64(values.to_vec()) }
}

/// Texts one below the other.
fn text<'a>(lines: impl Iterator<Item = &'a str>) -> Tensor {
    let bytes: Vec<u8> = lines.flat_map(|line| line.bytes().chain([b'\n'])).collect();
    Tensor { shape: vec![bytes.len()], data: Data::U8(bytes) }
}
