//! The variables of the systems that Palomar takes over from, honoured under the names they have there.
//!
//! A provider's variables make a channel: see [`CHANNELS`]; the others are settings.

use std::collections::BTreeMap;
use std::path::Path;

use palomar_model::{Provider, Secret};
use palomar_records::PostgresUrl;
use serde_json::{Map, Value};

use super::ReadFile;
use super::problem::{Origin, Problem};

/// The address of a database; ours where it is one of PostgreSQL.
const DATABASE_URL: &str = "DATABASE_URL";

/// What a variable is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// A channel.
    Channel,
    /// Where records are kept.
    Records,
    /// Where queues are kept.
    Queues,
    /// How campaigns are fed.
    Campaigns,
    /// How browser sessions are kept.
    Sessions,
}

/// Name, whether it is a secret, use. A secret has a twin with `_FILE` that names a file to read it from.
const VARIABLES: [(&str, bool, Use); 30] = [
    ("WHATSAPP_API_TOKEN", true, Use::Channel),
    ("WHATSAPP_PHONE_NUMBER_ID", false, Use::Channel),
    ("WHATSAPP_APP_SECRET", true, Use::Channel),
    ("WEBHOOK_VERIFY_TOKEN", true, Use::Channel),
    ("REDIS_URL", true, Use::Queues),
    ("REDISCLOUD_URL", true, Use::Queues),
    ("REDIS_HOST", false, Use::Queues),
    ("REDIS_PORT", false, Use::Queues),
    ("REDIS_PASSWORD", true, Use::Queues),
    ("REDIS_DB", false, Use::Queues),
    (DATABASE_URL, true, Use::Records),
    ("EVOLUTION_API_URL", false, Use::Channel),
    ("EVOLUTION_API_KEY", true, Use::Channel),
    ("TWILIO_ACCOUNT_SID", false, Use::Channel),
    ("TWILIO_AUTH_TOKEN", true, Use::Channel),
    ("TWILIO_WHATSAPP_NUMBER", false, Use::Channel),
    ("BATCH_SIZE", false, Use::Campaigns),
    ("MAX_CONCURRENT_BATCHES", false, Use::Campaigns),
    ("BATCH_RETRY_ATTEMPTS", false, Use::Campaigns),
    ("BATCH_RETRY_DELAY", false, Use::Campaigns),
    ("PUPPETEER_HEADLESS", false, Use::Sessions),
    ("PUPPETEER_WHATSAPP_URL", false, Use::Sessions),
    ("PUPPETEER_DEFAULT_TIMEOUT", false, Use::Sessions),
    ("PUPPETEER_NAVIGATION_TIMEOUT", false, Use::Sessions),
    ("WHATSAPP_API_URL", false, Use::Channel),
    ("WHATSAPP_API_VERSION", false, Use::Channel),
    ("TWILIO_API_URL", false, Use::Channel),
    ("TWILIO_MESSAGING_SERVICE_SID", false, Use::Channel),
    ("EVOLUTION_INSTANCE", false, Use::Channel),
    ("EVOLUTION_WEBHOOK_SECRET", true, Use::Channel),
];

/// What a variable sets of a channel.
#[derive(Clone, Copy)]
enum Field {
    Setting(&'static str),
    Credential(&'static str),
}

/// The variables of a provider, and the channel that they make.
struct Recipe {
    channel: &'static str,
    provider: Provider,
    fields: &'static [(&'static str, Field)],
    /// So many of them, the first ones, must be set.
    needed: usize,
}

const CHANNELS: [Recipe; 3] = [
    Recipe {
        channel: "whatsapp",
        provider: Provider::CloudApi,
        fields: &[
            ("WHATSAPP_API_TOKEN", Field::Credential("token")),
            ("WHATSAPP_PHONE_NUMBER_ID", Field::Setting("phoneNumberId")),
            ("WHATSAPP_APP_SECRET", Field::Credential("appSecret")),
            ("WEBHOOK_VERIFY_TOKEN", Field::Credential("verifyToken")),
            ("WHATSAPP_API_URL", Field::Setting("baseUrl")),
            ("WHATSAPP_API_VERSION", Field::Setting("version")),
        ],
        needed: 2,
    },
    Recipe {
        channel: "twilio",
        provider: Provider::Twilio,
        fields: &[
            ("TWILIO_ACCOUNT_SID", Field::Setting("accountSid")),
            ("TWILIO_AUTH_TOKEN", Field::Credential("authToken")),
            ("TWILIO_WHATSAPP_NUMBER", Field::Setting("number")),
            ("TWILIO_MESSAGING_SERVICE_SID", Field::Setting("messagingServiceSid")),
            ("TWILIO_API_URL", Field::Setting("baseUrl")),
        ],
        needed: 3,
    },
    Recipe {
        channel: "evolution",
        provider: Provider::Evolution,
        fields: &[
            ("EVOLUTION_API_URL", Field::Setting("baseUrl")),
            ("EVOLUTION_API_KEY", Field::Credential("apiKey")),
            ("EVOLUTION_INSTANCE", Field::Setting("instance")),
            ("EVOLUTION_WEBHOOK_SECRET", Field::Credential("webhookSecret")),
        ],
        needed: 2,
    },
];

/// One variable that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its name, without `_FILE`.
    pub(crate) name: &'static str,
    /// What it says.
    pub(crate) value: Secret,
    /// Whether it may be shown.
    pub(crate) secret: bool,
    /// Where it was said.
    pub(crate) origin: Origin,
}

/// The variables that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// In the order of the table above.
    pub(crate) kept: Vec<Kept>,
}

/// A channel that variables describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedChannel {
    pub(crate) name: &'static str,
    pub(crate) provider: Provider,
    pub(crate) settings: Map<String, Value>,
    pub(crate) credentials: BTreeMap<String, Secret>,
    /// The variables that it is made of.
    pub(crate) variables: Vec<&'static str>,
}

impl Seeds {
    /// Reads the variables that are set and not empty.
    pub(super) fn read(
        variables: &BTreeMap<String, String>,
        read_file: ReadFile<'_>,
        problems: &mut Vec<Problem>,
    ) -> Seeds {
        let set =
            |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.trim().is_empty());
        let mut kept = Vec::new();
        for (name, secret, _) in VARIABLES {
            let twin = format!("{name}_FILE");
            let named_file = set(&twin).filter(|_| secret);
            let (value, origin) = match (set(name), named_file) {
                (None, None) => continue,
                (Some(_), Some(_)) => {
                    let what = format!("both ${name} and ${twin} are set: unset one of them");
                    problems.push(Problem::new(Origin::Variable(twin), "", what));
                    continue;
                }
                (Some(value), None) => (value.to_owned(), Origin::Variable(name.to_owned())),
                (None, Some(path)) => match read_file(Path::new(path)) {
                    Ok(text) => {
                        let named_by = Box::new(Origin::Variable(twin));
                        (
                            text.trim_end_matches(['\n', '\r']).to_owned(),
                            Origin::SecretFile { named_by, path: path.into() },
                        )
                    }
                    Err(error) => {
                        let what = format!("can't read {path}: {error}");
                        problems.push(Problem::new(Origin::Variable(twin), "", what));
                        continue;
                    }
                },
            };
            kept.push(Kept { name, value: Secret::new(value), secret, origin });
        }
        Seeds { kept }
    }

    fn get(&self, name: &str) -> Option<&Secret> {
        self.kept.iter().find(|kept| kept.name == name).map(|kept| &kept.value)
    }

    /// Where records are kept by `DATABASE_URL`, and where that was said.
    pub(super) fn records_url(&self) -> Option<(String, Origin)> {
        let kept = self.kept.iter().find(|kept| kept.name == DATABASE_URL)?;
        let url = kept.value.expose();
        PostgresUrl::is_meant(url).then(|| (url.to_owned(), kept.origin.clone()))
    }

    /// Where queues are kept by `REDIS_URL`, or by the parts of an address, and where that was said.
    pub(super) fn redis_url(&self) -> Option<(String, Origin)> {
        let named = |name: &str| self.kept.iter().find(|kept| kept.name == name);
        if let Some(kept) = named("REDIS_URL").or_else(|| named("REDISCLOUD_URL")) {
            return Some((kept.value.expose().to_owned(), kept.origin.clone()));
        }
        let host = named("REDIS_HOST")?;
        let part = |name: &str| self.get(name).map(|value| value.expose().trim().to_owned());
        let password = part("REDIS_PASSWORD").map(|password| format!(":{}@", escaped(&password)));
        let (port, database) = (part("REDIS_PORT"), part("REDIS_DB"));
        let url = format!(
            "redis://{}{}:{}/{}",
            password.unwrap_or_default(),
            host.value.expose().trim(),
            port.as_deref().unwrap_or("6379"),
            database.as_deref().unwrap_or("0"),
        );
        Some((url, host.origin.clone()))
    }

    /// How campaigns are fed: the setting, what the variable says of it, and where that was said. A delay is in
    /// milliseconds there.
    pub(super) fn campaigns(&self) -> Vec<(&'static str, toml::Value, Origin)> {
        const SETTINGS: [(&str, &str); 4] = [
            ("BATCH_SIZE", "campaigns.batch_size"),
            ("MAX_CONCURRENT_BATCHES", "campaigns.concurrent_batches"),
            ("BATCH_RETRY_ATTEMPTS", "campaigns.retry_attempts"),
            ("BATCH_RETRY_DELAY", "campaigns.retry_delay"),
        ];
        let said = |(name, setting): (&str, &'static str)| {
            let kept = self.kept.iter().find(|kept| kept.name == name)?;
            let text = kept.value.expose().trim();
            let value = match text.parse::<u32>() {
                Ok(millis) if setting.ends_with("delay") => toml::Value::String(format!("{millis}ms")),
                Ok(number) => toml::Value::Integer(number.into()),
                Err(_) => toml::Value::String(text.to_owned()),
            };
            Some((setting, value, kept.origin.clone()))
        };
        SETTINGS.into_iter().filter_map(said).collect()
    }

    /// How browser sessions are kept: the setting, what the variable says of it, and where that was said. Times are in
    /// milliseconds there.
    pub(super) fn sessions(&self) -> Vec<(&'static str, toml::Value, Origin)> {
        const SETTINGS: [(&str, &str); 4] = [
            ("PUPPETEER_HEADLESS", "web.headless"),
            ("PUPPETEER_WHATSAPP_URL", "web.url"),
            ("PUPPETEER_DEFAULT_TIMEOUT", "web.step_timeout"),
            ("PUPPETEER_NAVIGATION_TIMEOUT", "web.navigation_timeout"),
        ];
        let said = |(name, setting): (&str, &'static str)| {
            let kept = self.kept.iter().find(|kept| kept.name == name)?;
            let text = kept.value.expose().trim();
            let value = match (text.parse::<u32>(), text) {
                (Ok(millis), _) => toml::Value::String(format!("{millis}ms")),
                // Puppeteer's own words for a browser without a window.
                (_, "true" | "new" | "shell") => toml::Value::Boolean(true),
                (_, "false") => toml::Value::Boolean(false),
                _ => toml::Value::String(text.to_owned()),
            };
            Some((setting, value, kept.origin.clone()))
        };
        SETTINGS.into_iter().filter_map(said).collect()
    }

    /// The channels that the variables make, where they say enough.
    pub(crate) fn channels(&self) -> Vec<SeedChannel> {
        let complete = |recipe: &&Recipe| {
            recipe.fields.iter().take(recipe.needed).all(|(name, _)| self.get(name).is_some())
        };
        CHANNELS.iter().filter(complete).map(|recipe| self.made(recipe)).collect()
    }

    fn made(&self, recipe: &Recipe) -> SeedChannel {
        let mut channel = SeedChannel {
            name: recipe.channel,
            provider: recipe.provider,
            settings: Map::new(),
            credentials: BTreeMap::new(),
            variables: recipe.fields.iter().map(|(name, _)| *name).collect(),
        };
        for (name, field) in recipe.fields {
            match (self.get(name), field) {
                (Some(value), Field::Setting(setting)) => {
                    channel.settings.insert((*setting).to_owned(), value.expose().into());
                }
                (Some(value), Field::Credential(credential)) => {
                    channel.credentials.insert((*credential).to_owned(), value.clone());
                }
                (None, _) => {}
            }
        }
        channel
    }

    /// Of variables that belong together, one that is set and one that is missing.
    fn incomplete(&self) -> impl Iterator<Item = (&'static Recipe, &'static str, &'static str)> {
        CHANNELS.iter().filter_map(|recipe| {
            let needed = || recipe.fields.iter().take(recipe.needed).map(|(name, _)| *name);
            let set = needed().find(|name| self.get(name).is_some())?;
            Some((recipe, set, needed().find(|name| self.get(name).is_none())?))
        })
    }

    /// What a person should know about them: which say too little, and which are not used.
    pub(crate) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        for (Recipe { channel, .. }, set, missing) in self.incomplete() {
            notices.push(format!(
                "${set} is set but ${missing} is not: the channel {channel} is not made from them"
            ));
        }
        if self.get(DATABASE_URL).is_some() && self.records_url().is_none() {
            notices.push(format!(
                "${DATABASE_URL} is set and not used: it is not an address of PostgreSQL (postgres://…)"
            ));
        }
        notices
    }
}

/// As it stands in an address.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Seeds, Vec<Problem>) {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut problems = Vec::new();
        let file = |path: &Path| match path.to_str() {
            Some("/run/token") => Ok("from-file\n".to_owned()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        let seeds = Seeds::read(&variables, &file, &mut problems);
        (seeds, problems)
    }

    #[test]
    fn whatsapps_variables_make_a_channel() {
        let (seeds, problems) = read(&[
            ("WHATSAPP_API_TOKEN_FILE", "/run/token"),
            ("WHATSAPP_PHONE_NUMBER_ID", "106540352242922"),
            ("WEBHOOK_VERIFY_TOKEN", "hello"),
            ("WHATSAPP_APP_SECRET", ""),
        ]);
        assert_eq!(problems, []);
        let [channel] = &seeds.channels()[..] else { panic!("no channel") };
        assert_eq!((channel.name, channel.provider), ("whatsapp", Provider::CloudApi));
        assert_eq!(Value::from(channel.settings.clone()), json!({"phoneNumberId": "106540352242922"}));
        let credentials: Vec<_> =
            channel.credentials.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
        assert_eq!(credentials, [("token", "from-file"), ("verifyToken", "hello")]);
    }

    #[test]
    fn twilios_variables_make_a_channel_beside_it() {
        let (seeds, problems) = read(&[
            ("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001"),
            ("TWILIO_AUTH_TOKEN", "t"),
            ("TWILIO_WHATSAPP_NUMBER", "whatsapp:+14155238886"),
            ("WHATSAPP_API_TOKEN", "t"),
            ("WHATSAPP_PHONE_NUMBER_ID", "1"),
        ]);
        assert_eq!(problems, []);
        let channels = seeds.channels();
        let names: Vec<_> = channels.iter().map(|channel| channel.name).collect();
        assert_eq!(names, ["whatsapp", "twilio"]);
        let settings =
            json!({"accountSid": "AC00000000000000000000000000000001", "number": "whatsapp:+14155238886"});
        assert_eq!(Value::from(channels[1].settings.clone()), settings);
        let (seeds, _) = read(&[("TWILIO_ACCOUNT_SID", "AC1"), ("TWILIO_WHATSAPP_NUMBER", "+1")]);
        assert_eq!(seeds.channels(), []);
        assert!(seeds.notices()[0].contains("$TWILIO_AUTH_TOKEN is not"), "{:?}", seeds.notices());
    }

    #[test]
    fn evolutions_variables_make_a_channel_beside_it() {
        let (seeds, problems) = read(&[
            ("EVOLUTION_API_URL", "http://localhost:8080"),
            ("EVOLUTION_API_KEY", "k"),
            ("WHATSAPP_API_TOKEN", "t"),
            ("WHATSAPP_PHONE_NUMBER_ID", "1"),
        ]);
        assert_eq!(problems, []);
        let channels = seeds.channels();
        let names: Vec<_> = channels.iter().map(|channel| channel.name).collect();
        assert_eq!(names, ["whatsapp", "evolution"]);
        // The instance has the channel's name where none is said.
        assert_eq!(Value::from(channels[1].settings.clone()), json!({"baseUrl": "http://localhost:8080"}));
        let (seeds, _) = read(&[("EVOLUTION_API_KEY", "k"), ("EVOLUTION_INSTANCE", "main-line")]);
        assert_eq!(seeds.channels(), []);
        assert!(seeds.notices()[0].contains("$EVOLUTION_API_URL is not"), "{:?}", seeds.notices());
    }

    #[test]
    fn what_says_too_little_makes_none_and_is_told() {
        let (seeds, _) = read(&[
            ("WHATSAPP_API_TOKEN", "secret"),
            ("REDIS_URL", "redis://x"),
            ("PUPPETEER_HEADLESS", "true"),
            ("PUPPETEER_DEFAULT_TIMEOUT", "30000"),
            ("BATCH_RETRY_DELAY", "1500"),
        ]);
        assert_eq!(seeds.redis_url().map(|(url, _)| url).as_deref(), Some("redis://x"));
        assert_eq!(seeds.channels(), []);
        let notices = seeds.notices().join("\n");
        assert!(notices.contains("$WHATSAPP_PHONE_NUMBER_ID is not"), "{notices}");
        assert!(!notices.contains("PUPPETEER") && !notices.contains("BATCH_RETRY_DELAY"), "{notices}");
        let sessions = seeds.sessions();
        let sessions: Vec<_> = sessions.iter().map(|(setting, value, _)| (*setting, value.clone())).collect();
        let expected =
            [("web.headless", toml::Value::from(true)), ("web.step_timeout", toml::Value::from("30000ms"))];
        assert_eq!(sessions, expected);
        let [(setting, value, _)] = &seeds.campaigns()[..] else { panic!("one") };
        assert_eq!((*setting, value), ("campaigns.retry_delay", &toml::Value::from("1500ms")));
        assert!(!notices.contains("redis://x"), "{notices}");
    }

    #[test]
    fn a_database_is_used_where_it_is_postgresql() {
        let (seeds, _) = read(&[("DATABASE_URL", "postgres://u:hunter2@db/x")]);
        assert_eq!(seeds.records_url().expect("an address").0, "postgres://u:hunter2@db/x");
        assert_eq!(seeds.notices(), Vec::<String>::new());
        let (seeds, _) = read(&[("DATABASE_URL", "mysql://u:hunter2@db/x")]);
        assert_eq!(seeds.records_url(), None);
        let notices = seeds.notices().join("\n");
        assert!(
            notices.contains("$DATABASE_URL is set and not used") && !notices.contains("hunter2"),
            "{notices}"
        );
    }

    #[test]
    fn a_secret_is_said_once_and_readable() {
        let (_, problems) = read(&[("WHATSAPP_API_TOKEN", "a"), ("WHATSAPP_API_TOKEN_FILE", "/run/token")]);
        assert!(problems[0].to_string().contains("unset one of them"), "{problems:?}");
        let (_, problems) = read(&[("TWILIO_AUTH_TOKEN_FILE", "/nowhere")]);
        assert!(
            problems[0].to_string().starts_with("$TWILIO_AUTH_TOKEN_FILE: can't read /nowhere"),
            "{problems:?}"
        );
    }

    #[test]
    fn redis_is_where_its_variables_say() {
        for (variables, expected) in [
            (vec![("REDIS_HOST", "r.example")], "redis://r.example:6379/0"),
            (
                vec![
                    ("REDIS_HOST", "r"),
                    ("REDIS_PORT", "7000"),
                    ("REDIS_PASSWORD", "p@ss/w"),
                    ("REDIS_DB", "3"),
                ],
                "redis://:p%40ss%2Fw@r:7000/3",
            ),
            (vec![("REDISCLOUD_URL", "redis://c"), ("REDIS_HOST", "r")], "redis://c"),
        ] {
            let (seeds, _) = read(&variables);
            assert_eq!(seeds.redis_url().map(|(url, _)| url).as_deref(), Some(expected));
        }
        assert_eq!(read(&[("REDIS_PASSWORD", "alone")]).0.redis_url(), None);
    }
}
