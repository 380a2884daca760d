//! Loaded pipelines by hash, at most so many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use constellation_rehydrate::LoadedPipeline;
use constellation_store_core::StructuralHash;

/// Pipelines that are ready to run. When it is full, the least recently used tenth is dropped: whoever runs one
/// keeps it, and it is bound again in microseconds.
#[derive(Debug)]
pub(super) struct PipelineCache {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pipelines: HashMap<StructuralHash, Entry>,
    /// Grows with each use; stands in for the time of use.
    tick: u64,
}

#[derive(Debug)]
struct Entry {
    pipeline: Arc<LoadedPipeline>,
    used: u64,
}

impl PipelineCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default() }
    }

    pub(super) fn get(&self, hash: &StructuralHash) -> Option<Arc<LoadedPipeline>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tick += 1;
        let tick = state.tick;
        let entry = state.pipelines.get_mut(hash)?;
        entry.used = tick;
        Some(Arc::clone(&entry.pipeline))
    }

    pub(super) fn insert(&self, pipeline: &Arc<LoadedPipeline>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tick += 1;
        let used = state.tick;
        let hash = pipeline.image.structural_hash;
        if state.pipelines.len() >= self.capacity && !state.pipelines.contains_key(&hash) {
            let mut times: Vec<u64> = state.pipelines.values().map(|entry| entry.used).collect();
            // Several at once: looking for the oldest at each insertion would cost more than binding again.
            let dropped = (times.len() / 10).max(1);
            if dropped < times.len() {
                let (_, oldest_kept, _) = times.select_nth_unstable(dropped);
                let oldest_kept = *oldest_kept;
                state.pipelines.retain(|_, entry| entry.used >= oldest_kept);
            } else {
                state.pipelines.clear();
            }
        }
        state.pipelines.insert(hash, Entry { pipeline: Arc::clone(pipeline), used });
    }
}

#[cfg(test)]
mod tests {
    use constellation_module::ModuleRegistry;
    use constellation_rehydrate::rehydrate;
    use constellation_store_core::{
        DagSpec, ImageMetadata, Literal, NodeIndex, NodeKind, NodeSpec, OutputSpec, PipelineImage, Timestamp,
        TypeIndex, TypeSpec,
    };

    use super::*;

    fn pipeline(number: i64) -> Arc<LoadedPipeline> {
        let dag_spec = DagSpec {
            outputs: vec![OutputSpec { name: "n".into(), node: NodeIndex(0) }],
            types: vec![TypeSpec::Int],
            nodes: vec![NodeSpec {
                label: None,
                ty: TypeIndex(0),
                operation: NodeKind::Literal(Literal::Int(number)),
            }],
            ..DagSpec::default()
        };
        let metadata = ImageMetadata::new(&dag_spec, Timestamp::UNIX_EPOCH);
        let image = Arc::new(PipelineImage::new(dag_spec, metadata));
        Arc::new(rehydrate(image, &ModuleRegistry::new()).unwrap())
    }

    #[test]
    fn what_was_used_least_recently_is_dropped_first() {
        for capacity in [1, 2, 7, 30] {
            let cache = PipelineCache::new(capacity);
            let pipelines: Vec<_> = (0..40).map(pipeline).collect();
            let hash = |number: usize| pipelines[number].image.structural_hash;
            for pipeline in &pipelines {
                cache.insert(pipeline);
                assert!(cache.state.lock().unwrap().pipelines.len() <= capacity);
                // The first is used all the time, so that it stays.
                assert!(capacity < 2 || cache.get(&hash(0)).is_some(), "{capacity}");
            }
            assert!(cache.get(&hash(39)).is_some());
            assert!(cache.get(&hash(1)).is_none());
        }
    }
}
