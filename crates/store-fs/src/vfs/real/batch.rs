//! One sync for many files: `syncfs`, where it tells errors and reaches the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// Up to so many files are synced one by one: a sync of the file system waits for everybody's files.
pub(super) const FEW: usize = 8;

/// Since when `syncfs` returns all errors since the file was opened: those of writing data since 5.8, those of the file
/// system itself, as of its journal or the flush of the disk, since 5.17.
const FIRST_KERNEL: (u32, u32) = (5, 17);

/// ext2 to ext4, XFS, Btrfs, F2FS. Others may pass the call on to another file system and its errors not back, or
/// may take it for done, as FUSE does.
const KNOWN: [u32; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];

/// Whether one sync of the file system of `root` covers the files in `directory`.
pub(super) fn is_one_sync(root: &File, directory: &File) -> bool {
    // Something else may be mounted there.
    let same = || -> io::Result<bool> { Ok(root.metadata()?.dev() == directory.metadata()?.dev()) };
    let is_known = || {
        let found = rustix::fs::fstatfs(root).ok().and_then(|found| u32::try_from(found.f_type).ok());
        found.is_some_and(|found| KNOWN.contains(&found))
    };
    let release = rustix::system::uname();
    let release = release.release().to_str().unwrap_or_default();
    same().unwrap_or(false) && is_known() && is_new_enough(release)
}

/// Makes everything durable that was written to the file system of `root`.
pub(super) fn sync(root: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(root)?)
}

fn is_new_enough(release: &str) -> bool {
    let mut parts = release.split(|character: char| !character.is_ascii_digit());
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
    matches!((number(), number()), (Some(major), Some(minor)) if (major, minor) >= FIRST_KERNEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_whose_sync_of_a_file_system_hides_errors_are_told_by_their_release() {
        for release in ["5.17.0", "5.19.0-28-amd64", "6.1", "10.0.0"] {
            assert!(is_new_enough(release), "{release}");
        }
        for release in ["5.16.20", "5.8.0", "5.10.0-28-amd64", "4.19.0", "3", "", "x.y"] {
            assert!(!is_new_enough(release), "{release}");
        }
    }
}
