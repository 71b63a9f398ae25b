//! Comma-separated lines: one sample each, by position or under a header with names.

use super::csv_filter::LineFilter;
use super::csv_reader::CsvReader;
use super::decoder::{Decoded, PayloadDecoder};
use super::field_tree::{Node, Slot};
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use super::text::{clip, utf8};
use crate::pipeline::reject::{Got, Reject, has_decimal_comma};

/// Decodes CSV.
#[derive(Debug)]
pub(super) struct CsvDecoder {
    schema: PayloadSchema,
    reader: CsvReader,
    filter: LineFilter,
}

/// What a column is wanted for.
type Columns = Vec<Option<Slot>>;

impl CsvDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        let reader = CsvReader::new(schema.csv.delimiter, schema.csv.comment);
        let filter = LineFilter::new(&schema);
        Self { schema, reader, filter }
    }
}

impl PayloadDecoder for CsvDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        let read = self.reader.read(payload, &mut self.filter, &mut builder);
        let skipped = read.map_err(|reject| comment(reject, payload, &self.schema))?;
        if skipped == 0 || !builder.is_empty() {
            builder.finish()?;
        }
        let samples = out.samples_mut();
        samples.skipped = samples.skipped.saturating_add(skipped);
        Ok(())
    }
}

impl CsvReader {
    /// Reads the lines of a payload, and returns how many were passed over.
    fn read(
        &mut self,
        payload: &[u8],
        filter: &mut LineFilter,
        builder: &mut SampleBuilder<'_>,
    ) -> Result<u32, Reject> {
        let text = utf8(payload)?;
        self.reset();
        let mut rest = text.as_bytes();
        let mut columns: Option<Columns> = None;
        let (mut line, mut taken, mut skipped) = (0_usize, 0_usize, 0_u32);
        while let Some(cells) = self.record(&mut rest) {
            line = line.saturating_add(1);
            if line == 1 {
                columns = columns_of(self.cells(cells), &builder.schema.sample);
                let is_header = columns.is_some() && !builder.schema.sample.is_indexed();
                filter.begin(self.cells(cells), is_header)?;
                if is_header {
                    continue;
                }
            }
            if !filter.is_met(self.cells(cells)) {
                skipped = skipped.saturating_add(1);
                continue;
            }
            taken = taken.saturating_add(1);
            let cells = self.without_last_empty(cells, builder);
            match &columns {
                Some(columns) => named(self.cells(cells), columns, builder)?,
                None => positional(self.cells(cells), cells, builder, taken)
                    .map_err(|reject| decimal_comma(reject, text))?,
            }
        }
        if builder.schema.whole && columns.is_none() && taken > 0 {
            builder.end_positions().map_err(|reject| decimal_comma(reject, text))?;
        }
        Ok(skipped)
    }
}

impl CsvReader {
    /// The number of cells without an empty one at the end of a line that has one too many: a
    /// delimiter ends the line.
    fn without_last_empty(&self, cells: usize, builder: &SampleBuilder<'_>) -> usize {
        let schema = builder.schema;
        // A line of a whole input has any number of cells.
        let is_one_too_many =
            cells > schema.width || (schema.whole && cells > 1 && schema.missing.is_none());
        if schema.texts.is_strict() || !is_one_too_many {
            return cells;
        }
        let is_empty = self.cells(cells).last().is_some_and(str::is_empty);
        cells.saturating_sub(usize::from(is_empty))
    }
}

/// What each column is, where fields are named by place or the first line is a header; a header is
/// a line with one of the names we look for.
fn columns_of<'c>(first: impl Iterator<Item = &'c str>, sample: &Node) -> Option<Columns> {
    let slot = |place: Option<usize>| place.and_then(|p| sample.child(p)).and_then(|n| n.slot);
    let by_place = sample.is_indexed();
    let column = |(i, name): (usize, &str)| {
        slot(if by_place { sample.find_index(i) } else { sample.find(name, i) })
    };
    let columns: Columns = first.enumerate().map(column).collect();
    columns.iter().any(Option::is_some).then_some(columns)
}

fn named<'c>(
    cells: impl Iterator<Item = &'c str>,
    columns: &Columns,
    builder: &mut SampleBuilder<'_>,
) -> Result<(), Reject> {
    builder.begin_named()?;
    if builder.schema.whole {
        builder.in_rows();
    }
    for (cell, slot) in cells.zip(columns) {
        match slot {
            Some(slot @ (Slot::Time | Slot::TimeOfDay)) => builder.take_text_time(*slot, cell)?,
            Some(Slot::Field(_)) if cell.is_empty() => {}
            Some(Slot::Field(field)) => {
                let value = number(cell, builder.schema, || builder.field_name(*field))?;
                builder.set(*field, value)?;
            }
            Some(Slot::Device(part)) => builder.set_device(*part, cell)?,
            Some(Slot::Samples | Slot::Condition(_)) | None => {}
        }
    }
    builder.end_named()
}

/// A line by position is a sample; of a whole input it is just the next numbers.
fn positional<'c>(
    cells: impl Iterator<Item = &'c str>,
    count: usize,
    builder: &mut SampleBuilder<'_>,
    line: usize,
) -> Result<(), Reject> {
    if !builder.schema.whole || line == 1 {
        builder.begin()?;
    }
    let times: &[Slot] = match (&builder.schema.time, &builder.schema.time_of_day) {
        (Some(_), None) => &[Slot::Time],
        (Some(_), Some(_)) => &[Slot::Time, Slot::TimeOfDay],
        (None, _) => &[],
    };
    let width = builder.schema.width;
    let timed = !builder.schema.whole && count > width;
    for (place, cell) in cells.enumerate() {
        if let Some(slot) = times.get(place).filter(|_| timed) {
            builder.take_text_time(*slot, cell)?;
            continue;
        }
        if cell.is_empty() && place > 0 && place.saturating_add(1) == count && count > width {
            let hint =
                "; a delimiter at the end of a line is taken with payload.numbers = \"lenient\"";
            let (what, got) = ("numbers in a line", count.to_string());
            return Err(Reject::WrongLength { what, got, expected: width.to_string(), hint });
        }
        let value = number(cell, builder.schema, || builder.position_name())?;
        builder.push(value)?;
    }
    if builder.schema.whole { Ok(()) } else { builder.end_positions() }
}

/// Says of a text that begins with `#` that this may be a comment.
fn comment(reject: Reject, payload: &[u8], schema: &PayloadSchema) -> Reject {
    let is_about_texts = matches!(reject, Reject::MissingField { .. } | Reject::NotANumber { .. });
    if is_about_texts && schema.csv.comment.is_none() && payload.starts_with(b"#") {
        let problem = "its first line begins with #: set payload.comment = \"#\" if such lines are \
                       comments";
        return Reject::Syntax { format: "CSV", problem: problem.to_owned() };
    }
    reject
}

/// Says of a line that seems to have two numbers that it is one with a decimal comma.
fn decimal_comma(reject: Reject, text: &str) -> Reject {
    match reject {
        Reject::WrongLength { what, got, expected, .. } if has_decimal_comma(text) => {
            let hint = "; write 21.5 rather than 21,5 where a decimal comma is meant, or set \
                        payload.delimiter and payload.numbers";
            Reject::WrongLength { what, got, expected, hint }
        }
        other => other,
    }
}

fn number(
    cell: &str,
    schema: &PayloadSchema,
    field: impl FnOnce() -> String,
) -> Result<f64, Reject> {
    if let Ok(value) = cell.parse() {
        return Ok(value);
    }
    let read = schema.texts.read(cell, schema.missing.as_ref());
    read.ok_or_else(|| Reject::NotANumber { field: field(), got: Got::Text(clip(cell)) })
}
