//! Bugs that tests switch on, to see that some check finds each of them.
//!
//! A check that no bug fails is no check. Each variant of [`SeededBug`] is a slip that somebody could make: a sync
//! left out, a comparison off by one, a step in the wrong place. A hook is one line where the slip would be. Without
//! the feature `testing` `is_on` is constant, and the hooks are gone.
//!
//! The switch is per thread, so that tests of different bugs run side by side. What a store does on threads of its
//! own has no bugs.
//!
//! **Must not know:** what the hooks do; each is where its bug would be.

/// A bug, one at a time.
#[cfg_attr(not(any(test, feature = "testing")), expect(unreachable_pub, reason = "public to tests only"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SeededBug {
    /// A commit is answered although the sync of its frame failed.
    FailedSyncAcknowledged,
    /// Frames go on being written after one whose outcome is unknown.
    WritesOnAfterFailedSync,
    /// Memory gets commits whose frame could not be written.
    AppliedThoughNotWritten,
    /// "Nothing changed" is answered although it rests on a commit that could not be written.
    UnchangedAnsweredEarly,
    /// The commits of a batch are judged without those before them in the batch.
    BatchJudgedApart,
    /// Preconditions are not looked at.
    PreconditionsNotJudged,
    /// The journal grows past its bound.
    BacklogUnbounded,
    /// What an earlier opening wrote is not made durable before it is built on.
    SettleSkipped,
    /// A checkpoint begins although what earlier openings wrote could not be made durable.
    CheckpointNotSettled,
    /// The segments of earlier openings are removed before their frames are written down again.
    OldSegmentsRemovedFirst,
    /// A `store.json` that was read is taken for durable when its directory is synced once more.
    ManifestBelieved,
    /// A directory that is there is taken for durable when the root is synced once more.
    EmptyDirectoryBelieved,
    /// Commits go on although what the opening repaired could not be written.
    RepairNotOwed,
    /// An opening has the epoch of the one before.
    EpochNotRaised,
    /// Segments are retired when a checkpoint starts.
    RetiredBeforeManifest,
    /// A segment is retired that has frames after the checkpoint.
    RetiredTooMuch,
    /// The numbers of frames are not compared, so that stale ones count.
    StaleSequenceTaken,
    /// The epochs of frames are not compared, so that stale ones count.
    StaleEpochTaken,
    /// The hash of a frame is not checked.
    FrameHashNotChecked,
    /// A torn write at the end of a segment is taken for damage.
    TornTailIsDamage,
    /// Damage between frames is not noticed.
    HolesNotTold,
    /// Damage at the end of a segment that another one follows is not noticed.
    LostEndNotTold,
    /// Missing numbers between frames are not noticed.
    MissingFramesNotTold,
    /// The journal is not read again when others changed it meanwhile.
    JournalReadOnce,
    /// Segments that are not needed are removed without a sync in between.
    SegmentsRemovedTogether,
    /// The last segment that a checkpoint removed is not synced before another one removes the next.
    LastRemovalNotSynced,
    /// A missing directory of the journal is made while the catalogue tells the next opening to keep it.
    MissingJournalMade,
    /// Segments that somebody removed may come back after the opening.
    RemovalsBelieved,
    /// A catalogue that somebody removed may come back after the opening.
    RemovedCatalogueForgotten,
    /// Who reads beside a writer believes a listing of the journal that missed a segment.
    MissedSegmentsBelieved,
    /// The journal is not applied.
    JournalIgnored,
    /// The first frame after the checkpoint is not applied.
    ReplayedTooLate,
    /// The journal of another store is applied.
    ForeignJournalApplied,
    /// A directory of a later format is opened.
    LaterFormatOpened,
    /// What is behind a link in the place of a part of the store is taken for it.
    LinksFollowed,
    /// The latest revision is not taken from `store.json`.
    RevisionForgotten,
    /// The next version number is the one after the greatest that is there.
    NumbersFromVersions,
    /// After a version document was damaged, numbers start again.
    NumbersOfDamagedReused,
    /// A version whose document is lost gets the number that the journal gives to another one.
    AdoptedBelowJournal,
    /// The version documents of names that are deleted are not written.
    DeletedNamesNotWritten,
    /// That a version was lost which the journal had made active is not noticed.
    LostActiveKept,
    /// `aliases.json` is believed whatever the version documents say.
    AliasesTrusted,
    /// `aliases.json` is taken to contradict documents that a checkpoint wrote which did not end.
    AliasesOfCheckpointsDropped,
    /// The numbers in a damaged document do not count where there is a copy of it.
    NumbersOfCopiesReused,
    /// A version document under another file name stays there until something is written in its place.
    MisplacedLeft,
    /// Of two documents that stand in each other's place none is kept elsewhere while they are put right.
    ExchangedWithoutCopies,
    /// A misplaced document gets its own file as it was found, without what was repaired.
    PutRightUnrepaired,
    /// A file that is a document's own where case is ignored is moved away as what was left over.
    CaseNotIgnored,
    /// A second version document of a name stays, and counts when the other one decays.
    SecondDocumentsStay,
    /// A copy of a damaged version document brings back a name that was deleted.
    CopiesBringBack,
    /// A version that was made up has a revision, by which the next one gets its number.
    MadeUpVersionsCount,
    /// A name that an opening dropped stays in `aliases.json` until the next checkpoint.
    DroppedNamesComeBack,
    /// A number in a damaged document counts whatever it is.
    DamagedNumbersTrusted,
    /// The name of a damaged document is not looked for in the document.
    CutNamesForgotten,
    /// A document that does not say what is in memory is written anew before another one, which stands there, has its
    /// own file.
    HealedBeforePutRight,
    /// An import into a new directory gives it its name without locking it.
    ImportNotLocked,
    /// An older copy of a document counts before the one that was written to put it right.
    CopiesBeforeThirdNames,
    /// A damaged document whose name cannot be told stays where it is.
    UntoldDocumentsStay,
    /// Where frames are missing, those before them are applied to documents that are newer.
    GapsTakeBack,
    /// What a listing of a directory missed while another process renamed is taken for gone.
    MissedEntriesBelieved,
    /// Flat maps that do not fit are left as they are.
    FlatMapsNotRebuilt,
    /// Index entries stay whose images are not there.
    DanglingIndexKept,
    /// The checksums of version documents are not checked.
    DocumentsNotChecked,
    /// An image is taken for the one that its file is named after.
    ImageNamesNotChecked,
    /// The bytes of a source are not compared with its name.
    SourcesNotChecked,
    /// An image that turned out to be damaged stays, so that it cannot be stored again.
    DamagedImageKept,
    /// The store goes on although a damaged file could not be put aside.
    DamageNotKept,
    /// A damaged file is removed instead of put aside.
    QuarantineRemoves,
    /// Unfinished files stay.
    SweepSkipped,
    /// The catalogue is believed whatever its checkpoint is.
    CatalogueOfAnyCheckpoint,
    /// The catalogue is believed whatever the stamps are.
    CatalogueWithAnyStamps,
    /// `store.json` is written before what it vouches for.
    ManifestFirst,
    /// Images and sources are removed before what refers to them.
    RemovalsFirst,
    /// What a failed checkpoint did not write is forgotten.
    FailedCheckpointForgotten,
    /// A version that was activated is not written to the files.
    ActivationNotWritten,
    /// Versions that were pruned stay in the files.
    PruningNotWritten,
    /// Index entries that were removed stay in the file.
    IndexRemovalNotWritten,
    /// The loader's source of a name is not written to the files.
    LoaderSourceNotWritten,
    /// The file of an image that is in the journal is not looked at before it is left as it is.
    SameImageTrusted,
    /// The check in the background does not compare version documents and maps with the memory.
    MirrorsNotCompared,
    /// A file is compared although the memory has commits that it does not have yet.
    PendingMirrorsJudged,
    /// A file that does not fit is told and left as it is.
    DamagedMirrorLeft,
    /// A version document that does not fit stays until the next checkpoint, also when that is interrupted.
    DamagedDocumentWaits,
    /// What is damaged is put aside by one thread while another one is in a step of a checkpoint.
    PutAsideInCheckpoint,
    /// A file that does not fit is written over without a copy.
    DamagedMirrorNotKept,
    /// An opening does not sync the files that it read.
    FilesBelieved,
    /// Whoever writes a file does so under the one temporary name that goes with its name.
    OneTemporaryName,
    /// All segments without frames have the same temporary name.
    OneSpareName,
    /// A segment that another one follows before it is as long as it may be is not noted to be retired.
    FollowedSegmentForgotten,
    /// The segments that an opening found are kept to be written over.
    FoundSegmentsKept,
    /// A segment that got no frame is noted to be retired when it cannot be extended.
    EmptySegmentGivenUp,
    /// The same, when a checkpoint begins.
    EmptySegmentSealed,
    /// The lock is given up while a segment is being made.
    SpareNotAwaited,
    /// It is not looked whether the lock belongs to what is there.
    LockBelievedForEver,
}

#[cfg(any(test, feature = "testing"))]
mod switch {
    use std::cell::Cell;

    use super::SeededBug;

    thread_local! {
        static ON: Cell<Option<SeededBug>> = const { Cell::new(None) };
    }

    impl SeededBug {
        /// All of them.
        pub const ALL: &[Self] = &[
            Self::FailedSyncAcknowledged,
            Self::WritesOnAfterFailedSync,
            Self::AppliedThoughNotWritten,
            Self::UnchangedAnsweredEarly,
            Self::BatchJudgedApart,
            Self::PreconditionsNotJudged,
            Self::BacklogUnbounded,
            Self::SettleSkipped,
            Self::CheckpointNotSettled,
            Self::OldSegmentsRemovedFirst,
            Self::ManifestBelieved,
            Self::EmptyDirectoryBelieved,
            Self::RepairNotOwed,
            Self::EpochNotRaised,
            Self::RetiredBeforeManifest,
            Self::RetiredTooMuch,
            Self::StaleSequenceTaken,
            Self::StaleEpochTaken,
            Self::FrameHashNotChecked,
            Self::TornTailIsDamage,
            Self::HolesNotTold,
            Self::LostEndNotTold,
            Self::MissingFramesNotTold,
            Self::JournalReadOnce,
            Self::SegmentsRemovedTogether,
            Self::LastRemovalNotSynced,
            Self::MissingJournalMade,
            Self::RemovalsBelieved,
            Self::RemovedCatalogueForgotten,
            Self::MissedSegmentsBelieved,
            Self::JournalIgnored,
            Self::ReplayedTooLate,
            Self::ForeignJournalApplied,
            Self::LaterFormatOpened,
            Self::LinksFollowed,
            Self::RevisionForgotten,
            Self::NumbersFromVersions,
            Self::NumbersOfDamagedReused,
            Self::AdoptedBelowJournal,
            Self::DeletedNamesNotWritten,
            Self::LostActiveKept,
            Self::AliasesTrusted,
            Self::AliasesOfCheckpointsDropped,
            Self::NumbersOfCopiesReused,
            Self::MisplacedLeft,
            Self::ExchangedWithoutCopies,
            Self::PutRightUnrepaired,
            Self::CaseNotIgnored,
            Self::SecondDocumentsStay,
            Self::CopiesBringBack,
            Self::MadeUpVersionsCount,
            Self::DroppedNamesComeBack,
            Self::DamagedNumbersTrusted,
            Self::CutNamesForgotten,
            Self::HealedBeforePutRight,
            Self::ImportNotLocked,
            Self::CopiesBeforeThirdNames,
            Self::UntoldDocumentsStay,
            Self::GapsTakeBack,
            Self::MissedEntriesBelieved,
            Self::FlatMapsNotRebuilt,
            Self::DanglingIndexKept,
            Self::DocumentsNotChecked,
            Self::ImageNamesNotChecked,
            Self::SourcesNotChecked,
            Self::DamagedImageKept,
            Self::DamageNotKept,
            Self::QuarantineRemoves,
            Self::SweepSkipped,
            Self::CatalogueOfAnyCheckpoint,
            Self::CatalogueWithAnyStamps,
            Self::ManifestFirst,
            Self::RemovalsFirst,
            Self::FailedCheckpointForgotten,
            Self::ActivationNotWritten,
            Self::PruningNotWritten,
            Self::IndexRemovalNotWritten,
            Self::LoaderSourceNotWritten,
            Self::SameImageTrusted,
            Self::MirrorsNotCompared,
            Self::PendingMirrorsJudged,
            Self::DamagedMirrorLeft,
            Self::DamagedDocumentWaits,
            Self::PutAsideInCheckpoint,
            Self::DamagedMirrorNotKept,
            Self::FilesBelieved,
            Self::OneTemporaryName,
            Self::OneSpareName,
            Self::FollowedSegmentForgotten,
            Self::FoundSegmentsKept,
            Self::EmptySegmentGivenUp,
            Self::EmptySegmentSealed,
            Self::SpareNotAwaited,
            Self::LockBelievedForEver,
        ];

        /// Runs `work` with a bug, or with none, on this thread. However `work` ends, the bug is off afterwards.
        pub fn with<T>(bug: Option<Self>, work: impl FnOnce() -> T) -> T {
            struct Off;
            impl Drop for Off {
                fn drop(&mut self) {
                    ON.set(None);
                }
            }
            let _off = Off;
            ON.set(bug);
            work()
        }
    }

    /// Whether the code has the bug on this thread.
    pub(crate) fn is_on(bug: SeededBug) -> bool {
        ON.get() == Some(bug)
    }
}

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::switch::is_on;

/// Whether the code has the bug: it has not.
#[cfg(not(any(test, feature = "testing")))]
pub(crate) const fn is_on(_: SeededBug) -> bool {
    false
}
