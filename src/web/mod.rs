//! Ranges of files over HTTP(S), from any static server: the only room that names ureq.
//!
//! ```text
//! let client = Client::new(&Settings::default())?;         // once; cheap to clone, keeps connections
//! let chunk = client.range(&url, offset, len)?;            // blocks: call it in spawn_blocking
//! Err(error) => again after max(back-off, error.retry_after().unwrap_or_default())
//! ```
//!
//! What comes back is exactly `len` bytes, and nobody's word for what they are: the caller checks
//! their digest. So `http://` is allowed as a source; a redirect leads to https only (from http
//! too), at most [`REDIRECTS_MAX`] times. The server may honour the range or ignore it; what it
//! sends too little, too much, for ever or too slowly is refused. Bytes are taken as they are:
//! nothing is unpacked, an encoded answer is refused. There are no cookies, and no proxy: the
//! variables `http_proxy` and `https_proxy` are not looked at.
//!
//! A range is there within [`Settings::deadline`], or an error is. Resolving a name counts too,
//! but a thread of its own may hang in it for as long as the system's resolver does.

mod address;
mod answer;
mod error;
mod retry;
mod trust;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::Response;
use ureq::http::header::{ACCEPT_ENCODING, LOCATION, RANGE};
use ureq::tls::TlsConfig;

use address::Address;
use answer::{Pace, Wanted};
pub use error::WebError;

/// Redirects that are followed for one range.
pub const REDIRECTS_MAX: usize = 5;
/// What the headers of an answer may take.
const HEADERS_MAX: usize = 16 << 10;

/// How much is taken from a server, and how long it is waited for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Authorities that count beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// For a TCP connection and its TLS.
    pub connect: Duration,
    /// For the next bytes, and for the headers of an answer as a whole.
    pub read: Duration,
    /// For a range with all its redirects.
    pub deadline: Duration,
    /// A body that is slower on average is given up after `read`.
    pub min_bytes_per_s: u32,
    /// The longest range.
    pub range_max: u32,
    /// How far into a file a range may end whose server sends whole files only. Everything before
    /// the range is fetched for nothing.
    pub whole_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect: Duration::from_secs(15),
            read: Duration::from_secs(15),
            deadline: Duration::from_secs(120),
            min_bytes_per_s: 1024,
            range_max: 1 << 20,
            whole_max: 16 << 20,
        }
    }
}

/// Fetches ranges. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    settings: Settings,
}

impl Client {
    /// Reads the certificates; a renewed CA file needs a new client.
    ///
    /// # Errors
    /// A CA file that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, WebError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(trust::roots(settings.ca_file.as_deref())?)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("inferd/", env!("CARGO_PKG_VERSION")))
            .proxy(None)
            .http_status_as_error(false)
            // Followed here, where the rules are.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HEADERS_MAX)
            .timeout_connect(Some(settings.connect))
            .timeout_recv_response(Some(settings.read))
            .timeout_per_read(Some(settings.read))
            .timeout_per_write(Some(settings.read))
            .build()
            .new_agent();
        Ok(Self { agent, settings })
    }

    /// `len` bytes of the file at `url`, from `offset` on. Blocks.
    ///
    /// # Errors
    /// Whatever keeps exactly these bytes from coming; [`WebError::retry_after`] says when the
    /// server wants to be asked again.
    pub fn range(&self, url: &str, offset: u64, len: u32) -> Result<Vec<u8>, WebError> {
        let until = Instant::now() + self.settings.deadline;
        let wanted = Wanted::new(offset, len, &self.settings)?;
        let mut address = Address::parse(url)?;
        for _ in 0..=REDIRECTS_MAX {
            let mut response = self.ask(&address, &wanted, until)?;
            if !response.status().is_redirection() {
                let settings = &self.settings;
                let pace = Pace::start(settings.read, settings.min_bytes_per_s, until);
                return wanted.take(&address, &mut response, &pace);
            }
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            address = address.follow(location.unwrap_or_default())?;
        }
        Err(address.too_far())
    }

    fn ask(
        &self,
        address: &Address,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<Response<ureq::Body>, WebError> {
        let request = self
            .agent
            .get(address.uri())
            .header(RANGE, wanted.header())
            .header(ACCEPT_ENCODING, "identity")
            .config()
            .timeout_global(Some(until.saturating_duration_since(Instant::now())))
            .build();
        request.call().map_err(|source| address.failed(source))
    }
}
