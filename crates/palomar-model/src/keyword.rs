//! Words by which people say what they want: a whole message that is one of a list, however it is spelled.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// No keyword is longer; whatever is was written for another purpose.
const LONGEST: usize = 64;

/// The text without accents, case, the punctuation around it and repeated spaces; empty where it is too long to be a
/// keyword. Two spellings of one word are the same.
#[must_use]
pub fn keyword(text: &str) -> String {
    // A keyword may come with some white space and signs around it, an essay is not looked at.
    if text.len() > 8 * LONGEST {
        return String::new();
    }
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    let trimmed = plain.trim_matches(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = trimmed.split_whitespace().collect();
    let word = words.join(" ");
    if word.chars().count() <= LONGEST { word } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_the_same() {
        for (text, expected) in [
            ("STOP", "stop"),
            (" Baja. ", "baja"),
            ("¡BAJÁ!", "baja"),
            ("ＳＴＯＰ", "stop"),
            ("no  más\nmensajes", "no mas mensajes"),
            ("opt-out", "opt-out"),
            ("", ""),
            ("🛑", ""),
        ] {
            assert_eq!(keyword(text), expected, "{text}");
        }
        assert_eq!(keyword(&"stop ".repeat(40)), "");
        assert_eq!(keyword(&"x".repeat(2_000)), "");
    }
}
