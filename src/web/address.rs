//! Where a range is fetched from, and where a redirect may lead.

use ureq::http::Uri;
use ureq::http::uri::Scheme;

use super::{MAX_REDIRECTS, WebError};

/// What is read of an address, and what a redirect may name.
const LENGTH_MAX: usize = 4096;

/// An address to fetch from: http or https, a host, no password.
#[derive(Clone, Debug)]
pub(super) struct Address(Uri);

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, WebError> {
        Self::read(url).map_err(|why| WebError::Address { url: shortened(url), why })
    }

    fn read(url: &str) -> Result<Self, &'static str> {
        if url.len() > LENGTH_MAX {
            return Err("it is longer than 4096 bytes");
        }
        let uri: Uri = url.parse().map_err(|_| "it is no URL")?;
        if uri.scheme() != Some(&Scheme::HTTP) && uri.scheme() != Some(&Scheme::HTTPS) {
            return Err("it starts with neither https:// nor http://");
        }
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        if authority.ok_or("it names no host")?.as_str().contains('@') {
            return Err("it contains a user name or password, which is not supported");
        }
        Ok(Self(uri))
    }

    pub(super) fn uri(&self) -> Uri {
        self.0.clone()
    }

    /// The address without its query, which may hold a signature: for messages.
    pub(super) fn without_query(&self) -> Self {
        let text = self.0.to_string();
        let plain = text.split('?').next().unwrap_or_default();
        Self(plain.parse().unwrap_or_default())
    }

    /// Where a redirect leads, by RFC 3986 as far as servers use it; https only, wherever from.
    pub(super) fn follow(&self, location: &str) -> Result<Self, WebError> {
        let refused =
            |why| WebError::Redirect { url: self.to_string(), to: shortened(location), why };
        if location.is_empty() {
            return Err(refused("the Location header is missing"));
        }
        let next = Self::read(&self.resolve(location)).map_err(refused)?;
        if next.0.scheme() != Some(&Scheme::HTTPS) {
            return Err(refused("redirects are followed to https only"));
        }
        Ok(next)
    }

    /// The whole address that a `Location` stands for.
    fn resolve(&self, location: &str) -> String {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        let folder = self.0.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        let before_path = location.split(['/', '?']).next().unwrap_or_default();
        if before_path.contains(':') {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else {
            format!("{scheme}://{authority}{folder}/{location}")
        }
    }

    pub(super) fn too_far(&self) -> WebError {
        let to = shortened(&self.to_string());
        debug_assert_eq!(MAX_REDIRECTS, 5);
        let why = "it is the sixth redirect in a row";
        WebError::Redirect { url: self.to_string(), to, why }
    }

    pub(super) fn failed(&self, source: ureq::Error) -> WebError {
        let (url, why) = (self.to_string(), source.to_string());
        match source {
            ureq::Error::Timeout(_) => WebError::Slow { url, why },
            _ => WebError::Unreachable { url, why },
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// As much of a stranger's text as a log line needs.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_fetched_from() {
        for good in ["https://host/a", "http://127.0.0.1:8080/a?b=c", "https://[::1]/a"] {
            Address::parse(good).unwrap();
        }
        let long = format!("https://host/{}", "a".repeat(LENGTH_MAX));
        for bad in
            ["", "/a", "host/a", "ftp://host/a", "file:///etc/passwd", "https://u:p@host/", &long]
        {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_message_does_not_show_the_query() {
        let address = Address::parse("https://host:8443/a/b?sig=secret").unwrap();
        assert_eq!(address.without_query().to_string(), "https://host:8443/a/b");
    }

    #[test]
    fn redirects_are_resolved_and_lead_to_https_only() {
        let from = |base: &str, location: &str| {
            Address::parse(base).unwrap().follow(location).map(|to| to.to_string())
        };
        let secure = "https://host:8443/models/x?y=z";
        for (location, to) in [
            ("https://cdn/1#part", "https://cdn/1"),
            ("//cdn/1", "https://cdn/1"),
            ("/1?t=a:b", "https://host:8443/1?t=a:b"),
            ("1", "https://host:8443/models/1"),
        ] {
            assert_eq!(from(secure, location).unwrap(), to);
        }
        assert_eq!(from("http://host/x", "https://cdn/1").unwrap(), "https://cdn/1");
        for (base, location) in [
            ("http://host/x", "http://host/y"),
            ("http://host/x", "/y"),
            (secure, "http://host/y"),
            (secure, "HTTP://host/y"),
            (secure, "file:///etc/passwd"),
            (secure, "https://u:p@cdn/"),
            (secure, ""),
        ] {
            let refused = from(base, location);
            assert!(matches!(refused, Err(WebError::Redirect { .. })), "{base} {location}");
        }
    }
}
