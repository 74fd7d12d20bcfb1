//! The one repair that is made: a `\uD83D` that stands alone would make a whole delivery unreadable.

/// The body with every surrogate escape that is not half of a pair replaced by `\ufffd`; `None` where there is none.
pub(crate) fn lone_surrogates(body: &[u8]) -> Option<Vec<u8>> {
    let mut repaired: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        if !rest.starts_with(b"\\") {
            at += 1;
            continue;
        }
        at += match escape(rest) {
            None => 2,
            Some(0xd800..=0xdbff) if matches!(rest.get(6..).and_then(escape), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                let copy = repaired.get_or_insert_with(|| body.to_vec());
                if let Some(broken) = copy.get_mut(at..at + 6) {
                    broken.copy_from_slice(b"\\ufffd");
                }
                6
            }
            Some(_) => 6,
        };
    }
    repaired
}

/// The number of the `\uXXXX` at the start.
fn escape(text: &[u8]) -> Option<u16> {
    let hex = std::str::from_utf8(text.strip_prefix(b"\\u")?.get(..4)?).ok()?;
    u16::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_alone() {
        for (text, repaired) in [
            (r"a\ud83cz", Some(r"a\ufffdz")),
            (r"\udfe1\ud83c\udfe1\ud83c", Some(r"\ufffd\ud83c\udfe1\ufffd")),
            (r"\ud83c\u0041", Some(r"\ufffd\u0041")),
            (r"\ud83c\udfe1", None),
            (r"\\ud83c", None),
            (r"\\\ud83c", Some(r"\\\ufffd")),
            (r"\ud8", None),
            (r"\u+d83", None),
            ("\\", None),
            ("", None),
        ] {
            let expected = repaired.map(|text| text.as_bytes().to_vec());
            assert_eq!(lone_surrogates(text.as_bytes()), expected, "{text}");
        }
    }
}
