//! What CSV files in the wild look like, and what becomes of them.

use serde_json::{Value, json};

use super::*;
use crate::bulk::MAX_ROW;
use crate::testing::Rng;

fn read(pieces: &[&[u8]]) -> Result<Vec<RawRow>, Problem> {
    let mut table = Table::new(Defaults::default());
    let mut rows = Vec::new();
    for piece in pieces {
        table.push(piece, &mut rows)?;
    }
    table.finish(&mut rows)?;
    Ok(rows)
}

fn texts(csv: &[u8]) -> Vec<(u64, u64, String)> {
    let rows = read(&[csv]).expect("a good header");
    let text = |row: &RawRow| match &row.value {
        Ok(message) => message["content"]["text"].as_str().unwrap_or("?").to_owned(),
        Err(problem) => format!("{:?}", problem.code()),
    };
    rows.iter().map(|row| (row.row, row.line, text(row))).collect()
}

#[test]
fn dialects() {
    let expected = vec![(1, 2, "a, b; \"c\"".to_owned()), (2, 3, "d".to_owned())];
    for csv in [
        "to,text\n1,\"a, b; \"\"c\"\"\"\n2,d\n",
        "to;text\r\n1;\"a, b; \"\"c\"\"\"\r\n2;d",
        "\u{feff}to\ttext\r1\t\"a, b; \"\"c\"\"\"\r2\td\r",
        "\"to\";\"text\"\n\"1\";\"a, b; \"\"c\"\"\"\n\"2\";\"d\"\n",
    ] {
        let seen = texts(csv.as_bytes());
        // Lone carriage returns separate rows but are not counted as lines.
        let lines_aside = |rows: &[(u64, u64, String)]| {
            rows.iter().map(|(row, _, text)| (*row, text.clone())).collect::<Vec<_>>()
        };
        assert_eq!(lines_aside(&seen), lines_aside(&expected), "{csv:?}");
        assert!(csv.contains('\t') || seen == expected, "{csv:?}: {seen:?}");
    }
}

#[test]
fn lines_are_those_of_the_file() {
    let csv = b"\n\nto,text\r\n\r\n1,\"two\nlines\"\r\n\n2,x\r\n";
    assert_eq!(texts(csv), vec![(1, 5, "two\nlines".to_owned()), (2, 8, "x".to_owned())]);
}

#[test]
fn a_bad_row_leaves_its_neighbours_alone() {
    let csv = b"to,text\n1,a\n2,b,c\n3,\xff\n4,d,\n5\n";
    let seen: Vec<_> = texts(csv).into_iter().map(|(_, line, text)| (line, text)).collect();
    let expected = [(2, "a"), (3, "Invalid"), (4, "BadUtf8"), (5, "d"), (6, "?")];
    assert_eq!(seen, expected.map(|(line, text)| (line, text.to_owned())));
}

#[test]
fn an_open_quote_swallows_nothing_silently() {
    let seen = texts(b"to,text\n1,a\n2,\"b\n3,c\n4,d\n");
    assert_eq!(seen, vec![(1, 2, "a".to_owned()), (2, 3, "Invalid".to_owned())]);

    let mut long = b"to,text\n1,\"b".to_vec();
    long.extend(std::iter::repeat_n(b'x', 3 * MAX_ROW));
    long.extend_from_slice(b"\"\n2,c\n");
    assert_eq!(texts(&long), vec![(1, 2, "TooLarge".to_owned()), (2, 3, "c".to_owned())]);

    let mut wide = b"to,text\n".to_vec();
    wide.extend(std::iter::repeat_n(b',', 5000));
    wide.extend_from_slice(b"\n2,c\n");
    assert_eq!(texts(&wide), vec![(1, 2, "TooLarge".to_owned()), (2, 3, "c".to_owned())]);
}

#[test]
fn headers_are_read_before_any_row() {
    for (csv, code) in [
        (&b""[..], Code::MissingColumn),
        (b"text\nx\n", Code::MissingColumn),
        (b"to,txet\n1,x\n", Code::UnknownColumn),
        (b"to,\xff\n1,x\n", Code::BadUtf8),
    ] {
        assert_eq!(read(&[csv]).expect_err("refused").code(), code, "{}", String::from_utf8_lossy(csv));
    }
    let endless = vec![b'x'; 64 * 1024 + 1];
    assert_eq!(read(&[&endless]).expect_err("refused").code(), Code::TooLarge);
    assert_eq!(read(&[b"to,text"]).expect("a header alone"), vec![]);
}

#[test]
fn other_cells_have_other_fingerprints() {
    let hashes = |csv: &[u8]| read(&[csv]).expect("rows").iter().map(|row| row.hash).collect::<Vec<_>>();
    let one = hashes(b"to,text\n1,a\n");
    assert_eq!(one, hashes(b"to,text\r\n\"1\",a"));
    assert_ne!(one, hashes(b"to,text\n1,b\n"));
}

/// However the file is broken or cut: no panic, the same rows for the same bytes, numbered without a gap.
#[test]
fn mutated_files_are_read_alike_in_any_pieces() {
    let seed = Rng::seed_from_env();
    let mut rng = Rng::new(seed);
    let sample = "\u{feff}to;text;priority\r\n+34600111222;\"Hola; \"\"tú\"\"\";high\r\n\r\n+34600111223;b;\r\n1;2;3;4\r\n";
    for round in 0..50_000 {
        let file = rng.mutate(sample.as_bytes());
        let whole = read(&[&file]);
        assert_eq!(
            whole,
            read(&rng.pieces(&file)),
            "seed {seed}, round {round}: {}",
            String::from_utf8_lossy(&file)
        );
        let rows = whole.unwrap_or_default();
        assert!(rows.iter().zip(1..).all(|(row, n)| row.row == n), "seed {seed}, round {round}");
        let to =
            |row: &RawRow| row.value.as_ref().ok().and_then(|message: &Value| message.get("to").cloned());
        assert!(rows.iter().all(|row| to(row) != Some(json!(null))), "seed {seed}, round {round}");
    }
}
