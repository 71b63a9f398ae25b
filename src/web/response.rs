//! What of an answer counts, and how much of it is read.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_RANGE};
use ureq::http::{Response, StatusCode};

use super::address::Address;
use super::retry::retry_after;
use super::{Settings, WebError};
use crate::clock::{Clock as _, SystemClock};

/// The bytes that are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteRange {
    offset: u64,
    len: u32,
    /// The first byte behind it.
    end: u64,
    whole_max: u64,
}

impl ByteRange {
    pub(super) fn new(offset: u64, len: u32, settings: &Settings) -> Result<Self, WebError> {
        let max = settings.range_max;
        let end = offset.checked_add(u64::from(len));
        let end = end.filter(|_| (1..=max).contains(&len));
        let end = end.ok_or(WebError::Length { offset, len, max })?;
        Ok(Self { offset, len, end, whole_max: settings.whole_max })
    }

    pub(super) fn header(&self) -> String {
        format!("bytes={}-{}", self.offset, self.end.saturating_sub(1))
    }

    /// Takes the range out of the answer of a server that honours ranges or of one that does not.
    pub(super) fn take(
        &self,
        from: &Address,
        response: &mut Response<Body>,
        throughput: &MinThroughput,
    ) -> Result<Vec<u8>, WebError> {
        let other = |why: String| WebError::Range { url: from.to_string(), why };
        let headers = response.headers();
        let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| encoding != "identity") {
            return Err(other(format!("it is encoded as {encoding:?}")));
        }
        let (range, length) = (text(CONTENT_RANGE), response.body().content_length());
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                self.check_part(range.as_deref().unwrap_or_default(), length).map_err(other)?;
                self.take_part(from, response.body_mut(), throughput)
            }
            StatusCode::OK => {
                self.check_whole(length).map_err(other)?;
                self.take_of_whole(from, response.body_mut(), throughput)
            }
            status => Err(WebError::Status {
                url: from.to_string(),
                status: status.as_u16(),
                retry_after: retry_after(headers, SystemClock::start().now().wall),
            }),
        }
    }

    /// `Content-Range: bytes FIRST-LAST/TOTAL`, where the total may be `*`.
    fn check_part(&self, range: &str, length: Option<u64>) -> Result<(), String> {
        let found = parse_range(range)
            .ok_or_else(|| format!("Content-Range is {:?}", range.get(..80).unwrap_or(range)))?;
        let (first, last, total) = found;
        let right = first == self.offset && last.checked_add(1) == Some(self.end);
        if !right || total.is_some_and(|total| total < self.end) {
            return Err(format!("{range:?} instead of {:?}", self.header()));
        }
        match length {
            Some(length) if length != u64::from(self.len) => {
                Err(format!("Content-Length is {length} instead of {}", self.len))
            }
            _ => Ok(()),
        }
    }

    fn check_whole(&self, length: Option<u64>) -> Result<(), String> {
        if self.end > self.whole_max {
            let (end, max) = (self.end, self.whole_max);
            return Err(format!(
                "the server ignores ranges, and {end} bytes would have to be read; the maximum is \
                 {max}"
            ));
        }
        match length {
            Some(length) if length < self.end => {
                Err(format!("the file has {length} bytes, the range ends at {}", self.end))
            }
            _ => Ok(()),
        }
    }

    fn take_part(
        &self,
        from: &Address,
        body: &mut Body,
        throughput: &MinThroughput,
    ) -> Result<Vec<u8>, WebError> {
        let mut reader = MeteredBody { from, body: body.as_reader(), throughput, read: 0 };
        let bytes = reader.fill(self.len)?;
        if reader.read(&mut [0])? > 0 {
            return Err(WebError::Long { url: from.to_string(), expected: self.len });
        }
        Ok(bytes)
    }

    /// The rest of the file is not read: the connection is closed instead.
    fn take_of_whole(
        &self,
        from: &Address,
        body: &mut Body,
        throughput: &MinThroughput,
    ) -> Result<Vec<u8>, WebError> {
        let mut reader = MeteredBody { from, body: body.as_reader(), throughput, read: 0 };
        let mut before = self.offset;
        while before > 0 {
            let part = u32::try_from(before).unwrap_or(u32::MAX).min(1 << 16);
            reader.fill(part)?;
            before = before.saturating_sub(part.into());
        }
        reader.fill(self.len)
    }
}

fn parse_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (unit, rest) = text.split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(number(total)?) };
    unit.eq_ignore_ascii_case("bytes").then_some((number(first)?, number(last)?, total))
}

/// The minimum throughput of a body.
#[derive(Debug)]
pub(super) struct MinThroughput {
    started: Instant,
    patience: Duration,
    min_bytes_per_s: u32,
    until: Instant,
}

impl MinThroughput {
    pub(super) fn start(patience: Duration, min_bytes_per_s: u32, until: Instant) -> Self {
        Self { started: Instant::now(), patience, min_bytes_per_s, until }
    }

    fn check(&self, read: u64, now: Instant) -> Result<(), String> {
        let measured = now.saturating_duration_since(self.started).saturating_sub(self.patience);
        let least = u128::from(self.min_bytes_per_s) * measured.as_millis() / 1000;
        if now >= self.until {
            return Err(format!("{read} bytes at the deadline"));
        }
        if u128::from(read) < least {
            return Err(format!("{read} bytes, less than {} per second", self.min_bytes_per_s));
        }
        Ok(())
    }
}

/// A body that is read with a minimum throughput.
struct MeteredBody<'a, R> {
    from: &'a Address,
    body: R,
    throughput: &'a MinThroughput,
    read: u64,
}

impl<R: Read> MeteredBody<'_, R> {
    fn fill(&mut self, len: u32) -> Result<Vec<u8>, WebError> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            let read = self.read(rest)?;
            if read == 0 {
                let expected = self.read.saturating_add(u64::try_from(rest.len()).unwrap_or(0));
                let (url, found) = (self.from.to_string(), self.read);
                return Err(WebError::Short { url, found, expected });
            }
            rest = rest.get_mut(read..).unwrap_or_default();
        }
        Ok(bytes)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, WebError> {
        let read = self.body.read(into).map_err(|error| self.broken(error))?;
        self.read = self.read.saturating_add(u64::try_from(read).unwrap_or(0));
        let slow = |why| WebError::Slow { url: self.from.to_string(), why };
        self.throughput.check(self.read, Instant::now()).map_err(slow)?;
        Ok(read)
    }

    fn broken(&self, error: io::Error) -> WebError {
        self.from.failed(ureq::Error::from(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(offset: u64, len: u32) -> ByteRange {
        ByteRange::new(offset, len, &Settings::default()).unwrap()
    }

    #[test]
    fn only_the_range_that_was_asked_for_is_one() {
        let range = range(100, 50);
        assert_eq!(range.header(), "bytes=100-149");
        for right in ["bytes 100-149/150", "bytes 100-149/*", "Bytes 100-149/9999999999"] {
            range.check_part(right, Some(50)).unwrap();
            range.check_part(right, None).unwrap();
            range.check_part(right, Some(51)).unwrap_err();
        }
        for wrong in [
            "",
            "bytes",
            "bytes 100-149",
            "bytes 100-148/150",
            "bytes 0-149/150",
            "bytes */150",
            "bytes 100-149/149",
            "bytes 101-150/200",
            "bytes 100-18446744073709551615/*",
            "bytes +100-149/150",
            "items 100-149/150",
            "bytes 100-149/150 ",
            "bytes 149-100/150",
        ] {
            range.check_part(wrong, None).unwrap_err();
        }
    }

    #[test]
    fn ranges_that_nobody_asks_for_in_earnest_are_refused() {
        for (offset, len) in [(0, 0), (0, (1 << 20) + 1), (u64::MAX, 2)] {
            let refused = ByteRange::new(offset, len, &Settings::default());
            assert!(matches!(refused, Err(WebError::Length { .. })), "{offset} {len}");
        }
    }

    #[test]
    fn of_a_whole_file_only_so_much_is_read() {
        range((16 << 20) - 50, 50).check_whole(None).unwrap();
        range((16 << 20) - 49, 50).check_whole(None).unwrap_err();
        range(100, 50).check_whole(Some(4 << 30)).unwrap();
        range(100, 50).check_whole(Some(149)).unwrap_err();
    }

    #[test]
    fn a_body_must_come_at_a_pace_and_in_time() {
        let started = Instant::now();
        let at = |seconds| started + Duration::from_secs(seconds);
        let patience = Duration::from_secs(10);
        let throughput = MinThroughput { started, patience, min_bytes_per_s: 1000, until: at(60) };
        throughput.check(0, at(10)).unwrap();
        throughput.check(0, at(11)).unwrap_err();
        throughput.check(20_000, at(30)).unwrap();
        throughput.check(19_999, at(30)).unwrap_err();
        throughput.check(1 << 30, at(60)).unwrap_err();
    }
}
