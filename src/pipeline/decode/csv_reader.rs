//! Records of comma-separated values.

use csv_core::{ReadRecordResult, Reader};

/// The reader's buffers, used again for every payload.
#[derive(Debug)]
pub(in crate::pipeline) struct CsvReader {
    reader: Box<Reader>,
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl Default for CsvReader {
    fn default() -> Self {
        Self { reader: Box::new(Reader::new()), cells: Vec::new(), ends: Vec::new() }
    }
}

impl CsvReader {
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
