//! Chunks from a web server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::Config;
use crate::ids::Digest;
use crate::update::machine::Event;
use crate::update::manifest::Chunk;
use crate::web::{Client, Settings, WebError};

/// The HTTP client of all models. Made for the first chunk that is fetched by HTTP, as the system's
/// certificates take memory that most gateways never need. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct HttpSource(Arc<OnceLock<Client>>);

impl HttpSource {
    /// Fetches one chunk of a blob from the URL of the deployment, as a range of bytes. Blocks.
    pub(super) fn fetch(
        &self,
        config: &Config,
        template: &str,
        (blob, index): (Digest, u32),
        offset: u64,
        chunk: Chunk,
    ) -> Event {
        let url = template.replace("{sha256}", &blob.to_string());
        let fetched = self.client(config).and_then(|client| client.range(&url, offset, chunk.len));
        match fetched {
            Ok(bytes) => Event::Chunk { blob, index, bytes },
            Err(error) => {
                log::warn!("cannot fetch {} bytes of {url} at offset {offset}: {error}", chunk.len);
                let wait = error.retry_after().unwrap_or(Duration::ZERO);
                Event::Lost { blob, index, wait }
            }
        }
    }

    fn client(&self, config: &Config) -> Result<Client, WebError> {
        if let Some(client) = self.0.get() {
            return Ok(client.clone());
        }
        let ca_file = config.updates.ca_file.clone();
        let client = Client::new(Settings { ca_file, ..Settings::default() })?;
        Ok(self.0.get_or_init(|| client).clone())
    }
}
