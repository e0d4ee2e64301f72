//! Stories of verification, validation, the system, targets and publishing.

use super::{Story, story_of};
use crate::Code;

/// In the order of the numbers.
pub(super) const RUN: &[Story] = &[
    story_of(
        Code::VerifyFailed,
        "What was read back from disk is not what was parsed. Memory, disk or file system have changed
         it, or this tool is wrong; in any case it must not be published.",
        "Run again. If it fails in another place, suspect memory or disk; if in the same one, report it
         with the log of a run with -vv.",
    ),
    story_of(
        Code::NotAsPublished,
        "The receipt names the size and hash of each file that was published, and a file is
         another one now or is missing; or a byte that means nothing is not what the tool
         writes. No database has done this: one that has worked on the directory shows in the
         log, and then the hashes are not compared.",
        "Compare the directory with its v1 side or a backup by --mode validate SOURCE_DIR
         TARGET_DIR. If they are equal, only bytes without a meaning have changed; still, check
         the disk and whatever copied the files.",
    ),
    story_of(
        Code::PageUnaccounted,
        "Following all that leads to pages, one was reached twice, such as by two trees, or
         never, though it is in use. The first means that a change to one of the two damages
         the other; the second, that data may be lost.",
        "Restore the directory from a copy, or migrate again from the v1 files. If LauraDB has
         written to it since the migration, export what can still be read first.",
    ),
    story_of(
        Code::IndexDiffers,
        "Entries and documents do not match: an entry leads to no document or to one that has
         another key, or a document that belongs into the index is not in it. Queries that use
         the index give wrong answers.",
        "Drop the index in LauraDB and build it anew. If the directory is as it was published,
         migrate again and report it.",
    ),
    story_of(
        Code::FiguresDiffer,
        "A count, a size or a time in catalog, metadata or statistics is not what the pages
         hold. Documents and indexes themselves were read and are judged by themselves.",
        "If nothing else was found, the data is whole; LauraDB may choose slower plans or show
         wrong counts. Export and import the database to have all figures made anew, and check
         the disk.",
    ),
    story_of(
        Code::CollectionOnlyLeft,
        "The two directories were compared, and the collection is only in SOURCE_DIR. None of
         its documents were compared.",
        "If it was to be left out, name it with --exclude. If it has another name on the other
         side, give the --rename of the migration. Else look which of the two directories was
         written to last.",
    ),
    story_of(
        Code::CollectionOnlyRight,
        "The two directories were compared, and the collection is only in TARGET_DIR. None of
         its documents were compared.",
        "If it was to be left out, name it with --exclude. If it has another name on the other
         side, give the --rename of the migration. Else look which of the two directories was
         written to last.",
    ),
    story_of(
        Code::DocumentOnlyLeft,
        "The two directories were compared by _id, and the document is only in SOURCE_DIR. The
         first twenty are named, all are counted.",
        "Look whether something was inserted or deleted on one side after the migration; how a
         v1 side is read must be the same as in the migration, too (--snapshot, --infer-types,
         --rename). If nothing explains it, do not use TARGET_DIR before you know why.",
    ),
    story_of(
        Code::DocumentOnlyRight,
        "The two directories were compared by _id, and the document is only in TARGET_DIR. The
         first twenty are named, all are counted.",
        "Look whether something was inserted or deleted on one side after the migration; how a
         v1 side is read must be the same as in the migration, too (--snapshot, --infer-types,
         --rename). If nothing explains it, do not use either directory before you know why.",
    ),
    story_of(
        Code::DocumentDiffers,
        "Both sides have a document of this _id, with another content; the message names the
         first field that differs. Types count: an int64 is not a double, and the order of
         fields matters.",
        "Look whether the document was updated on one side after the migration. When v1 is
         compared, --infer-types must be what it was in the migration. A backup that LauraDB
         0.9 is to restore (--to 1.0) cannot carry all types.",
    ),
    story_of(
        Code::IndexOnlyLeft,
        "The collection has this index only in SOURCE_DIR. Documents are compared all the same.",
        "Build or drop the index in LauraDB, or leave it out of the comparison with
         --skip-index COLLECTION/NAME, as you did in the migration.",
    ),
    story_of(
        Code::IndexOnlyRight,
        "The collection has this index only in TARGET_DIR. Documents are compared all the same.",
        "Build or drop the index in LauraDB, or leave it out of the comparison with
         --skip-index COLLECTION/NAME, as you did in the migration.",
    ),
    story_of(
        Code::IndexDefinitionDiffers,
        "Both sides have an index of this name, but on other fields, of another kind, or with
         other options, such as uniqueness or a filter.",
        "Drop one of the two in LauraDB and build it anew, or leave it out of the comparison
         with --skip-index COLLECTION/NAME.",
    ),
    story_of(
        Code::NotCompared,
        "A comparison would need what is damaged, so it was left out. It is no sign of a
         difference and no sign of equality: only the damage is certain.",
        "See to the damage that was reported with it, then compare again.",
    ),
    story_of(
        Code::PagesMemory,
        "Validation keeps two bits for each page of a file, to find pages that nothing or two
         things lead to. For this file that is half of --memory or more.",
        "Give the value of --memory that the hint names.",
    ),
    story_of(
        Code::Io,
        "The operating system refused something; the cause names it: missing permission, a read-only
         file system, a failing disk.",
        "Remove the cause and run the same command again.",
    ),
    story_of(
        Code::NoSpaceLeft,
        "A file system is full, a quota is used up, or a file would exceed the limit on its size (ulimit
         -f). The check phase found enough, so something else has filled it since.",
        "Make room, then type the same command again.",
    ),
    story_of(
        Code::Internal,
        "Something that must hold inside the tool does not. It stopped instead of guessing.",
        "Report it with the command and the log of a run with -vv. The source is safe.",
    ),
    story_of(
        Code::Cancelled,
        "A signal (SIGINT, SIGTERM, SIGHUP) or --max-time ended the run at the next batch.",
        "Type the same command again to go on, or add --restart to begin anew.",
    ),
    story_of(
        Code::Locked,
        "Another run works on the directory, on this machine or over a network file system; the message
         tells process, host and start. The lock goes when that process ends, however it ends.",
        "Wait for it, give a longer --lock-timeout, or look with --mode status.",
    ),
    story_of(
        Code::LockUnsupported,
        "The file system does not support flock, so two runs could not be kept apart.",
        "Make sure that there is no other run, then add --no-lock.",
    ),
    story_of(
        Code::SourceInUse,
        "Another process has a source file open for writing, most likely LauraDB. What it writes during
         the migration would be lost.",
        "Stop LauraDB, then run again.",
    ),
    story_of(
        Code::TooLittleSpace,
        "The staged files do not fit beside what is there. The message gives what is needed and what is
         free on each file system.",
        "Make room, or migrate to a TARGET_DIR on a larger file system.",
    ),
    story_of(
        Code::TargetNotEmpty,
        "The target holds files. LauraDB's own can make room with --force; others are never moved.",
        "Name an empty or new directory, or add --force if LauraDB files in it may move to
         .lauradb-replaced-<UTC>/.",
    ),
    story_of(
        Code::InTheWayFile,
        "A file or directory stands where the tool would make one, such as .lauradb-v1/ of an earlier
         migration.",
        "Look at it, and move it away if it is no longer needed. The tool never removes what it did not
         make.",
    ),
    story_of(
        Code::SourceChanged,
        "A source file was written, replaced or renamed while it was read.",
        "Stop LauraDB and whatever else writes there, then run again.",
    ),
    story_of(
        Code::JournalDamaged,
        "Publishing was interrupted, and its journal cannot be followed: a staged file is not what was
         verified, or a file is missing under both of its names. Somebody has changed the directory
         since.",
        "Change nothing more. Follow the hint; each file is whole under one of its two names.",
    ),
    story_of(
        Code::ResumeRefused,
        "An interrupted migration is there, but the source or an option that shapes the output is another
         one than when it started. Going on would mix the two, or, where publishing has begun, end with
         an output that was not asked for.",
        "Type the command as it was (--mode status shows it), or add --restart to begin anew.",
    ),
    story_of(
        Code::CheckpointDamaged,
        "The state of an interrupted run cannot be read, or was written by another version of this tool.",
        "Add --restart to begin anew, or go on with the version that began.",
    ),
    story_of(
        Code::PublishInterrupted,
        "Publishing had begun when something failed; the cause says what. From its journal on there is
         only forward, or --restart, which undoes it first.",
        "Remove the cause, then type the same command again.",
    ),
    story_of(
        Code::ReceiptDamaged,
        "The receipt .lauradb-migration.json of an earlier migration does not parse, so whether this is
         that migration cannot be told.",
        "Restore the receipt from a copy, or move the directory aside and migrate again.",
    ),
    story_of(
        Code::RollbackInterrupted,
        "A rollback was interrupted after it had begun to move files: some v1 files may be back
         and some v2 files still there. LauraDB and all modes but rollback refuse the
         directory. Each file is whole under one of its names.",
        "Remove the cause, then type the command of the rollback again: it finishes. Never
         start LauraDB before.",
    ),
    story_of(
        Code::RollbackRefused,
        "The v2 files are not those that the migration has published, or there is no receipt
         that tells. LauraDB 1.0 has most likely written to them, and the v1 files know nothing
         of that. The rollback checks this first, so nothing was changed.",
        "To keep what was written, stay with v2, or take a backup with --mode export and bring
         it to v1 with --mode import --to 1.0. To give it up, add --force: the v2 files then
         move to .lauradb-v2-<UTC>/.",
    ),
    story_of(
        Code::OriginalsChanged,
        "The files in .lauradb-v1/ are missing, or are not those that the migration has moved
         there, by their size and hash in the receipt. A rollback to them would not give the
         database as it was. The rollback checks this first, so nothing was changed.",
        "Put the files back from a copy. Without one, take a backup of v2 with --mode export
         and bring it to v1 with --mode import --to 1.0.",
    ),
];
