//! What a run says about itself when it has ended: why outputs did not come about, and where failures began.

use std::collections::HashSet;
use std::sync::Arc;

use constellation_store_core::NodeIndex;

use crate::details::Asked;
use crate::driver::Driver;
use crate::output::OutputBudget;
use crate::state::{Failure, Phase};
use crate::{PendingOutput, RunBudget, RunError, RunErrorKind, RunReport, RunStatus};

/// Nodes named in the reason of an output that did not come about.
const MAX_CHAIN: usize = 8;

/// Nodes looked at for these names.
const MAX_STEPS: usize = 64;

impl Driver<'_> {
    pub(crate) fn error(
        &self,
        node: NodeIndex,
        kind: RunErrorKind,
        module: Option<Arc<str>>,
        message: String,
        causes: Vec<String>,
    ) -> RunError {
        let label = self.pipeline.label(node).map(str::to_owned);
        RunError { kind, module, label, node: Some(node), message, causes }
    }

    pub(crate) fn failure_text(&self, failure: usize) -> String {
        match self.frame.failures.get(failure) {
            Some(Failure::Root { message, .. }) => message.clone(),
            Some(Failure::Operand { .. }) | None => String::new(),
        }
    }

    pub(crate) fn failure_of(&self, node: NodeIndex) -> Option<usize> {
        match self.frame.states.phase(node) {
            Some(Phase::Failed(failure)) => Some(*failure),
            None | Some(Phase::Idle | Phase::Wanted | Phase::Done(_) | Phase::HandedOn) => None,
        }
    }

    /// The node where the failure of a failed node began.
    pub(crate) fn root_of(&self, node: NodeIndex) -> NodeIndex {
        match self.failure_of(node).and_then(|failure| self.frame.failures.get(failure)) {
            Some(Failure::Operand { operand: _, root }) => *root,
            Some(Failure::Root { .. }) | None => node,
        }
    }

    fn name(&self, node: NodeIndex) -> String {
        match self.pipeline.label(node) {
            Some(label) => format!("'{label}'"),
            None => format!("node {}", node.0),
        }
    }

    /// Why a node has no value.
    fn reason(&self, node: NodeIndex) -> String {
        let began = self.root_of(node);
        let Some(root) = self.failure_of(began) else {
            return "it was not computed before the run ended".to_owned();
        };
        let mut names = vec![self.name(node)];
        let mut at = node;
        // Bounded, since a chain of nodes without end may have one label.
        for _ in 0..MAX_STEPS {
            let failure = self.failure_of(at).and_then(|failure| self.frame.failures.get(failure));
            let Some(Failure::Operand { operand, root: _ }) = failure else { break };
            at = *operand;
            let name = self.name(at);
            if names.last() != Some(&name) {
                names.push(name);
            }
            if names.len() > MAX_CHAIN {
                break;
            }
        }
        let began = self.name(began);
        if names.last() == Some(&began) {
            names.pop();
        }
        let failed = format!("{began} failed: {}", self.failure_text(root));
        match names.split_first() {
            None => failed,
            Some((first, [])) => format!("{first} was not computed because {failed}"),
            Some((first, through)) => {
                format!("{first} was not computed because {failed} (through {})", through.join(", "))
            }
        }
    }

    pub(crate) fn report(self, asked: Asked) -> RunReport {
        let pipeline = self.pipeline;
        // What is in flight has nobody left to tell.
        self.frame.calls.clear();
        let mut outputs = Vec::with_capacity(pipeline.outputs.len());
        let mut pending_outputs = Vec::new();
        let mut failed = Vec::new();
        let mut undecided = Vec::new();
        let mut budget = OutputBudget::new(self.run.shared.config.max_output_bytes);
        let mut oversized = None;
        for output in &pipeline.outputs {
            match self.frame.states.phase(output.node) {
                Some(Phase::Done(value)) => {
                    let charged = budget.charge_text(&output.name).and_then(|()| budget.charge_value(value));
                    if charged.is_ok() {
                        outputs.push((Arc::clone(&output.name), value.clone()));
                        continue;
                    }
                    // What is left of the budget is not given to smaller outputs: which ones are there must not
                    // depend on how they fit.
                    budget = OutputBudget::new(0);
                    oversized = oversized.or(Some(output.node));
                    let reason = "the outputs of the run are too large".to_owned();
                    pending_outputs.push(PendingOutput { name: Arc::clone(&output.name), reason });
                }
                phase => {
                    if matches!(phase, Some(Phase::Failed(_))) {
                        failed.push(output.node);
                    } else {
                        undecided.push(output.node);
                    }
                    let reason = self.reason(output.node);
                    pending_outputs.push(PendingOutput { name: Arc::clone(&output.name), reason });
                }
            }
        }
        let mut errors = self.roots(failed);
        if !self.run.is_stopped() {
            for node in undecided {
                let message = "the run ended without deciding this output; this is a defect".to_owned();
                errors.push(self.error(node, RunErrorKind::Internal, None, message, Vec::new()));
            }
        }
        errors.extend(oversized.map(|node| {
            let limit = self.run.shared.config.max_output_bytes;
            let message = format!(
                "the outputs take more than {limit} bytes as JSON; make them smaller, or raise the limit"
            );
            self.error(node, RunErrorKind::ResourceExhausted, None, message, Vec::new())
        }));
        let exceeded = match self.run.stopped().map(|error| error.kind) {
            Some(RunErrorKind::ResourceExhausted) => Some(RunBudget::ValueBytes),
            Some(RunErrorKind::DeadlineExceeded) => Some(RunBudget::Time),
            _ => oversized.map(|_| RunBudget::OutputBytes),
        };
        errors.extend(self.run.stopped().cloned());
        let status = if errors.is_empty() { RunStatus::Completed } else { RunStatus::Failed };
        let details = self.details(asked, &mut budget);
        RunReport { status, outputs, errors, missing_inputs: Vec::new(), pending_outputs, exceeded, details }
    }

    /// Where the failures of these nodes began, in the order of nodes.
    pub(crate) fn roots(&self, failed: impl IntoIterator<Item = NodeIndex>) -> Vec<RunError> {
        let mut failed: Vec<NodeIndex> = failed.into_iter().collect();
        let mut seen = HashSet::new();
        let mut roots = Vec::new();
        while let Some(node) = failed.pop() {
            if !seen.insert(node) {
                continue;
            }
            let Some(failure) = self.failure_of(node) else { continue };
            match self.frame.failures.get(failure) {
                Some(Failure::Operand { operand, root: _ }) => {
                    failed.push(*operand);
                    // Others of its operands may have failed as well.
                    let operation = &self.pipeline.nodes[node.index()].operation;
                    operation.for_each_certain_operand(|operand| failed.push(operand));
                }
                Some(Failure::Root { kind, module, message, causes, fallback }) => {
                    failed.extend(*fallback);
                    roots.push(self.error(node, *kind, module.clone(), message.clone(), causes.clone()));
                }
                None => {}
            }
        }
        roots.sort_by_key(|error| error.node);
        roots
    }
}
