//! `inferd run`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bundle::{Bundle, VerifiedModel};
use crate::cli::config_file::ConfigFile;
use crate::cli::contained;
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::terminal::{Exit, Failure};
use crate::{daemon, pipeline};

/// Run the daemon in the foreground, until SIGTERM, SIGINT, SIGHUP or SIGQUIT
///
/// Loads the configuration and every model that it names, and runs until a signal stops it. It then
/// finishes the inputs that it has received and saves the rest within `workers.stop_deadline`. A
/// change of the configuration needs a restart, which loses nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  inferd run --config /etc/inferd/inferd.toml")]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let path = environment.config_file(args.file.config.as_deref());
    let config = Config::load(&path, &environment)?;
    if config.streams.is_empty() {
        let path = path.display();
        let message = format!("{path} has no [[stream]]: add one, then start again");
        return Err(Failure::new(Exit::Config, message));
    }
    config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    verify_limits(&config, &path)?;
    let bundles = load_models(&config)?;
    for stream in &config.streams {
        let bundle = bundles.iter().find(|bundle| bundle.card.name == stream.model);
        let warnings = bundle.and_then(|bundle| pipeline::misplaced_fields(stream, &bundle.card));
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
    }
    daemon::run(config, bundles, Arc::new(SystemClock::start()), stop_signal())?;
    Ok(())
}

/// Loads the models and ends.
pub(super) fn load_only(args: &Args) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let path = environment.config_file(args.file.config.as_deref());
    load_models(&Config::load(&path, &environment)?).map(drop)
}

/// The file in `store.dir` that names the models that were loaded within the limits.
const WITHIN_LIMITS: &str = "models-within-limits";

/// Has the models loaded within limits of memory and time, unless the same models were before.
fn verify_limits(config: &Config, path: &Path) -> Result<(), Failure> {
    let names: BTreeSet<_> = config.streams.iter().map(|stream| &stream.model).collect();
    let mut seen = vec![format!("inferd {}", env!("CARGO_PKG_VERSION"))];
    for name in names {
        // What cannot be opened is reported when it is loaded.
        let Ok(bundle) = Bundle::built_in(&config.models.dir, name) else { return Ok(()) };
        seen.push(format!("{name} {}", bundle.content_digest()));
    }
    let (file, seen) = (config.store.dir.join(WITHIN_LIMITS), seen.join("\n"));
    if std::fs::read_to_string(&file).is_ok_and(|found| found == seen) {
        return Ok(());
    }
    contained::load_models(path)?;
    // Without the file the models are verified again at the next start.
    if let Err(error) = std::fs::write(&file, seen) {
        log::debug!("cannot write {}: {error}", file.display());
    }
    Ok(())
}

/// One loaded bundle for every model that a stream names.
fn load_models(config: &Config) -> Result<Vec<VerifiedModel>, Failure> {
    let names: BTreeMap<_, _> = config.streams.iter().map(|s| (&s.model, ())).collect();
    let load = |name| {
        let loaded = Bundle::built_in(&config.models.dir, name)
            .and_then(|bundle| pipeline::load(&bundle))?;
        let (card, digest) = (&loaded.card, loaded.digest);
        log::info!("model {} {} ({digest}) loaded", card.name, card.version);
        loaded.warnings.iter().for_each(|warning| log::warn!("model {}: {warning}", card.name));
        Ok(loaded)
    };
    let loaded = names.into_keys().map(load);
    loaded.collect::<Result<_, _>>().map_err(|error| Failure::of_configured_model(&error))
}

/// Ready when a signal asks to stop.
///
/// SIGHUP is one of them: a closed terminal must not lose what is in memory. Under `nohup` it is
/// ignored. SIGUSR1 and SIGUSR2 are handled because their default action ends the process.
async fn stop_signal() {
    let mut terminate = listen(SignalKind::terminate());
    let mut interrupt = listen(SignalKind::interrupt());
    let mut quit = listen(SignalKind::quit());
    let mut hang_up =
        if ignores(SignalKind::hangup()) { None } else { listen(SignalKind::hangup()) };
    let mut users = (listen(SignalKind::user_defined1()), listen(SignalKind::user_defined2()));
    loop {
        let name = tokio::select! {
            () = received(&mut terminate) => "SIGTERM",
            () = received(&mut interrupt) => "SIGINT",
            () = received(&mut quit) => "SIGQUIT",
            () = received(&mut hang_up) => "SIGHUP",
            () = received(&mut users.0) => {
                log::info!("SIGUSR1 received and ignored");
                continue;
            }
            () = received(&mut users.1) => {
                log::info!("SIGUSR2 received and ignored");
                continue;
            }
        };
        return log::info!("{name} received");
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    match signal(kind) {
        Ok(signal) => Some(signal),
        Err(error) => {
            log::error!("cannot handle a signal; stopping will lose what is in memory: {error}");
            None
        }
    }
}

/// Whether the parent process set the signal to be ignored.
fn ignores(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = u32::try_from(kind.as_raw_value() - 1).ok().and_then(|bit| 1_u64.checked_shl(bit));
    bit.is_some_and(|bit| mask & bit != 0)
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}
