//! Fetches ranges of files over HTTP(S) from any static server. The only module that names ureq.
//!
//! ```text
//! let client = Client::new(&Settings::default())?;         // once; cheap to clone, keeps connections
//! let chunk = client.range(&url, offset, len)?;            // blocks: call it in spawn_blocking
//! Err(error) => again after max(back-off, error.retry_after().unwrap_or_default())
//! ```
//!
//! A success is exactly `len` bytes. Their content is not verified here: the caller checks the
//! digest. So `http://` is allowed as a source; a redirect leads to https only (from http
//! too), at most [`MAX_REDIRECTS`] times. The server may honour the range or ignore it. A
//! response that is too short, too long, too slow or endless is rejected. Bytes are taken as they are:
//! nothing is unpacked, an encoded answer is refused. There are no cookies, and no proxy: the
//! variables `http_proxy` and `https_proxy` are not looked at.
//!
//! A range is there within [`Settings::deadline`], or an error is. Resolving a name counts too,
//! but a thread of its own may hang in it for as long as the system's resolver does.

mod address;
mod error;
mod put;
mod response;
mod retry;
mod root_certs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::Response;
use ureq::http::header::{ACCEPT_ENCODING, LOCATION, RANGE};
use ureq::tls::TlsConfig;

use address::Address;
pub use error::WebError;
pub use put::PutRequest;
use response::{ByteRange, MinThroughput};

/// Maximum number of redirects followed for one range.
pub const MAX_REDIRECTS: usize = 5;
/// Maximum size of the headers of a response, in bytes.
const MAX_HEADER_SIZE: usize = 16 << 10;

/// Limits of size and time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Additional CA certificates, in PEM.
    pub ca_file: Option<PathBuf>,
    /// For a TCP connection and its TLS.
    pub connect: Duration,
    /// For the next bytes, and for the headers of an answer as a whole.
    pub read: Duration,
    /// For a range with all its redirects.
    pub deadline: Duration,
    /// A body with a lower average throughput is aborted after `read`.
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
            .root_certs(root_certs::roots(settings.ca_file.as_deref())?)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .user_agent(format!("inferd/{}", crate::VERSION))
            .proxy(None)
            .http_status_as_error(false)
            // Followed here, where the rules are.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(MAX_HEADER_SIZE)
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
    /// Anything other than exactly these bytes. [`WebError::retry_after`] gives the delay that the
    /// server requested.
    pub fn range(&self, url: &str, offset: u64, len: u32) -> Result<Vec<u8>, WebError> {
        let until = Instant::now() + self.settings.deadline;
        let range = ByteRange::new(offset, len, &self.settings)?;
        let mut address = Address::parse(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let mut response = self.ask(&address, &range, until)?;
            if !response.status().is_redirection() {
                let settings = &self.settings;
                let throughput =
                    MinThroughput::start(settings.read, settings.min_bytes_per_s, until);
                return range.take(&address, &mut response, &throughput);
            }
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            address = address.follow(location.unwrap_or_default())?;
        }
        Err(address.too_far())
    }

    fn ask(
        &self,
        address: &Address,
        range: &ByteRange,
        until: Instant,
    ) -> Result<Response<ureq::Body>, WebError> {
        let request = self
            .agent
            .get(address.uri())
            .header(RANGE, range.header())
            .header(ACCEPT_ENCODING, "identity")
            .config()
            .timeout_global(Some(until.saturating_duration_since(Instant::now())))
            .build();
        request.call().map_err(|source| address.failed(source))
    }
}
