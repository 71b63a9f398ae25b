//! `inferd run`

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ConfigFile, Exit, Failure};
use crate::bundle::{Bundle, Loaded};
use crate::clock::SystemClock;
use crate::config::{Config, Surroundings};
use crate::daemon;

/// Run the daemon in the foreground, until SIGTERM or SIGINT
///
/// Loads the configuration and every model it names, then works until it is told to stop; then
/// finishes what was received and saves the rest within `workers.stop_deadline`. A change of the
/// configuration takes a restart, which loses nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  inferd run --config /etc/inferd/inferd.toml")]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let surroundings = Surroundings::of_process();
    let path = surroundings.config_file(args.file.config.as_deref());
    let config = Config::load(&path, &surroundings)?;
    if config.streams.is_empty() {
        let path = path.display();
        let message = format!("{path} has no [[stream]]: there is nothing to do");
        return Err(Failure::new(Exit::Config, message));
    }
    config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    let bundles = load_models(&config)?;
    daemon::run(config, bundles, Arc::new(SystemClock::start()), told_to_stop())?;
    Ok(())
}

/// One loaded bundle for every model that a stream names.
fn load_models(config: &Config) -> Result<Vec<Loaded>, Failure> {
    let names: BTreeMap<_, _> = config.streams.iter().map(|s| (&s.model, ())).collect();
    let load = |name| {
        let loaded = Bundle::shipped(&config.models.dir, name).and_then(|bundle| bundle.load())?;
        let (card, digest) = (&loaded.card, loaded.digest);
        log::info!("model {} {} ({digest}) is loaded", card.name, card.version);
        loaded.warnings.iter().for_each(|warning| log::warn!("model {}: {warning}", card.name));
        Ok(loaded)
    };
    let loaded = names.into_keys().map(load);
    loaded.collect::<Result<_, _>>().map_err(|error| Failure::of_configured_model(&error))
}

/// Ready when a signal asks to stop.
async fn told_to_stop() {
    let listen = |kind| match signal(kind) {
        Ok(signal) => Some(signal),
        Err(error) => {
            log::error!("cannot listen for a signal, a stop will lose what is in memory: {error}");
            None
        }
    };
    let mut terminate = listen(SignalKind::terminate());
    let mut interrupt = listen(SignalKind::interrupt());
    let name = tokio::select! {
        () = received(&mut terminate) => "SIGTERM",
        () = received(&mut interrupt) => "SIGINT",
    };
    log::info!("{name} received");
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}
