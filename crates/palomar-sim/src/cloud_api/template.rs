//! Judges `template` messages: first the form of the request, then whether it fits the account's template.

use super::errors::GraphError;
use super::field::Field;
use super::validate::{Checked, Extras, media};

/// A template the simulated account has. With none configured, every name exists and takes any parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// The languages it is approved in (`es`, `en_US`).
    pub languages: Vec<String>,
    /// How many parameters the body takes.
    pub body_parameters: usize,
    /// The media type of its header: `image`, `video` or `document`.
    pub header: Option<String>,
    /// Its category, in capitals; told by its name where not said.
    pub category: Option<String>,
    /// Its status, in capitals; told by its name where not said.
    pub status: Option<String>,
}

/// A template that a request names, and what it is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named<'v> {
    pub(super) name: &'v str,
    pub(super) language: &'v str,
    pub(super) body_parameters: usize,
    pub(super) header: Option<&'v str>,
}

const SUB_TYPES: &[&str] =
    &["quick_reply", "url", "copy_code", "flow", "catalog", "mpm", "voice_call", "order_details"];

const PARAMETERS: &[&str] = &[
    "text",
    "currency",
    "date_time",
    "image",
    "video",
    "document",
    "location",
    "payload",
    "action",
    "coupon_code",
    "limited_time_offer",
];

pub(super) fn check<'v>(root: &Field<'v, '_>) -> Checked<Named<'v>> {
    let template = root.object("template")?;
    let name = template.text("name", 512)?;
    let language = template.object("language")?.text("code", 16)?;
    let mut named = Named { name, language, body_parameters: 0, header: None };
    if template.has("components") {
        for component in template.array("components", 0, 20)?.items() {
            check_component(&component, &mut named)?;
        }
    }
    Ok(named)
}

fn check_component<'v>(component: &Field<'v, '_>, named: &mut Named<'v>) -> Checked<()> {
    let kind = component.text("type", 32)?.to_ascii_lowercase();
    if !["header", "body", "button", "carousel", "limited_time_offer"].contains(&kind.as_str()) {
        return Err(GraphError::value(format!(
            "Param {}['type'] must be one of {{header, body, button, carousel, limited_time_offer}}",
            component.path()
        )));
    }
    if kind == "button" {
        check_button(component)?;
    }
    if !component.has("parameters") {
        return Ok(());
    }
    let parameters = component.array("parameters", 0, 50)?;
    let mut with_name = 0;
    for parameter in parameters.items() {
        let kind_of_parameter = check_parameter(&parameter)?;
        with_name += usize::from(parameter.has("parameter_name"));
        if kind == "header" {
            named.header = Some(kind_of_parameter);
        }
    }
    let count = parameters.items().count();
    if with_name > 0 && with_name < count {
        let details = format!("{kind}: Parameter name is missing or empty");
        return Err(GraphError::with_details(132_012, details));
    }
    if kind == "body" {
        named.body_parameters += count;
    }
    Ok(())
}

fn check_button(button: &Field<'_, '_>) -> Checked<()> {
    let sub_type = button.text("sub_type", 32)?.to_ascii_lowercase();
    if !SUB_TYPES.contains(&sub_type.as_str()) {
        let path = button.path();
        return Err(GraphError::value(format!(
            "Param {path}['sub_type'] must be one of {{{}}}",
            SUB_TYPES.join(", ")
        )));
    }
    button.number("index", 0.0, 9.0).map(drop)
}

fn check_parameter<'v>(parameter: &Field<'v, '_>) -> Checked<&'v str> {
    let kind = parameter.choice("type", PARAMETERS)?;
    match kind {
        "text" => check_text(parameter)?,
        "payload" => drop(parameter.text("payload", 256)?),
        "coupon_code" => drop(parameter.text("coupon_code", 20)?),
        "currency" => {
            let currency = parameter.object("currency")?;
            currency.text("fallback_value", 1024)?;
            currency.text("code", 3)?;
            currency.number("amount_1000", -1e15, 1e15)?;
        }
        "date_time" => drop(parameter.object("date_time")?.text("fallback_value", 1024)?),
        "image" | "video" => drop(media(parameter, kind, Extras::NONE)?),
        "document" => drop(media(parameter, kind, Extras::FILENAME)?),
        _ => drop(parameter.object(kind)?),
    }
    Ok(kind)
}

/// A text parameter has no line break, no tab, not five spaces in a row, and is not empty.
fn check_text(parameter: &Field<'_, '_>) -> Checked<()> {
    let text = parameter.need("text")?.as_text(32_768)?;
    let fault = if text.is_empty() {
        "Param text cannot be empty"
    } else if text.contains(['\n', '\r', '\t']) || text.contains("     ") {
        "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
    } else {
        return Ok(());
    };
    Err(GraphError::with_details(132_018, fault))
}

/// Checks a valid request against the account's templates and the magic names (see the crate's page).
pub(super) fn look_up(book: &[Template], named: &Named<'_>) -> Checked<&'static str> {
    let magic = |prefix: &str| named.name == prefix || named.name.starts_with(&format!("{prefix}_"));
    if magic("unknown") {
        return Err(does_not_exist(named));
    }
    for (prefix, code) in [("stopped", 132_015), ("disabled", 132_016)] {
        if magic(prefix) {
            return Err(GraphError::of(code));
        }
    }
    check_shape(book, named)?;
    Ok(match () {
        () if magic("held") => "held_for_quality_assessment",
        () if magic("paused") => "paused",
        () => "accepted",
    })
}

fn check_shape(book: &[Template], named: &Named<'_>) -> Checked<()> {
    let wanted = match named.name.strip_prefix("takes_").and_then(|count| count.parse().ok()) {
        Some(count) => Template {
            body_parameters: count,
            header: named.header.map(str::to_owned),
            ..Template::default()
        },
        None if named.name == "takes_image" => Template {
            body_parameters: named.body_parameters,
            header: Some("image".to_owned()),
            ..Template::default()
        },
        None if book.is_empty() => return Ok(()),
        None => find(book, named).ok_or_else(|| does_not_exist(named))?.clone(),
    };
    if wanted.body_parameters != named.body_parameters {
        let details = format!(
            "body: number of localizable_params ({}) does not match the expected number of params ({})",
            named.body_parameters, wanted.body_parameters
        );
        return Err(GraphError::with_details(132_000, details));
    }
    let text_or_none = |kind: Option<&str>| kind.filter(|kind| *kind != "text").map(str::to_ascii_uppercase);
    let (expected, received) = (text_or_none(wanted.header.as_deref()), text_or_none(named.header));
    if expected != received {
        let shown = |kind: Option<String>| kind.unwrap_or_else(|| "UNKNOWN".to_owned());
        let details =
            format!("header: Format mismatch, expected {}, received {}", shown(expected), shown(received));
        return Err(GraphError::with_details(132_012, details));
    }
    Ok(())
}

fn find<'b>(book: &'b [Template], named: &Named<'_>) -> Option<&'b Template> {
    book.iter().find(|template| {
        template.name == named.name && template.languages.iter().any(|language| language == named.language)
    })
}

fn does_not_exist(named: &Named<'_>) -> GraphError {
    let details = format!("template name ({}) does not exist in {}", named.name, named.language);
    GraphError::with_details(132_001, details)
}

/// The pricing category of a message: that of its template (by its name), or `service`.
pub(super) fn category(named: Option<&Named<'_>>) -> &'static str {
    match named {
        None => "service",
        Some(named) if named.name.starts_with("auth") => "authentication",
        Some(named) if named.name.starts_with("promo") || named.name.starts_with("marketing") => "marketing",
        Some(_) => "utility",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn judge(book: &[Template], template: &Value) -> Checked<&'static str> {
        let body = serde_json::json!({ "template": template });
        look_up(book, &check(&Field::root(&body))?)
    }

    fn code(result: Checked<&'static str>) -> u32 {
        result.unwrap_err().code
    }

    #[test]
    fn magic_names() {
        let named = |name: &str| judge(&[], &serde_json::json!({"name": name, "language": {"code": "es"}}));
        assert_eq!(named("hello_world").unwrap(), "accepted");
        assert_eq!(named("held_for_now").unwrap(), "held_for_quality_assessment");
        assert_eq!(named("paused").unwrap(), "paused");
        assert_eq!(code(named("unknown")), 132_001);
        assert_eq!(code(named("stopped")), 132_015);
        assert_eq!(code(named("disabled_x")), 132_016);
        assert_eq!(code(named("takes_2")), 132_000);
        assert_eq!(code(named("takes_image")), 132_012);
        assert_eq!(named("unknowable").unwrap(), "accepted");
    }

    #[test]
    fn an_account_with_templates_knows_no_others() {
        let book = [Template {
            name: "hola".to_owned(),
            languages: vec!["es".to_owned()],
            body_parameters: 1,
            ..Template::default()
        }];
        let with = |name: &str, language: &str, text: &str| {
            let parameters = serde_json::json!([{"type": "text", "text": text}]);
            let components = serde_json::json!([{"type": "body", "parameters": parameters}]);
            judge(
                &book,
                &serde_json::json!({"name": name, "language": {"code": language}, "components": components}),
            )
        };
        assert!(with("hola", "es", "Lucía").is_ok());
        assert_eq!(code(with("hola", "en", "Lucía")), 132_001);
        assert_eq!(code(with("adios", "es", "Lucía")), 132_001);
        assert_eq!(code(with("hola", "es", "Lu\ncía")), 132_018);
        assert_eq!(
            code(judge(&book, &serde_json::json!({"name": "hola", "language": {"code": "es"}}))),
            132_000
        );
    }
}
