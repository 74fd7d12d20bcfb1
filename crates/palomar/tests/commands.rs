//! What needs no server: the configuration's commands, help, exit statuses.

mod common;

use common::{Place, err, exits, out};

#[test]
fn the_configuration_is_written_checked_and_shown() {
    let place = Place::new();
    exits(&place.run(&["config", "init"]), 0);
    let again = place.run(&["config", "init"]);
    exits(&again, 1);
    assert!(err(&again).contains("--force"), "{}", err(&again));
    exits(&place.run(&["config", "check"]), 0);
    exits(&place.run(&["config", "path"]), 0);
    // What it writes is what runs without it.
    let shown = place.run(&["config", "show", "--plain"]);
    assert!(out(&shown).contains("server.listen\t\"127.0.0.1:8080\"\tpalomar.toml:"), "{}", out(&shown));

    place.file("palomar.toml", "[server]\nlisen = \"127.0.0.1:1\"\n[log]\nlevel = \"loud\"\n");
    for words in [&["config", "check"][..], &["config", "show"], &["serve"]] {
        let refused = place.run(words);
        exits(&refused, 2);
        for line in [
            "palomar.toml:2: server.lisen: unknown key: did you mean server.listen?",
            "palomar.toml:4: log.level: ",
        ] {
            assert!(err(&refused).contains(line), "{words:?}: {}", err(&refused));
        }
    }
    assert!(!place.path().join("palomar-data").exists(), "a start that is refused leaves nothing behind");
}

#[test]
fn secrets_of_the_environment_are_masked() {
    let place = Place::new();
    let token = place.file("token", "hunter2\n");
    let shown = place
        .command(&["config", "show", "--changed"])
        .env("WHATSAPP_API_TOKEN_FILE", &token)
        .env("REDIS_PASSWORD", "hunter2")
        .env("PALOMAR__ENVIRONMENT", "staging")
        .output()
        .expect("it runs");
    exits(&shown, 0);
    let said = out(&shown) + &err(&shown);
    assert!(!said.contains("hunter2"), "{said}");
    for part in ["WHATSAPP_API_TOKEN ", "REDIS_PASSWORD ", "\"staging\"", "$PALOMAR__ENVIRONMENT"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn exit_statuses_say_what_happened() {
    let place = Place::new();
    for (words, status, said) in [
        (&["--help"][..], 0, "palomar serve"),
        (&["--version"], 0, "palomar 0."),
        (&["version", "--json"], 0, "\"version\""),
        (&["completions", "bash"], 0, "_palomar"),
        (&["man"], 0, ".TH"),
        (&["sned"], 2, "send"),
        (&["send", "--text", "x"], 2, "--to"),
        (&["queue", "metrics", "--timeout", "soon"], 2, "span of time"),
        (&["message", "list", "--server", "127.0.0.1:1"], 3, "palomar serve"),
        (&["message", "list", "--server", "http://["], 2, "address"),
        (&["message", "list", "--key-file", "none"], 2, "can't read the key"),
        (&["store", "info"], 1, "nothing is kept"),
        (&["serve", "--config", "none.toml"], 2, "none.toml"),
    ] {
        let ran = place.run(words);
        exits(&ran, status);
        let text = out(&ran) + &err(&ran);
        assert!(text.contains(said), "{words:?}: {text}");
    }
}

#[test]
fn manual_pages_are_written() {
    let place = Place::new();
    exits(&place.run(&["man", "pages"]), 0);
    let pages = std::fs::read_dir(place.path().join("pages")).expect("pages").count();
    assert!(pages > 20, "{pages} pages");
}
