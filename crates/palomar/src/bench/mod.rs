//! `palomar bench`: measurements that can be laid beside the peers'. Each prints one JSON line.
//!
//! Absolute figures move by tens of percent between machines and minutes; only ratios taken in one run count.

mod analytics;
mod broker;
mod campaign;
mod http;
mod intake;
mod measure;
mod served;
mod web;

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum};
use palomar_broker::Flush;
use palomar_model::{Clock as _, Timestamp};

use crate::clock::SystemClock;
use crate::failure::Failure;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// A broker: adding, draining, the whole life of a job, latency, memory, backlogs, restarts.
    Broker(BrokerFlags),
    /// `POST /api/messages` and bulk, against a server of its own.
    Http(HttpFlags),
    /// Events and reports against a server of its own.
    Analytics(AnalyticsFlags),
    /// Signed webhooks against a server of its own: answers, memory, what a client sees and when, kill -9.
    Intake(IntakeFlags),
    /// Browser sessions in real Chromium on the simulated page: latency, rate, recovery, what an idle one costs.
    Web(WebFlags),
    /// A campaign of many against a server of its own: contacts from a file, the start, the feed, orders, memory, replies.
    Campaign(CampaignFlags),
}

/// What every measurement understands.
#[derive(Debug, Args)]
struct Common {
    /// Operations in a measurement.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = some())]
    n: usize,
    /// Where the data is made; it should lie on the disk that is meant [usual: a directory of its own, here].
    #[arg(long, value_name = "DIR", default_value = "palomar-bench")]
    dir: PathBuf,
}

/// `palomar bench broker`.
#[derive(Debug, Args)]
#[command(after_help = "\
Figures of memory are those of the process: ask for the parts that give them (memory, backlog, channels) one by one,
because what one part has freed the next one gets for nothing. With --redis they are those of Redis.

With --redis the keys under \"palomar-bench\" are used and removed, no others. What an answer survives is what the server
does, and the lines name it: with appendfsync always each is flushed before it is given, with everysec it is not. What
Redis spends (redis_cpu_us_per_op, redis_commands_per_op, bytes of memory) is counted over the whole server: give one that
nobody else uses.

Examples:
  palomar bench broker --only fdatasync,add1,add50,bulk,drain,flow
  palomar bench broker --only memory
  palomar bench broker --only backlog --backlog 10000,1000000
  palomar bench broker --only delayed --delayed 100000,1000000
  palomar bench broker --only flow --flush each-second
  palomar bench broker --redis redis://127.0.0.1:6390 --only flow,memory
  palomar bench broker --redis redis://127.0.0.1:6390 --only channels --channels 1,1000,10000")]
pub(crate) struct BrokerFlags {
    #[command(flatten)]
    common: Common,
    /// Only these parts, with commas between.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum)]
    only: Vec<broker::Part>,
    /// The broker in this Redis, instead of the embedded one. Its database must be empty.
    #[arg(long, value_name = "URL", conflicts_with = "flush")]
    redis: Option<String>,
    /// Take a Redis whose database holds other keys, too: they are left alone.
    #[arg(long, requires = "redis")]
    beside_others: bool,
    /// Flush each commit, as the server does, or once a second, for a comparison.
    #[arg(long, value_enum, default_value_t = FlushFlag::EachCommit)]
    flush: FlushFlag,
    /// Waiting jobs, for the part `backlog`.
    #[arg(long, value_name = "SIZES", value_delimiter = ',', default_value = "10000,100000", value_parser = some())]
    backlog: Vec<usize>,
    /// Delayed jobs, for the part `delayed`: as many as the smallest fall due within seconds, the rest in an hour.
    #[arg(long, value_name = "SIZES", value_delimiter = ',', default_value = "100000,1000000", value_parser = some())]
    delayed: Vec<usize>,
    /// Channels, for the part `channels`.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,100,1000", value_parser = some())]
    channels: Vec<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FlushFlag {
    EachCommit,
    EachSecond,
}

impl From<FlushFlag> for Flush {
    fn from(flag: FlushFlag) -> Flush {
        match flag {
            FlushFlag::EachCommit => Flush::EachCommit,
            FlushFlag::EachSecond => Flush::EachSecond,
        }
    }
}

/// `palomar bench http`.
#[derive(Debug, Args)]
pub(crate) struct HttpFlags {
    #[command(flatten)]
    common: Common,
    /// Only these parts, with commas between.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum)]
    only: Vec<http::Part>,
}

/// `palomar bench intake`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each part has a server and data of its own. Requests are built and signed by this process, on the same processors as the
server. With --redis and --records the queues and the records are there, and must be empty: name one part, with --only.

Examples:
  palomar bench intake
  palomar bench intake --only durable_c100 --n 200000
  palomar bench intake --only open_loop --rate 1000 --n 30000
  palomar bench intake --only killed_under_load --kills 20")]
pub(crate) struct IntakeFlags {
    #[command(flatten)]
    common: Common,
    /// Only these parts, with commas between.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum)]
    only: Vec<intake::Part>,
    /// Webhooks a second, for the part `open_loop`.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = some())]
    rate: usize,
    /// How often the server is killed, for the part `killed_under_load`.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = some())]
    kills: usize,
    /// Queues in this Redis, instead of embedded.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Records in this PostgreSQL, instead of SQLite.
    #[arg(long, value_name = "URL")]
    records: Option<String>,
}

/// `palomar bench web`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each part has a server, sessions and data of its own. Chromium shares the processors with what drives it.

Examples:
  palomar bench web
  palomar bench web --only drain_sessions --sessions 8 --n 2000")]
pub(crate) struct WebFlags {
    /// Messages in a measurement.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = some())]
    n: usize,
    /// Where the data is made [usual: a directory of its own, here].
    #[arg(long, value_name = "DIR", default_value = "palomar-bench")]
    dir: PathBuf,
    /// Only these parts, with commas between.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum)]
    only: Vec<web::Part>,
    /// Sessions, for the part `drain_sessions`.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = some())]
    sessions: usize,
}

/// `palomar bench campaign`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each part has a server and data of its own.

Examples:
  palomar bench campaign --n 1000000
  palomar bench campaign --only forecast")]
pub(crate) struct CampaignFlags {
    /// Contacts of a campaign.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = some())]
    n: usize,
    /// Contacts of the small campaign that memory is compared with.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = some())]
    few: usize,
    /// Where the data is made; it should lie on the disk that is meant [usual: a directory of its own, here].
    #[arg(long, value_name = "DIR", default_value = "palomar-bench")]
    dir: PathBuf,
    /// Only these parts, with commas between.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum)]
    only: Vec<campaign::Part>,
}

/// `palomar bench analytics`.
#[derive(Debug, Args)]
pub(crate) struct AnalyticsFlags {
    #[command(flatten)]
    common: Common,
    /// Only these parts, with commas between.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_enum)]
    only: Vec<analytics::Part>,
    /// Records in this PostgreSQL, instead of SQLite.
    #[arg(long, value_name = "URL")]
    records: Option<String>,
}

/// A number of things, at least one.
fn some() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// The parts that are asked for, in the order in which they are measured; all where none is named.
fn chosen<P: ValueEnum + PartialEq>(only: &[P]) -> impl Iterator<Item = P> {
    P::value_variants().iter().filter(|part| only.is_empty() || only.contains(part)).cloned()
}

/// Measures.
pub(crate) async fn run(what: What) -> Result<(), Failure> {
    let measured = match what {
        What::Broker(flags) => {
            let options = broker::Options {
                n: flags.common.n,
                only: flags.only,
                place: match flags.redis {
                    Some(url) => broker::Place::Redis { url, beside_others: flags.beside_others },
                    None => broker::Place::Embedded { dir: flags.common.dir, flush: flags.flush.into() },
                },
                backlog: flags.backlog,
                delayed: flags.delayed,
                channels: flags.channels,
            };
            let seed = SystemClock.now().since(Timestamp::EPOCH).as_micros() as u64;
            broker::run(options, Arc::new(SystemClock), seed).await
        }
        What::Http(flags) => {
            let Common { n, dir } = flags.common;
            http::run(http::Options { n, only: flags.only, dir }).await
        }
        What::Analytics(flags) => {
            let Common { n, dir } = flags.common;
            let stores = flags.records.map(|url| ("PALOMAR__RECORDS__URL", url)).into_iter().collect();
            analytics::run(analytics::Options { n, only: flags.only, dir, stores }).await
        }
        What::Intake(flags) => {
            let Common { n, dir } = flags.common;
            let redis = flags.redis.map(|url| ("PALOMAR__BROKER__REDIS", url));
            let records = flags.records.map(|url| ("PALOMAR__RECORDS__URL", url));
            let stores = redis.into_iter().chain(records).collect();
            let IntakeFlags { only, rate, kills, .. } = flags;
            intake::run(intake::Options { n, only, dir, rate, kills, stores }).await
        }
        What::Web(WebFlags { n, dir, only, sessions }) => {
            web::run(web::Options { n, only, dir, sessions }).await
        }
        What::Campaign(CampaignFlags { n, few, dir, only }) => {
            campaign::run(campaign::Options { n, few, only, dir }).await
        }
    };
    measured.map_err(|error| Failure::new(format!("{error:#}")))
}
