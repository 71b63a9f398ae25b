//! Restores windows from a base and its entries.

use super::entry::{DeltaBase, ENTRY_MAGIC, MIN_ENTRY_SIZE, STATES_MAGIC, Tag, split};
use crate::clock::{Now, Timestamp};
use crate::message::InputId;
use crate::pipeline::carried::{CarriedPlan, CarriedState};
use crate::pipeline::join::{ChannelValues, JoinPlan, JoinState, JoinedRows};
use crate::pipeline::plan::StreamPlan;
use crate::pipeline::shape::WindowShape;
use crate::pipeline::snapshot::{self, Restored};
use crate::pipeline::state_codec::{Cursor, RestoreError};
use crate::pipeline::window::{Device, Devices, ForgottenDevices, micros};

/// Replaces the devices with those of a base and its entries. The first entry that does not continue
/// the one before, and all after it, are left out. `input_ids` receives the ids of the messages in the
/// entries, in order.
///
/// # Errors
/// The base is damaged, or of another version or window shape; nothing is changed.
pub(in crate::pipeline) fn restore<'a>(
    base: &[u8],
    additions: impl IntoIterator<Item = &'a [u8]>,
    devices: &mut Devices,
    kept: Kept<'_>,
    now: Now,
    input_ids: &mut Vec<InputId>,
) -> Result<Restored, RestoreError> {
    let (number, snapshot) = split(base);
    let mut heads: Vec<Head<'_>> = Vec::new();
    let mut left_out = 0;
    for bytes in additions {
        match Head::read(bytes).filter(|head| left_out == 0 && Some(head.base) == number) {
            Some(head) => heads.push(head),
            None => left_out += 1,
        }
    }
    let began = match heads.last() {
        Some(last) => micros(now.mono).saturating_sub(last.since(now.wall)),
        None => snapshot::taken_at(snapshot, now)?,
    };
    let mut found = devices.another();
    let kept = snapshot::load(snapshot, &mut found, kept, began)?;
    let mut upto = Some(0);
    for head in heads {
        let follows = (upto == Some(head.from)).then_some(kept);
        let replayed = follows
            .and_then(|kept| Messages::new(&head, kept, began).replay(&mut found, input_ids).ok());
        upto = replayed.map(|count| head.from.saturating_add(count));
        left_out += usize::from(upto.is_none());
    }
    let known = found.len();
    found.drop_silent(micros(now.mono));
    let dropped = snapshot::devices(snapshot)?.max(known).saturating_sub(found.len());
    *devices = found;
    Ok(Restored { devices: devices.len(), dropped, left_out })
}

/// What is kept of the samples of a stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Kept<'a> {
    pub(in crate::pipeline) shape: Option<&'a WindowShape>,
    pub(in crate::pipeline) join: Option<&'a JoinPlan>,
    pub(in crate::pipeline) carried: Option<&'a CarriedPlan>,
}

impl<'a> Kept<'a> {
    pub(in crate::pipeline) fn new(plan: &'a StreamPlan) -> Self {
        let carried = plan.carried.as_deref();
        Self { shape: plan.shape.as_ref(), join: plan.join.as_ref(), carried }
    }
}

/// The header of an entry.
struct Head<'a> {
    base: u64,
    from: u64,
    taken: Timestamp,
    /// Microseconds between the base and this entry.
    passed: i64,
    /// The number of each device that has one, and its bytes.
    states: Vec<(u64, &'a [u8])>,
    messages: &'a [u8],
}

impl<'a> Head<'a> {
    /// Parses an entry; `None` if any bit is wrong.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body).to_le_bytes() != *crc || body.len() < MIN_ENTRY_SIZE {
            return None;
        }
        let (magic, rest) = body.split_first_chunk::<4>()?;
        let has_states = magic == STATES_MAGIC;
        if !has_states && magic != ENTRY_MAGIC {
            return None;
        }
        let mut cursor = Cursor::new(rest);
        let (base, from) = (cursor.u64().ok()?, cursor.u64().ok()?);
        let taken = Timestamp(i64::from_le_bytes(cursor.array().ok()?));
        let passed = i64::try_from(cursor.number().ok()?).ok()?;
        let mut states = Vec::new();
        let count = if has_states { cursor.number().ok()? } else { 0 };
        for _ in 0..count {
            let (device, size) = (cursor.number().ok()?, cursor.number().ok()?);
            states.push((device, cursor.take(usize::try_from(size).ok()?).ok()?));
        }
        Some(Self { base, from, taken, passed, states, messages: cursor.rest() })
    }

    /// Microseconds since the base; 0 if the clock was set back.
    fn since(&self, now: Timestamp) -> i64 {
        let away = i64::try_from(now.since(self.taken).as_micros()).unwrap_or(i64::MAX);
        self.passed.saturating_add(away)
    }
}

/// The messages of one entry.
struct Messages<'a> {
    cursor: Cursor<'a>,
    kept: Kept<'a>,
    states: Vec<(u64, &'a [u8])>,
    names: Vec<&'a str>,
    before: DeltaBase,
    values: Vec<(usize, f64)>,
    rows: JoinedRows,
}

impl<'a> Messages<'a> {
    fn new(head: &Head<'a>, kept: Kept<'a>, began: i64) -> Self {
        let before = DeltaBase { received: began, ..DeltaBase::default() };
        Self {
            cursor: Cursor::new(head.messages),
            kept,
            states: head.states.clone(),
            names: Vec::new(),
            before,
            values: Vec::new(),
            rows: JoinedRows::default(),
        }
    }

    /// Adds all of them to the windows; returns their number.
    fn replay(
        mut self,
        devices: &mut Devices,
        input_ids: &mut Vec<InputId>,
    ) -> Result<u64, RestoreError> {
        let mut count = 0;
        let mut sample = Vec::new();
        while !self.cursor.is_empty() {
            let name = self.name()?;
            let received = self.before.received.wrapping_add(self.cursor.signed()?);
            let looked_up = received.wrapping_add(self.cursor.signed()?);
            self.before.received = received;
            let device = devices.device_at(name, looked_up, &mut ForgottenDevices::default());
            let device = device.ok_or(RestoreError::Damaged("device name"))?;
            while let Some(input_id) = self.item(device, received, &mut sample)? {
                input_ids.extend(input_id);
            }
            count += 1;
        }
        self.restore_states(devices)?;
        Ok(count)
    }

    /// Puts what was carried after the last message into the devices that are known then.
    fn restore_states(&self, devices: &mut Devices) -> Result<(), RestoreError> {
        let Some(plan) = self.kept.carried else { return Ok(()) };
        for (number, bytes) in &self.states {
            let place = number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
            let name = place.and_then(|place| self.names.get(place));
            let name = name.ok_or(RestoreError::Damaged("device name"))?;
            let state = match bytes {
                [] => None,
                bytes => Some(Box::new(CarriedState::load(plan, bytes)?)),
            };
            if let Some(device) = devices.known.peek_mut(*name) {
                device.carried.active = state;
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Result<&'a str, RestoreError> {
        let damaged = RestoreError::Damaged("device name");
        let number = self.cursor.number()?;
        let Some(known) = number.checked_sub(1) else {
            let length = self.cursor.number()?;
            let length = usize::try_from(length).map_err(|_| damaged.clone())?;
            let name = std::str::from_utf8(self.cursor.take(length)?).map_err(|_| damaged)?;
            self.names.push(name);
            return Ok(name);
        };
        let known = usize::try_from(known).ok().and_then(|known| self.names.get(known));
        known.copied().ok_or(damaged)
    }

    /// One item of a message; `None` at its end.
    fn item(
        &mut self,
        device: &mut Device,
        received: i64,
        sample: &mut Vec<f64>,
    ) -> Result<Option<Option<InputId>>, RestoreError> {
        let [tag] = self.cursor.array()?;
        match Tag::from_byte(tag).ok_or(RestoreError::Damaged("item"))? {
            Tag::End => return Ok(None),
            Tag::Sample => self.sample(device, None, received, sample)?,
            Tag::TimedSample => {
                let time = self.time()?;
                self.sample(device, Some(time), received, sample)?;
            }
            Tag::Values => self.join(device, received)?,
            Tag::Input => self.input(device, None, received),
            Tag::TimedInput => {
                let time = self.time()?;
                self.input(device, Some(time), received);
            }
            Tag::Restart => device.start_over(),
            Tag::PublishState => device.publish_state = self.cursor.publish_state()?,
            Tag::Origin => return Ok(Some(Some(self.input_id()?))),
        }
        Ok(Some(None))
    }

    fn input(&self, device: &mut Device, time: Option<Timestamp>, received: i64) {
        let max_gap = self.kept.carried.and_then(|carried| carried.max_gap);
        device.take_input(max_gap, time, received);
    }

    fn sample(
        &mut self,
        device: &mut Device,
        time: Option<Timestamp>,
        received: i64,
        sample: &mut Vec<f64>,
    ) -> Result<(), RestoreError> {
        let shape = self.kept.shape.ok_or(RestoreError::Damaged("a sample without a window"))?;
        self.cursor.numbers(shape, shape.channels, sample)?;
        device.put(shape, sample, time, received);
        Ok(())
    }

    /// Joins values again, which gives the samples that they gave before.
    fn join(&mut self, device: &mut Device, received: i64) -> Result<(), RestoreError> {
        let plan = self.kept.join.ok_or(RestoreError::Damaged("values without a join"))?;
        let head = self.cursor.number()?;
        let (count, by_arrival) = (head / 2, head % 2 == 1);
        let Timestamp(time) = self.time()?;
        self.values.clear();
        for _ in 0..count {
            let channel = usize::try_from(self.cursor.number()?).unwrap_or(usize::MAX);
            self.values.push((channel, f64::from_le_bytes(self.cursor.array()?)));
        }
        let state = device.join.get_or_insert_with(|| Box::new(JoinState::new(plan)));
        let values = ChannelValues { values: &self.values, time, by_arrival };
        device.seen = received;
        if state.add(plan, values, &mut self.rows).is_err() {
            // They were late before, too.
            return Ok(());
        }
        if self.rows.restarted().is_some() {
            device.start_over();
        }
        let carried = self.kept.carried;
        for (row, time) in self.rows.iter() {
            match (self.kept.shape, carried) {
                (Some(shape), _) => drop(device.put(shape, row, Some(time), received)),
                (None, Some(carried)) => device.take_input(carried.max_gap, Some(time), received),
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn time(&mut self) -> Result<Timestamp, RestoreError> {
        self.before.time = self.before.time.wrapping_add(self.cursor.signed()?);
        Ok(Timestamp(self.before.time))
    }

    fn input_id(&mut self) -> Result<InputId, RestoreError> {
        let epoch = self.before.epoch.wrapping_add(self.cursor.signed()?.cast_unsigned());
        let packet = i64::from(self.before.packet).wrapping_add(self.cursor.signed()?);
        let packet = u16::try_from(packet).map_err(|_| RestoreError::Damaged("origin"))?;
        let content = self.cursor.u32()?;
        (self.before.epoch, self.before.packet) = (epoch, packet);
        Ok(InputId { epoch, packet, content })
    }
}
