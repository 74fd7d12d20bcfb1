//! What flows, as lines: rates of the last minutes, as far back as the screen has seen.

use std::time::Duration;

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::history::History;
use super::paint::{Palette, Series, chart};
use super::queues::lasting;

/// A time axis is no shorter: it would run away under the lines.
const LEAST: Duration = Duration::from_secs(60);

/// Draws the rates a second of some counts over the last `span`; a screen that has just been opened has seen less.
pub(super) fn draw_rates(
    buf: &mut Buffer,
    area: Rect,
    counts: &[(&'static str, &History)],
    (now, span): (Timestamp, Duration),
    palette: Palette,
) {
    let seen = counts.iter().map(|(_, history)| history.reaches(now)).max().unwrap_or_default();
    let shown = span.min(seen.max(LEAST));
    let series: Vec<_> =
        counts.iter().map(|(name, history)| Series { name, points: history.rates(now, shown) }).collect();
    let from = format!("-{}", lasting(shown));
    chart(buf, area, &series, [-shown.as_secs_f64(), 0.0], [&from, "now"], palette);
}
