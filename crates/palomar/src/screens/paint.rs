//! What pictures are made of: words in tones, tiles, lines in braille, bars.
//!
//! What always holds: every text goes through `clean`; nothing is drawn outside of its area, however small that is;
//! without colours, what a tone says is said by weight and by words.

use ratatui::buffer::Buffer;
use ratatui::layout::{HorizontalAlignment, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Span;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Sparkline, Widget};

use super::clean::{clean, cut, width};

/// What a word's look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Dim,
    Good,
    Warn,
    Bad,
    Accent,
}

/// Looks, by whether there are colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) colour: bool,
}

/// Series of a chart, told apart.
const SERIES: [Color; 5] = [Color::Cyan, Color::Green, Color::Magenta, Color::Red, Color::Yellow];
/// The same without colours: one can still be told from the next.
const MARKERS: [Marker; 5] = [Marker::Braille, Marker::Dot, Marker::Braille, Marker::Dot, Marker::Braille];

impl Palette {
    pub(super) fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        match tone {
            Tone::Plain => plain,
            Tone::Strong => plain.add_modifier(Modifier::BOLD),
            Tone::Dim => plain.add_modifier(Modifier::DIM),
            Tone::Bad if !self.colour => plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            Tone::Warn | Tone::Accent if !self.colour => plain.add_modifier(Modifier::BOLD),
            Tone::Good if !self.colour => plain,
            Tone::Good => plain.fg(Color::Green),
            Tone::Warn => plain.fg(Color::Yellow),
            Tone::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Accent => plain.fg(Color::Cyan),
        }
    }

    pub(super) fn series(self, place: usize) -> Style {
        if self.colour { Style::new().fg(SERIES[place % SERIES.len()]) } else { Style::new() }
    }

    fn marker(self, place: usize) -> Marker {
        if self.colour { Marker::Braille } else { MARKERS[place % MARKERS.len()] }
    }
}

/// Writes text, cut to the area's width; answers how many cells it took.
pub(super) fn put(buf: &mut Buffer, area: Rect, text: &str, style: Style) -> u16 {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return 0;
    }
    let shown = cut(&clean(text), usize::from(area.width));
    buf.set_stringn(area.x, area.y, &shown, usize::from(area.width), style);
    u16::try_from(width(&shown)).unwrap_or(area.width)
}

/// Writes text to the right end of the area's first line.
pub(super) fn put_right(buf: &mut Buffer, area: Rect, text: &str, style: Style) {
    let taken = u16::try_from(width(&cut(&clean(text), usize::from(area.width)))).unwrap_or(area.width);
    put(buf, Rect { x: area.x + area.width - taken, width: taken, ..area }, text, style);
}

pub(super) fn put_at(buf: &mut Buffer, area: Rect, right: bool, text: &str, style: Style) {
    if right {
        put_right(buf, area, text, style);
    } else {
        put(buf, area, text, style);
    }
}

/// Words in their tones, one behind the other.
pub(super) fn words(buf: &mut Buffer, area: Rect, words: &[(String, Style)]) {
    let mut left = area;
    for (word, style) in words {
        let taken = put(buf, left, word, *style);
        left.x += taken;
        left.width -= taken.min(left.width);
    }
}

/// A line that names what is below it; answers the area below.
pub(super) fn section(buf: &mut Buffer, area: Rect, name: &str, palette: Palette) -> Rect {
    if area.height == 0 {
        return area;
    }
    let dim = palette.style(Tone::Dim);
    for x in area.left()..area.right() {
        buf.set_stringn(x, area.y, "─", 1, dim);
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(4), height: 1, ..area };
    put(buf, inner, &format!(" {name} "), palette.style(Tone::Accent));
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// The line `n` of an area; empty where it has none.
pub(super) fn line(area: Rect, n: u16) -> Rect {
    if n < area.height { Rect { y: area.y + n, height: 1, ..area } } else { Rect { height: 0, ..area } }
}

/// An area cut in two, the first so many cells wide, a column between them.
pub(super) fn beside(area: Rect, first: u16) -> (Rect, Rect) {
    let first = first.min(area.width);
    let rest = area.width.saturating_sub(first + 1);
    (Rect { width: first, ..area }, Rect { x: area.x + (area.width - rest), width: rest, ..area })
}

/// An area cut in two, the first so many lines high.
pub(super) fn above(area: Rect, first: u16) -> (Rect, Rect) {
    let first = first.min(area.height);
    (Rect { height: first, ..area }, Rect { y: area.y + first, height: area.height - first, ..area })
}

/// A number with its name, and how it went.
pub(super) struct Tile<'a> {
    pub(super) name: &'a str,
    pub(super) value: String,
    pub(super) tone: Tone,
    pub(super) went: Vec<u64>,
}

/// Tiles beside each other: name, number, and where there is a third line a sparkline.
pub(super) fn tiles(buf: &mut Buffer, area: Rect, tiles: &[Tile<'_>], palette: Palette) {
    let Ok(count) = u16::try_from(tiles.len()) else { return };
    for (place, tile) in (0u16..).zip(tiles) {
        let (from, to) = (area.width * place / count, area.width * (place + 1) / count);
        let place = Rect { x: area.x + from, width: (to - from).saturating_sub(1), ..area };
        put(buf, line(place, 0), tile.name, palette.style(Tone::Dim));
        put(buf, line(place, 1), &tile.value, palette.style(tile.tone).add_modifier(Modifier::BOLD));
        if area.height > 2 {
            spark(
                buf,
                Rect { y: area.y + 2, height: area.height - 2, ..place },
                &tile.went,
                palette.series(0),
            );
        }
    }
}

/// A sparkline, the newest at the right end.
pub(super) fn spark(buf: &mut Buffer, area: Rect, values: &[u64], style: Style) {
    let free = area.width.saturating_sub(u16::try_from(values.len()).unwrap_or(area.width));
    let area = Rect { x: area.x + free, width: area.width - free, ..area };
    let skipped = values.len().saturating_sub(usize::from(area.width));
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    Sparkline::default().data(values[skipped..].iter().copied()).max(most).style(style).render(area, buf);
}

/// A series with its name.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines over time, in braille: a legend above, the scale at the left, the ends of time below.
pub(super) fn chart(
    buf: &mut Buffer,
    area: Rect,
    series: &[Series<'_>],
    bounds: [f64; 2],
    ends: [&str; 2],
    palette: Palette,
) {
    if area.height < 3 || area.width < 12 {
        return;
    }
    let mut legend = Vec::new();
    for (place, one) in series.iter().enumerate() {
        legend.push(("━ ".to_owned(), palette.series(place)));
        let last = one.points.last().map_or_else(String::new, |(_, value)| format!(" {}", short(*value)));
        legend.push((format!("{}{last}   ", one.name), Style::new()));
    }
    words(buf, line(area, 0), &legend);
    let (_, area) = above(area, 1);
    if series.iter().all(|one| one.points.len() < 2) {
        put(buf, line(area, area.height / 2), "  too little for a line yet", palette.style(Tone::Dim));
        return;
    }
    let most = series.iter().flat_map(|one| &one.points).map(|(_, value)| *value).fold(0.0, f64::max);
    let top = round_up(most);
    let datasets = series.iter().enumerate().map(|(place, one)| {
        Dataset::default()
            .marker(palette.marker(place))
            .graph_type(GraphType::Line)
            .style(palette.series(place))
            .data(&one.points)
    });
    let dim = palette.style(Tone::Dim);
    let scale = [0.0, top / 2.0, top].map(|value| Span::raw(format!("{:>5}", short(value))));
    Chart::new(datasets.collect())
        .x_axis(
            Axis::default()
                .bounds(bounds)
                .style(dim)
                .labels(ends.map(str::to_owned))
                // Below the line, and not left of it: there it would move the line.
                .labels_alignment(HorizontalAlignment::Right),
        )
        .y_axis(Axis::default().bounds([0.0, top]).style(dim).labels(scale))
        .legend_position(None)
        .render(area, buf);
}

/// The next round number: what a scale ends at.
fn round_up(value: f64) -> f64 {
    if value <= 1.0 {
        return 1.0;
    }
    let unit = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .iter()
        .map(|step| step * unit)
        .find(|top| *top >= value)
        .unwrap_or(value)
}

/// A number in few cells: 0.4, 12, 3.4k, 1.2M.
pub(super) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        big if big >= 999_500_000.0 => (value / 1e9, "G"),
        big if big >= 999_500.0 => (value / 1e6, "M"),
        big if big >= 9_999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let shown = (value * 10.0).round() / 10.0;
    if shown.fract() == 0.0 || shown.abs() >= 100.0 {
        format!("{value:.0}{unit}")
    } else {
        format!("{value:.1}{unit}")
    }
}

/// A whole number with its thousands apart.
pub(super) fn whole(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A bar of `part` of `of`, so many cells wide, to an eighth of a cell.
pub(super) fn bar(part: f64, of: f64, cells: u16) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if of > 0.0 { (part / of).clamp(0.0, 1.0) } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
    let eighths = (share * f64::from(cells) * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// Names with their counts as bars, the largest as long as there is room.
pub(super) fn bars(buf: &mut Buffer, area: Rect, items: &[(String, u64)], style: Style, palette: Palette) {
    let most = items.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let names = items.iter().map(|(name, _)| width(&clean(name))).max().unwrap_or(0);
    let names = u16::try_from(names).unwrap_or(u16::MAX).min(area.width / 2);
    let counts = u16::try_from(whole(most).len()).unwrap_or(0);
    let room = area.width.saturating_sub(names + counts + 2);
    for (n, (name, count)) in (0u16..).zip(items).take(usize::from(area.height)) {
        let row = line(area, n);
        put(buf, Rect { width: names, ..row }, name, Style::new());
        #[expect(clippy::cast_precision_loss, reason = "a bar's length")]
        let drawn = bar(*count as f64, most as f64, room);
        let (_, rest) = beside(row, names);
        put(buf, Rect { width: room, ..rest }, &drawn, style);
        put_right(buf, row, &whole(*count), palette.style(Tone::Strong));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: Palette = Palette { colour: false };

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [
            (0.0, "0"),
            (0.44, "0.4"),
            (9.97, "10"),
            (12.5, "12.5"),
            (1_234.0, "1234"),
            (10_400.0, "10.4k"),
            (999_400.0, "999k"),
            (999_600.0, "1M"),
            (2_500_000.0, "2.5M"),
            (7e9, "7G"),
        ] {
            assert_eq!(short(value), shown, "{value}");
        }
        for (count, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(whole(count), shown);
        }
        for (value, top) in [(0.0, 1.0), (1.2, 1.5), (49.0, 50.0), (51.0, 60.0), (100.0, 100.0)] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn bars_are_exact_to_an_eighth() {
        assert_eq!(bar(1.0, 2.0, 4), "██");
        assert_eq!(bar(3.0, 16.0, 2), "▍");
        assert_eq!(bar(9.0, 2.0, 3), "███");
        assert_eq!(bar(1.0, 0.0, 3), "");
    }

    #[test]
    fn nothing_is_drawn_outside_however_small_the_area() {
        for (width, height) in [(0, 0), (1, 1), (3, 2), (12, 3), (200, 1), (13, 60)] {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
            let area = buf.area;
            let points = vec![(-1.0, 2.0), (0.0, 9.0)];
            chart(&mut buf, area, &[Series { name: "a", points }], [-1.0, 0.0], ["then", "now"], PALETTE);
            bars(&mut buf, area, &[("a".into(), 3), ("b".into(), 0)], Style::new(), PALETTE);
            let tile = || Tile { name: "t", value: "7".into(), tone: Tone::Bad, went: vec![1, 5, 2] };
            tiles(&mut buf, area, &[tile(), tile(), tile()], PALETTE);
            section(&mut buf, area, "name", PALETTE);
        }
    }
}
