//! Filters as SQL, for a query in which `contacts` is `c`. Every value is bound; names of attributes too.
//!
//! What always holds: a condition is true or false and never unknown, so that `not` of it is the other. An attribute's
//! type is looked at before its value is read as one.

use palomar_model::Timestamp;
use palomar_model::filter::{Comparison, Condition, Filter, Test, TextTest, TimeTest};

use crate::list::Conditions;
use crate::store::Db;

/// The condition for a filter; its values are added to `wanted`.
pub(crate) fn sql(db: Db<'_>, filter: &Filter, now: Timestamp, wanted: &mut Conditions) -> String {
    Writer { engine: Engine::of(db), now, wanted }.filter(filter)
}

/// Where the engines' words differ.
#[derive(Clone, Copy)]
enum Engine {
    Sqlite,
    Postgres,
}

/// An attribute, in SQL.
struct Attribute {
    /// Whether there is one.
    exists: String,
    is_text: String,
    is_number: String,
    /// Its value as a text or a number.
    value: String,
    flag: [String; 2],
}

impl Engine {
    fn of(db: Db<'_>) -> Engine {
        match db {
            Db::Sqlite(_) => Engine::Sqlite,
            Db::Postgres(_) => Engine::Postgres,
        }
    }

    fn attribute(self, name: &str, wanted: &mut Conditions) -> Attribute {
        match self {
            Engine::Sqlite => {
                // A name has no quotation mark.
                let path = wanted.bind(format!("$.\"{name}\""));
                let kind = format!("json_type(c.attributes, {path})");
                Attribute {
                    exists: format!("{kind} IS NOT NULL"),
                    is_text: format!("{kind} = 'text'"),
                    is_number: format!("{kind} IN ('integer', 'real')"),
                    value: format!("json_extract(c.attributes, {path})"),
                    flag: ["false", "true"].map(|flag| format!("COALESCE({kind} = '{flag}', FALSE)")),
                }
            }
            Engine::Postgres => {
                let name = wanted.bind(name);
                let value = format!("(CAST(c.attributes AS JSONB) -> {name})");
                Attribute {
                    exists: format!("{value} IS NOT NULL"),
                    is_text: format!("jsonb_typeof{value} = 'string'"),
                    is_number: format!("jsonb_typeof{value} = 'number'"),
                    value: format!("(CAST(c.attributes AS JSONB) ->> {name})"),
                    flag: ["false", "true"].map(|flag| format!("COALESCE({value} = '{flag}'::jsonb, FALSE)")),
                }
            }
        }
    }

    /// A text is compared by its bytes, whatever the database's language is.
    fn by_bytes(self) -> &'static str {
        match self {
            Engine::Sqlite => "",
            Engine::Postgres => " COLLATE \"C\"",
        }
    }

    fn has(self, text: &str, part: &str) -> String {
        match self {
            Engine::Sqlite => format!("instr({text}, {part}) > 0"),
            Engine::Postgres => format!("strpos({text}, {part}) > 0"),
        }
    }
}

struct Writer<'w> {
    engine: Engine,
    now: Timestamp,
    wanted: &'w mut Conditions,
}

impl Writer<'_> {
    fn filter(&mut self, filter: &Filter) -> String {
        match filter {
            Filter::All(all) => self.joined(all, " AND ", "TRUE"),
            Filter::Any(any) => self.joined(any, " OR ", "FALSE"),
            Filter::Not(other) => format!("(NOT {})", self.filter(other)),
            Filter::Is(condition) => self.condition(condition),
        }
    }

    fn joined(&mut self, parts: &[Filter], word: &str, none: &str) -> String {
        if parts.is_empty() {
            return none.to_owned();
        }
        let parts: Vec<_> = parts.iter().map(|part| self.filter(part)).collect();
        format!("({})", parts.join(word))
    }

    fn condition(&mut self, condition: &Condition) -> String {
        const SEEN: &str =
            "(SELECT MAX(v.last_inbound_at) FROM conversations AS v WHERE v.contact_id = c.id)";
        match condition {
            Condition::Name(test) => {
                let test = self.text("COALESCE(c.given_name, c.name)", test);
                format!("COALESCE({test}, FALSE)")
            }
            Condition::Phone(test) => {
                let test = self.text("i.value", test);
                format!(
                    "EXISTS (SELECT 1 FROM contact_identities AS i
                         WHERE i.contact_id = c.id AND i.type = 'phone' AND {test})"
                )
            }
            // A word in a JSON array stands in quotation marks, and holds none.
            Condition::Tag(tag) => {
                let word = self.wanted.bind(format!("\"{tag}\""));
                format!("({})", self.engine.has("c.tags", &word))
            }
            Condition::Label(label) => {
                let word = self.wanted.bind(format!("\"{label}\""));
                let has = self.engine.has("v.labels", &word);
                format!("EXISTS (SELECT 1 FROM conversations AS v WHERE v.contact_id = c.id AND {has})")
            }
            Condition::Consent(state) => {
                let state = self.wanted.bind(state.as_str());
                format!("(c.consent = {state})")
            }
            Condition::LastSeen(test) => self.time(SEEN, test),
            Condition::Created(test) => self.time("c.created_at", test),
            Condition::Replied => format!("({SEEN} IS NOT NULL)"),
            Condition::Suppressed => "EXISTS (SELECT 1 FROM contact_identities AS i
                     JOIN suppressions AS s ON s.match_key = i.match_key WHERE i.contact_id = c.id)"
                .to_owned(),
            Condition::Attribute(name, test) => self.attribute(name.as_str(), test),
        }
    }

    fn text(&mut self, text: &str, test: &TextTest) -> String {
        match test {
            TextTest::Exists => format!("{text} IS NOT NULL"),
            TextTest::Compare(comparison, other) => {
                let other = self.wanted.bind(other.as_str());
                format!("{text}{} {} {other}", self.engine.by_bytes(), comparison.sign())
            }
            TextTest::Contains(part) => {
                let part = self.wanted.bind(part.as_str());
                self.engine.has(text, &part)
            }
            TextTest::Starts(start) => {
                let start = self.wanted.bind(start.as_str());
                format!("substr({text}, 1, length({start})) = {start}")
            }
        }
    }

    fn time(&mut self, at: &str, test: &TimeTest) -> String {
        match test {
            TimeTest::Exists => format!("({at} IS NOT NULL)"),
            TimeTest::Compare(comparison, moment) => {
                let moment = self.wanted.bind(moment.at(self.now).micros());
                format!("COALESCE({at} {} {moment}, FALSE)", comparison.sign())
            }
        }
    }

    fn attribute(&mut self, name: &str, test: &Test) -> String {
        let attribute = self.engine.attribute(name, self.wanted);
        match test {
            Test::Exists => format!("({})", attribute.exists),
            Test::Flag(wanted) => attribute.flag[usize::from(*wanted)].clone(),
            Test::Text(test) => {
                let test = self.text(&attribute.value, test);
                format!("(CASE WHEN {} THEN {test} ELSE FALSE END)", attribute.is_text)
            }
            Test::Number(comparison, number) => {
                let test = self.number(&attribute.value, *comparison, &number.to_string());
                format!("(CASE WHEN {} THEN {test} ELSE FALSE END)", attribute.is_number)
            }
        }
    }

    fn number(&mut self, value: &str, comparison: Comparison, number: &str) -> String {
        let number = self.wanted.bind(number);
        let sign = comparison.sign();
        format!("CAST({value} AS DOUBLE PRECISION) {sign} CAST({number} AS DOUBLE PRECISION)")
    }
}
