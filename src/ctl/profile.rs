//! `inferctl profile`. A profile's settings become the defaults of options; the command line and the
//! environment override them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::config::profile::{KeyRole, Profile};
use crate::ctl::files::ensure_private;
use crate::terminal::{Exit, Failure, print, print_json};

const NAME: &str = "inferctl.toml";
/// The largest profile in bytes.
const MAX_PROFILE_BYTES: u64 = 1 << 20;

/// Show the profile in use and its settings
///
/// A profile holds defaults for options: broker, login, keysets and keys. It is the file named by
/// --profile or INFERCTL_PROFILE, else inferctl.toml in the current folder, else
/// ~/.config/inferd/inferctl.toml.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl profile
  inferctl profile --profile plant-2.toml --json")]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A profile, and where it was found.
#[derive(Debug, serde::Serialize)]
pub(super) struct Found {
    path: PathBuf,
    #[serde(flatten)]
    profile: Profile,
}

/// Which parts of the profile's login apply to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Login {
    /// The command is for the profile's broker.
    broker: bool,
    /// And for its user.
    user: bool,
}

pub(super) fn show(args: &Args, found: Option<&Found>) -> Result<(), Failure> {
    if args.json {
        return print_json(&found);
    }
    let Some(Found { path, profile }) = found else {
        return print(
            "no profile in use: there is no inferctl.toml in this folder or in \
                      ~/.config/inferd\n",
        );
    };
    let mut text = format!("{}\n", path.display());
    let mut line = |name: &str, value: &str| text += &format!("{name:<16}{value}\n");
    let broker = &profile.broker;
    let texts = [("url", &broker.url), ("username", &broker.username), ("prefix", &broker.prefix)];
    for (name, value) in texts {
        value.iter().for_each(|value| line(name, value));
    }
    let files = [
        ("password file", &broker.password_file),
        ("CA file", &broker.ca_file),
        ("client cert", &broker.client_cert_file),
        ("client key", &broker.client_key_file),
    ];
    for (name, path) in files {
        path.iter().for_each(|path| line(name, &path.display().to_string()));
    }
    profile.keysets.iter().for_each(|path| line("keyset", &path.display().to_string()));
    for key in &profile.keys {
        let role = if key.role == KeyRole::Deploy { "deploy key" } else { "release key" };
        line(role, &format!("{} ({})", key.name, key.file.display()));
    }
    print(&text)
}

/// The profile that these arguments and the environment ask for.
pub(super) fn find(args: &[OsString]) -> Result<Option<Found>, Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = named(args).or_else(|| variable("INFERCTL_PROFILE")) {
        return read(Path::new(&path)).map(Some);
    }
    let home = variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    let home = variable("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    let below = home.map(|folder| folder.join("inferd").join(NAME));
    let path = [Some(PathBuf::from(NAME)), below].into_iter().flatten().find(|path| path.exists());
    let Some(path) = path else { return Ok(None) };
    let owner = |path: &Path| fs::metadata(path).map(|found| found.uid());
    let failed = |error| Failure::io("read", &path, &error);
    let owned = [0, owner(Path::new("/proc/self")).map_err(failed)?];
    if !owned.contains(&owner(&path).map_err(failed)?) {
        let path = path.display();
        let message =
            format!("{path} belongs to another user; to use it anyway, give --profile {path}");
        return Err(Failure::new(Exit::Config, message));
    }
    read(&path).map(Some)
}

/// The value of `--profile`. The profile gives the defaults with which arguments are parsed, so it
/// is looked for before.
fn named(args: &[OsString]) -> Option<OsString> {
    let mut args = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--profile" {
            return args.next().cloned();
        }
        if let Some(path) = arg.to_str().and_then(|arg| arg.strip_prefix("--profile=")) {
            return Some(path.into());
        }
    }
    None
}

fn read(path: &Path) -> Result<Found, Failure> {
    let failed = |error| Failure::io("read", path, &error);
    let found = fs::metadata(path).map_err(failed)?;
    let wrong = |why: &str| Failure::new(Exit::Config, format!("{}: {why}", path.display()));
    if found.mode() & 0o002 != 0 {
        return Err(wrong(&format!("it is writable by every user: chmod o-w {}", path.display())));
    }
    if found.len() > MAX_PROFILE_BYTES {
        return Err(wrong("too large for a profile"));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let profile = Profile::parse(path, &text)
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    // A missing file may be on a medium that this command does not need.
    for file in profile.password_files().filter(|file| file.exists()) {
        ensure_private(file)?;
    }
    Ok(Found { path: path.to_owned(), profile })
}

/// Parses arguments with the defaults of a profile.
pub(super) fn parse(
    command: &Command,
    args: &[OsString],
    found: Option<&Found>,
) -> Result<ArgMatches, clap::Error> {
    let Some(Found { profile, .. }) = found else {
        return command.clone().try_get_matches_from(args);
    };
    let with = |login| with_defaults(command.clone(), "", profile, login);
    let all = Login { broker: true, user: true };
    let matches = with(all).try_get_matches_from(args)?;
    let login = login(&matches, profile);
    if login == all { Ok(matches) } else { with(login).try_get_matches_from(args) }
}

/// The profile's user and password apply to its own broker only.
fn login(matches: &ArgMatches, profile: &Profile) -> Login {
    let mut command = matches;
    while let Some((_, below)) = command.subcommand() {
        command = below;
    }
    let named = |id: &str| {
        let is_there = command.try_contains_id(id).unwrap_or(false);
        let explicit = is_there && command.value_source(id) != Some(ValueSource::DefaultValue);
        explicit.then(|| command.get_one::<String>(id)).flatten()
    };
    let is =
        |id: &str, own: &Option<String>| named(id).is_none_or(|named| own.as_ref() == Some(named));
    let broker = is("broker", &profile.broker.url);
    Login { broker, user: broker && is("username", &profile.broker.username) }
}

/// The command whose options have the profile's settings as defaults.
fn with_defaults(mut command: Command, name: &str, profile: &Profile, login: Login) -> Command {
    let ids: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    for id in ids {
        command = command.mut_arg(&id, |arg| with_default(arg, &id, name, profile, login));
    }
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(&name, |sub| with_defaults(sub, &name, profile, login));
    }
    command
}

fn with_default(arg: Arg, id: &str, name: &str, profile: &Profile, login: Login) -> Arg {
    let broker = &profile.broker;
    let of_broker = |path: &Option<PathBuf>| path.clone().filter(|_| login.broker);
    let one = |value: Option<OsString>| value.into_iter().collect::<Vec<_>>();
    let file = |path: Option<PathBuf>| one(path.map(PathBuf::into_os_string));
    let text = |text: &Option<String>| one(text.clone().map(OsString::from));
    let keys = |role: KeyRole| -> Vec<OsString> {
        let keys = profile.keys.iter().filter(|key| key.role == role);
        keys.map(|key| key.name.clone().into()).collect()
    };
    let values = match id {
        "broker" => text(&broker.url),
        "username" if login.broker => text(&broker.username),
        "broker_password" if login.user => file(broker.password_file.clone()),
        "ca_file" => file(of_broker(&broker.ca_file)),
        "client_cert" => file(of_broker(&broker.client_cert_file)),
        "client_key" => file(of_broker(&broker.client_key_file)),
        "prefix" => text(&broker.prefix),
        "keyset" => profile.keysets.iter().map(|path| path.clone().into_os_string()).collect(),
        "key" if name == "sign" => keys(KeyRole::Release),
        "key" => keys(KeyRole::Deploy),
        "key_password_file" if name != "keygen" => {
            profile.key_password_files().map(|path| path.clone().into_os_string()).collect()
        }
        _ => Vec::new(),
    };
    let arg = match id {
        "key" | "release_key" | "release" | "deploy" | "sign_with" => by_name(arg, profile),
        _ => arg,
    };
    if values.is_empty() { arg } else { arg.required(false).default_values(values) }
}

/// Takes a key's name in the place of its file.
fn by_name(arg: Arg, profile: &Profile) -> Arg {
    let profile = profile.clone();
    arg.value_parser(move |text: &str| -> Result<PathBuf, String> {
        Ok(profile.key(text).map_or_else(|| PathBuf::from(text), |key| key.file.clone()))
    })
}
