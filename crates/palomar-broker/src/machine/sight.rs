//! What holds a job of a queue that another store keeps: the machine's own answer, from what that store tells.

use std::sync::Arc;

use palomar_model::Timestamp;

use super::explain::when_open;
use super::queue::{Breaker, Queue};
use super::slab::Phase;
use super::spread::Spread;
use super::throttle::Throttle;
use super::windows::Windows;
use crate::types::{BreakerState, Hold, Limits, QueueName, Window};

/// What another store tells of a queue.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) name: QueueName,
    pub(crate) limits: Limits,
    pub(crate) paused: Option<Arc<str>>,
    pub(crate) breaker: BreakerState,
    pub(crate) throttled_until: Timestamp,
    /// The last cut of its rate: when, and the shares before and after, in thousandths.
    pub(crate) cut: Option<(Timestamp, u16, u16)>,
    pub(crate) leased: u64,
    pub(crate) started: u64,
    pub(crate) windows: Vec<WindowSight>,
}

/// What another store tells of a window.
#[derive(Debug)]
pub(crate) struct WindowSight {
    pub(crate) window: Window,
    /// (first start merged in, last one, how many) in microseconds, oldest first.
    pub(crate) starts: Vec<(i64, i64, u32)>,
    /// When the slice in use began, and how many of it are taken.
    pub(crate) slice: (i64, u64),
}

impl Sight {
    /// When the queue starts a job after `ahead` others, not before `from`; adds what holds the queue.
    pub(crate) fn when_open(
        self,
        now: Timestamp,
        from: Timestamp,
        ahead: u64,
        holds: &mut Vec<Hold>,
    ) -> Option<Timestamp> {
        let mut queue = Queue::new(self.name, 0, self.limits);
        queue.paused = self.paused;
        queue.breaker = match self.breaker {
            BreakerState::Closed => Breaker::Fresh,
            BreakerState::Open { until } => Breaker::Open { until },
            BreakerState::HalfOpen => Breaker::HalfOpen { probe: 0 },
        };
        queue.throttle = Throttle::of(self.throttled_until, self.cut);
        queue.phases[Phase::Leased as usize] = self.leased;
        queue.phases[Phase::Started as usize] = self.started;
        queue.spread = Spread::of(self.windows.iter().map(|of| (of.window, of.slice.0, of.slice.1)));
        queue.windows = Windows::of(self.windows.into_iter().map(|of| (of.window, of.starts)));
        when_open(&queue, now, from, ahead, holds)
    }
}
