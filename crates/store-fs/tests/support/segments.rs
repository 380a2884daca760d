//! Segments of the journal whose name another one gets, and segments with two names.

use std::io::ErrorKind as Io;
use std::sync::Arc;

use constellation_store_fs::core::Core;
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs, ModelVfs};

use super::{Bases, segments, with_faults};
use crate::support::crashes::fates;
use crate::support::workloads::Setup;
use crate::support::{assert_same, commit, content, open, options, publish};

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

/// Of the two renames by which a segment is used again a crash may lose the first one alone.
fn trees_with_two_names(bases: &Bases) -> Vec<ModelVfs> {
    let tree = bases.small.tree.copy();
    let mut core = open(&tree);
    commit(&mut core, &publish("a", 110)).unwrap();
    tree.record();
    core.checkpoint().unwrap();
    commit(&mut core, &publish("a", 111)).unwrap();
    let has_two = |tree: &ModelVfs| matches!(&*segments(tree), [(_, one), (_, other)] if one == other);
    let moments = tree.moments().into_iter();
    let crashed = moments
        .flat_map(|moment| fates(&moment.pending()).into_iter().map(move |fates| moment.crash(&fates)));
    crashed.filter(has_two).collect()
}

/// What an opening finds is not written over: of two segments that are one file, the second would be written over the
/// frames of the first. An opening that fails to take them away leaves that to a checkpoint.
pub(super) fn segments_with_two_names(setup: Setup, bases: &Bases) {
    let trees = trees_with_two_names(bases);
    assert!(!trees.is_empty(), "no crash leaves one file under two names");
    let mut n_left = 0;
    for left in trees {
        for call in 0.. {
            let tree = left.copy();
            let faults = FaultVfs::new(setup.vfs(&tree));
            faults.set_fault(Some(Fault { call, error: Io::StorageFull, mode: FaultMode::Once }));
            let opened = Core::open(Arc::new(faults.clone()), options());
            let has_struck = faults.struck();
            faults.set_fault(None);
            if let Ok(mut core) = opened
                && core.shared().status().read_only.is_none()
            {
                n_left += usize::from(segments(&tree).len() == 2);
                for number in [120, 122] {
                    commit(&mut core, &publish("a", number)).unwrap();
                    core.begin_checkpoint().unwrap();
                    commit(&mut core, &publish("a", number + 1)).unwrap();
                    assert_same(&content(&setup.open(&tree.crash(&[]))), &content(&core));
                    core.checkpoint().unwrap();
                }
            }
            if !has_struck {
                break;
            }
        }
    }
    assert!(n_left > 0, "each opening takes them away");
}
