//! A TOML text as a flat list of what it says: one entry per value, each with its path and its line.

use std::fmt;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// The way to a value through the tables: `[server] listen` is `server.listen`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Path(pub(super) Vec<String>);

impl Path {
    /// The path that `text` writes with dots.
    pub(super) fn of(text: &str) -> Path {
        Path(text.split('.').map(str::to_owned).collect())
    }

    /// Whether this path begins with `other`, or is it.
    pub(super) fn is_within(&self, other: &Path) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// One thing that a text says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Where it belongs.
    pub(super) path: Path,
    /// What it is. A table only where that table is empty.
    pub(super) value: Value,
    /// The line of its key, counted from 1.
    pub(super) line: usize,
}

/// A text that is not TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotToml {
    /// The line, counted from 1.
    pub(super) line: usize,
    /// What is wrong there.
    pub(super) what: String,
}

/// Reads a text. The entries are in the order of their paths within each table.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, NotToml> {
    // Values and places come from two readings: the table of values has no places, and the table with places keeps
    // numbers as they were written.
    let not_toml = |error: &toml::de::Error| NotToml {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        what: format!("not TOML: {}", error.message().lines().collect::<Vec<_>>().join(", ")),
    };
    let values: Table = toml::from_str(text).map_err(|error| not_toml(&error))?;
    let places = DeTable::parse(text).map_err(|error| not_toml(&error))?;
    let mut entries = Vec::new();
    collect(text, &mut Vec::new(), &values, places.get_ref(), &mut entries);
    Ok(entries)
}

fn collect(
    text: &str,
    path: &mut Vec<String>,
    values: &Table,
    places: &DeTable<'_>,
    entries: &mut Vec<Entry>,
) {
    for (key, place) in places {
        let Some(value) = values.get(key.get_ref().as_ref()) else {
            continue;
        };
        path.push(key.get_ref().to_string());
        match (value, place.get_ref()) {
            (Value::Table(values), DeValue::Table(places)) if !values.is_empty() => {
                collect(text, path, values, places, entries);
            }
            _ => {
                let line = line_of(text, Spanned::span(key).start);
                entries.push(Entry { path: Path(path.clone()), value: value.clone(), line });
            }
        }
        path.pop();
    }
}

/// The line of a place, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Puts `value` at `path` of `table`, making the tables on the way. What stands in the way is replaced.
pub(super) fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            if let Some(inner) = inner.as_table_mut() {
                put(inner, rest, value);
            }
        }
    }
}

/// Takes what is at `path` out of `table`.
pub(super) fn remove(table: &mut Table, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            table.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(inner) = table.get_mut(first).and_then(Value::as_table_mut) {
                remove(inner, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_path_and_line() {
        let text = "# a comment\nenvironment = \"test\"\n\n[server]\nlisten = \"1.2.3.4:5\"\n\n[limits.profiles.x]\n[a]\nb.c = [1,\n2]\n";
        let entries = read(text).expect("TOML");
        let said: Vec<_> = entries.iter().map(|entry| (entry.path.to_string(), entry.line)).collect();
        for (path, line) in [("environment", 2), ("server.listen", 5), ("limits.profiles.x", 7), ("a.b.c", 9)]
        {
            assert!(said.contains(&(path.to_owned(), line)), "{path} in {said:?}");
        }
        assert_eq!(entries.len(), 4);
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        for (text, line) in
            [("a = 1\nb = = 2\n", 2), ("a = 1\na = 2\n", 2), ("[x\n", 1), ("a = 99999999999999999999\n", 1)]
        {
            let error = read(text).expect_err(text);
            assert_eq!(error.line, line, "{text:?}: {}", error.what);
        }
    }

    #[test]
    fn put_makes_the_way_and_remove_leaves_it() {
        let mut table = Table::new();
        put(&mut table, &Path::of("a.b.c").0, Value::Integer(1));
        put(&mut table, &Path::of("a.d").0, Value::Integer(2));
        assert_eq!(table, toml::from_str("a.b.c = 1\na.d = 2").expect("TOML"));
        remove(&mut table, &Path::of("a.b.c").0);
        remove(&mut table, &Path::of("x.y").0);
        assert_eq!(table, toml::from_str("a.d = 2\n[a.b]").expect("TOML"));
    }
}
