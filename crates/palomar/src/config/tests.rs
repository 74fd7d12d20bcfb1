//! The configuration as a whole: the default file, the layers, the problems, and input that means no good.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::tree;
use super::*;

fn sources<'a>(file: &str, variables: &[(&str, &str)]) -> Sources<'a> {
    Sources {
        file: (!file.is_empty()).then(|| (PathBuf::from("palomar.toml"), file.to_owned())),
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        flags: Vec::new(),
        read_file: &|_| Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

fn problems(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match load(&sources(file, variables)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_default_file_and_the_settings_agree() {
    let loaded = load(&sources("", &[])).expect("the defaults hold together");
    let written = toml::to_string(&loaded.settings).expect("settings are TOML");
    let keys = |text: &str| -> BTreeSet<String> {
        tree::read(text).expect("TOML").iter().map(|entry| entry.path.to_string()).collect()
    };
    // A field that the file lacks fails to load and a key that no field has is refused; these two say the rest.
    assert_eq!(keys(&written), keys(DEFAULT_FILE));
    assert_eq!(load(&sources(&written, &[])).expect("what was written is read").settings, loaded.settings);
}

#[test]
fn every_default_is_documented() {
    let lines: Vec<&str> = DEFAULT_FILE.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        assert!(line.chars().count() <= 120, "line {} is too long", at + 1);
        let is_setting = !line.starts_with('#') && line.contains(" = ");
        let documented = at > 0 && lines[at - 1].starts_with('#');
        assert!(!is_setting || documented, "line {}: {line}", at + 1);
    }
}

#[test]
fn a_process_that_shares_nothing_does_everything() {
    assert!(problems("[server]\nrole = \"all\"\n", &[]).is_empty());
    for role in ["api", "worker", "intake"] {
        let found = problems(&format!("[server]\nrole = \"{role}\"\n"), &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("server.role") && found[0].contains("expected \"all\""), "{found:?}");
        // Records alone are not enough.
        let url = ("PALOMAR__RECORDS__URL", "postgres://u@127.0.0.1/x");
        assert_eq!(problems("", &[("PALOMAR__SERVER__ROLE", role), url]).len(), 1);
        let queues = ("PALOMAR__BROKER__REDIS", "redis://127.0.0.1:6379");
        let found = problems("", &[("PALOMAR__SERVER__ROLE", role), url, queues]);
        assert!(found.is_empty(), "{found:?}");
    }
    assert_eq!(problems("[server]\nrole = \"boss\"\n", &[]).len(), 1);
}

#[test]
fn the_later_layer_counts() {
    let file = "environment = \"staging\"\n[server]\nlisten = \"127.0.0.1:9000\"\n[log]\nlevel = \"debug\"\n";
    let mut sources = sources(
        file,
        &[
            ("PALOMAR__SERVER__LISTEN", "127.0.0.1:9001"),
            ("PALOMAR__SENDING__CONCURRENCY", "7"),
            ("PALOMAR__DEMO__ENABLED", "false"),
            ("PALOMAR__SERVER__RATE_LIMIT", "40/s"),
            ("PALOMAR_SERVER", "http://elsewhere"),
        ],
    );
    sources.flags.push(("--data", "data_dir", "/srv/palomar".to_owned()));
    let loaded = load(&sources).expect("it holds together");
    let settings = &loaded.settings;
    assert_eq!(settings.environment, "staging");
    assert_eq!(settings.server.listen.port(), 9001);
    assert_eq!(settings.sending.concurrency, 7);
    assert!(!settings.demo.enabled);
    assert_eq!(settings.server.rate_limit.max, 40);
    assert_eq!(settings.data_dir, PathBuf::from("/srv/palomar"));

    let shown = lines(&loaded);
    for (key, value, origin) in [
        ("environment", "\"staging\"", "palomar.toml:1"),
        ("server.listen", "\"127.0.0.1:9001\"", "$PALOMAR__SERVER__LISTEN"),
        ("data_dir", "\"/srv/palomar\"", "--data"),
        ("log.level", "\"debug\"", "palomar.toml:5"),
        ("log.format", "\"auto\"", "default"),
    ] {
        let line = shown.iter().find(|line| line.key == key).expect(key);
        assert_eq!((line.value.as_str(), line.origin.as_str()), (value, origin), "{key}");
    }
}

#[test]
fn every_problem_names_its_place_and_what_to_write() {
    for (file, expected) in [
        (
            "[server]\nlisen = \"x\"\n",
            "palomar.toml:2: server.lisen: unknown key: did you mean server.listen?",
        ),
        ("listen = \"127.0.0.1:1\"\n", "palomar.toml:1: listen: unknown key: did you mean server.listen?"),
        ("[colour]\nred = 1\n", "palomar.toml:2: colour.red: unknown key: `palomar config init` writes"),
        ("server = 5\n", "palomar.toml:1: server: is a section, not a setting"),
        ("[log.level]\n", "palomar.toml:1: log.level: is a setting, not a section"),
        (
            "\n[server]\nshutdown_grace = \"soon\"\n",
            "palomar.toml:3: server.shutdown_grace: \"soon\" is not understood: expected a span",
        ),
        (
            "[sending]\nconcurrency = \"many\"\n",
            "palomar.toml:2: sending.concurrency: invalid type: string \"many\"",
        ),
        ("[sending]\nconcurrency = -1\n", "palomar.toml:2: sending.concurrency: invalid value: integer `-1`"),
        ("[sending]\nconcurrency = 0\n", "palomar.toml:2: sending.concurrency: 0 is not within 1 and 10000"),
        (
            "[sending]\ndefault_region = \"Spain\"\n",
            "palomar.toml:2: sending.default_region: \"Spain\" is no country",
        ),
        ("[server]\nlisten = \"8080\"\n", "palomar.toml:2: server.listen: invalid socket address"),
        (
            "[server]\nrate_limit = \"fast\"\n",
            "palomar.toml:2: server.rate_limit: \"fast\" is not understood: expected a rate",
        ),
        (
            "[broker]\npayload_memory = \"1 KiB\"\n",
            "palomar.toml:2: broker.payload_memory: 1 KiB is too little",
        ),
        (
            "[records]\njournal_for = \"1d\"\n",
            "palomar.toml:2: records.journal_for: 1d is too short: expected 8d",
        ),
        (
            "[analytics]\nkept_for = \"7d\"\n",
            "palomar.toml:2: analytics.kept_for: 7d is too short: expected 9d",
        ),
        (
            "[records]\nurl = \"mysql://x\"\n",
            "palomar.toml:2: records.url: not an address of PostgreSQL: expected",
        ),
        (
            "[records]\nurl = \"postgres://u:hunter2@db/x?colour=red\"\n",
            "palomar.toml:2: records.url: the address has the parameter \"colour\", which is not known",
        ),
        (
            "[records]\nurl_file = \"/nowhere\"\n",
            "palomar.toml:2: records.url_file: can't read /nowhere: entity not found",
        ),
        (
            "[reports]\nof = \"week, year\"\n",
            "palomar.toml:2: reports.of: \"week, year\" must be day, week or month; a comma between two",
        ),
        ("[reports]\nof = \"week\"\n", "palomar.toml:2: reports.of: has reports that go nowhere"),
        ("[reports]\nat = \"8\"\n", "palomar.toml:2: reports.at: \"8\" is not a time of the day"),
        ("[reports]\nzone = \"Spain\"\n", "palomar.toml:2: reports.zone: \"Spain\" is not a time zone"),
        (
            "[reports]\nhook_url = \"https://example.org\"\nhook_secret = \"x\"\n",
            "palomar.toml:3: reports.hook_secret: is no secret",
        ),
        ("[records]\nconnections = 2\n", "palomar.toml:2: records.connections: 2 is not within 3 and 1000"),
        ("[log]\nlevel = \"loud,,=\"\n", "palomar.toml:2: log.level: "),
        (
            "[server]\npublic_url = \"ftp://x\"\n",
            "palomar.toml:2: server.public_url: \"ftp://x\" is no address",
        ),
        ("a = = 1\n", "palomar.toml:1: not TOML: "),
    ] {
        let found = problems(file, &[]);
        assert!(
            found.iter().any(|problem| problem.starts_with(expected)),
            "{file:?}: {found:?}\nexpected {expected}"
        );
    }
    for (name, value, expected) in [
        ("PALOMAR__SERVER__PORT", "1", "$PALOMAR__SERVER__PORT: server.port: unknown key"),
        (
            "PALOMAR__LOG__LEVLE",
            "x",
            "$PALOMAR__LOG__LEVLE: log.levle: unknown key: did you mean $PALOMAR__LOG__LEVEL?",
        ),
        (
            "PALOMAR__INTAKE__CONCURRENCY",
            "x",
            "$PALOMAR__INTAKE__CONCURRENCY: intake.concurrency: \"x\" is not a whole number",
        ),
        (
            "PALOMAR_LOG__LEVEL",
            "x",
            "$PALOMAR_LOG__LEVEL: not a setting's variable: did you mean $PALOMAR__LOG__LEVEL?",
        ),
        ("PALOMAR__", "x", "$PALOMAR__: unknown key"),
    ] {
        let found = problems("", &[(name, value)]);
        assert!(
            found.iter().any(|problem| problem.starts_with(expected)),
            "{name}: {found:?}\nexpected {expected}"
        );
    }
}

#[test]
fn all_problems_are_found_at_once() {
    let file = "environmnt = \"x\"\n[server]\nshutdown_grace = \"soon\"\ngrace = 3\n[sending]\nconcurrency = 0\n[log]\nformat = \"xml\"\n";
    let found = problems(file, &[("PALOMAR__RECORDS__JOURNAL_FOR", "x")]);
    let places: Vec<&str> = found.iter().filter_map(|problem| problem.split(": ").nth(1)).collect();
    let expected = [
        "environmnt",
        "server.shutdown_grace",
        "server.grace",
        "sending.concurrency",
        "log.format",
        "records.journal_for",
    ];
    assert_eq!(places, expected);
}

#[test]
fn secrets_are_masked() {
    let loaded = load(&sources(
        "[records]\nurl = \"postgres://u:hunter2@db/x\"\n",
        &[("WHATSAPP_API_TOKEN", "hunter2"), ("REDIS_PASSWORD", "hunter2")],
    ))
    .expect("fine");
    let shown = format!("{:?} {:?} {loaded:?}", lines(&loaded), loaded.seeds.notices());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(lines(&loaded).iter().any(|line| line.key == "WHATSAPP_API_TOKEN" && line.value == "\"•••\""));
}

#[test]
fn the_address_of_the_records_comes_from_the_nearest_place() {
    let address = |place: &str| format!("postgres://u:hunter2@{place}/x");
    let read = |path: &std::path::Path| Ok(format!("{}\n", address(&path.display().to_string())));
    let file = format!("[records]\nurl = \"{}\"\n", address("file"));
    let (seed, variable) =
        (("DATABASE_URL", address("seed")), ("PALOMAR__RECORDS__URL", address("variable")));
    let twin = ("PALOMAR__RECORDS__URL_FILE", "twin".to_owned());
    for (file, variables, host, origin) in [
        ("", vec![&seed], "seed", "$DATABASE_URL"),
        (file.as_str(), vec![&seed], "file", "palomar.toml:2"),
        (file.as_str(), vec![&seed, &variable], "variable", "$PALOMAR__RECORDS__URL"),
        (file.as_str(), vec![&seed, &twin], "twin", "twin (named by $PALOMAR__RECORDS__URL_FILE)"),
        ("[records]\nurl_file = \"secret\"\n", vec![&seed], "secret", "secret (named by palomar.toml:2)"),
    ] {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let loaded =
            load(&Sources { read_file: &read, ..sources(file, &variables) }).expect("it holds together");
        assert_eq!(loaded.settings.records.url.expose(), address(host));
        let shown = lines(&loaded);
        let line = shown.iter().find(|line| line.key == RECORDS_URL).expect("shown");
        assert_eq!(line.value, format!("\"postgres://•••@{host}:5432/x\""));
        assert_eq!(line.origin, origin);
    }
}

/// A small generator with a seed, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or(0)
    }
}

/// Bytes, words and lines that are likely to hurt.
const SPICE: [&str; 22] = [
    "=",
    "[",
    "]",
    "\"",
    "\n",
    "[[",
    "]]",
    ".",
    "{",
    "}",
    "'''",
    "\\u0000",
    "é",
    "\u{202e}",
    "-1",
    "99999999999999999999",
    "nan",
    "1979-05-27",
    "[[server]]\nx = [1, [2]]",
    "__",
    "#",
    "\r",
];

#[test]
fn no_file_and_no_variable_makes_it_panic() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let lines: Vec<&str> = DEFAULT_FILE.lines().filter(|line| !line.starts_with('#')).collect();
    let mut loaded = 0;
    for round in 0..50_000 {
        // A few lines of the default file, in their order, with a few mutations.
        let from = dice.roll(lines.len());
        let mut text: Vec<char> =
            lines[from..].iter().take(1 + dice.roll(9)).flat_map(|line| line.chars().chain(['\n'])).collect();
        for _ in 0..dice.roll(4) {
            let at = dice.roll(text.len() + 1);
            match dice.roll(3) {
                0 => drop(text.splice(at..at, SPICE[dice.roll(SPICE.len())].chars())),
                1 => text.truncate(at),
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        let text: String = text.into_iter().collect();
        let (name, value) = text.split_once(" = ").unwrap_or(("SERVER__LISTEN", &text));
        let name = format!("PALOMAR__{}", name.replace('.', "__").to_uppercase());
        // Both ways in; the variable on every eighth round, since loading is what takes the time.
        let variables = if round % 8 == 0 { vec![(name.as_str(), value)] } else { Vec::new() };
        match load(&sources(&text, &variables)) {
            Ok(_) => loaded += 1,
            Err(problems) => assert!(problems.iter().all(|problem| !problem.what.is_empty()), "{text:?}"),
        }
    }
    // The mutations are mild enough that some files stay good: otherwise the rules would never be reached.
    assert!(loaded > 1_000, "{loaded} of 50000 loaded");
}

/// The words of the list that everybody's tests use.
#[test]
fn the_default_words_catch_what_people_write() {
    let settings = load(&sources("", &[])).expect("the defaults hold together").settings;
    let words = palomar_app::ConsentWords::new(&settings.intake.opt_out, &settings.intake.opt_in);
    let list = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/numbers/opt_out_keywords.json");
    let list: serde_json::Value =
        serde_json::from_slice(&std::fs::read(list).expect("a file")).expect("JSON");
    for (kind, wish) in [("opt_out", palomar_model::Wish::Stop), ("opt_in", palomar_model::Wish::Resume)] {
        let languages = list[kind].as_object().expect("languages");
        for word in languages.values().flat_map(|words| words.as_array().expect("words")) {
            let word = word.as_str().expect("a word");
            assert_eq!(words.wish(&format!(" {}! ", word.to_uppercase())), Some(wish.clone()), "{word}");
        }
    }
}
