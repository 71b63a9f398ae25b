//! Values at the points of a grid in time.
//!
//! Point `n` is the time `n * step`. It is decided once each channel has a value at or after it, or
//! `lag` after it by the newest value of the device; later values before it are late. Between two
//! points, only the first and the last value of a channel can matter, so no more is kept.

use std::collections::VecDeque;

use super::order::NEVER;
use super::plan::{GridPlan, JoinPlan};
use super::rows::JoinedRows;
use crate::config::AlignMethod;

/// A value and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) time: i64,
    pub(super) value: f64,
}

/// The values of a channel after one point of the grid and at the next, the point `number`, or
/// between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) number: i64,
    pub(super) first: Point,
    pub(super) last: Point,
}

/// The values of one channel that may still matter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
    /// The last one at or before the last decided point.
    pub(super) before: Option<Point>,
    /// Those after it, in order.
    pub(super) cells: VecDeque<Cell>,
    /// The latest time, or [`NEVER`].
    pub(super) newest: i64,
}

/// The grid of one device.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    /// The last decided point; `None` before the first value.
    pub(super) decided: Option<i64>,
    pub(super) tracks: Vec<Track>,
}

/// The number of the first point that is not before this time.
fn number_of(time: i64, step: i64) -> i64 {
    time.saturating_neg().div_euclid(step).saturating_neg()
}

impl Grid {
    pub(super) fn new(channels: usize) -> Self {
        let track = Track { before: None, cells: VecDeque::new(), newest: NEVER };
        Self { decided: None, tracks: vec![track; channels] }
    }

    /// Whether the point of a value with this time is decided.
    pub(super) fn is_late(&self, time: i64, grid: &GridPlan) -> bool {
        self.decided.is_some_and(|decided| number_of(time, grid.step) <= decided)
    }

    /// Takes values at `time`; `newest` is the latest time of the device.
    pub(super) fn add(
        &mut self,
        values: &[(usize, f64)],
        (time, newest): (i64, i64),
        grid: &GridPlan,
        plan: &JoinPlan,
        rows: &mut JoinedRows,
    ) {
        let first = || number_of(time.saturating_sub(grid.lag), grid.step).saturating_sub(1);
        let mut decided = *self.decided.get_or_insert_with(first);
        for (channel, value) in values {
            if let Some(track) = self.tracks.get_mut(*channel) {
                track.insert(number_of(time, grid.step), Point { time, value: *value });
            }
        }
        let passed = self.tracks.iter().map(|track| track.newest).min().unwrap_or(NEVER);
        let upto = passed.max(newest.saturating_sub(grid.lag)).div_euclid(grid.step);
        while decided < upto {
            decided = self.decide(decided.saturating_add(1), upto, grid, plan, rows);
        }
        self.tracks.iter_mut().for_each(|track| track.advance(decided));
        self.decided = Some(decided);
    }

    /// Makes the sample of point `number`, if all channels have a value. Returns the last point that
    /// is decided by that: further ones if a missing channel cannot be there before.
    fn decide(
        &mut self,
        number: i64,
        upto: i64,
        grid: &GridPlan,
        plan: &JoinPlan,
        rows: &mut JoinedRows,
    ) -> i64 {
        let at = number.saturating_mul(grid.step);
        let start = rows.values.len();
        let mut last = number;
        for track in &mut self.tracks {
            track.advance(number);
            match track.value(at, grid.method, plan.hold) {
                Some(value) => rows.values.push(value),
                None => {
                    let next = track.cells.front().map_or(i64::MAX, |cell| cell.number);
                    last = last.max(next.saturating_sub(1).min(upto));
                }
            }
        }
        let found = rows.values.len().saturating_sub(start);
        if found == self.tracks.len() {
            rows.times.push(at);
            return number;
        }
        rows.values.truncate(start);
        // A device without a value is silent, or has not sent anything yet.
        if found > 0 {
            let points = u32::try_from(last.saturating_sub(number).saturating_add(1));
            for (channel, track) in self.tracks.iter().enumerate() {
                if track.value(at, grid.method, plan.hold).is_none() {
                    rows.miss(channel, points.unwrap_or(u32::MAX));
                }
            }
        }
        last
    }
}

impl Track {
    fn insert(&mut self, number: i64, point: Point) {
        self.newest = self.newest.max(point.time);
        let after = self.cells.iter().rev().take_while(|cell| cell.number > number).count();
        let place = self.cells.len().saturating_sub(after);
        let same = place.checked_sub(1).and_then(|place| self.cells.get_mut(place));
        match same.filter(|cell| cell.number == number) {
            Some(cell) => {
                if point.time < cell.first.time {
                    cell.first = point;
                }
                // Of equal times, the later arrival counts.
                if point.time >= cell.last.time {
                    cell.last = point;
                }
            }
            None => self.cells.insert(place, Cell { number, first: point, last: point }),
        }
    }

    /// Moves on to point `number`.
    fn advance(&mut self, number: i64) {
        while self.cells.front().is_some_and(|cell| cell.number <= number) {
            self.before = self.cells.pop_front().map(|cell| cell.last);
        }
    }

    /// The value at a point that [`Self::advance`] was called for.
    fn value(&self, at: i64, method: AlignMethod, hold: i64) -> Option<f64> {
        let before = self.before?;
        if method == AlignMethod::Previous || before.time == at {
            return (at.saturating_sub(before.time) <= hold).then_some(before.value);
        }
        let next = self.cells.front()?.first;
        let span = next.time.saturating_sub(before.time);
        // Microseconds of a hold are far below 2^53.
        #[expect(clippy::cast_precision_loss, reason = "spans are short")]
        let seconds = |span: i64| span as f64;
        (span <= hold).then(|| {
            let slope = (next.value - before.value) / seconds(span);
            slope * seconds(at.saturating_sub(before.time)) + before.value
        })
    }
}
