//! Trial 2: no answer before the flush that covers it, and one flush for many answers.
//!
//! The system calls of a process with 64 callers are recorded. Every request carries a text of its own, which is found
//! again in the write to the write-ahead log that holds its commit; the answer, a line in a pipe, must come after a
//! flush that began after that write.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{Broker, EmbeddedBroker, NewJob, Outcome, Settle, Signal};

use crate::process::{self, WallClock, job, need_strace, run, take, tell};

const CALLERS: u128 = 64;
const ROUNDS: u128 = 20;

/// 64 callers: each enqueues, and settles what it leases.
pub(crate) fn child() {
    run(async {
        let broker =
            EmbeddedBroker::open(process::config(&process::dir()), Arc::new(WallClock)).expect("opens");
        let broker = Arc::new(broker);
        let callers: Vec<_> =
            (0..CALLERS).map(|caller| tokio::spawn(call(Arc::clone(&broker), caller))).collect();
        for caller in callers {
            caller.await.expect("a caller");
        }
        tell("END");
    });
}

async fn call(broker: Arc<EmbeddedBroker>, caller: u128) {
    for round in 0..ROUNDS {
        let n = caller * ROUNDS + round + 1;
        // Payloads may be compressed; the name of a group is written as it is, and at most one of two copies is torn
        // by the end of a page.
        let text = format!("<enqueue-{n:06}>");
        let job = NewJob { group: Some(text.repeat(2).into()), ..job(n, text.clone()) };
        broker.enqueue(vec![job]).await.expect("enqueue");
        tell(&text);
        for job in broker.lease(take(1, Duration::ZERO)).await.expect("lease") {
            let text = format!("<settle-{:06}>", job.lease.id.0.as_u128());
            let events = vec![text.clone().into()];
            let settle = Settle { lease: job.lease, outcome: Outcome::Done, signal: Signal::None, events };
            broker.settle(vec![settle]).await.expect("settle")[0].expect("settles");
            tell(&text);
        }
    }
}

/// A system call: the lines of the record at which it began and ended.
struct Call<'a> {
    name: &'a str,
    arguments: &'a str,
    begun: usize,
    ended: usize,
}

/// The calls of a record of `strace -f -y`.
fn calls(record: &str) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut unfinished: HashMap<(&str, &str), usize> = HashMap::new();
    for (at, line) in record.lines().enumerate() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let name = resumed.split(' ').next().unwrap_or_default();
            if let Some(call) = unfinished.remove(&(process, name)) {
                calls[call].ended = at;
            }
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else { continue };
        let pending = arguments.ends_with("<unfinished ...>");
        if pending {
            unfinished.insert((process, name), calls.len());
        }
        calls.push(Call { name, arguments, begun: at, ended: if pending { usize::MAX } else { at } });
    }
    calls
}

#[test]
fn no_answer_comes_before_its_flush_and_one_flush_serves_many() {
    need_strace();
    let dir = tempfile::tempdir().expect("a directory");
    let record = dir.path().join("strace");
    let path = record.to_str().expect("a path of text");
    let wrapper = [
        "strace",
        "-f",
        "-y",
        "-s",
        "8192",
        "-e",
        "trace=fdatasync,fsync,pwrite64,write,writev,pwritev",
        "-o",
        path,
    ];
    let store = dir.path().join("store");
    let output = process::command(&wrapper, "flush", &store, 0).stderr(Stdio::null()).output().expect("runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("@END"), "the callers have finished");
    let record = String::from_utf8_lossy(&std::fs::read(&record).expect("a record")).into_owned();
    let calls = calls(&record);
    let of_wal = |call: &&Call<'_>| {
        call.arguments.split_once('>').is_some_and(|(file, _)| file.ends_with("queue.db-wal"))
    };
    let flushes: Vec<&Call<'_>> =
        calls.iter().filter(of_wal).filter(|call| matches!(call.name, "fdatasync" | "fsync")).collect();
    let writes: Vec<&Call<'_>> =
        calls.iter().filter(of_wal).filter(|call| call.name.contains("write")).collect();
    let mut written: HashMap<&str, usize> = HashMap::new();
    for write in &writes {
        for text in texts(write.arguments) {
            written.entry(text).or_insert(write.ended);
        }
    }
    let mut answers = 0_usize;
    for call in calls.iter().filter(|call| call.name == "write" && call.arguments.contains("\"@<")) {
        for text in texts(call.arguments) {
            answers += 1;
            let written =
                written.get(text).unwrap_or_else(|| panic!("{text} was answered, and never written"));
            let covered = flushes.iter().any(|flush| flush.begun > *written && flush.ended < call.begun);
            assert!(covered, "{text} was answered in line {} of the record, before its flush", call.begun);
        }
    }
    // Leases are requests too; their answers make no line.
    let requests = answers + (CALLERS * ROUNDS) as usize;
    let share = flushes.len() as f64 / requests as f64;
    println!(
        "flush: {requests} requests, {answers} answers checked, {} flushes: {share:.3} each",
        flushes.len()
    );
    assert!(answers >= (CALLERS * ROUNDS) as usize, "{answers} answers");
    assert!(share <= 0.2, "{share:.3} flushes a request");
}

/// The texts of requests in the bytes of a write.
fn texts(arguments: &str) -> impl Iterator<Item = &str> {
    let starts = arguments.match_indices('<').map(|(at, _)| at);
    starts.filter_map(move |at| {
        let text = &arguments[at..];
        let end = text.get(..20)?.find('>')?;
        let text = &text[..=end];
        (text.starts_with("<enqueue-") || text.starts_with("<settle-")).then_some(text)
    })
}
