//! The source read as Rust: what each file uses, how long it is, and which types it defines.
//!
//! Holds: test code is left aside (`#[cfg(test)]`, `tests.rs`, `*_tests.rs`, the laws); what a module only passes on with `pub use`
//! counts for the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One file.
pub struct File {
    /// Its module path.
    pub module: Vec<String>,
    /// Its text.
    pub text: String,
    /// Lines, those of test modules apart.
    pub lines: usize,
    /// Paths inside the crate, from its root.
    pub uses: BTreeSet<Vec<String>>,
    /// What it passes on with `pub use`: from each name to the path.
    passes_on: BTreeMap<String, Vec<String>>,
    /// Paths into other crates.
    pub foreign: BTreeSet<Vec<String>>,
    /// Functions, with their lines.
    pub functions: Vec<(String, usize)>,
    /// Types that it defines.
    pub types: Vec<String>,
    /// Whether something in it is async.
    pub waits: bool,
}

impl File {
    /// Its module path, for people.
    pub fn name(&self) -> String {
        self.module.join("::")
    }

    /// Its room, where it is in one.
    pub fn room(&self) -> Option<&str> {
        let room = self.module.first()?;
        (room != "main" && room != "rooms").then_some(room)
    }

    fn is_test(&self) -> bool {
        let test = |part: &String| part == "tests" || part == "laws" || part.ends_with("_tests");
        self.module.iter().any(test)
            || ["rooms", "admissible"]
                .iter()
                .any(|name| self.module.iter().any(|part| part == name))
    }
}

/// Every file.
pub fn all() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    paths(&src, &mut found);
    found.iter().map(|path| file(&src, path)).collect()
}

/// Every file that ships.
pub fn read() -> Vec<File> {
    all().into_iter().filter(|file| !file.is_test()).collect()
}

fn paths(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

fn file(src: &Path, path: &Path) -> File {
    let text = std::fs::read_to_string(path).unwrap();
    let inside = path.strip_prefix(src).unwrap().with_extension("");
    let mut module: Vec<String> = inside
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        module.pop();
    }
    let parsed = syn::parse_file(&text).unwrap();
    let tests = parsed.items.iter().filter(|item| is_test(item));
    let tests: usize = tests.map(length).sum();
    let mut reader = Reader {
        file: File {
            module,
            lines: text.lines().count() - tests,
            text,
            uses: BTreeSet::new(),
            passes_on: BTreeMap::new(),
            foreign: BTreeSet::new(),
            functions: Vec::new(),
            types: Vec::new(),
            waits: false,
        },
    };
    for item in parsed.items.iter().filter(|item| !is_test(item)) {
        reader.visit_item(item);
    }
    reader.file
}

fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(is_cfg_test)
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    let test =
        |list: &syn::MetaList| list.path.is_ident("cfg") && list.tokens.to_string() == "test";
    attribute.meta.require_list().is_ok_and(test)
}

fn length(of: &impl Spanned) -> usize {
    let span = of.span();
    span.end().line + 1 - span.start().line
}

struct Reader {
    file: File,
}

impl Reader {
    /// A path as it is written, from the crate's root; `None` where it leads into another crate.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = match path[0].as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => self.file.module.clone(),
            "super" => self.file.module[..self.file.module.len().saturating_sub(1)].to_vec(),
            _ => return None,
        };
        for part in &path[1..] {
            match part.as_str() {
                "super" => drop(base.pop()),
                part => base.push(part.to_owned()),
            }
        }
        Some(base)
    }

    fn take(&mut self, path: Vec<String>, passed_on: Option<String>) {
        let own = |name: &String| name == "self" || name == "super" || name == "crate";
        match (self.absolute(&path), passed_on) {
            (Some(path), Some(name)) => {
                self.file.passes_on.insert(name, path);
            }
            (Some(path), None) => {
                self.file.uses.insert(path);
            }
            // A child of this module, where one passes it on.
            (None, Some(name)) if !own(&path[0]) => {
                let mut child = self.file.module.clone();
                child.extend(path);
                self.file.passes_on.insert(name, child);
            }
            (None, _) => {
                self.file.foreign.insert(path.clone());
                let mut child = self.file.module.clone();
                child.extend(path);
                self.file.uses.insert(child);
            }
        }
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree, passes_on: bool) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(name.to_string());
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree, passes_on),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(before, tree, passes_on);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let passed_on = before.last().cloned().filter(|_| passes_on);
                self.take(before.to_vec(), passed_on);
            }
            syn::UseTree::Name(name) => {
                let passed_on = passes_on.then(|| name.ident.to_string());
                self.take(with(&name.ident), passed_on);
            }
            syn::UseTree::Rename(name) => {
                let passed_on = passes_on.then(|| name.rename.to_string());
                self.take(with(&name.ident), passed_on);
            }
            syn::UseTree::Glob(_) => self.take(before.to_vec(), None),
        }
    }

    fn function(&mut self, signature: &syn::Signature, whole: &impl Spanned) {
        let lines = length(whole);
        self.file
            .functions
            .push((signature.ident.to_string(), lines));
        self.file.waits |= signature.asyncness.is_some();
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let passes_on = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&[], &item.tree, passes_on);
    }

    // Who may use something is no use of theirs.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if ["crate", "self", "super"].contains(&parts[0].as_str()) {
            if parts.len() > 1 {
                self.take(parts, None);
            }
        } else if parts.len() > 1 {
            self.file.foreign.insert(parts);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if item.attrs.iter().any(is_cfg_test) {
            return;
        }
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.file.types.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.file.types.push(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.file.types.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.file.types.push(item.ident.to_string());
        visit::visit_item_type(self, item);
    }
}

/// The circles of files, each with what leads on.
pub fn circles(files: &[File]) -> Vec<String> {
    let by_module: BTreeMap<&[String], usize> = files
        .iter()
        .enumerate()
        .map(|(at, file)| (file.module.as_slice(), at))
        .collect();
    let edges: Vec<BTreeSet<usize>> = files
        .iter()
        .map(|file| {
            let found = file.uses.iter();
            found
                .filter_map(|path| target(path, files, &by_module))
                .filter(|at| files[*at].module != file.module)
                .collect()
        })
        .collect();
    let reach: Vec<BTreeSet<usize>> = (0..files.len()).map(|at| reached(at, &edges)).collect();
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for at in 0..files.len() {
        if !reach[at].contains(&at) || told.contains(&at) {
            continue;
        }
        let circle: Vec<usize> = reach[at]
            .iter()
            .copied()
            .filter(|other| reach[*other].contains(&at))
            .collect();
        told.extend(circle.iter().copied());
        let leads = |from: usize| {
            let to = edges[from].iter().filter(|to| circle.contains(to));
            let to: Vec<String> = to.map(|to| files[*to].name()).collect();
            format!("{} -> {}", files[from].name(), to.join(", "))
        };
        let lines: Vec<String> = circle.iter().map(|from| leads(*from)).collect();
        circles.push(lines.join("\n"));
    }
    circles
}

/// The file that a path leads to; through what is passed on, to where it is defined.
fn target(path: &[String], files: &[File], modules: &BTreeMap<&[String], usize>) -> Option<usize> {
    let mut path = path.to_vec();
    for _ in 0..8 {
        let depth = (1..=path.len())
            .rev()
            .find(|depth| modules.contains_key(&path[..*depth]))?;
        let at = modules[&path[..depth]];
        let next = path
            .get(depth)
            .and_then(|name| files[at].passes_on.get(name));
        match next {
            Some(next) if next[..] != path[..] => {
                let rest = path[depth + 1..].to_vec();
                path = next.iter().cloned().chain(rest).collect();
            }
            _ => return Some(at),
        }
    }
    None
}

fn reached(from: usize, edges: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut next: Vec<usize> = edges[from].iter().copied().collect();
    while let Some(at) = next.pop() {
        if found.insert(at) {
            next.extend(edges[at].iter().copied());
        }
    }
    found
}
