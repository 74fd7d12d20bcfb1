//! Query parameters: each asked for by name, any other refused with the name that was probably meant.

use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use palomar_model::Timestamp;

use crate::json::nearest;
use crate::problem::{Code, Problem};

/// Entries of a page where the request does not say.
pub(crate) const PAGE: usize = 50;
/// Entries of a page at most.
pub(crate) const PAGE_MAX: usize = 200;

/// The parameters of one request. Ask for all that the route knows, then [`Params::finish`].
#[derive(Debug)]
pub(crate) struct Params {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    pub(crate) fn of(uri: &Uri) -> Result<Params, Problem> {
        let given = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::new(Code::BadQuery, "The query string can't be read."))?;
        Ok(Params { given: given.0, known: Vec::new() })
    }

    /// A route that knows none.
    pub(crate) fn none(uri: &Uri) -> Result<(), Problem> {
        Params::of(uri)?.finish()
    }

    /// The text of a parameter; an empty one counts as not given.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        let mut values = self.given.iter().filter(|(given, _)| given == name).map(|(_, value)| value);
        let first = values.next();
        if values.next().is_some() {
            return Err(refused(name, "is given twice"));
        }
        Ok(first.filter(|value| !value.is_empty()).cloned())
    }

    /// A parameter of a type that is read from text.
    pub(crate) fn read<T: FromStr>(&mut self, name: &'static str, what: &str) -> Result<Option<T>, Problem> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|_| refused(name, &format!("must be {what}")))).transpose()
    }

    /// A point in time.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.read(name, "a time such as 2026-07-01T09:30:00Z")
    }

    /// `true`, `false`, `1`, `0`, or the bare name.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        let bare = self.given.iter().any(|(given, value)| given == name && value.is_empty());
        match self.text(name)?.as_deref() {
            None => Ok(bare),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(refused(name, "must be true or false")),
        }
    }

    /// `limit` and `cursor` of a list.
    pub(crate) fn page(&mut self) -> Result<(usize, Option<String>), Problem> {
        let limit = self.read::<usize>("limit", "a number from 1 to 200")?.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(refused("limit", "must be a number from 1 to 200"));
        }
        Ok((limit, self.text("cursor")?))
    }

    /// Refuses what was not asked for.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let known = self.known;
        let Some((stranger, _)) = self.given.iter().find(|(given, _)| !known.contains(&given.as_str()))
        else {
            return Ok(());
        };
        let shown: String =
            stranger.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(40).collect();
        let hint = match nearest(stranger, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => "there are none here".to_owned(),
            None => format!("known are {}", known.join(", ")),
        };
        Err(Problem::new(Code::BadQuery, format!("The parameter `{shown}` is not known here; {hint}")))
    }
}

fn refused(name: &str, why: &str) -> Problem {
    Problem::new(Code::BadQuery, format!("The parameter `{name}` {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<(usize, Option<String>, bool), Problem> {
        let uri = format!("/x?{query}").parse().expect("a URI");
        let mut params = Params::of(&uri)?;
        let (limit, cursor) = params.page()?;
        let confirm = params.flag("confirm")?;
        params.finish()?;
        Ok((limit, cursor, confirm))
    }

    #[test]
    fn parameters_are_read_or_refused() {
        assert_eq!(read(""), Ok((50, None, false)));
        assert_eq!(read("limit=200&cursor=a%2Fb&confirm=true"), Ok((200, Some("a/b".into()), true)));
        assert_eq!(read("confirm"), Ok((50, None, true)));
        for (query, expected) in [
            ("limit=0", "The parameter `limit` must be a number from 1 to 200."),
            ("limit=201", "The parameter `limit` must be a number from 1 to 200."),
            ("limit=x", "The parameter `limit` must be a number from 1 to 200."),
            ("limit=1&limit=2", "The parameter `limit` is given twice."),
            ("confirm=maybe", "The parameter `confirm` must be true or false."),
            ("curser=1", "The parameter `curser` is not known here; did you mean `cursor`?"),
            ("token=secret", "The parameter `token` is not known here; known are limit, cursor, confirm"),
        ] {
            assert_eq!(read(query), Err(Problem::new(Code::BadQuery, expected)), "{query}");
        }
    }
}
