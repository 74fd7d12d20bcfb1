//! `palomar top`: who is busy, and how the machine takes it.

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::history::History;
use super::paint::Palette;
use super::prompt::{Line, Typed};
use super::queues::{count, text};
use super::{Effect, Key, Method, Request, Screen, Usage};
use crate::failure::Failure;

/// Over how long the rates of channels are taken.
pub(super) const OVER: Duration = Duration::from_secs(30);

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Ready,
    Stats,
    Alerts,
    Campaigns,
    Metrics,
}

/// A channel as one line.
#[derive(Debug, Default)]
pub(super) struct Busy {
    pub(super) starts: History,
    pub(super) done: History,
    pub(super) arrived: History,
    pub(super) outbound: Value,
    pub(super) inbound: Value,
}

/// By what channels are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Rate,
    Waiting,
    Stuck,
    Name,
}

/// The screen.
#[derive(Debug)]
pub(crate) struct Top {
    pub(super) ready: Value,
    pub(super) nodes: Vec<Value>,
    pub(super) spool: Value,
    pub(super) alerts: Vec<Value>,
    pub(super) campaigns: Vec<Value>,
    pub(super) usage: Usage,
    /// Processor time in thousandths of seconds, for the share of a processor that it takes.
    pub(super) cpu: History,
    pub(super) sent: History,
    pub(super) received: History,
    channels: BTreeMap<String, Busy>,
    pub(super) order: Order,
    pub(super) filter: String,
    chosen: usize,
    typing: Option<Line>,
}

impl Top {
    pub(crate) fn new() -> Top {
        Top {
            ready: Value::Null,
            nodes: Vec::new(),
            spool: Value::Null,
            alerts: Vec::new(),
            campaigns: Vec::new(),
            usage: Usage::default(),
            cpu: History::default(),
            sent: History::default(),
            received: History::default(),
            channels: BTreeMap::new(),
            order: Order::Rate,
            filter: String::new(),
            chosen: 0,
            typing: None,
        }
    }

    pub(super) fn chosen(&self) -> usize {
        self.chosen.min(self.channels().len().saturating_sub(1))
    }

    /// The channels that fit, the busiest first.
    pub(super) fn channels(&self) -> Vec<(&str, &Busy)> {
        let fits = |(name, _): &(&String, &Busy)| name.contains(&self.filter);
        let mut found: Vec<(&str, &Busy)> =
            self.channels.iter().filter(fits).map(|(name, busy)| (name.as_str(), busy)).collect();
        let most = |value: f64, other: f64| other.total_cmp(&value);
        let sum = |queue: &Value, keys: [&str; 2]| keys.iter().map(|key| count(queue, key)).sum::<u64>();
        match self.order {
            Order::Name => {}
            Order::Rate => found.sort_by(|(_, one), (_, other)| most(one.rate(), other.rate())),
            Order::Waiting => {
                found.sort_by_key(|(_, busy)| {
                    std::cmp::Reverse(sum(&busy.outbound, ["waiting", "scheduled"]))
                });
            }
            Order::Stuck => {
                found.sort_by_key(|(_, busy)| std::cmp::Reverse(sum(&busy.outbound, ["dead", "uncertain"])));
            }
        }
        found
    }

    fn look(&mut self, stats: &Value, now: Timestamp) {
        let queues = stats["queues"].as_array().map_or(&[][..], Vec::as_slice);
        let (mut sent, mut received) = (0, 0);
        let mut seen = Vec::new();
        for queue in queues {
            let Some((pool, name)) = text(queue, "queue").split_once('/') else { continue };
            if !matches!(pool, "outbound" | "inbound") {
                continue;
            }
            seen.push(name.to_owned());
            let busy = self.channels.entry(name.to_owned()).or_default();
            if pool == "outbound" {
                sent += count(queue, "completed");
                busy.starts.look(now, count(queue, "starts"));
                busy.done.look(now, count(queue, "completed"));
                busy.outbound = queue.clone();
            } else {
                received += count(queue, "accepted");
                busy.arrived.look(now, count(queue, "accepted"));
                busy.inbound = queue.clone();
            }
        }
        self.channels.retain(|name, _| seen.contains(name));
        self.sent.look(now, sent);
        self.received.look(now, received);
    }
}

impl Busy {
    /// What goes out and comes in a second.
    pub(super) fn rate(&self) -> f64 {
        self.done.rate(OVER).unwrap_or(0.0) + self.arrived.rate(OVER).unwrap_or(0.0)
    }
}

impl Screen for Top {
    type Topic = Topic;

    fn name(&self) -> &'static str {
        "top"
    }

    fn asks(&self) -> Vec<Request<Topic>> {
        requests()
    }

    fn told(&mut self, topic: Topic, answer: &Value, now: Timestamp) {
        let items = || answer["items"].as_array().cloned().unwrap_or_default();
        match topic {
            Topic::Ready => self.ready = answer.clone(),
            Topic::Stats => {
                self.nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
                self.spool = answer["spool"].clone();
                if answer["asOf"].is_null() {
                    self.look(answer, now);
                }
            }
            Topic::Alerts => self.alerts = items(),
            Topic::Campaigns => self.campaigns = items(),
            Topic::Metrics => {
                let usage = Usage::read(answer.as_str().unwrap_or_default());
                if usage.started_at_seconds != self.usage.started_at_seconds {
                    self.cpu = History::default();
                }
                if let Some(seconds) = usage.cpu_seconds {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "never negative"
                    )]
                    self.cpu.look(now, (seconds * 1_000.0) as u64);
                }
                self.usage = usage;
            }
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
                }
            }
            return Effect::None;
        }
        let last = self.channels().len().saturating_sub(1);
        match key {
            Key::Up | Key::Char('k') => self.chosen = self.chosen.min(last).saturating_sub(1),
            Key::Down | Key::Char('j') => self.chosen = (self.chosen + 1).min(last),
            Key::Home => self.chosen = 0,
            Key::End => self.chosen = last,
            Key::Char('s') => {
                self.order = match self.order {
                    Order::Rate => Order::Waiting,
                    Order::Waiting => Order::Stuck,
                    Order::Stuck => Order::Name,
                    Order::Name => Order::Rate,
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
        vec![("↑↓", "choose"), ("s", "order"), ("/", "filter"), ("r", "ask now")]
    }

    fn about(&self) -> &'static [&'static str] {
        &[
            "Rates of channels are over the last 30 s that this screen",
            "has seen. cpu: of one processor, by the process that",
            "answers; with several nodes the others have their own.",
            "use: attempts started, of what the channel's limits allow.",
            "stuck: dead and uncertain (palomar queue dlq).",
        ]
    }

    fn asking(&self, width: u16) -> Option<String> {
        let line = self.typing.as_ref()?;
        Some(format!("channels whose name has: {}", line.shown(usize::from(width).saturating_sub(26))))
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
        super::top_drawn::draw(self, buf, area, palette, now);
    }
}

/// What is asked, also where there is no screen.
fn requests() -> Vec<Request<Topic>> {
    vec![
        Request::new(Topic::Ready, Method::Probe, "/readyz"),
        Request::get(Topic::Stats, "/api/queue-monitor/stats"),
        Request::get(Topic::Alerts, "/api/alerts").with("state", "firing").with("limit", "20"),
        Request::get(Topic::Campaigns, "/api/campaigns").with("status", "sending,paused").with("limit", "20"),
        Request::new(Topic::Metrics, Method::Text, "/metrics"),
    ]
}
