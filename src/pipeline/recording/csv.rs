//! Recordings as CSV: a header that names the columns, then one sample a line.

use serde_json::Value;

use super::{ColumnNames, Recording, RecordingError, too_many_rows};
use crate::pipeline::decode::CsvReader;

/// The meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// A cell of the row.
    Cell,
    /// A time with this unit in microseconds, or 0 for a time as a sensor sends it.
    Time(i64),
    Recording,
    Device,
    Label,
    Skipped,
}

/// The units of a column (or member) of times, by its name.
pub(super) const TIMES: [(&str, i64); 7] = [
    ("time", 0),
    ("ts", 0),
    ("timestamp", 0),
    ("time_s", 1_000_000),
    ("time_ms", 1_000),
    ("time_us", 1),
    ("time_ns", -1_000),
];

pub(super) fn read(
    text: &str,
    names: ColumnNames<'_>,
    rows_max: usize,
) -> Result<Vec<Recording>, RecordingError> {
    let mut csv = CsvReader::default();
    let mut rest = text.as_bytes();
    let header: Vec<String> = match csv.record(&mut rest) {
        Some(count) => csv.cells(count).map(str::to_owned).collect(),
        None => Vec::new(),
    };
    let columns = columns(&header, names)?;
    let named = |column: Column| columns.iter().zip(&header).filter(move |(c, _)| **c == column);
    let channels: Vec<String> = match names {
        // If the card has no names, the order of the columns is used.
        ColumnNames::Channels([]) => Vec::new(),
        _ => named(Column::Cell).map(|(_, name)| name.clone()).collect(),
    };
    let mut found: Vec<Recording> = Vec::new();
    let (mut line, mut rows) = (1_usize, 0_usize);
    while let Some(count) = csv.record(&mut rest) {
        line = line.saturating_add(1);
        rows = rows.saturating_add(1);
        if rows > rows_max {
            return Err(too_many_rows(rows_max));
        }
        if count != columns.len() {
            let problem = format!("{count} cells, the header has {}", columns.len());
            return Err(RecordingError::Line { line, problem });
        }
        let row = Row::read(csv.cells(count), &columns, line)?;
        row.put(&channels, &mut found)?;
    }
    if found.is_empty() {
        return Err(RecordingError::File("there is a header and no row below it".to_owned()));
    }
    Ok(found)
}

/// The meaning of each column.
fn columns(header: &[String], names: ColumnNames<'_>) -> Result<Vec<Column>, RecordingError> {
    let channels = match names {
        ColumnNames::Channels(channels) => channels,
        ColumnNames::Payloads => &[],
    };
    let column = |name: &String| {
        if channels.contains(name) {
            return Column::Cell;
        }
        match (name.as_str(), TIMES.iter().find(|(time, _)| *time == name.as_str())) {
            (_, Some((_, unit))) => Column::Time(*unit),
            ("recording", _) => Column::Recording,
            ("device", _) => Column::Device,
            ("label", _) => Column::Label,
            _ if channels.is_empty() => Column::Cell,
            _ => Column::Skipped,
        }
    };
    let columns: Vec<Column> = header.iter().map(column).collect();
    let missing: Vec<_> = channels.iter().filter(|name| !header.contains(name)).collect();
    let problem = match header {
        _ if header.iter().all(|name| name.parse::<f64>().is_ok()) => {
            "the first line must name the columns, and has numbers".to_owned()
        }
        [only] if missing.len() > 1 && only.contains([';', '\t']) => {
            format!("its columns are not separated by commas: {only:?}")
        }
        _ if !missing.is_empty() => format!(
            "no column for the card's channels {missing:?}: the first line names the columns, and \
             has {header:?}"
        ),
        _ if columns.iter().filter(|column| matches!(column, Column::Time(_))).count() > 1 => {
            "more than one column of times".to_owned()
        }
        _ => match super::duplicate(header) {
            Some(twice) => format!("two columns are named {twice:?}"),
            None => return Ok(columns),
        },
    };
    Err(RecordingError::Line { line: 1, problem })
}

/// One line.
#[derive(Default)]
struct Row {
    recording: String,
    device: Option<String>,
    label: Option<String>,
    time: Option<i64>,
    cells: Vec<Value>,
}

impl Row {
    fn read<'c>(
        cells: impl Iterator<Item = &'c str>,
        columns: &[Column],
        line: usize,
    ) -> Result<Self, RecordingError> {
        let mut row = Self::default();
        for (cell, column) in cells.zip(columns) {
            match column {
                Column::Cell => row.cells.push(value(cell, line)?),
                Column::Time(unit) => {
                    let time = super::moment_in(&Value::String(cell.to_owned()), *unit);
                    let bad = || format!("{cell:?} is not a time");
                    row.time =
                        Some(time.ok_or_else(|| RecordingError::Line { line, problem: bad() })?);
                }
                Column::Recording => cell.clone_into(&mut row.recording),
                Column::Device => row.device = Some(cell.to_owned()).filter(|d| !d.is_empty()),
                Column::Label => row.label = Some(cell.to_owned()).filter(|l| !l.is_empty()),
                Column::Skipped => {}
            }
        }
        Ok(row)
    }

    /// Adds it to its recording.
    fn put(self, channels: &[String], found: &mut Vec<Recording>) -> Result<(), RecordingError> {
        super::within(found, &self.recording, self.device.as_deref(), |into| {
            if into.channels.is_empty() {
                into.channels = channels.to_vec();
            }
            into.push(Value::Array(self.cells), self.time, self.label);
        })
    }
}

/// Converts a cell. One that is empty or a text is rejected if it is a channel, as a sensor's would be.
fn value(cell: &str, line: usize) -> Result<Value, RecordingError> {
    if cell.is_empty() {
        return Ok(Value::Null);
    }
    match cell.parse::<f64>() {
        Ok(number) => serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(|| {
            let problem = format!("{cell:?} is not a finite number");
            RecordingError::Line { line, problem }
        }),
        Err(_) => Ok(Value::String(cell.to_owned())),
    }
}
