//! A profile says what need not be said with every command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Setup;
use super::fake_gateways::{FakeGateways, GROUP};
use crate::inferctl::workspace::{Ended, Workspace};

/// Runs `inferctl` with these variables, and in this folder.
fn run(folder: &Path, vars: &[(&str, &str)], args: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_inferctl"))
        .args(args)
        .env_clear()
        .envs(vars.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run_ok(folder: &Path, args: &[&str]) -> String {
    let ended = run(folder, &[], args);
    assert_eq!(ended.code, 0, "{args:?}: {}{}", ended.out, ended.err);
    ended.out
}

const KEYS: &str = r#"
[[key]]
name = "daily"
role = "deploy"
file = "deploy.key"
[[key]]
name = "offline"
role = "release"
file = "release.key"
password_file = "password"
"#;

/// A profile in the workspace's folder.
fn profile(workspace: &Workspace, head: &str) {
    let folder = workspace.folder.path();
    fs::set_permissions(folder.join("password"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("inferctl.toml"), format!("{head}{KEYS}")).unwrap();
}

#[test]
fn a_release_is_made_and_rolled_out_and_back_with_a_profile_alone() {
    let Some(setup) = Setup::open("a profile") else { return };
    let _fakes = FakeGateways::start(setup.broker.port(), 2, |_| "committed");
    let url = setup.url();
    profile(
        &setup.workspace,
        &format!("keysets = [\"keyset-1.json\"]\n[broker]\nurl = \"{url}\"\n"),
    );
    let folder = setup.workspace.folder.path();
    for counter in ["1", "2"] {
        let out = format!("motion-{counter}.bundle");
        setup.workspace.pack(&["--counter", counter, "--out", &out]);
        run_ok(folder, &["sign", &out]);
        run_ok(folder, &["verify", &out]);
        run_ok(folder, &["publish", &out]);
    }
    let to = ["--model", "motion", "--group", GROUP];
    let quick = ["--waves", "100%", "--soak", "0s"];
    let start = ["rollout", "start", "--bundle", "motion-2.bundle", "--record", "r"];
    run_ok(folder, &[&start[..], &to, &quick].concat());
    let back = ["rollback", "--to", "motion-1.bundle", "--record", "b"];
    // A release key signs only where it is named.
    let unnamed = run(folder, &[], &[&back[..], &to].concat());
    assert_eq!(unnamed.code, 1, "{}", unnamed.out);
    run_ok(folder, &[&back[..], &to, &["--release-key", "offline"]].concat());
    assert!(run_ok(folder, &["fleet"]).contains("gw-0"));

    // From elsewhere: paths start at the profile's folder.
    let (elsewhere, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.join("inferctl.toml");
    let given = path.to_str().unwrap();
    let bundle = folder.join("motion-1.bundle");
    let verify = ["verify", bundle.to_str().unwrap()];
    assert_eq!(run(elsewhere.path(), &[], &verify).code, 2, "there is no profile");
    run_ok(elsewhere.path(), &[&verify[..], &["--profile", given]].concat());
    assert_eq!(run(elsewhere.path(), &[("INFERCTL_PROFILE", given)], &verify).code, 0);
    fs::create_dir_all(home.path().join(".config/inferd")).unwrap();
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"keyset-1.json\"", &format!("{:?}", folder.join("keyset-1.json")));
    fs::write(home.path().join(".config/inferd/inferctl.toml"), text).unwrap();
    let ended = run(elsewhere.path(), &[("HOME", home.path().to_str().unwrap())], &verify);
    assert_eq!(ended.code, 0, "{}", ended.err);
}

#[test]
fn options_and_the_environment_win_over_a_profile() {
    let Some(setup) = Setup::open("a profile and options") else { return };
    let _fakes = FakeGateways::start(setup.broker.port(), 1, |_| "committed");
    let nowhere = "[broker]\nurl = \"mqtt://127.0.0.1:1\"\nusername = \"operator\"\npassword_file \
                   = \"password\"\n";
    profile(&setup.workspace, nowhere);
    let (folder, url) = (setup.workspace.folder.path(), setup.url());
    assert_eq!(run(folder, &[], &["fleet"]).code, 69, "the profile's broker is not there");
    assert!(run_ok(folder, &["fleet", "--broker", &url]).contains("gw-0"));
    let by_variable = run(folder, &[("INFERCTL_BROKER", &url)], &["fleet"]);
    assert!(by_variable.out.contains("gw-0"), "{}", by_variable.err);
    let other =
        run(folder, &[("INFERCTL_BROKER", &url)], &["fleet", "--broker", "mqtt://127.0.0.1:2"]);
    assert_eq!(other.code, 69, "an option wins over the environment");
    assert!(other.err.contains("127.0.0.1:2"), "{}", other.err);
    // Another user has another password: without a terminal the name alone is sent.
    let ended = run(folder, &[], &["fleet", "--username", "guest", "--broker", &url]);
    assert!(ended.code == 0 && ended.out.contains("gw-0"), "{}", ended.err);
}

#[test]
fn a_password_is_sent_to_no_other_broker_than_the_profile_s() {
    let workspace = Workspace::new();
    profile(
        &workspace,
        "[broker]\nurl = \"mqtt://127.0.0.1:1\"\nusername = \"operator\"\npassword_file = \
         \"password\"\n",
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let heard = std::thread::spawn(move || {
        use std::io::Read as _;
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = vec![0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        bytes.truncate(count);
        bytes
    });
    let ended = run(workspace.folder.path(), &[], &["fleet", "--broker", &url]);
    assert_eq!(ended.code, 69);
    let connect = String::from_utf8_lossy(&heard.join().unwrap()).into_owned();
    assert!(connect.contains("inferctl-"), "it tried to connect: {connect:?}");
    assert!(!connect.contains("operator") && !connect.contains("correct horse"), "{connect:?}");
}

#[test]
fn what_is_wrong_in_a_profile_is_refused_with_its_place() {
    let workspace = Workspace::new();
    let folder = workspace.folder.path();
    let refused = |text: &str| {
        fs::write(folder.join("inferctl.toml"), text).unwrap();
        let ended = run(folder, &[], &["fleet"]);
        assert_eq!(ended.code, 78, "{text}: {}{}", ended.out, ended.err);
        // Help is there all the same.
        assert_eq!(run(folder, &[], &["fleet", "--help"]).code, 0);
        ended.err
    };
    let told = refused("[broker]\nurl = \"mqtt://b.example\"\nuser = \"x\"\n");
    assert!(told.contains("inferctl.toml:3") && told.contains("broker.user"), "{told}");
    assert!(refused("keyset = [\"a\"]\n").contains("did you mean \"keysets\"?"));
    assert!(
        refused("[[key]]\nname = \"a\"\nrole = \"boss\"\nfile = \"a.key\"\n")
            .contains("not one of the allowed values")
    );
    assert!(refused("[[key]]\nname = \"a\"\n").contains("missing"));
    let twice = "[[key]]\nname = \"a\"\nrole = \"deploy\"\nfile = \"a.key\"\n".repeat(2);
    assert!(refused(&twice).contains("duplicate key name"));
    assert!(refused("[broker]\nurl = \"tcp://b\"\n").contains("unknown scheme"));
    assert!(refused("[broker]\nurl = \"mqtt://me@b\"\n").contains("`username`"));
    assert!(refused("[broker]\nurl = \"mqtt://b\"\nca_file = \"ca.pem\"\n").contains("not TLS"));
    assert!(refused("[broker]\npassword_file = \"password\"\n").contains("without a user"));
    assert!(refused("keysets = [\n").contains("not TOML"));
    let missing = run(folder, &[], &["fleet", "--profile", "none.toml"]);
    assert_eq!(missing.code, 74, "{}", missing.err);

    // Secrets that others can read, and a profile that others can write.
    profile(&workspace, "");
    fs::set_permissions(folder.join("password"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(run(folder, &[], &["fleet"]).err.contains("chmod 600"));
    fs::set_permissions(folder.join("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let path = folder.join("inferctl.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let ended = run(folder, &[], &["profile"]);
    assert!(ended.code == 78 && ended.err.contains("chmod o-w"), "{}", ended.err);
}

#[test]
fn the_profile_in_use_is_shown() {
    let workspace = Workspace::new();
    let folder = workspace.folder.path();
    assert!(run_ok(folder, &["profile"]).contains("no profile"));
    profile(&workspace, "keysets = [\"keyset-1.json\"]\n[broker]\nurl = \"mqtt://b.example\"\n");
    let shown = run_ok(folder, &["profile"]);
    assert!(shown.contains("mqtt://b.example") && shown.contains("daily"), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&run_ok(folder, &["profile", "--json"])).unwrap();
    assert_eq!(
        (&json["path"], &json["key"][1]["name"]),
        (&"inferctl.toml".into(), &"offline".into())
    );
    // The example of the manual is one.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profile.md"));
    let page = page.unwrap();
    let example = page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    fs::write(folder.join("inferctl.toml"), example).unwrap();
    fs::write(folder.join("operator.password"), "secret\n").unwrap();
    fs::set_permissions(folder.join("operator.password"), fs::Permissions::from_mode(0o600))
        .unwrap();
    assert!(run_ok(folder, &["profile"]).contains("mqtts://broker.example"));
}
