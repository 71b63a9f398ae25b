//! `inferd check`

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::folders::{Finding, try_folder};
use crate::bundle::{Bundle, BundleError, VerifiedModel};
use crate::cli::broker_check::{self, BrokerRow, check_broker};
use crate::cli::config_file::ConfigFile;
use crate::cli::contained;
use crate::cli::flash_wear::{self, FlashWear, Rate};
use crate::config::problem::Problem;
use crate::config::tree::Value;
use crate::config::{Config, Environment, Stream, docs as reference};
use crate::ids::ModelName;
use crate::terminal::{Exit, Failure, print, print_json, table};
use crate::{daemon, link, pipeline, store};

/// Report every error in the configuration and in the models that it names
///
/// Reads the configuration as the daemon does (the file, conf.d beside it, the environment), loads
/// every model, runs its golden vectors and golden samples, and checks that it fits each stream.
/// Also reads certificates, keys and the password, and checks that the daemon's folders can be
/// written to. Prints all problems with their place, value and the allowed values, and exits with 78
/// if there are any.
///
/// --connect also checks the broker: the connection, TLS, the login, missing broker features, and
/// the subscriptions of all streams and of updates. The check uses its own client id and session and
/// publishes nothing, so a running daemon keeps its connection. It cannot check whether the gateway
/// may publish; `inferd status` shows that once the daemon runs. Nor can it detect a broker that
/// grants every subscription but withholds the messages, as mosquitto does with an acl_file. Exit
/// code 69 means that the only problem is an unreachable broker. The check takes at most
/// broker.connect_timeout, and a few seconds more to diagnose a failed connection.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd check --config /etc/inferd/inferd.toml
  inferd check --connect                         also check the broker, the login and the subscriptions
  inferd check --json | jq '.problems[]'
  inferd check --rate 25 --devices 200           estimate what saved windows write in a day
  inferd check --reference > inferd.toml         every option with its default")]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Also check the broker
    #[arg(long)]
    connect: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print a configuration file that describes every option with its default; check nothing
    #[arg(long, conflicts_with_all = ["connect", "json", "config"])]
    reference: bool,
    #[command(flatten)]
    rate: Rate,
}

impl Args {
    pub(super) fn loads_models(&self) -> bool {
        !self.reference
    }
}

#[derive(Debug, Default, Serialize)]
struct Report {
    config: String,
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    streams: Vec<StreamRow>,
    models: Vec<ModelRow>,
    /// The result of --connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<BrokerRow>,
    /// Estimated writes of the streams that have windows.
    wear: Vec<FlashWear>,
}

#[derive(Debug, Serialize)]
struct StreamRow {
    name: String,
    topic: String,
    model: String,
    publishes: String,
}

#[derive(Debug, Serialize)]
struct ModelRow {
    name: String,
    version: String,
    digest: String,
    /// It has golden vectors.
    golden: bool,
    golden_samples: bool,
}

pub(super) fn check(args: &Args) -> Result<(), Failure> {
    if args.reference {
        return print(&reference::sample_file());
    }
    let environment = Environment::of_process();
    let path = environment.config_file(args.file.config.as_deref());
    let (config, problems) = Config::inspect(&path, &environment)?;
    let mut report = Report { config: path.display().to_string(), problems, ..Report::default() };
    let mut exit = Exit::Config;
    if args.connect && config.is_none() {
        report.warnings.push("the broker was not checked: correct the configuration first".into());
    }
    if let Some(config) = config {
        report.warnings = config.warnings();
        report.warnings.extend(store::shortage(&store::Settings::from(&config.store)));
        report.warnings.extend(daemon::too_many_subscriptions(&config));
        report.problems.extend(daemon::keyset_problem(&config).map(|reason| Problem {
            origin: None,
            path: "updates.keyset".to_owned(),
            value: None,
            reason,
            allowed: "a file that `inferctl keys` made".to_owned(),
        }));
        surroundings_of(&config, &mut report);
        models_and_streams(&config, args.rate, &mut report);
        contained::loaded();
        if args.connect {
            exit = broker_of(&config, &mut report)?;
        }
    }
    report.ok = report.problems.is_empty();
    if args.json {
        print_json(&report)?;
    } else {
        print(&render(&report, &path, args.rate))?;
    }
    if report.ok { Ok(()) } else { Err(Failure::already_reported(exit)) }
}

/// Checks the broker. Returns the exit code for the case that there are problems.
fn broker_of(config: &Config, report: &mut Report) -> Result<Exit, Failure> {
    if let Some(fault) = link::local_fault(&config.broker) {
        report.warnings.push(format!("the broker was not checked: {fault}"));
        return Ok(Exit::Config);
    }
    let tried = check_broker(config).map_err(|error| {
        Failure::new(Exit::Internal, format!("cannot start the runtime: {error}"))
    })?;
    let only = report.problems.is_empty() && tried.unavailable;
    report.problems.extend(tried.problems);
    report.warnings.extend(tried.warnings);
    report.broker = Some(tried.broker);
    Ok(if only { Exit::Unavailable } else { Exit::Config })
}

/// Certificates, the password, and the folders that the daemon writes to.
fn surroundings_of(config: &Config, report: &mut Report) {
    let problem = |path: &str, reason: String| Problem {
        origin: None,
        path: path.to_owned(),
        value: None,
        reason,
        allowed: String::new(),
    };
    if report.problems.is_empty() {
        let fault = link::local_fault(&config.broker);
        report.problems.extend(fault.map(|fault| problem("broker", fault.to_string())));
    }
    for (path, dir) in [("store.dir", &config.store.dir), ("control.dir", &config.control.dir)] {
        match try_folder(dir) {
            Finding::Good => {}
            Finding::Problem(why) => {
                report.problems.push(problem(path, format!("{}: {why}", dir.display())));
            }
            Finding::Warning(why) => {
                report.warnings.push(format!("{path}: {}: {why}", dir.display()));
            }
        }
    }
}

fn models_and_streams(config: &Config, rate: Rate, report: &mut Report) {
    let mut models: BTreeMap<&ModelName, Option<Found>> = BTreeMap::new();
    for (place, stream) in config.streams.iter().enumerate() {
        let found = models.entry(&stream.model).or_insert_with(|| {
            let found = find(config, &stream.model);
            found.map_err(|error| report.problems.push(unusable(place, stream, &error))).ok()
        });
        if let Some(Found { loaded, .. }) = found {
            report.problems.extend(misfits(place, stream, loaded));
            report.warnings.extend(pipeline::advice(stream, &loaded.card));
            report.warnings.extend(rate.advice(stream, &loaded.card));
            report.warnings.extend(model_warnings(stream, loaded, &report.streams));
            report.warnings.extend(pipeline::misplaced_fields(stream, &loaded.card));
            report.wear.extend(FlashWear::of(config, stream, loaded, rate));
        }
        report.streams.push(StreamRow {
            name: stream.name.to_string(),
            topic: stream.topics().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            model: stream.model.to_string(),
            publishes: stream.publish.topic.to_string(),
        });
    }
    report.models = models.into_values().flatten().map(|found| found.row).collect();
    report.warnings.extend(report.models.iter().filter_map(unproved));
}

/// A model that can be used.
struct Found {
    loaded: VerifiedModel,
    row: ModelRow,
}

fn find(config: &Config, name: &ModelName) -> Result<Found, BundleError> {
    let bundle = Bundle::built_in(&config.models.dir, name)?;
    let loaded = pipeline::load(&bundle)?;
    let row = ModelRow {
        name: loaded.card.name.to_string(),
        version: loaded.card.version.clone(),
        digest: loaded.digest.to_string(),
        golden: bundle.has_golden(),
        golden_samples: bundle.has_samples(),
    };
    Ok(Found { loaded, row })
}

/// A warning for a model without golden samples, with the command that makes them.
fn unproved(row: &ModelRow) -> Option<String> {
    let ModelRow { name, golden, golden_samples, .. } = row;
    let what = match (golden, golden_samples) {
        (_, true) => return None,
        (true, false) => {
            "no golden samples: its preprocessing is not verified (normalize, layout, the order \
                          of channels and labels)"
        }
        (false, false) => {
            "neither golden vectors nor golden samples: its predictions are not verified on this \
             gateway"
        }
    };
    let how = "inferd infer FOLDER --samples RECORDING.csv --golden golden_samples.json";
    Some(format!("model {name} has {what}; make golden samples with `{how}`"))
}

fn unusable(place: usize, stream: &Stream, error: &BundleError) -> Problem {
    Problem {
        origin: None,
        path: format!("stream[{place}].model"),
        value: Some(Value::Text(stream.model.to_string())),
        reason: error.to_string(),
        allowed: String::new(),
    }
}

fn misfits(place: usize, stream: &Stream, loaded: &VerifiedModel) -> Vec<Problem> {
    let (card, model) = (&loaded.card, &loaded.model);
    let fit = pipeline::check_compatibility(stream, card, model.inputs(), model.outputs());
    let problem = |misfit: pipeline::CompatibilityError| Problem {
        origin: None,
        path: format!("stream[{place}] ({}) with model {}: {}", stream.name, card.name, misfit.key),
        value: None,
        reason: misfit.problem,
        allowed: String::new(),
    };
    fit.err().unwrap_or_default().into_iter().map(problem).collect()
}

/// The warnings of a model, for the first stream that uses it.
fn model_warnings(stream: &Stream, loaded: &VerifiedModel, before: &[StreamRow]) -> Vec<String> {
    let name = &loaded.card.name;
    if before.iter().any(|row| row.model == stream.model.as_str()) {
        return Vec::new();
    }
    let misfit = pipeline::baseline_misfit(stream, loaded).map(|why| {
        format!(
            "baseline.npz is not used, and the daemon learns another one: {why}; make one with \
             `inferctl baseline`"
        )
    });
    let warnings = loaded.warnings.iter().cloned().chain(misfit);
    warnings.map(|warning| format!("model {name}: {warning}")).collect()
}

fn render(report: &Report, path: &Path, rate: Rate) -> String {
    let mut out = String::new();
    for problem in &report.problems {
        out += &format!("{problem}\n");
    }
    for warning in &report.warnings {
        out += &format!("warning: {warning}\n");
    }
    if let Some(broker) = report.broker.as_ref().filter(|broker| broker.connected) {
        out += &broker_check::render(broker);
    }
    if !report.ok {
        let s = if report.problems.len() == 1 { "" } else { "s" };
        return out + &format!("{}: {} problem{s}\n", path.display(), report.problems.len());
    }
    let header = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut streams = vec![header(&["STREAM", "READS", "MODEL", "PUBLISHES"])];
    streams.extend(report.streams.iter().map(|row| {
        vec![row.name.clone(), row.topic.clone(), row.model.clone(), row.publishes.clone()]
    }));
    let mut models =
        vec![header(&["MODEL", "VERSION", "DIGEST", "GOLDEN VECTORS", "GOLDEN SAMPLES"])];
    models.extend(report.models.iter().map(|row| {
        let digest = row.digest.chars().take(16).collect();
        let held = |there| (if there { "passed" } else { "none" }).to_owned();
        let golden = [held(row.golden), held(row.golden_samples)];
        [vec![row.name.clone(), row.version.clone(), digest], golden.to_vec()].concat()
    }));
    if !report.streams.is_empty() {
        out += &format!("{}\n{}\n", table(&streams), table(&models));
    }
    if !report.wear.is_empty() {
        out += &flash_wear::render(&report.wear, rate);
    }
    out + &format!("{}: ok\n", path.display())
}
