//! Room for connections among the files that the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store, its compaction, the log and the runtime have open at one time, and more. Without it connections
/// would take what a commit needs.
const RESERVED: u64 = 64;

/// Lets the process open as many files as it is allowed to, and returns how many of the wanted connections there is
/// room for.
pub(crate) fn room_for_connections(wanted: usize) -> usize {
    let limit = raise(getrlimit(Resource::Nofile));
    let Some(limit) = limit.current else { return wanted };
    let room = usize::try_from(limit - reserved(limit)).unwrap_or(usize::MAX);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            "the limit on open files leaves room for fewer connections; see 'ulimit -n'"
        );
    }
    room.min(wanted)
}

/// Of a limit that is low anyway, connections get the larger part.
fn reserved(limit: u64) -> u64 {
    RESERVED.min(limit / 4)
}

/// The limit that holds then. The soft limit is low for the sake of programs that use `select`, which this is not.
fn raise(limit: Rlimit) -> Rlimit {
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(error) => {
            tracing::debug!(%error, "the limit on open files was not raised");
            limit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_room_for_more_connections_than_files() {
        let limit = raise(getrlimit(Resource::Nofile));
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(room_for_connections(10), 10);
        if let Some(limit) = limit.current {
            let room = room_for_connections(usize::MAX);
            assert_eq!(room as u64, limit - RESERVED);
        }
        assert_eq!([0, 16, 256, 1024].map(reserved), [0, 4, 64, 64]);
    }
}
