//! Contacts on the command line: files in and out, segments, texts that are tried; and a server that is killed meanwhile.

mod common;

use common::{Place, Server, err, exits, out};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn count(place: &Place, server: &Server, words: &[&str]) -> u64 {
    let counted = place.ask(server, &[&["contacts", "count"], words].concat());
    exits(&counted, 0);
    out(&counted).trim().parse().expect("a number")
}

#[test]
fn contacts_come_in_are_grouped_and_go_out() {
    let place = Place::new();
    let server = place.serve();
    place.file(
        "people.csv",
        "Teléfono;Nombre;Edad;Ciudad\n+34600111222;Ana;30;Lugo\n600;Nadie;1;\n+34600111333;=Luis;41;Vigo\n",
    );
    let words = [
        "contacts",
        "import",
        "people.csv",
        "--map",
        "Edad=age:number",
        "--tag",
        "fair",
        "--consent",
        "granted",
    ];
    let imported = place.ask(&server, &words);
    exits(&imported, 0);
    let told = out(&imported);
    assert!(told.contains("line 3, Teléfono: has no country code"), "{told}");
    assert!(told.contains("3 rows: 2 added, 1 refused"), "{told}");
    let again = place.ask(&server, &words);
    assert!(out(&again).contains("0 added, 2 unchanged"), "{}", out(&again));

    let filter = "ciudad in (Lugo, Vigo) and age > 35";
    exits(&place.ask(&server, &["segments", "create", "Elder", filter]), 0);
    assert_eq!(count(&place, &server, &["--segment", "Elder"]), 1);
    let wrong = place.ask(&server, &["contacts", "list", "--filter", "age >"]);
    assert!(err(&wrong).contains("character 6: expected a text"), "{}", err(&wrong));
    exits(&place.ask(&server, &["contacts", "tag", "--add", "gold", "--segment", "Elder"]), 0);
    exits(&place.ask(&server, &["contacts", "set", "+34600111222", "--attr", "age=", "--name", "Ana M."]), 0);
    let shown = json(&out(&place.ask(&server, &["contacts", "show", "+34600111222", "--json"])));
    assert_eq!(
        (&shown["name"], &shown["attributes"]),
        (&"Ana M.".into(), &serde_json::json!({"ciudad": "Lugo"}))
    );

    exits(&place.ask(&server, &["contacts", "export", "out.csv", "--filter", "tag = gold"]), 0);
    let exported = std::fs::read_to_string(place.path().join("out.csv")).expect("written");
    assert!(exported.contains("'+34600111333,'=Luis,fair|gold,granted,"), "{exported}");
    let id = shown["id"].as_str().expect("an id");
    let tried =
        place.ask(&server, &["template", "preview", "Hola {{name}} de {{ciudad|aquí}}", "--contact", id]);
    assert_eq!(out(&tried).trim(), "Hola Ana M. de Lugo", "{}", err(&tried));
    let lacking = place.ask(&server, &["template", "preview", "{{age}}", "--contact", id]);
    exits(&lacking, 1);
    assert!(err(&lacking).contains("no value for {{age}}"), "{}", err(&lacking));
    exits(&place.ask(&server, &["suppressions", "add", "+34600111222", "--detail", "asked by phone"]), 0);
    assert_eq!(count(&place, &server, &["--filter", "suppressed"]), 1);
    assert_eq!(server.stop(), Some(0));
    exits(&place.run(&["store", "check"]), 0);
}

#[test]
fn an_import_that_was_killed_is_sent_again() {
    const ROWS: u64 = 20_000;
    let place = Place::new();
    let server = place.serve();
    let rows: String = (0..ROWS).map(|n| format!("+34600{n:06},{n}\n")).collect();
    place.file("people.csv", &format!("phone,n:number\n{rows}"));
    let import = ["contacts", "import", "people.csv"];
    let mut under_way =
        place.command(&import).env("PALOMAR_SERVER", &server.url).stderr(std::process::Stdio::null()).spawn();
    let under_way = under_way.as_mut().expect("it starts");
    while count(&place, &server, &[]) == 0 {}
    server.kill();
    let _ = under_way.wait();
    let server = place.serve();
    exits(&place.ask(&server, &import), 0);
    assert_eq!(count(&place, &server, &[]), ROWS);
    let last = format!("n = {}", ROWS - 1);
    assert_eq!(count(&place, &server, &["--filter", &last]), 1);
    assert_eq!(server.stop(), Some(0));
    exits(&place.run(&["store", "check"]), 0);
}
