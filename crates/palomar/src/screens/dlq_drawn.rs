//! Dead letters as they are drawn: the list, one of them with all that happened to it, one being edited.

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::clean::{clean, cut, wrapped};
use super::dlq::{DeadLetters, Doing, FORGET};
use super::letter::Edit;
use super::paint::{Palette, Tone, above, bars, beside, line, put, section, whole, words};
use super::queues::{age, count, text, time};
use super::table::{Row, number_column, table, text_column};

/// What is asked in the line above the keys.
pub(super) fn asking(screen: &DeadLetters, width: u16) -> Option<String> {
    let room = |taken: usize| usize::from(width).saturating_sub(taken);
    Some(match &screen.doing {
        Doing::Looking => return None,
        Doing::Filtering(line) => format!("dead letters with: {}", line.shown(room(19))),
        Doing::RetryOne { uncertain: true, .. } => {
            "It may have been sent: sending it again may send it TWICE. Send it again? y".to_owned()
        }
        Doing::RetryOne { id, .. } => format!("Send {id} again? y"),
        Doing::RetryAll(filter) => match filter.words() {
            all if all.is_empty() => "Send EVERY dead letter again? y".to_owned(),
            words => format!("Send every dead letter again that fits {words:?}? y"),
        },
        Doing::Settle { .. } => "Was it sent? s: it was, f: it was not".to_owned(),
        Doing::Forget { id, filter, word } => {
            let what = match (id, filter.words()) {
                (Some(id), _) => id.clone(),
                (None, words) if words.is_empty() => "EVERY dead letter".to_owned(),
                (None, words) => format!("every one that fits {words:?}"),
            };
            let what = cut(&clean(&what), room(36));
            format!("Forget {what}? Type {FORGET:?}: {}", word.shown(12))
        }
        Doing::Editing(_) => "Edit; Enter sends it as a new message".to_owned(),
    })
}

/// Draws what is looked at.
pub(super) fn draw(screen: &DeadLetters, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
    match (&screen.doing, &screen.open) {
        (Doing::Editing(edit), _) => draw_edit(edit, buf, area, palette),
        (_, Some((letter, message))) => draw_letter(letter, message, buf, area, palette, now),
        (_, None) if area.height >= 30 && area.width >= 100 => {
            let (list, below) = above(area, area.height - 10);
            draw_list(screen, buf, list, palette, now);
            let (left, right) = beside(below, below.width / 2);
            draw_reasons(screen, buf, left, palette);
            draw_chosen(screen, buf, right, palette);
        }
        (_, None) => {
            let (list, below) = above(area, area.height - 5);
            draw_list(screen, buf, list, palette, now);
            draw_chosen(screen, buf, below, palette);
        }
    }
}

/// How many there are in all queues, by the queues' own count.
fn totals(screen: &DeadLetters) -> (u64, u64) {
    let queues = screen.stats["queues"].as_array().map_or(&[][..], Vec::as_slice);
    let outbound = queues.iter().filter(|queue| text(queue, "queue").starts_with("outbound/"));
    outbound.fold((0, 0), |(dead, unsure), queue| {
        (dead + count(queue, "dead"), unsure + count(queue, "uncertain"))
    })
}

fn draw_list(screen: &DeadLetters, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
    let (dead, unsure) = totals(screen);
    let filter = match screen.filter.words() {
        all if all.is_empty() => String::new(),
        words => format!(", shown: {words}"),
    };
    let more = match (screen.page(), screen.next.is_some()) {
        (1, false) => String::new(),
        (page, true) => format!(", page {page} (n: the next)"),
        (page, false) => format!(", page {page}, the last"),
    };
    let name = format!("{} dead, {} uncertain{filter}{more}", whole(dead), whole(unsure));
    let area = section(buf, area, &name, palette);
    if screen.letters.is_empty() {
        let none =
            if screen.filter.words().is_empty() { "Nothing waits for a person." } else { "None fits." };
        put(buf, line(area, 1), &format!("  {none}"), palette.style(Tone::Good));
        return;
    }
    let columns = [
        text_column("queued", 8, 0),
        text_column("ago", 7, 100),
        text_column("channel", 10, 0),
        text_column("to", 16, 0),
        text_column("state", 9, 0),
        number_column("tries", 5, 100),
        text_column("type", 11, 110),
        text_column("campaign", 14, 140),
        text_column("reason", 0, 0),
    ];
    let row = |letter: &Value| Row {
        cells: vec![
            (time(letter, "enqueuedAt"), Tone::Dim),
            (age(letter, "enqueuedAt", now), Tone::Dim),
            (text(letter, "channel").to_owned(), Tone::Plain),
            (text(&letter["message"], "contact").to_owned(), Tone::Plain),
            match text(letter, "state") {
                "uncertain" => ("uncertain".to_owned(), Tone::Warn),
                state => (state.to_owned(), Tone::Bad),
            },
            (count(letter, "attempts").to_string(), Tone::Plain),
            (text(&letter["message"], "type").to_owned(), Tone::Plain),
            (text(letter, "campaignId").to_owned(), Tone::Plain),
            (text(letter, "reason").to_owned(), Tone::Plain),
        ],
    };
    let rows: Vec<Row> = screen.letters.iter().map(row).collect();
    table(buf, area, &columns, &rows, Some(screen.chosen()), palette);
}

/// Reasons on this page, the most frequent first.
fn draw_reasons(screen: &DeadLetters, buf: &mut Buffer, area: Rect, palette: Palette) {
    let area = section(buf, area, "reasons on this page", palette);
    let mut reasons: Vec<(String, u64)> = Vec::new();
    for letter in &screen.letters {
        let reason = text(letter, "reason");
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason.to_owned(), 1)),
        }
    }
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    bars(buf, area, &reasons, palette.series(0), palette);
}

/// The chosen letter in full width: its whole reason and what it says.
fn draw_chosen(screen: &DeadLetters, buf: &mut Buffer, area: Rect, palette: Palette) {
    let Some(letter) = screen.letters.get(screen.chosen()) else { return };
    let area = section(buf, area, text(letter, "id"), palette);
    let reason = wrapped(text(letter, "reason"), area.width);
    let tone = palette.style(if text(letter, "state") == "uncertain" { Tone::Warn } else { Tone::Bad });
    let lines = reason.len().min(usize::from(area.height.saturating_sub(1)).max(1));
    for (n, part) in (0u16..).zip(&reason[..lines]) {
        put(buf, line(area, n), part, tone);
    }
    let (_, rest) = above(area, u16::try_from(lines).unwrap_or(area.height));
    for (n, part) in (0u16..).zip(wrapped(&said(&letter["message"]), area.width)) {
        put(buf, line(rest, n), &part, palette.style(Tone::Plain));
    }
}

/// What a message says, in short.
fn said(message: &Value) -> String {
    let content = &message["content"];
    match content["text"].as_str().or_else(|| content["caption"].as_str()) {
        Some(text) => text.to_owned(),
        None if content.is_null() => "(the records do not have its message)".to_owned(),
        None => content.to_string(),
    }
}

fn draw_letter(
    letter: &Value,
    message: &Value,
    buf: &mut Buffer,
    area: Rect,
    palette: Palette,
    now: Timestamp,
) {
    let area = section(buf, area, &format!("{} {}", text(letter, "state"), text(letter, "id")), palette);
    let (dim, plain) = (palette.style(Tone::Dim), palette.style(Tone::Plain));
    let known = &letter["message"];
    let pairs = [
        ("channel", format!("{} ({})", text(letter, "channel"), text(letter, "queue"))),
        ("to", text(known, "contact").to_owned()),
        (
            "queued",
            format!("{} ({} ago)", day_and_time(letter, "enqueuedAt", 19), age(letter, "enqueuedAt", now)),
        ),
        ("attempts", format!("{}, priority {}", count(letter, "attempts"), text(letter, "priority"))),
        ("campaign", text(letter, "campaignId").to_owned()),
        ("code", text(known, "code").to_owned()),
    ];
    let mut n = 0;
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        words(buf, line(area, n), &[(format!("{name:<10}"), dim), (value.clone(), plain)]);
        n += 1;
    }
    let bad = palette.style(Tone::Bad);
    for (place, part) in
        wrapped(text(letter, "reason"), area.width.saturating_sub(10)).iter().take(4).enumerate()
    {
        let name = if place == 0 { "reason" } else { "" };
        words(buf, line(area, n), &[(format!("{name:<10}"), dim), (part.clone(), bad)]);
        n += 1;
    }
    for (place, part) in wrapped(&said(known), area.width.saturating_sub(10)).iter().take(5).enumerate() {
        let name = if place == 0 { text(known, "type") } else { "" };
        words(buf, line(area, n), &[(format!("{name:<10}"), dim), (part.clone(), plain)]);
        n += 1;
    }
    let (_, rest) = above(area, n);
    draw_timeline(message, buf, rest, palette);
}

fn draw_timeline(message: &Value, buf: &mut Buffer, area: Rect, palette: Palette) {
    let area = section(buf, area, "what happened", palette);
    let entries = message["timeline"].as_array().map_or(&[][..], Vec::as_slice);
    if message.is_null() {
        put(buf, area, "asking …", palette.style(Tone::Dim));
    }
    let columns = [text_column("at", 23, 0), text_column("what", 14, 0), text_column("detail", 0, 0)];
    // The newest are what is wanted where not all fit.
    let skipped = entries.len().saturating_sub(usize::from(area.height.saturating_sub(1)));
    let rows: Vec<Row> = entries[skipped..]
        .iter()
        .map(|entry| Row {
            cells: vec![
                (day_and_time(entry, "at", 23), Tone::Dim),
                (text(entry, "kind").to_owned(), Tone::Strong),
                (told(&entry["detail"]), Tone::Plain),
            ],
        })
        .collect();
    if !rows.is_empty() {
        table(buf, area, &columns, &rows, None, palette);
    }
}

/// The time at `key`, to so many characters.
fn day_and_time(value: &Value, key: &str, characters: usize) -> String {
    text(value, key).chars().take(characters).collect::<String>().replacen('T', " ", 1)
}

/// What is said of something that happened, without what is not said.
fn told(detail: &Value) -> String {
    let said = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(words) => Some(format!("{name} {words}")),
        other => Some(format!("{name} {other}")),
    };
    detail.as_object().into_iter().flatten().filter_map(said).collect::<Vec<_>>().join(", ")
}

fn draw_edit(edit: &Edit, buf: &mut Buffer, area: Rect, palette: Palette) {
    let area = section(buf, area, &format!("edit {} of {}", edit.id, edit.channel), palette);
    let (dim, plain, strong) =
        (palette.style(Tone::Dim), palette.style(Tone::Plain), palette.style(Tone::Strong));
    let room = usize::from(area.width).saturating_sub(10);
    let field = |here, shown| if here { (shown, strong) } else { (shown, plain) };
    let without = |text: String| text.replacen('▏', "", 1);
    let to = edit.to.shown(room);
    let to = if edit.in_said { without(to) } else { to };
    words(buf, line(area, 1), &[("to        ".to_owned(), dim), field(!edit.in_said, to)]);
    let name = if edit.is_text() { "text      " } else { "content   " };
    let lines = usize::from(area.height.saturating_sub(4)).max(1);
    let said = edit.said.shown(room * lines);
    let said = if edit.in_said { said } else { without(said) };
    for (place, part) in wrapped(&said, area.width.saturating_sub(10)).into_iter().take(lines).enumerate() {
        let n = u16::try_from(3 + place).unwrap_or(u16::MAX);
        let name = if place == 0 { name } else { "          " };
        words(buf, line(area, n), &[(name.to_owned(), dim), field(edit.in_said, part)]);
    }
}
