//! `palomar simulate`: a provider's simulator as a server, for a demo, a test or a rehearsal.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clap::{Args, Subcommand};
use palomar_sim::cloud_api::{self, Config, Faults, PairLimit};
use palomar_sim::{Latency, Windows};
use serde_json::json;
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
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Where webhooks go.
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// The app secret that webhooks are signed with. It protects nothing: what is simulated is no secret.
    #[arg(long, value_name = "TEXT")]
    secret: Option<String>,
    /// The access token that is accepted [usual: any].
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// How long an answer takes: "20ms", or "5ms..50ms" for anything between.
    #[arg(long, value_name = "SPAN")]
    latency: Option<Latency>,
    /// How it misbehaves: "hang=1%,slow@200ms=0.1,http_502_html:refused=5x,down".
    #[arg(long, value_name = "FAULTS")]
    faults: Option<Faults>,
    /// Messages per phone number id: "80/s", "10/s+600/60s" or "off".
    #[arg(long, value_name = "RATE")]
    throughput: Option<Windows>,
    /// Messages to one person: "6s/45" or "off".
    #[arg(long, value_name = "PACE")]
    pair: Option<PairLimit>,
    /// Refuse free text to a person who did not write within 24 hours, as Meta does.
    #[arg(long)]
    enforce_window: bool,
    /// Repeats the same chance.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl CloudApi {
    fn config(&self) -> Config {
        let mut config = Config::default();
        config.webhook_url.clone_from(&self.webhook_url);
        config.access_token.clone_from(&self.token);
        config.enforce_window = self.enforce_window;
        config.app_secret = self.secret.clone().unwrap_or(config.app_secret);
        config.latency = self.latency.unwrap_or(config.latency);
        config.faults = self.faults.clone().unwrap_or(config.faults);
        config.throughput = self.throughput.clone().unwrap_or(config.throughput);
        config.pair = self.pair.unwrap_or(config.pair);
        config.seed = self.seed.unwrap_or(config.seed);
        config
    }
}

/// Runs it until it is told to stop.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let Verb::CloudApi(flags) = verb;
    let at = SocketAddr::new(flags.bind, flags.port);
    let listener = TcpListener::bind(at).await.map_err(|error| {
        Failure::new(format!("can't listen on {at}: {error}")).help("Name another port with --port.")
    })?;
    let at = listener.local_addr().unwrap_or(at);
    let out = context.out;
    if out.json {
        out.document(&json!({"provider": "cloud_api", "url": format!("http://{at}")}))?;
    } else {
        out.line(format_args!(
            "A simulated Cloud API listens on http://{at}; its ledger is at http://{at}/_sim/ledger"
        ));
    }
    let stop = Stop::listen()?;
    cloud_api::serve(listener, flags.config(), Arc::new(SystemClock), async move {
        stop.asked().await;
    })
    .await
    .map_err(|error| Failure::new(format!("the simulator ended: {error}")))
}
