//! Comma-separated lines: one sample each, by position or under a header with names.

use csv_core::{ReadRecordResult, Reader};

use super::field_tree::{Node, Slot};
use super::payload_visitor::clip;
use super::sample_builder::SampleBuilder;
use super::time;
use crate::pipeline::reject::{Got, Reject, has_decimal_comma};

/// The reader's buffers, used again for every payload.
#[derive(Debug)]
pub(in crate::pipeline) struct Csv {
    reader: Box<Reader>,
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl Default for Csv {
    fn default() -> Self {
        Self { reader: Box::new(Reader::new()), cells: Vec::new(), ends: Vec::new() }
    }
}

/// What a column is wanted for.
type Columns = Vec<Option<Slot>>;

impl Csv {
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        sink: &mut SampleBuilder<'_>,
    ) -> Result<(), Reject> {
        let text = super::utf8(payload)?;
        self.reader.reset();
        let mut rest = text.as_bytes();
        let mut columns: Option<Columns> = None;
        let mut line = 0_usize;
        while let Some(cells) = self.record(&mut rest) {
            line = line.saturating_add(1);
            if line == 1 {
                columns = columns_of(self.cells(cells), &sink.expect.sample);
                if columns.is_some() && !sink.expect.sample.is_indexed() {
                    continue;
                }
            }
            match &columns {
                Some(columns) => named(self.cells(cells), columns, sink)?,
                None => positional(self.cells(cells), cells, sink, line)
                    .map_err(|reject| decimal_comma(reject, text))?,
            }
        }
        if sink.expect.whole && columns.is_none() && line > 0 {
            sink.end_positions().map_err(|reject| decimal_comma(reject, text))?;
        }
        Ok(())
    }

    /// Reads the next record into the buffers and returns its number of cells.
    pub(in crate::pipeline) fn record(&mut self, rest: &mut &[u8]) -> Option<usize> {
        // A record is never longer than what is left.
        self.cells.resize(self.cells.len().max(rest.len()), 0);
        self.ends.resize(self.ends.len().max(16), 0);
        let (mut written, mut ended) = (0_usize, 0_usize);
        loop {
            let cells = self.cells.get_mut(written..)?;
            let ends = self.ends.get_mut(ended..)?;
            let (result, used, wrote, cut) = self.reader.read_record(rest, cells, ends);
            *rest = rest.get(used..)?;
            written = written.saturating_add(wrote);
            ended = ended.saturating_add(cut);
            match result {
                ReadRecordResult::Record => return Some(ended),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => {
                    self.cells.resize(self.cells.len().saturating_add(64), 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    self.ends.resize(self.ends.len().saturating_mul(2), 0);
                }
                ReadRecordResult::End => return None,
            }
        }
    }

    /// The cells of the record just read. The payload is UTF-8 and is cut at ASCII only.
    pub(in crate::pipeline) fn cells(&self, count: usize) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().take(count).map(move |&end| {
            let bytes = self.cells.get(start..end).unwrap_or_default();
            start = end;
            std::str::from_utf8(bytes).unwrap_or_default().trim()
        })
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
    sink: &mut SampleBuilder<'_>,
) -> Result<(), Reject> {
    sink.begin_named()?;
    if sink.expect.whole {
        sink.in_rows();
    }
    for (cell, slot) in cells.zip(columns) {
        match slot {
            Some(Slot::Time) => take_time(cell, sink)?,
            Some(Slot::Field(_)) if cell.is_empty() => {}
            Some(Slot::Field(field)) => {
                let value = number(cell, || sink.field_name(*field))?;
                sink.set(*field, value)?;
            }
            Some(Slot::Device(part)) => sink.set_device(*part, cell)?,
            Some(Slot::Samples) | None => {}
        }
    }
    sink.end_named()
}

/// A line by position is a sample; of a whole input it is just the next numbers.
fn positional<'c>(
    cells: impl Iterator<Item = &'c str>,
    count: usize,
    sink: &mut SampleBuilder<'_>,
    line: usize,
) -> Result<(), Reject> {
    if !sink.expect.whole || line == 1 {
        sink.begin()?;
    }
    let timed = sink.expect.time.is_some() && count > sink.expect.width;
    for (place, cell) in cells.enumerate() {
        if place == 0 && timed && !sink.expect.whole {
            take_time(cell, sink)?;
            continue;
        }
        let value = number(cell, || sink.position_name())?;
        sink.push(value)?;
    }
    if sink.expect.whole { Ok(()) } else { sink.end_positions() }
}

fn take_time(cell: &str, sink: &mut SampleBuilder<'_>) -> Result<(), Reject> {
    sink.take_time(time::from_text(cell), || Got::Text(clip(cell)).to_string())
}

/// Says of a line that seems to have two numbers that it is one with a decimal comma.
fn decimal_comma(reject: Reject, text: &str) -> Reject {
    match reject {
        Reject::WrongLength { what, got, expected, .. } if has_decimal_comma(text) => {
            let hint = "; write 21.5 rather than 21,5 where a decimal comma is meant";
            Reject::WrongLength { what, got, expected, hint }
        }
        other => other,
    }
}

fn number(cell: &str, field: impl FnOnce() -> String) -> Result<f64, Reject> {
    cell.parse().map_err(|_| Reject::NotANumber { field: field(), got: Got::Text(clip(cell)) })
}
