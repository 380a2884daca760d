//! Version documents that are damaged, lost, or not where they belong: what counts, and that no crash while it is put
//! right takes anything away.

use constellation_store_core::{Operation, PipelineName, StructuralHash};
use constellation_store_fs::core::Core;
use constellation_store_fs::vfs::ModelVfs;

use crate::support::workloads::Setup;
use crate::support::{commit, name, one, small_store};

const A: &str = "versions/a.json";

fn warnings(core: &Core) -> String {
    core.shared().status().warnings.join("\n")
}

fn active(core: &Core, of: &PipelineName) -> Option<StructuralHash> {
    core.shared().state().resolve(of).map(|active| active.structural_hash)
}

fn next_version(core: &Core, of: &PipelineName) -> u64 {
    core.shared().state().versions(of).map_or(1, |history| history.next_version)
}

fn damage(tree: &ModelVfs, path: &str) {
    let mut bytes = tree.files()[path].clone();
    bytes[3] = b'?';
    tree.put(path, bytes);
    tree.discard("pack");
}

/// What is removed stays removed when a document decays, though somebody keeps a copy of an older one beside it.
pub(crate) fn second_documents(setup: Setup) {
    const COPY: &str = "versions/a-backup.json";
    let a = name("a");
    let prune = one(Operation::PruneVersions { name: a.clone(), keep: 0 });
    let delete = one(Operation::DeleteName { name: a.clone() });
    // It was there at an opening.
    let tree = small_store();
    let copy = tree.files()[A].clone();
    tree.put(COPY, copy.clone());
    let mut core = setup.open(&tree);
    assert!(warnings(&core).contains("one of two version documents"), "{}", warnings(&core));
    let left = tree.crash(&[]).files();
    assert_eq!(left.get("quarantine/versions-a-backup.json"), Some(&copy), "what is put aside is kept");
    assert!(!left.contains_key(COPY), "it stays beside the document that counts");
    for change in [&delete, &prune] {
        commit(&mut core, change).unwrap();
    }
    let given = next_version(&core, &a);
    core.close().unwrap();
    damage(&tree, A);
    let core = setup.open(&tree);
    assert_eq!(active(&core, &a), None, "a name that was deleted is back");
    assert!(next_version(&core, &a) >= given, "a number is given twice");
    let history = core.shared().state().versions(&a).cloned().unwrap();
    assert_eq!(history.versions, [], "versions that were pruned are back");
    // It was not.
    for has_aliases in [true, false] {
        let tree = small_store();
        let mut core = setup.open(&tree);
        commit(&mut core, &delete).unwrap();
        let given = next_version(&core, &a);
        core.close().unwrap();
        tree.put(COPY, copy.clone());
        damage(&tree, A);
        if !has_aliases {
            tree.put("aliases.json", "damaged");
        }
        for _ in 0..2 {
            let mut core = setup.open(&tree);
            assert_eq!(active(&core, &a).is_none(), has_aliases, "'aliases.json' tells of the deletion");
            assert!(next_version(&core, &a) >= given, "a number is given twice");
            core.close().unwrap();
            tree.discard("pack");
        }
    }
}
