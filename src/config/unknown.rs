//! Unknown keys are errors, so that a misspelt option is not ignored silently.

use super::problem::{Problem, Problems};
use super::schema::{Kind, OptionSpec};
use super::tree::{Node, Value};

/// Reports every key, at any depth, that the reference does not have.
pub(super) fn report(reference: &[OptionSpec], root: &Node, problems: &Problems) {
    walk(reference, root, "", "", problems);
}

fn walk(reference: &[OptionSpec], node: &Node, path: &str, pattern: &str, problems: &Problems) {
    let Value::Table(table) = &node.value else { return };
    for (key, node) in table {
        let join = |path: &str| {
            if path.is_empty() { key.clone() } else { format!("{path}.{key}") }
        };
        let (path, known_as) = (join(path), join(pattern));
        let below = format!("{known_as}.");
        let each = format!("{known_as}[]");
        let is_under = |prefix: &str| reference.iter().any(|opt| opt.path.starts_with(prefix));
        if reference.iter().any(|opt| opt.path == known_as) {
            continue;
        } else if is_under(&below) {
            walk(reference, node, &path, &known_as, problems);
        } else if is_under(&format!("{each}.")) {
            let Value::List(list) = &node.value else { continue };
            for (index, node) in list.iter().enumerate() {
                walk(reference, node, &format!("{path}[{index}]"), &each, problems);
            }
        } else {
            let origin = Some(node.origin.clone());
            let (reason, allowed) = match suggestion(reference, key, pattern) {
                Some(name) => (format!("unknown option; did you mean {name:?}?"), String::new()),
                None => ("unknown option".to_owned(), members(reference, pattern).join(", ")),
            };
            problems.add(Problem { origin, path, value: None, reason, allowed });
        }
    }
}

/// The option that was most likely meant.
fn suggestion<'a>(reference: &'a [OptionSpec], key: &str, pattern: &str) -> Option<&'a str> {
    let near = members(reference, pattern)
        .into_iter()
        .map(|name| (distance(key, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min();
    // An option of that name in another table: right word, wrong place.
    let elsewhere = || reference.iter().find(|opt| opt.path.rsplit('.').next() == Some(key));
    near.map(|(_, name)| name).or_else(|| elsewhere().map(|opt| opt.path))
}

/// What may stand in a table.
fn members(reference: &[OptionSpec], pattern: &str) -> Vec<&'static str> {
    let mut members: Vec<_> = reference.iter().filter_map(|opt| member(opt, pattern)).collect();
    members.dedup();
    members
}

/// The key through which an option hangs in the table `pattern`.
fn member(opt: &OptionSpec, pattern: &str) -> Option<&'static str> {
    let rest = if pattern.is_empty() {
        opt.path
    } else {
        opt.path.strip_prefix(pattern)?.strip_prefix('.')?
    };
    rest.split(['.', '[']).next()
}

/// The number of letters inserted, removed, replaced or swapped with their neighbour between two
/// words (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    let at = |rows: &[Vec<usize>], i: usize, j: usize| {
        rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or(usize::MAX / 2)
    };
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = at(&rows, i, j) + usize::from(x != y);
            let removed = at(&rows, i, j + 1) + 1;
            let inserted = row.last().copied().unwrap_or(0) + 1;
            let swaps = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            let swapped = if swaps { at(&rows, i - 1, j - 1) + 1 } else { usize::MAX };
            row.push(replaced.min(removed).min(inserted).min(swapped));
        }
        rows.push(row);
    }
    at(&rows, a.len(), b.len())
}

/// Whether `path` (as in the file, with places in lists as numbers) is an option, and its kind.
pub(super) fn option_at(reference: &[OptionSpec], path: &[&str]) -> Option<Kind> {
    let mut pattern = String::new();
    for key in path {
        if key.bytes().all(|b| b.is_ascii_digit()) {
            pattern.push_str("[]");
        } else {
            let dot = if pattern.is_empty() { "" } else { "." };
            pattern.push_str(dot);
            pattern.push_str(key);
        }
    }
    reference.iter().find(|opt| opt.path == pattern).map(|opt| opt.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near() {
        assert_eq!(distance("keep_alive", "keep_alive"), 0);
        assert_eq!(distance("kep_alive", "keep_alive"), 1);
        assert_eq!(distance("keep_ailve", "keep_alive"), 1);
        assert_eq!(distance("keepalive", "keep_alive"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
