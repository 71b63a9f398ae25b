//! The files and variables a configuration comes from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tempfile::TempDir;

use super::{STREAM, problem};
use crate::config::*;
use crate::message::Qos;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    folder
}

fn environment(vars: &[(&str, &str)]) -> Environment {
    let vars = vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Environment { vars, host_name: Some("board".into()), ..Environment::default() }
}

fn load(folder: &TempDir, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(&folder.path().join("inferd.toml"), &environment(vars))
}

fn mode(folder: &TempDir, name: &str, mode: u32) {
    fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn conf_d_is_merged_in_the_order_of_names() {
    let folder = folder(&[
        ("inferd.toml", &format!("[broker]\nurl = \"mqtt://a\"\nin_flight = 5\n{STREAM}")),
        ("conf.d/20-site.toml", "[broker]\nin_flight = 7\n"),
        ("conf.d/10-site.toml", "[broker]\nin_flight = 6\nkeep_alive = \"9s\"\n"),
        ("conf.d/30-more.toml", &STREAM.replace("name = \"motion\"", "name = \"second\"")),
        ("conf.d/notes.txt", "not read"),
    ]);
    let config = load(&folder, &[]).unwrap();
    assert_eq!(config.broker.in_flight, 7);
    assert_eq!(config.broker.keep_alive, Duration::from_secs(9));
    assert_eq!(config.broker.host, "a");
    let names: Vec<_> = config.streams.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["motion", "second"]);
    assert_eq!(config.gateway.id.as_str(), "board");
}

#[test]
fn a_problem_names_the_file_it_is_in() {
    let folder = folder(&[("inferd.toml", ""), ("conf.d/a.toml", "\n[broker]\nin_flight = 0\n")]);
    let shown = load(&folder, &[]).unwrap_err().to_string();
    assert!(shown.contains("conf.d/a.toml:3: broker.in_flight = 0: too small"), "{shown}");
}

#[test]
fn the_environment_wins() {
    let folder = folder(&[("inferd.toml", &format!("[broker]\nurl = \"mqtts://a:1\"\n{STREAM}"))]);
    let vars = [
        ("INFERD__BROKER__HOST", "10.0.0.5"),
        ("INFERD__BROKER__PORT", "2883"),
        ("INFERD__BROKER__MAX_PACKET", "2MiB"),
        ("INFERD__GATEWAY__GROUPS", "[\"beta\"]"),
        ("INFERD__GATEWAY__ID", "17"),
        ("INFERD__STREAM__0__QOS", "0"),
        ("INFERD__STREAM__0__PUBLISH__RETAIN", "true"),
        ("INFERD_CONFIG", "is no override"),
    ];
    let config = load(&folder, &vars).unwrap();
    assert_eq!(config.broker.to_string(), "mqtts://10.0.0.5:2883");
    assert_eq!(config.broker.max_packet, 2 << 20);
    assert_eq!(config.gateway.groups, ["beta"]);
    assert_eq!(config.gateway.id.as_str(), "17");
    assert_eq!(config.streams[0].qos, Qos::AtMostOnce);
    assert_eq!(config.streams[0].guarantee, Guarantee::BestEffort);
    assert!(config.streams[0].publish.retain);
}

#[test]
fn a_variable_that_sets_nothing_is_a_problem() {
    let folder = folder(&[("inferd.toml", "")]);
    let vars = [
        ("INFERD__BROKER__HOTS", "x"),
        ("INFERD__BROKER__PORT", "many"),
        ("INFERD__STREAM__0__QOS", "1"),
    ];
    let shown = load(&folder, &vars).unwrap_err().to_string();
    assert!(
        shown.contains("environment INFERD__BROKER__HOTS: broker.hots: unknown option"),
        "{shown}"
    );
    assert!(shown.contains("broker.port = \"many\": not an integer"), "{shown}");
    assert!(shown.contains("stream.0.qos: there is no such stream"), "{shown}");
}

#[test]
fn secrets_are_files_closed_to_others() {
    let text = "[broker]\ncredentials = { username = \"u\", password_file = \"password\" }\n";
    let folder = folder(&[("inferd.toml", text)]);
    let shown = load(&folder, &[]).unwrap_err().to_string();
    assert!(shown.contains("broker.credentials.password_file"), "{shown}");
    assert!(shown.contains("cannot be read: No such file"), "{shown}");

    fs::write(folder.path().join("password"), "secret").unwrap();
    for (bad, text) in [(0o602, "other users can modify it"), (0o660, "other users can modify it")]
    {
        mode(&folder, "password", bad);
        let shown = load(&folder, &[]).unwrap_err().to_string();
        assert!(shown.contains(&format!("its mode is {bad:04o}")), "{shown}");
        assert!(shown.contains(text) && shown.contains("0600"), "{shown}");
    }
    let path = folder.path().join("password");
    for good in [0o600, 0o400] {
        mode(&folder, "password", good);
        let config = load(&folder, &[]).unwrap();
        assert_eq!(config.broker.login.as_ref().unwrap().password, Password::File(path.clone()));
        assert!(config.notes.is_empty());
    }
}

#[test]
fn secrets_of_containers_are_taken_with_a_warning() {
    let text = "[broker]\ncredentials = { username = \"u\", password_file = \"password\" }\n";
    // Kubernetes mounts a link to a link to the file.
    let folder = folder(&[("inferd.toml", text), ("..2026/password", "secret")]);
    std::os::unix::fs::symlink("..2026", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/password", folder.path().join("password")).unwrap();
    for open in [0o444, 0o644, 0o640, 0o440] {
        mode(&folder, "..2026/password", open);
        let config = load(&folder, &[]).unwrap();
        let warnings = config.warnings().join("\n");
        assert!(warnings.contains(&format!("(mode {open:04o})")), "{warnings}");
        assert!(warnings.contains("chmod 600"), "{warnings}");
    }
}

#[test]
fn a_password_may_be_a_variable_or_missing() {
    let with = |more: &str| format!("[broker]\ncredentials = {{ username = \"u\"{more} }}\n");
    let folder = folder(&[("inferd.toml", &with(", password_env = \"PW\""))]);
    let config = load(&folder, &[("PW", "se:cret")]).unwrap();
    assert!(!format!("{config:?}").contains("se:cret"), "a secret in the debug output");
    assert_eq!(config.broker.login.unwrap().password, Password::Env("PW".into()));
    for (vars, text) in [(&[][..], "is not set"), (&[("PW", "\n")][..], "is empty")] {
        let shown = load(&folder, vars).unwrap_err().to_string();
        assert!(shown.contains("password_env") && shown.contains(text), "{shown}");
    }
    fs::write(folder.path().join("inferd.toml"), with("")).unwrap();
    assert_eq!(load(&folder, &[]).unwrap().broker.login.unwrap().password, Password::None);
    fs::write(
        folder.path().join("inferd.toml"),
        with(", password_file = \"pw\", password_env = \"PW\""),
    )
    .unwrap();
    fs::write(folder.path().join("pw"), "x").unwrap();
    mode(&folder, "pw", 0o600);
    let shown = load(&folder, &[("PW", "x")]).unwrap_err().to_string();
    assert!(shown.contains("password_file is set too"), "{shown}");
}

#[test]
fn systemds_credentials_come_first() {
    let text = "[broker]\ncredentials = { username = \"u\", password_file = \"password\" }\n";
    let folder = folder(&[("inferd.toml", text), ("creds/password", "secret")]);
    // An access list shows as group bits.
    mode(&folder, "creds/password", 0o440);
    let creds = folder.path().join("creds");
    let config = load(&folder, &[("CREDENTIALS_DIRECTORY", creds.to_str().unwrap())]).unwrap();
    assert_eq!(config.broker.login.unwrap().password, Password::File(creds.join("password")));
    // Only the service has them; who checks by hand is told.
    let shown = load(&folder, &[]).unwrap_err().to_string();
    assert!(shown.contains("CREDENTIALS_DIRECTORY=/etc/credstore inferd check"), "{shown}");
}

#[test]
fn tls_files_are_looked_for_and_need_tls() {
    let text = "[broker]\nurl = \"mqtts://a\"\nca_file = \"ca.pem\"\n";
    let folder = folder(&[("inferd.toml", text), ("ca.pem", "")]);
    let tls = load(&folder, &[]).unwrap().broker.tls.unwrap();
    assert_eq!(tls.ca_file, Some(folder.path().join("ca.pem")));
    assert!(problem("[broker]\nca_file = \"ca.pem\"").contains("the connection is not TLS"));
    let half = "[broker]\nurl = \"mqtts://a\"\nclient_cert_file = \"c.pem\"";
    assert!(problem(half).contains("a certificate without its key"));
}

#[test]
fn descriptor_sets_are_read_within_bounds() {
    let text = |message: &str| {
        format!(
            "{STREAM}[stream.payload]\nformat = \"protobuf\"\ndescriptors = \"kinds.desc\"\n\
             message = {message:?}\n"
        )
    };
    let folder = folder(&[("inferd.toml", &text("kinds.Reading"))]);
    let set = include_bytes!("../../../tests/protobuf/kinds.desc");
    let told = || match load(&folder, &[]).unwrap_err() {
        ConfigError::Invalid(problems) if problems.len() == 1 => problems[0].to_string(),
        other => panic!("{other}"),
    };
    assert!(told().contains("kinds.desc"), "{}", told());
    let write = |set: &[u8]| fs::write(folder.path().join("kinds.desc"), set).unwrap();
    write(set);
    let config = load(&folder, &[]).unwrap();
    let protobuf = config.streams[0].payload.protobuf.as_ref().unwrap();
    assert_eq!(protobuf.descriptors, folder.path().join("kinds.desc"));
    assert_eq!(protobuf.types.as_ref().unwrap().root().unwrap().name, "kinds.Reading");
    write(&set.repeat(10_000_000 / set.len()));
    assert!(told().contains("has more than 4194304 bytes"), "{}", told());
    write(b"syntax = \"proto3\";");
    assert!(told().contains("is no descriptor set of protoc"), "{}", told());
    write(set);
    fs::write(folder.path().join("inferd.toml"), text("Reading")).unwrap();
    assert!(told().contains("has no message Reading; it has kinds.Reading"), "{}", told());
}
