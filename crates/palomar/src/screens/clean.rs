//! Text from outside, made fit for a cell of the screen.
//!
//! What always holds: what comes out is one line without control characters, without marks that turn the direction of
//! writing and without characters of no width but a few accents, and is as wide as it is said to be. A message can't move
//! the cursor, turn what stands beside it, or pile up over its neighbours.

use ratatui::text::Span;

/// No more of a text is looked at: the widest screen shows less.
const LONGEST: usize = 4_000;
/// So many marks over one letter are kept.
const MARKS: usize = 2;

/// One line of harmless text.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(LONGEST));
    let mut marks = 0;
    let mut chars = text.chars().take(LONGEST).peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => cleaned.push('⏎'),
            '\t' => cleaned.push(' '),
            _ if c.is_control() => cleaned.extend(c.escape_default()),
            _ if turns_direction(c) || joins(c) => {}
            _ if width_of(c) == 0 => {
                marks += 1;
                if marks <= MARKS && !cleaned.is_empty() {
                    cleaned.push(c);
                }
                continue;
            }
            _ => cleaned.push(c),
        }
        marks = 0;
    }
    cleaned
}

/// Marks that tell a terminal to write from the other side.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// What makes one picture of several: terminals do not agree how wide that is, so each is shown by itself.
fn joins(c: char) -> bool {
    matches!(c,
        '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{00AD}' | '\u{180E}' | '\u{206A}'..='\u{206F}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}')
}

fn width_of(c: char) -> usize {
    Span::raw(&*c.encode_utf8(&mut [0; 4])).width()
}

/// How many cells cleaned text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Cleaned text, cut to so many cells.
pub(super) fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut taken = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = used + width_of(c);
        if next + 1 > cells {
            break;
        }
        taken.push(c);
        used = next;
    }
    if cells > 0 {
        taken.push('…');
    }
    taken
}

/// The end of cleaned text, for what is being typed.
pub(super) fn tail(text: &str, cells: usize) -> String {
    let mut used = 0;
    let kept: Vec<char> = text
        .chars()
        .rev()
        .take_while(|c| {
            used += width_of(*c);
            used <= cells
        })
        .collect();
    kept.into_iter().rev().collect()
}

/// Text, cleaned, in lines of so many cells.
pub(super) fn wrapped(text: &str, cells: u16) -> Vec<String> {
    let cells = usize::from(cells).max(2);
    let mut lines = vec![String::new()];
    for word in clean(text).split(' ') {
        let used = lines.last().map_or(0, |line| width(line));
        if used > 0 && used + 1 + width(word) > cells {
            lines.push(String::new());
        } else if used > 0 {
            lines.iter_mut().next_back().into_iter().for_each(|line| line.push(' '));
        }
        for c in word.chars() {
            if lines.last().is_some_and(|line| width(line) + width_of(c) > cells) {
                lines.push(String::new());
            }
            lines.iter_mut().next_back().into_iter().for_each(|line| line.push(c));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_harmless_line() {
        for (name, text, shown) in [
            ("plain", "Hola, ñandú 👋", "Hola, ñandú 👋"),
            ("lines and tabs", "a\r\nb\nc\td", "a⏎b⏎c d"),
            ("a title of the window", "\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("clearing the screen", "\u{1b}[2J\u{9b}31m", "\\u{1b}[2J\\u{9b}31m"),
            ("a link", "\u{1b}]8;;http://x\u{1b}\\y", "\\u{1b}]8;;http://x\\u{1b}\\y"),
            ("turned writing", "abc\u{202e}fdp.exe\u{2066}", "abcfdp.exe"),
            ("letters of the other direction stay", "שלום", "שלום"),
            ("a family is its people", "👨\u{200d}👩\u{200d}👧", "👨👩👧"),
            ("what can't be seen", "a\u{200b}b\u{feff}c\u{fe0f}", "abc"),
            ("accents in a pile", "e\u{301}\u{302}\u{303}\u{304}\u{305}x", "e\u{301}\u{302}x"),
            ("an accent on nothing", "\u{301}a", "a"),
            ("tags", "a\u{e0041}b", "ab"),
        ] {
            assert_eq!(clean(text), shown, "{name}");
        }
        assert_eq!(clean(&"x".repeat(1 << 20)).len(), LONGEST);
    }

    #[test]
    fn text_is_cut_to_cells() {
        for (text, cells, shown) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("日", 1, "…"),
            ("any", 0, ""),
        ] {
            let cut = cut(text, cells);
            assert_eq!(cut, shown);
            assert!(width(&cut) <= cells, "{text} in {cells}");
        }
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a verylongword", 6), ["a", "verylo", "ngword"]);
        assert_eq!(wrapped("日本語", 4), ["日本", "語"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(tail("abc日本", 5), "c日本");
        assert_eq!(tail("日本", 3), "本");
    }
}
