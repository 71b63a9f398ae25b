//! When a request to a server is repeated.

use std::time::Duration;

use ureq::http::HeaderMap;
use ureq::http::header::{DATE, RETRY_AFTER};

use crate::clock::Timestamp;

/// Nobody makes a gateway wait for longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// `Retry-After`, in seconds or as a date. A date is read by the server's own clock where the
/// answer has a `Date`: the gateway's may be wrong.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let now = text(DATE).and_then(Timestamp::parse_http).unwrap_or(now);
    Some(Timestamp::parse_http(value)?.since(now).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers = headers.iter().map(|&(name, value)| {
            (name.parse().unwrap(), ureq::http::HeaderValue::from_static(value))
        });
        let now = Timestamp::parse("1994-11-06T08:49:30Z").unwrap();
        retry_after(&headers.collect(), now).map(|after| after.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read_and_neither_is_longer_than_an_hour() {
        let later = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parsed(&[("retry-after", "120")]), Some(120));
        assert_eq!(parsed(&[("retry-after", "86400")]), Some(3600));
        assert_eq!(parsed(&[("retry-after", "99999999999999999999999")]), Some(3600));
        assert_eq!(parsed(&[("retry-after", later)]), Some(7));
        let own = ("date", "Sun, 06 Nov 1994 08:49:07 GMT");
        assert_eq!(parsed(&[("retry-after", later), own]), Some(30), "by the server's clock");
        assert_eq!(parsed(&[("retry-after", "Mon, 06 Nov 2094 08:49:37 GMT")]), None, "a Saturday");
        assert_eq!(parsed(&[("retry-after", "Sat, 06 Nov 2094 08:49:37 GMT")]), Some(3600));
        assert_eq!(parsed(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        for nonsense in ["", "-1", "1.5", "soon", "12 apples"] {
            assert_eq!(parsed(&[("retry-after", nonsense)]), None, "{nonsense:?}");
        }
        assert_eq!(parsed(&[]), None);
    }
}
