//! `palomar simulate`: a provider's simulator as a server, for a demo, a test or a rehearsal.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clap::{Args, Subcommand};
use palomar_sim::cloud_api::{self, PairLimit};
use palomar_sim::evolution;
use palomar_sim::twilio::{self, SenderQueue};
use palomar_sim::web;
use palomar_sim::{Latency, Windows};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cli::Context;
use crate::clock::SystemClock;
use crate::failure::Failure;
use crate::signals::Stop;

/// What can be simulated.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Meta's Cloud API.
    CloudApi(Box<CloudApi>),
    /// Twilio's Programmable Messaging.
    Twilio(Box<Twilio>),
    /// Evolution API.
    Evolution(Box<Evolution>),
    /// A page that behaves as WhatsApp Web does, for browser sessions.
    Web(Box<Web>),
}

/// What every simulator is told.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Where webhooks go.
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// How long an answer takes: "20ms", or "5ms..50ms" for anything between.
    #[arg(long, value_name = "SPAN")]
    latency: Option<Latency>,
    /// Repeats the same chance.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// `palomar simulate cloud-api`. Whatever is not said is as at Meta, with every message delivered and read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palomar simulate cloud-api --port 9100 --webhook-url http://127.0.0.1:8080/webhooks/shop --secret app-secret-1
  palomar simulate cloud-api --latency 20ms..80ms --faults throttle=5%,hang=1%
  curl http://127.0.0.1:9100/_sim/ledger?count=true
  curl -d '{\"from\":\"34600111222\",\"text\":\"Hola\"}' http://127.0.0.1:9100/_sim/inbound

Everything it accepted is at /_sim/ledger; POST /_sim/faults changes how it behaves while it runs; POST /_sim/reset
begins anew.")]
pub(crate) struct CloudApi {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 9100)]
    port: u16,
    #[command(flatten)]
    place: Place,
    /// Refuse free text to a person who did not write within 24 hours, as WhatsApp does.
    #[arg(long)]
    enforce_window: bool,
    /// The app secret that webhooks are signed with. It protects nothing: what is simulated is no secret.
    #[arg(long, value_name = "TEXT")]
    secret: Option<String>,
    /// The access token that is accepted [usual: any].
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// How it misbehaves: "hang=1%,slow@200ms=0.1,http_502_html:refused=5x,down".
    #[arg(long, value_name = "FAULTS")]
    faults: Option<cloud_api::Faults>,
    /// Messages per phone number id: "80/s", "10/s+600/60s" or "off".
    #[arg(long, value_name = "RATE")]
    throughput: Option<Windows>,
    /// Messages to one person: "6s/45" or "off".
    #[arg(long, value_name = "PACE")]
    pair: Option<PairLimit>,
}

/// `palomar simulate twilio`. Whatever is not said is as at Twilio, with every message delivered and read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palomar simulate twilio --webhook-url http://127.0.0.1:8080/webhooks/desk
  palomar simulate twilio --queue 100ms/4h --daily 1000/24h --faults throttle=5%,hang=1%
  curl http://127.0.0.1:9200/_sim/ledger?count=true
  curl -d '{\"from\":\"34600111222\",\"text\":\"Hola\"}' http://127.0.0.1:9200/_sim/inbound

Reports go to each message's own StatusCallback. Everything it accepted is at /_sim/ledger; POST /_sim/faults changes how
it behaves while it runs; POST /_sim/reset begins anew.")]
pub(crate) struct Twilio {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 9200)]
    port: u16,
    #[command(flatten)]
    place: Place,
    /// Refuse free text to a person who did not write within 24 hours, as WhatsApp does.
    #[arg(long)]
    enforce_window: bool,
    /// The account that exists [usual: any].
    #[arg(long, value_name = "SID")]
    account_sid: Option<String>,
    /// The account's token: calls are made with it, and webhooks signed. It protects nothing: what is simulated is no
    /// secret [usual: 0123456789abcdef0123456789abcdef].
    #[arg(long, value_name = "TEXT")]
    secret: Option<String>,
    /// How it misbehaves: "hang=1%,slow@200ms=0.1,http_502_html:refused=5x,down".
    #[arg(long, value_name = "FAULTS")]
    faults: Option<twilio::Faults>,
    /// How fast a sender's messages leave Twilio, and how long they may wait there: "100ms/4h" or "off".
    #[arg(long, value_name = "PACE")]
    queue: Option<SenderQueue>,
    /// Messages of the whole account that are taken: "1000/24h" or "off".
    #[arg(long, value_name = "RATE")]
    daily: Option<Windows>,
}

impl CloudApi {
    fn config(self) -> cloud_api::Config {
        let usual = cloud_api::Config::default();
        cloud_api::Config {
            webhook_url: self.place.webhook_url,
            access_token: self.token,
            enforce_window: self.enforce_window,
            app_secret: self.secret.unwrap_or(usual.app_secret),
            latency: self.place.latency.unwrap_or(usual.latency),
            faults: self.faults.unwrap_or(usual.faults),
            throughput: self.throughput.unwrap_or(usual.throughput),
            pair: self.pair.unwrap_or(usual.pair),
            seed: self.place.seed.unwrap_or(usual.seed),
            ..usual
        }
    }
}

impl Twilio {
    fn config(self) -> twilio::Config {
        let usual = twilio::Config::default();
        twilio::Config {
            webhook_url: self.place.webhook_url,
            account_sid: self.account_sid,
            enforce_window: self.enforce_window,
            auth_token: self.secret.unwrap_or(usual.auth_token),
            latency: self.place.latency.unwrap_or(usual.latency),
            faults: self.faults.unwrap_or(usual.faults),
            queue: self.queue.unwrap_or(usual.queue),
            daily: self.daily.unwrap_or(usual.daily),
            seed: self.place.seed.unwrap_or(usual.seed),
            ..usual
        }
    }
}

/// `palomar simulate evolution`. Whatever is not said is an installation in which every instance is connected and every
/// message delivered and read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palomar simulate evolution --port 9102 --webhook-url http://127.0.0.1:8080/webhooks/main-line --secret webhook-secret-1
  palomar simulate evolution --instance main-line --faults timed_out=5%,connection_closed=1%
  curl -d '{\"instance\":\"main-line\",\"state\":\"close\",\"reason\":401}' http://127.0.0.1:9102/_sim/instance
  curl -d '{\"from\":\"34600111222\",\"text\":\"Hola\"}' http://127.0.0.1:9102/_sim/inbound

Everything it accepted is at /_sim/ledger; POST /_sim/faults changes how it behaves while it runs; POST /_sim/reset
begins anew.")]
pub(crate) struct Evolution {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 9102)]
    port: u16,
    #[command(flatten)]
    place: Place,
    /// The secret that webhooks bring along. It protects nothing: what is simulated is no secret.
    #[arg(long, value_name = "TEXT")]
    secret: Option<String>,
    /// Prove webhooks by tokens that are signed with the secret, in place of a header with it.
    #[arg(long)]
    jwt: bool,
    /// The API key that is accepted [usual: any].
    #[arg(long, value_name = "TEXT")]
    api_key: Option<String>,
    /// An instance that exists; may be given several times [usual: every name exists].
    #[arg(long = "instance", value_name = "NAME")]
    instances: Vec<String>,
    /// How it misbehaves: "hang=1%,slow@200ms=0.1,timed_out:refused=5x,down".
    #[arg(long, value_name = "FAULTS")]
    faults: Option<evolution::Faults>,
}

impl Evolution {
    fn config(self) -> evolution::Config {
        let usual = evolution::Config::default();
        let mut webhook_headers = usual.webhook_headers;
        for (name, value) in &mut webhook_headers {
            if self.jwt {
                "jwt_key".clone_into(name);
            }
            if let Some(secret) = &self.secret {
                value.clone_from(secret);
            }
        }
        evolution::Config {
            webhook_url: self.place.webhook_url,
            webhook_headers,
            api_key: self.api_key,
            instances: self.instances,
            latency: self.place.latency.unwrap_or(usual.latency),
            faults: self.faults.unwrap_or(usual.faults),
            seed: self.place.seed.unwrap_or(usual.seed),
            ..evolution::Config::default()
        }
    }
}

/// `palomar simulate web`. Whatever is not said is a page that works, on which every message is delivered and read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palomar simulate web --port 9103
  palomar simulate web --faults '{\"language\":\"es\",\"tickMs\":300}'
  curl -d '{\"account\":\"34600000000\"}' -H 'content-type: application/json' http://127.0.0.1:9103/_sim/scan

Point PALOMAR__WEB__URL at it. /_sim/scan is the phone that scans the QR; everything that was sent is at /_sim/ledger;
POST /_sim/faults changes how the page behaves, /_sim/inbound lets a person write, /_sim/reset begins anew.")]
pub(crate) struct Web {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 9103)]
    port: u16,
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Repeats the same chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How it behaves and misbehaves, as JSON: what POST /_sim/faults takes.
    #[arg(long, value_name = "JSON")]
    faults: Option<Value>,
}

impl Web {
    fn behaviour(&self) -> Result<web::Behaviour, Failure> {
        let usual = web::Behaviour::default();
        let Some(faults) = &self.faults else { return Ok(usual) };
        usual.after(faults).map_err(|error| Failure::new(format!("--faults: {error}")))
    }
}

/// Runs it until it is told to stop.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let clock = Arc::new(SystemClock);
    let ended = match verb {
        Verb::CloudApi(flags) => {
            let listener = listen(context, flags.place.bind, flags.port, "cloud_api", "Cloud API").await?;
            let stop = Stop::listen()?;
            cloud_api::serve(listener, flags.config(), clock, async move { stop.asked().await }).await
        }
        Verb::Twilio(flags) => {
            let listener = listen(context, flags.place.bind, flags.port, "twilio", "Twilio").await?;
            let stop = Stop::listen()?;
            twilio::serve(listener, flags.config(), clock, async move { stop.asked().await }).await
        }
        Verb::Evolution(flags) => {
            let listener =
                listen(context, flags.place.bind, flags.port, "evolution", "Evolution API").await?;
            let stop = Stop::listen()?;
            evolution::serve(listener, flags.config(), clock, async move { stop.asked().await }).await
        }
        Verb::Web(flags) => {
            let behaviour = flags.behaviour()?;
            let listener = listen(context, flags.bind, flags.port, "web", "WhatsApp Web").await?;
            let stop = Stop::listen()?;
            web::serve(listener, behaviour, flags.seed, clock, async move { stop.asked().await }).await
        }
    };
    ended.map_err(|error| Failure::new(format!("the simulator ended: {error}")))
}

/// Listens, and says where.
async fn listen(
    context: &Context,
    bind: IpAddr,
    port: u16,
    provider: &str,
    shown: &str,
) -> Result<TcpListener, Failure> {
    let at = SocketAddr::new(bind, port);
    let listener = TcpListener::bind(at).await.map_err(|error| {
        Failure::new(format!("can't listen on {at}: {error}")).help("Name another port with --port.")
    })?;
    let at = listener.local_addr().unwrap_or(at);
    let out = context.out;
    if out.json {
        out.document(&json!({"provider": provider, "url": format!("http://{at}")}))?;
    } else {
        out.line(format_args!(
            "A simulated {shown} listens on http://{at}; its ledger is at http://{at}/_sim/ledger"
        ));
    }
    Ok(listener)
}
