//! Headers are understood or refused with what to do; rows say what their cells say.

use super::*;

fn cells(row: &[&str]) -> Vec<Cell> {
    row.iter().map(|cell| Cell::Text((*cell).to_owned())).collect()
}

fn said(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    pairs.iter().map(|(name, target)| ((*name).to_owned(), target.map(str::to_owned))).collect()
}

fn read(header: &[&str], pairs: &[(&str, Option<&str>)]) -> Result<Columns, String> {
    let read = Columns::read(&cells(header), &said(pairs));
    read.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn headers_are_understood() {
    let columns = read(
        &[
            "Teléfono móvil",
            "Nombre",
            "Ciudad",
            "Edad:number",
            "VIP : flag",
            "attr.tags",
            "Notas",
            "",
            "opt-in",
        ],
        &[("Notas", None), ("Ciudad", Some("city"))],
    );
    let columns: Vec<_> = columns.expect("a header").0.into_iter().map(|(_, target)| target).collect();
    let attribute = |name: &str, kind| Target::Attribute(name.parse().expect("a name"), kind);
    assert_eq!(
        columns,
        [
            Target::Phone,
            Target::Name,
            attribute("city", Kind::AsItIs),
            attribute("edad", Kind::Number),
            attribute("vip", Kind::Flag),
            attribute("tags", Kind::AsItIs),
            Target::Nothing,
            Target::Nothing,
            Target::Consent,
        ]
    );
    for name in ["city", "tags", "nombre", "consent_at", "to", "x1"] {
        for kind in [Kind::Text, Kind::Number, Kind::Flag] {
            let parsed: AttributeName = name.parse().expect("a name");
            let again = target_of(&header(&parsed, kind)).expect("a column");
            let kind = if kind == Kind::Text { Kind::AsItIs } else { kind };
            assert_eq!(again, Target::Attribute(parsed, kind), "{name}");
        }
    }
}

#[test]
fn headers_that_cannot_be_read_say_what_to_do() {
    let none: &[(&str, Option<&str>)] = &[];
    for (header, pairs, expected) in [
        (
            &["nombre", "ciudad"][..],
            none,
            "no column holds the phone numbers; the first row must name the columns, and it names nombre, ciudad",
        ),
        (&["+34600111222", "Ana"], none, "it names Ana: call one `phone`"),
        (&["phone", "Móvil"], none, "/columns/Móvil: the columns \"phone\" and \"Móvil\" say the same"),
        (&["phone", "100%"], none, "/columns/…: is no attribute: a name has letters, digits and `_`"),
        (&["phone", "age:years"], none, "\"years\" is no type: there are text, number and flag"),
        (&["phone"], &[("city", Some("town"))], "/columns/city: the file has no such column; it has phone"),
        (&[], none, "no column holds the phone numbers"),
    ] {
        let error = read(header, pairs).expect_err("refused");
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

#[test]
fn rows_say_what_their_cells_say_or_what_is_wrong() {
    let header = ["phone", "name", "tags", "consent", "city", "age:number", "vip:flag"];
    let columns = read(&header, &[]).expect("a header");
    let (to, says) = columns
        .row(&cells(&[" 600 111 222 ", "'=Ana", "vip, gold|", "sí", "00123", "12,5", "yes"]), Some("ES"))
        .expect("a row");
    assert_eq!((to.expose(), says.name.as_deref()), ("+34600111222", Some("=Ana")));
    assert_eq!(says.tags.len(), 2);
    assert_eq!(says.consent.map(|consent| consent.state), Some(ConsentState::Granted));
    let values: Vec<_> =
        says.attributes.iter().map(|(_, value)| value.as_ref().expect("one").to_string()).collect();
    assert_eq!(values, ["00123", "12.5", "true"]);
    let typed = [Cell::Number(34_600_111_222.0), Cell::Text(String::new()), Cell::Number(7.0)];
    let (to, says) = read(&["phone", "x", "city"], &[]).expect("a header").row(&typed, None).expect("a row");
    assert_eq!((to.expose(), says.attributes.len()), ("+34600111222", 1));
    for (row, column, expected) in [
        (&["600111222"][..], Some("phone"), "has no country code"),
        (&["", "Ana"], Some("phone"), "is empty: who is it?"),
        (&["+34600111222", "", "a\"b"], Some("tags"), "a tag has 1 to 100 characters"),
        (&["+34600111222", "", "", "perhaps"], Some("consent"), "is none of granted, denied"),
        (&["+34600111222", "", "", "", "", "many"], Some("age:number"), "is no number: write it as 1234.5"),
        (&["+34600111222", "", "", "", "", "", "perhaps"], Some("vip:flag"), "is neither yes nor no"),
        (&["+34600111222", "", "", "", "", "", "", "x"], None, "it has 8 cells, the header has 7"),
    ] {
        let bad = columns.row(&cells(row), None).expect_err("refused");
        assert_eq!(bad.column.as_deref(), column);
        assert!(bad.detail.contains(expected), "{}\nexpected {expected}", bad.detail);
    }
}
