//! What is known of people, and what becomes of files of them, as the document shows it.

use utoipa::ToSchema;

/// Whether somebody agreed to be written to.
#[derive(ToSchema)]
pub(crate) struct ContactConsent {
    /// `granted`, `denied` or `unknown`.
    state: String,
    /// Where they did, or who says so.
    source: Option<String>,
    at: Option<String>,
}

/// A group of contacts.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Segment {
    id: String,
    name: String,
    /// Who is in it.
    filter: String,
    created_at: String,
    updated_at: String,
}

/// How many.
#[derive(ToSchema)]
pub(crate) struct Count {
    count: u64,
}

/// A line of the answer to a file: one of these members.
#[derive(ToSchema)]
pub(crate) struct ImportLine {
    /// A row that was not taken.
    refused: Option<RefusedRow>,
    /// How far it is.
    progress: Option<ImportCounts>,
    /// All of it was read.
    done: Option<ImportCounts>,
    /// It could not go on: a problem document.
    #[schema(value_type = Object)]
    error: Option<()>,
}

/// A row that was not taken.
#[derive(ToSchema)]
pub(crate) struct RefusedRow {
    /// The line of the file on which it begins.
    line: u64,
    /// The column, where it is one.
    column: Option<String>,
    /// What is wrong and what to do.
    detail: String,
}

/// How many rows became what.
#[derive(ToSchema)]
pub(crate) struct ImportCounts {
    rows: u64,
    /// People who were not known.
    added: u64,
    /// People of whom something new was said.
    changed: u64,
    /// People who were known just so.
    unchanged: u64,
    /// Rows about somebody of an earlier row.
    duplicates: u64,
    /// Rows that were not taken.
    refused: u64,
}

/// Templates, all of them.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Templates {
    items: Vec<ProviderTemplate>,
    /// Always null.
    next_cursor: Option<String>,
}

/// A template in one language, as its provider tells of it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct ProviderTemplate {
    channel: String,
    name: String,
    language: String,
    /// The provider's id of it.
    id: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    category: String,
    /// `APPROVED`, `PENDING`, `REJECTED`, `PAUSED`, `DISABLED`, …
    status: String,
    /// `GREEN`, `YELLOW` or `RED`.
    quality: Option<String>,
    /// Why it was rejected.
    reason: Option<String>,
    /// Its parts, as the provider says them.
    #[schema(value_type = Object)]
    components: (),
    pulled_at: String,
}

/// What content with variables becomes for somebody.
#[derive(ToSchema)]
pub(crate) struct Preview {
    /// The content as a message has it; null where it can't be given to them.
    #[schema(value_type = Option<Object>)]
    content: Option<()>,
    /// The variable that they have no value for.
    missing: Option<String>,
    /// Why it can't be given to them.
    problem: Option<String>,
    variables: Vec<PreviewVariable>,
}

/// A variable of a template.
#[derive(ToSchema)]
pub(crate) struct PreviewVariable {
    name: String,
    /// Whether somebody without it is left out.
    required: bool,
    /// Their value: a text, a number or a flag.
    #[schema(value_type = Option<Value>)]
    value: Option<()>,
}
