//! Owns the rules that files do not depend on each other in a circle, and that none is left over; must not know what they do.
//!
//! A file depends on the one that defines an item which it names: in a `use`, even if that only hands the name on, or in a
//! path in its code, its macros or its attributes. Names are followed through modules that hand them on. `mod child;` alone
//! is no dependency, nor is a method call, and two crates are never in a circle: cargo sees to that. What is for tests or
//! documentation only (`#[cfg(test)]`, `#[cfg(doc)]`) does not count. In TypeScript a file depends on what it imports, or
//! exports again, types included; `new URL("./x.js")` starts another program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Where crates begin, below the repository.
const CRATES: [&str; 9] = [
    "core/src/lib.rs",
    "native/net/src/lib.rs",
    "native/client/src/lib.rs",
    "native/server/src/lib.rs",
    "native/mist/src/lib.rs",
    "native/mist/src/main.rs",
    "wasm/src/lib.rs",
    "tests/support/lib.rs",
    "xtask/src/main.rs",
];

/// Where TypeScript is.
const SCRIPTS: [&str; 2] = ["wasm/npm/src", "web/src"];

fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the repository")
}

#[test]
fn no_files_depend_on_each_other_in_a_circle() {
    let mut files = Files::default();
    for file in CRATES {
        Crate::read(&root().join(file)).note(&mut files);
    }
    assert!(files.0.len() > 250, "only {} in Rust", files.0.len());
    for folder in SCRIPTS {
        note_scripts(&root().join(folder), &mut files);
    }
    let circles = files.circles();
    assert!(circles.is_empty(), "files in circles:\n{circles}");
}

#[test]
fn every_file_of_a_crate_is_one_of_its_modules() {
    let mut folders: Vec<_> = CRATES.iter().map(|file| root().join(file)).collect();
    folders.iter_mut().for_each(|folder| _ = folder.pop());
    while let Some(folder) = folders.pop() {
        let parents = ["lib.rs", "main.rs", "mod.rs"].map(|name| folder.join(name));
        let parents = parents.into_iter().chain([folder.with_extension("rs")]);
        let parents: String = parents.flat_map(fs::read_to_string).collect();
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let file = entry.expect("it can be listed").path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            let stem = stem.expect("a name of UTF-8");
            let is_named = parents.contains(&format!("mod {stem};"))
                || parents.contains(&format!("path = \"{stem}.rs\""));
            let is_root = ["lib", "main", "mod"].contains(&stem);
            assert!(is_named || is_root, "no module has {}", file.display());
        }
    }
}

#[test]
fn a_circle_is_found_also_where_a_name_is_handed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("it can be written");
    };
    write("lib.rs", "mod a; mod b; mod c; pub use a::A;");
    write(
        "a.rs",
        "pub struct A; fn f() { vec![crate::b::B]; } #[cfg(test)] use crate::c::C;",
    );
    write(
        "b.rs",
        "use super::A; pub struct B; impl B { fn new(_: A) {} }",
    );
    write(
        "c.rs",
        "use crate::{A, b}; pub struct C(A); fn f(_: b::B) {}",
    );
    write("x.ts", r#"import type { Y } from "./y.js";"#);
    write(
        "y.ts",
        r#"export * from "./x.js"; new URL("./z.js", here);"#,
    );
    write("z.ts", r#"import "./y.js";"#);
    let mut files = Files::default();
    Crate::read(&folder.path().join("lib.rs")).note(&mut files);
    note_scripts(folder.path(), &mut files);
    let found: Vec<Vec<_>> = files.groups().into_iter().map(names).collect();
    assert_eq!(found, [vec!["a.rs", "b.rs"], vec!["x.ts", "y.ts"]]);
}

fn names(files: Vec<&Path>) -> Vec<&str> {
    let names = files.into_iter().filter_map(Path::file_name);
    names.filter_map(|name| name.to_str()).collect()
}

/// What each file depends on, and by which names.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>);

impl Files {
    fn add(&mut self, from: &Path, to: &Path, name: &str) {
        let all = self.0.entry(from.to_owned()).or_default();
        if from != to {
            let names = all.entry(to.to_owned()).or_default();
            names.insert(name.to_owned());
        }
    }

    /// What can be reached from a file.
    fn behind<'a>(&'a self, file: &'a Path) -> BTreeSet<&'a Path> {
        let (mut found, mut open) = (BTreeSet::new(), vec![file]);
        while let Some(next) = open.pop() {
            let further = self.0.get(next).into_iter().flat_map(BTreeMap::keys);
            let further = further.map(PathBuf::as_path);
            open.extend(further.filter(|file| found.insert(*file)));
        }
        found
    }

    /// Files that can all be reached from each other.
    fn groups(&self) -> Vec<Vec<&Path>> {
        let all = self.0.keys().map(|file| (&**file, self.behind(file)));
        let behind: BTreeMap<&Path, _> = all.collect();
        let mut groups = BTreeSet::new();
        for (file, reached) in &behind {
            if reached.contains(file) {
                let is_around =
                    |other: &&&Path| behind.get(*other).is_some_and(|it| it.contains(file));
                let group = reached.iter().filter(is_around).copied();
                groups.insert(group.collect::<Vec<_>>());
            }
        }
        groups.into_iter().collect()
    }

    fn circles(&self) -> String {
        let mut text = String::new();
        for group in self.groups() {
            text.push_str("a circle:\n");
            for from in &group {
                let others = self.0[*from].iter();
                for (to, names) in others.filter(|(to, _)| group.contains(&to.as_path())) {
                    let _ = writeln!(text, "  {} -> {} {names:?}", from.display(), to.display());
                }
            }
        }
        text
    }
}

/// A crate's modules, the root first.
struct Crate(Vec<Module>);

#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Where the files of its children are.
    folder: PathBuf,
    parent: usize,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    /// What a `use` gives a name to.
    uses: BTreeMap<String, Vec<String>>,
    /// All paths in its code.
    paths: BTreeSet<Vec<String>>,
}

/// What a path leads to: a module, or an item of one.
enum Found {
    Module(usize),
    Item(usize, String),
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut all = Self(Vec::new());
        let folder = root.parent().expect("it is in a folder").to_owned();
        all.add(root.to_owned(), folder, 0);
        all
    }

    /// Reads the module of a file.
    fn add(&mut self, file: PathBuf, folder: PathBuf, parent: usize) -> usize {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{file:?}: {error}"));
        self.add_module(file, folder, parent, tokens)
    }

    fn add_module(
        &mut self,
        file: PathBuf,
        folder: PathBuf,
        parent: usize,
        tokens: TokenStream,
    ) -> usize {
        let module = self.0.len();
        self.0.push(Module {
            file,
            folder,
            parent,
            ..Module::default()
        });
        self.walk(module, tokens, true);
        module
    }

    fn add_child(&mut self, parent: usize, name: &str, body: Option<TokenStream>) {
        let Module { file, folder, .. } = &self.0[parent];
        let within = folder.join(name);
        let child = match body {
            Some(body) => self.add_module(file.clone(), within, parent, body),
            None => {
                let mut places = [within.with_extension("rs"), within.join("mod.rs")].into_iter();
                let file = places.find(|file| file.is_file());
                self.add(
                    file.unwrap_or_else(|| panic!("no {within:?}")),
                    within,
                    parent,
                )
            }
        };
        self.0[parent].children.insert(name.to_owned(), child);
    }

    /// Notes what the code of a module defines, if it is not that of an item's body, and what it names.
    fn walk(&mut self, module: usize, tokens: TokenStream, is_module: bool) {
        let is_kind = |word: &str| {
            const KINDS: &str = "fn struct enum union trait type const static macro_rules";
            KINDS.split(' ').any(|kind| kind == word)
        };
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            at += 1;
            if let [
                TokenTree::Punct(mark),
                TokenTree::Group(attribute),
                behind @ ..,
            ] = rest
                && mark.as_char() == '#'
                && is_left_out(&attribute.stream())
            {
                at += 1 + end_of_item(behind);
                continue;
            }
            if let TokenTree::Group(group) = &rest[0] {
                self.walk(module, group.stream(), false);
                continue;
            }
            let Some(word) = word(rest, 0) else { continue };
            let is_path = at >= 3 && are_colons(&tokens, at - 3);
            match (&*word, self::word(rest, 1)) {
                ("use", _) if !is_mark(rest.get(1), '<') => {
                    let length = rest.iter().position(|token| is_mark(Some(token), ';'));
                    let length = length.unwrap_or(rest.len());
                    self.note_use(module, &rest[1..length], &[]);
                    at += length;
                }
                ("mod", Some(name)) if is_module => match rest.get(2) {
                    Some(TokenTree::Group(body)) => {
                        self.add_child(module, &name, Some(body.stream()));
                        at += 2;
                    }
                    _ => self.add_child(module, &name, None),
                },
                (item, Some(name)) if is_module && is_kind(item) && !is_kind(&name) => {
                    self.0[module].items.insert(name);
                    at += 1;
                }
                ("macro_rules", None) if is_module => {
                    self.0[module].items.extend(self::word(rest, 2));
                }
                _ if is_path => {}
                _ => {
                    let mut path = vec![word];
                    while are_colons(rest, 3 * path.len() - 2)
                        && let Some(word) = self::word(rest, 3 * path.len())
                    {
                        path.push(word);
                    }
                    at += 3 * (path.len() - 1);
                    if path.len() > 1 {
                        self.0[module].paths.insert(path);
                    }
                }
            }
        }
    }

    /// Notes what is behind `use`, in front of which is `before`.
    fn note_use(&mut self, module: usize, tokens: &[TokenTree], before: &[String]) {
        for tree in tokens.split(|token| is_mark(Some(token), ',')) {
            let mut path = before.to_vec();
            let mut words = tree.iter().filter(|token| !is_mark(Some(*token), ':'));
            let mut name = None;
            let mut is_leaf = !tree.is_empty();
            while let Some(token) = words.next() {
                match token {
                    TokenTree::Group(group) => {
                        let inner: Vec<_> = group.stream().into_iter().collect();
                        self.note_use(module, &inner, &path);
                        is_leaf = false;
                    }
                    TokenTree::Ident(word) if word == "as" => {
                        name = words.next().map(ToString::to_string)
                    }
                    TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                    token => path.push(token.to_string()),
                }
            }
            if is_leaf && let Some(name) = name.or_else(|| path.last().cloned()) {
                let module = &mut self.0[module];
                module.uses.insert(name, path.clone());
                module.paths.insert(path);
            }
        }
    }

    /// What a path leads to from a module; nothing where that is not in this crate.
    fn find(&self, module: usize, path: &[String], steps: usize) -> Option<Found> {
        let (first, mut rest) = path.split_first().filter(|_| steps < 20)?;
        let here = &self.0[module];
        let mut at = match &**first {
            "crate" => 0,
            "self" => module,
            "super" => here.parent,
            name => match (here.children.get(name), here.uses.get(name)) {
                (Some(child), _) => *child,
                // A crate may have the name of what is used of it.
                (None, Some(used)) if used != path => match self.find(module, used, steps + 1)? {
                    Found::Module(found) => found,
                    item => return Some(item),
                },
                _ if here.items.contains(name) => {
                    return Some(Found::Item(module, name.to_owned()));
                }
                _ => return None,
            },
        };
        while let Some((name, further)) = rest.split_first() {
            let there = &self.0[at];
            rest = further;
            if name == "super" {
                at = there.parent;
            } else if let (Some(child), false) = (
                there.children.get(name),
                rest.is_empty() && there.items.contains(name),
            ) {
                at = *child;
            } else if let (Some(used), false) = (there.uses.get(name), there.items.contains(name)) {
                match self.find(at, used, steps + 1)? {
                    Found::Module(found) => at = found,
                    item => return Some(item),
                }
            } else {
                // It is defined there, by a macro perhaps.
                return Some(Found::Item(at, name.clone()));
            }
        }
        Some(Found::Module(at))
    }

    fn note(&self, files: &mut Files) {
        for (number, module) in self.0.iter().enumerate() {
            files.add(&module.file, &module.file, "");
            for path in &module.paths {
                if let Some(Found::Item(at, name)) = self.find(number, path, 0) {
                    files.add(&module.file, &self.0[at].file, &name);
                }
            }
        }
    }
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    }
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == mark)
}

/// Whether the two colons are there that stand between the parts of a path.
fn are_colons(tokens: &[TokenTree], at: usize) -> bool {
    is_mark(tokens.get(at), ':') && is_mark(tokens.get(at + 1), ':')
}

/// Whether an attribute says that what is behind it is for tests or documentation only.
fn is_left_out(attribute: &TokenStream) -> bool {
    let text: String = attribute.to_string().split_whitespace().collect();
    ["cfg(test)", "cfg(doc)"].contains(&&*text) || text.starts_with("cfg(all(test,")
}

/// Where an item ends, or a field.
fn end_of_item(tokens: &[TokenTree]) -> usize {
    let (mut is_field, mut is_use) = (true, false);
    let end = tokens.iter().position(|token| match token {
        TokenTree::Ident(word) => {
            is_use |= word == "use";
            is_field &= !["fn", "impl", "mod", "use"].iter().any(|item| word == item);
            false
        }
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use,
        token => is_mark(Some(token), ';') || is_mark(Some(token), ',') && is_field,
    });
    end.map_or(tokens.len(), |end| end + 1)
}

/// Notes what the TypeScript files of a folder import.
fn note_scripts(folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let file = entry.expect("it can be listed").path();
        if file.extension().is_none_or(|extension| extension != "ts") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("it can be read");
        files.add(&file, &file, "");
        for before in ["from \"./", "import \"./", "import(\"./"] {
            for behind in text.split(before).skip(1) {
                let name = behind.split('"').next().unwrap_or_default();
                let other = folder.join(name).with_extension("ts");
                if other.is_file() {
                    files.add(&file, &other, name);
                }
            }
        }
    }
}
