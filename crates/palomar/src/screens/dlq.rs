//! `palomar queue dlq`: what waits for a person, and what a person can do about it.
//!
//! What always holds: nothing is sent or forgotten on one key: retries are confirmed by `y`, forgetting by the typed word.
//! An order is about exactly what the question before it said: the letter by its id, or the filter that the list has.

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::{Value, json};

use super::letter::{Edit, Filter};
use super::paint::{Palette, Tone};
use super::prompt::{Line, Typed};
use super::queues::{count, text};
use super::{Effect, Key, Method, Request, Screen};
use crate::commands::segment;
use crate::failure::Failure;

const PATH: &str = "/api/dead-letters";
/// Letters on a page.
const PAGE: &str = "100";
/// What is typed to forget.
pub(super) const FORGET: &str = "purge";

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    List,
    /// How many there are in each queue.
    Stats,
    /// The message that is looked at.
    Detail,
    Retry,
    RetryAll,
    /// The edited message is queued; the letter is to be forgotten.
    Edited,
    /// The letter that was edited is forgotten.
    Replaced,
    Settled,
    Purged,
}

/// What a person is asked, or is doing.
#[derive(Clone, Debug)]
pub(super) enum Doing {
    /// Looking at the list, or at a letter.
    Looking,
    Filtering(Line),
    /// Send this one again?
    RetryOne {
        id: String,
        uncertain: bool,
    },
    /// Send all that fit again?
    RetryAll(Filter),
    /// The word that forgets one letter, or all that fit.
    Forget {
        id: Option<String>,
        filter: Filter,
        word: Line,
    },
    /// What became of an uncertain one?
    Settle {
        id: String,
    },
    Editing(Edit),
}

/// The screen.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    pub(super) letters: Vec<Value>,
    pub(super) stats: Value,
    /// Where the pages before begin, and this one.
    pages: Vec<Option<String>>,
    pub(super) next: Option<String>,
    pub(super) filter: Filter,
    /// The one that is chosen stays chosen while the list moves.
    chosen: usize,
    chosen_id: String,
    /// The letter that is looked at, and its message with all that happened to it.
    pub(super) open: Option<(Value, Value)>,
    pub(super) doing: Doing,
    /// The letter whose replacement is being queued.
    replacing: Option<String>,
}

impl DeadLetters {
    pub(crate) fn new() -> DeadLetters {
        DeadLetters {
            letters: Vec::new(),
            stats: Value::Null,
            pages: vec![None],
            next: None,
            filter: Filter::default(),
            chosen: 0,
            chosen_id: String::new(),
            open: None,
            doing: Doing::Looking,
            replacing: None,
        }
    }

    pub(super) fn page(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn chosen(&self) -> usize {
        self.chosen.min(self.letters.len().saturating_sub(1))
    }

    /// The letter that a key is about.
    fn letter(&self) -> Option<&Value> {
        self.open.as_ref().map(|(letter, _)| letter).or_else(|| self.letters.get(self.chosen()))
    }

    fn choose(&mut self, place: usize) {
        self.chosen = place.min(self.letters.len().saturating_sub(1));
        self.chosen_id =
            self.letters.get(self.chosen).map_or_else(String::new, |letter| text(letter, "id").to_owned());
    }

    fn detail(&self) -> Option<Request<Topic>> {
        let (letter, _) = self.open.as_ref()?;
        Some(Request::get(Topic::Detail, format!("/api/messages/{}", segment(text(letter, "id")))))
    }

    fn begin_again(&mut self) -> Effect<Topic> {
        self.pages = vec![None];
        self.choose(0);
        self.chosen_id.clear();
        Effect::AskAgain
    }

    fn look(&mut self, key: Key) -> Effect<Topic> {
        let place = self.chosen();
        match key {
            Key::Up | Key::Char('k') => self.choose(place.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.choose(place + 1),
            Key::PageUp => self.choose(place.saturating_sub(10)),
            Key::PageDown => self.choose(place + 10),
            Key::Home | Key::Char('g') => self.choose(0),
            Key::End | Key::Char('G') => self.choose(usize::MAX),
            Key::Char('n') | Key::Right if self.open.is_none() => {
                if let Some(next) = self.next.clone() {
                    self.pages.push(Some(next));
                    self.choose(0);
                    self.chosen_id.clear();
                    return Effect::AskAgain;
                }
            }
            Key::Char('b') | Key::Left if self.open.is_none() && self.pages.len() > 1 => {
                self.pages.pop();
                self.chosen_id.clear();
                return Effect::AskAgain;
            }
            Key::Enter => {
                if let Some(letter) = self.letters.get(place).cloned() {
                    self.open = Some((letter, Value::Null));
                    return Effect::AskAgain;
                }
            }
            Key::Esc | Key::Backspace => self.open = None,
            Key::Char('/') => self.doing = Doing::Filtering(Line::of(&self.filter.words())),
            Key::Char('u') => return Effect::AskAgain,
            Key::Char('a') => self.doing = Doing::RetryAll(self.filter.clone()),
            Key::Char('X') => self.doing = self.forget(None),
            key => return self.about_letter(key),
        }
        Effect::None
    }

    fn forget(&self, id: Option<String>) -> Doing {
        Doing::Forget { id, filter: self.filter.clone(), word: Line::default() }
    }

    /// Keys that are about one letter.
    fn about_letter(&mut self, key: Key) -> Effect<Topic> {
        let Some(letter) = self.letter() else { return Effect::None };
        let id = text(letter, "id").to_owned();
        let uncertain = text(letter, "state") == "uncertain";
        let no = |why: &str| Effect::Say(Tone::Warn, why.to_owned());
        match key {
            Key::Char('r') => self.doing = Doing::RetryOne { id, uncertain },
            Key::Char('s') if uncertain => self.doing = Doing::Settle { id },
            Key::Char('s') => return no("only what is uncertain is settled: a dead letter was not sent"),
            Key::Char('x' | 'e') if uncertain => {
                return no("it may have been sent: say what became of it (s), or send it again (r)");
            }
            Key::Char('x') => self.doing = self.forget(Some(id)),
            Key::Char('e') => match Edit::of(letter) {
                Some(edit) => self.doing = Doing::Editing(edit),
                None => return no("the records do not have its message: it can't be edited"),
            },
            _ => {}
        }
        Effect::None
    }

    fn retry_one(id: &str) -> Effect<Topic> {
        let path = format!("/api/messages/{}/retry", segment(id));
        Effect::Order(Request::new(Topic::Retry, Method::Post(json!({})), path))
    }

    fn settle(id: &str, outcome: &str) -> Effect<Topic> {
        let path = format!("/api/messages/{}/settle", segment(id));
        Effect::Order(Request::new(Topic::Settled, Method::Post(json!({ "outcome": outcome })), path))
    }

    fn purge(topic: Topic, id: Option<String>, filter: &Filter) -> Request<Topic> {
        let request = Request::new(topic, Method::Delete, PATH).with("confirm", "true");
        match id {
            Some(id) => request.with("id", id),
            None => request.with_all(filter.pairs()),
        }
    }

    fn edit(&mut self, mut edit: Edit, key: Key) -> Effect<Topic> {
        match key {
            Key::Tab | Key::BackTab | Key::Up | Key::Down => edit.in_said = !edit.in_said,
            key => match if edit.in_said { edit.said.key(key) } else { edit.to.key(key) } {
                Typed::Going => {}
                Typed::Dropped => return Effect::None,
                Typed::Done => match edit.request() {
                    Ok(request) => {
                        self.replacing = Some(edit.id);
                        return Effect::Order(request);
                    }
                    Err(why) => {
                        self.doing = Doing::Editing(edit);
                        return Effect::Say(Tone::Bad, why);
                    }
                },
            },
        }
        self.doing = Doing::Editing(edit);
        Effect::None
    }
}

impl Screen for DeadLetters {
    type Topic = Topic;

    fn name(&self) -> &'static str {
        "queue dlq"
    }

    fn asks(&self) -> Vec<Request<Topic>> {
        let cursor = self.pages.last().cloned().flatten();
        let list = Request::get(Topic::List, PATH)
            .with_all(self.filter.pairs())
            .with("limit", PAGE)
            .with_all([("cursor", cursor)]);
        let stats = Request::get(Topic::Stats, "/api/queue-monitor/stats");
        [list, stats].into_iter().chain(self.detail()).collect()
    }

    fn told(&mut self, topic: Topic, answer: &Value, _: Timestamp) {
        match topic {
            Topic::List => {
                self.letters = answer["items"].as_array().cloned().unwrap_or_default();
                self.next = answer["nextCursor"].as_str().map(str::to_owned);
                let same = |letter: &Value| text(letter, "id") == self.chosen_id;
                let place = self.letters.iter().position(same).unwrap_or(self.chosen);
                self.choose(place);
            }
            Topic::Stats => self.stats = answer.clone(),
            Topic::Detail => {
                if let Some((letter, message)) = &mut self.open
                    && answer["id"] == letter["id"]
                {
                    *message = answer.clone();
                }
            }
            _ => {}
        }
    }

    fn done(&mut self, topic: Topic, answer: Result<Value, Failure>) -> Vec<Effect<Topic>> {
        let replaced = if topic == Topic::Edited { self.replacing.take() } else { None };
        let Ok(answer) = answer else { return vec![Effect::AskAgain] };
        let said = |text: String| vec![Effect::Say(Tone::Good, text), Effect::AskAgain];
        match (topic, replaced) {
            // Only now that its replacement is accepted is the letter let go.
            (Topic::Edited, Some(id)) => {
                vec![Effect::Order(DeadLetters::purge(Topic::Replaced, Some(id), &Filter::default()))]
            }
            (Topic::Replaced, _) => {
                self.open = None;
                said("the edited message is queued, its dead letter is gone".to_owned())
            }
            (Topic::Retry | Topic::Settled, _) => {
                self.open = None;
                said(format!("{}: {}", text(&answer, "id"), text(&answer, "status")))
            }
            (Topic::RetryAll, _) => said(format!("queued again: {}", count(&answer, "retried"))),
            (Topic::Purged, _) => {
                self.open = None;
                said(format!("forgotten: {}", count(&answer, "purged")))
            }
            _ => vec![Effect::AskAgain],
        }
    }

    fn key(&mut self, key: Key) -> Effect<Topic> {
        match std::mem::replace(&mut self.doing, Doing::Looking) {
            Doing::Looking => self.look(key),
            Doing::Filtering(mut line) => match line.key(key) {
                Typed::Going => {
                    self.doing = Doing::Filtering(line);
                    Effect::None
                }
                Typed::Dropped => Effect::None,
                Typed::Done => {
                    self.filter = Filter::parse(&line.text());
                    self.begin_again()
                }
            },
            Doing::RetryOne { id, .. } if key == Key::Char('y') => DeadLetters::retry_one(&id),
            Doing::RetryAll(filter) if key == Key::Char('y') => {
                let body = filter.body();
                Effect::Order(Request::new(Topic::RetryAll, Method::Post(body), format!("{PATH}/retry")))
            }
            Doing::Settle { id } if key == Key::Char('s') => DeadLetters::settle(&id, "sent"),
            Doing::Settle { id } if key == Key::Char('f') => DeadLetters::settle(&id, "failed"),
            Doing::RetryOne { .. } | Doing::RetryAll(_) | Doing::Settle { .. } => {
                Effect::Say(Tone::Dim, "nothing was done".to_owned())
            }
            Doing::Forget { id, filter, mut word } => match word.key(key) {
                Typed::Going => {
                    self.doing = Doing::Forget { id, filter, word };
                    Effect::None
                }
                Typed::Done if word.text().trim() == FORGET => {
                    Effect::Order(DeadLetters::purge(Topic::Purged, id, &filter))
                }
                _ => Effect::Say(Tone::Dim, "nothing was forgotten".to_owned()),
            },
            Doing::Editing(edit) => self.edit(edit, key),
        }
    }

    fn is_typing(&self) -> bool {
        !matches!(self.doing, Doing::Looking)
    }

    fn keys(&self) -> Vec<(&'static str, &'static str)> {
        match &self.doing {
            Doing::Filtering(_) => vec![("Enter", "show these"), ("Esc", "never mind")],
            Doing::RetryOne { .. } | Doing::RetryAll(_) => {
                vec![("y", "send again"), ("any other key", "do nothing")]
            }
            Doing::Settle { .. } => {
                vec![("s", "it was sent"), ("f", "it was not"), ("any other key", "do nothing")]
            }
            Doing::Forget { .. } => vec![("Enter", "forget"), ("Esc", "never mind")],
            Doing::Editing(_) => vec![("Tab", "other field"), ("Enter", "send"), ("Esc", "never mind")],
            Doing::Looking => {
                let first = if self.open.is_some() { ("Esc", "list") } else { ("Enter", "show") };
                vec![
                    first,
                    ("r", "retry"),
                    ("a", "retry all"),
                    ("e", "edit"),
                    ("x", "purge"),
                    ("X", "purge all"),
                    ("/", "filter"),
                    ("s", "settle"),
                    ("n b", "pages"),
                    ("u", "update"),
                ]
            }
        }
    }

    fn about(&self) -> &'static [&'static str] {
        &[
            "A filter is words of the reason, and channel:NAME,",
            "queue:NAME, campaign:ID or before:TIME. \"All\" is all",
            "that fit it, on every page. Uncertain messages are",
            "each decided by itself. An edited message is queued",
            "as a new one; then its dead letter is forgotten.",
        ]
    }

    fn asking(&self, width: u16) -> Option<String> {
        super::dlq_drawn::asking(self, width)
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
        super::dlq_drawn::draw(self, buf, area, palette, now);
    }
}
