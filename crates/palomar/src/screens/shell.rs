//! What every screen has: the first line, the keys, help, the connection, and questions that are asked again and again.
//!
//! What always holds: numbers that are shown came from the server, together, at the time that the first line says; answers
//! to questions that nobody has any more are dropped; while the server is away the screen says so and asks on.

use std::time::Duration;

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use serde_json::Value;

use super::paint::{Palette, Tone, line, put, put_right, words};
use super::{Effect, Key, Request, Screen};
use crate::failure::{Exit, Failure};

/// How often a server that is away is asked whether it is back.
const WHILE_AWAY: Duration = Duration::from_secs(1);
/// How long a word to the person stays.
const SAID_FOR: Duration = Duration::from_secs(8);
/// What a person may choose to be told how often, in seconds.
const PACES: [u64; 7] = [1, 2, 5, 10, 30, 60, 300];

/// What is to be sent to the server.
#[derive(Debug)]
pub(super) enum Sent<T> {
    /// Questions that are answered together, under a number.
    Round(u64, Vec<Request<T>>),
    /// An order.
    Order(Request<T>),
}

/// What came back.
#[derive(Debug)]
pub(super) enum Came<T> {
    /// Answers of a round, or why there are none.
    Round(u64, Result<Vec<(T, Value)>, Failure>),
    /// What became of an order.
    Order(T, Result<Value, Failure>),
}

#[derive(Debug)]
enum Link {
    Good,
    /// Nobody answers.
    Away {
        since: Timestamp,
        why: String,
    },
    /// It answers, but not what was asked.
    Unwilling {
        why: String,
    },
}

/// A screen with its surroundings.
#[derive(Debug)]
pub(super) struct Shell<S: Screen> {
    screen: S,
    server: String,
    palette: Palette,
    pace: usize,
    held: bool,
    help: bool,
    link: Link,
    /// What was said last.
    said: Option<(Timestamp, Tone, String)>,
    /// The newest round, and whether its answers are still to come.
    round: u64,
    waiting: bool,
    asked_at: Option<Timestamp>,
    /// The numbers are of this time.
    told_at: Option<Timestamp>,
    now: Timestamp,
    ended: bool,
}

impl<S: Screen> Shell<S> {
    pub(super) fn new(
        screen: S,
        server: &str,
        every: Duration,
        palette: Palette,
        now: Timestamp,
    ) -> Shell<S> {
        let pace = PACES.iter().position(|pace| *pace >= every.as_secs()).unwrap_or(PACES.len() - 1);
        Shell {
            screen,
            server: server.to_owned(),
            palette,
            pace,
            held: false,
            help: false,
            link: Link::Good,
            said: None,
            round: 0,
            waiting: false,
            asked_at: None,
            told_at: None,
            now,
            ended: false,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    fn every(&self) -> Duration {
        match self.link {
            Link::Away { .. } => WHILE_AWAY,
            Link::Good | Link::Unwilling { .. } => Duration::from_secs(PACES[self.pace]),
        }
    }

    /// Time went on: what is to be asked now.
    pub(super) fn tick(&mut self, now: Timestamp) -> Option<Sent<S::Topic>> {
        self.now = now;
        if self.said.as_ref().is_some_and(|(at, ..)| now.since(*at) >= SAID_FOR) {
            self.said = None;
        }
        let due = self.asked_at.is_none_or(|asked| now.since(asked) >= self.every() || now < asked);
        let held = self.held && !matches!(self.link, Link::Away { .. });
        (due && !held && !self.waiting).then(|| self.ask())
    }

    /// Asks all anew; what an earlier round brings is no longer wanted.
    pub(super) fn ask(&mut self) -> Sent<S::Topic> {
        self.round += 1;
        (self.waiting, self.asked_at) = (true, Some(self.now));
        Sent::Round(self.round, self.screen.asks())
    }

    /// Something came back. Answers what is to be sent next; a failure ends the screen.
    pub(super) fn came(
        &mut self,
        came: Came<S::Topic>,
        now: Timestamp,
    ) -> Result<Vec<Sent<S::Topic>>, Failure> {
        self.now = now;
        match came {
            Came::Round(round, _) if round != self.round => Ok(Vec::new()),
            Came::Round(_, Ok(answers)) => {
                self.waiting = false;
                for (topic, answer) in &answers {
                    self.screen.told(*topic, answer, now);
                }
                self.told_at = Some(now);
                if let Link::Away { since, .. } = &self.link {
                    let away = now.since(*since).as_secs();
                    self.say(Tone::Good, format!("the server is back, after {away} s"));
                }
                self.link = Link::Good;
                Ok(Vec::new())
            }
            Came::Round(_, Err(failure)) => {
                self.waiting = false;
                self.unanswered(failure)?;
                Ok(Vec::new())
            }
            Came::Order(topic, answer) => {
                if let Err(failure) = &answer {
                    self.say(Tone::Bad, failure.what.clone());
                }
                let effects = self.screen.done(topic, answer);
                Ok(effects.into_iter().filter_map(|effect| self.take(effect)).collect())
            }
        }
    }

    /// A round has no answers: a server that is away is waited for; one that refuses us is the end.
    fn unanswered(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.exit == Exit::Refused || self.told_at.is_none() {
            return Err(failure);
        }
        self.link = match &self.link {
            _ if failure.exit != Exit::Unreachable => Link::Unwilling { why: failure.what },
            Link::Away { since, .. } => Link::Away { since: *since, why: failure.what },
            _ => Link::Away { since: self.now, why: failure.what },
        };
        Ok(())
    }

    fn say(&mut self, tone: Tone, text: String) {
        self.said = Some((self.now, tone, text));
    }

    fn take(&mut self, effect: Effect<S::Topic>) -> Option<Sent<S::Topic>> {
        match effect {
            Effect::None => None,
            Effect::AskAgain => Some(self.ask()),
            Effect::Order(request) => Some(Sent::Order(request)),
            Effect::Say(tone, text) => {
                self.say(tone, text);
                None
            }
        }
    }

    /// Text that was put in at once: text where text is typed, and never commands.
    pub(super) fn pasted(&mut self, text: &str) {
        if self.screen.is_typing() {
            let text = text.trim_end_matches(['\r', '\n']);
            text.chars().filter(|c| !c.is_control()).for_each(|c| drop(self.screen.key(Key::Char(c))));
        }
    }

    /// A key.
    pub(super) fn key(&mut self, key: Key) -> Option<Sent<S::Topic>> {
        if key == Key::Interrupt {
            self.ended = true;
            return None;
        }
        if self.help {
            self.help = false;
            return None;
        }
        if self.screen.is_typing() {
            let effect = self.screen.key(key);
            return self.take(effect);
        }
        match key {
            Key::Char('q') => self.ended = true,
            Key::Char('?') => self.help = true,
            Key::Char(' ') => {
                self.held = !self.held;
                return (!self.held).then(|| self.ask());
            }
            Key::Char('+') => self.pace = self.pace.saturating_sub(1),
            Key::Char('-') => self.pace = (self.pace + 1).min(PACES.len() - 1),
            key => {
                let effect = self.screen.key(key);
                return self.take(effect);
            }
        }
        None
    }

    /// The whole picture.
    pub(super) fn draw(&self, buf: &mut Buffer) {
        let area = buf.area;
        if area.height < 10 || area.width < 40 {
            put(
                buf,
                line(area, 0),
                "too small: 40×10 at least, 80×24 is comfortable",
                self.palette.style(Tone::Warn),
            );
            return;
        }
        self.draw_head(buf, line(area, 0));
        let middle = Rect { y: area.y + 1, height: area.height - 3, ..area };
        if self.told_at.is_none() {
            put(buf, line(middle, middle.height / 2), "  asking …", self.palette.style(Tone::Dim));
        } else {
            self.screen.draw(buf, middle, self.palette, self.now);
        }
        self.draw_word(buf, line(area, area.height - 2));
        self.draw_keys(buf, line(area, area.height - 1));
        if self.help {
            self.draw_help(buf, middle);
        }
    }

    fn draw_head(&self, buf: &mut Buffer, area: Rect) {
        buf.set_style(area, self.palette.style(Tone::Plain).add_modifier(Modifier::REVERSED));
        let reversed = |tone| self.palette.style(tone).add_modifier(Modifier::REVERSED);
        let taken = put(buf, area, &format!(" palomar {} ", self.screen.name()), reversed(Tone::Strong));
        let at = self.told_at.map_or_else(String::new, |at| format!("as of {}Z", clock(at)));
        let pace = match (&self.link, self.held) {
            (Link::Away { .. }, _) => "NO CONNECTION".to_owned(),
            (_, true) => "held".to_owned(),
            (_, false) => format!("every {} s", PACES[self.pace]),
        };
        let server = self.server.strip_prefix("http://").unwrap_or(&self.server);
        let rest = Rect { x: area.x + taken, width: area.width - taken, ..area };
        put_right(buf, rest, &format!("{server}  {at}  {pace} "), reversed(Tone::Plain));
    }

    /// What is typed; else why there is nothing new; else what was said last.
    fn draw_word(&self, buf: &mut Buffer, area: Rect) {
        if let Some(asking) = self.screen.asking(area.width) {
            put(buf, area, &asking, self.palette.style(Tone::Strong));
        } else if let Link::Away { since, why } = &self.link {
            let text = format!("no connection since {}Z, trying again: {why}", clock(*since));
            put(buf, area, &text, self.palette.style(Tone::Bad));
        } else if let Link::Unwilling { why } = &self.link {
            put(buf, area, &format!("not answered: {why}"), self.palette.style(Tone::Bad));
        } else if let Some((_, tone, text)) = &self.said {
            put(buf, area, text, self.palette.style(*tone));
        }
    }

    fn draw_keys(&self, buf: &mut Buffer, area: Rect) {
        let (key, what) = (self.palette.style(Tone::Strong), self.palette.style(Tone::Dim));
        let ends: [(&str, &str); 2] = [("?", "help"), ("q", "quit")];
        let keys = self.screen.keys();
        let always: &[(&str, &str)] = if self.screen.is_typing() { &[] } else { &ends };
        let long = |(key, what): &(&str, &str)| key.chars().count() + what.chars().count() + 3;
        // What ends it is never left out.
        let mut room = usize::from(area.width).saturating_sub(always.iter().map(long).sum());
        let fits = keys.iter().take_while(|one| {
            let fits = long(one) <= room;
            room = room.saturating_sub(long(one));
            fits
        });
        let shown: Vec<_> = fits.chain(always).collect();
        let parts =
            shown.iter().flat_map(|(name, does)| [(format!("{name} "), key), (format!("{does}  "), what)]);
        words(buf, area, &parts.collect::<Vec<_>>());
    }

    fn draw_help(&self, buf: &mut Buffer, area: Rect) {
        let always = [
            ("space", "hold the picture, go on"),
            ("+ -", "ask more often, less often"),
            ("Ctrl-L", "draw all anew"),
            ("q Ctrl-C", "quit"),
        ];
        let keys = self.screen.keys();
        let named = |(key, does): &(&str, &str)| format!(" {key:<9} {does}");
        let mut lines: Vec<String> = keys.iter().map(named).collect();
        // Beside each other, so that all of it fits into 24 lines.
        lines.resize(lines.len().max(always.len()), String::new());
        for (line, always) in lines.iter_mut().zip(&always) {
            *line = format!("{line:<22}{}", named(always));
        }
        lines.push(String::new());
        lines.extend(self.screen.about().iter().map(|said| format!(" {said}")));
        let inside = lines.iter().map(|said| said.chars().count()).max().unwrap_or(0) + 2;
        let width = u16::try_from(inside).unwrap_or(u16::MAX).min(area.width.saturating_sub(2));
        let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
        let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
        let over = Rect { x, y, width, height };
        let style = self.palette.style(Tone::Plain);
        let edge = |left, right| format!("{left}{}{right}", "─".repeat(usize::from(width.saturating_sub(2))));
        put(buf, line(over, 0), &edge("╭", "╮"), style);
        for n in 1..height.saturating_sub(1) {
            let text = lines.get(usize::from(n) - 1).map_or("", String::as_str);
            let room = usize::from(width.saturating_sub(2));
            put(
                buf,
                line(over, n),
                &format!("│{:<room$}│", text.chars().take(room).collect::<String>()),
                style,
            );
        }
        put(buf, line(over, height.saturating_sub(1)), &edge("╰", "╯"), style);
    }
}

/// The time of day.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
