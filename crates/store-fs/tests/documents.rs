//! Version documents that are damaged, lost, or not where they belong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/documents.rs"]
mod documents;
mod support;

use support::workloads::Setup;

const SETUP: Setup = Setup { bug: None };

#[test]
fn a_copy_of_a_document_brings_nothing_back() {
    documents::second_documents(SETUP);
}
