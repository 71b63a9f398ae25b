//! Every command that documents, help texts and messages print: each is one that the programs
//! take, and the options that a message names are those of its verb.

mod captures;
mod documents;
mod found;
mod gateway;
mod live;
mod operator;
mod printed;
mod shell;
mod sources;
mod words;

use std::collections::BTreeSet;
use std::path::Path;

use clap::Command;
use clap::error::ErrorKind;

use found::{Found, Whole};

/// The programs as the command line sees them.
pub(super) fn program(name: &str) -> Command {
    if name == "inferd" { inferd::cli::command() } else { inferd::ctl::command() }
}

/// Why a command is not one that the program takes.
fn wrong(found: &Found) -> Option<String> {
    let program = program(&found.words[0]);
    let error = program.try_get_matches_from(&found.words).err()?;
    let is_right = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // In a sentence the verb alone may be meant, or the option that matters.
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => found.whole == Whole::Mention,
        _ => false,
    };
    (!is_right).then(|| format!("{}: {}\n{error}", found.place, found.words.join(" ")))
}

#[test]
fn every_command_that_is_printed_is_one_that_the_program_takes() {
    let all = sources::all();
    let wrong: Vec<_> = all.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Of each kind some were found: documents, help, messages; both programs.
    let count = |is: &dyn Fn(&Found) -> bool| all.iter().filter(|found| is(found)).count();
    for (what, least) in [("README.md", 5), ("docs/", 40), ("src/ctl", 40), ("src/cli", 20)] {
        let found = count(&|found| found.place.starts_with(what));
        assert!(found >= least, "only {found} commands found in {what}");
    }
    for name in ["inferd", "inferctl"] {
        assert!(count(&|found| found.words[0] == name) > 40, "{name}");
    }
}

#[test]
fn a_wrong_command_is_found_in_every_kind_of_text() {
    let text = "```sh\ninferctl sing m.bundle\n```\nas `inferd statsu` and `inferctl sign --kye a`";
    let found = found::in_markdown("page", text);
    assert_eq!(found.iter().filter_map(wrong).count(), 3);
    let code =
        "fn f() { g(\"see `inferctl sign {path} --kye x`, or\\n  inferctl pack {} --out x\"); }";
    let found = found::in_rust("code", code);
    // The second lacks its counter: a line of its own has to be whole.
    assert_eq!(found.iter().filter_map(wrong).count(), 2);
    let good = "```sh\nX=1 inferd check --config a.toml && inferctl fleet | grep gw   # all\n```";
    let found = found::in_markdown("page", good);
    assert_eq!((found.len(), found.iter().filter_map(wrong).count()), (2, 0));
}

/// Messages of these files are for every verb that has the option behind the name.
const SHARED: &[(&str, &str)] = &[
    ("broker.rs", "--broker"),
    ("keyset_chain.rs", "--keyset"),
    ("upload.rs", "--keyset"),
    ("keyfile.rs", "--key-password-file"),
    ("unlock.rs", "--key-password-file"),
    ("dry_run.rs", "--dry-run"),
    ("profile.rs", "--profile"),
    ("mod.rs", "--profile"),
];

/// Options in messages that only some of those verbs print.
const OF_SOME: &[(&str, &str)] = &[
    ("unlock.rs", "--unencrypted"),
    ("broker.rs", "--group"),
    ("broker.rs", "--gateway"),
    // Of `inferd infer`, which makes what is missing.
    ("check.rs", "--samples"),
    ("check.rs", "--golden"),
];

#[test]
fn the_options_that_messages_name_are_there() {
    let mut wrong = Vec::new();
    for (program_name, room) in [("inferd", "cli"), ("inferctl", "ctl")] {
        let verbs = verbs(&program(program_name));
        for (file, text) in sources::rust(&format!("src/{room}")) {
            let named: BTreeSet<_> =
                found::literals(&text).iter().flat_map(|text| words::options(text)).collect();
            let relevant = relevant(&file, &verbs, program_name);
            for option in named {
                let name = file.rsplit('/').next().unwrap();
                let some = OF_SOME.contains(&(name, &option));
                let has = |verb: &&Verb| verb.has(&option);
                let is_there = match &relevant {
                    Some(verbs) if !some => {
                        // A verb of several parts has the option in one of them.
                        verbs.iter().any(has)
                            && (is_own(&file, &verbs_of(&file)) || verbs.iter().all(has))
                    }
                    _ => verbs.iter().any(|verb| verb.has(&option)),
                };
                if !is_there {
                    wrong.push(format!("{file} names {option}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "options that a verb does not have:\n{}", wrong.join("\n"));
}

/// A verb and its long options.
struct Verb {
    path: String,
    options: BTreeSet<String>,
}

impl Verb {
    fn has(&self, option: &str) -> bool {
        match option.strip_suffix('-') {
            Some(_) => self.options.iter().any(|own| own.starts_with(option)),
            None => self.options.contains(option),
        }
    }
}

fn verbs(program: &Command) -> Vec<Verb> {
    let global: Vec<_> = program.get_arguments().filter(|arg| arg.is_global_set()).collect();
    let mut found = Vec::new();
    let mut left: Vec<_> =
        program.get_subcommands().map(|sub| (sub.get_name().to_owned(), sub)).collect();
    while let Some((path, command)) = left.pop() {
        let own = command.get_arguments().chain(global.iter().copied());
        let names = own.flat_map(|arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long()
                .into_iter()
                .chain(aliases)
                .map(|name| format!("--{name}"))
                .collect::<Vec<_>>()
        });
        let options = names.chain(["--help".to_owned(), "--version".to_owned()]).collect();
        left.extend(
            command.get_subcommands().map(|sub| (format!("{path} {}", sub.get_name()), sub)),
        );
        found.push(Verb { path, options });
    }
    found
}

/// The verb that a file is named after: `src/ctl/rollout/verbs.rs` is of `rollout`.
fn verbs_of(file: &str) -> String {
    let rest = file.splitn(3, '/').nth(2).unwrap_or_default();
    rest.split(['/', '.']).next().unwrap_or_default().to_owned()
}

fn is_own(file: &str, verb: &str) -> bool {
    let name = Path::new(file).file_name().unwrap().to_str().unwrap();
    let depth = file.matches('/').count();
    let is_shared = depth == 2 && SHARED.iter().any(|(shared, _)| *shared == name);
    !is_shared && !verb.is_empty()
}

/// The verbs that print a file's messages; `None` where that is any of them.
fn relevant<'a>(file: &str, verbs: &'a [Verb], program: &str) -> Option<Vec<&'a Verb>> {
    let verb = verbs_of(file);
    let own: Vec<_> = verbs
        .iter()
        .filter(|known| known.path == verb || known.path.starts_with(&format!("{verb} ")))
        .collect();
    let name = file.rsplit('/').next().unwrap();
    if file.matches('/').count() == 2
        && program == "inferctl"
        && let Some((_, marker)) = SHARED.iter().find(|(shared, _)| *shared == name)
        && (own.is_empty() || name == "profile.rs")
    {
        return Some(verbs.iter().filter(|verb| verb.has(marker)).collect());
    }
    (!own.is_empty()).then_some(own)
}
