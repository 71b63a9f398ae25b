//! Passwords are asked for on a terminal, and are not shown.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Setup;
use crate::common::skipped;
use crate::inferctl::workspace::Workspace;

/// Runs a command on a terminal of its own, and answers each prompt when it has come.
const TYPIST: &str = r#"
import json, os, pty, signal, sys, termios
signal.alarm(120)
command, answers = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
before = termios.tcgetattr(terminal)[3]
shown = at = b""
for prompt, answer in answers:
    while prompt.encode() not in at:
        try:
            more = os.read(terminal, 1024)
        except OSError:
            more = b""
        if not more:
            break
        at += more
        shown += more
    at = at.partition(prompt.encode())[2]
    os.write(terminal, answer.encode())
while True:
    try:
        more = os.read(terminal, 1024)
    except OSError:
        break
    if not more:
        break
    shown += more
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
restored = termios.tcgetattr(terminal)[3] == before
print(json.dumps({"code": code, "shown": shown.decode(), "restored": restored}))
"#;

pub(super) fn python() -> String {
    std::env::var("INFERD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Runs `inferctl` on a terminal of its own: its exit code, and what was shown.
pub(super) fn on_terminal(folder: &Path, args: &[&str], answers: &[(&str, &str)]) -> Value {
    let command = [&[env!("CARGO_BIN_EXE_inferctl")], args].concat();
    let job = serde_json::json!([command, answers]).to_string();
    let output = Command::new(python())
        .args(["-c", TYPIST, &job])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// What was shown, if the command ended as it should.
fn typed(workspace: &Workspace, args: &[&str], answers: &[(&str, &str)], code: i64) -> String {
    let ended = on_terminal(workspace.folder.path(), args, answers);
    let shown = ended["shown"].as_str().unwrap().to_owned();
    assert_eq!(ended["code"], code, "{args:?}: {shown}");
    assert_eq!(ended["restored"], true, "the terminal shows what is typed again");
    for (_, answer) in answers {
        let answer = answer.trim();
        assert!(answer.is_empty() || !shown.contains(answer), "{shown}");
    }
    shown
}

#[test]
fn passwords_of_keys_are_asked_for_on_a_terminal_and_not_shown() {
    if Command::new(python()).arg("--version").output().is_err() {
        return skipped("passwords on a terminal", "Python is not installed");
    }
    let workspace = Workspace::new();
    let make = ["keygen", "--out", "typed.key"];
    let (first, second) = ("Password for the new key typed.key: ", "Repeat the password: ");
    typed(&workspace, &make, &[(first, "correct\n"), (second, "other\n")], 1);
    assert!(!workspace.folder.path().join("typed.key").exists());
    typed(&workspace, &make, &[(first, "\n")], 1);
    // Corrected while it is typed.
    typed(&workspace, &make, &[(first, "wrong\x15correcd\x7ft\n"), (second, "correct\n")], 0);

    workspace.pack(&["--counter", "1", "--out", "m.bundle"]);
    let sign = ["sign", "m.bundle", "--key", "typed.key"];
    let asks = "Password for typed.key: ";
    typed(
        &workspace,
        &sign,
        &[(asks, "mistaken\n"), ("wrong password", ""), (asks, "correct\n")],
        0,
    );
    let three = [(asks, "mistaken\n"), (asks, "mistaken\n"), (asks, "mistaken\n")];
    let shown = typed(&workspace, &sign, &three, 1);
    assert!(shown.contains("wrong password for typed.key"), "{shown}");
    // Ctrl-C and Ctrl-D end it, with the terminal as it was.
    typed(&workspace, &sign, &[(asks, "corr\x03")], 1);
    typed(&workspace, &sign, &[(asks, "\x04")], 1);
    // A password file that fits leaves nothing to ask; one for another key, the rest.
    let with_file =
        [&sign[..], &["--key", "release.key", "--key-password-file", "password"]].concat();
    let shown = typed(&workspace, &with_file, &[(asks, "correct\n")], 0);
    assert!(!shown.contains("Password for release.key"), "{shown}");
}

#[test]
fn without_a_terminal_nothing_is_asked_and_the_option_is_named() {
    let workspace = Workspace::new();
    workspace.pack(&["--counter", "1", "--out", "m.bundle"]);
    let told = workspace.run_refused(&["sign", "m.bundle", "--key", "release.key"]);
    assert!(told.contains("--key-password-file"), "{told}");
    assert_eq!(
        workspace.run(&["keygen", "--out", "k"]).code,
        2,
        "in the clear only when asked for"
    );
    workspace.run_ok(&[
        "sign",
        "m.bundle",
        "--key",
        "release.key",
        "--key-password-file",
        "password",
    ]);
}

#[test]
fn the_password_of_the_broker_is_asked_for_once() {
    if Command::new(python()).arg("--version").output().is_err() {
        return skipped("the broker's password on a terminal", "Python is not installed");
    }
    let users = tempfile::tempdir().unwrap();
    let file = users.path().join("users");
    // Made by mosquitto_passwd's own format.
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c", file.to_str().unwrap(), "operator", "correct horse"])
        .status();
    let Ok(true) = made.map(|status| status.success()) else {
        return skipped("the broker's password on a terminal", "mosquitto is not installed");
    };
    let configuration = format!("allow_anonymous false\npassword_file {}\n", file.display());
    let Some(setup) = Setup::open_with("the broker's password", &configuration) else { return };
    let bundle = setup.release(1);
    let url = setup.url();
    let asks = format!("Password of operator at {url}: ");
    // Publishing takes several connections.
    let publish = ["publish", &bundle, "--keyset", "keyset-1.json", "--broker", &url];
    let publish = [&publish[..], &["--username", "operator"]].concat();
    let shown = typed(&setup.workspace, &publish, &[(&asks, "correct horse\n")], 0);
    assert_eq!(shown.matches("Password of operator").count(), 1, "{shown}");
    let shown = typed(&setup.workspace, &publish, &[(&asks, "mistaken\n")], 69);
    assert!(shown.contains("\"operator\" was sent with the password that was typed"), "{shown}");
    let alone = setup.run(&["fleet", "--username", "operator"]);
    assert!(alone.err.contains("without a password"), "{}", alone.err);
}
