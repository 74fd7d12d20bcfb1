//! Callers that submit until they are told "accepted", and what the provider's ledger says of what they were told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palomar_sim::cloud_api::RunningSim;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::{Server, until};

/// The ids of messages that were accepted, with the numbers of their requests.
type Accepted = HashMap<String, usize>;

/// Callers at work.
pub(crate) struct Callers {
    accepted: Arc<Mutex<Accepted>>,
    tasks: Vec<JoinHandle<()>>,
    messages: usize,
}

/// One who submits to one node after the other.
struct Caller {
    http: reqwest::Client,
    entrances: Vec<(String, String)>,
    channels: Vec<String>,
    accepted: Arc<Mutex<Accepted>>,
}

fn lock(accepted: &Mutex<Accepted>) -> MutexGuard<'_, Accepted> {
    accepted.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Callers {
    /// So many callers submit so many messages, each to another person, to channels in turn and at nodes in turn. Each
    /// repeats a request, with its key, until it is answered.
    pub(crate) fn start(nodes: &[Server], channels: &[&str], callers: usize, messages: usize) -> Callers {
        let accepted: Arc<Mutex<Accepted>> = Arc::default();
        let tasks = (0..callers).map(|first| {
            let caller = Caller {
                http: nodes[0].http.clone(),
                entrances: nodes.iter().map(Server::entrance).collect(),
                channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
                accepted: Arc::clone(&accepted),
            };
            tokio::spawn(async move {
                for n in (first..messages).step_by(callers) {
                    caller.submit(n).await;
                }
            })
        });
        Callers { tasks: tasks.collect(), accepted, messages }
    }

    /// Waits until all are accepted; their ids.
    pub(crate) async fn end(self) -> HashSet<String> {
        for task in self.tasks {
            task.await.expect("all were accepted");
        }
        let ids: HashSet<String> = lock(&self.accepted).keys().cloned().collect();
        assert_eq!(ids.len(), self.messages, "every request has a message of its own");
        ids
    }
}

impl Caller {
    async fn submit(&self, n: usize) {
        let body = json!({
            "channel": self.channels[n % self.channels.len()],
            "to": format!("+34600{n:06}"), "type": "text", "content": { "text": format!("Hola {n}") },
        });
        for (url, key) in self.entrances.iter().cycle().skip(n / self.channels.len()) {
            let request = self.http.post(url).bearer_auth(key).header("Idempotency-Key", format!("row-{n}"));
            match request.json(&body).send().await {
                Ok(answer) if answer.status() == 202 => {
                    if let Ok(body) = answer.json::<serde_json::Value>().await {
                        let id = body["id"].as_str().expect("an id").to_owned();
                        let before = lock(&self.accepted).insert(id.clone(), n);
                        assert_eq!(before, None, "two requests were given the id {id}");
                        return;
                    }
                }
                Ok(answer) if answer.status().is_client_error() && answer.status() != 409 => {
                    panic!("{n}: {}", answer.text().await.unwrap_or_default())
                }
                // It is being killed, or starts, or a store is away: the same request again.
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

/// Waits until nothing waits in a channel's queue; the messages whose outcome is not known and that the provider never
/// took. What was killed between its durable start and its first byte is uncertain for good: nobody but a person can
/// tell, and the provider's ledger is that person here. The others resolve themselves by the tag in their statuses.
pub(crate) async fn never_taken(server: &Server, channel: &str, sim: &RunningSim) -> Vec<String> {
    until(&format!("all that waited in {channel} is through"), || async {
        let queue = server.listed(channel).await?;
        let left: u64 = ["waiting", "active", "leased", "scheduled"]
            .iter()
            .map(|state| queue[*state].as_u64().unwrap_or(0))
            .sum();
        if left > 0 {
            return Err(queue.to_string());
        }
        let taken: HashSet<String> =
            sim.ledger(0, sim.accepted()).iter().filter_map(|entry| entry.tag.clone()).collect();
        let open = server.ids(channel, "uncertain").await;
        // The queue knows first.
        if queue["uncertain"].as_u64() != Some(open.len() as u64) {
            return Err(format!("{} in the records, {queue}", open.len()));
        }
        let unknown: Vec<String> =
            open.iter().filter(|id| !taken.iter().any(|tag| tag.contains(*id))).cloned().collect();
        if unknown.len() == open.len() { Ok(unknown) } else { Err(format!("{} uncertain", open.len())) }
    })
    .await
}

/// A person says of messages that they were not sent: they are tried again.
pub(crate) async fn try_again(server: &Server, messages: &[String]) {
    for id in messages {
        let path = format!("/api/messages/{id}/settle");
        let (status, answer) = server.post(&path, json!({ "outcome": "retry" })).await;
        assert_eq!(status, 200, "{answer}");
    }
}
