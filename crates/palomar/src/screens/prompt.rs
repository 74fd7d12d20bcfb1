//! A line that is typed: a filter, a word that confirms, a field.

use super::Key;
use super::clean::{clean, cut, tail, width};

/// The longest text that can be typed: WhatsApp takes no longer message.
const LONGEST: usize = 4_096;

/// A line with its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    chars: Vec<char>,
    cursor: usize,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// It is being typed.
    Going,
    /// It is as it should be.
    Done,
    /// Never mind.
    Dropped,
}

impl Line {
    pub(super) fn of(text: &str) -> Line {
        let chars: Vec<char> = text.chars().take(LONGEST).collect();
        Line { cursor: chars.len(), chars }
    }

    pub(super) fn text(&self) -> String {
        self.chars.iter().collect()
    }

    pub(super) fn key(&mut self, key: Key) -> Typed {
        match key {
            Key::Enter => return Typed::Done,
            Key::Esc | Key::Interrupt => return Typed::Dropped,
            Key::Char(c) if !c.is_control() && self.chars.len() < LONGEST => {
                self.chars.insert(self.cursor, c);
                self.cursor += 1;
            }
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.chars.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.chars.len() => {
                self.chars.remove(self.cursor);
            }
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.chars.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.chars.len(),
            _ => {}
        }
        Typed::Going
    }

    /// As it is shown in so many cells, with its cursor in sight.
    pub(super) fn shown(&self, cells: usize) -> String {
        let before: String = clean(&self.chars[..self.cursor].iter().collect::<String>());
        let after: String = clean(&self.chars[self.cursor..].iter().collect::<String>());
        let room = cells.saturating_sub(1);
        let before = tail(&before, room);
        let after = cut(&after, room - width(&before));
        format!("{before}▏{after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed() {
        let mut line = Line::of("Hla");
        for key in [Key::Left, Key::Left, Key::Char('o'), Key::End, Key::Char('!'), Key::Char('?')] {
            assert_eq!(line.key(key), Typed::Going);
        }
        line.key(Key::Backspace);
        line.key(Key::Char('\u{7}'));
        assert_eq!(line.text(), "Hola!");
        line.key(Key::Home);
        line.key(Key::Delete);
        line.key(Key::Backspace);
        assert_eq!(line.text(), "ola!");
        assert_eq!(line.key(Key::Enter), Typed::Done);
        assert_eq!(line.key(Key::Esc), Typed::Dropped);
    }

    #[test]
    fn the_cursor_stays_in_sight() {
        let line = Line::of("a long line of text");
        assert_eq!(line.shown(8), "of text▏");
        assert_eq!(line.shown(40), "a long line of text▏");
        let mut line = Line::of("日本語");
        line.key(Key::Home);
        assert_eq!(line.shown(4), "▏日…");
        assert_eq!(Line::of("a\nb").shown(9), "a⏎b▏");
    }
}
