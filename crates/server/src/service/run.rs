//! Running pipelines.

use std::sync::Arc;

use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{Inputs, RunObserver, RunOptions, RunReport, Runtime, RuntimeConfig};

use super::PipelineService;
use crate::config::Limits;
use crate::metrics::Metrics;

/// A runtime whose runs are counted.
pub(super) fn runtime(limits: &Limits, metrics: &Metrics) -> Runtime {
    Runtime::new(RuntimeConfig {
        max_duration: limits.max_execution_duration,
        observer: Some(Arc::clone(metrics.runs()) as Arc<dyn RunObserver>),
        ..RuntimeConfig::default()
    })
}

impl PipelineService {
    /// Runs a pipeline, once there are fewer runs than the limit. It takes no longer than
    /// [`Limits::max_execution_duration`] then, whatever the options say. Dropping the future stops the run.
    pub async fn run(
        &self,
        pipeline: &Arc<LoadedPipeline>,
        inputs: Inputs,
        options: RunOptions,
    ) -> RunReport {
        let _slot = self.run_slots.acquire().await.expect("the semaphore is never closed");
        let limit = self.runtime.config().max_duration;
        let max_duration = options.max_duration.map(|asked| asked.min(limit));
        self.runtime.run(pipeline, inputs, RunOptions { max_duration, ..options }).await
    }
}
