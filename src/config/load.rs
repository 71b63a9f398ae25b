//! Loads a configuration from files and environment variables.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::origin::Origin;
use super::problem::{Problem, Problems};
use super::reference::REFERENCE;
use super::schema::Kind;
use super::tree::{Node, Value};
use super::unknown::option_at;
use super::{Config, Containment, identity, secret_files, validate};

/// A configuration is text that people write: more than this is a mistake.
const MAX_FILE_SIZE: u64 = 4 << 20;

/// The environment of a process: variables, host name, containment.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Environment variables; those that are not text cannot name an option.
    pub vars: Vec<(String, String)>,
    /// What `gateway.id` is where it is not written.
    pub host_name: Option<String>,
    /// Whether that is of a container.
    pub within: Containment,
}

impl Environment {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let vars = std::env::vars_os();
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        let host_name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let marks = ["/.dockerenv", "/run/.containerenv"];
        let pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let container = pod
            || std::env::var_os("container").is_some()
            || std::process::id() == 1
            || marks.iter().any(|mark| Path::new(mark).exists());
        Self {
            vars: vars.filter_map(text).collect(),
            within: Containment { container, pod },
            host_name: host_name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        }
    }

    pub(super) fn var(&self, key: &str) -> Option<&str> {
        self.vars.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The configuration file: `given`, else `INFERD_CONFIG`, else `/etc/inferd/inferd.toml`.
    #[must_use]
    pub fn config_file(&self, given: Option<&Path>) -> PathBuf {
        let named = given.or_else(|| self.var("INFERD_CONFIG").map(Path::new));
        named.unwrap_or(Path::new("/etc/inferd/inferd.toml")).to_owned()
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}{advice}", path = path.display(), advice = advice(source))]
    Read { path: PathBuf, source: io::Error },
    #[error("{}", listed(.0))]
    Invalid(Vec<Problem>),
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "; set the path with --config or INFERD_CONFIG, or create the file from the output of \
             `inferd check --reference`"
        }
        _ => "",
    }
}

fn listed(problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "1 error in the configuration".to_owned(),
        n => format!("{n} errors in the configuration"),
    };
    problems.iter().fold(count, |text, problem| format!("{text}\n  {problem}"))
}

impl Config {
    /// Reads a configuration file, the files of `conf.d` beside it in the order of their names, and
    /// what the environment overrides.
    ///
    /// # Errors
    /// A file that cannot be read, or every problem of what was read.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        match Self::inspect(path, environment)? {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(ConfigError::Invalid(problems)),
        }
    }

    /// As [`Config::load`], with what could be made of a configuration that has problems: defaults
    /// stand where values are wrong. Not to be run.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn inspect(
        path: &Path,
        environment: &Environment,
    ) -> Result<(Option<Self>, Vec<Problem>), ConfigError> {
        let problems = Problems::default();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut root = Node::parse(&path.display().to_string(), &read(path)?, &problems);
        for path in drop_ins(&folder.join("conf.d"))? {
            root.merge(Node::parse(&path.display().to_string(), &read(&path)?, &problems));
        }
        override_from(environment, &mut root, &problems);
        let credentials = environment.var("CREDENTIALS_DIRECTORY").map(Path::new);
        let places = secret_files::Places { folder, credentials };
        let notes = secret_files::resolve(REFERENCE, &mut root, &places, &problems);
        secret_files::look_up_variables(REFERENCE, &root, environment, &problems);
        let named = root.get("gateway").and_then(|gateway| gateway.get("id")).is_some();
        let host_name = environment.host_name.as_deref().filter(|_| !named);
        let (mut config, mut problems) = finish(root, host_name, problems);
        if let Some(config) = &mut config {
            problems.extend(config.read_descriptors());
            config.notes = notes;
            config.identity_warning =
                host_name.and_then(|name| identity::host_name_warning(name, environment.within));
        }
        Ok((config, problems))
    }

    /// Reads a configuration from one text; touches no file, and does not look for those it names.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let problems = Problems::default();
        let root = Node::parse("inferd.toml", text, &problems);
        match finish(root, Some("localhost"), problems) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(ConfigError::Invalid(problems)),
        }
    }

    /// What is allowed and probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.notes.clone();
        if self.streams.is_empty() {
            warnings.push("no [[stream]] is configured: no model will run".to_owned());
        }
        if self.broker.login.is_some() && self.broker.tls.is_none() && !self.broker.is_local() {
            warnings
                .push("the password is sent to the broker unencrypted: use mqtts://".to_owned());
        }
        warnings.extend(self.identity_warning.clone());
        warnings
    }
}

impl super::Broker {
    fn is_local(&self) -> bool {
        let host = self.host.as_str();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

fn finish(
    mut root: Node,
    host_name: Option<&str>,
    problems: Problems,
) -> (Option<Config>, Vec<Problem>) {
    let origin = Origin::Other("host name".into());
    if let Some(name) = host_name
        && let Some(Node { value: Value::Table(gateway), .. }) = root.place(&["gateway"], &origin)
    {
        let named = || Node { origin, value: Value::Text(name.to_owned()) };
        gateway.entry("id".to_owned()).or_insert_with(named);
    }
    (validate::config(&root, &problems), problems.into_sorted())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_FILE_SIZE {
        let text = format!("the file has {length} bytes; the maximum is {MAX_FILE_SIZE}");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, text)));
    }
    fs::read_to_string(path).map_err(failed)
}

/// The `*.toml` files of a folder by name; none where there is no folder.
fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

/// Puts `INFERD__BROKER__HOST` in the place of `broker.host`, and so on.
fn override_from(environment: &Environment, root: &mut Node, problems: &Problems) {
    let mut vars: Vec<_> = environment.vars.iter().collect();
    vars.sort();
    for (key, text) in vars {
        let Some(path) = key.strip_prefix("INFERD__") else { continue };
        let origin = Origin::Other(Arc::from(format!("environment {key}")));
        let path = path.to_ascii_lowercase();
        let path: Vec<&str> = path.split("__").collect();
        let Some(kind) = option_at(REFERENCE, &path) else {
            problems.add(unusable(origin, &path, "unknown option"));
            continue;
        };
        match root.place(&path, &origin) {
            Some(place) => *place = Node { value: from_text(kind, text), origin },
            None => problems.add(unusable(origin, &path, "there is no such stream")),
        }
    }
}

fn unusable(origin: Origin, path: &[&str], reason: &str) -> Problem {
    let allowed = "INFERD__TABLE__OPTION, for a stream INFERD__STREAM__0__OPTION".to_owned();
    let (path, reason) = (path.join("."), reason.to_owned());
    Problem { origin: Some(origin), path, value: None, reason, allowed }
}

/// A variable is text: it is TOML only where the option is not.
fn from_text(kind: Kind, text: &str) -> Value {
    let as_text = || Value::Text(text.to_owned());
    match kind {
        Kind::Text { .. }
        | Kind::Choice(_)
        | Kind::Duration { .. }
        | Kind::Folder
        | Kind::File
        | Kind::Secret
        | Kind::Env => as_text(),
        Kind::Bool
        | Kind::Int { .. }
        | Kind::Float { .. }
        | Kind::Size { .. }
        | Kind::Strings { .. }
        | Kind::Names { .. }
        | Kind::Floats { .. }
        | Kind::Counts { .. }
        | Kind::Scalars { .. } => {
            Node::value(text, &Origin::Other("".into())).map_or_else(as_text, |node| node.value)
        }
    }
}

impl fmt::Display for super::Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "mqtts" } else { "mqtt" };
        let (left, right) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{left}{}{right}:{}", self.host, self.port)
    }
}
