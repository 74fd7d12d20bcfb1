//! Tables as both engines have them, and many rows of one as one statement takes them.

use super::Value;

/// What a column keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Bytes,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// A column of numbers: counts, and times in microseconds.
pub(crate) const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

/// A column of texts: words, ids, JSON.
pub(crate) const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

/// A column of bytes.
pub(crate) const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes }
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// All columns; those of the primary key first.
    pub(crate) columns: &'static [Column],
    /// How many of them are the primary key.
    pub(crate) key: usize,
}

/// The values of a column over many rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl List {
    fn new(kind: Kind) -> List {
        match kind {
            Kind::Int => List::Int(Vec::new()),
            Kind::Text => List::Text(Vec::new()),
            Kind::Bytes => List::Bytes(Vec::new()),
        }
    }

    /// Adds a value. One of another kind is a mistake of ours; it counts as none, so that no row shifts.
    fn push(&mut self, value: Value) {
        match (self, value) {
            (List::Int(list), Value::Int(value)) => list.push(value),
            (List::Text(list), Value::Text(value)) => list.push(value),
            (List::Bytes(list), Value::Bytes(value)) => list.push(value),
            (list, value) => {
                debug_assert!(false, "{value:?} does not belong into this column");
                list.push_none();
            }
        }
    }

    fn push_none(&mut self) {
        match self {
            List::Int(list) => list.push(None),
            List::Text(list) => list.push(None),
            List::Bytes(list) => list.push(None),
        }
    }
}

/// Many rows, column by column.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) columns: &'static [Column],
    pub(crate) lists: Vec<List>,
    pub(crate) len: usize,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn of(columns: &'static [Column]) -> Rows {
        Rows { columns, lists: columns.iter().map(|column| List::new(column.kind)).collect(), len: 0 }
    }

    /// Adds a row: a value a column, in their order.
    pub(crate) fn push<I: IntoIterator<Item = Value>>(&mut self, row: I)
    where
        I::IntoIter: ExactSizeIterator,
    {
        let row = row.into_iter();
        debug_assert_eq!(row.len(), self.lists.len(), "a value a column");
        for (list, value) in self.lists.iter_mut().zip(row) {
            list.push(value);
        }
        self.len += 1;
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A statement that writes many rows.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) table: &'static Table,
    pub(crate) verb: Verb,
    pub(crate) rows: Rows,
}

/// What it does with them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    /// Adds them; what becomes of one whose key is there already, in SQL.
    Insert(&'static str),
    /// Changes the rows of the same key to what the other columns say.
    Update,
    /// Removes the rows with these values.
    Delete,
}

impl Write {
    pub(crate) const fn insert(table: &'static Table, on_conflict: &'static str, rows: Rows) -> Write {
        Write { table, verb: Verb::Insert(on_conflict), rows }
    }

    pub(crate) const fn update(table: &'static Table, rows: Rows) -> Write {
        Write { table, verb: Verb::Update, rows }
    }

    pub(crate) const fn delete(table: &'static Table, rows: Rows) -> Write {
        Write { table, verb: Verb::Delete, rows }
    }

    /// The text for one row at a time: `$n` is its n-th column.
    pub(crate) fn for_one(&self) -> String {
        let table = self.table.name;
        let columns = self.rows.columns;
        match self.verb {
            Verb::Insert(conflict) => {
                let values = listed((1..=columns.len()).map(|n| format!("${n}")));
                format!("INSERT INTO {table} ({}) VALUES ({values}) {conflict}", names(columns))
            }
            Verb::Update => {
                let set =
                    (self.table.key..columns.len()).map(|n| format!("{} = ${}", columns[n].name, n + 1));
                format!("UPDATE {table} SET {} WHERE {}", listed(set), equal(&columns[..self.table.key]))
            }
            Verb::Delete => format!("DELETE FROM {table} WHERE {}", equal(columns)),
        }
    }

    /// The text for all rows at once: `$n` is the list of the n-th column.
    pub(crate) fn for_all(&self) -> String {
        let table = self.table.name;
        let columns = self.rows.columns;
        let given = unnest(columns, "given");
        let same = |columns: &[Column]| {
            let each = columns.iter().map(|Column { name, .. }| format!("{table}.{name} = given.{name}"));
            each.collect::<Vec<_>>().join(" AND ")
        };
        match self.verb {
            Verb::Insert(conflict) => {
                let names = names(columns);
                format!("INSERT INTO {table} ({names}) SELECT {names} FROM {given} {conflict}")
            }
            Verb::Update => {
                let (key, rest) = columns.split_at(self.table.key);
                let set = listed(rest.iter().map(|Column { name, .. }| format!("{name} = given.{name}")));
                format!("UPDATE {table} SET {set} FROM {given} WHERE {}", same(key))
            }
            Verb::Delete => format!("DELETE FROM {table} USING {given} WHERE {}", same(columns)),
        }
    }
}

/// Lists that are bound, as a table.
pub(crate) fn unnest(columns: &[Column], name: &str) -> String {
    let lists = listed((1..=columns.len()).map(|n| format!("${n}")));
    format!("UNNEST({lists}) AS {name} ({})", names(columns))
}

/// Values that are bound, as a table of one row.
pub(crate) fn one_row(columns: &[Column], name: &str) -> String {
    let values = listed(columns.iter().zip(1..).map(|(column, n)| format!("${n} AS {}", column.name)));
    format!("(SELECT {values}) AS {name}")
}

/// The names of columns, a comma between two.
pub(crate) fn names(columns: &[Column]) -> String {
    listed(columns.iter().map(|column| column.name.to_owned()))
}

fn equal(columns: &[Column]) -> String {
    let each = columns.iter().zip(1..).map(|(column, n)| format!("{} = ${n}", column.name));
    each.collect::<Vec<_>>().join(" AND ")
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table { name: "t", columns: &[text("a"), int("b"), int("c")], key: 2 };

    #[test]
    fn each_verb_has_a_text_for_one_and_for_all() {
        let rows = Rows::of(TABLE.columns);
        let insert = Write::insert(&TABLE, "ON CONFLICT DO NOTHING", rows.clone());
        assert_eq!(insert.for_one(), "INSERT INTO t (a, b, c) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        assert_eq!(
            insert.for_all(),
            "INSERT INTO t (a, b, c) SELECT a, b, c FROM UNNEST($1, $2, $3) AS given (a, b, c) \
             ON CONFLICT DO NOTHING"
        );
        let update = Write::update(&TABLE, rows);
        assert_eq!(update.for_one(), "UPDATE t SET c = $3 WHERE a = $1 AND b = $2");
        assert_eq!(
            update.for_all(),
            "UPDATE t SET c = given.c FROM UNNEST($1, $2, $3) AS given (a, b, c) \
             WHERE t.a = given.a AND t.b = given.b"
        );
        let delete = Write::delete(&TABLE, Rows::of(&TABLE.columns[..1]));
        assert_eq!(delete.for_one(), "DELETE FROM t WHERE a = $1");
        assert_eq!(delete.for_all(), "DELETE FROM t USING UNNEST($1) AS given (a) WHERE t.a = given.a");
    }
}
