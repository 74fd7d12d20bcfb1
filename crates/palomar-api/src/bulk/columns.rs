//! The columns of a CSV: from a header to what each row says, as the JSON of one message.
//!
//! Names are those of the JSON form, and the seeds'. An empty cell says nothing. A cell that its row's type has no use
//! for is refused rather than dropped: nobody sends half of what they meant.

use palomar_model::FieldError;
use serde_json::{Map, Value, json};

use crate::json::nearest;
use crate::problem::{Code, Problem};

/// Names of columns as they are documented; those that end in a dot take any name after it.
pub(crate) const NAMES: [&str; 24] = [
    "to",
    "recipientPhone",
    "channel",
    "instanceName",
    "type",
    "messageType",
    "text",
    "content.text",
    "priority",
    "metadata.priority",
    "scheduledAt",
    "expiresAt",
    "id",
    "campaignId",
    "template",
    "templateLanguage",
    "mediaUrl",
    "mediaId",
    "caption",
    "filename",
    "template.1",
    "template.2",
    "template.",
    "metadata.",
];

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    /// A member of the message, under its own name.
    Member(&'static str),
    Type,
    Text,
    Template,
    TemplateLanguage,
    /// A value for the template's body: by position (from 1) or by name.
    Positional(usize),
    Named(String),
    MediaUrl,
    MediaId,
    Caption,
    Filename,
    Metadata(String),
}

/// The header of a CSV.
#[derive(Clone, Debug)]
pub(crate) struct Columns(Vec<Column>);

impl Columns {
    /// Reads a header.
    pub(crate) fn read(header: &[&str]) -> Result<Columns, Problem> {
        let mut columns: Vec<Column> = Vec::with_capacity(header.len());
        for name in header {
            let name = name.trim();
            let column = column(name).ok_or_else(|| unknown(name))?;
            if columns.contains(&column) {
                return Err(Problem::new(
                    Code::UnknownColumn,
                    format!("The column `{}` is there twice.", shown(name)),
                ));
            }
            columns.push(column);
        }
        if !columns.contains(&Column::Member("to")) {
            return Err(Problem::new(
                Code::MissingColumn,
                "The column `to` (or `recipientPhone`) is missing.",
            ));
        }
        let positions = columns.iter().filter(|column| matches!(column, Column::Positional(_))).count();
        let gap = (1..=positions).find(|n| !columns.contains(&Column::Positional(*n)));
        if let Some(n) = gap {
            return Err(Problem::new(Code::MissingColumn, format!("The column `template.{n}` is missing.")));
        }
        if positions > 0 && columns.iter().any(|column| matches!(column, Column::Named(_))) {
            let detail = "The values of a template are numbered or named, not both.";
            return Err(Problem::new(Code::UnknownColumn, detail));
        }
        Ok(Columns(columns))
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// What a row says. Cells that are missing at its end are empty.
    pub(crate) fn message(&self, cells: &[&str]) -> Result<Value, Problem> {
        let mut row = Row::default();
        for (column, cell) in self.0.iter().zip(cells) {
            if !cell.trim().is_empty() {
                row.take(column, cell);
            }
        }
        // Parameters in the order of their numbers, wherever their columns stand.
        row.positional.sort_by_key(|(n, _)| *n);
        row.message().map_err(|error| Problem::invalid(vec![error]))
    }
}

fn column(name: &str) -> Option<Column> {
    Some(match name {
        "to" | "recipientPhone" => Column::Member("to"),
        "channel" | "instanceName" => Column::Member("channel"),
        "priority" | "metadata.priority" => Column::Member("priority"),
        "scheduledAt" => Column::Member("scheduledAt"),
        "expiresAt" => Column::Member("expiresAt"),
        "id" => Column::Member("id"),
        "campaignId" => Column::Member("campaignId"),
        "type" | "messageType" => Column::Type,
        "text" | "content.text" => Column::Text,
        "template" => Column::Template,
        "templateLanguage" => Column::TemplateLanguage,
        "mediaUrl" => Column::MediaUrl,
        "mediaId" => Column::MediaId,
        "caption" => Column::Caption,
        "filename" => Column::Filename,
        _ => match name.split_once('.') {
            Some(("template", value)) if !value.is_empty() => match value.parse() {
                Ok(n) if (1..=100).contains(&n) => Column::Positional(n),
                Ok(_) => return None,
                Err(_) => Column::Named(value.to_owned()),
            },
            Some(("metadata", key)) if !key.is_empty() => Column::Metadata(key.to_owned()),
            _ => return None,
        },
    })
}

fn unknown(name: &str) -> Problem {
    let detail = match nearest(name, NAMES) {
        Some(meant) => format!("The column `{}` is not known; did you mean `{meant}`?", shown(name)),
        None if name.is_empty() => "A column has no name.".to_owned(),
        None => format!("The column `{}` is not known.", shown(name)),
    };
    Problem::new(Code::UnknownColumn, detail)
}

/// A header may in truth be a row of somebody's data: of a name only short words are repeated, and no digits.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(30).collect();
    let plain = |c: char| c.is_alphabetic() || matches!(c, '_' | '-' | '.' | ' ');
    if short.chars().all(plain) { short } else { "…".to_owned() }
}

/// The cells of a row that are not empty.
#[derive(Default)]
struct Row<'a> {
    members: Map<String, Value>,
    metadata: Map<String, Value>,
    kind: Option<&'a str>,
    text: Option<&'a str>,
    template: Option<&'a str>,
    language: Option<&'a str>,
    positional: Vec<(usize, &'a str)>,
    named: Vec<(&'a str, &'a str)>,
    link: Option<&'a str>,
    media_id: Option<&'a str>,
    caption: Option<&'a str>,
    filename: Option<&'a str>,
}

const MEDIA: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

impl<'a> Row<'a> {
    fn take(&mut self, column: &'a Column, cell: &'a str) {
        match column {
            Column::Member(name) => drop(self.members.insert((*name).to_owned(), json!(cell.trim()))),
            Column::Metadata(key) => drop(self.metadata.insert(key.clone(), json!(cell))),
            Column::Type => self.kind = Some(cell.trim()),
            Column::Text => self.text = Some(cell),
            Column::Template => self.template = Some(cell.trim()),
            Column::TemplateLanguage => self.language = Some(cell.trim()),
            Column::Positional(n) => self.positional.push((*n, cell)),
            Column::Named(name) => self.named.push((name, cell)),
            Column::MediaUrl => self.link = Some(cell.trim()),
            Column::MediaId => self.media_id = Some(cell.trim()),
            Column::Caption => self.caption = Some(cell),
            Column::Filename => self.filename = Some(cell.trim()),
        }
    }

    fn message(mut self) -> Result<Value, FieldError> {
        let says_nothing = self.kind.is_none() && self.left_over().is_none();
        let kind = self.kind.unwrap_or(if self.template.is_some() { "template" } else { "text" }).to_owned();
        let content = match kind.as_str() {
            "text" => json!({"text": self.text.take().unwrap_or_default()}),
            "template" => self.template_content(),
            kind if MEDIA.contains(&kind) => self.media_content(),
            kind => {
                let hint = nearest(kind, ["text", "template"].into_iter().chain(MEDIA));
                let hint = hint.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
                let detail = format!("is no type that fits into a CSV row (use NDJSON for the others){hint}");
                return Err(FieldError::new("/type", detail));
            }
        };
        if let Some(column) = self.left_over() {
            return Err(FieldError::new("", format!("the type {kind} has no use for the column `{column}`")));
        }
        let mut message = self.members;
        if !self.metadata.is_empty() {
            message.insert("metadata".to_owned(), Value::Object(self.metadata));
        }
        // A row that says nothing takes what the request says for all.
        if !says_nothing {
            message.insert("type".to_owned(), json!(kind));
            message.insert("content".to_owned(), content);
        }
        Ok(Value::Object(message))
    }

    fn template_content(&mut self) -> Value {
        let positional = std::mem::take(&mut self.positional)
            .into_iter()
            .map(|(_, text)| json!({"type": "text", "text": text}));
        let named = std::mem::take(&mut self.named).into_iter();
        let named = named.map(|(name, text)| json!({"type": "text", "text": text, "parameterName": name}));
        let parameters: Vec<_> = positional.chain(named).collect();
        let mut content = json!({"name": self.template.take().unwrap_or_default()});
        if let Some(language) = self.language.take() {
            content["language"] = json!(language);
        }
        if !parameters.is_empty() {
            content["components"] = json!([{"type": "body", "parameters": parameters}]);
        }
        content
    }

    fn media_content(&mut self) -> Value {
        let caption = self.caption.take().or_else(|| self.text.take());
        let members = [
            ("link", self.link.take()),
            ("id", self.media_id.take()),
            ("caption", caption),
            ("filename", self.filename.take()),
        ];
        let members = members.into_iter().filter_map(|(name, cell)| Some((name.to_owned(), json!(cell?))));
        Value::Object(members.collect())
    }

    /// A column whose cell is filled but went into nothing.
    fn left_over(&self) -> Option<&'static str> {
        let cells = [
            ("text", self.text),
            ("template", self.template),
            ("templateLanguage", self.language),
            ("template.…", self.positional.first().map(|(_, cell)| *cell)),
            ("template.…", self.named.first().map(|(_, cell)| *cell)),
            ("mediaUrl", self.link),
            ("mediaId", self.media_id),
            ("caption", self.caption),
            ("filename", self.filename),
        ];
        cells.into_iter().find(|(_, cell)| cell.is_some()).map(|(column, _)| column)
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
