//! `palomar analytics dashboard`: what was sent, read, answered and earned, as a picture that keeps itself up to date.
//!
//! What always holds: all numbers of a picture are answers about one range; the range before is of the same length.

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::paint::{Palette, Tone};
use super::prompt::{Line, Typed};
use super::{Effect, Key, Request, Screen};
use crate::failure::Failure;

const ANALYTICS: &str = "/api/analytics";
/// Ranges by their keys, `1` to `5`.
pub(super) const PERIODS: [&str; 5] = ["day", "week", "month", "90d", "year"];
/// What the chart can show: all counts of messages, or one metric more finely.
const METRICS: [&str; 9] = [
    "messages",
    "sent",
    "received",
    "failed",
    "queue_wait",
    "provider_latency",
    "sent_to_delivered",
    "delivered_to_read",
    "response",
];
/// What a filter may name.
const NAMES: [&str; 6] = ["channel", "campaign", "template", "type", "country", "priority"];

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Report,
    Series,
    Top,
}

/// What stands below the chart, where not all has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Times,
    Failures,
    Conversions,
    Campaigns,
    Conversations,
    Counts,
}

const PANES: [Pane; 6] =
    [Pane::Times, Pane::Failures, Pane::Conversions, Pane::Campaigns, Pane::Conversations, Pane::Counts];

/// A query's parameters.
type Query = Vec<(&'static str, Option<String>)>;

/// The screen.
#[derive(Debug)]
pub(crate) struct Dashboard {
    /// From when to when, as it was asked for.
    when: Query,
    zone: Option<String>,
    /// What the numbers are of, by name.
    pub(super) only: Vec<(&'static str, String)>,
    metric: usize,
    pane: usize,
    typing: Option<Line>,
    pub(super) report: Value,
    pub(super) series: Value,
    pub(super) top: Vec<Value>,
}

impl Dashboard {
    /// Of what a query says.
    pub(crate) fn new(query: &[(&'static str, Option<String>)]) -> Dashboard {
        let said = |names: &[&str]| -> Query {
            query.iter().filter(|(name, value)| names.contains(name) && value.is_some()).cloned().collect()
        };
        let only = said(&NAMES).into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Dashboard {
            when: said(&["period", "from", "to"]),
            zone: said(&["zone"]).pop().and_then(|(_, zone)| zone),
            only,
            metric: 0,
            pane: 0,
            typing: None,
            report: Value::Null,
            series: Value::Null,
            top: Vec::new(),
        }
    }

    pub(super) fn metric(&self) -> &'static str {
        METRICS[self.metric]
    }

    pub(super) fn pane(&self) -> Pane {
        PANES[self.pane]
    }

    /// The parameters of every question.
    fn query(&self) -> Query {
        let mut query = self.when.clone();
        query.push(("zone", self.zone.clone()));
        query.extend(self.only.iter().map(|(name, value)| (*name, Some(value.clone()))));
        query
    }

    fn period(&mut self, place: usize) -> Effect<Topic> {
        self.when = vec![("period", Some(PERIODS[place].to_owned()))];
        Effect::AskAgain
    }

    /// Which of [`PERIODS`] is shown; the one that a server takes by itself where none was said.
    fn place(&self) -> Option<usize> {
        match self.when.as_slice() {
            [] => Some(1),
            [("period", Some(period))] => PERIODS.iter().position(|known| known == period),
            _ => None,
        }
    }

    fn filtered(&mut self, text: &str) -> Result<(), String> {
        let mut only = Vec::new();
        for word in text.split_whitespace() {
            let known = word
                .split_once(':')
                .and_then(|(name, value)| Some((*NAMES.iter().find(|known| **known == name)?, value)))
                .filter(|(_, value)| !value.is_empty());
            match known {
                Some((name, value)) => only.push((name, value.to_owned())),
                None => {
                    return Err(format!(
                        "{word:?} is no filter: say one of {}, such as channel:shop",
                        NAMES.join(", ")
                    ));
                }
            }
        }
        self.only = only;
        Ok(())
    }

    fn typed(&mut self, mut line: Line, key: Key) -> Effect<Topic> {
        match line.key(key) {
            Typed::Dropped => Effect::None,
            Typed::Going => {
                self.typing = Some(line);
                Effect::None
            }
            Typed::Done => match self.filtered(&line.text()) {
                Ok(()) => Effect::AskAgain,
                Err(why) => Effect::Say(Tone::Bad, why),
            },
        }
    }
}

impl Screen for Dashboard {
    type Topic = Topic;

    fn name(&self) -> &'static str {
        "analytics dashboard"
    }

    fn asks(&self) -> Vec<Request<Topic>> {
        let mut asks = vec![
            Request::get(Topic::Report, format!("{ANALYTICS}/report"))
                .with_all(self.query())
                .with("compare", "true"),
            Request::get(Topic::Top, format!("{ANALYTICS}/top-conversations"))
                .with_all(self.query())
                .with("limit", "20"),
        ];
        if self.metric > 0 {
            let series = Request::get(Topic::Series, format!("{ANALYTICS}/timeseries"));
            asks.push(series.with_all(self.query()).with("metric", self.metric()));
        }
        asks
    }

    fn told(&mut self, topic: Topic, answer: &Value, _: Timestamp) {
        match topic {
            Topic::Report => self.report = answer.clone(),
            Topic::Series => self.series = answer.clone(),
            Topic::Top => self.top = answer["items"].as_array().cloned().unwrap_or_default(),
        }
    }

    fn done(&mut self, _: Topic, _: Result<Value, Failure>) -> Vec<Effect<Topic>> {
        Vec::new()
    }

    fn key(&mut self, key: Key) -> Effect<Topic> {
        if let Some(line) = self.typing.take() {
            return self.typed(line, key);
        }
        match key {
            Key::Char(digit @ '1'..='5') => return self.period(usize::from(digit as u8 - b'1')),
            Key::Char('[') | Key::Left => {
                let place = self.place().unwrap_or(1).saturating_sub(1);
                return self.period(place);
            }
            Key::Char(']' | 't') | Key::Right => {
                let place = (self.place().unwrap_or(0) + 1).min(PERIODS.len() - 1);
                return self.period(place);
            }
            Key::Char('m') => {
                self.metric = (self.metric + 1) % METRICS.len();
                self.series = Value::Null;
                return Effect::AskAgain;
            }
            Key::Tab | Key::Down => self.pane = (self.pane + 1) % PANES.len(),
            Key::BackTab | Key::Up => self.pane = (self.pane + PANES.len() - 1) % PANES.len(),
            Key::Char('r') => return Effect::AskAgain,
            Key::Char('/') => {
                let words: Vec<String> =
                    self.only.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                self.typing = Some(Line::of(&words.join(" ")));
            }
            _ => {}
        }
        Effect::None
    }

    fn is_typing(&self) -> bool {
        self.typing.is_some()
    }

    fn keys(&self) -> Vec<(&'static str, &'static str)> {
        if self.typing.is_some() {
            return vec![("Enter", "show this"), ("Esc", "never mind")];
        }
        vec![("1-5 ←→", "range"), ("m", "metric"), ("Tab", "below"), ("/", "filter"), ("r", "ask now")]
    }

    fn about(&self) -> &'static [&'static str] {
        &[
            "Ranges: day, week, month, 90 days, year; the day under way",
            "is the last. A filter: channel:NAME campaign:ID",
            "template:NAME type:T country:ES priority:high.",
            "Changes are against the range before, of the same length.",
        ]
    }

    fn asking(&self, width: u16) -> Option<String> {
        let line = self.typing.as_ref()?;
        Some(format!("only: {}", line.shown(usize::from(width).saturating_sub(7))))
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, palette: Palette, _: Timestamp) {
        super::dashboard_drawn::draw(self, buf, area, palette);
    }
}
