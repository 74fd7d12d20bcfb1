//! The columns of a file of contacts: what each is about, by its name or by what the importer says, and what a row says.
//!
//! A column that nobody names becomes an attribute under its own name. Its type may follow a colon: `age:number`.

use std::collections::BTreeMap;

use palomar_model::attribute::{AttributeName, AttributeValue, ConsentState, Number, Tag};
use palomar_model::{FieldError, Recipient, Timestamp, keyword};
use palomar_records::{ConsentChange, ContactChange};

use crate::sheet::Cell;

/// Names by which columns are known, in the languages of those who write them; as [`keyword`] has them.
const PHONE: [&str; 16] = [
    "phone",
    "phone number",
    "phonenumber",
    "mobile",
    "cell",
    "telefono",
    "telefono movil",
    "movil",
    "celular",
    "whatsapp",
    "number",
    "numero",
    "to",
    "recipient",
    "recipientphone",
    "tel",
];
const NAME: [&str; 7] =
    ["name", "full name", "fullname", "nombre", "nombre completo", "nombre y apellidos", "contact"];
const TAGS: [&str; 4] = ["tags", "tag", "etiquetas", "etiqueta"];
const CONSENT: [&str; 3] = ["consent", "consentimiento", "opt in"];

/// What a column is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Phone,
    Name,
    Tags,
    Consent,
    ConsentSource,
    ConsentAt,
    Attribute(AttributeName, Kind),
    /// Not read.
    Nothing,
}

/// What the cells of an attribute's column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// As the file has them: texts in CSV, what their type is in XLSX.
    AsItIs,
    Text,
    Number,
    Flag,
}

/// Why a row is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadCell {
    /// The column, by its name.
    pub(super) column: Option<String>,
    /// What is wrong and what to do.
    pub(super) detail: String,
}

impl BadCell {
    /// The row as a whole.
    pub(super) const fn whole(detail: String) -> BadCell {
        BadCell { column: None, detail }
    }
}

/// What the header says.
#[derive(Clone, Debug)]
pub(super) struct Columns(Vec<(String, Target)>);

impl Columns {
    /// Reads a header. `said` names columns' targets by their names, and comes before what the names say.
    pub(super) fn read(
        header: &[Cell],
        said: &BTreeMap<String, Option<String>>,
    ) -> Result<Columns, Vec<FieldError>> {
        let names: Vec<String> = header.iter().map(Cell::text).collect();
        let mut errors = Vec::new();
        for unknown in said.keys().filter(|said| !names.contains(*said)) {
            let known: Vec<_> = names.iter().map(|name| shown(name)).take(20).collect();
            let detail = format!("the file has no such column; it has {}", known.join(", "));
            errors.push(FieldError::new(format!("/columns/{}", pointer(unknown)), detail));
        }
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let at = format!("/columns/{}", pointer(&name));
            let target = match said.get(&name) {
                Some(Some(target)) => target_of(target),
                Some(None) => Ok(Target::Nothing),
                None if name.is_empty() => Ok(Target::Nothing),
                None => target_of(&name),
            };
            match target {
                Ok(target) => columns.push((name, target)),
                Err(why) => {
                    let detail = format!("{why}; name it in `columns`, or leave it out there with null");
                    errors.push(FieldError::new(at, detail));
                }
            }
        }
        errors.extend(repeated(&columns));
        if !columns.iter().any(|(_, target)| *target == Target::Phone) {
            errors.push(FieldError::new("/columns", no_phone(&columns)));
        }
        if errors.is_empty() { Ok(Columns(columns)) } else { Err(errors) }
    }

    /// Who a row is about, and what it says of them; `region` is what national numbers are read with.
    pub(super) fn row(
        &self,
        cells: &[Cell],
        region: Option<&str>,
    ) -> Result<(Recipient, ContactChange), BadCell> {
        if cells.iter().skip(self.0.len()).any(|cell| !cell.is_empty()) {
            let (has, header) = (cells.len(), self.0.len());
            let detail = format!(
                "it has {has} cells, the header has {header}: is a text with a separator not quoted?"
            );
            return Err(BadCell { column: None, detail });
        }
        let mut to = None;
        let mut says = ContactChange::default();
        let mut consent = (None, None, None);
        for ((name, target), cell) in self.0.iter().zip(cells) {
            if cell.is_empty() {
                continue;
            }
            let bad = |detail: String| BadCell { column: Some(shown(name)), detail };
            match target {
                Target::Phone => {
                    let parsed = Recipient::parse(&cell.text(), region);
                    to = Some(parsed.map_err(|why| bad(format!("{why}")))?);
                }
                Target::Name => says.name = Some(cell.text()),
                Target::Tags => {
                    let tags = Tag::list(&cell.text());
                    says.tags = tags.map_err(|why| bad(why.to_string()))?;
                }
                Target::Consent => {
                    let state = consent_of(&cell.text());
                    let words = "is none of granted, denied, unknown, yes and no";
                    consent.0 = Some(state.ok_or_else(|| bad(words.to_owned()))?);
                }
                Target::ConsentSource => consent.1 = Some(cell.text()),
                Target::ConsentAt => {
                    let at: Result<Timestamp, _> = cell.text().parse();
                    let words = "is no time: write it as 2026-07-01T09:30:00Z";
                    consent.2 = Some(at.map_err(|_| bad(words.to_owned()))?);
                }
                Target::Attribute(attribute, kind) => {
                    let value = kind.value(cell).map_err(bad)?;
                    says.attributes.push((attribute.clone(), Some(value)));
                }
                Target::Nothing => {}
            }
        }
        if let (Some(state), source, at) = consent {
            says.consent = Some(ConsentChange { state, source, at });
        }
        let phone =
            || self.0.iter().find(|(_, target)| *target == Target::Phone).map(|(name, _)| shown(name));
        let nobody = || BadCell { column: phone(), detail: "is empty: who is it?".to_owned() };
        Ok((to.ok_or_else(nobody)?, says))
    }
}

impl Kind {
    fn value(self, cell: &Cell) -> Result<AttributeValue, String> {
        let wrong = |why: palomar_model::attribute::BadAttribute| why.to_string();
        let number = |number: f64| Number::new(number).map(AttributeValue::Number).map_err(wrong);
        match (self, cell) {
            (Kind::AsItIs | Kind::Number, Cell::Number(cell)) => number(*cell),
            (Kind::AsItIs | Kind::Flag, Cell::Flag(flag)) => Ok(AttributeValue::Flag(*flag)),
            (Kind::AsItIs | Kind::Text, cell) => AttributeValue::text(cell.text()).map_err(wrong),
            (Kind::Number, cell) => {
                let text = cell.text();
                // A comma is a point to those who write only one of them.
                let text = if text.contains('.') { text } else { text.replacen(',', ".", 1) };
                let parsed: Result<Number, _> = text.parse();
                parsed
                    .map(AttributeValue::Number)
                    .map_err(|_| "is no number: write it as 1234.5, or make the column a text".to_owned())
            }
            (Kind::Flag, cell) => {
                let flag = yes_or_no(&cell.text());
                flag.map(AttributeValue::Flag).ok_or_else(|| "is neither yes nor no (true, false)".to_owned())
            }
        }
    }
}

/// What a name or the importer's word means.
fn target_of(text: &str) -> Result<Target, String> {
    let word = keyword(&text.replace(['_', '-'], " "));
    let one_of = |words: &[&str]| words.contains(&word.as_str());
    if one_of(&PHONE) {
        return Ok(Target::Phone);
    }
    if one_of(&NAME) {
        return Ok(Target::Name);
    }
    if one_of(&TAGS) {
        return Ok(Target::Tags);
    }
    if one_of(&CONSENT) {
        return Ok(Target::Consent);
    }
    match word.as_str() {
        "consent source" => return Ok(Target::ConsentSource),
        "consent at" => return Ok(Target::ConsentAt),
        _ => {}
    }
    let (name, kind) = match text.rsplit_once(':') {
        Some((name, kind)) => match kind.trim().to_lowercase().as_str() {
            "number" => (name, Kind::Number),
            "flag" | "boolean" => (name, Kind::Flag),
            "text" => (name, Kind::Text),
            _ => return Err(format!("{:?} is no type: there are text, number and flag", shown(kind))),
        },
        None => (text, Kind::AsItIs),
    };
    let name = name.strip_prefix(ATTRIBUTE).unwrap_or(name);
    name.parse().map(|name| Target::Attribute(name, kind)).map_err(|why| format!("is no attribute: {why}"))
}

/// What stands before an attribute whose name would be taken for something else.
const ATTRIBUTE: &str = "attr.";

/// The name of an attribute's column, from which the same is read again.
pub(super) fn header(name: &AttributeName, kind: Kind) -> String {
    let kind = match kind {
        Kind::AsItIs | Kind::Text => "",
        Kind::Number => ":number",
        Kind::Flag => ":flag",
    };
    let plain = format!("{name}{kind}");
    match target_of(&plain) {
        Ok(Target::Attribute(..)) => plain,
        _ => format!("{ATTRIBUTE}{plain}"),
    }
}

fn repeated(columns: &[(String, Target)]) -> Option<FieldError> {
    let mut seen: BTreeMap<&Target, &str> = BTreeMap::new();
    for (name, target) in columns.iter().filter(|(_, target)| *target != Target::Nothing) {
        if let Some(first) = seen.insert(target, name) {
            let detail = format!(
                "the columns {:?} and {:?} say the same: leave one out in `columns` with null",
                shown(first),
                shown(name)
            );
            return Some(FieldError::new(format!("/columns/{}", pointer(name)), detail));
        }
    }
    None
}

fn no_phone(columns: &[(String, Target)]) -> String {
    let names: Vec<_> = columns.iter().map(|(name, _)| shown(name)).take(20).collect();
    format!(
        "no column holds the phone numbers; the first row must name the columns, and it names {}: call one `phone`, \
         or say in `columns` which it is",
        names.join(", ")
    )
}

/// A header may in truth be a row of somebody's data: only short words are repeated, and no digits but in a word.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(40).collect();
    let digits = short.chars().filter(char::is_ascii_digit).count();
    let plain = !short.contains('@') && digits <= 2 && !short.chars().any(char::is_control);
    if plain { short } else { "…".to_owned() }
}

fn pointer(name: &str) -> String {
    shown(name).replace('~', "~0").replace('/', "~1")
}

fn yes_or_no(text: &str) -> Option<bool> {
    match keyword(text).as_str() {
        "true" | "yes" | "y" | "1" | "si" | "s" | "verdadero" | "x" => Some(true),
        "false" | "no" | "n" | "0" | "falso" => Some(false),
        _ => None,
    }
}

fn consent_of(text: &str) -> Option<ConsentState> {
    match keyword(text).as_str() {
        "unknown" | "desconocido" => Some(ConsentState::Unknown),
        "granted" | "opted in" => Some(ConsentState::Granted),
        "denied" | "opted out" => Some(ConsentState::Denied),
        _ => yes_or_no(text).map(|yes| if yes { ConsentState::Granted } else { ConsentState::Denied }),
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
