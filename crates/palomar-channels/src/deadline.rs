//! The deadline of an attempt, once for all providers.
//!
//! It covers resolve, connect, write and read together. What a time-out means depends on how far the attempt came, which
//! the HTTP layer notes in the attempt's [`Progress`]: before the request was handed over, the provider cannot have taken
//! the message; afterwards, and wherever nothing was noted, nobody knows.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use palomar_model::{Content, ErrorClass, FieldError, Outbound, Provider, Recipient, SendFailure, Tag};
use tokio::time::Instant;

use crate::channel::{
    BoxFuture, Channel, Delivery, Kept, Lookup, Parsed, RateProfile, Sent, Verified, WebhookError,
    WebhookRequest,
};
use crate::media::MediaSource;
use crate::templates::TemplateSource;

const UNSTATED: u8 = 0;
const NOT_WRITTEN: u8 = 1;
const MAYBE_WRITTEN: u8 = 2;

tokio::task_local! {
    static PROGRESS: Progress;
    static REPEATS: bool;
}

/// A deadline that is noticed so much later than it was: this process has slept, or was kept from running.
const SLEPT: Duration = Duration::from_millis(100);
/// What came meanwhile is read within so long. Leases have a margin that is longer.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// How far an attempt has come.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU8>);

impl Progress {
    /// That of the attempt which the running task makes; one of its own outside of an attempt.
    #[must_use]
    pub fn current() -> Progress {
        PROGRESS.try_with(Clone::clone).unwrap_or_default()
    }

    /// Notes that nothing of the request's body has been written yet, and that the end of that will be noted.
    pub fn begin(&self) {
        // An attempt makes one call; once something may have been written, no later call takes that back.
        let _ = self.0.compare_exchange(UNSTATED, NOT_WRITTEN, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Notes that from now on the request may have been written.
    pub fn handed_over(&self) {
        self.0.store(MAYBE_WRITTEN, Ordering::SeqCst);
    }

    /// Whether the request may have been written, so that an answer may have come.
    fn was_handed_over(&self) -> bool {
        self.0.load(Ordering::SeqCst) == MAYBE_WRITTEN
    }

    /// Whether certainly not all of the request was written.
    #[must_use]
    pub fn known_not_written(&self) -> bool {
        self.0.load(Ordering::SeqCst) == NOT_WRITTEN
    }
}

/// Makes an attempt, and lets the channel know whether its tag was tried before.
pub async fn attempting<F: Future>(is_repeat: bool, attempt: F) -> F::Output {
    REPEATS.scope(is_repeat, attempt).await
}

/// Whether the tag of the attempt that the running task makes was tried before.
pub(crate) fn is_repeat() -> bool {
    REPEATS.try_with(|is_repeat| *is_repeat).unwrap_or(false)
}

/// A channel whose attempts end by themselves.
#[derive(Debug)]
pub struct Deadlined<C> {
    inner: C,
    deadline: Duration,
}

impl<C: Channel> Deadlined<C> {
    /// What an attempt may take unless configured otherwise.
    pub const DEFAULT: Duration = Duration::from_secs(30);

    /// Ends every attempt of `inner` after `deadline`.
    pub const fn new(inner: C, deadline: Duration) -> Deadlined<C> {
        Deadlined { inner, deadline }
    }

    fn expired(&self, progress: &Progress) -> SendFailure {
        let seconds = self.deadline.as_secs_f64();
        if progress.known_not_written() {
            SendFailure::new(
                ErrorClass::Transient,
                format!("no connection to the provider within {seconds} s"),
            )
        } else {
            SendFailure::new(ErrorClass::Unknown, format!("no answer from the provider within {seconds} s"))
        }
    }
}

impl<C: Channel> Channel for Deadlined<C> {
    fn provider(&self) -> Provider {
        self.inner.provider()
    }

    fn profile(&self) -> RateProfile {
        self.inner.profile()
    }

    fn validate(&self, to: &Recipient, content: &Content) -> Vec<FieldError> {
        self.inner.validate(to, content)
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(async move {
            let progress = Progress::default();
            let attempt = PROGRESS.scope(progress.clone(), self.inner.send(message, tag));
            tokio::pin!(attempt);
            let due = Instant::now() + self.deadline;
            let mut outcome = tokio::time::timeout_at(due, &mut attempt).await;
            // Who wakes behind the deadline may have been answered long before it. Nothing is sent for that any more.
            if outcome.is_err() && progress.was_handed_over() && due.elapsed() >= SLEPT {
                outcome = tokio::time::timeout(LAST_LOOK, attempt).await;
            }
            outcome.unwrap_or_else(|_| Err(self.expired(&progress)))
        })
    }

    fn unknown_is_repeatable(&self) -> bool {
        self.inner.unknown_is_repeatable()
    }

    fn lookup<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        Box::pin(async move {
            match tokio::time::timeout(self.deadline, self.inner.lookup(message, tag)).await {
                Ok(answer) => answer,
                Err(_) => Err(SendFailure::new(ErrorClass::Transient, "no answer to the look-up")),
            }
        })
    }

    fn verify(&self, request: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        self.inner.verify(request)
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        self.inner.parse(delivery)
    }

    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        self.inner.reread(kept)
    }

    fn line(&self) -> Option<String> {
        self.inner.line()
    }

    fn media(&self) -> Option<&dyn MediaSource> {
        self.inner.media()
    }

    fn templates(&self) -> Option<&dyn TemplateSource> {
        self.inner.templates()
    }

    fn can_quote(&self) -> bool {
        self.inner.can_quote()
    }

    fn is_opt_out(&self, code: &str) -> bool {
        self.inner.is_opt_out(code)
    }

    fn unwelcome_codes(&self) -> &'static [&'static str] {
        self.inner.unwelcome_codes()
    }
}

#[cfg(test)]
mod tests {
    use palomar_model::{IdGenerator, Timestamp};

    use super::*;

    type Steps = fn(&Progress);

    /// Comes as far as it is told, and hangs there.
    struct Hangs(Steps);

    impl Channel for Hangs {
        fn provider(&self) -> Provider {
            Provider::Sandbox
        }

        fn profile(&self) -> RateProfile {
            RateProfile { limits: Vec::new(), concurrency: 1 }
        }

        fn validate(&self, _: &Recipient, _: &Content) -> Vec<FieldError> {
            Vec::new()
        }

        fn send<'a>(&'a self, _: &'a Outbound, _: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
            Box::pin(async move {
                (self.0)(&Progress::current());
                std::future::pending().await
            })
        }

        fn verify(&self, _: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
            Err(WebhookError::Forbidden)
        }

        fn parse(&self, _: &Delivery<'_>) -> Parsed {
            Parsed::default()
        }
    }

    fn message() -> Outbound {
        let id = IdGenerator::new(1).message_id(Timestamp::EPOCH);
        let stored = format!(
            r#"{{"v":1,"id":"{id}","channel":"x","to":"+34600111222","type":"text","content":{{"text":"x"}},"acceptedAt":"2026-01-01T00:00:00Z"}}"#
        );
        Outbound::decode(stored.as_bytes()).expect("a message")
    }

    /// The answer is there, and the process that waits for it sleeps until long after the deadline.
    #[tokio::test]
    async fn who_sleeps_through_the_deadline_reads_what_came_meanwhile() {
        let channel = Deadlined::new(
            Hangs(|progress| {
                progress.handed_over();
                tokio::spawn(async {
                    // Nothing of this process runs.
                    std::thread::sleep(SLEPT * 3);
                });
            }),
            SLEPT,
        );
        let message = message();
        let asleep = channel.send(&message, Tag { message: message.id, attempt: 1 });
        let begun = Instant::now();
        assert_eq!(asleep.await.expect_err("no answer came").class, ErrorClass::Unknown);
        assert!(begun.elapsed() >= SLEPT * 3 + LAST_LOOK, "it looked for one");
    }

    #[tokio::test]
    async fn what_a_time_out_means_depends_on_how_far_it_came() {
        let written_then_called_again: Steps = |progress| {
            progress.handed_over();
            progress.begin();
        };
        let cases: [(Steps, ErrorClass); 3] = [
            (Progress::begin, ErrorClass::Transient),
            (|_| {}, ErrorClass::Unknown),
            (written_then_called_again, ErrorClass::Unknown),
        ];
        let message = message();
        for (n, (steps, class)) in cases.into_iter().enumerate() {
            let channel = Deadlined::new(Hangs(steps), Duration::from_millis(5));
            let outcome = channel.send(&message, Tag { message: message.id, attempt: 1 }).await;
            assert_eq!(outcome.expect_err("a time-out").class, class, "case {n}");
        }
    }
}
