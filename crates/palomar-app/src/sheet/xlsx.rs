//! XLSX: a ZIP file of XML, which may be small and unpack to anything. It is unpacked once to be counted, with bounds, before
//! anything of it is read.

use std::io::{BufReader, Read as _, Seek as _};
use std::ops::ControlFlow;

use calamine::{Data, DataRef, Reader as _, Xlsx};

use super::{Cell, MAX_COLUMNS, MAX_ROW, Portion, SheetRow};

/// Bytes of the file.
pub(crate) const LARGEST_XLSX: u64 = 128 << 20;
/// Bytes of all that it holds.
const MOST_UNPACKED: u64 = 2 << 30;
/// Bytes of what is held in memory: shared texts, styles, the list of sheets.
const MOST_HELD: u64 = 96 << 20;
/// Parts of it.
const MOST_PARTS: usize = 4_096;
/// So many times its packed size a part may unpack to. XML packs well; this is more than well.
const MOST_RATIO: u64 = 200;
/// A part that unpacks to less is never too much.
const SMALL: u64 = 1 << 20;

/// Reads the rows of a sheet, the first where none is named, and hands them on. `file` is read more than once.
///
/// # Errors
/// Where it is no XLSX file, or unpacks to more than is taken, or has no such sheet.
pub(crate) fn read_xlsx(
    mut file: std::fs::File,
    sheet: Option<&str>,
    mut rows: impl FnMut(Vec<SheetRow>) -> ControlFlow<()>,
) -> Result<(), String> {
    measure(&mut file)?;
    file.rewind().map_err(|error| error.to_string())?;
    let unreadable = |error: calamine::XlsxError| format!("it can't be read as an XLSX file: {error}");
    let mut book = Xlsx::new(BufReader::new(file)).map_err(unreadable)?;
    let names = book.sheet_names();
    let name = match sheet {
        Some(sheet) => names.iter().find(|name| *name == sheet).ok_or_else(|| {
            let known: Vec<_> = names.iter().take(10).map(|name| format!("{name:?}")).collect();
            format!("there is no sheet {sheet:?}; there are {}", known.join(", "))
        })?,
        None => names.first().ok_or("it has no sheet")?,
    };
    let mut cells = book.worksheet_cells_reader(name).map_err(unreadable)?;
    let (mut batch, mut portion) = (Vec::new(), Portion::default());
    let mut row = RowInTheMaking::default();
    while let Some(cell) = cells.next_cell().map_err(unreadable)? {
        let (line, column) = cell.get_position();
        if row.line != Some(line) {
            let ended = std::mem::take(&mut row).end();
            row.line = Some(line);
            let is_full = ended.as_ref().is_some_and(|ended| portion.fills(ended));
            batch.extend(ended);
            if is_full {
                portion = Portion::default();
                if rows(std::mem::take(&mut batch)).is_break() {
                    return Ok(());
                }
            }
        }
        row.put(column, cell.get_value());
    }
    batch.extend(row.end());
    let _ = rows(batch);
    Ok(())
}

/// Unpacks everything once, to see that it stays within bounds: what the file says of itself is not trusted.
fn measure(file: &mut std::fs::File) -> Result<(), String> {
    let no_zip = |_| "it is not an XLSX file (an XLSX file is a ZIP file)".to_owned();
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(no_zip)?;
    if zip.len() > MOST_PARTS {
        return Err(format!("it has more than {MOST_PARTS} parts: this is no sheet of contacts"));
    }
    let (mut all, mut held) = (0, 0);
    for part in 0..zip.len() {
        let broken = |error: &dyn std::fmt::Display| format!("it is damaged: {error}");
        let mut part = zip.by_index(part).map_err(|error| broken(&error))?;
        let is_sheet = part.name().is_ok_and(|name| name.starts_with("xl/worksheets/"));
        let packed = part.compressed_size();
        let most = (MOST_UNPACKED - all).min(packed.saturating_mul(MOST_RATIO).max(SMALL));
        let size = std::io::copy(&mut (&mut part).take(most + 1), &mut std::io::sink());
        let size = size.map_err(|error| broken(&error))?;
        if size > most {
            return Err("it unpacks to far more than it should: it is refused as a bomb".to_owned());
        }
        all += size;
        held += if is_sheet { 0 } else { size };
        if held > MOST_HELD {
            return Err("its texts are more than 96 MiB: save the sheet as CSV and send that".to_owned());
        }
    }
    Ok(())
}

#[derive(Default)]
struct RowInTheMaking {
    line: Option<u32>,
    cells: Vec<Cell>,
    bytes: usize,
    too_large: bool,
}

impl RowInTheMaking {
    fn put(&mut self, column: u32, value: &DataRef<'_>) {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        let Some(cell) = cell(value) else { return };
        self.bytes += if let Cell::Text(text) = &cell { text.len() } else { 8 };
        if column >= MAX_COLUMNS || self.bytes > MAX_ROW {
            self.too_large = true;
            return;
        }
        if self.cells.len() <= column {
            self.cells.resize(column + 1, Cell::Text(String::new()));
        }
        self.cells[column] = cell;
    }

    fn end(self) -> Option<SheetRow> {
        let line = u64::from(self.line?) + 1;
        if self.too_large {
            let why = "a row has at most 256 columns and 256 KiB".to_owned();
            return Some(SheetRow { line, cells: Err(why) });
        }
        (!self.cells.is_empty()).then_some(SheetRow { line, cells: Ok(self.cells) })
    }
}

/// What a cell says; none where it is empty. An error of a formula is a text that says so.
fn cell(value: &DataRef<'_>) -> Option<Cell> {
    Some(match value {
        DataRef::Empty => return None,
        DataRef::String(text) => Cell::Text(text.clone()),
        DataRef::SharedString(text) => Cell::Text((*text).to_owned()),
        #[expect(clippy::cast_precision_loss, reason = "as the file's own numbers are kept")]
        DataRef::Int(number) => Cell::Number(*number as f64),
        DataRef::Float(number) => Cell::Number(*number),
        DataRef::Bool(flag) => Cell::Flag(*flag),
        DataRef::DateTime(at) => Cell::Text(date(at)),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Cell::Text(text.clone()),
        DataRef::Error(_) => Cell::Text(Data::from(value.clone()).to_string()),
    })
}

/// A date as people sort by it: `2026-07-01`, with the time where it has one.
fn date(at: &calamine::ExcelDateTime) -> String {
    if at.is_duration() {
        return at.as_f64().to_string();
    }
    let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
    let day = format!("{year:04}-{month:02}-{day:02}");
    if (hour, minute, second) == (0, 0, 0) { day } else { format!("{day}T{hour:02}:{minute:02}:{second:02}") }
}

#[cfg(test)]
#[path = "xlsx_tests.rs"]
mod tests;
