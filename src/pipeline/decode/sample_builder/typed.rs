//! Typed arrays, which are flat: one sample after the other.

use super::{Array, SampleBuilder};
use crate::pipeline::reject::Reject;

impl SampleBuilder<'_> {
    /// Says whether the array that begins is a typed one, which may hold several samples.
    pub(in crate::pipeline::decode) fn set_typed_array(&mut self, is_typed: bool) {
        let schema = self.schema;
        let by_position = !schema.whole && !schema.in_columns && !schema.sample.is_indexed();
        self.is_typed_array = is_typed && by_position && self.array == Array::Unknown;
    }

    /// Cuts the numbers of a typed array into samples.
    pub(super) fn cut_rows(&mut self) -> Result<(), Reject> {
        self.is_typed_array = false;
        let values: Vec<f64> = self.out.values.drain(self.row..).collect();
        let _time = self.out.times.pop();
        self.out.devices.drop_sample();
        for row in values.chunks(self.schema.width.max(1)) {
            self.begin()?;
            row.iter().try_for_each(|value| self.push(*value))?;
            self.end_positions()?;
        }
        Ok(())
    }
}
