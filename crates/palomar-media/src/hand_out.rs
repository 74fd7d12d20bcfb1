//! How kept content is handed out: nothing of it acts in a browser, whatever it is.

/// What is said of content when it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOut {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Content-Disposition`.
    pub disposition: String,
}

/// What a browser may show by itself: pictures, sound and film, and none that is a document.
const SHOWN: [&str; 15] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "audio/aac",
    "audio/amr",
    "audio/mpeg",
    "audio/mp4",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "video/mp4",
    "video/3gpp",
    "video/webm",
    "video/quicktime",
];

/// What is saved under its own type; everything else is bytes.
const SAVED: [&str; 9] = [
    "application/pdf",
    "application/zip",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "image/heic",
    "image/tiff",
    "text/plain",
    "text/vcard",
];

const BYTES: &str = "application/octet-stream";

/// How content of a type is handed out, with the sender's name for it.
#[must_use]
pub fn hand_out(media_type: &str, name: Option<&str>) -> HandOut {
    let of = |list: &[&'static str]| list.iter().copied().find(|known| *known == media_type);
    let (content_type, manner) = match of(&SHOWN) {
        Some(shown) => (shown, "inline"),
        None => (of(&SAVED).unwrap_or(BYTES), "attachment"),
    };
    let disposition = match name.and_then(file_name) {
        None => manner.to_owned(),
        Some(name) => {
            let plain = |c: char| if c.is_ascii_alphanumeric() || " .-_()".contains(c) { c } else { '_' };
            let ascii: String = name.chars().map(plain).collect();
            format!("{manner}; filename=\"{ascii}\"; filename*=UTF-8''{}", percent(&name))
        }
    };
    HandOut { content_type, disposition }
}

/// A sender's name for a file without what could lead elsewhere or deceive: no directories, no control characters, none
/// that turn the direction of reading, nothing hidden; none where nothing is left.
#[must_use]
pub fn file_name(said: &str) -> Option<String> {
    const MOST: usize = 120;
    let last = said.rsplit(['/', '\\']).next().unwrap_or_default();
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            && !matches!(*c, '"' | '<' | '>' | '|' | '*' | '?' | ':')
    };
    let name: String = last.chars().filter(harmless).collect();
    let name = name.trim_matches(|c: char| c.is_whitespace() || c == '.');
    if name.is_empty() {
        return None;
    }
    if name.chars().count() <= MOST {
        return Some(name.to_owned());
    }
    // The ending says what it is.
    let ending = name.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.len() <= 8);
    let ending = ending.map(|ending| format!(".{ending}")).unwrap_or_default();
    let begun: String = name.chars().take(MOST - ending.chars().count()).collect();
    Some(begun.trim_end().to_owned() + &ending)
}

/// RFC 8187.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_not_act_is_shown() {
        for (media_type, content_type, manner) in [
            ("image/jpeg", "image/jpeg", "inline"),
            ("audio/ogg", "audio/ogg", "inline"),
            ("application/pdf", "application/pdf", "attachment"),
            ("text/plain", "text/plain", "attachment"),
            ("text/html", BYTES, "attachment"),
            ("image/svg+xml", BYTES, "attachment"),
            ("text/xml", BYTES, "attachment"),
            ("text/javascript", BYTES, "attachment"),
            ("", BYTES, "attachment"),
            ("image/jpeg\r\nX: y", BYTES, "attachment"),
        ] {
            let disposition = manner.to_owned();
            assert_eq!(hand_out(media_type, None), HandOut { content_type, disposition }, "{media_type}");
        }
        let named = hand_out("application/pdf", Some("Café \"1\".pdf"));
        let expected = "attachment; filename=\"Caf_ 1.pdf\"; filename*=UTF-8''Caf%C3%A9%201.pdf";
        assert_eq!(named.disposition, expected);
    }

    #[test]
    fn names_lead_nowhere() {
        for (said, expected) in [
            ("a.pdf", Some("a.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Windows\\x.exe", Some("x.exe")),
            ("..", None),
            ("/", None),
            ("", None),
            (".bashrc", Some("bashrc")),
            ("a\r\nSet-Cookie: x.pdf", Some("aSet-Cookie x.pdf")),
            ("gnp\u{202e}exe.png", Some("gnpexe.png")),
            ("\u{feff} x ", Some("x")),
            ("a\0b.txt", Some("ab.txt")),
            ("факту́ра.pdf", Some("факту́ра.pdf")),
        ] {
            assert_eq!(file_name(said).as_deref(), expected, "{said:?}");
        }
        let long = format!("{}.pdf", "ä".repeat(500));
        let cut = file_name(&long).expect("a name");
        assert!(cut.ends_with("ä.pdf") && cut.chars().count() == 120, "{cut}");
    }
}
