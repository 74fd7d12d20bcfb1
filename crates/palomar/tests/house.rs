//! The rules of the house, held by a test: what ARCHITECTURE.md and deny.toml say is so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

/// Each crate with the crates of ours that it may name. An arrow that is not here points up the floors.
const FLOORS: [(&str, &[&str]); 10] = [
    ("palomar-model", &[]),
    ("palomar-broker", &["palomar-model"]),
    ("palomar-web", &["palomar-model"]),
    ("palomar-channels", &["palomar-model", "palomar-web"]),
    ("palomar-media", &["palomar-model"]),
    ("palomar-records", &["palomar-model"]),
    ("palomar-sim", &["palomar-model"]),
    (
        "palomar-app",
        &[
            "palomar-model",
            "palomar-broker",
            "palomar-web",
            "palomar-channels",
            "palomar-media",
            "palomar-records",
        ],
    ),
    (
        "palomar-api",
        &[
            "palomar-model",
            "palomar-broker",
            "palomar-channels",
            "palomar-media",
            "palomar-records",
            "palomar-app",
        ],
    ),
    (
        "palomar",
        &[
            "palomar-model",
            "palomar-broker",
            "palomar-channels",
            "palomar-media",
            "palomar-records",
            "palomar-sim",
            "palomar-app",
            "palomar-api",
        ],
    ),
];

/// What the vocabulary must not be able to name.
const NOT_IN_MODEL: [&str; 6] = ["tokio", "futures-util", "reqwest", "axum", "rusqlite", "rand"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn table(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn keys(table: &Table, key: &str) -> BTreeSet<String> {
    table.get(key).and_then(Value::as_table).map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// The manifests of our crates, by name.
fn crates() -> BTreeMap<String, Table> {
    let dirs = std::fs::read_dir(root().join("crates")).expect("crates");
    dirs.map(|dir| {
        let manifest = table(&dir.expect("a directory").path().join("Cargo.toml"));
        (manifest["package"]["name"].as_str().expect("a name").to_owned(), manifest)
    })
    .collect()
}

/// All source files of ours.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join("crates")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn nothing_is_unsafe() {
    let workspace = table(&root().join("Cargo.toml"));
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for (name, manifest) in crates() {
        let inherits =
            manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
        assert_eq!(inherits, Some(true), "{name} does not inherit the workspace's lints");
    }
}

#[test]
fn arrows_point_down_the_floors() {
    let crates = crates();
    let named: BTreeSet<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    assert_eq!(crates.keys().map(String::as_str).collect::<BTreeSet<_>>(), named, "a crate without a floor");
    for (name, below) in FLOORS {
        let ours =
            keys(&crates[name], "dependencies").into_iter().filter(|other| other.starts_with("palomar"));
        for other in ours {
            assert!(below.contains(&other.as_str()), "{name} uses {other}, which is not below it");
        }
    }
    let model = keys(&crates["palomar-model"], "dependencies");
    for banned in NOT_IN_MODEL {
        assert!(!model.contains(banned), "palomar-model must do no I/O: it uses {banned}");
    }
}

#[test]
fn versions_are_said_once() {
    for (name, manifest) in crates() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (other, said) in manifest.get(section).and_then(Value::as_table).into_iter().flatten() {
                let inherits = said.get("workspace").and_then(Value::as_bool);
                assert_eq!(
                    inherits,
                    Some(true),
                    "{name}: the version of {other} belongs into the workspace's manifest"
                );
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("//!"), "{} begins without saying what it is for", path.display());
    }
}

#[test]
fn nothing_banned_is_depended_on() {
    let deny = table(&root().join("deny.toml"));
    let banned = deny["bans"]["deny"].as_array().expect("a list");
    let banned: Vec<&str> = banned.iter().filter_map(|ban| ban["crate"].as_str()).collect();
    assert!(!banned.is_empty());
    let lock = table(&root().join("Cargo.lock"));
    for package in lock["package"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        assert!(!banned.contains(&name), "{name} is banned by deny.toml");
        let source = package.get("source").and_then(Value::as_str);
        assert!(source.is_none_or(|source| source.starts_with("registry+")), "{name} comes from {source:?}");
    }
}

#[test]
fn every_licence_is_allowed() {
    let deny = table(&root().join("deny.toml"));
    let allowed: BTreeSet<String> = deny["licenses"]["allow"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let answer = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    // What is resolved is what is built; the list of packages has more.
    let built: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let mut looked_at = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        if package["id"].as_str().is_some_and(|id| built.contains(id)) {
            let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or_default());
            assert!(is_allowed(licence, &allowed), "{name} has the licence {licence:?}: see deny.toml");
            looked_at += 1;
        }
    }
    assert!(looked_at > 100, "{looked_at} packages");
}

/// Whether a licence expression can be met by what is allowed: of each part joined by AND, one alternative.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], "");
    flat.split(" AND ").all(|part| part.split(" OR ").any(|name| allowed.contains(name.trim())))
}

#[test]
fn licence_expressions() {
    let allowed: BTreeSet<String> = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression:?}");
    }
}
