//! What every broker must do, as tests: the contract of [`Broker`], in cases that any implementation runs unchanged.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use palomar_broker::{Broker, conformance};
//! # use palomar_model::ManualClock;
//! # async fn my_broker(clock: Arc<ManualClock>) -> Arc<dyn Broker> { unimplemented!() }
//! # async fn test() {
//! // A new, empty broker on each call, with default limits, that takes the present from `clock`.
//! conformance::exercise(my_broker).await;
//! // The same random steps on a broker and on the reference machine; every answer is compared.
//! let clock = Arc::new(conformance::clock());
//! conformance::side_by_side(&my_broker(clock.clone()).await, &clock, 42, 2_000).await;
//! # }
//! ```
//!
//! A case takes a broker of its own, moves the clock by hand and looks at answers only, so that it says nothing about
//! how a broker works inside. Where a broker may answer a little later (a lease that waits), the case waits for the
//! answer, generously bounded, and never for a time.

mod bench;
mod control;
mod evidence;
mod leases;
mod limits;
mod log;
mod model;
mod order;
mod outcomes;
mod repeats;
mod signals;
mod views;
mod walk;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use palomar_model::{ManualClock, Timestamp};

use crate::broker::Broker;
use bench::Bench;
#[cfg(test)]
pub(crate) use model::Restart;
#[cfg(test)]
pub(crate) use walk::Walk;
pub use walk::side_by_side;

/// A named case.
type Case = (&'static str, fn(Bench) -> LocalBoxFuture<'static, ()>);

/// A row of a table of cases: the name of a case is the name of its function.
macro_rules! cases {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((stringify!($name), |bench| Box::pin($module::$name(bench)))),+),+]
    };
}

const CASES: &[Case] = cases! {
    order: jobs_leave_in_the_order_of_arrival, jobs_of_a_key_leave_one_at_a_time_in_order,
        a_retrying_job_holds_its_key_until_it_is_final, an_uncertain_job_holds_its_key_for_the_order_wait,
        a_returned_job_goes_before_the_later_ones_of_its_key, a_delayed_job_waits_for_its_time,
        a_job_that_expires_never_starts, a_job_that_expires_under_an_unstarted_lease_never_starts,
        the_urgent_go_first_and_the_rest_get_their_share, groups_take_turns,
        a_paused_group_holds_no_other_job_of_its_keys, groups_that_are_paused_do_not_hold_each_other,
        a_job_that_was_started_holds_its_key_in_a_paused_group_too, a_lease_that_a_pause_took_back_lets_others_pass;
    leases: a_lease_takes_from_its_pool_only_and_at_most_what_it_asks, tokens_rise_and_a_stale_one_changes_nothing,
        an_unstarted_lease_that_ends_puts_the_job_back, three_unstarted_leases_in_a_row_are_poison,
        a_start_ends_the_row_of_unstarted_leases, a_started_lease_that_ends_is_uncertain_and_never_leased_again,
        a_start_needs_time_for_the_call, a_start_after_a_pause_is_taken_back, a_start_after_a_cancel_is_refused,
        a_start_that_is_repeated_begins_one_attempt, a_renewed_lease_lasts, a_waiting_lease_is_answered_by_an_enqueue,
        a_waiting_lease_is_answered_when_its_wait_is_over, a_dropped_lease_loses_nothing;
    outcomes: done_is_final, dead_is_a_dead_letter_with_its_reason, a_retry_waits_and_counts, a_retry_may_count_nothing,
        a_release_counts_nothing, three_panics_in_a_row_are_poison, an_unknown_outcome_of_what_did_not_start_is_known,
        a_batch_is_settled_one_by_one;
    signals: failures_in_a_row_open_the_breaker, a_success_ends_the_row_of_failures,
        a_probe_closes_or_opens_the_breaker, throttling_stops_the_whole_queue, refusals_slow_a_queue_in_proportion,
        a_pause_signal_pauses_with_its_reason;
    evidence: evidence_resolves_what_is_uncertain, evidence_spares_a_second_send,
        early_evidence_speaks_for_a_silent_worker, early_evidence_leaves_the_worker_its_word,
        evidence_of_an_older_attempt_is_a_duplicate_send, evidence_is_never_refused,
        what_is_held_stays_uncertain, what_is_retried_is_queued_again, what_is_dropped_is_dead;
    limits: no_window_holds_more_than_it_allows, unstarted_leases_take_room_in_windows,
        a_short_window_is_spread_over_its_length, limits_change_while_jobs_wait,
        a_key_keeps_its_pace, no_more_at_once_than_the_concurrency, a_budget_counts_distinct_keys,
        limits_that_cant_be_kept_are_refused;
    control: nothing_starts_while_a_queue_is_paused, nothing_of_a_group_starts_while_it_is_paused,
        a_pause_is_lifted_by_its_reason_alone, what_is_not_there_is_said_to_be_so, what_waits_can_be_cancelled_and_nothing_else, all_that_fits_is_cancelled,
        what_waits_for_a_time_can_be_promoted, dead_letters_are_retried_by_filter_and_anew,
        dead_letters_are_purged, finished_jobs_are_cleaned_but_for_the_newest, a_person_resolves_what_is_uncertain,
        a_queue_is_removed_when_it_is_empty;
    repeats: a_job_is_accepted_once, a_request_is_remembered_for_its_time,
        a_request_is_known_by_each_of_its_identities, a_batch_is_judged_job_by_job;
    views: a_job_is_shown_while_it_is_known, explanations_name_what_holds_a_job, a_time_is_given_where_one_is_known,
        jobs_are_paged_in_the_order_of_arrival, jobs_are_filtered,
        jobs_are_filtered_by_when_they_were_queued_and_ended, accepted_is_live_and_final,
        the_oldest_that_is_ready_is_told_by_priority;
    log: the_log_tells_a_job_s_whole_life, reading_goes_on_after_any_cursor, outcome_and_events_are_one_step,
        the_log_tells_of_queues, the_log_takes_events_of_no_job, a_reader_waits_for_a_fact,
        what_was_acknowledged_is_not_needed_again;
};

/// When the cases begin.
#[must_use]
pub fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_seconds(1_800_000_000))
}

/// Runs every case on a broker of its own, which `fresh` makes: empty, with the default [`crate::MachineConfig`].
///
/// # Panics
/// When cases failed, with the name of each.
pub async fn exercise(fresh: impl AsyncFn(Arc<ManualClock>) -> Arc<dyn Broker>) {
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let clock = Arc::new(clock());
        let bench = Bench::new(fresh(Arc::clone(&clock)).await, clock);
        if AssertUnwindSafe(case(bench)).catch_unwind().await.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {}", failed.len(), CASES.len(), failed.join(", "));
}
