//! Running pipelines.

use std::num::NonZeroUsize;
use std::sync::Arc;

use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{
    CacheConfig, Inputs, RunObserver, RunOptions, RunReport, Runtime, RuntimeConfig, SchedulerConfig,
};

use super::PipelineService;
use crate::config::Limits;
use crate::error::ServiceError;
use crate::metrics::{Load, Metrics};

/// A runtime whose runs are counted.
pub(super) fn runtime(limits: &Limits, metrics: &Metrics) -> Runtime {
    let scheduler = NonZeroUsize::new(limits.max_calls_in_flight).map(|max_in_flight| SchedulerConfig {
        max_waiting: limits.max_calls_waiting,
        ..SchedulerConfig::new(max_in_flight)
    });
    let cache = CacheConfig {
        max_entries: limits.max_cached_results,
        max_bytes: limits.max_cached_bytes,
        ..CacheConfig::default()
    };
    Runtime::new(RuntimeConfig {
        max_duration: limits.max_execution_duration,
        cache,
        scheduler,
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
            problems: self.n_problems(),
        }
    }
}

#[cfg(test)]
mod tests {
    use constellation_module::ModuleRegistry;

    use super::*;

    fn config_of(limits: &Limits) -> RuntimeConfig {
        runtime(limits, &Metrics::new(&ModuleRegistry::new(), limits)).config().clone()
    }

    #[test]
    fn the_limits_reach_the_runtime_and_the_default_ones_are_those_of_the_runtime() {
        let config = config_of(&Limits::default());
        let default = RuntimeConfig::default();
        assert_eq!(config.scheduler, default.scheduler);
        assert_eq!(
            (config.cache.max_entries, config.cache.max_bytes),
            (default.cache.max_entries, default.cache.max_bytes)
        );
        assert_eq!(config.max_duration, default.max_duration);

        let limits = Limits {
            max_calls_in_flight: 3,
            max_calls_waiting: 4,
            max_cached_results: 5,
            max_cached_bytes: 6,
            ..Limits::default()
        };
        let config = config_of(&limits);
        let scheduler = config.scheduler.unwrap();
        assert_eq!((scheduler.max_in_flight.get(), scheduler.max_waiting), (3, 4));
        assert_eq!((config.cache.max_entries, config.cache.max_bytes), (5, 6));
    }
}
