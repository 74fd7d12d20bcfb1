//! Runs a screen: the terminal, the server and the clock around what is decided without them.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use palomar_model::Clock as _;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::paint::Palette;
use super::shell::{Came, Sent, Shell};
use super::terminal::{Heard, Taken, listen};
use super::{Method, Request, Screen};
use crate::cli::Context;
use crate::client::Client;
use crate::clock::SystemClock;
use crate::config::Span;
use crate::failure::Failure;

/// How often the server is asked, where nobody says.
const EVERY: Duration = Duration::from_secs(5);
/// How often time is told to a screen.
const BEAT: Duration = Duration::from_millis(250);

/// How long an answer is waited for, where `--timeout` does not say: a person looks at what is there in the meantime.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a live screen is asked for.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Live {
    /// Print once and end, as where nobody sees a screen (in a pipe, with --json or --plain).
    #[arg(long)]
    once: bool,
    /// Ask the server so often [usual: 5s].
    #[arg(long, value_name = "SPAN")]
    every: Option<Span>,
}

impl Live {
    /// Whether there is to be a screen, and a person to look at it.
    pub(crate) fn is_wanted(&self, context: &Context) -> bool {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let text = context.out.json || context.out.plain || context.globals.no_input;
        terminal && !text && !self.once
    }

    fn every(&self) -> Duration {
        self.every.map_or(EVERY, |span| span.0)
    }
}

/// Shows a screen until it is left.
pub(crate) async fn watch<S: Screen>(context: &Context, live: &Live, screen: S) -> Result<(), Failure> {
    let client = context.client()?.patient_for(context.timeout().unwrap_or(PATIENCE));
    let every = live.every();
    let palette = Palette { colour: context.out.colour };
    let mut shell = Shell::new(screen, client.base(), every, palette, SystemClock.now());
    let client = Arc::new(client);
    let (tell, mut answers) = mpsc::unbounded_channel();
    // Where there is nothing to show, the terminal is left alone: it is a failure as any other command's.
    send(&client, &tell, shell.ask());
    if let Some(first) = answers.recv().await {
        drop(shell.came(first, SystemClock.now())?);
    }
    let mut stops = Stops::listen()?;
    let mut taken = Taken::take()?;
    let mut keys = listen();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !shell.has_ended() {
        taken
            .terminal
            .draw(|frame| shell.draw(frame.buffer_mut()))
            .map_err(|error| Failure::new(format!("can't draw on this terminal: {error}")))?;
        tokio::select! {
            () = stops.asked() => break,
            heard = keys.recv() => match heard {
                Some(Heard::Key(key)) => shell.key(key).into_iter().for_each(|sent| send(&client, &tell, sent)),
                Some(Heard::Paste(text)) => shell.pasted(&text),
                Some(Heard::Redraw) => drop(taken.terminal.clear()),
                Some(Heard::Resized) => {}
                Some(Heard::Closed) | None => break,
            },
            Some(came) = answers.recv() => {
                let next = shell.came(came, SystemClock.now())?;
                next.into_iter().for_each(|sent| send(&client, &tell, sent));
            }
            _ = beat.tick() => {
                shell.tick(SystemClock.now()).into_iter().for_each(|sent| send(&client, &tell, sent));
            }
        }
    }
    Ok(())
}

/// The signals that end a screen. Ctrl-C is a key while the terminal is ours; these come from elsewhere.
struct Stops([tokio::signal::unix::Signal; 3]);

impl Stops {
    fn listen() -> Result<Stops, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(format!("can't listen for signals: {error}")));
        Ok(Stops([
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Asks the server beside the screen, which goes on; what comes back is told to it.
fn send<T: Copy + std::fmt::Debug + Send + Sync + 'static>(
    client: &Arc<Client>,
    tell: &mpsc::UnboundedSender<Came<T>>,
    sent: Sent<T>,
) {
    let (client, tell) = (client.clone(), tell.clone());
    tokio::spawn(async move {
        // Nobody listens any more where the screen was left.
        let _ = tell.send(match sent {
            Sent::Order(request) => Came::Order(request.topic, ask(&client, &request).await),
            Sent::Round(number, requests) => {
                let asked =
                    requests.iter().map(async |request| Ok((request.topic, ask(&client, request).await?)));
                Came::Round(number, futures_util::future::try_join_all(asked).await)
            }
        });
    });
}

async fn ask<T>(client: &Client, request: &Request<T>) -> Result<Value, Failure> {
    let Request { method, path, query, idempotency_key, .. } = request;
    match method {
        Method::Get => client.get(path, query).await,
        Method::Probe => client.probe(path).await,
        Method::Text => client.text(path).await.map(Value::String),
        Method::Delete => client.delete(path, query).await,
        Method::Post(body) => client.post_once(path, query, body, idempotency_key.as_deref()).await,
    }
}
