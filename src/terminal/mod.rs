//! What the command lines of `inferd` and `inferctl` share: output, progress, exit codes, password
//! prompts, and the files that both read and write.

mod failure;
mod files;
mod golden_samples;
mod output;
mod secret_prompt;

pub use failure::{Exit, Failure};
pub(crate) use files::{array_error, read_arrays, write_atomic};
pub(crate) use golden_samples::{GoldenMade, GoldenTerms, read_recording_file};
pub(crate) use output::{print, print_json, progress, table};
pub(crate) use secret_prompt::ask_secret;

/// Evaluates the result of parsing a command line: `None` if help or the version was asked for and
/// has been printed.
///
/// # Errors
/// [`Exit::Usage`] for a command line that does not parse.
pub(crate) fn parsed<T>(result: Result<T, clap::Error>) -> Result<Option<T>, Failure> {
    match result {
        // clap returns help and version as errors.
        Err(asked) if !asked.use_stderr() => {
            // A closed pipe (`--help | head`) is not an error.
            _ = asked.print();
            Ok(None)
        }
        result => Ok(Some(result?)),
    }
}
