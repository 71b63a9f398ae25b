//! Files that import each other in a ring cannot be read, tested or moved one at a time.

use super::modules::Modules;
use std::collections::{BTreeMap, BTreeSet};

/// Two files may import each other, such as a type and its parts.
const MAX_RING: usize = 2;

/// Larger rings that are still to be cut: the module they are in, and how many files each has. The
/// list may only shrink: a cut ring is deleted from its line.
const KNOWN: &[(&str, &[usize])] = &[];

#[test]
fn no_ring_of_imports_has_more_than_two_files() {
    let mut known: BTreeMap<String, Vec<usize>> =
        KNOWN.iter().map(|(place, sizes)| ((*place).to_owned(), sizes.to_vec())).collect();
    let mut wrong = Vec::new();
    for (place, rings) in rings_by_place() {
        let allowed = known.remove(&place).unwrap_or_default();
        let sizes: Vec<_> = rings.iter().map(Vec::len).collect();
        if sizes != allowed {
            let files: Vec<_> = rings.iter().map(|ring| ring.join(" ")).collect();
            wrong.push(format!("{place}: {sizes:?}, KNOWN has {allowed:?}:\n{}", files.join("\n")));
        }
    }
    wrong.extend(known.into_keys().map(|place| format!("{place}: no ring left, delete its line")));
    assert!(wrong.is_empty(), "import rings that differ from KNOWN:\n{}", wrong.join("\n"));
}

/// The rings of more than two files, grouped by module, the largest first.
fn rings_by_place() -> BTreeMap<String, Vec<Vec<String>>> {
    let mut found: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for root in ["src/lib.rs", "kernels/src/lib.rs"] {
        let source = root.strip_suffix("lib.rs").unwrap();
        let modules = Modules::of(root);
        for ring in rings(&modules) {
            let files: Vec<_> = ring
                .iter()
                .map(|module| modules.file(*module).strip_prefix(source).unwrap())
                .map(|file| file.to_string_lossy().into_owned())
                .collect();
            let place = common_folder(&files);
            found.entry(format!("{source}{place}")).or_default().push(files);
        }
    }
    for rings in found.values_mut() {
        rings.sort_by_key(|ring| std::cmp::Reverse(ring.len()));
    }
    found
}

/// The first folder of all of these files; empty if they have none in common.
fn common_folder(files: &[String]) -> String {
    let mut firsts = files.iter().map(|file| file.split_once('/').map_or("", |(first, _)| first));
    let first = firsts.next().unwrap_or_default();
    if firsts.all(|other| other == first) { first.to_owned() } else { String::new() }
}

/// The strongly connected components of more than two files.
fn rings(modules: &Modules) -> Vec<Vec<usize>> {
    let uses: Vec<_> = (0..modules.len()).map(|module| modules.uses(module)).collect();
    let reached: Vec<_> = (0..modules.len()).map(|module| reach(&uses, module)).collect();
    let mut placed = BTreeSet::new();
    let mut found = Vec::new();
    for module in 0..modules.len() {
        let ring: Vec<_> = reached[module]
            .iter()
            .copied()
            .filter(|other| reached[*other].contains(&module))
            .filter(|other| !placed.contains(other))
            .collect();
        placed.extend(ring.iter().copied());
        if ring.len() > MAX_RING {
            found.push(ring);
        }
    }
    found
}

/// Everything that can be reached from a module over one import or more.
fn reach(uses: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<usize> = uses[from].iter().copied().collect();
    while let Some(module) = ahead.pop() {
        if reached.insert(module) {
            ahead.extend(&uses[module]);
        }
    }
    reached
}
