//! Tables: rows under heads, with columns that are left out where there is no room for them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::paint::{Palette, Tone, line, put_at};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// In cells; 0 takes what is left.
    pub(super) cells: u16,
    /// Numbers stand at the right.
    pub(super) right: bool,
    /// It is left out where the table is narrower.
    pub(super) from: u16,
}

/// A column of words.
pub(super) const fn text_column(head: &'static str, cells: u16, from: u16) -> Column {
    Column { head, cells, right: false, from }
}

/// A column of numbers.
pub(super) const fn number_column(head: &'static str, cells: u16, from: u16) -> Column {
    Column { head, cells, right: true, from }
}

/// What stands in a table.
pub(super) struct Row {
    pub(super) cells: Vec<(String, Tone)>,
}

/// Rows under heads, the chosen one in sight and marked.
pub(super) fn table(
    buf: &mut Buffer,
    area: Rect,
    columns: &[Column],
    rows: &[Row],
    chosen: Option<usize>,
    palette: Palette,
) {
    let shown: Vec<(usize, Rect, bool)> = spread(area, columns);
    let dim = palette.style(Tone::Dim);
    for (place, at, right) in &shown {
        let head = columns[*place].head;
        put_at(buf, line(*at, 0), *right, head, dim);
    }
    let room = usize::from(area.height.saturating_sub(1));
    let first =
        chosen.map_or(0, |chosen| chosen.saturating_sub(room / 2).min(rows.len().saturating_sub(room)));
    for (n, (number, row)) in (1u16..).zip(rows.iter().enumerate().skip(first).take(room)) {
        for (place, at, right) in &shown {
            let Some((text, tone)) = row.cells.get(*place) else { continue };
            // What is chosen is marked as a whole: its tones would be backgrounds.
            let style = palette.style(if chosen == Some(number) { Tone::Plain } else { *tone });
            put_at(buf, line(*at, n), *right, text, style);
        }
        if chosen == Some(number) {
            buf.set_style(line(area, n), Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

/// Where the columns stand that there is room for.
fn spread(area: Rect, columns: &[Column]) -> Vec<(usize, Rect, bool)> {
    let there: Vec<(usize, &Column)> =
        columns.iter().enumerate().filter(|(_, column)| area.width >= column.from).collect();
    let fixed: u16 = there.iter().map(|(_, column)| column.cells + 1).sum();
    let rest = area.width.saturating_sub(fixed.saturating_sub(1));
    let mut x = area.x;
    let mut placed = Vec::new();
    for (place, column) in there {
        let cells = if column.cells == 0 { rest } else { column.cells };
        let cells = cells.min(area.right().saturating_sub(x));
        placed.push((place, Rect { x, width: cells, ..area }, column.right));
        x = (x + cells + 1).min(area.right());
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: Palette = Palette { colour: false };

    fn text_of(buf: &Buffer) -> Vec<String> {
        let row = |y| (buf.area.left()..buf.area.right()).map(|x| buf[(x, y)].symbol()).collect::<String>();
        (buf.area.top()..buf.area.bottom()).map(|y| row(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn a_table_keeps_what_is_chosen_in_sight() {
        let columns = [text_column("name", 0, 0), number_column("count", 5, 0), text_column("more", 6, 40)];
        let rows: Vec<Row> = (0..9)
            .map(|n| Row {
                cells: vec![
                    (format!("row {n} {}", "日".repeat(9)), Tone::Plain),
                    (n.to_string(), Tone::Plain),
                ],
            })
            .collect();
        let mut buf = Buffer::empty(Rect::new(0, 0, 16, 4));
        let area = buf.area;
        table(&mut buf, area, &columns, &rows, Some(7), PALETTE);
        // A wide sign takes two cells, of which the second is blank.
        let drawn: Vec<String> = text_of(&buf).iter().map(|row| row.replace("日 ", "日")).collect();
        assert_eq!(drawn, ["name       count", "row 6 日…      6", "row 7 日…      7", "row 8 日…      8"]);
        assert!(buf[(0, 2)].modifier.contains(Modifier::REVERSED));
        assert!(!buf[(0, 1)].modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn a_table_fits_any_area() {
        let columns = [text_column("x", 9, 0), text_column("y", 0, 0), number_column("z", 4, 20)];
        let rows = [Row { cells: vec![("a".into(), Tone::Plain)] }];
        for (width, height) in [(0, 0), (1, 1), (3, 9), (200, 2)] {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
            let area = buf.area;
            table(&mut buf, area, &columns, &rows, Some(0), PALETTE);
        }
    }
}
