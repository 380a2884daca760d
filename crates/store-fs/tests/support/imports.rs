//! Scenarios about imports into new directories.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use constellation_store_core::ErrorKind;
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_fs::vfs::{FaultVfs, RealVfs};

use super::Bases;
use crate::support::kind_of;
use crate::support::workloads::{Setup, archive};

/// Until the name of a new store is durable, nobody opens it, who would commit to what is taken back if that fails.
pub(super) fn opened_early(_: Setup, _: &Bases) {
    let archive = archive();
    let n_early = Arc::new(AtomicUsize::new(0));
    for call in 0.. {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        let vfs = FaultVfs::new(Arc::new(RealVfs::new(parent.path())));
        let (early, n_early) = (path.clone(), Arc::clone(&n_early));
        vfs.interrupt(call, move || {
            if early.exists() {
                let opened = FileSystemPipelineStore::open(&early);
                assert_eq!(kind_of(opened), Some(ErrorKind::Locked), "a store that is not durable is opened");
                n_early.fetch_add(1, Ordering::Relaxed);
            }
        });
        archive.create_directory(&vfs, "store", |_| ()).unwrap();
        FileSystemPipelineStore::open(&path).unwrap();
        if vfs.calls() <= call {
            break;
        }
    }
    assert!(n_early.load(Ordering::Relaxed) > 0, "the name of the store is not made durable");
}
