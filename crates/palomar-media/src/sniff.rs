//! What bytes are, by their beginning: the types that WhatsApp carries, and those that somebody might pass off as one.

/// What a message calls its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// A sticker.
    Sticker,
    /// Any file.
    Document,
    /// Address cards in a file.
    Contacts,
}

const MIB: u64 = 1 << 20;

impl MediaKind {
    /// The kind that a message names by `word`; of a part that has none, by its declared type.
    #[must_use]
    pub fn of(word: &str, declared: Option<&str>) -> MediaKind {
        let declared = declared.unwrap_or_default();
        match word {
            "image" => MediaKind::Image,
            "video" => MediaKind::Video,
            "audio" => MediaKind::Audio,
            "sticker" => MediaKind::Sticker,
            "contacts" => MediaKind::Contacts,
            "document" => MediaKind::Document,
            _ if declared.starts_with("image/") => MediaKind::Image,
            _ if declared.starts_with("video/") => MediaKind::Video,
            _ if declared.starts_with("audio/") => MediaKind::Audio,
            _ => MediaKind::Document,
        }
    }

    /// The largest that is taken of it. The Cloud API carries pictures of 5 MB, sound and film of 16 MB, stickers of 500 KB
    /// and files of 100 MB; through a paired phone some come larger.
    #[must_use]
    pub const fn most_bytes(self) -> u64 {
        match self {
            MediaKind::Image | MediaKind::Audio => 16 * MIB,
            MediaKind::Video => 64 * MIB,
            MediaKind::Sticker | MediaKind::Contacts => MIB,
            MediaKind::Document => 100 * MIB,
        }
    }
}

/// The type of content that begins with `head`, where it is what `kind` promises; what it is instead, where it is not.
///
/// # Errors
/// The type that it has.
pub fn media_type(kind: MediaKind, head: &[u8]) -> Result<&'static str, &'static str> {
    let found = sniff(head);
    let fits = match kind {
        MediaKind::Image => found.starts_with("image/") && found != SVG,
        // Stickers that move may come as an archive of their drawing.
        MediaKind::Sticker => (found.starts_with("image/") && found != SVG) || found == ZIP,
        // Sound is in the containers of film, too.
        MediaKind::Audio => found.starts_with("audio/") || found.starts_with("video/"),
        MediaKind::Video => found.starts_with("video/"),
        MediaKind::Contacts => matches!(found, "text/vcard" | TEXT),
        MediaKind::Document => true,
    };
    match (fits, kind, found) {
        (false, ..) => Err(found),
        (true, MediaKind::Audio, "video/mp4") => Ok("audio/mp4"),
        (true, MediaKind::Audio, "video/webm") => Ok("audio/webm"),
        (true, ..) => Ok(found),
    }
}

const BYTES: &str = "application/octet-stream";
const SVG: &str = "image/svg+xml";
const ZIP: &str = "application/zip";
const TEXT: &str = "text/plain";

/// What stands at the very beginning, and the type that it tells.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"OggS", "audio/ogg"),
    (b"#!AMR", "audio/amr"),
    (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"%PDF-", "application/pdf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x7fELF", "application/x-elf"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
];

/// What stands behind `ftyp` in the containers that begin with it.
const BRANDS: &[(&[u8], &str)] = &[
    (b"3gp", "video/3gpp"),
    (b"3g2", "video/3gpp"),
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"qt  ", "video/quicktime"),
    (b"heic", "image/heic"),
    (b"heix", "image/heic"),
    (b"mif1", "image/heic"),
    (b"avif", "image/avif"),
];

/// Parts of an office file, which is an archive.
const OFFICE: &[(&[u8], &str)] = &[
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
];

fn sniff(head: &[u8]) -> &'static str {
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return "image/webp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => return "audio/wav",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => return "video/x-msvideo",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => {
            return begins(BRANDS, brand).unwrap_or("video/mp4");
        }
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return archive(head),
        // A frame of sound: eleven bits of synchronisation, then the layer.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => return "audio/aac",
        [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => return "audio/mpeg",
        _ => {}
    }
    begins(MAGIC, head).unwrap_or_else(|| text(head))
}

fn begins(table: &[(&[u8], &'static str)], head: &[u8]) -> Option<&'static str> {
    table.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, found)| *found)
}

fn archive(head: &[u8]) -> &'static str {
    let has = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    OFFICE.iter().find(|(part, _)| has(part)).map_or(ZIP, |(_, found)| found)
}

/// Text by what it is for; bytes where it is none.
fn text(head: &[u8]) -> &'static str {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let readable = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a letter.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    if readable.is_empty()
        || readable.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c'))
    {
        // What a browser would look for stands out in any encoding of one byte a letter.
        return active(&head.to_ascii_lowercase()).unwrap_or(BYTES);
    }
    let lower = readable.trim_start().to_ascii_lowercase();
    if let Some(found) = active(lower.as_bytes()) {
        return found;
    }
    if lower.starts_with("begin:vcard") { "text/vcard" } else { TEXT }
}

/// What acts in a browser. `head` is in lower case.
fn active(head: &[u8]) -> Option<&'static str> {
    const HTML: [&[u8]; 9] =
        [b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<img", b"<a ", b"<title"];
    let has = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
    if has(b"<svg") {
        Some(SVG)
    } else if HTML.iter().any(|word| has(word)) {
        Some("text/html")
    } else if head.starts_with(b"<?xml") || head.starts_with(b"<!doctype") {
        Some("text/xml")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_the_bytes() {
        let office =
            [b"PK\x03\x04".as_slice(), &[0; 26], b"[Content_Types].xml", b"PK\x03\x04", b"word/document.xml"];
        for (head, expected) in [
            (b"\xff\xd8\xff\xe0\0\x10JFIF".as_slice(), "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
            (b"GIF89a\x01\0", "image/gif"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0", "video/mp4"),
            (b"\0\0\0\x18ftyp3gp4\0\0\0\0", "video/3gpp"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0", "audio/mp4"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0OpusHead", "audio/ogg"),
            (b"#!AMR\n\x04", "audio/amr"),
            (b"ID3\x03\0", "audio/mpeg"),
            (b"\xff\xfb\x90\x44", "audio/mpeg"),
            (b"\xff\xf1\x50\x80", "audio/aac"),
            (b"\xff\xf9\x50\x80", "audio/aac"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"PK\x03\x04\x14\0", "application/zip"),
            (&office.concat(), OFFICE[0].1),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
            (b"BEGIN:VCARD\r\nVERSION:3.0", "text/vcard"),
            (b"Hola, \xc3\xb1", "text/plain"),
            (b"Hola, \xc3", "text/plain"),
            (b"\xef\xbb\xbfa;b\n1;2", "text/plain"),
            (b"<html><script>alert(1)</script>", "text/html"),
            (b"  \n<!DOCTYPE HTML>", "text/html"),
            (b"plain words and then <ScRiPt>", "text/html"),
            (b"\x01\x02<script>", "text/html"),
            (b"<?xml version=\"1.0\"?><svg onload=alert(1)>", "image/svg+xml"),
            (b"<svg/onload=alert(1)>", "image/svg+xml"),
            (b"<?xml version=\"1.0\"?><a/>", "text/xml"),
            (b"\0\x01\x02\x03", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ] {
            assert_eq!(sniff(head), expected, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn what_is_not_what_its_kind_promises_is_told() {
        const JPEG: &[u8] = b"\xff\xd8\xff\xe0";
        const MP4: &[u8] = b"\0\0\0\x18ftypisom";
        for (kind, head, expected) in [
            (MediaKind::Image, JPEG, Ok("image/jpeg")),
            (MediaKind::Image, b"<svg/>".as_slice(), Err("image/svg+xml")),
            (MediaKind::Image, b"<html>", Err("text/html")),
            (MediaKind::Image, b"{\"error\":{}}", Err("text/plain")),
            (MediaKind::Image, b"", Err("application/octet-stream")),
            (MediaKind::Sticker, b"RIFF\0\0\0\0WEBP", Ok("image/webp")),
            (MediaKind::Sticker, b"PK\x03\x04", Ok("application/zip")),
            (MediaKind::Sticker, b"<svg/>", Err("image/svg+xml")),
            (MediaKind::Audio, b"OggS", Ok("audio/ogg")),
            (MediaKind::Audio, MP4, Ok("audio/mp4")),
            (MediaKind::Audio, JPEG, Err("image/jpeg")),
            (MediaKind::Video, MP4, Ok("video/mp4")),
            (MediaKind::Video, b"OggS", Err("audio/ogg")),
            (MediaKind::Document, b"<html>", Ok("text/html")),
            (MediaKind::Document, b"\0\x01", Ok("application/octet-stream")),
            (MediaKind::Contacts, b"BEGIN:VCARD", Ok("text/vcard")),
            (MediaKind::Contacts, JPEG, Err("image/jpeg")),
        ] {
            assert_eq!(media_type(kind, head), expected, "{kind:?} {:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn a_part_without_a_kind_goes_by_its_declared_type() {
        for (word, declared, expected) in [
            ("image", Some("text/html"), MediaKind::Image),
            ("", Some("image/png"), MediaKind::Image),
            ("", Some("audio/ogg; codecs=opus"), MediaKind::Audio),
            ("", Some("text/html"), MediaKind::Document),
            ("", None, MediaKind::Document),
        ] {
            assert_eq!(MediaKind::of(word, declared), expected, "{word} {declared:?}");
        }
    }
}
