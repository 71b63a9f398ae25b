//! The interface of `metrics-exporter-prometheus` that rumqttd uses. Nothing is exported: the embedded broker is configured
//! without metrics.

use std::net::SocketAddr;

/// Why nothing is exported.
#[derive(Debug)]
pub struct BuildError;

/// Builds no exporter.
#[derive(Debug, Default)]
pub struct PrometheusBuilder;

impl PrometheusBuilder {
    /// As the original.
    pub fn new() -> Self {
        Self
    }

    /// Ignores the address.
    #[must_use]
    pub fn with_http_listener(self, _: impl Into<SocketAddr>) -> Self {
        self
    }

    /// # Errors
    /// Always.
    pub fn install(self) -> Result<(), BuildError> {
        Err(BuildError)
    }
}
