//! The texts of answers to runs that completed.
//!
//! Nearly all answers to `/execute` and `/run` are of this kind, and all but their outputs and ids is the same in each
//! of them. To write its members one by one took 4,700 instructions, and the run of five nodes 6,200.

use std::sync::{Arc, LazyLock};

use constellation_runtime::RunStatus;
use serde::Serialize;

use super::{ExecuteResponse, Outputs, OutputsBody, RunResponse, TYPICAL_BYTES, ToldBody};

/// Stand in a sample for what differs.
const OUTPUTS: &str = "{}";
const EXECUTION_ID: &str = "\"the execution\"";
const STRUCTURAL_HASH: &str = "\"the hash\"";

static EXECUTED: LazyLock<Template> = LazyLock::new(|| Template::of(&sample(), &[EXECUTION_ID]));

static RAN: LazyLock<Template> = LazyLock::new(|| {
    let structural_hash = Some(STRUCTURAL_HASH.trim_matches('"').to_owned());
    let sample = RunResponse { structural_hash, ..RunResponse::new(sample()) };
    Template::of(&sample, &[STRUCTURAL_HASH, EXECUTION_ID])
});

fn sample() -> ExecuteResponse {
    ExecuteResponse::completed(EXECUTION_ID.trim_matches('"').into(), None)
}

impl ExecuteResponse {
    /// The answer of a run that completed, when nothing is told of it but its outputs.
    pub(crate) fn completed(execution_id: Arc<str>, outputs: Option<Outputs>) -> Self {
        Self {
            success: true,
            outputs: OutputsBody(outputs),
            status: Some(RunStatus::Completed.as_str()),
            execution_id: Some(execution_id),
            resumption_count: Some(0),
            ..Self::default()
        }
    }
}

/// The text of an answer around what differs: the outputs, and then strings.
struct Template {
    before_outputs: String,
    /// What follows the outputs and each of the strings.
    between: Vec<String>,
}

impl Template {
    fn of(sample: &impl Serialize, strings: &[&str]) -> Self {
        let text = serde_json::to_string(sample).expect("an answer without outputs can be written");
        let split = |text: &str, at: &str| {
            let (before, after) = text.split_once(at).expect("the strings stand in this order");
            (before.to_owned(), after.to_owned())
        };
        let (before_outputs, mut rest) = split(&text, OUTPUTS);
        let mut between = Vec::with_capacity(strings.len() + 1);
        for string in strings {
            let (before, after) = split(&rest, string);
            between.push(before);
            rest = after;
        }
        between.push(rest);
        Self { before_outputs, between }
    }

    fn fill(&self, outputs: &OutputsBody, strings: &[&str]) -> serde_json::Result<Vec<u8>> {
        let mut json = Vec::with_capacity(TYPICAL_BYTES);
        json.extend_from_slice(self.before_outputs.as_bytes());
        serde_json::to_writer(&mut json, outputs)?;
        let mut strings = strings.iter();
        for part in &self.between {
            json.extend_from_slice(part.as_bytes());
            if let Some(string) = strings.next() {
                serde_json::to_writer(&mut json, string)?;
            }
        }
        Ok(json)
    }
}

/// What differs between the answers to runs that completed, when nothing is told of them but their outputs.
#[derive(Debug)]
pub(crate) struct Completed<'a> {
    outputs: &'a OutputsBody,
    execution_id: &'a str,
}

impl<'a> Completed<'a> {
    /// None for an answer that tells anything else.
    pub(crate) fn of(answer: &'a ExecuteResponse) -> Option<Self> {
        let ExecuteResponse {
            success: true,
            outputs,
            error: None,
            status: Some(status),
            execution_id: Some(execution_id),
            missing_inputs: None,
            pending_outputs: None,
            resumption_count: Some(0),
            told: ToldBody { errors, pending_reasons: None, metadata: None, computed_nodes: None },
            request_id: None,
        } = answer
        else {
            return None;
        };
        let is_completed = *status == RunStatus::Completed.as_str() && errors.is_empty();
        is_completed.then_some(Self { outputs, execution_id })
    }

    /// The answer to `/execute`, as JSON.
    ///
    /// # Errors
    ///
    /// An output cannot be written.
    pub(crate) fn executed(&self) -> serde_json::Result<Vec<u8>> {
        EXECUTED.fill(self.outputs, &[self.execution_id])
    }

    /// The answer to `/run` of a program without warnings, as JSON.
    ///
    /// # Errors
    ///
    /// An output cannot be written.
    pub(crate) fn ran(&self, structural_hash: &str) -> serde_json::Result<Vec<u8>> {
        RAN.fill(self.outputs, &[structural_hash, self.execution_id])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use constellation_runtime::RunErrorKind;

    use super::*;
    use crate::wire::{OptionsBody, RunErrorBody};

    fn completed() -> ExecuteResponse {
        ExecuteResponse { execution_id: Some("a \"quoted\" id".into()), ..sample() }
    }

    #[test]
    fn the_text_of_a_completed_run_is_that_of_its_answer() {
        let answer = completed();
        let ours = Completed::of(&answer).unwrap();
        let executed = String::from_utf8(ours.executed().unwrap()).unwrap();
        assert_eq!(executed, serde_json::to_string(&answer).unwrap());
        let ran = String::from_utf8(ours.ran("abc").unwrap()).unwrap();
        let answer = RunResponse { structural_hash: Some("abc".into()), ..RunResponse::new(completed()) };
        assert_eq!(ran, serde_json::to_string(&answer).unwrap());
    }

    #[test]
    fn an_answer_that_tells_anything_else_is_not_written_by_the_template() {
        type Change = fn(&mut ExecuteResponse);
        let changes: [Change; 12] = [
            |answer| answer.success = false,
            |answer| answer.error = Some("it failed".into()),
            |answer| answer.status = None,
            |answer| answer.status = Some(RunStatus::Suspended.as_str()),
            |answer| answer.execution_id = None,
            |answer| answer.missing_inputs = Some(BTreeMap::new()),
            |answer| answer.pending_outputs = Some(Vec::new()),
            |answer| answer.resumption_count = Some(1),
            |answer| answer.told.errors.push(RunErrorBody::new(RunErrorKind::Module, "failed".into())),
            |answer| answer.told.pending_reasons = Some(BTreeMap::new()),
            |answer| {
                let now = constellation_store_core::Timestamp::UNIX_EPOCH;
                let metadata = crate::wire::MetadataBody::new(&OptionsBody::default(), now, now, None);
                answer.told.metadata = Some(metadata);
            },
            |answer| answer.request_id = Some("id".into()),
        ];
        assert!(Completed::of(&completed()).is_some());
        for (place, change) in changes.into_iter().enumerate() {
            let mut answer = completed();
            change(&mut answer);
            assert!(Completed::of(&answer).is_none(), "change {place}");
        }
    }
}
