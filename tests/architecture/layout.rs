//! Sizes and places of files and functions.

use super::source::{files, read, root};
use std::path::Path;

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 60;
/// Every folder with Rust in it.
const FOLDERS: [&str; 8] = [
    "benches",
    "examples",
    "kernels/benches",
    "kernels/src",
    "src",
    "tests",
    "third_party",
    "tools",
];

/// Files that are still too long. The list may only shrink, as those below.
const LONG: &[&str] = &[];

/// Modules that are still a file beside their folder.
const BESIDE: &[&str] = &[];

/// Unit tests that are still beside their module instead of in its folder.
const APART: &[&str] = &[];

#[test]
fn no_file_is_too_long() {
    check(LONG, "of more than 400 lines", |path| read(path).lines().count() > MAX_FILE_LINES);
}

/// A module with submodules is a folder with `mod.rs`.
#[test]
fn no_module_is_a_file_beside_its_folder() {
    check(BESIDE, "beside the folder of the same name (move it there as mod.rs)", |path| {
        root().join(path.with_extension("")).is_dir()
    });
}

/// Longer unit tests are `tests.rs` or `tests/` in the folder of their module.
#[test]
fn unit_tests_are_in_the_folder_of_their_module() {
    check(
        APART,
        "named *_tests.rs (move them to tests.rs in the folder of their module)",
        |path| path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_tests")),
    );
}

/// Clippy counts the lines (`too_many_lines`); no function is exempt.
#[test]
fn no_function_is_too_long() {
    let threshold = format!("too-many-lines-threshold = {MAX_FUNCTION_LINES}\n");
    assert!(read(Path::new("clippy.toml")).contains(&threshold), "clippy.toml lacks {threshold}");
    assert!(read(Path::new("Cargo.toml")).contains("too_many_lines = \"warn\""));
    let exemption = ["clippy", "too_many_lines"].join("::");
    check(&[], "exempt from the limit on functions", |path| read(path).contains(&exemption));
}

/// Fails if a file breaks the rule and is not known, or is known and no longer breaks it.
fn check(known: &[&str], rule: &str, breaks: impl Fn(&Path) -> bool) {
    let found: Vec<_> = FOLDERS
        .into_iter()
        .filter(|folder| root().join(folder).is_dir())
        .flat_map(|folder| files(folder, "rs"))
        .filter(|path| breaks(path))
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let new: Vec<_> = found.iter().filter(|path| !known.contains(&path.as_str())).collect();
    assert!(new.is_empty(), "files {rule}: {new:#?}");
    let gone: Vec<_> = known.iter().filter(|path| !found.iter().any(|f| f == *path)).collect();
    assert!(gone.is_empty(), "files no longer {rule}: {gone:#?}; delete them from the list");
}
