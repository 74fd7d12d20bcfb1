//! Spreadsheets as they are written, damaged ones, and bombs.

use std::io::Write as _;

use zip::write::SimpleFileOptions;

use super::*;

const TYPES: &str = r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#;
const RELS: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const BOOK: &str = r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Contactos" sheetId="1" r:id="rId1"/><sheet name="Otros" sheetId="2" r:id="rId2"/></sheets></workbook>"#;
const BOOK_RELS: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/><Relationship Id="rId3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/><Relationship Id="rId4" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#;
const STYLES: &str = r#"<?xml version="1.0"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#;
const STRINGS: &str = r#"<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="2" uniqueCount="2"><si><t>phone</t></si><si><t>Muñoz &amp; Co</t></si></sst>"#;

fn sheet(rows: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
    )
}

fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).expect("begun");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("ended").into_inner()
}

pub(crate) fn book(first: &str, second: &str) -> Vec<u8> {
    let (first, second) = (sheet(first), sheet(second));
    zipped(&[
        ("[Content_Types].xml", TYPES.as_bytes()),
        ("_rels/.rels", RELS.as_bytes()),
        ("xl/workbook.xml", BOOK.as_bytes()),
        ("xl/_rels/workbook.xml.rels", BOOK_RELS.as_bytes()),
        ("xl/styles.xml", STYLES.as_bytes()),
        ("xl/sharedStrings.xml", STRINGS.as_bytes()),
        ("xl/worksheets/sheet1.xml", first.as_bytes()),
        ("xl/worksheets/sheet2.xml", second.as_bytes()),
    ])
}

fn read(bytes: &[u8], name: Option<&str>) -> Result<Vec<SheetRow>, String> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    let mut found = Vec::new();
    read_xlsx(file, name, |rows| {
        found.extend(rows);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

const ROWS: &str = r#"<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>name</t></is></c></row>
<row r="3"><c r="A3"><v>34600111222</v></c><c r="B3" t="s"><v>1</v></c><c r="C3" s="1"><v>46204</v></c>
<c r="D3" t="b"><v>1</v></c><c r="E3" t="str"><f>1+1</f><v>=2</v></c><c r="F3" t="e"><v>#N/A</v></c></row>"#;

#[test]
fn cells_are_read_with_their_types() {
    let rows = read(&book(ROWS, r#"<row r="1"><c r="A1"><v>7</v></c></row>"#), None).expect("read");
    let text = |text: &str| Cell::Text(text.to_owned());
    let header = SheetRow { line: 1, cells: Ok(vec![text("phone"), text("name")]) };
    let row = vec![
        Cell::Number(34_600_111_222.0),
        text("Muñoz & Co"),
        text("2026-07-01"),
        Cell::Flag(true),
        text("=2"),
        text("#N/A"),
    ];
    assert_eq!(rows, [header, SheetRow { line: 3, cells: Ok(row) }]);
    let other = read(&book(ROWS, r#"<row r="1"><c r="A1"><v>7</v></c></row>"#), Some("Otros")).expect("read");
    assert_eq!(other, [SheetRow { line: 1, cells: Ok(vec![Cell::Number(7.0)]) }]);
    let none = read(&book(ROWS, ""), Some("Hoja 1")).expect_err("refused");
    assert_eq!(none, "there is no sheet \"Hoja 1\"; there are \"Contactos\", \"Otros\"");
}

#[test]
fn what_is_no_spreadsheet_or_a_bomb_is_refused() {
    let zeros = vec![0; 8 << 20];
    let many: Vec<_> = (0..=MOST_PARTS).map(|n| format!("p{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    for (bytes, expected) in [
        (b"phone,name\n".to_vec(), "is not an XLSX file"),
        (Vec::new(), "is not an XLSX file"),
        (zipped(&[("a", b"b")]), "can't be read as an XLSX file"),
        (zipped(&[("xl/worksheets/sheet1.xml", &zeros)]), "refused as a bomb"),
        (zipped(&many), "more than 4096 parts"),
    ] {
        let error = read(&bytes, None).expect_err(expected);
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
    let wide = read(&book(r#"<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>1</v></c></row>"#, ""), None);
    assert!(wide.expect("read")[0].cells.is_err());
}

/// Spreadsheets with bytes that were changed are read or refused, and nothing else.
#[test]
fn damaged_ones_are_read_or_refused() {
    let whole = book(ROWS, "");
    let mut dice = 0x5eed_0715_u64;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % sides as u64).expect("small")
    };
    let mut refused = 0;
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..=roll(4) {
            let at = roll(bytes.len());
            bytes[at] = u8::try_from(roll(256)).expect("a byte");
        }
        if roll(4) == 0 {
            bytes.truncate(roll(bytes.len()));
        }
        refused += usize::from(read(&bytes, None).is_err());
    }
    assert!(refused > 100, "{refused}");
}
