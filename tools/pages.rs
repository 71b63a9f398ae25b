//! Manual pages and shell completions of both programs, for packages: `packaging/package` runs it.
//!
//!     cargo run --example pages -- FOLDER
//!
//! An example, so that the programs that boards get carry none of it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: pages FOLDER")?);
    for command in [packaged(inferd::cli::command()), inferd::ctl::command()] {
        write(command, &folder)?;
    }
    Ok(())
}

/// Packages are built without the demonstration.
fn packaged(command: Command) -> Command {
    let shown = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let kept: Vec<_> = shown.lines().filter(|line| !line.contains("inferd demo")).collect();
    let command = command.after_help(kept.join("\n"));
    if command.find_subcommand("demo").is_none() {
        return command;
    }
    command.mut_subcommand("demo", |demo| demo.hide(true))
}

fn write(command: Command, folder: &Path) -> Result<(), Box<dyn Error>> {
    let program = folder.join(command.get_name());
    let (pages, completions) = (program.join("man"), program.join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let name = command.get_name().to_owned();
        clap_complete::generate_to(shell, &mut command.clone(), name, &completions)?;
    }
    Ok(clap_mangen::generate_to(command, pages)?)
}
