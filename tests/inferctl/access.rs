//! The shipped example of an access list lets each do its own and no more.

use std::path::Path;
use std::process::Command;

use crate::common::broker::Mosquitto;
use crate::common::skipped;
use crate::inferctl::workspace::{Ended, Workspace};

#[test]
fn with_the_example_access_list_gateways_report_and_only_operators_deploy() {
    let test = "the example access list";
    let acl = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mosquitto.acl.example");
    let extra = "allow_anonymous false\nacl_file {dir}/acl\npassword_file {dir}/passwords\n";
    let broker = Mosquitto::start_with(extra, |dir| {
        std::fs::copy(&acl, dir.join("acl")).unwrap();
        std::fs::write(dir.join("passwords"), "operator:secret\ngw-1:secret\n").unwrap();
        let hashed = Command::new("mosquitto_passwd").arg("-U").arg(dir.join("passwords")).status();
        assert!(hashed.unwrap().success());
    });
    let Some(broker) = broker else { return skipped(test, "mosquitto is not installed") };
    let workspace = Workspace::new();
    workspace.pack(&["--counter", "1", "--out", "m.bundle"]);
    workspace.run_ok(&["sign", "m.bundle", "--key", "release.key", "--password-file", "password"]);
    let secret = workspace.folder.path().join("secret");
    std::fs::write(&secret, "secret\n").unwrap();
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let run = |user: &str, args: &[&str]| -> Ended {
        let login = ["--broker", &url, "--username", user, "--password-file", "secret"];
        workspace.run(&[args, &login].concat())
    };
    let publish = ["publish", "m.bundle", "--keyset", "keyset-1.json"];
    assert!(run("operator", &publish).err.contains("chmod 600"), "the password is for its owner");
    Command::new("chmod").arg("600").arg(&secret).status().unwrap();
    let good = run("operator", &publish);
    assert_eq!(good.code, 0, "{}", good.err);
    let all = run("gw-1", &[&publish[..], &["--all"]].concat());
    assert_eq!(all.code, 1);
    assert!(all.err.contains("not-authorized"), "{}", all.err);
    let port = broker.port().to_string();
    let say = |topic: &str| {
        let args = ["-p", &port, "-u", "gw-1", "-P", "secret", "-V", "5", "-q", "1", "-r"];
        let message = r#"{"state":"online","groups":[]}"#;
        let mut command = Command::new("mosquitto_pub");
        let output = command.args(args).args(["-t", topic, "-m", message]);
        // Refused publishes have an exit code of their own.
        assert!(output.output().unwrap().status.code().is_some());
    };
    for topic in ["inferd/v1/gw-1/status", "inferd/v1/gw-2/status"] {
        say(topic);
    }
    let fleet = run("operator", &["fleet", "--json"]).out;
    assert!(fleet.contains("gw-1") && !fleet.contains("gw-2"), "{fleet}");
    assert_eq!(run("nobody", &["fleet"]).code, 69);
}
