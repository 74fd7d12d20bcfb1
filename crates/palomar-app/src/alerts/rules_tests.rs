//! What each rule finds, and what it lets pass.

use palomar_broker::Limits;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn queue(name: &str) -> QueueStats {
    let (pool, name) = name.split_once('/').expect("a pool");
    QueueStats {
        queue: QueueName::new(pool, name).expect("a name"),
        limits: Limits::default(),
        paused: None,
        paused_groups: Vec::new(),
        breaker: BreakerState::Closed,
        rate_permille: 1_000,
        counts: [0; 8],
        leased: 0,
        waiting: [0; 4],
        accepted: 0,
        starts: 0,
        finished: [0; 8],
        duplicate_sends: 0,
        stale: 0,
        expired_leases: [0; 2],
        taken_back: [0; 8],
        breaker_opens: 0,
        resolved: [0; 3],
        rate_held: Vec::new(),
        oldest_waiting: None,
        oldest_ready: [None; 4],
        next_start: None,
        budget_used: None,
    }
}

fn look(seen: &mut Seen, queue: QueueStats, now: Timestamp) -> Vec<(AlertRule, Severity)> {
    let stats = Stats { queues: vec![queue], ..Stats::default() };
    let found = seen.look(&AlertConfig::default(), &stats, &[], &HashMap::new(), now);
    found.into_iter().map(|finding| (finding.rule, finding.severity)).collect()
}

#[test]
fn a_breaker_that_is_not_closed_is_found() {
    let of = |breaker| look(&mut Seen::default(), QueueStats { breaker, ..queue("outbound/line") }, NOW);
    assert_eq!(of(BreakerState::Closed), []);
    let open = (AlertRule::BreakerOpen, Severity::Critical);
    assert_eq!(of(BreakerState::Open { until: NOW }), [open]);
    assert_eq!(of(BreakerState::HalfOpen), [open]);
}

#[test]
fn failures_count_by_what_came_to_an_end_lately() {
    let mut seen = Seen::default();
    let mut at = |seconds: i64, done: u64, dead: u64| {
        let mut queue = queue("outbound/line");
        (queue.finished[JobState::Done as usize], queue.finished[JobState::Dead as usize]) = (done, dead);
        look(&mut seen, queue, Timestamp::from_seconds(1_800_000_000 + seconds))
    };
    let warning = (AlertRule::FailureRateHigh, Severity::Warning);
    let critical = (AlertRule::FailureRateHigh, Severity::Critical);
    // What had failed before anybody looked says nothing.
    assert_eq!(at(0, 1_000, 900), []);
    assert_eq!(at(10, 1_010, 905), [], "15 are too few");
    assert_eq!(at(20, 1_092, 908), [warning]);
    assert_eq!(at(30, 1_092, 950), [critical]);
    assert_eq!(at(200, 2_500, 950), []);
    assert_eq!(at(600, 2_500, 950), [], "the window is past");
    assert_eq!(at(610, 0, 0), [], "a new queue of that name");
    assert_eq!(at(620, 0, 100), [critical]);
}

#[test]
fn webhooks_that_wait_and_queues_that_are_full_are_found() {
    let of = |queue| look(&mut Seen::default(), queue, NOW);
    let since = |seconds| Some(NOW.before(Duration::from_secs(seconds)));
    let late = (AlertRule::QueueWaitHigh, Severity::Critical);
    assert_eq!(of(QueueStats { oldest_waiting: since(9), ..queue("inbound/line") }), []);
    assert_eq!(of(QueueStats { oldest_waiting: since(11), ..queue("inbound/line") }), [late]);
    let paused = Some("by hand".into());
    assert_eq!(of(QueueStats { oldest_waiting: since(11), paused, ..queue("inbound/line") }), []);
    assert_eq!(of(QueueStats { oldest_waiting: since(9_999), ..queue("outbound/line") }), [], "a campaign");
    let full = (AlertRule::QueueSaturated, Severity::Warning);
    assert_eq!(of(QueueStats { waiting: [0, 0, 0, 100_000], ..queue("outbound/line") }), []);
    assert_eq!(of(QueueStats { waiting: [1, 0, 0, 100_000], ..queue("outbound/line") }), [full]);
}

#[test]
fn urgent_messages_that_wait_are_found() {
    let since = |seconds| Some(NOW.before(Duration::from_secs(seconds)));
    let of =
        |oldest_ready| look(&mut Seen::default(), QueueStats { oldest_ready, ..queue("outbound/line") }, NOW);
    let late = (AlertRule::QueueWaitHigh, Severity::Critical);
    assert_eq!(of([since(60), since(60), since(9_999), since(9_999)]), [], "the others have time");
    assert_eq!(of([since(61), None, None, None]), [late]);
    assert_eq!(of([since(1), since(61), None, None]), [late]);
    let held = QueueStats {
        oldest_ready: [None, since(9_999), None, None],
        paused: Some("by hand".into()),
        ..queue("outbound/line")
    };
    assert_eq!(look(&mut Seen::default(), held, NOW), []);
    let stats = QueueStats { oldest_ready: [None, since(61), None, None], ..queue("outbound/line") };
    let stats = Stats { queues: vec![stats], ..Stats::default() };
    let found = Seen::default().look(&AlertConfig::default(), &stats, &[], &HashMap::new(), NOW);
    assert_eq!(found[0].detail, "an urgent message has waited for 61 s; 60 s may");
}

#[test]
fn a_queue_that_paused_by_itself_is_found() {
    let of = |reason: &str| {
        let paused = Some(reason.into());
        look(&mut Seen::default(), QueueStats { paused, ..queue("outbound/line") }, NOW)
    };
    let paused = (AlertRule::ChannelPaused, Severity::Critical);
    assert_eq!(of("auth: 190: the token is no more"), [paused]);
    assert_eq!(of("account: 131031: locked"), [paused]);
    assert_eq!(of(crate::attempt::NO_CHANNEL), [paused]);
    assert_eq!(of("by hand"), [], "somebody knows");
    assert_eq!(of(&format!("auth: {NOT_READY}: the session is not ready")), [], "its session tells");
}

#[test]
fn messages_of_which_nobody_knows_are_found() {
    let of = |counts| look(&mut Seen::default(), QueueStats { counts, ..queue("outbound/line") }, NOW);
    let mut counts = [1; 8];
    assert_eq!(of(counts), [(AlertRule::MessagesUncertain, Severity::Warning)]);
    counts[JobState::Uncertain as usize] = 0;
    assert_eq!(of(counts), []);
    assert_eq!(held_for(AlertRule::MessagesUncertain, &AlertConfig::default()), Duration::from_secs(60));
}

#[test]
fn a_session_that_is_wanted_and_down_is_found() {
    let of = |wanted, status: Status| {
        let session = SessionRecord {
            channel: "line".parse().expect("a name"),
            system_id: String::new(),
            wanted,
            status: status.as_str().to_owned(),
            reason: "logged_out".to_owned(),
            detail: None,
            since: NOW,
            restarts: 0,
            created_at: NOW,
            updated_at: NOW,
        };
        Seen::default().look(&AlertConfig::default(), &Stats::default(), &[session], &HashMap::new(), NOW)
    };
    for status in Status::ALL {
        assert_eq!(of(Wanted::Closed, status), [], "nobody wants it");
        let down = !matches!(status, Status::Available | Status::Busy);
        assert_eq!(of(Wanted::Open, status).len(), usize::from(down), "{}", status.as_str());
    }
    let found = of(Wanted::Open, Status::Error);
    assert_eq!(found[0].rule, AlertRule::ChannelDisconnected);
    assert_eq!(found[0].subject, "outbound/line");
    assert_eq!(found[0].detail, "the session is error (logged_out): its messages wait");
}

#[test]
fn what_is_reported_later_counts_as_failed() {
    let mut ended = queue("outbound/line");
    ended.finished[JobState::Done as usize] = 100;
    let stats = Stats { queues: vec![ended], ..Stats::default() };
    let of = |reported: u64| {
        let mut seen = Seen::default();
        let before = Stats { queues: vec![queue("outbound/line")], ..Stats::default() };
        seen.look(
            &AlertConfig::default(),
            &before,
            &[],
            &HashMap::new(),
            NOW.before(Duration::from_secs(60)),
        );
        let reported = HashMap::from([("line".to_owned(), reported), ("crm".to_owned(), 99)]);
        let found = seen.look(&AlertConfig::default(), &stats, &[], &reported, NOW);
        found.into_iter().map(|finding| (finding.severity, finding.detail)).collect::<Vec<_>>()
    };
    assert_eq!(of(5), []);
    let words = |words: &str| words.to_owned();
    assert_eq!(of(6), [(Severity::Warning, words("6 of the last 100 messages failed (6 %), within 5 min"))]);
    // More than were sent within the window.
    assert_eq!(
        of(200),
        [(Severity::Critical, words("200 of the last 200 messages failed (100 %), within 5 min"))]
    );
}
