//! The option that names the configuration file.

use std::path::PathBuf;

/// The option that names the configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration file [default: $INFERD_CONFIG, else /etc/inferd/inferd.toml]
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}
