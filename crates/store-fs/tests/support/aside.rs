//! Scenarios about what is put aside while a checkpoint is under way.

use std::io::ErrorKind as Io;
use std::sync::Arc;

use constellation_store_fs::core::Core;
use constellation_store_fs::vfs::{Fault, FaultMode, FaultVfs};

use super::{Bases, image_path, warnings};
use crate::support::workloads::Setup;
use crate::support::{assert_same, check_files, commit, content, options, publish, put};

/// A sync of a directory that fails where something is put aside covers nothing of a checkpoint, whose own sync would
/// not make up for it.
pub(super) fn failed_syncs_beside_a_checkpoint(setup: Setup, bases: &Bases) {
    // Before the first write, and after that of images, of one map and of both, which await their syncs then.
    for steps in [1, 3, 9, 10] {
        for call in 0.. {
            let tree = bases.small.tree.copy();
            let faults = FaultVfs::forgetting(setup.vfs(&tree), &tree);
            let mut core = Core::open(Arc::new(faults.clone()), options()).unwrap();
            commit(&mut core, &publish("new", 9)).unwrap();
            core.begin_checkpoint().unwrap();
            for _ in 0..steps {
                core.step().unwrap();
            }
            assert!(core.is_in_checkpoint());
            for path in [&image_path(4), "versions/a.json"] {
                tree.decay(path, |bytes| bytes[8] ^= 1);
            }
            let fault = Fault { call: faults.calls() + call, error: Io::Other, mode: FaultMode::Once };
            faults.set_fault(Some(fault));
            check_files(&mut core);
            if steps == 1 {
                // Also what comes afterwards fails.
                let _ = core.checkpoint();
            }
            let has_struck = faults.struck();
            faults.set_fault(None);
            // What could not be read was left alone.
            check_files(&mut core);
            core.checkpoint().unwrap();
            let memory = content(&core);
            drop(core);
            assert_same(&content(&setup.open(&tree.crash(&[]))), &memory);
            if !has_struck {
                assert!(call > 10, "{call}");
                break;
            }
        }
    }
}

/// What was put off is done when the checkpoint is over, before anything takes the place of what is damaged.
pub(super) fn damage_beside_a_checkpoint_is_kept(setup: Setup, bases: &Bases) {
    for steps in 0..6 {
        let tree = bases.small.tree.copy();
        let mut core = setup.open(&tree);
        commit(&mut core, &publish("new", 9)).unwrap();
        core.begin_checkpoint().unwrap();
        for _ in 0..steps {
            core.step().unwrap();
        }
        let damaged = [image_path(4), "versions/a.json".to_owned()].map(|path| {
            tree.decay(&path, |bytes| bytes[8] ^= 1);
            let bytes = tree.files()[&path].clone();
            (path, bytes)
        });
        check_files(&mut core);
        // It is compiled again meanwhile.
        commit(&mut core, &put(4)).unwrap();
        core.checkpoint().unwrap();
        let files = tree.crash(&[]).files();
        for (path, bytes) in damaged {
            assert!(files.values().any(|kept| *kept == bytes), "'{path}' is gone");
            assert_ne!(files[&path], bytes, "'{path}' is not healed");
        }
        assert_eq!(warnings(&core), "");
        let memory = content(&core);
        drop(core);
        assert_same(&content(&setup.open(&tree.crash(&[]))), &memory);
    }
}
