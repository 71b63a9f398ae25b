//! The modules of a crate and which of them name which, read from their sources.

use super::source::{read, root, starts_with, tokens, without_tests};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest chain of re-exports that is followed; a longer one is a cycle.
const MAX_REEXPORTS: usize = 16;

/// Every file of a crate that is compiled into the program. The crate's root is the first.
pub(super) struct Modules(Vec<Module>);

struct Module {
    file: PathBuf,
    parent: usize,
    children: BTreeMap<String, usize>,
    /// What `use` imports, by the name it has here.
    imports: BTreeMap<String, Segments>,
    globs: Vec<Segments>,
    /// Paths that the code names.
    named: Vec<Segments>,
    /// Names of the items defined here.
    defined: BTreeSet<String>,
}

/// A path, relative to the module of its file.
type Segments = Vec<String>;

impl Modules {
    /// Reads the crate whose root is `file`.
    pub(super) fn of(file: &str) -> Self {
        let mut modules = Self(Vec::new());
        modules.add(PathBuf::from(file), 0);
        modules
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn file(&self, module: usize) -> &Path {
        &self.0[module].file
    }

    fn add(&mut self, file: PathBuf, parent: usize) -> usize {
        let code = without_tests(&tokens(&read(&file)));
        let index = self.0.len();
        let mut module = Module {
            file: file.clone(),
            parent,
            children: BTreeMap::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            named: Vec::new(),
            defined: BTreeSet::new(),
        };
        let children = module.scan(&code);
        self.0.push(module);
        for name in children {
            let child = self.add(child_file(&file, &name), index);
            self.0[index].children.insert(name, child);
        }
        index
    }

    /// The modules whose items `module` names, except those that contain it: a type may be defined in
    /// `mod.rs` and implemented in the files of that folder.
    pub(super) fn uses(&self, module: usize) -> BTreeSet<usize> {
        let from = &self.0[module];
        from.named
            .iter()
            .filter_map(|path| self.resolve(module, path, 0))
            .filter(|used| !self.contains(*used, module))
            .collect()
    }

    /// Whether `part` is `whole` or below it. The root contains nothing but itself.
    fn contains(&self, whole: usize, part: usize) -> bool {
        part == whole || (part != 0 && self.contains(whole, self.0[part].parent) && whole != 0)
    }

    /// The file that defines what `path` means in `module`; none for a module itself and for items of
    /// other crates.
    fn resolve(&self, module: usize, path: &[String], reexports: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let here = &self.0[module];
        match first.as_str() {
            "crate" => self.descend(0, rest, reexports),
            "self" => self.descend(module, rest, reexports),
            "super" => match rest.first() {
                Some(next) if next == "super" => self.resolve(here.parent, rest, reexports),
                _ => self.descend(here.parent, rest, reexports),
            },
            name if here.children.contains_key(name) => self.descend(module, path, reexports),
            name => {
                let import = here.imports.get(name).filter(|_| reexports < MAX_REEXPORTS)?;
                self.resolve(module, &[import, rest].concat(), reexports + 1)
            }
        }
    }

    fn descend(&self, module: usize, path: &[String], reexports: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let here = &self.0[module];
        if let Some(child) = here.children.get(first) {
            return self.descend(*child, rest, reexports);
        }
        if here.defined.contains(first) || reexports >= MAX_REEXPORTS {
            return Some(module);
        }
        if let Some(import) = here.imports.get(first) {
            return self.resolve(module, &[import, rest].concat(), reexports + 1).or(Some(module));
        }
        here.globs
            .iter()
            .filter_map(|glob| {
                self.resolve(module, &[glob.as_slice(), path].concat(), reexports + 1)
            })
            .find(|found| self.0[*found].defined.contains(first))
            .or(Some(module))
    }
}

impl Module {
    /// Collects what the code names, imports and defines. Returns the modules that have their own file.
    fn scan(&mut self, code: &[String]) -> Vec<String> {
        const DEFINES: [&str; 9] =
            ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];
        let mut children = Vec::new();
        // Depths at which inline modules began.
        let mut inline: Vec<usize> = Vec::new();
        let (mut depth, mut at) = (0, 0);
        while at < code.len() {
            let next = |ahead: usize| code.get(at + ahead).map_or("", String::as_str);
            match next(0) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inline.pop_if(|began| *began == depth);
                }
                "mod" if next(2) == ";" => children.push(next(1).to_owned()),
                "mod" if next(2) == "{" => {
                    inline.push(depth);
                    at += 1;
                }
                "use" if next(1) != "<" => {
                    let end = at + code[at..].iter().position(|t| t == ";").unwrap_or(0);
                    let public = at > 0 && (code[at - 1] == "pub" || code[at - 1] == ")");
                    self.import(&code[at + 1..end], public, inline.len());
                    at = end;
                }
                word if DEFINES.contains(&word) => {
                    let name = if word == "macro_rules" { next(2) } else { next(1) };
                    self.defined.insert(name.to_owned());
                }
                word if next(1) == "::" && is_name(word) && (at == 0 || code[at - 1] != "::") => {
                    let path = path_at(&code[at..]);
                    at += path.len() * 2 - 2;
                    self.named.push(outside(path, inline.len()));
                }
                _ => {}
            }
            at += 1;
        }
        children
    }

    /// Records a `use`. A public one re-exports and counts as an import only where the name is used.
    fn import(&mut self, tree: &[String], public: bool, inline: usize) {
        for (path, name) in leaves(tree, &[]) {
            let path = outside(path, inline);
            if name == "*" {
                if !public {
                    self.named.push([path.as_slice(), &["*".to_owned()]].concat());
                }
                self.globs.push(path);
                continue;
            }
            if !public {
                self.named.push(path.clone());
            }
            self.imports.insert(name, path);
        }
    }
}

/// The paths of a `use` tree, each with the name that it has afterwards.
fn leaves(tree: &[String], before: &[String]) -> Vec<(Segments, String)> {
    let mut path = before.to_vec();
    let mut at = 0;
    while at < tree.len() {
        match tree[at].as_str() {
            "::" => {}
            "{" => {
                let inner = &tree[at + 1..tree.len() - 1];
                return split(inner).into_iter().flat_map(|each| leaves(each, &path)).collect();
            }
            "*" => return vec![(path, "*".to_owned())],
            "as" => return vec![(path, tree[at + 1].clone())],
            "self" if !path.is_empty() => {}
            segment => path.push(segment.to_owned()),
        }
        at += 1;
    }
    let name = path.last().cloned().unwrap_or_default();
    if name.is_empty() { Vec::new() } else { vec![(path, name)] }
}

/// The parts between commas outside of inner braces.
fn split(tree: &[String]) -> Vec<&[String]> {
    let mut depth = 0;
    tree.split(|token| {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        depth == 0 && token == ","
    })
    .collect()
}

fn path_at(code: &[String]) -> Segments {
    let mut path = vec![code[0].clone()];
    let mut rest = &code[1..];
    while starts_with(rest, &["::"]) && rest.get(1).is_some_and(|next| is_name(next)) {
        path.push(rest[1].clone());
        rest = &rest[2..];
    }
    path
}

/// A path inside `inline` inline modules, relative to the module of the file.
fn outside(mut path: Segments, inline: usize) -> Segments {
    let inner = path.iter().take(inline).take_while(|segment| *segment == "super").count();
    if inner > 0 {
        path.splice(..inner, ["self".to_owned()]);
    }
    if path.len() > 1 && path[0] == "self" && path[1] == "super" {
        path.remove(0);
    }
    path
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The file of the module `name` that `file` declares.
fn child_file(file: &Path, name: &str) -> PathBuf {
    let stem = file.file_stem().unwrap().to_string_lossy();
    let mut folder = file.parent().unwrap().to_path_buf();
    if !matches!(stem.as_ref(), "lib" | "mod" | "main") {
        folder.push(stem.as_ref());
    }
    let flat = folder.join(format!("{name}.rs"));
    if root().join(&flat).exists() { flat } else { folder.join(name).join("mod.rs") }
}

#[test]
fn trees_of_use_are_read() {
    let leaves: Vec<_> = leaves(&tokens("super::a::{self, b as c, d::{E, *}}"), &[])
        .into_iter()
        .map(|(path, name)| format!("{} as {name}", path.join("::")))
        .collect();
    assert_eq!(
        leaves,
        ["super::a as a", "super::a::b as c", "super::a::d::E as E", "super::a::d as *"]
    );
}
