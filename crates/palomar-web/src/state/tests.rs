//! The state machine: a table of what people see, and what holds whatever happens.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn patience() -> Patience {
    Patience::default()
}

fn after(inputs: Vec<Input>) -> State {
    let step = |state, input| next(state, input, &patience(), NOW).0;
    inputs.into_iter().fold(State::new(NOW), step)
}

fn up() -> Vec<Input> {
    vec![Input::Command(Command::Open), Input::Started]
}

#[test]
fn what_people_see() {
    let qr = || Input::Seen(Screen::Qr("2@a".to_owned()));
    let ready = || Input::Seen(Screen::Ready);
    for (more, status, reason) in [
        (vec![], Status::Disconnected, "loading"),
        (vec![qr()], Status::Disconnected, "scan_qr"),
        (vec![qr(), Input::Seen(Screen::QrExpired)], Status::Disconnected, "qr_expired"),
        (vec![qr(), Input::Seen(Screen::Syncing)], Status::Disconnected, "syncing"),
        (vec![qr(), ready()], Status::Available, "ready"),
        (vec![ready(), Input::Work(true)], Status::Busy, "sending"),
        (vec![ready(), Input::Work(true), ready()], Status::Busy, "sending"),
        (vec![ready(), Input::Work(true), Input::Work(false)], Status::Available, "ready"),
        (vec![ready(), qr()], Status::Disconnected, "logged_out"),
        (vec![ready(), Input::Seen(Screen::Offline)], Status::Disconnected, "offline"),
        (vec![ready(), Input::Seen(Screen::Conflict)], Status::Disconnected, "conflict"),
        (vec![ready(), Input::Fault(Fault::Crashed)], Status::Disconnected, "crashed"),
        (vec![Input::Seen(Screen::Refused("update".to_owned()))], Status::Error, "refused"),
        (
            vec![Input::Trouble(Trouble::PageChanged(vec!["composer".to_owned()]))],
            Status::Error,
            "page_changed",
        ),
        (vec![ready(), Input::Command(Command::Close)], Status::Closed, "closed"),
        (vec![ready(), Input::Command(Command::Restart)], Status::Disconnected, "starting"),
        // Who is closed sees nothing and falls over nothing.
        (vec![Input::Command(Command::Close), ready(), Input::Fault(Fault::Hung)], Status::Closed, "closed"),
    ] {
        let state = after(up().into_iter().chain(more.clone()).collect());
        assert_eq!((state.status(&patience()), state.reason()), (status, reason), "{more:?}");
    }
}

#[test]
fn faults_wait_longer_each_time_and_show_as_an_error_in_the_end() {
    let (mut state, _) = next(State::new(NOW), Input::Command(Command::Open), &patience(), NOW);
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..10 {
        (state, _) = next(state, Input::Fault(Fault::Crashed), &patience(), now);
        let Phase::Waiting { until, .. } = state.phase.clone() else { panic!("{state:?}") };
        waits.push(until.since(now).as_millis());
        now = until;
        let (started, actions) = next(state, Input::Tick, &patience(), now);
        assert_eq!(actions, [Action::Start]);
        state = started;
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    assert_eq!((state.status(&patience()), state.restarts), (Status::Error, 10));
    let (state, _) = next(state, Input::Started, &patience(), now);
    let (state, _) = next(state, Input::Seen(Screen::Ready), &patience(), now);
    assert_eq!((state.status(&patience()), state.faults), (Status::Available, 0));
}

#[test]
fn a_page_that_never_loads_is_a_fault_and_one_that_shows_something_else_has_changed() {
    let late = NOW.after(patience().loading + Duration::from_secs(1));
    for (screen, reason) in [(Screen::Loading, "never_loaded"), (Screen::Unknown, "page_changed")] {
        let (state, actions) = next(after(up()), Input::Seen(screen.clone()), &patience(), NOW);
        assert_eq!((state.reason(), actions), ("loading", Vec::new()));
        let (state, actions) = next(state, Input::Tick, &patience(), late);
        assert_eq!((state.reason(), actions), (reason, vec![Action::Snapshot, Action::End]), "{screen:?}");
    }
}

fn input() -> impl Strategy<Value = Input> {
    let screen = prop_oneof![
        Just(Screen::Unknown),
        Just(Screen::Loading),
        "[a-c]".prop_map(Screen::Qr),
        Just(Screen::QrExpired),
        Just(Screen::Syncing),
        Just(Screen::Ready),
        Just(Screen::Offline),
        Just(Screen::Conflict),
        Just(Screen::Refused("x".to_owned())),
    ];
    let fault = prop_oneof![Just(Fault::Crashed), Just(Fault::Hung), Just(Fault::OutOfMemory)];
    prop_oneof![
        prop_oneof![Just(Command::Open), Just(Command::Close), Just(Command::Restart)]
            .prop_map(Input::Command),
        Just(Input::Started),
        screen.prop_map(Input::Seen),
        fault.prop_map(Input::Fault),
        Just(Input::Trouble(Trouble::NoBrowser("x".to_owned()))),
        any::<bool>().prop_map(Input::Work),
        Just(Input::Tick),
    ]
}

proptest! {
    /// Whatever happens in whatever order: there is at most one browser, it is there exactly when the state says so,
    /// and `since` moves exactly with what is shown.
    #[test]
    fn one_browser_or_none(steps in prop::collection::vec((input(), 0_u64..90), 0..60)) {
        let (mut state, mut running, mut now) = (State::new(NOW), false, NOW);
        for (input, seconds) in steps {
            now = now.after(Duration::from_secs(seconds));
            let before = (state.status(&patience()), state.reason(), state.since);
            let (after, actions) = next(state, input, &patience(), now);
            for action in actions {
                match action {
                    Action::Start => { prop_assert!(!running, "a second browser"); running = true; }
                    Action::End => running = false,
                    Action::AskForCode | Action::Snapshot => prop_assert!(running),
                }
            }
            prop_assert_eq!(running, after.has_browser());
            let shown = (after.status(&patience()), after.reason());
            prop_assert_eq!(after.since, if shown == (before.0, before.1) { before.2 } else { now });
            state = after;
        }
        let (closed, _) = next(state, Input::Command(Command::Close), &patience(), now);
        prop_assert!(!closed.has_browser());
    }
}
