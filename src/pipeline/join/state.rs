//! What is remembered of one device, and as bytes.

use std::time::Duration;

use super::grid::{Cell, Grid, Point, Track};
use super::latest::{self, LastValue};
use super::order::{NEVER, TimeOrder, Verdict};
use super::plan::{Every, GridPlan, JoinPlan};
use super::rows::{ChannelValues, JoinedRows};
use crate::codec::{put_signed, put_varint};
use crate::pipeline::state_codec::{Cursor, RestoreError};

/// The values of one device that later samples may need.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::pipeline) struct JoinState {
    order: TimeOrder,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Latest(Vec<LastValue>),
    Grid(Grid),
}

impl Kind {
    /// The latest time of each channel.
    fn times(&self) -> impl Iterator<Item = i64> {
        let (last, tracks): (&[LastValue], &[Track]) = match self {
            Self::Latest(last) => (last, &[]),
            Self::Grid(grid) => (&[], &grid.tracks),
        };
        let last = last.iter().map(|last| last.time);
        last.chain(tracks.iter().map(|track| track.newest))
    }
}

impl JoinState {
    pub(in crate::pipeline) fn new(plan: &JoinPlan) -> Self {
        let channels = plan.channels.len();
        let kind = match plan.every {
            Every::Any | Every::All => Kind::Latest(vec![LastValue::NONE; channels]),
            Every::Grid(_) => Kind::Grid(Grid::new(channels)),
        };
        Self { order: TimeOrder::default(), kind }
    }

    /// Takes values and puts the samples that they complete into `rows`.
    ///
    /// # Errors
    /// By how much the values are older than the newest of the device, if they are late. They change
    /// nothing then.
    pub(in crate::pipeline) fn add(
        &mut self,
        plan: &JoinPlan,
        given: ChannelValues<'_>,
        rows: &mut JoinedRows,
    ) -> Result<(), Duration> {
        rows.clear(plan.channels.len());
        let is_late = match (&self.kind, &plan.every) {
            (Kind::Latest(last), _) => latest::is_late(last, given.values, given.time),
            (Kind::Grid(state), Every::Grid(grid)) => state.is_late(given.time, grid),
            (Kind::Grid(_), Every::Any | Every::All) => false,
        };
        let (time, values) = (given.time, given.values);
        let time = match self.order.judge(&given, is_late, self.kind.times(), plan) {
            Verdict::InOrder(time) => time,
            Verdict::Late => {
                let by = self.order.newest.saturating_sub(time);
                return Err(Duration::from_micros(u64::try_from(by).unwrap_or(0)));
            }
            Verdict::SetBack(by) => {
                *self = Self::new(plan);
                rows.restarted = Some(by);
                time
            }
        };
        self.order.newest = self.order.newest.max(time);
        let times = (time, self.order.newest);
        match (&mut self.kind, &plan.every) {
            (Kind::Latest(last), every) => {
                latest::add(last, values, times, *every == Every::All, plan, rows);
            }
            (Kind::Grid(state), Every::Grid(grid)) => state.add(values, times, grid, plan, rows),
            (Kind::Grid(_), Every::Any | Every::All) => {}
        }
        Ok(())
    }

    /// Appends the state: the newest time (signed number), the count of channels that are behind, each
    /// with its place (numbers) and its time (signed number); then for each channel
    /// the last value (time i64, value f64, new u8), or with a grid the last decided point (flag,
    /// signed number) and for each channel its newest time, the value before (flag, time, value), and
    /// the count and values of its cells.
    pub(in crate::pipeline) fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.order.newest);
        put_varint(out, number(self.order.behind.len()));
        for (channel, time) in &self.order.behind {
            put_varint(out, number(*channel));
            put_signed(out, *time);
        }
        match &self.kind {
            Kind::Latest(last) => {
                for LastValue { time, value, is_new } in last {
                    save_point(&Point { time: *time, value: *value }, out);
                    out.push(u8::from(*is_new));
                }
            }
            Kind::Grid(Grid { decided, tracks }) => {
                out.push(u8::from(decided.is_some()));
                put_signed(out, decided.unwrap_or_default());
                for Track { before, cells, newest } in tracks {
                    put_signed(out, *newest);
                    out.push(u8::from(before.is_some()));
                    before.iter().for_each(|point| save_point(point, out));
                    put_varint(out, number(cells.len()));
                    for Cell { number, first, last } in cells {
                        put_signed(out, *number);
                        save_point(first, out);
                        save_point(last, out);
                    }
                }
            }
        }
    }

    /// Reads what [`Self::save`] wrote for this plan.
    pub(in crate::pipeline) fn load(
        cursor: &mut Cursor<'_>,
        plan: &JoinPlan,
    ) -> Result<Self, RestoreError> {
        let (newest, mut behind) = (cursor.signed()?, Vec::new());
        let count = usize::try_from(cursor.number()?).unwrap_or(usize::MAX);
        if count > plan.channels.len() {
            return Err(RestoreError::Damaged("channels that are behind"));
        }
        for _ in 0..count {
            let channel = usize::try_from(cursor.number()?).unwrap_or(usize::MAX);
            behind.push((channel, cursor.signed()?));
        }
        let order = TimeOrder { newest, behind };
        let kind = match plan.every {
            Every::Any | Every::All => {
                let mut last = Vec::new();
                for _ in &plan.channels {
                    let Point { time, value } = load_point(cursor)?;
                    last.push(LastValue { time, value, is_new: cursor.flag()? });
                }
                Kind::Latest(last)
            }
            Every::Grid(grid) => {
                let is_decided = cursor.flag()?;
                let decided = Some(cursor.signed()?).filter(|_| is_decided);
                let channels = plan.channels.iter();
                let tracks = channels.map(|_| load_track(cursor, &grid, decided));
                let tracks = tracks.collect::<Result<_, _>>()?;
                Kind::Grid(Grid { decided, tracks })
            }
        };
        Ok(Self { order, kind })
    }
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn save_point(point: &Point, out: &mut Vec<u8>) {
    out.extend(point.time.to_le_bytes());
    out.extend(point.value.to_le_bytes());
}

fn load_point(cursor: &mut Cursor<'_>) -> Result<Point, RestoreError> {
    let (time, value) = (i64::from_le_bytes(cursor.array()?), f64::from_le_bytes(cursor.array()?));
    Ok(Point { time, value })
}

fn load_track(
    cursor: &mut Cursor<'_>,
    grid: &GridPlan,
    decided: Option<i64>,
) -> Result<Track, RestoreError> {
    let newest = cursor.signed()?;
    let before = if cursor.flag()? { Some(load_point(cursor)?) } else { None };
    let damaged = RestoreError::Damaged("values of a grid");
    // More would have been decided; one more at each end for what the lag does not divide.
    let most = u64::try_from(grid.lag / grid.step).unwrap_or(0).saturating_add(2);
    let count = cursor.number()?;
    let (mut cells, mut after) = (std::collections::VecDeque::new(), decided.unwrap_or(NEVER));
    if count > most {
        return Err(damaged);
    }
    for _ in 0..count {
        let number = cursor.signed()?;
        if number <= after {
            return Err(damaged);
        }
        after = number;
        cells.push_back(Cell { number, first: load_point(cursor)?, last: load_point(cursor)? });
    }
    Ok(Track { before, cells, newest })
}
