//! What every store must do, one file a concern. See `store.rs`.

pub(crate) mod append;
pub(crate) mod create;
pub(crate) mod lease;
pub(crate) mod list;
pub(crate) mod newest;
pub(crate) mod remove;
pub(crate) mod resume;
pub(crate) mod share;
pub(crate) mod signal;

macro_rules! all_of_it {
    ($journal:expr) => {
        crate::conformance::cases! { $journal;
            create: a_new_task_is_there_and_due,
                a_new_task_may_have_a_past,
                a_key_finds_the_task_that_it_made,
                a_key_of_another_call_is_refused,
                an_id_is_taken_once,
                a_new_task_may_come_with_its_first_lease,
                an_owner_has_so_many_under_way;
            newest: it_looks_as_it_will_look,
                it_is_found_when_it_is_created_again,
                it_counts_as_one_of_its_owner,
                the_first_write_after_it_finds_it;
            append: events_come_back_as_they_went_in,
                payloads_of_any_length_come_back,
                what_leaves_a_gap_is_refused,
                what_is_there_already_counts_as_appended,
                what_is_there_with_another_content_is_refused,
                an_old_lease_is_refused,
                the_end_frees_the_lease,
                nothing_follows_the_end,
                a_payload_over_the_bound_is_refused,
                a_message_is_shown;
            lease: due_tasks_are_claimed_oldest_first,
                a_claim_is_limited,
                only_asked_functions_are_claimed,
                each_lease_has_a_higher_epoch,
                an_expired_runner_loses_its_tasks,
                one_task_can_be_claimed_by_name,
                a_released_task_is_due_as_asked,
                a_wake_up_before_the_release_is_not_lost,
                a_lost_lease_releases_nothing,
                a_retired_runner_leaves_its_tasks_due;
            resume: a_stopped_task_is_due_again,
                only_a_stopped_task_is_resumed;
            signal: a_signal_wakes_a_parked_task,
                signals_come_in_order_and_are_counted,
                a_runner_is_told_of_the_signals_of_its_tasks,
                an_ended_task_takes_no_signal,
                the_end_of_a_child_wakes_its_parent;
            list: tasks_are_listed_newest_first,
                a_listing_is_read_page_by_page,
                a_listing_is_filtered;
            remove: what_has_outlived_its_time_is_purged,
                an_ended_task_can_be_removed,
                what_other_tasks_hold_stays;
            share: each_handle_sees_the_tasks_of_the_other,
                of_two_claimers_one_wins,
                watchers_are_told_by_every_handle,
                many_tasks_append_side_by_side,
                what_was_accepted_is_written_before_closing;
        }
    };
}
pub(crate) use all_of_it;

macro_rules! cases {
    ($journal:expr; $($concern:ident: $($case:ident),+;)+) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            crate::conformance::$concern::$case(&$journal).await;
        }
    )+)+};
}
pub(crate) use cases;
