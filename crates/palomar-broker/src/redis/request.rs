//! What is asked of the library: one operation each, packed where it is asked for.

use std::time::Duration;

use bytes::Bytes;

use super::record;
use super::together::Brought;
use super::wire::{FOREVER, Writer, micros, span};
use crate::types::{
    Control, Evidence, JobFilter, JobId, JobState, LeaseRef, Limits, NewJob, Outcome, QueueName, Resolution,
    Settle, Signal, Verdict,
};

/// What becomes of an operation that is repeated, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// It brings something new: refused where Redis has no memory left.
    Brings,
    /// It changes what is there.
    Changes,
    /// It only looks, and may be repeated freely.
    Looks,
}

/// What an operation says.
#[derive(Debug)]
pub(super) enum Body {
    Packed(Vec<u8>),
    /// Jobs to enqueue: packed with those of others (see `together`).
    Jobs(Vec<Brought>),
}

impl Body {
    /// The jobs that it enqueues.
    pub(super) fn jobs(&self) -> &[Brought] {
        match self {
            Body::Packed(_) => &[],
            Body::Jobs(jobs) => jobs,
        }
    }
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) nature: Nature,
    pub(super) body: Body,
    /// Jobs that it brings or settles.
    pub(super) weight: usize,
    /// Whether the job's record comes with the answer, where there is a job.
    pub(super) shows_record: bool,
}

fn operation(nature: Nature, name: &str, fields: usize, fill: impl FnOnce(&mut Writer)) -> Operation {
    let mut writer = Writer::default();
    writer.array(fields + 1).bytes(name);
    fill(&mut writer);
    Operation { nature, body: Body::Packed(writer.into_bytes()), weight: 1, shows_record: false }
}

/// Phases as the library numbers them, from one.
const PHASES: usize = 15;
const SCHEDULED_TO_PARKED: std::ops::RangeInclusive<usize> = 1..=6;
const LEASED: usize = 7;
const DEAD: usize = 12;

/// What a sweep does to the jobs that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    /// Cancels what waits.
    Cancel,
    /// Queues dead letters again.
    Retry,
    /// Forgets dead letters.
    Forget,
    /// Counts dead letters.
    Count,
}

impl Sweep {
    const fn name(self) -> &'static str {
        match self {
            Sweep::Cancel => "cancel",
            Sweep::Retry => "retry",
            Sweep::Forget => "forget",
            Sweep::Count => "count",
        }
    }

    fn takes(self, phase: usize) -> bool {
        match self {
            Sweep::Cancel => SCHEDULED_TO_PARKED.contains(&phase) || phase == LEASED,
            Sweep::Retry | Sweep::Forget | Sweep::Count => phase == DEAD,
        }
    }
}

pub(super) fn enqueue(jobs: &[NewJob]) -> Operation {
    Operation {
        nature: Nature::Brings,
        body: Body::Jobs(jobs.iter().map(Brought::new).collect()),
        weight: jobs.len(),
        shows_record: false,
    }
}

/// A lease; `waits` is whether somebody is to be told when there is work.
pub(super) fn lease(pool: &str, max: usize, lease: Duration, start: bool, waits: bool) -> Operation {
    operation(Nature::Changes, "lease", 5, |writer| {
        writer.bytes(pool).count(max).int(span(lease)).bool(start).bool(waits);
    })
}

fn of_leases(name: &str, leases: &[LeaseRef], by: Option<Duration>) -> Operation {
    operation(Nature::Changes, name, if by.is_some() { 2 } else { 1 }, |writer| {
        writer.array(2 * leases.len());
        for LeaseRef { id, token } in leases {
            writer.bytes(id.0.as_bytes()).int(*token);
        }
        if let Some(by) = by {
            writer.int(span(by));
        }
    })
}

pub(super) fn start(leases: &[LeaseRef]) -> Operation {
    of_leases("start", leases, None)
}

pub(super) fn renew(leases: &[LeaseRef], by: Duration) -> Operation {
    of_leases("renew", leases, Some(by))
}

fn events(writer: &mut Writer, events: &[Bytes]) {
    writer.array(events.len());
    for event in events {
        writer.bytes(event);
    }
}

pub(super) fn settle(settles: &[Settle]) -> Operation {
    let mut operation = operation(Nature::Changes, "settle", 1, |writer| {
        writer.array(3 * settles.len());
        for settle in settles {
            writer.bytes(settle.lease.id.0.as_bytes()).int(settle.lease.token);
            became(writer, settle);
        }
    });
    operation.weight = settles.len();
    operation
}

/// What became of a lease: zero stands for done and nothing else.
fn became(writer: &mut Writer, settle: &Settle) {
    let plain = settle.signal == Signal::None && settle.events.is_empty();
    if plain && settle.outcome == Outcome::Done {
        writer.int(0);
        return;
    }
    writer.array(if plain { 3 } else { 6 });
    match &settle.outcome {
        Outcome::Done => writer.int(0).none().none(),
        Outcome::Retry { at, counts } => writer.int(1).int(micros(*at)).bool(*counts),
        Outcome::Dead { reason } => writer.int(2).bytes(&**reason).none(),
        Outcome::Uncertain => writer.int(3).none().none(),
        Outcome::Release => writer.int(4).none().none(),
        Outcome::Panicked => writer.int(5).none().none(),
    };
    if plain {
        return;
    }
    match &settle.signal {
        Signal::None => writer.int(0).none(),
        Signal::Success => writer.int(1).none(),
        Signal::Failure => writer.int(2).none(),
        Signal::Throttled { after } => writer.int(3).maybe_int(after.map(span)),
        Signal::Pause { reason } => writer.int(4).bytes(&**reason),
    };
    events(writer, &settle.events);
}

pub(super) fn evidence(all: &[Evidence]) -> Operation {
    operation(Nature::Changes, "evidence", 1, |writer| {
        writer.array(all.len());
        for evidence in all {
            writer.array(4).bytes(evidence.id.0.as_bytes()).int(evidence.attempt);
            match &evidence.verdict {
                Verdict::Taken => writer.bool(true),
                Verdict::Failed { reason } => writer.bytes(&**reason),
            };
            events(writer, &evidence.events);
        }
    })
}

pub(super) fn log(bodies: &[Bytes]) -> Operation {
    operation(Nature::Brings, "log", 1, |writer| events(writer, bodies))
}

/// An order about one queue or job; the others are sweeps.
pub(super) fn order(control: &Control) -> Option<Operation> {
    let of_queue = |what, queue: &QueueName, more: &dyn Fn(&mut Writer)| {
        operation(Nature::Changes, "control", 3, |writer| {
            writer.bytes(what).bytes(queue.as_str());
            more(writer);
        })
    };
    let of_job = |what, id: &JobId, more: i64| {
        operation(Nature::Changes, "control", 3, |writer| {
            writer.bytes(what).bytes(id.0.as_bytes()).int(more);
        })
    };
    let nothing = |writer: &mut Writer| {
        writer.none();
    };
    Some(match control {
        Control::Configure { queue, limits } => of_queue("configure", queue, &|writer| {
            writer.bytes(limits_packed(limits));
        }),
        Control::Pause { queue, reason } => of_queue("pause", queue, &|writer| {
            writer.bytes(&**reason);
        }),
        Control::Resume { queue } => of_queue("resume", queue, &nothing),
        Control::Lift { queue, reason } => of_queue("lift", queue, &|writer| {
            writer.bytes(&**reason);
        }),
        Control::PauseGroup { queue, group } => of_queue("pause_group", queue, &|writer| {
            writer.bytes(record::group_name(group));
        }),
        Control::ResumeGroup { queue, group } => of_queue("resume_group", queue, &|writer| {
            writer.bytes(record::group_name(group));
        }),
        Control::Remove { queue } => of_queue("remove", queue, &nothing),
        Control::Cancel { id } => of_job("cancel", id, 0),
        Control::Promote { id } => of_job("promote", id, 0),
        Control::RetryDead { id } => of_job("retry", id, 0),
        Control::Resolve { id, resolution } => {
            let resolution = match resolution {
                Resolution::Sent => 0,
                Resolution::Failed => 1,
                Resolution::Retry => 2,
            };
            of_job("resolve", id, resolution)
        }
        Control::CancelAll(_) | Control::RetryAll(_) | Control::Purge(_) | Control::Clean { .. } => {
            return None;
        }
    })
}

/// Goes on letting jobs pass where a group was paused or resumed.
pub(super) fn let_pass(queue: &QueueName, group: &str, from: &[u8]) -> Operation {
    operation(Nature::Changes, "let_pass", 3, |writer| {
        writer.bytes(queue.as_str()).bytes(record::group_name(group)).bytes(from);
    })
}

/// Attempts that began in queues at a time were durable later.
pub(super) fn put_off(from: i64, to: i64, queues: &[u32]) -> Operation {
    operation(Nature::Changes, "put_off", 3, |writer| {
        writer.int(from).int(to).array(queues.len());
        for queue in queues {
            writer.int(*queue);
        }
    })
}

fn filter(writer: &mut Writer, filter: &JobFilter) {
    writer.array(8);
    writer.maybe_bytes(filter.queue.as_ref().map(QueueName::as_str));
    writer.maybe_bytes(filter.pool.as_deref());
    writer.maybe_bytes(filter.group.as_deref().map(record::group_name));
    if filter.states.is_empty() {
        writer.none();
    } else {
        writer.array(JobState::ALL.len());
        for state in JobState::ALL {
            writer.bool(filter.states.contains(&state));
        }
    }
    writer.maybe_bytes(filter.reason.as_deref());
    writer.maybe_int(filter.before.map(micros));
    writer.maybe_int(filter.ended_before.map(micros));
    writer.maybe_bytes(filter.id.map(|id| *id.0.as_bytes()));
}

/// A part of a sweep over jobs numbered above `from` and up to `to`; `allowed` says how many of each queue.
pub(super) fn sweep(
    what: Sweep,
    of: &JobFilter,
    from: u64,
    to: Option<u64>,
    allowed: Option<&[(u32, u64)]>,
) -> Operation {
    let nature = if what == Sweep::Count { Nature::Looks } else { Nature::Changes };
    operation(nature, "sweep", 6, |writer| {
        filter(writer, of);
        writer.array(PHASES);
        for phase in 1..=PHASES {
            writer.bool(what.takes(phase));
        }
        writer.bytes(what.name()).count(from);
        writer.int(to.map_or(FOREVER, |to| i64::try_from(to).unwrap_or(FOREVER)));
        match allowed {
            None => {
                writer.none();
            }
            Some(allowed) => {
                writer.map(allowed.len());
                for &(queue, count) in allowed {
                    writer.int(queue).count(count);
                }
            }
        }
    })
}

/// Forgets done, cancelled and expired jobs but for the newest, in queues from a number on.
pub(super) fn clean(of: &JobFilter, keep: usize, from: u32) -> Operation {
    operation(Nature::Changes, "clean", 3, |writer| {
        filter(writer, of);
        writer.count(keep).int(from);
    })
}

pub(super) fn in_flight(of: &JobFilter) -> Operation {
    operation(Nature::Looks, "in_flight", 1, |writer| filter(writer, of))
}

pub(super) fn job(id: JobId) -> Operation {
    let mut operation = operation(Nature::Looks, "job", 1, |writer| {
        writer.bytes(id.0.as_bytes());
    });
    operation.shows_record = true;
    operation
}

/// Which of these jobs are there.
pub(super) fn knows(ids: &[JobId]) -> Operation {
    operation(Nature::Looks, "knows", 1, |writer| {
        writer.array(ids.len());
        for id in ids {
            writer.bytes(id.0.as_bytes());
        }
    })
}

pub(super) fn jobs(of: &JobFilter, after: u64, limit: usize) -> Operation {
    operation(Nature::Looks, "jobs", 3, |writer| {
        filter(writer, of);
        writer.count(after).count(limit);
    })
}

pub(super) fn explain(id: JobId) -> Operation {
    operation(Nature::Looks, "explain", 1, |writer| {
        writer.bytes(id.0.as_bytes());
    })
}

/// Queues from a number on, in numbers.
pub(super) fn stats(from: u32) -> Operation {
    operation(Nature::Looks, "stats", 1, |writer| {
        writer.int(from);
    })
}

pub(super) fn readers(names: &[String]) -> Operation {
    operation(Nature::Changes, "readers", 1, |writer| {
        writer.array(names.len());
        for name in names {
            writer.bytes(name);
        }
    })
}

pub(super) fn acknowledge(reader: &str, through: u64) -> Operation {
    operation(Nature::Changes, "acknowledge", 2, |writer| {
        writer.bytes(reader).count(through);
    })
}

/// Asks to be told of facts after one; answers whether there are some already.
pub(super) fn await_facts(after: u64) -> Operation {
    operation(Nature::Looks, "await", 1, |writer| {
        writer.count(after);
    })
}

/// Says nothing new, and is confirmed like what does: so is what was there before it.
pub(super) fn confirm_facts() -> Operation {
    operation(Nature::Changes, "await", 1, |writer| {
        writer.count(0_u64);
    })
}

/// What a queue allows, as it is stored.
pub(super) fn limits_packed(limits: &Limits) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.array(12).array(limits.windows.len());
    for window in &limits.windows {
        writer.array(2).int(window.max).int(span(window.window));
    }
    writer.int(limits.margin_permille);
    match limits.pair {
        Some(pair) => writer.array(2).int(span(pair.interval)).int(pair.burst),
        None => writer.none(),
    };
    writer.int(limits.concurrency);
    match &limits.budget {
        Some(budget) => writer.array(3).bytes(&*budget.name).int(budget.max).int(span(budget.window)),
        None => writer.none(),
    };
    writer.int(limits.breaker.failures).int(span(limits.breaker.open_for));
    for duration in
        [limits.deadline, limits.lease_margin, limits.order_wait, limits.uncertain_wait, limits.throttle_wait]
    {
        writer.int(span(duration));
    }
    writer.into_bytes()
}
