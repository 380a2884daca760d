//! Version documents that are damaged, lost, or not where they belong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/documents.rs"]
mod documents;
mod support;

use support::workloads::Setup;

const SETUP: Setup = Setup { bug: None };

#[test]
fn a_misplaced_document_has_its_own_file_before_anything_takes_its_place() {
    documents::misplaced(SETUP);
}

#[test]
fn the_own_file_of_a_misplaced_document_has_what_was_repaired() {
    documents::misplaced_copies(SETUP);
}

#[test]
fn a_misplaced_document_stays_where_it_may_be_its_own_file() {
    documents::misplaced_by_case(SETUP);
}

#[test]
fn a_copy_of_a_document_brings_nothing_back() {
    documents::second_documents(SETUP);
}

#[test]
fn a_document_under_a_third_name_counts_before_an_older_copy() {
    documents::third_names(SETUP);
}

#[test]
fn a_repair_that_a_crash_interrupted_is_done_in_the_same_way() {
    documents::interrupted_repairs(SETUP);
}

#[test]
fn a_name_that_was_dropped_does_not_come_back() {
    documents::dropped_names(SETUP);
}

#[test]
fn a_damaged_number_uses_up_no_numbers() {
    documents::damaged_numbers(SETUP);
}

#[test]
fn a_damaged_document_of_a_long_name_uses_no_number_twice() {
    documents::damaged_documents_of_long_names(SETUP);
}

#[test]
fn a_damaged_document_that_nothing_tells_the_name_of_is_put_aside_once() {
    documents::documents_without_a_name(SETUP);
}

#[test]
fn frames_before_missing_ones_take_nothing_back_that_a_document_has() {
    documents::gaps_below_the_files(SETUP);
}

#[test]
fn a_listing_that_misses_a_replaced_file_hides_nothing_from_whoever_reads() {
    documents::missed_entries(SETUP);
}
