//! Records of comma-separated values.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// The reader's buffers, used again for every payload.
#[derive(Debug)]
pub(in crate::pipeline) struct CsvReader {
    reader: Box<Reader>,
    cells: Vec<u8>,
    ends: Vec<usize>,
    /// Empty cells are none: columns are separated by one space or more.
    drops_empty: bool,
}

impl Default for CsvReader {
    fn default() -> Self {
        let (cells, ends) = (Vec::new(), Vec::new());
        Self { reader: Box::new(Reader::new()), cells, ends, drops_empty: false }
    }
}

impl CsvReader {
    /// A reader whose cells are separated by `delimiter`; lines that start with `comment` are none.
    pub(super) fn new(delimiter: u8, comment: Option<u8>) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).comment(comment).build();
        Self { reader: Box::new(reader), drops_empty: delimiter == b' ', ..Self::default() }
    }

    /// Starts a new text.
    pub(super) fn reset(&mut self) {
        self.reader.reset();
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
                ReadRecordResult::Record if self.drops_empty => {
                    return Some(self.drop_empty(ended));
                }
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

    /// Removes the empty cells of the record just read, and returns how many are left.
    fn drop_empty(&mut self, count: usize) -> usize {
        self.ends.truncate(count);
        self.ends.dedup();
        if self.ends.first() == Some(&0) {
            self.ends.remove(0);
        }
        self.ends.len()
    }

    /// The cells of the record just read. The payload is UTF-8 and is cut at ASCII only.
    pub(in crate::pipeline) fn cells(&self, count: usize) -> impl Iterator<Item = &str> + Clone {
        let mut start = 0;
        self.ends.iter().take(count).map(move |&end| {
            let bytes = self.cells.get(start..end).unwrap_or_default();
            start = end;
            std::str::from_utf8(bytes).unwrap_or_default().trim()
        })
    }
}
