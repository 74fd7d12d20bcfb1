//! Contacts and segments as a front end uses them, files of them in and out.

use axum::http::StatusCode;
use serde_json::{Value, json};

use palomar_sim::cloud_api::{CloudApiSim, Config};

use crate::house::House;

async fn list(house: &House, path: &str) -> Vec<Value> {
    let answer = house.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["items"].as_array().expect("items").clone()
}

/// What an upload came to: its last line, and the lines of refused rows.
async fn import(
    house: &House,
    path: &str,
    kind: &str,
    file: impl Into<axum::body::Body>,
) -> (Value, Vec<Value>) {
    let answer = house.upload(path, kind, file).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let lines = answer.lines();
    let refused = lines.iter().filter_map(|line| line.get("refused").cloned()).collect();
    (lines.last().expect("a line")["done"].clone(), refused)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn contacts_are_kept_changed_and_found() {
    let house = House::open().await;
    let ana = json!({
        "phone": "+34600111222", "name": "Ana", "attributes": {"City": "Madrid", "age": 30}, "tags": ["vip"],
        "consent": {"state": "granted", "source": "form"}
    });
    let kept = house.post("/api/contacts", &ana).await;
    assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text());
    let path = kept.header("location").to_owned();
    let kept = kept.json();
    assert_eq!(kept["attributes"], json!({"city": "Madrid", "age": 30}));
    assert_eq!(kept["consent"]["state"], "granted");
    let again = house.post("/api/contacts", &ana).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, kept.clone()));
    house.post("/api/contacts", &json!({"to": "+34600111333", "attributes": {"city": "Lugo"}})).await;

    let patch = json!({"name": null, "attributes": {"age": null, "city": "Vigo"}, "addTags": ["gold"], "removeTags": ["vip"]});
    let changed = house.send("PATCH", &path, &house.operator, Some(&patch)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    let changed = changed.json();
    assert_eq!(
        (&changed["name"], &changed["attributes"], &changed["tags"]),
        (&json!(null), &json!({"city": "Vigo"}), &json!(["gold"]))
    );
    assert_eq!(house.get(&path).await.json(), changed);

    let tagged =
        house.post("/api/contacts/tags", &json!({"filter": "city in (Vigo, Lugo)", "add": ["north"]})).await;
    assert_eq!((tagged.status, tagged.json()), (StatusCode::OK, json!({"count": 2})));
    let segment = json!({"name": "North", "filter": "tag = north and city != Lugo"});
    let segment = house.post("/api/segments", &segment).await;
    assert_eq!(segment.status, StatusCode::CREATED, "{}", segment.text());
    let found = list(&house, "/api/contacts?segment=North").await;
    assert_eq!(found.iter().map(|one| &one["id"]).collect::<Vec<_>>(), [&kept["id"]]);
    let both = encoded("phone starts \"+34\"");
    assert_eq!(list(&house, &format!("/api/contacts?filter={both}&q=600")).await.len(), 2);
    assert_eq!(house.get("/api/contacts/count").await.json(), json!({"count": 2}));
    assert_eq!(house.get("/api/contacts/count?segment=North").await.json(), json!({"count": 1}));

    let id = segment.json()["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/segments/{id}");
    let renamed = house.send("PATCH", &path, &house.operator, Some(&json!({"filter": "tag = gold"}))).await;
    assert_eq!(renamed.json()["filter"], "tag = \"gold\"");
    assert_eq!(house.get("/api/segments/North").await.json(), renamed.json());
    assert_eq!(list(&house, "/api/segments").await.len(), 1);
    let taken = house.post("/api/segments", &json!({"name": "North", "filter": "replied"})).await;
    assert_eq!((taken.status.as_u16(), &taken.json()["code"]), (409, &json!("exists")));
    assert_eq!(house.send("DELETE", &path, &house.operator, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.get("/api/contacts?segment=North").await.status, StatusCode::NOT_FOUND);
    house.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place() {
    let house = House::open().await;
    for (path, body, status, expected) in [
        ("/api/contacts", json!({"phone": "x"}), 422, "/phone"),
        ("/api/contacts", json!({"phone": "+34600111222", "attributes": {"a": []}}), 422, "/attributes/a"),
        (
            "/api/contacts",
            json!({"phone": "+34600111222", "attributes": {"name": "x"}}),
            422,
            "/attributes/name",
        ),
        ("/api/contacts", json!({"phone": "+34600111222", "tags": ["a,b"]}), 422, "/tags"),
        ("/api/contacts/tags", json!({"filter": "replied"}), 422, "name tags in `add` or `remove`"),
        ("/api/contacts/tags", json!({"add": ["x"]}), 422, "say who is meant"),
        (
            "/api/contacts/tags",
            json!({"filter": "city =", "add": ["x"]}),
            422,
            "character 7: expected a text",
        ),
        ("/api/segments", json!({"name": " ", "filter": "replied"}), 422, "/name"),
        (
            "/api/segments",
            json!({"name": "x", "filter": "city = x; drop"}),
            422,
            "character 9: `;` means nothing here",
        ),
    ] {
        let answer = house.post(path, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert!(answer.text().contains(expected), "{}\nexpected {expected}", answer.text());
    }
    let answer = house.get(&format!("/api/contacts?filter={}", encoded("city = "))).await;
    assert_eq!(answer.json()["code"], "bad_query");
    let viewer =
        house.send("POST", "/api/contacts", &house.viewer, Some(&json!({"phone": "+34600111222"}))).await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
    house.close().await;
}

const CSV: &str = "Teléfono;Nombre;Edad;Notas;etiquetas\r\n\
    +34 600 111 222;Ana;30;\"uno\r\ndos\";vip\r\n\
    600;Nadie;;;\r\n\
    +34600111333;Luis;muchos;;\r\n\
    +34600111222;Ana M.;31;=1+1;\"vip, gold\"\r\n\
    ;;;;\r\n\
    +34600111444;Eva;;;\r\n";

#[tokio::test]
async fn a_file_is_taken_in_row_by_row() {
    let house = House::open().await;
    let columns = encoded(r#"{"Edad": "age:number", "Notas": "notes"}"#);
    let path = format!("/api/contacts/import?columns={columns}&tags=web&consent=granted&source=fair");
    let latin = CSV.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect::<Vec<_>>();
    let (done, refused) = import(&house, &format!("{path}&dryRun=true"), "text/csv", latin.clone()).await;
    assert_eq!(
        (done["rows"].as_u64(), done["refused"].as_u64(), done["added"].as_u64()),
        (Some(6), Some(3), Some(0))
    );
    assert_eq!(house.get("/api/contacts/count").await.json()["count"], 0);
    let expected = [
        json!({"line": 4, "column": "Teléfono", "detail": "has no country code (begin it with '+' and the country code)"}),
        json!({"line": 5, "column": "Edad", "detail": "is no number: write it as 1234.5, or make the column a text"}),
        json!({"line": 7, "column": "Teléfono", "detail": "is empty: who is it?"}),
    ];
    assert_eq!(refused, expected);
    let (done, refused) = import(&house, &path, "text/csv", latin.clone()).await;
    assert_eq!(refused, expected);
    assert_eq!(
        done,
        json!({"rows": 6, "added": 2, "changed": 0, "unchanged": 0, "duplicates": 1, "refused": 3})
    );
    let found = list(&house, "/api/contacts?q=222").await;
    assert_eq!(found[0]["attributes"], json!({"age": 31, "notes": "=1+1"}));
    assert_eq!((&found[0]["name"], &found[0]["tags"]), (&json!("Ana M."), &json!(["gold", "vip", "web"])));
    assert_eq!(
        (&found[0]["consent"]["state"], &found[0]["consent"]["source"]),
        (&json!("granted"), &json!("fair"))
    );
    // The first row of Ana's says what the second took back; at the end it is as it was.
    let (done, _) = import(&house, &path, "text/csv", latin).await;
    assert_eq!((done["added"].as_u64(), done["unchanged"].as_u64()), (Some(0), Some(1)));
    assert_eq!(list(&house, "/api/contacts?q=222").await[0]["attributes"], found[0]["attributes"]);
    house.close().await;
}

#[tokio::test]
async fn what_is_exported_imports_as_the_same() {
    let house = House::open().await;
    for (n, (name, attributes, tags)) in [
        ("=HYPERLINK(\"x\")", json!({"city": "Má\"drid, España", "age": -1.5, "vip": false}), json!(["a b"])),
        ("'=x", json!({"age": "many", "tags": "two\nlines", "nombre": "+1"}), json!([])),
        ("Ana;María", json!({"city": "@home", "ratio": 30}), json!(["one", "two"])),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"phone": format!("+3460011122{n}"), "name": name, "attributes": attributes, "tags": tags,
            "consent": {"state": "denied", "source": "-", "at": "2026-07-01T09:30:00Z"}});
        let kept = house.post("/api/contacts", &body).await;
        assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text());
    }
    let exported = house.get("/api/contacts/export").await;
    assert_eq!(exported.header("content-type"), "text/csv; charset=utf-8");
    let text = exported.text();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let live = line.split(',').any(|cell| cell.trim_matches('"').starts_with(['=', '+', '@', '\t']));
        assert!(!live, "{line}");
    }
    let other = House::open().await;
    let (done, refused) = import(&other, "/api/contacts/import", "text/csv", exported.body.clone()).await;
    assert_eq!((done["added"].as_u64(), refused), (Some(3), Vec::new()));
    let plain = |mut contacts: Vec<Value>| {
        contacts.iter_mut().for_each(|one| {
            ["id", "createdAt", "updatedAt"]
                .iter()
                .for_each(|key| drop(one.as_object_mut().expect("one").remove(*key)));
        });
        contacts.sort_by_key(|one| one["identities"].to_string());
        contacts
    };
    assert_eq!(plain(list(&other, "/api/contacts").await), plain(list(&house, "/api/contacts").await));
    // Its rows are in the order in which they became known.
    let sorted =
        |text: &str| text.split("\r\n").map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&other.get("/api/contacts/export").await.text()), sorted(&text));

    let list_of = "recipient,channel,reason,detail\n'+34600111222,,blocked,=no\n+34600111333,demo,manual,\nx,,,\n+34600111444,,never,\n";
    let (done, refused) = import(&house, "/api/suppressions/import", "text/csv", list_of).await;
    assert_eq!((done["added"].as_u64(), refused.len()), (Some(2), 2));
    assert_eq!(
        refused[1],
        json!({"line": 5, "column": "reason", "detail": "is none of opt_out, blocked and manual"})
    );
    let exported = house.get("/api/suppressions/export").await;
    assert!(exported.text().contains("'+34600111222,,blocked,'=no,"), "{}", exported.text());
    let (done, _) = import(&other, "/api/suppressions/import", "text/csv", exported.body.clone()).await;
    assert_eq!(done["added"], 2);
    assert_eq!(sorted(&other.get("/api/suppressions/export").await.text()), sorted(&exported.text()));
    house.close().await;
    other.close().await;
}

#[tokio::test]
async fn files_that_cannot_be_read_are_refused_as_a_whole() {
    let house = House::open().await;
    for (path, kind, file, code, expected) in [
        ("/api/contacts/import", "application/json", "[]", "unsupported_media_type", "Send text/csv"),
        ("/api/contacts/import", "text/csv", "", "invalid", "the file is empty"),
        ("/api/contacts/import", "text/csv", "nombre,edad\n", "invalid", "no column holds the phone numbers"),
        ("/api/contacts/import", "text/csv", "phone,Móvil\n", "invalid", "say the same"),
        ("/api/contacts/import?columns=x", "text/csv", "phone\n", "bad_query", "must be a JSON object"),
        ("/api/contacts/import?consent=x", "text/csv", "phone\n", "bad_query", "granted, denied or unknown"),
        ("/api/contacts/import?encoding=ebcdic", "text/csv", "phone\n", "bad_query", "utf-8, latin-1"),
        (
            "/api/contacts/import",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "phone\n",
            "invalid",
            "it is not an XLSX file",
        ),
        (
            "/api/suppressions/import",
            "text/csv",
            "number\n",
            "invalid",
            "the first row must name the columns: recipient",
        ),
    ] {
        let answer = house.upload(path, kind, file).await;
        assert_eq!(answer.json()["code"], code, "{}", answer.text());
        assert!(answer.text().contains(expected), "{}\nexpected {expected}", answer.text());
    }
    house.close().await;
}

#[tokio::test]
async fn templates_are_pulled_and_texts_tried() {
    let house = House::open().await;
    let sim = CloudApiSim::start(Config::default(), std::sync::Arc::clone(&house.clock) as _);
    let sim = sim.await.expect("a simulator");
    let pull = json!({"channel": "meta"});
    let lacking = house.post("/api/templates/pull", &pull).await;
    assert_eq!((lacking.status.as_u16(), &lacking.json()["code"]), (409, &json!("provider_refused")));
    assert!(lacking.text().contains("lack businessAccountId"), "{}", lacking.text());
    let settings = json!({"settings": {"phoneNumberId": "100200300400500", "baseUrl": sim.url(), "businessAccountId": "777000111222333"}});
    let changed = house.send("PATCH", "/api/channels/meta", &house.admin, Some(&settings)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    let pulled = house.post("/api/templates/pull", &pull).await;
    assert_eq!(pulled.status, StatusCode::OK, "{}", pulled.text());
    let told = |answer: &Value| -> Vec<(String, String)> {
        let items = answer["items"].as_array().expect("items").iter();
        items
            .map(|one| {
                (
                    one["name"].as_str().expect("a name").to_owned(),
                    one["status"].as_str().expect("one").to_owned(),
                )
            })
            .collect()
    };
    let expected = [
        ("disabled_oferta", "DISABLED"),
        ("hello_world", "APPROVED"),
        ("hola", "APPROVED"),
        ("promo_verano", "APPROVED"),
        ("stopped_oferta", "PAUSED"),
    ];
    let expected: Vec<_> = expected.map(|(name, status)| (name.to_owned(), status.to_owned())).into();
    assert_eq!(told(&pulled.json()), expected);
    assert_eq!(told(&house.get("/api/templates?channel=meta").await.json()), expected);
    assert_eq!(told(&house.get("/api/templates?name=hola").await.json()).len(), 1);
    let meta = "meta".parse().expect("a name");
    for (name, expected) in [
        ("hola", palomar_app::TemplateStanding::Usable { quality: Some("GREEN".to_owned()) }),
        ("nueva", palomar_app::TemplateStanding::Unknown),
        (
            "stopped_oferta",
            palomar_app::TemplateStanding::Refused { status: "PAUSED".to_owned(), reason: None },
        ),
    ] {
        assert_eq!(house.app.template_standing(&meta, name, "es").await.expect("known"), expected, "{name}");
    }
    let none = house.post("/api/templates/pull", &json!({"channel": "demo"})).await;
    assert_eq!(none.json()["code"], "no_templates");

    let ana = json!({"phone": "+34600111222", "name": "Ana", "attributes": {"city": "Lugo"}});
    let id = house.post("/api/contacts", &ana).await.json()["id"].clone();
    let trial = json!({"text": "Hola {{name}} de {{city}}, {{code|-}}", "contact": id});
    let tried = house.post("/api/templates/preview", &trial).await;
    assert_eq!(tried.json()["content"]["content"]["text"], "Hola Ana de Lugo, -", "{}", tried.text());
    let trial = json!({"type": "template", "content": {"name": "hola", "language": "es", "components": [
        {"type": "body", "parameters": [{"type": "text", "text": "{{nick}}"}]}]}, "contact": id, "values": {"name": "Eva"}});
    let tried = house.post("/api/templates/preview", &trial).await.json();
    assert_eq!((&tried["missing"], &tried["content"]), (&json!("nick"), &json!(null)));
    let wrong = house.post("/api/templates/preview", &json!({"text": "{{1}}"})).await;
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/content/text", "{}", wrong.text());
    house.close().await;
}
