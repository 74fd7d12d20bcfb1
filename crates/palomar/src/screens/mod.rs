//! Live screens: `queue metrics`, `queue dlq`, `analytics dashboard`, `top`.
//!
//! ```text
//! live ── terminal   raw mode, keys, questions to the server, the clock
//!   └── shell        what every screen has: head, keys, help, the connection, questions asked again and again
//!         └── a Screen: queues, dlq, dashboard, top, each drawn with `paint`
//! ```
//!
//! What always holds: a screen and its shell do no I/O. They are told keys, answers and the time, and say what to ask and
//! how it looks: state and size make a picture, state and key make a state and requests. Text from outside reaches the
//! picture through `clean` alone.

mod clean;
mod dashboard;
mod dashboard_drawn;
mod dlq;
mod dlq_drawn;
mod flow;
mod history;
mod letter;
mod live;
mod paint;
mod prompt;
mod queues;
mod shell;
mod table;
mod terminal;
mod top;
mod top_drawn;
mod usage;

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use crate::failure::Failure;

pub(crate) use dashboard::Dashboard;
pub(crate) use dlq::DeadLetters;
pub(crate) use live::{Live, watch};
pub(crate) use queues::Queues;
pub(crate) use top::Top;
pub(crate) use usage::Usage;

use paint::{Palette, Tone};

/// A key, as screens know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C: the end, whatever is going on.
    Interrupt,
}

/// How something is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Method {
    /// A JSON document.
    Get,
    /// A JSON document, also where the status says that not all is well.
    Probe,
    /// Text, as it comes.
    Text,
    Post(Value),
    Delete,
}

/// Something to ask the server, and what the answer is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request<T> {
    pub(crate) topic: T,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, Option<String>)>,
    /// Makes repeating it safe.
    pub(crate) idempotency_key: Option<String>,
}

impl<T> Request<T> {
    fn new(topic: T, method: Method, path: impl Into<String>) -> Request<T> {
        Request { topic, method, path: path.into(), query: Vec::new(), idempotency_key: None }
    }

    fn get(topic: T, path: impl Into<String>) -> Request<T> {
        Request::new(topic, Method::Get, path)
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Request<T> {
        self.query.push((name, Some(value.into())));
        self
    }

    fn with_all(mut self, pairs: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Request<T> {
        self.query.extend(pairs);
        self
    }
}

/// What a screen makes of a key or an answer, besides changing.
#[derive(Debug)]
pub(crate) enum Effect<T> {
    /// Nothing that others need to know.
    None,
    /// What is shown is about something else now: ask at once.
    AskAgain,
    /// An order to the server.
    Order(Request<T>),
    /// A word to the person.
    Say(Tone, String),
}

/// One screen: what is between the first line and the last two.
pub(crate) trait Screen {
    /// What an answer can be for.
    type Topic: Copy + std::fmt::Debug + Send + Sync + 'static;

    /// Its name, as the command is called.
    fn name(&self) -> &'static str;

    /// What is asked anew every few seconds. All of it is told together.
    fn asks(&self) -> Vec<Request<Self::Topic>>;

    /// The server answered one of the questions.
    fn told(&mut self, topic: Self::Topic, answer: &Value, now: Timestamp);

    /// The server answered an order.
    fn done(&mut self, topic: Self::Topic, answer: Result<Value, Failure>) -> Vec<Effect<Self::Topic>>;

    /// A key that the shell has no use for, or any while [`Screen::is_typing`].
    fn key(&mut self, key: Key) -> Effect<Self::Topic>;

    /// Whether keys are text now.
    fn is_typing(&self) -> bool;

    /// Its keys with what they do, the most useful first.
    fn keys(&self) -> Vec<(&'static str, &'static str)>;

    /// What a person should know beyond the keys.
    fn about(&self) -> &'static [&'static str];

    /// What is being typed or asked, for the line above the keys.
    fn asking(&self, width: u16) -> Option<String>;

    /// Draws it.
    fn draw(&self, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp);
}
