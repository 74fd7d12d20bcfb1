//! From the words of a filter to the filter. `not` binds closer than `and`, `and` closer than `or`.

use super::read::{Placed, Token, fits, tokens};
use super::{
    Comparison, Condition, DEEPEST, Filter, FilterError, FilterProblem, LONGEST_FILTER, MOST_CONDITIONS,
    Moment, Test, TextTest, TimeTest,
};
use crate::Timestamp;
use crate::attribute::{AttributeName, BadAttribute, ConsentState, Number, is_word};

/// Words with a meaning of their own; an attribute that is called so is written `attr.tag`.
pub(super) const RESERVED: [&str; 21] = [
    "and",
    "or",
    "not",
    "in",
    "exists",
    "missing",
    "contains",
    "starts",
    "ago",
    "true",
    "false",
    "name",
    "phone",
    "tag",
    "label",
    "consent",
    "last_seen",
    "created",
    "replied",
    "suppressed",
    "attr",
];

/// No span is longer: a thousand years.
const LONGEST_SPAN: u64 = 1_000 * 366 * 86_400;

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    if text.len() > LONGEST_FILTER {
        return Err(FilterError { at: 1, what: FilterProblem::TooLong });
    }
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, next: 0, end: text.chars().count(), conditions: 0, depth: 0 };
    if tokens.is_empty() {
        return Err(reader.wrong(FilterProblem::Empty));
    }
    let filter = reader.any()?;
    match reader.peek() {
        None => Ok(filter),
        Some(token) => Err(reader.wrong(FilterProblem::Stray(shown(token)))),
    }
}

struct Reader<'t> {
    tokens: &'t [Placed],
    next: usize,
    end: usize,
    conditions: usize,
    depth: usize,
}

type Read<T> = Result<T, FilterError>;

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn take(&mut self) -> Option<&'t Token> {
        let token = self.peek();
        self.next += usize::from(token.is_some());
        token
    }

    /// What is wrong at the token that comes next.
    fn wrong(&self, what: FilterProblem) -> FilterError {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        FilterError { at: at + 1, what }
    }

    fn expected(&self, what: &'static str) -> FilterError {
        self.wrong(FilterProblem::Expected(what))
    }

    /// What is wrong at the token that came last.
    fn wrong_before(&self, what: FilterProblem) -> FilterError {
        let at = self.tokens.get(self.next.saturating_sub(1)).map_or(self.end, |(at, _)| *at);
        FilterError { at: at + 1, what }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word))
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let is_next = self.is_word(word);
        self.next += usize::from(is_next);
        is_next
    }

    fn skip_sign(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        self.next += usize::from(is_next);
        is_next
    }

    fn any(&mut self) -> Read<Filter> {
        let mut parts = vec![self.all()?];
        while self.skip_word("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Filter::Any))
    }

    fn all(&mut self) -> Read<Filter> {
        let mut parts = vec![self.one()?];
        while self.skip_word("and") {
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Filter::All))
    }

    fn one(&mut self) -> Read<Filter> {
        if self.is_word("not") {
            return self.deeper(|reader| Ok(Filter::Not(Box::new(reader.one()?))));
        }
        if matches!(self.peek(), Some(Token::Sign("("))) {
            return self.deeper(|reader| {
                let inner = reader.any()?;
                if reader.skip_sign(")") { Ok(inner) } else { Err(reader.expected("`and`, `or` or `)`")) }
            });
        }
        self.condition()
    }

    /// Whether one more step is within bounds; `!=`, `missing` and `in` are one too, since they are shown as one.
    fn room(&self) -> Read<()> {
        if self.depth < DEEPEST { Ok(()) } else { Err(self.wrong(FilterProblem::TooDeep)) }
    }

    /// Reads what follows the token at hand, one step deeper.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Read<Filter>) -> Read<Filter> {
        self.room()?;
        self.depth += 1;
        self.next += 1;
        let filter = read(self)?;
        self.depth -= 1;
        Ok(filter)
    }

    fn condition(&mut self) -> Read<Filter> {
        let Some(Token::Word(word)) = self.peek() else {
            return Err(
                self.expected("the name of an attribute, `tag`, `label`, `consent`, `last_seen`, … or `(`")
            );
        };
        self.next += 1;
        let field = word.to_lowercase();
        match field.as_str() {
            "replied" => self.counted(Condition::Replied),
            "suppressed" => self.counted(Condition::Suppressed),
            "name" => self.text(Condition::Name),
            "phone" => self.text(Condition::Phone),
            "tag" => self.word(|reader, text| {
                Ok(Condition::Tag(text.parse().map_err(|why| reader.wrong_before(FilterProblem::Tag(why)))?))
            }),
            "label" => self.word(|reader, text| match text.trim() {
                label if is_word(label) => Ok(Condition::Label(label.to_owned())),
                _ => Err(reader.wrong_before(FilterProblem::Label)),
            }),
            "consent" => self.word(|reader, text| {
                let state: Result<ConsentState, _> = text.to_lowercase().parse();
                Ok(Condition::Consent(state.map_err(|_| reader.wrong_before(FilterProblem::Consent))?))
            }),
            "last_seen" => self.time(Condition::LastSeen),
            "created" => self.time(Condition::Created),
            _ => self.attribute(word, &field),
        }
    }

    fn counted(&mut self, condition: Condition) -> Read<Filter> {
        self.conditions += 1;
        if self.conditions > MOST_CONDITIONS {
            return Err(self.wrong_before(FilterProblem::TooMany));
        }
        Ok(Filter::Is(condition))
    }

    /// A field of which it is asked whether it is a word, or has it.
    fn word(&mut self, condition: impl Fn(&Self, &str) -> Read<Condition>) -> Read<Filter> {
        self.equality(|reader| {
            let text = reader.plain_text()?;
            condition(reader, &text)
        })
    }

    /// `= x`, `!= x` or `in (x, y)`.
    fn equality(&mut self, value: impl Fn(&mut Self) -> Read<Condition>) -> Read<Filter> {
        if self.skip_sign("=") {
            let condition = value(self)?;
            return self.counted(condition);
        }
        if self.skip_sign("!=") || self.skip_sign("<>") {
            self.room()?;
            let condition = value(self)?;
            return Ok(Filter::Not(Box::new(self.counted(condition)?)));
        }
        if !self.skip_word("in") {
            return Err(self.expected("`=`, `!=` or `in (…)`"));
        }
        self.listed(value)
    }

    fn listed(&mut self, value: impl Fn(&mut Self) -> Read<Condition>) -> Read<Filter> {
        if !self.skip_sign("(") {
            return Err(self.expected("`(`"));
        }
        self.room()?;
        let mut parts = Vec::new();
        loop {
            let condition = value(self)?;
            parts.push(self.counted(condition)?);
            if self.skip_sign(")") {
                return Ok(one_or(parts, Filter::Any));
            }
            if !self.skip_sign(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn text(&mut self, condition: fn(TextTest) -> Condition) -> Read<Filter> {
        if let Some(filter) = self.presence(condition(TextTest::Exists))? {
            return Ok(filter);
        }
        if let Some(test) = self.part_of_text()? {
            return self.counted(condition(test));
        }
        if let Some(comparison) = self.order() {
            let text = self.plain_text()?;
            return self.counted(condition(TextTest::Compare(comparison, text)));
        }
        self.equality(|reader| Ok(condition(TextTest::Compare(Comparison::Equal, reader.plain_text()?))))
    }

    fn time(&mut self, condition: fn(TimeTest) -> Condition) -> Read<Filter> {
        if let Some(filter) = self.presence(condition(TimeTest::Exists))? {
            return Ok(filter);
        }
        if let Some(comparison) = self.order() {
            let moment = self.moment()?;
            return self.counted(condition(TimeTest::Compare(comparison, moment)));
        }
        self.equality(|reader| Ok(condition(TimeTest::Compare(Comparison::Equal, reader.moment()?))))
    }

    fn attribute(&mut self, word: &str, field: &str) -> Read<Filter> {
        let own = field.strip_prefix("attr.").is_some();
        let name = if own { word.get("attr.".len()..).unwrap_or_default() } else { word };
        let name: AttributeName =
            name.parse().map_err(|why| self.wrong_before(FilterProblem::Attribute(why)))?;
        if !own && RESERVED.contains(&name.as_str()) {
            return Err(self.wrong_before(FilterProblem::Stray(word.to_owned())));
        }
        let of = |test| Condition::Attribute(name.clone(), test);
        if let Some(filter) = self.presence(of(Test::Exists))? {
            return Ok(filter);
        }
        if let Some(test) = self.part_of_text()? {
            return self.counted(of(Test::Text(test)));
        }
        if let Some(comparison) = self.order() {
            let test = self.value(comparison)?;
            if matches!(test, Test::Flag(_)) {
                return Err(
                    self.wrong_before(FilterProblem::Expected("a number or a text: flags have no order"))
                );
            }
            return self.counted(of(test));
        }
        self.equality(|reader| Ok(of(reader.value(Comparison::Equal)?)))
    }

    /// `exists` or `missing`.
    fn presence(&mut self, condition: Condition) -> Read<Option<Filter>> {
        if self.skip_word("exists") {
            return self.counted(condition).map(Some);
        }
        if self.skip_word("missing") {
            self.room()?;
            return Ok(Some(Filter::Not(Box::new(self.counted(condition)?))));
        }
        Ok(None)
    }

    /// `contains "x"` or `starts "x"`.
    fn part_of_text(&mut self) -> Read<Option<TextTest>> {
        if self.skip_word("contains") {
            return Ok(Some(TextTest::Contains(self.plain_text()?)));
        }
        if self.skip_word("starts") {
            return Ok(Some(TextTest::Starts(self.plain_text()?)));
        }
        Ok(None)
    }

    fn order(&mut self) -> Option<Comparison> {
        let orders =
            [Comparison::LessOrEqual, Comparison::GreaterOrEqual, Comparison::Less, Comparison::Greater];
        orders.into_iter().find(|comparison| self.skip_sign(comparison.sign()))
    }

    /// A text, in quotation marks or one word.
    fn plain_text(&mut self) -> Read<String> {
        match self.take() {
            Some(Token::Text(text)) if fits(text) => Ok(text.clone()),
            Some(Token::Text(_)) => Err(self.wrong_before(FilterProblem::Attribute(BadAttribute::LongText))),
            Some(Token::Word(word)) if !RESERVED.contains(&word.to_lowercase().as_str()) => Ok(word.clone()),
            Some(_) => Err(self.wrong_before(FilterProblem::Expected("a text in quotation marks"))),
            None => Err(self.expected("a text in quotation marks")),
        }
    }

    fn value(&mut self, comparison: Comparison) -> Read<Test> {
        match self.peek() {
            Some(Token::Number(number)) => {
                self.next += 1;
                let number: Result<Number, _> = number.parse();
                let number = number.map_err(|why| self.wrong_before(FilterProblem::Attribute(why)))?;
                Ok(Test::Number(comparison, number))
            }
            _ if self.skip_word("true") => Ok(Test::Flag(true)),
            _ if self.skip_word("false") => Ok(Test::Flag(false)),
            _ => Ok(Test::Text(TextTest::Compare(comparison, self.plain_text()?))),
        }
    }

    fn moment(&mut self) -> Read<Moment> {
        match self.take() {
            Some(Token::Text(text)) => {
                let day = || format!("{}T00:00:00Z", text.trim()).parse::<Timestamp>();
                let at = text.parse().or_else(|_| day());
                at.map(Moment::At).map_err(|_| self.wrong_before(FilterProblem::Time))
            }
            Some(Token::Number(span)) => {
                let seconds = seconds(span).ok_or_else(|| self.wrong_before(FilterProblem::Time))?;
                if self.skip_word("ago") { Ok(Moment::Ago(seconds)) } else { Err(self.expected("`ago`")) }
            }
            _ => Err(self.wrong_before(FilterProblem::Time)),
        }
    }
}

/// The only part, or all of them together.
fn one_or(mut parts: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// `30d`, `12h`, …
fn seconds(span: &str) -> Option<u64> {
    let unit = span.chars().last()?;
    let length = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count = span.strip_suffix(unit).filter(|count| count.bytes().all(|c| c.is_ascii_digit()))?;
    count.parse::<u64>().ok()?.checked_mul(length).filter(|seconds| *seconds <= LONGEST_SPAN)
}

fn shown(token: &Token) -> String {
    let text = match token {
        Token::Word(text) | Token::Text(text) | Token::Number(text) => text.as_str(),
        Token::Sign(sign) => sign,
    };
    text.chars().take(40).collect()
}
