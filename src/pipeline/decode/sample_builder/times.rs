//! The times of samples.

use super::super::field_tree::Slot;
use super::super::text::clip;
use super::SampleBuilder;
use crate::clock::Timestamp;
use crate::pipeline::reject::{Got, Reject};

impl SampleBuilder<'_> {
    /// Sets the time of the sample at hand, or of the message as a whole.
    pub(in crate::pipeline::decode) fn set_time(&mut self, time: Timestamp) {
        match self.out.times.last_mut().filter(|_| self.in_sample) {
            Some(own) => *own = Some(time),
            None => self.time = Some(time),
        }
    }

    /// Takes a time that was read, where it can be one.
    pub(in crate::pipeline::decode) fn take_time(
        &mut self,
        at: Option<Timestamp>,
        got: impl FnOnce() -> String,
    ) -> Result<(), Reject> {
        let time = self.plausible(at, got)?;
        self.set_time(time);
        Ok(())
    }

    /// The time that was read, where it can be one.
    pub(super) fn plausible(
        &self,
        at: Option<Timestamp>,
        got: impl FnOnce() -> String,
    ) -> Result<Timestamp, Reject> {
        let Some(at) = at else { return Err(self.bad_time(got())) };
        if !self.schema.times.is_plausible(at) {
            let (field, earliest) = (self.slot_name(Slot::Time), self.schema.times.earliest);
            return Err(Reject::ImplausibleTime { field, got: got(), at, earliest });
        }
        Ok(at)
    }

    /// Takes a time that is a text, or a part of it where date and time of day are two fields.
    pub(in crate::pipeline::decode) fn take_text_time(
        &mut self,
        slot: Slot,
        text: &str,
    ) -> Result<(), Reject> {
        let got = || Got::Text(clip(text)).to_string();
        if self.schema.time_of_day.is_none() {
            let at = self.schema.times.of_text(text);
            if at.is_none() {
                let (field, advice) = (self.slot_name(slot), self.schema.times.advice(text));
                return Err(Reject::BadTime { field, got: got(), advice });
            }
            return self.take_time(at, got);
        }
        let [date, time] = &mut self.time_parts;
        let part = if slot == Slot::TimeOfDay { &mut *time } else { &mut *date };
        part.clear();
        part.push_str(text.trim());
        if date.is_empty() || time.is_empty() {
            return Ok(());
        }
        let both = format!("{date} {time}");
        self.time_parts = <[String; 2]>::default();
        let at = self.schema.times.of_text(&both);
        if at.is_none() {
            let (field, advice) = (self.slot_name(Slot::Time), self.schema.times.advice(&both));
            let got = Got::Text(clip(&both)).to_string();
            return Err(Reject::BadTime { field, got, advice });
        }
        self.take_time(at, || both)
    }

    pub(in crate::pipeline::decode) fn bad_time(&self, got: String) -> Reject {
        let (field, advice) = (self.slot_name(Slot::Time), self.schema.times.advice(""));
        Reject::BadTime { field, got, advice }
    }
}
