//! The promises of the seam. Each is a sentence that knows nothing of the engine
//! behind it, and is asked of all of them.

mod appending;
mod connections;
mod indexing;
mod letters;
mod opening;
pub(crate) mod rebuilding;
mod settings;
mod traces;
pub(crate) mod trimming;

/// Makes a test of each sentence for each engine. A sentence that is not in the
/// list is dead code, which the lints refuse.
macro_rules! sentences {
    ($($rooms:tt)+) => {
        asked_of! { embedded: Embedded, $($rooms)+ }
        asked_of! { jetstream: JetStream, $($rooms)+ }
    };
}

/// Makes a test of each sentence for one engine.
macro_rules! asked_of {
    ($engine:ident: $kind:ident, $($room:ident: [$($sentence:ident),+ $(,)?])+) => {
        mod $engine {
            $(mod $room {
                $(#[tokio::test]
                async fn $sentence() {
                    crate::contract::$room::$sentence(crate::support::Kind::$kind).await;
                })+
            })+
        }
    };
}

sentences! {
    appending: [
        a_record_reads_back_byte_for_byte,
        places_grow_in_the_order_of_appending,
        records_are_read_in_order_across_pieces,
        a_read_stops_at_its_bytes_but_brings_at_least_one,
        a_record_that_is_not_there_is_none,
        a_partition_that_is_not_there_is_refused,
        single_records_are_found_anywhere_in_a_large_piece,
        the_durable_watch_comes_to_every_record_that_was_answered,
        names_that_are_too_long_are_refused,
        a_permit_is_good_for_the_bytes_it_was_given_for,
        more_permits_than_may_wait_are_refused_until_one_is_dropped,
        more_bytes_than_may_wait_are_refused_unless_they_are_alone,
        a_full_journal_refuses_and_says_so,
        a_closed_journal_gives_no_permits_and_keeps_what_was_appended,
        an_append_nobody_waits_for_is_journaled_all_the_same,
        everything_is_there_after_the_last_handle_is_dropped,
    ]
    connections: [
        a_cursor_that_was_never_placed_is_none,
        a_settle_never_moves_a_cursor_back,
        nothing_is_settled_that_is_not_durable,
        a_claim_stays_with_its_holder,
        claims_that_are_reset_can_be_made_again,
        a_forgotten_connection_has_neither_cursor_nor_claims,
        a_name_that_is_too_long_is_refused,
    ]
    indexing: [
        the_first_record_to_bear_an_event_wins,
        an_event_is_known_for_eight_days_and_forgotten_after_sixteen,
        entries_that_leave_a_record_out_are_refused,
        a_record_that_is_not_durable_cannot_be_indexed,
        reading_indexed_ends_at_the_watermark_and_tells_the_verdicts,
        records_are_found_by_their_terms_newest_first,
        the_indexed_watch_moves_with_each_step,
        a_burial_is_kept_for_the_first_record_only,
    ]
    letters: [
        a_dead_letter_reads_back_as_it_was_buried,
        dead_letters_are_listed_newest_first_page_by_page,
        a_removed_dead_letter_is_gone_and_its_id_is_not_used_again,
        a_record_that_is_buried_twice_has_two_dead_letters,
    ]
    opening: [
        limits_that_break_a_promise_are_refused,
    ]
    rebuilding: [
        a_rebuilt_index_answers_as_the_one_before,
        a_rebuild_that_is_interrupted_ends_up_the_same,
        a_dead_letter_that_was_removed_does_not_come_back,
        a_rebuild_begins_at_the_first_record_that_is_kept,
    ]
    settings: [
        a_setting_reads_back_with_its_revision,
        only_one_of_two_who_read_the_same_revision_can_put,
        a_removed_setting_is_gone_until_it_is_put_anew,
        the_settings_watch_sees_every_change_and_nothing_else,
    ]
    traces: [
        a_trace_is_found_by_every_record_that_it_covers,
        a_trace_through_the_same_record_takes_the_place_of_the_one_before,
        a_trace_behind_too_many_others_is_not_looked_for,
        a_settlement_with_a_trace_that_is_too_long_is_refused_whole,
        nothing_is_traced_that_is_not_durable,
        a_settlement_has_more_traces_than_one_message_takes,
        traces_go_with_the_last_record_that_they_cover,
        a_forgotten_connection_has_no_traces,
        traces_stay_when_the_index_is_rebuilt,
    ]
    trimming: [
        records_go_when_they_are_older_than_the_retention,
        records_go_when_the_budget_runs_out_and_make_room,
        a_record_that_is_not_indexed_is_spared,
        a_record_that_is_kept_for_a_connection_is_spared,
        a_record_that_is_not_old_enough_is_spared,
        what_was_derived_from_trimmed_records_is_not_found,
        claims_outlive_the_trimming_of_their_records,
    ]
}
