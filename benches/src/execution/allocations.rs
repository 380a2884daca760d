//! What runs allocate.

use std::sync::Arc;

use anyhow::ensure;
use constellation_benches::report::{Goal, Measure, Row};
use constellation_module::types::Value;
use constellation_rehydrate::LoadedPipeline;
use constellation_runtime::{Inputs, RunOptions, RunStatus, Runtime};
use tokio::runtime::Runtime as Executor;

use crate::pipelines;

/// The bytes that are held after the work and were not before, its result among them.
pub(crate) fn held_by<T>(work: impl FnOnce() -> T) -> (i64, T) {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(work()));
    (info.bytes_current, result.expect("the work was done"))
}

/// Allocations and bytes of one run.
fn of_run(executor: &Executor, pipeline: &Arc<LoadedPipeline>, x: &Value) -> anyhow::Result<(f64, f64)> {
    let runtime = Runtime::default();
    let once = || {
        executor.block_on(async {
            let inputs = Inputs::from_iter([("x", x.clone())]);
            runtime.run(pipeline, inputs, RunOptions::default()).await.status
        })
    };
    ensure!(once() == RunStatus::Completed, "a run failed");
    let info = allocation_counter::measure(|| {
        once();
    });
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    Ok((info.count_total as f64, info.bytes_total as f64))
}

pub(crate) fn of_runs(executor: &Executor) -> anyhow::Result<Vec<Row>> {
    let registry = pipelines::registry()?;
    let measure = |median| Some(Measure { median, p99: None });
    let row = |case: String, unit, ours| Row {
        case,
        unit,
        ours: measure(ours),
        peer_name: String::new(),
        peer: None,
        goal: None,
        note: None,
    };
    let mut rows = Vec::new();
    for n in [1, 10, 100] {
        let pipeline = pipelines::load(&pipelines::sum_chain(n), &registry)?;
        let (count, bytes) = of_run(executor, &pipeline, &Value::Int(1))?;
        rows.push(row(format!("allocations of a run, {n} sums"), "allocations", count));
        rows.push(row(format!("bytes allocated by a run, {n} sums"), "bytes", bytes));
    }
    let [few, many] = [1, 1_000].map(|n| {
        let pipeline = pipelines::load(&pipelines::unused_arm(n), &registry)?;
        of_run(executor, &pipeline, &Value::Int(1))
    });
    let ((few_count, few_bytes), (many_count, many_bytes)) = (few?, many?);
    for (what, unit, many, few) in [
        ("allocations", "allocations", many_count, few_count),
        ("bytes allocated", "bytes", many_bytes, few_bytes),
    ] {
        rows.push(Row {
            peer_name: "an unused arm of 1 call".into(),
            peer: measure(few),
            goal: Some(Goal::AtMost(1.0)),
            ..row(format!("{what} of a run, beside an unused arm of 1,000 calls"), unit, many)
        });
    }
    Ok(rows)
}
