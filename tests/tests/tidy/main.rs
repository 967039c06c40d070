//! The house holds itself to its own rules: imports go forward, the map is true, files stay small.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

mod tree;

use std::collections::{BTreeMap, BTreeSet};

use tree::{has_ending, read, root, rust_files, tracked};

/// STYLE: a file stays under this many lines, so that it can be read in one sitting.
const FILE_LINES_MAX: usize = 500;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] = [
    "util", "utils", "common", "helper", "helpers", "manager", "misc", "types", "base",
];

/// The modules of a crate's `lib.rs` in their order, and how many of them are foundations.
struct Order {
    modules: Vec<String>,
    foundations: usize,
}

fn order_of(crate_dir: &str) -> Order {
    let text = read(&format!("{crate_dir}/src/lib.rs"));
    let mut modules = Vec::new();
    let mut foundations = None;
    for line in text.lines() {
        // The first comment after the foundations begins the walk.
        if line.starts_with("// ") && !line.starts_with("// Foundations") && !modules.is_empty() {
            foundations.get_or_insert(modules.len());
        }
        let module = line
            .strip_prefix("pub mod ")
            .or_else(|| line.strip_prefix("mod "));
        if let Some(name) = module.and_then(|rest| rest.strip_suffix(';')) {
            modules.push(name.to_owned());
        }
    }
    let foundations = foundations.unwrap_or(modules.len());
    Order {
        modules,
        foundations,
    }
}

/// The first names of every `crate::…` path in a source text, tests left out.
fn crate_imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = lines.join("\n");
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        if code[..at].ends_with(is_of_name) {
            continue;
        }
        for part in parts(&code[at + path.len()..]) {
            let name: String = part.chars().take_while(|c| is_of_name(*c)).collect();
            if !name.is_empty() {
                names.insert(name);
            }
        }
    }
    names
}

/// What stands behind `crate::`: one path, or all those between braces.
fn parts(rest: &str) -> Vec<&str> {
    let Some(list) = rest.strip_prefix('{') else {
        return vec![rest];
    };
    let mut depth = 0_usize;
    let mut begin = 0;
    let mut parts = Vec::new();
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                parts.push(list[begin..at].trim());
                return parts;
            }
            ',' if depth == 0 => {
                parts.push(list[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts
}

#[test]
fn every_way_to_import_is_seen() {
    for (text, expected) in [
        ("use crate::a::B;", vec!["a"]),
        ("use crate::{a, b::{C, D},\n    e};", vec!["a", "b", "e"]),
        ("let x = crate::a::f(crate::b::g());", vec!["a", "b"]),
        ("// crate::a\nuse other_crate::b;", vec![]),
    ] {
        let seen: Vec<String> = crate_imports(text).into_iter().collect();
        assert_eq!(seen, expected, "{text}");
    }
}

#[test]
fn a_module_imports_foundations_and_later_modules_only() {
    let mut backward = Vec::new();
    for crate_dir in ["git", "hub", "runner"] {
        let Order {
            modules,
            foundations,
        } = order_of(crate_dir);
        let place: BTreeMap<&str, usize> = modules
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), at))
            .collect();
        let prefix = format!("{crate_dir}/src/");
        for file in rust_files().filter(|file| file.starts_with(&prefix)) {
            let inside = &file[prefix.len()..];
            let module = inside.split(['/', '.']).next().unwrap_or_default();
            let Some(&here) = place.get(module) else {
                continue;
            };
            if inside.ends_with("/tests.rs") {
                continue;
            }
            for name in crate_imports(&read(&file)) {
                let Some(&there) = place.get(name.as_str()) else {
                    continue;
                };
                let is_forward = there >= here || there < foundations;
                let is_foundation_on_walk = here < foundations && there >= foundations;
                if !is_forward || is_foundation_on_walk {
                    backward.push(format!("{file} imports {name}"));
                }
            }
        }
    }
    assert!(
        backward.is_empty(),
        "imports that go backward:\n{}",
        backward.join("\n")
    );
}

#[test]
fn only_the_wiring_names_a_concrete_adapter() {
    let adapters = [
        "SqliteStore",
        "MemoryStore",
        "WasmExecutor",
        "ContainerExecutor",
        "SystemClock",
    ];
    let mut named = Vec::new();
    for file in rust_files() {
        let is_product = file.starts_with("hub/src/") || file.starts_with("runner/src/");
        let stem = file.rsplit('/').next().unwrap_or_default();
        let may = matches!(
            stem,
            "wiring.rs" | "main.rs" | "tests.rs" | "contract.rs" | "clock.rs"
        ) || file.contains("/src/store/")
            || file.contains("/src/executor/")
            || file.contains("/src/command/")
            || file.contains("/src/step_run");
        if !is_product || may {
            continue;
        }
        let text = read(&file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for adapter in adapters {
            let is_named = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .any(|line| line.contains(adapter));
            if is_named {
                named.push(format!("{file} names {adapter}"));
            }
        }
    }
    assert!(
        named.is_empty(),
        "adapters named outside the wiring:\n{}",
        named.join("\n")
    );
}

#[test]
fn sql_lives_under_the_store_alone() {
    let strays: Vec<String> = rust_files()
        .filter(|file| file.starts_with("hub/src/") && !file.starts_with("hub/src/store"))
        .filter(|file| read(file).contains("sqlx::"))
        .collect();
    assert_eq!(strays, Vec::<String>::new());
}

#[test]
fn files_are_small_and_named_for_what_is_inside() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let lines = read(&file).lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!(
                "{file} has {lines} lines; {FILE_LINES_MAX} are allowed"
            ));
        }
        let stem = file
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        if EMPTY_NAMES.contains(&stem) || stem == "mod" {
            wrong.push(format!("{file} is named for nothing"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_product_opens_by_saying_what_it_is() {
    let silent: Vec<String> = rust_files()
        .filter(|file| file.contains("/src/") && !file.ends_with("/tests.rs"))
        .filter(|file| !read(file).starts_with("//! "))
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

/// What stands between backticks and looks like a path: it has a slash and no space.
fn paths_in(text: &str) -> BTreeSet<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('/') && !word.contains([' ', '<', '*', ':', '$', '\n']))
        .filter(|word| !word.starts_with(['/', '~', '.']) && !word.starts_with("target/"))
        .map(|word| word.trim_end_matches('/').to_owned())
        .collect()
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let gone: Vec<String> = paths_in(&read("ARCHITECTURE.md"))
        .into_iter()
        .filter(|path| !root().join(path).exists() && !root().join(format!("{path}.rs")).exists())
        .collect();
    assert_eq!(gone, Vec::<String>::new());
}

#[test]
fn the_map_shows_every_root_folder_and_every_module_of_the_walk() {
    let map = read("ARCHITECTURE.md");
    let mut missing = Vec::new();
    let folders: BTreeSet<String> = tracked()
        .into_iter()
        .filter_map(|file| file.split_once('/').map(|(folder, _)| folder.to_owned()))
        .filter(|folder| !folder.starts_with('.'))
        .collect();
    for folder in folders {
        if !map.contains(&format!("`{folder}/`")) {
            missing.push(format!("`{folder}/`"));
        }
    }
    for crate_dir in ["hub", "runner"] {
        for module in order_of(crate_dir).modules {
            let name = format!("`{crate_dir}/src/{module}`");
            if !map.contains(&name) {
                missing.push(name);
            }
        }
    }
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md does not show: {}",
        missing.join(", ")
    );
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = read("ARCHITECTURE.md");
    let section = text
        .split("\n## Invariants\n")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("ARCHITECTURE.md has a section on its invariants");
    let sources: String = rust_files().map(|file| read(&file)).collect();
    let invariants: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("- "))
        .collect();
    assert!(
        invariants.len() >= 8,
        "only {} invariants are stated",
        invariants.len()
    );
    for invariant in invariants {
        let holder = invariant
            .rsplit('`')
            .nth(1)
            .unwrap_or_else(|| panic!("no test is named by: {invariant}"));
        assert!(
            sources.contains(&format!("fn {holder}(")),
            "no test {holder} for: {invariant}"
        );
    }
}

#[test]
fn every_link_between_our_pages_leads_somewhere() {
    let mut dead = Vec::new();
    for page in tracked().into_iter().filter(|file| has_ending(file, "md")) {
        let text = read(&page);
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || target.contains("://") {
                continue;
            }
            if !root().join(folder).join(path).exists() {
                dead.push(format!("{page} → {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn every_decision_is_in_the_index_of_decisions() {
    let index = read("docs/adr/README.md");
    for file in tracked()
        .into_iter()
        .filter(|file| file.starts_with("docs/adr/0"))
    {
        let name = file.rsplit('/').next().unwrap_or_default();
        assert!(
            index.contains(&format!("({name})")),
            "{file} is not in docs/adr/README.md"
        );
    }
}
