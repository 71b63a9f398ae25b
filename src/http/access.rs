//! Who may ask: the host name, the origin and the token of a request.

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::head::Head;
use super::request::Method;
use super::response::Response;

/// The shortest token: 96 bits where it is random text of base64.
pub const MIN_TOKEN_BYTES: usize = 16;
const MAX_TOKEN_BYTES: u64 = 1024;
/// Paths that tell no more than whether the daemon works, for probes that cannot send a token.
const OPEN_PATHS: [&str; 4] = ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready"];

/// The token that requests must show, as its SHA-256: comparing digests takes the same time
/// whatever the text is.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token file {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "the first line of the token file {} has {length} bytes; a token has {MIN_TOKEN_BYTES} to \
         {MAX_TOKEN_BYTES} visible ASCII characters. Create one with: openssl rand -base64 24",
        path.display()
    )]
    Form { path: PathBuf, length: usize },
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads the token on the first line of a file.
    ///
    /// # Errors
    /// The file cannot be read, or the line is too short or too long for a token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Read { path: path.to_owned(), source };
        let length = fs::metadata(path).map_err(failed)?.len();
        let text = if length > 2 * MAX_TOKEN_BYTES {
            String::new()
        } else {
            fs::read_to_string(path).map_err(failed)?
        };
        let line = text.lines().next().unwrap_or_default().trim();
        let fits = line.len() >= MIN_TOKEN_BYTES
            && u64::try_from(line.len()).is_ok_and(|length| length <= MAX_TOKEN_BYTES)
            && line.bytes().all(|byte| byte.is_ascii_graphic());
        let form = || TokenError::Form { path: path.to_owned(), length: line.len() };
        fits.then(|| Self::of(line)).ok_or_else(form)
    }

    /// The token of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether an `Authorization` header shows the token: as `Bearer TOKEN`, or as the password of
    /// `Basic`, which browsers ask for.
    fn is_shown_by(&self, authorization: &str) -> bool {
        let Some((scheme, shown)) = authorization.split_once(' ') else { return false };
        let shown = shown.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.equals(shown);
        }
        let decoded =
            Base64::decode_vec(shown).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        text.is_some_and(|text| text.split_once(':').is_some_and(|(_, token)| self.equals(token)))
    }

    fn equals(&self, shown: &str) -> bool {
        let Self(shown) = Self::of(shown);
        let difference = self.0.iter().zip(shown).fold(0, |all, (a, b)| all | (a ^ b));
        black_box(difference) == 0
    }
}

/// What a request must show to be answered.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `None`: anybody who can connect may read, and nobody may change anything.
    pub token: Option<Token>,
    /// Host names by which the server may be addressed, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Access {
    /// Decides whether a request is answered.
    ///
    /// A page of another site can make a browser send requests here, also under a name that it has
    /// pointed at this address (DNS rebinding). So the host must be an address or a known name, the
    /// origin must be the host itself, and what changes something needs the token as well.
    ///
    /// # Errors
    /// The response to a request that is refused.
    pub(super) fn check(&self, head: &Head) -> Result<Method, Response> {
        let host = head.host.as_deref().unwrap_or_default();
        if !self.knows_host(host) {
            let why = "this server is not addressed by that host name; add it to http.hosts";
            return Err(Response::text(421, why));
        }
        let of_host = |origin: &String| {
            origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
        };
        if !head.origin.as_ref().is_none_or(of_host) {
            return Err(Response::text(403, "requests from other sites are refused"));
        }
        let method = match head.method.as_str() {
            "GET" | "HEAD" => Method::Get,
            "POST" => Method::Post,
            _ => return Err(Response::text(405, "use GET").with_header("Allow: GET, HEAD")),
        };
        self.check_token(head, method)?;
        Ok(method)
    }

    fn check_token(&self, head: &Head, method: Method) -> Result<(), Response> {
        let Some(token) = &self.token else {
            let why = "this changes something and needs a token: set http.token_file";
            let is_read = method == Method::Get;
            return if is_read { Ok(()) } else { Err(Response::text(403, why)) };
        };
        if method == Method::Get && OPEN_PATHS.contains(&head.path.as_str()) {
            return Ok(());
        }
        if method == Method::Post && head.fetch_site.as_deref().is_some_and(|s| s != "same-origin")
        {
            return Err(Response::text(403, "requests from other sites are refused"));
        }
        if head.authorization.as_deref().is_some_and(|shown| token.is_shown_by(shown)) {
            return Ok(());
        }
        let challenge = "WWW-Authenticate: Basic realm=\"inferd\", charset=\"UTF-8\"";
        Err(Response::text(401, "the token is needed").with_header(challenge))
    }

    /// Whether `host`, with or without a port, is an IP address, `localhost` or a configured name.
    fn knows_host(&self, host: &str) -> bool {
        if let Some((address, port)) = host.strip_prefix('[').and_then(|h| h.split_once(']')) {
            return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
        }
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        let known = name.parse::<Ipv4Addr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
        known && is_port(port)
    }
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}
