//! Running pipelines.

use std::sync::Arc;

use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{
    Inputs, RunObserver, RunOptions, RunReport, Runtime, RuntimeConfig, SchedulerConfig,
};

use super::PipelineService;
use crate::config::Limits;
use crate::error::ServiceError;
use crate::metrics::{Load, Metrics};

/// A runtime whose runs are counted.
pub(super) fn runtime(limits: &Limits, metrics: &Metrics) -> Runtime {
    Runtime::new(RuntimeConfig {
        max_duration: limits.max_execution_duration,
        scheduler: limits.max_calls_in_flight.map(|max_in_flight| SchedulerConfig {
            max_waiting: limits.max_waiting_calls,
            ..SchedulerConfig::new(max_in_flight)
        }),
        observer: Some(Arc::clone(metrics.runs()) as Arc<dyn RunObserver>),
        ..RuntimeConfig::default()
    })
}

impl PipelineService {
    /// Runs a pipeline, once there are fewer runs than the limit. Together with that wait it takes no longer than
    /// [`Limits::max_execution_duration`], whatever the options say. Dropping the future stops the run.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Overloaded`] when its turn does not come in time; then nothing was run.
    pub async fn run(
        &self,
        pipeline: &Arc<LoadedPipeline>,
        inputs: Inputs,
        options: RunOptions,
    ) -> Result<RunReport, ServiceError> {
        let limit = self.runtime.config().max_duration;
        let max_duration = options.max_duration.map_or(limit, |asked| asked.min(limit));
        let slot = self.executions.enter_within(max_duration).await?;
        let max_duration = Some(max_duration.saturating_sub(slot.waited));
        Ok(self.runtime.run(pipeline, inputs, RunOptions { max_duration, ..options }).await)
    }

    /// What is under way and waits now.
    pub(crate) fn load_now(&self) -> Load {
        Load {
            compilations: self.compilations.statistics(),
            executions: self.executions.statistics(),
            runtime: self.runtime.statistics(),
        }
    }
}
