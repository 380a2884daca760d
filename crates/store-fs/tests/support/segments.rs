//! Segments of the journal whose name another one gets.

use std::io::ErrorKind as Io;

use constellation_store_fs::core::Core;
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs};

use super::{Bases, segments, with_faults};
use crate::support::workloads::Setup;
use crate::support::{assert_same, commit, content, publish};

/// A commit of which one call fails for want of room, and with `Sticky` all calls after it.
fn refuse(core: &mut Core, faults: &FaultVfs, call: u64, mode: FaultMode) {
    faults.set_fault(Some(Fault { call: faults.calls() + call, error: Io::StorageFull, mode }));
    commit(core, &publish("a", 100)).unwrap_err();
    faults.set_fault(None);
}

/// A segment that got no frame, and could not be extended or removed, is replaced by the next one, which has its name.
/// No checkpoint retires that for it, whenever it began.
pub(super) fn names_that_are_given_again(setup: Setup, bases: &Bases) {
    let base = bases.small.tree.copy();
    // So that a checkpoint is due.
    base.discard("pack");
    let has_empty_segment = |call: &u64| {
        let tree = base.copy();
        let (faults, mut core) = with_faults(setup, &tree);
        refuse(&mut core, &faults, *call, FaultMode::Once);
        segments(&tree).iter().any(|(_, bytes)| bytes.is_empty())
    };
    let write = (0..20).find(has_empty_segment).unwrap();
    for begins_at in 0..3 {
        for (call, mode) in [(0, FaultMode::Once), (1, FaultMode::Once), (0, FaultMode::Sticky)] {
            let tree = base.copy();
            let (faults, mut core) = with_faults(setup, &tree);
            for (attempt, (call, mode)) in [(write, FaultMode::Once), (call, mode)].into_iter().enumerate() {
                if begins_at == attempt {
                    core.begin_checkpoint().unwrap();
                }
                refuse(&mut core, &faults, call, mode);
            }
            core.begin_checkpoint().unwrap();
            commit(&mut core, &publish("a", 101)).unwrap();
            while core.is_in_checkpoint() {
                core.step().unwrap();
            }
            // Whether or not it is durable by then what the checkpoint took away.
            for left in [tree.crash(&[]), tree.copy()] {
                assert_same(&content(&setup.open(&left)), &content(&core));
            }
        }
    }
}
