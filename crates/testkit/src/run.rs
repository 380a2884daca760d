//! What a test is told of a run.

use std::sync::Arc;
use std::time::Duration;

use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{RunReport, RunStatus};
use constellation_types::{Json as TypedJson, Type, Value};
use serde_json::Value as Json;

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    pipeline: Arc<LoadedPipeline>,
    report: RunReport,
    elapsed: Duration,
}

impl Run {
    pub(crate) fn new(pipeline: Arc<LoadedPipeline>, report: RunReport, elapsed: Duration) -> Self {
        Self { pipeline, report, elapsed }
    }

    /// The output `name` as JSON.
    ///
    /// # Panics
    ///
    /// When it did not come about, with the reason, or the source has no such output.
    #[track_caller]
    pub fn output(&self, name: &str) -> Json {
        match self.json_outputs().find(|(known, _)| *known == name) {
            Some((_, json)) => json,
            None if self.pipeline.outputs.iter().any(|output| *output.name == *name) => {
                panic!("the output '{name}' did not come about: {}", self.explain())
            }
            None => {
                let known: Vec<&str> = self.pipeline.outputs.iter().map(|output| &*output.name).collect();
                panic!("the source has no output '{name}'; its outputs are: {}", known.join(", "))
            }
        }
    }

    /// All outputs as JSON, an object by name.
    ///
    /// # Panics
    ///
    /// When one did not come about, with the reason.
    #[track_caller]
    pub fn outputs(&self) -> Json {
        assert!(self.report.status == RunStatus::Completed, "the run did not complete: {}", self.explain());
        self.json_outputs().map(|(name, json)| (name.to_owned(), json)).collect()
    }

    /// What failed, a line for each failure, with its causes.
    ///
    /// # Panics
    ///
    /// When nothing did.
    #[track_caller]
    pub fn failure(&self) -> String {
        assert!(self.report.status == RunStatus::Failed, "the run did not fail: {:?}", self.report);
        self.explain()
    }

    /// All that the runtime tells.
    pub fn report(&self) -> &RunReport {
        &self.report
    }

    /// How long it would have taken, if time were not paused: what modules, delays and timeouts waited for.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    fn json_outputs(&self) -> impl Iterator<Item = (&str, Json)> {
        self.pipeline.outputs.iter().filter_map(|output| {
            let value = self.report.output(&output.name)?;
            Some((&*output.name, json_of(value, self.pipeline.ty(output.ty))))
        })
    }

    fn explain(&self) -> String {
        let errors = self.report.errors.iter().map(ToString::to_string);
        let missing = self.report.missing_inputs.iter();
        let missing = missing.map(|input| format!("the input '{}' is missing", input.name));
        errors.chain(missing).collect::<Vec<_>>().join("\n")
    }
}

pub(crate) fn json_of(value: &Value, ty: &Type) -> Json {
    serde_json::to_value(TypedJson { value, ty }).expect("values are written to JSON without fail")
}
