//! Uploads of whole files.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::SendBody;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};

use super::address::Address;
use super::retry::retry_after;
use super::{Client, WebError};
use crate::clock::{Clock as _, SystemClock};

/// Bytes sent at a time below a limited rate.
const PIECE: usize = 16 << 10;

/// A file to upload.
#[derive(Clone, Copy, Debug)]
pub struct PutRequest<'a> {
    pub url: &'a str,
    pub bytes: &'a [u8],
    pub content_type: &'a str,
    /// Sent as `Authorization: Bearer ...`.
    pub token: Option<&'a str>,
    /// 0 is no limit.
    pub max_bytes_per_s: u64,
}

impl Client {
    /// Uploads a file. Blocks. Redirects are not followed: they count as a refusal.
    ///
    /// # Errors
    /// Anything but a status of 200 to 299. The server may then have the file or not.
    pub fn put(&self, put: &PutRequest<'_>) -> Result<(), WebError> {
        let address = Address::parse(put.url)?;
        let shown = address.without_query();
        let length = u64::try_from(put.bytes.len()).unwrap_or(u64::MAX);
        let slowest = length.checked_div(put.max_bytes_per_s).map_or(Duration::ZERO, |seconds| {
            Duration::from_secs(seconds.saturating_mul(2).saturating_add(1))
        });
        let mut request = self
            .agent
            .put(address.uri())
            .header(CONTENT_TYPE, put.content_type)
            .header(CONTENT_LENGTH, length);
        if let Some(token) = put.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let timeout = self.settings.deadline.saturating_add(slowest);
        let request = request.config().timeout_global(Some(timeout)).build();
        let mut body = ThrottledBody::new(put.bytes, put.max_bytes_per_s);
        let response = request.send(SendBody::from_reader(&mut body));
        let response = response.map_err(|source| shown.failed(source))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(WebError::Status {
            url: shown.to_string(),
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), SystemClock::start().now().wall),
        })
    }
}

/// Bytes that are given out at a limited rate.
struct ThrottledBody<'a> {
    bytes: &'a [u8],
    given: u64,
    max_bytes_per_s: u64,
    started: Instant,
}

impl<'a> ThrottledBody<'a> {
    fn new(bytes: &'a [u8], max_bytes_per_s: u64) -> Self {
        Self { bytes, given: 0, max_bytes_per_s, started: Instant::now() }
    }

    /// When the next byte may be given out.
    fn next_at(&self) -> Option<Instant> {
        let micros = self.given.saturating_mul(1_000_000).checked_div(self.max_bytes_per_s)?;
        self.started.checked_add(Duration::from_micros(micros))
    }
}

impl Read for ThrottledBody<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(left) =
            self.next_at().and_then(|at| at.checked_duration_since(Instant::now()))
            && !left.is_zero()
        {
            std::thread::park_timeout(left);
        }
        let most = into.len().min(PIECE);
        let read = self.bytes.read(into.get_mut(..most).unwrap_or_default())?;
        self.given = self.given.saturating_add(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_body_is_given_out_in_pieces_that_are_due_later_and_later() {
        let bytes = vec![7; 3 * PIECE];
        let mut body = ThrottledBody::new(&bytes, 1 << 40);
        let mut read = Vec::new();
        body.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        body.max_bytes_per_s = u64::try_from(PIECE).unwrap();
        assert_eq!(body.next_at(), body.started.checked_add(Duration::from_secs(3)));
        body.max_bytes_per_s = 0;
        assert_eq!(body.next_at(), None, "no limit");
    }
}
