//! What a measurement is made of: time, processor time, memory, bytes written; one JSON line each.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// Figures of this process from `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time, user and system, of all threads.
    pub(super) cpu: Duration,
    /// Bytes that were sent to the disk.
    pub(super) written: u64,
    /// Resident memory.
    pub(super) resident: u64,
}

impl Usage {
    /// The figures of this process now.
    pub(super) fn now() -> Usage {
        Usage::of("self")
    }

    /// The figures of a process now; zero where the system has no `/proc`.
    pub(super) fn of(process: &str) -> Usage {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let stat = read("stat");
        // Fields are counted after the name, which may hold spaces: utime and stime are the 14th and 15th of all.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let written =
            read("io").lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or(0);
        let pages: u64 = read("statm").split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        // Linux counts in hundredths of a second and, on the machines that we run on, in pages of 4 KiB.
        Usage { cpu: Duration::from_millis(ticks * 10), written, resident: pages * 4096 }
    }
}

/// A running measurement.
pub(super) struct Measurement {
    begun: Instant,
    usage: Usage,
}

impl Measurement {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub(super) fn begin() -> Measurement {
        Measurement { begun: Instant::now(), usage: Usage::now() }
    }

    /// Ends: what it took.
    pub(super) fn stop(self) -> Measured {
        let took = self.begun.elapsed();
        let usage = Usage::now();
        Measured {
            took,
            cpu: usage.cpu - self.usage.cpu,
            written: usage.written - self.usage.written,
            elsewhere: None,
        }
    }

    /// Ends: prints a line for `n` operations, with what is `more` to say.
    pub(super) fn end(self, engine: &str, what: &str, n: usize, more: Value) {
        self.stop().print(engine, what, n, more);
    }
}

/// A measurement that is over.
pub(super) struct Measured {
    took: Duration,
    cpu: Duration,
    written: u64,
    /// Where the queues are in another process: what that one spent.
    pub(super) elsewhere: Option<Elsewhere>,
}

/// What a server spent meanwhile.
pub(super) struct Elsewhere {
    pub(super) cpu: Duration,
    /// Commands that it ran, those within functions included.
    pub(super) commands: u64,
    /// Bytes that its append-only file grew by; none where it was written anew meanwhile.
    pub(super) appended: Option<u64>,
}

impl Measured {
    /// How long it took.
    pub(super) const fn took(&self) -> Duration {
        self.took
    }

    /// Prints a line for `n` operations, with what is `more` to say.
    pub(super) fn print(self, engine: &str, what: &str, n: usize, more: Value) {
        let per = |total: f64, digits: f64| (total / n.max(1) as f64 * digits).round() / digits;
        let micros = |cpu: Duration| per(cpu.as_micros() as f64, 10.0);
        let mut line = Map::new();
        line.insert("n".into(), json!(n));
        line.insert("per_s".into(), json!((n as f64 / self.took.as_secs_f64()).round()));
        line.insert("took_ms".into(), json!(self.took.as_millis() as u64));
        match self.elsewhere {
            None => {
                line.insert("cpu_us_per_op".into(), json!(micros(self.cpu)));
                line.insert("written_bytes_per_op".into(), json!(per(self.written as f64, 10.0)));
            }
            Some(Elsewhere { cpu, commands, appended }) => {
                // All processes together, as where there is one.
                line.insert("cpu_us_per_op".into(), json!(micros(self.cpu + cpu)));
                line.insert("redis_cpu_us_per_op".into(), json!(micros(cpu)));
                line.insert("redis_commands_per_op".into(), json!(per(commands as f64, 100.0)));
                let appended = appended.map(|bytes| per(bytes as f64, 1.0));
                line.insert("aof_bytes_per_op".into(), json!(appended));
            }
        }
        if let Value::Object(more) = more {
            line.extend(more);
        }
        print(engine, what, Value::Object(line));
    }
}

/// Prints one measurement: an object of its figures.
#[expect(clippy::print_stdout, reason = "the lines are the benchmark's result")]
pub(super) fn print(engine: &str, what: &str, fields: Value) {
    let mut line = Map::new();
    line.insert("bench".into(), json!("queue"));
    line.insert("engine".into(), json!(engine));
    line.insert("what".into(), json!(what));
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    println!("{}", Value::Object(line));
}

/// Percentiles of laps, in milliseconds.
pub(super) fn percentiles(laps: &mut [Duration]) -> Value {
    laps.sort_unstable();
    let at = |share: f64| {
        let index = ((laps.len() as f64 * share) as usize).min(laps.len().saturating_sub(1));
        laps.get(index).map(|lap| (lap.as_secs_f64() * 1e6).round() / 1e3)
    };
    json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) })
}
