//! `inferctl.toml`: an operator's settings, so that they need not be given with every command.

use std::path::{Path, PathBuf};

use super::load::ConfigError;
use super::problem::Problems;
use super::schema::DefaultValue::{Required, Unset, Value};
use super::schema::{Kind, OptionSpec, options};
use super::section::Section;
use super::tree::Node;
use super::{docs, validate};

const FILE: Kind =
    Kind::Text { max: 4096, form: "the path of a file, relative to the profile's folder" };
const NAME: Kind = Kind::Text { max: 64, form: "a name" };
const ROLES: &[(&str, KeyRole)] = &[("deploy", KeyRole::Deploy), ("release", KeyRole::Release)];

/// In the order of the documentation.
pub const REFERENCE: &[OptionSpec] = options! {
    "keysets": Kind::Strings { max: 256, form: "paths" } => Value("[]"),
        "The keysets, from the one gateways are provisioned with to the current one: `--keyset`.";

    "broker.url": Kind::Text { max: 300, form: "mqtt://HOST:PORT or mqtts://HOST:PORT" }
        => Unset, eg "\"mqtts://broker.example\"",
        "Address of the broker: `--broker`. The other options of this table apply to this broker \
         only.";
    "broker.username": Kind::Text { max: 256, form: "a user name" } => Unset, eg "\"operator\"",
        "MQTT user name: `--username`.";
    "broker.password_file": FILE => Unset, eg "\"operator.password\"",
        "File (mode 0600) with the password on its first line: `--password-file`.";
    "broker.ca_file": FILE => Unset, eg "\"ca.pem\"",
        "PEM file with the CA certificates to trust instead of the system's: `--ca-file`.";
    "broker.client_cert_file": FILE => Unset, eg "\"operator.pem\"",
        "PEM file with the client certificate: `--client-cert`.";
    "broker.client_key_file": FILE => Unset, eg "\"operator.key\"",
        "PEM file with the private key of that certificate: `--client-key`.";
    "broker.prefix": Kind::Text { max: 1024, form: "a topic" } => Unset, eg "\"inferd/v1\"",
        "Prefix of the fleet's topics: `--prefix`.";

    "key[].name": NAME => Required, eg "\"release\"",
        "Name by which options refer to the key: `--key release`.";
    "key[].role": Kind::Choice(&["deploy", "release"]) => Required, eg "\"release\"",
        "deploy: the default of `--key` for `rollout` and `rollback`. release: the default for \
         `sign`. `rollback` does not use a release key unless `--release-key` names one.";
    "key[].file": FILE => Required, eg "\"release.key\"",
        "The key file.";
    "key[].password_file": FILE => Unset, eg "\"release.password\"",
        "File (mode 0600) with the password of the key on its first line. Without it, `inferctl` \
         asks for the password.";
};

/// The tables in the order of the documentation, with what each is about.
pub const TABLES: &[(&str, &str)] = &[
    ("", "Trusted keysets."),
    ("broker", "The connection to the MQTT broker."),
    ("key[]", "A signing key. One table for each key."),
];

const PAGE_HEAD: &str = "\
# The profile of inferctl

This page is generated from the table in `src/config/profile.rs`, which also validates values. To regenerate it, run
`INFERD_WRITE_REFERENCE=1 cargo test --lib config`.

`inferctl` reads one file of settings: the first of the file given by `--profile`, the file given by `INFERCTL_PROFILE`, `inferctl.toml` in the current folder,
and `$XDG_CONFIG_HOME/inferd/inferctl.toml` (`XDG_CONFIG_HOME` defaults to `~/.config`). Command-line options override environment variables, which override the
profile. The user name, password and certificates of the profile are sent only to the broker of the profile. Unknown options are errors. `inferctl profile`
shows which file is read and its values.

A profile that was not given explicitly must be owned by you or by root. A profile must not be world-writable, and files with passwords must be readable by the
owner only (mode 0600).

```toml
keysets = [\"keyset-1.json\", \"keyset-2.json\"]

[broker]
url = \"mqtts://broker.example\"
username = \"operator\"
password_file = \"operator.password\"

[[key]]
name = \"deploy\"
role = \"deploy\"
file = \"deploy.key\"

[[key]]
name = \"release\"
role = \"release\"
file = \"/media/usb/release.key\"
```
";

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    Deploy,
    Release,
}

/// A profile; its paths are full where its own is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Profile {
    pub keysets: Vec<PathBuf>,
    pub broker: ProfileBroker,
    #[serde(rename = "key")]
    pub keys: Vec<ProfileKey>,
}

/// `[broker]`
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ProfileBroker {
    pub url: Option<String>,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub client_cert_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    pub prefix: Option<String>,
}

/// `[[key]]`
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProfileKey {
    pub name: String,
    pub role: KeyRole,
    pub file: PathBuf,
    pub password_file: Option<PathBuf>,
}

impl Profile {
    /// Reads a profile's text; `path` is where it was found. The files it names are not looked for.
    ///
    /// # Errors
    /// Every problem of the text, with its line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let problems = Problems::default();
        let node = Node::parse(&path.display().to_string(), text, &problems);
        let root = Section::root(REFERENCE, &node, &problems);
        let folder = path.parent().unwrap_or(Path::new(""));
        let keysets = root.strings("keysets").iter().map(|text| folder.join(text)).collect();
        let keys: Vec<_> =
            root.sections("key").iter().filter_map(|section| key(section, folder)).collect();
        for (index, section) in root.sections("key").iter().enumerate() {
            let name = section.text_if("name");
            if keys.iter().take(index).any(|key| Some(&key.name) == name.as_ref()) {
                section.problem("name", "duplicate key name", "");
            }
        }
        let profile = Self { keysets, broker: broker(&root.section("broker"), folder), keys };
        let problems = problems.into_sorted();
        if problems.is_empty() { Ok(profile) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&ProfileKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The files that hold passwords.
    pub fn password_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.broker.password_file.iter().chain(self.key_password_files())
    }

    /// The files that hold passwords of keys.
    pub fn key_password_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.keys.iter().filter_map(|key| key.password_file.as_ref())
    }
}

fn key(section: &Section<'_>, folder: &Path) -> Option<ProfileKey> {
    let name = section.text_if("name");
    let role = section.choice("role", ROLES);
    let file = section.path_if("file").map(|path| folder.join(path));
    let password_file = section.path_if("password_file").map(|path| folder.join(path));
    Some(ProfileKey { name: name?, role: role?, file: file?, password_file })
}

fn broker(section: &Section<'_>, folder: &Path) -> ProfileBroker {
    let file = |key: &str| section.path_if(key).map(|path| folder.join(path));
    let url = section.parsed("url", |text| match validate::Url::parse(text) {
        Err(_) if text.contains('@') => Err("contains a user name: set `username` instead"),
        parsed => parsed.map(|_| text.to_owned()),
    });
    let broker = ProfileBroker {
        url,
        username: section.text_if("username"),
        password_file: file("password_file"),
        ca_file: file("ca_file"),
        client_cert_file: file("client_cert_file"),
        client_key_file: file("client_key_file"),
        prefix: section.text_if("prefix"),
    };
    if broker.password_file.is_some() && broker.username.is_none() {
        section.problem("password_file", "a password without a user name", "username");
    }
    let pair = [("client_cert_file", "client_key_file"), ("client_key_file", "client_cert_file")];
    for (one, other) in pair {
        if section.has(one) && !section.has(other) {
            section.problem(one, format!("given without {other}"), other);
        }
    }
    let encrypted = broker.url.as_ref().is_some_and(|url| url.starts_with("mqtts://"));
    for key in ["ca_file", "client_cert_file", "client_key_file"] {
        if section.has(key) && !encrypted {
            section.problem(key, "the connection is not TLS", "url = \"mqtts://…\"");
        }
    }
    broker
}

/// `docs/profile.md`
#[must_use]
pub fn page() -> String {
    format!("{PAGE_HEAD}{}", docs::tables(REFERENCE, TABLES))
}
