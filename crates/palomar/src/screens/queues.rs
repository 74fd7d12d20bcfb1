//! `palomar queue metrics`: what waits, what moves, what came last, what is stuck.

use std::time::Duration;

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::flow::draw_rates;
use super::history::History;
use super::paint::{Palette, Tile, Tone, above, bars, beside, put, section, short, tiles, whole};
use super::prompt::{Line, Typed};
use super::shell::clock;
use super::table::{Row, number_column, table, text_column};
use super::{Effect, Key, Request, Screen};
use crate::failure::Failure;

const STATS: &str = "/api/queue-monitor/stats";
/// How far the chart goes back, by choice.
const SPANS: [(&str, u64); 4] = [("1 min", 60), ("5 min", 300), ("15 min", 900), ("1 h", 3_600)];
/// So many of the last messages are asked for.
const LAST: &str = "30";

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Stats,
    Last,
    Dead,
}

/// By what the queues are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Name,
    Waiting,
    Stuck,
}

/// The screen.
#[derive(Debug)]
pub(crate) struct Queues {
    stats: Value,
    last: Vec<Value>,
    dead: Vec<Value>,
    accepted: History,
    completed: History,
    waiting: History,
    active: History,
    stuck: History,
    span: usize,
    order: Order,
    chosen: usize,
    filter: String,
    typing: Option<Line>,
}

impl Queues {
    pub(crate) fn new() -> Queues {
        Queues {
            stats: Value::Null,
            last: Vec::new(),
            dead: Vec::new(),
            accepted: History::default(),
            completed: History::default(),
            waiting: History::default(),
            active: History::default(),
            stuck: History::default(),
            span: 1,
            order: Order::Waiting,
            chosen: 0,
            filter: String::new(),
            typing: None,
        }
    }

    /// The queues that fit, in their order.
    fn queues(&self) -> Vec<&Value> {
        let all = self.stats["queues"].as_array().map_or(&[][..], Vec::as_slice);
        let mut found: Vec<&Value> = all.iter().filter(|queue| self.fits(queue)).collect();
        let by = |keys: &[&str], queue: &Value| {
            std::cmp::Reverse(keys.iter().map(|key| count(queue, key)).sum::<u64>())
        };
        match self.order {
            Order::Name => found.sort_by_key(|queue| text(queue, "queue")),
            // Of those that are alike the busiest so far.
            Order::Waiting => {
                found.sort_by_key(|queue| {
                    (by(&["waiting", "scheduled"], queue), by(&["active", "completed"], queue))
                });
            }
            Order::Stuck => {
                found.sort_by_key(|queue| (by(&["dead", "uncertain"], queue), by(&["completed"], queue)));
            }
        }
        found
    }

    fn fits(&self, queue: &Value) -> bool {
        queue["queue"].as_str().is_some_and(|name| name.contains(&self.filter))
    }

    /// The sum of a number over the queues that fit; messages alone, where it says so.
    fn sum(&self, key: &str) -> u64 {
        self.queues().into_iter().map(|queue| count(queue, key)).sum()
    }

    fn forget(&mut self) {
        for history in
            [&mut self.accepted, &mut self.completed, &mut self.waiting, &mut self.active, &mut self.stuck]
        {
            *history = History::default();
        }
    }

    fn look(&mut self, now: Timestamp) {
        let [accepted, completed, waiting, active] =
            ["accepted", "completed", "waiting", "active"].map(|key| self.sum(key));
        let stuck = self.sum("dead") + self.sum("uncertain");
        self.accepted.look(now, accepted);
        self.completed.look(now, completed);
        self.waiting.look(now, waiting);
        self.active.look(now, active);
        self.stuck.look(now, stuck);
    }

    fn draw_tiles(&self, buf: &mut Buffer, area: Rect, palette: Palette) {
        let most = usize::from(area.width / 5);
        let minute = self
            .completed
            .rate(Duration::from_secs(60))
            .map_or_else(|| "…".to_owned(), |rate| short(rate * 60.0));
        let stuck = self.sum("dead") + self.sum("uncertain");
        let tile = |name, count, tone, history: &History| Tile {
            name,
            value: whole(count),
            tone,
            went: history.numbers(most),
        };
        let stuck_tone = if stuck > 0 { Tone::Bad } else { Tone::Plain };
        let all = [
            tile("waiting", self.sum("waiting"), Tone::Plain, &self.waiting),
            tile("active", self.sum("active"), Tone::Plain, &self.active),
            Tile { name: "done a minute", value: minute, tone: Tone::Good, went: self.completed.steps(most) },
            Tile {
                name: "done in all",
                value: whole(self.sum("completed")),
                tone: Tone::Plain,
                went: Vec::new(),
            },
            tile("dead, uncertain", stuck, stuck_tone, &self.stuck),
        ];
        tiles(buf, area, &all, palette);
    }

    fn draw_chart(&self, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
        let (name, seconds) = SPANS[self.span];
        let area = section(buf, area, &format!("jobs a second, last {name}"), palette);
        let span = Duration::from_secs(seconds);
        let counts = [("accepted", &self.accepted), ("done", &self.completed)];
        draw_rates(buf, area, &counts, (now, span), palette);
    }

    fn draw_priorities(&self, buf: &mut Buffer, area: Rect, palette: Palette) {
        let area = section(buf, area, "waiting: by priority, held", palette);
        let of = |key: &str| self.queues().iter().map(|queue| count(&queue["byPriority"], key)).sum();
        let mut items = ["critical", "high", "normal", "low"].map(|key| (key.to_owned(), of(key))).to_vec();
        let ready: u64 = items.iter().map(|(_, count)| count).sum();
        items.push(("held".to_owned(), self.sum("waiting").saturating_sub(ready)));
        bars(buf, area, &items, palette.series(0), palette);
    }

    fn draw_queues(&self, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
        let columns = [
            text_column("queue", 0, 0),
            number_column("waiting", 8, 0),
            number_column("due later", 9, 100),
            number_column("active", 6, 0),
            number_column("done", 9, 0),
            number_column("dead", 6, 0),
            number_column("unsure", 6, 0),
            number_column("oldest", 8, 90),
            number_column("rate", 5, 120),
            number_column("twice", 5, 120),
            text_column("state", 16, 0),
        ];
        let queues = self.queues();
        let row = |queue: &&Value| {
            let number = |key: &str, tone| {
                let count = count(queue, key);
                (whole(count), if count > 0 { tone } else { Tone::Dim })
            };
            let (state, state_tone) = state(queue);
            let rate = format!("{} %", count(queue, "ratePermille") / 10);
            Row {
                cells: vec![
                    (text(queue, "queue").to_owned(), Tone::Plain),
                    number("waiting", Tone::Plain),
                    number("scheduled", Tone::Plain),
                    number("active", Tone::Plain),
                    number("completed", Tone::Plain),
                    number("dead", Tone::Bad),
                    number("uncertain", Tone::Warn),
                    (age(queue, "oldestWaitingAt", now), Tone::Plain),
                    (rate, if count(queue, "ratePermille") < 1_000 { Tone::Warn } else { Tone::Dim }),
                    number("duplicateSends", Tone::Bad),
                    (state, state_tone),
                ],
            }
        };
        let order = match self.order {
            Order::Name => "by name",
            Order::Waiting => "what waits first",
            Order::Stuck => "what is stuck first",
        };
        let filter = if self.filter.is_empty() { String::new() } else { format!(", with {:?}", self.filter) };
        let area = section(buf, area, &format!("queues: {}, {order}{filter}", queues.len()), palette);
        let rows: Vec<Row> = queues.iter().map(row).collect();
        table(buf, area, &columns, &rows, Some(self.chosen.min(rows.len().saturating_sub(1))), palette);
    }

    fn draw_last(&self, buf: &mut Buffer, area: Rect, palette: Palette) {
        let area = section(buf, area, "last messages", palette);
        let columns = [
            text_column("at", 8, 0),
            text_column("state", 9, 0),
            text_column("channel", 12, 50),
            text_column("to", 0, 0),
        ];
        let rows: Vec<Row> = self
            .last
            .iter()
            .map(|message| {
                let status = text(message, "status");
                Row {
                    cells: vec![
                        (time(message, "updatedAt"), Tone::Dim),
                        (status.to_owned(), status_tone(status)),
                        (text(message, "channel").to_owned(), Tone::Plain),
                        (text(message, "contact").to_owned(), Tone::Plain),
                    ],
                }
            })
            .collect();
        table(buf, area, &columns, &rows, None, palette);
    }

    fn draw_dead(&self, buf: &mut Buffer, area: Rect, palette: Palette) {
        let area = section(buf, area, "dead and uncertain", palette);
        let columns = [text_column("channel", 12, 50), text_column("state", 9, 50), text_column("why", 0, 0)];
        let rows: Vec<Row> = self
            .dead
            .iter()
            .map(|letter| Row {
                cells: vec![
                    (text(letter, "channel").to_owned(), Tone::Plain),
                    (text(letter, "state").to_owned(), Tone::Warn),
                    (text(letter, "reason").to_owned(), Tone::Plain),
                ],
            })
            .collect();
        if rows.is_empty() {
            put(buf, area, "none", palette.style(Tone::Good));
        } else {
            table(buf, area, &columns, &rows, None, palette);
        }
    }
}

impl Screen for Queues {
    type Topic = Topic;

    fn name(&self) -> &'static str {
        "queue metrics"
    }

    fn asks(&self) -> Vec<Request<Topic>> {
        vec![
            Request::get(Topic::Stats, STATS),
            Request::get(Topic::Last, "/api/messages").with("direction", "outbound").with("limit", LAST),
            Request::get(Topic::Dead, "/api/dead-letters").with("limit", LAST),
        ]
    }

    fn told(&mut self, topic: Topic, answer: &Value, now: Timestamp) {
        let items = || answer["items"].as_array().cloned().unwrap_or_default();
        match topic {
            Topic::Stats => {
                self.stats = answer.clone();
                // Numbers that the server itself has from before tell nothing of now.
                if answer["asOf"].is_null() {
                    self.look(now);
                }
            }
            Topic::Last => self.last = items(),
            Topic::Dead => self.dead = items(),
        }
    }

    fn done(&mut self, _: Topic, _: Result<Value, Failure>) -> Vec<Effect<Topic>> {
        Vec::new()
    }

    fn key(&mut self, key: Key) -> Effect<Topic> {
        if let Some(line) = &mut self.typing {
            match line.key(key) {
                Typed::Going => {}
                Typed::Dropped => self.typing = None,
                Typed::Done => {
                    self.filter = line.text().trim().to_owned();
                    self.typing = None;
                    self.chosen = 0;
                    // Its rates are those of other queues.
                    self.forget();
                    return Effect::AskAgain;
                }
            }
            return Effect::None;
        }
        let last = self.queues().len().saturating_sub(1);
        match key {
            Key::Up | Key::Char('k') => self.chosen = self.chosen.min(last).saturating_sub(1),
            Key::Down | Key::Char('j') => self.chosen = (self.chosen + 1).min(last),
            Key::Home => self.chosen = 0,
            Key::End => self.chosen = last,
            Key::Char('t') => self.span = (self.span + 1) % SPANS.len(),
            Key::Char('s') => {
                self.order = match self.order {
                    Order::Name => Order::Waiting,
                    Order::Waiting => Order::Stuck,
                    Order::Stuck => Order::Name,
                };
            }
            Key::Char('/') => self.typing = Some(Line::of(&self.filter)),
            Key::Char('r') => return Effect::AskAgain,
            _ => {}
        }
        Effect::None
    }

    fn is_typing(&self) -> bool {
        self.typing.is_some()
    }

    fn keys(&self) -> Vec<(&'static str, &'static str)> {
        if self.typing.is_some() {
            return vec![("Enter", "show these"), ("Esc", "never mind")];
        }
        vec![("↑↓", "choose"), ("/", "filter"), ("t", "time"), ("s", "order"), ("r", "ask now")]
    }

    fn about(&self) -> &'static [&'static str] {
        &[
            "Rates are what the server's own counts grew by while this",
            "screen was open; nothing is estimated.",
            "held: behind another to the same person, or between attempts.",
            "oldest: for how long the oldest waits that could go.",
            "Dead letters: palomar queue dlq. Pause: palomar queue pause.",
        ]
    }

    fn asking(&self, width: u16) -> Option<String> {
        let line = self.typing.as_ref()?;
        Some(format!("queues whose name has: {}", line.shown(usize::from(width).saturating_sub(24))))
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
        let roomy = area.width >= 120 && area.height >= 30;
        let (top, rest) = above(area, if roomy { 4 } else { 3 });
        self.draw_tiles(buf, top, palette);
        if let Some(as_of) = self.stats["asOf"].as_str() {
            let why = text(&self.stats["spool"], "queuesAway");
            put(
                buf,
                top,
                &format!("the queues can't be reached ({why}): numbers of {as_of}"),
                palette.style(Tone::Bad),
            );
        }
        let (middle, rest) = above(rest, if roomy { rest.height / 3 } else { 7 });
        if roomy {
            let (left, right) = beside(middle, middle.width - 40);
            self.draw_chart(buf, left, palette, now);
            self.draw_priorities(buf, right, palette);
        } else {
            self.draw_chart(buf, middle, palette, now);
        }
        let queues = u16::try_from(self.queues().len()).unwrap_or(u16::MAX).saturating_add(2);
        let (list, last) = above(rest, queues.clamp(4, (rest.height * 2 / 3).max(4)));
        self.draw_queues(buf, list, palette, now);
        let (left, right) = beside(last, last.width / 2);
        self.draw_last(buf, left, palette);
        self.draw_dead(buf, right, palette);
    }
}

/// What can be said of a queue in a word.
pub(super) fn state(queue: &Value) -> (String, Tone) {
    if let Some(why) = queue["paused"].as_str() {
        return (format!("paused: {why}"), Tone::Warn);
    }
    match text(queue, "breaker") {
        "open" => ("breaker open".to_owned(), Tone::Bad),
        "halfOpen" => ("breaker tries".to_owned(), Tone::Warn),
        _ if queue["pausedGroups"].as_array().is_some_and(|groups| !groups.is_empty()) => {
            ("groups paused".to_owned(), Tone::Warn)
        }
        _ => ("runs".to_owned(), Tone::Good),
    }
}

/// What a message's state says.
pub(super) fn status_tone(status: &str) -> Tone {
    match status {
        "sent" | "delivered" | "read" => Tone::Good,
        "failed" | "dead" => Tone::Bad,
        "uncertain" | "cancelled" | "expired" => Tone::Warn,
        _ => Tone::Plain,
    }
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn count(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

/// The time of day at `key`.
pub(super) fn time(value: &Value, key: &str) -> String {
    text(value, key).parse().map_or_else(|_| String::new(), clock)
}

/// How long ago the time at `key` was.
pub(super) fn age(value: &Value, key: &str, now: Timestamp) -> String {
    text(value, key).parse().map_or_else(|_| String::new(), |at| lasting(now.since(at)))
}

/// A span of time in a few cells.
pub(super) fn lasting(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
