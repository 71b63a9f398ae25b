//! A base and its additions become windows again.

use super::super::plan::Shape;
use super::super::snapshot::{self, Cursor, RestoreError, Restored};
use super::super::window::{Device, Devices, Forgotten, micros};
use super::{ADDITION, BASE, Before, END, HEAD, MEMORY, ORIGIN, RESTART, SAMPLE, TIMED};
use crate::clock::{Now, Timestamp};
use crate::message::InputId;

/// Takes up what a base and its additions hold, in the place of the devices there are; additions
/// from the first one on that does not follow on the others are left out. `input_ids` gets the
/// messages whose samples came from additions, in order.
///
/// # Errors
/// A base that is damaged, of another version or of another window shape; nothing is changed.
pub(in super::super) fn replay<'a>(
    base: &[u8],
    additions: impl IntoIterator<Item = &'a [u8]>,
    devices: &mut Devices,
    shape: Option<&Shape>,
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
    snapshot::load(snapshot, &mut found, shape, began)?;
    let mut upto = Some(0);
    for head in heads {
        let follows = shape.filter(|_| upto == Some(head.from));
        let replayed = follows.and_then(|shape| {
            Messages::new(&head, shape, began).replay(&mut found, input_ids).ok()
        });
        upto = replayed.map(|count| head.from.saturating_add(count));
        left_out += usize::from(upto.is_none());
    }
    let known = found.len();
    found.drop_silent(micros(now.mono));
    let dropped = snapshot::devices(snapshot)?.max(known).saturating_sub(found.len());
    *devices = found;
    Ok(Restored { devices: devices.len(), dropped, left_out })
}

/// What the additions to a base call it by; `None` for a snapshot alone.
#[must_use]
pub fn base_number(base: &[u8]) -> Option<u64> {
    split(base).0
}

/// The number of a base and its snapshot. A snapshot that is no base has no additions.
fn split(base: &[u8]) -> (Option<u64>, &[u8]) {
    let parts = base.strip_prefix(BASE).and_then(<[u8]>::split_first_chunk);
    parts.map_or((None, base), |(number, rest)| (Some(u64::from_le_bytes(*number)), rest))
}

/// What an addition says of itself.
struct Head<'a> {
    base: u64,
    from: u64,
    taken: Timestamp,
    /// Microseconds between the base and this.
    passed: i64,
    messages: &'a [u8],
}

impl<'a> Head<'a> {
    /// `None` where a single bit is wrong.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body).to_le_bytes() != *crc || body.len() < HEAD {
            return None;
        }
        let mut cursor = Cursor::new(body.strip_prefix(ADDITION)?);
        let (base, from) = (cursor.u64().ok()?, cursor.u64().ok()?);
        let taken = Timestamp(i64::from_le_bytes(cursor.array().ok()?));
        let passed = i64::try_from(cursor.number().ok()?).ok()?;
        Some(Self { base, from, taken, passed, messages: cursor.rest() })
    }

    /// Microseconds since the base. A clock that was set back counts as no time passed.
    fn since(&self, now: Timestamp) -> i64 {
        let away = i64::try_from(now.since(self.taken).as_micros()).unwrap_or(i64::MAX);
        self.passed.saturating_add(away)
    }
}

/// The messages of one addition.
struct Messages<'a> {
    cursor: Cursor<'a>,
    shape: &'a Shape,
    names: Vec<&'a str>,
    before: Before,
}

impl<'a> Messages<'a> {
    fn new(head: &Head<'a>, shape: &'a Shape, began: i64) -> Self {
        let before = Before { received: began, ..Before::default() };
        Self { cursor: Cursor::new(head.messages), shape, names: Vec::new(), before }
    }

    /// Puts all of them into the windows; how many they were.
    fn replay(
        mut self,
        devices: &mut Devices,
        input_ids: &mut Vec<InputId>,
    ) -> Result<u64, RestoreError> {
        let mut count = 0;
        let mut sample = Vec::with_capacity(self.shape.channels);
        while !self.cursor.is_empty() {
            let name = self.name()?;
            let received = self.before.received.wrapping_add(self.cursor.signed()?);
            let looked_up = received.wrapping_add(self.cursor.signed()?);
            self.before.received = received;
            let device = devices.device_at(name, looked_up, &mut Forgotten::default());
            let device = device.ok_or(RestoreError::Damaged("device name"))?;
            while let Some(input_id) = self.item(device, received, &mut sample)? {
                input_ids.extend(input_id);
            }
            count += 1;
        }
        Ok(count)
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
        match tag {
            END => return Ok(None),
            SAMPLE | TIMED => {
                let time = if tag == TIMED { Some(self.time()?) } else { None };
                self.cursor.numbers(self.shape, self.shape.channels, sample)?;
                device.put(self.shape, sample, time, received);
            }
            RESTART => device.start_over(),
            MEMORY => device.memory = self.cursor.memory()?,
            ORIGIN => return Ok(Some(Some(self.input_id()?))),
            _ => return Err(RestoreError::Damaged("item")),
        }
        Ok(Some(None))
    }

    fn time(&mut self) -> Result<Timestamp, RestoreError> {
        self.before.time = self.before.time.wrapping_add(self.cursor.signed()?);
        Ok(Timestamp(self.before.time))
    }

    fn input_id(&mut self) -> Result<InputId, RestoreError> {
        let epoch = self.before.epoch.wrapping_add(self.cursor.signed()?.cast_unsigned());
        let packet = i64::from(self.before.packet).wrapping_add(self.cursor.signed()?);
        let packet = u16::try_from(packet).map_err(|_| RestoreError::Damaged("input_id"))?;
        let content = self.cursor.u32()?;
        (self.before.epoch, self.before.packet) = (epoch, packet);
        Ok(InputId { epoch, packet, content })
    }
}
