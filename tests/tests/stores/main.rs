//! Every case on every store; the name of a test says which.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "tests"
)]

mod cases;

use idnow_webhooks_conformance::stores::{Subject, run};

/// One test for each case, on one store.
macro_rules! tests {
    ($subject:ident: $($module:ident { $($case:ident,)+ })+) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $case() {
                run(Subject::$subject, crate::cases::$module::$case);
            })+
        })+
    };
}

macro_rules! subject {
    ($name:ident, $subject:ident) => {
        mod $name {
            use super::*;
            tests! { $subject:
                aborts {
                    insertions,
                    insertions_beside_those_that_are_not_dropped,
                    tasks_that_are_aborted,
                    claims,
                    beginnings,
                    ends,
                    anything_and_it_still_works,
                }
                handles {
                    what_one_writes_the_other_reads,
                    everything_is_there_after_a_restart,
                    through_a_pointer,
                }
                changes {
                    an_insertion_ends_the_wait,
                    an_insertion_between_two_waits_ends_the_next,
                    no_insertion_is_missed_by_waits_that_are_dropped,
                    there_is_no_wake_without_a_cause,
                    a_replay_ends_the_wait,
                    what_is_given_back_ends_the_wait,
                    the_end_of_one_that_held_others_back_ends_the_wait,
                }
                claims {
                    as_they_came_and_up_to_the_limit,
                    as_they_came_also_at_the_same_time,
                    what_is_due_for_longest_comes_first,
                    nothing_before_it_is_due,
                    a_wait_of_nothing_is_due_at_once,
                    runs_are_counted,
                    a_claimed_event_is_told_as_running,
                    how_a_run_ended_is_told,
                    any_order_heeds_no_session,
                    eight_at_once_never_share_an_event,
                }
                concurrency {
                    one_of_a_session_at_a_time_and_in_order,
                    one_of_a_session_at_a_time_with_grace,
                }
                crowds {
                    followers_of_one_that_runs,
                    followers_of_one_that_waits,
                    many_that_wait_for_missing_ones,
                }
                extremes {
                    sequence_numbers_without_an_end,
                    leases_for_ever,
                    waits_for_ever,
                    a_grace_for_ever,
                    ages_for_ever,
                    limits_without_an_end,
                    limits_of_nothing,
                    positions_at_the_ends,
                    tokens_that_were_never_given,
                    a_clock_that_goes_back,
                }
                gaps {
                    the_first_one_is_not_waited_for,
                    a_missing_one_is_waited_for_and_passed,
                    a_second_gap_is_waited_for_anew,
                    a_missing_one_that_arrives_in_time,
                    a_missing_one_that_arrives_too_late,
                    a_late_one_is_not_kept_waiting,
                    a_buried_one_is_waited_for_as_if_missing,
                    a_buried_one_that_is_replayed_in_time,
                    time_behind_one_that_runs_counts,
                    other_sessions_go_on_meanwhile,
                    a_gap_that_is_closed_before_the_next_run,
                }
                inline {
                    an_event_runs_once_at_a_time,
                    a_buried_event_stays_buried,
                    a_lease_that_ran_out_is_taken_over,
                    an_extended_lease_lasts,
                    an_event_given_back_is_begun_again_at_once,
                    a_released_event_is_begun_again_at_once,
                    workers_never_claim_it,
                    what_failed_is_no_backlog,
                    an_unreadable_event_is_begun,
                    fifty_at_once_and_one_runs,
                    sessions_hold_nothing_back,
                }
                insertion {
                    a_new_event_is_there_as_it_came,
                    a_duplicate_changes_nothing,
                    a_duplicate_whatever_became_of_the_first,
                    a_completed_event_is_known_for_long,
                    an_unreadable_event_waits_like_any_other,
                    evidence_is_given_back,
                    one_id_a_hundred_times_at_once,
                    a_thousand_ids_at_once,
                }
                leases {
                    one_that_ran_out_is_taken_over,
                    one_that_ran_out_is_still_held_until_then,
                    an_extension_counts_from_now,
                    an_extension_again_and_again,
                    completion_twice_is_no_error,
                    an_extension_after_completion_is_no_error_and_changes_nothing,
                    completion_under_another_lease_is_an_error,
                    burial_ends_it,
                    a_retry_ends_it,
                    a_release_ends_it_and_is_due_at_once,
                    one_that_ended_is_lost_for_good,
                    one_from_before_a_purge_is_lost,
                    one_of_another_event_is_no_use,
                    ended_by_many_at_once_it_ends_once,
                    completed_by_many_at_once,
                }
                lists {
                    the_latest_first,
                    by_state,
                    by_name_and_session,
                    by_session_wherever_they_stand,
                    page_by_page,
                    pages_of_what_fits,
                    what_is_unknown,
                    how_much_is_to_be_done,
                    the_age_of_what_waits_to_run_again,
                }
                mixed {
                    a_queued_event_is_begun,
                    a_queued_event_that_was_begun_in_vain_is_still_queued,
                    a_claimed_event_is_not_begun,
                    an_event_that_ended_inline_is_a_duplicate,
                    an_event_that_failed_inline_and_is_inserted_is_queued,
                    an_event_that_runs_inline_and_is_inserted_is_queued,
                    what_failed_inline_holds_no_session_back,
                    a_dead_letter_of_inline_mode_is_replayed_by_a_worker,
                }
                model {
                    in_any_order,
                    in_sequence,
                    in_sequence_with_grace,
                }
                parked {
                    one_comes_back_as_it_was,
                    one_is_kept_once_by_its_id,
                    they_are_no_events,
                    the_oldest_first_and_page_by_page,
                    no_position_is_given_twice,
                    pages_at_the_ends,
                    one_is_unparked_once,
                    for_each_audience_a_number,
                    those_of_expected_flows_are_dropped_last,
                    pairs_are_taken_to_the_letter,
                    a_number_in_all,
                    for_a_time,
                    for_all_reasons_at_once,
                    the_last_one_is_kept_whatever_the_limits,
                    limits_that_are_never_reached,
                    none_outlasts_the_memory_of_completed_events,
                    a_purge_forgets_all_that_are_old_enough,
                    a_clock_that_goes_back,
                    strange_texts_are_kept_in_one_line,
                    ids_are_taken_to_the_letter,
                    large_evidence_comes_back_whole,
                    by_many_at_once,
                    by_many_at_once_within_the_limits,
                    page_by_page_while_many_are_parked,
                    unparked_by_many_at_once,
                    beside_insertions,
                    what_one_parks_the_other_reads,
                    all_is_there_after_a_restart,
                    calls_that_are_dropped,
                    times_are_to_the_microsecond,
                }
                purges {
                    only_what_was_finished_long_enough_ago,
                    the_oldest_first_and_up_to_the_limit,
                    dead_letters_by_themselves,
                    never_what_is_not_finished,
                    a_forgotten_event_is_new_again,
                    a_forgotten_session_holds_nothing_back,
                    what_ended_inline,
                    what_was_begun_inline_and_never_ended,
                    what_failed_inline_and_never_came_again,
                    beside_insertions,
                }
                replays {
                    a_dead_letter_runs_again,
                    one_that_waits_for_long_runs_now,
                    one_that_runs_or_is_completed_does_not,
                    one_that_is_unknown,
                    twice_is_once,
                    dead_letters_the_oldest_first,
                    after_later_ones_it_is_late,
                    within_a_session_it_keeps_its_place,
                    of_one_that_waits_its_followers_come_sooner,
                    a_follower_does_not_overtake,
                    by_many_at_once,
                }
                sessions {
                    one_at_a_time_and_in_sequence,
                    in_sequence_by_number,
                    followers_wait_for_one_that_is_retried,
                    followers_pass_one_that_is_buried,
                    followers_wait_for_one_that_is_released,
                    followers_wait_for_one_whose_lease_ran_out,
                    followers_wait_while_a_lease_is_extended,
                    a_lower_one_waits_while_a_higher_one_runs,
                    a_lower_one_goes_before_a_higher_one_that_is_retried,
                    a_lower_one_goes_before_a_higher_one_whose_lease_ran_out,
                    a_lower_one_goes_when_a_shortened_lease_of_a_higher_one_ran_out,
                    in_sequence_among_many_new_ones,
                    in_sequence_after_a_time_without_order,
                    a_late_one_is_told_so,
                    two_with_the_same_number,
                    in_sequence_whatever_was_looked_at_before,
                    events_without_a_session_hold_nobody_back,
                    sessions_hold_each_other_not_back,
                    never_two_of_one_session_in_one_claim,
                    while_two_run_at_once,
                }
                strange {
                    ids_are_taken_to_the_letter,
                    ids_are_taken_to_the_letter_inline,
                    sessions_are_taken_to_the_letter,
                    names_with_control_characters_are_told_in_one_line,
                    session_ids_that_cannot_be_used_make_no_session,
                    data_comes_back_byte_for_byte,
                    large_data_comes_back_whole,
                    errors_come_back_as_they_were,
                    questions_that_no_event_fits,
                }
            }
        }
    };
}

/// The machine's clock, which may be set back. A server's is kept by those who look after it.
macro_rules! on_this_machine {
    ($name:ident, $subject:ident) => {
        mod $name {
            use super::*;
            tests! { $subject:
                clocks {
                    what_came_before_it_went_back,
                    what_came_before_it_went_back_in_any_order,
                    what_was_held_back_before_it_went_back,
                }
            }
        }
    };
}

subject!(memory, Memory);
subject!(sqlite, Sqlite);
subject!(postgres, Postgres);
on_this_machine!(memory_here, Memory);
on_this_machine!(sqlite_here, Sqlite);
