//! What an opening read and what it repaired, made durable before anything is built on it.
//!
//! What fails here is told, and the store can be read, so that a full disk does not hide what is there. Commits try
//! again first.

use constellation_store_core::Result;

use super::{Core, misplaced, recovery};
use crate::error::FileError;
use crate::seeded::{self, SeededBug};

impl Core {
    /// Does so at an opening.
    pub(super) fn settle_at_opening(&mut self, is_new: bool, is_repaired: bool) {
        self.owes_checkpoint = is_repaired && !seeded::is_on(SeededBug::RepairNotOwed);
        // Told by the status.
        let settled = self.settle();
        let confirmed = if is_new { Ok(()) } else { self.confirm_manifest() };
        if confirmed.is_err() {
            // The segments of earlier openings stay until there is another `store.json`.
            self.owes_checkpoint = true;
        } else if settled.is_ok() {
            self.journal.take_found_away();
        }
        if is_new || is_repaired {
            // Without `store.json` the next opening does again what this one did.
            let _ = self.begin_checkpoint_of(true).and_then(|()| self.checkpoint());
        }
    }

    /// Builds nothing on files that may not be durable. A later sync of them would prove nothing.
    pub(super) fn only_read(&mut self, error: &FileError) {
        self.stop_writing(format!(
            "its files could not be made durable, and only opening it again settles it: {error}"
        ));
    }

    /// Writes `store.json` anew, where that matters: there are segments, which are removed because of what it says.
    ///
    /// It may be that of a checkpoint whose last sync failed. It can be read then, but a system may take it for
    /// durable when it is not, so that syncing its directory again proves nothing; a new file does. Without
    /// segments nothing rests on it: one is taken away only after a sync that succeeded.
    fn confirm_manifest(&mut self) -> Result<(), FileError> {
        if !self.journal.has_segments() || seeded::is_on(SeededBug::ManifestBelieved) {
            return Ok(());
        }
        let confirmed = self.files.write_manifest(&self.manifest.encode());
        if let Err(error) = &confirmed {
            self.tell_unsettled(error);
        }
        confirmed
    }

    /// Whether there is nothing left to [`Core::settle`].
    fn is_settled(&self) -> bool {
        self.damage.is_empty() && self.misplaced.is_empty() && self.journal.is_settled()
    }

    /// Makes the frames of earlier openings durable, puts aside what is damaged, and puts right what is misplaced.
    ///
    /// That comes before anything that rests on the frames: a commit, and a checkpoint, which would leave some of what a
    /// frame says in the files, and the rest of it nowhere. And it comes before anything takes the place of what is
    /// damaged.
    pub(super) fn settle(&mut self) -> Result<(), FileError> {
        if self.is_settled() {
            return Ok(());
        }
        let kept = recovery::quarantine(&self.files, &mut self.damage);
        if let Err(error) = &kept {
            tracing::warn!(%error, "a damaged file cannot be put into the quarantine");
            self.shared.health().unsettled = Some(format!(
                "a damaged file could not be put into the quarantine, and no commit is taken before: {error}"
            ));
        }
        if seeded::is_on(SeededBug::DamageNotKept) {
            self.damage.clear();
        } else {
            kept?;
        }
        self.put_right()?;
        let settled = self.journal.settle(self.first_sequence);
        match &settled {
            Err(error) => self.tell_unsettled(error),
            // Of a `store.json` that is not durable a checkpoint takes it back.
            Ok(()) if !self.owes_checkpoint => self.shared.health().unsettled = None,
            Ok(()) => {}
        }
        settled
    }

    /// Gives misplaced version documents their own files. What is damaged there was put aside before.
    fn put_right(&mut self) -> Result<(), FileError> {
        if seeded::is_on(SeededBug::MisplacedLeft) {
            self.misplaced.clear();
        }
        let put = misplaced::put_right(&self.files, &mut self.misplaced);
        if let Err(error) = &put {
            tracing::warn!(%error, "a version document cannot be written under its own file name");
            self.shared.health().unsettled = Some(format!(
                "a version document is under another file name than its own, and no commit is taken before that is \
                 put right: {error}"
            ));
        }
        put
    }

    fn tell_unsettled(&self, error: &FileError) {
        self.shared.health().unsettled = Some(format!(
            "commits of before the store was opened are read, but could not be made durable: {error}"
        ));
    }

    /// Makes good what failed at the opening, before a commit is judged: also an answer that changes nothing must
    /// not depend on what is not durable, and what was repaired is repaired in another way next time, with other
    /// version numbers, unless the files have it.
    ///
    /// # Errors
    ///
    /// Those of file access. Nothing changed.
    pub(super) fn make_good(&mut self) -> Result<()> {
        if self.is_settled() && !self.owes_checkpoint {
            return Ok(());
        }
        self.settle().map_err(|error| error.into_store_error("commit"))?;
        if self.owes_checkpoint {
            self.begin_checkpoint_of(true)?;
            while self.is_in_checkpoint() {
                self.step()?;
            }
        }
        self.journal.take_found_away();
        Ok(())
    }
}
