//! Puts the layers on each other: default file, file, environment, flags.
//!
//! What always holds: a layer only says what differs, an unknown key is a problem and never ignored, and all problems
//! are found in one go, each with the place where it was said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use toml::{Table, Value};

use super::problem::{Origin, Problem};
use super::settings::Settings;
use super::tree::{self, Path};
use super::{Loaded, RECORDS_URL, REDIS, ReadFile, SECRETS, Sources, check, nearest::nearest, seeds::Seeds};

/// The default file: documentation and defaults in one.
pub(crate) const DEFAULT_FILE: &str = include_str!("../../palomar.default.toml");

/// What the names of our variables begin with.
const PREFIX: &str = "PALOMAR__";

/// What the name of a secret's twin ends with.
const TWIN: &str = "_file";

/// A value in force and where it was said. A value may be a secret: it does not show itself.
#[derive(Clone, PartialEq)]
pub(crate) struct Setting {
    /// The value.
    pub(crate) value: Value,
    /// Where it was said.
    pub(crate) origin: Origin,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The values in force.
pub(crate) type InForce = BTreeMap<Path, Setting>;

/// Reads and checks everything.
///
/// # Errors
/// Every problem there is.
pub(crate) fn load(sources: &Sources<'_>) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut layers = Layers::new(sources.read_file);
    if let Some((name, text)) = &sources.file {
        match tree::read(text) {
            Ok(entries) => {
                for entry in entries {
                    let origin = Origin::File { file: name.clone(), line: entry.line };
                    layers.say(entry.path, entry.value, origin, &mut problems);
                }
            }
            Err(error) => {
                let origin = Origin::File { file: name.clone(), line: error.line };
                problems.push(Problem::new(origin, "", error.what));
            }
        }
    }
    for (name, text) in &sources.variables {
        if let Some(key) = name.strip_prefix(PREFIX) {
            layers.say_variable(name, key, text, &mut problems);
        } else if let Some((_, key)) =
            name.split_once('_').filter(|(first, key)| *first == "PALOMAR" && key.contains("__"))
        {
            let what = format!("not a setting's variable: did you mean ${PREFIX}{key}?");
            problems.push(Problem::new(Origin::Variable(name.clone()), "", what));
        }
    }
    for (flag, path, value) in &sources.flags {
        layers.say(Path::of(path), Value::String(value.clone()), Origin::Flag(flag), &mut problems);
    }
    let seeds = Seeds::read(&sources.variables, sources.read_file, &mut problems);
    if let Some((url, origin)) = seeds.records_url()
        && layers.origin_of(RECORDS_URL) == Origin::Default
    {
        layers.say(Path::of(RECORDS_URL), Value::String(url), origin, &mut problems);
    }
    if let Some((url, origin)) = seeds.redis_url()
        && layers.origin_of(REDIS) == Origin::Default
    {
        layers.say(Path::of(REDIS), Value::String(url), origin, &mut problems);
    }
    for (setting, value, origin) in seeds.campaigns().into_iter().chain(seeds.sessions()) {
        if layers.origin_of(setting) == Origin::Default {
            layers.say(Path::of(setting), value, origin, &mut problems);
        }
    }
    let settings = layers.settle(&mut problems);
    if let Some(settings) = &settings {
        problems.extend(check::rules(settings, |key| layers.origin_of(key)));
    }
    // By place, so that a file's problems come in the order of its lines.
    problems.sort_by_key(|problem| match &problem.origin {
        Origin::File { line, .. } => (0, *line),
        _ => (1, 0),
    });
    match settings {
        Some(settings) if problems.is_empty() => Ok(Loaded { settings, seeds, in_force: layers.in_force }),
        _ => Err(problems),
    }
}

/// The default file, flattened once.
static DEFAULTS: LazyLock<InForce> = LazyLock::new(|| {
    let entries = tree::read(DEFAULT_FILE).unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| (entry.path, Setting { value: entry.value, origin: Origin::Default }))
        .collect()
});

struct Layers<'a> {
    read_file: ReadFile<'a>,
    defaults: &'static InForce,
    in_force: InForce,
    /// Whether anything was said beside the defaults.
    said: bool,
}

impl<'a> Layers<'a> {
    fn new(read_file: ReadFile<'a>) -> Layers<'a> {
        Layers { read_file, in_force: DEFAULTS.clone(), defaults: &DEFAULTS, said: false }
    }

    /// Puts one value in force, or says why not.
    fn say(&mut self, path: Path, value: Value, origin: Origin, problems: &mut Vec<Problem>) {
        self.said = true;
        if let (Some(secret), Some(file)) = (of_twin(&path), value.as_str()) {
            return self.say_file(secret, file, origin, problems);
        }
        match self.place_of(&path) {
            Place::Setting if value.is_table() => {
                problems.push(Problem::new(
                    origin,
                    path.to_string(),
                    "is a setting, not a section: write a value",
                ));
            }
            Place::Setting => {
                self.in_force.insert(path, Setting { value, origin });
            }
            Place::Section if value.is_table() => {}
            Place::Section => {
                let what = format!("is a section, not a setting: write [{path}] and its settings below");
                problems.push(Problem::new(origin, path.to_string(), what));
            }
            Place::Unknown => {
                let what = self.unknown(&path, matches!(origin, Origin::Variable(_)));
                problems.push(Problem::new(origin, path.to_string(), what));
            }
        }
    }

    /// Puts what a variable says in force. Its text becomes a value of the kind that the setting has.
    fn say_variable(&mut self, name: &str, key: &str, text: &str, problems: &mut Vec<Problem>) {
        let path = Path(key.to_lowercase().split("__").map(str::to_owned).collect());
        let origin = Origin::Variable(name.to_owned());
        let value = match self.defaults.get(&path).map(|setting| &setting.value) {
            Some(Value::Integer(_)) => text.trim().parse().map(Value::Integer).map_err(|_| "a whole number"),
            Some(Value::Boolean(_)) => text.trim().parse().map(Value::Boolean).map_err(|_| "true or false"),
            _ => Ok(Value::String(text.to_owned())),
        };
        match value {
            Ok(value) => self.say(path, value, origin, problems),
            Err(expected) => {
                problems.push(Problem::new(origin, path.to_string(), format!("{text:?} is not {expected}")));
            }
        }
    }

    /// Puts in force what stands in a secret's file.
    fn say_file(&mut self, secret: &str, file: &str, named_by: Origin, problems: &mut Vec<Problem>) {
        let path = std::path::PathBuf::from(file);
        match (self.read_file)(&path) {
            Ok(text) => {
                let value = Value::String(text.trim().to_owned());
                let origin = Origin::SecretFile { named_by: Box::new(named_by), path };
                self.in_force.insert(Path::of(secret), Setting { value, origin });
            }
            Err(error) => {
                let what = format!("can't read {file}: {error}");
                problems.push(Problem::new(named_by, format!("{secret}{TWIN}"), what));
            }
        }
    }

    fn place_of(&self, path: &Path) -> Place {
        if self.defaults.contains_key(path) {
            Place::Setting
        } else if self.defaults.keys().any(|known| known.is_within(path)) {
            Place::Section
        } else {
            Place::Unknown
        }
    }

    fn unknown(&self, path: &Path, variable: bool) -> String {
        let known: BTreeSet<String> = self.defaults.keys().map(Path::to_string).collect();
        let named = path.to_string();
        let last = path.0.last().map_or("", String::as_str);
        // Nearest in spelling; else a key of that name in another section.
        let meant = nearest(&named, known.iter().map(String::as_str))
            .or_else(|| known.iter().map(String::as_str).find(|name| name.rsplit('.').next() == Some(last)));
        match meant {
            Some(meant) if variable => format!("unknown key: did you mean ${}?", variable_of(meant)),
            Some(meant) => format!("unknown key: did you mean {meant}?"),
            None => "unknown key: `palomar config init` writes a file with every key there is".to_owned(),
        }
    }

    fn origin_of(&self, key: &str) -> Origin {
        self.in_force.get(&Path::of(key)).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// The values in force as settings. A value that does not fit is a problem and its default stands in, so that the
    /// next one is found too.
    fn settle(&self, problems: &mut Vec<Problem>) -> Option<Settings> {
        // Of a file that is not TOML nothing was taken over: the defaults alone hold no problem.
        if !self.said && !problems.is_empty() {
            return None;
        }
        let mut table = Table::new();
        for (path, setting) in &self.in_force {
            tree::put(&mut table, &path.0, setting.value.clone());
        }
        loop {
            let error = match serde_path_to_error::deserialize(Value::Table(table.clone())) {
                Ok(settings) => return Some(settings),
                Err(error) => error,
            };
            let keys = error.path().iter().filter_map(|segment| match segment {
                serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                _ => None,
            });
            let path = Path(keys.collect());
            let what = error.inner().message().lines().next().unwrap_or_default().to_owned();
            let wrong = self.in_force.get(&path);
            let origin = wrong.map_or(Origin::Default, |setting| setting.origin.clone());
            let is_ours = origin == Origin::Default;
            problems.push(Problem::new(origin, path.to_string(), what));
            if is_ours {
                return None;
            }
            match self.defaults.get(&path) {
                Some(default) => tree::put(&mut table, &path.0, default.value.clone()),
                None => tree::remove(&mut table, &path.0),
            }
        }
    }
}

/// The secret whose file a key names.
fn of_twin(path: &Path) -> Option<&'static str> {
    let key = path.to_string();
    let secret = key.strip_suffix(TWIN)?;
    SECRETS.into_iter().find(|known| *known == secret)
}

/// The variable of a setting.
fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

enum Place {
    Setting,
    Section,
    Unknown,
}
