//! The table of error stories, one entry for each code. What is told about each is in
//! [`explain`](super::explain).

use super::Code;

/// What is told of a code beside its title.
pub(super) struct Story {
    pub(super) code: Code,
    /// What it means.
    pub(super) means: &'static str,
    /// What to do.
    pub(super) remedy: &'static str,
}

const fn story_of(code: Code, means: &'static str, remedy: &'static str) -> Story {
    Story {
        code,
        means,
        remedy,
    }
}

/// In the order of the numbers.
pub(super) const STORIES: &[Story] = &[
    story_of(
        Code::Usage,
        "An option has a value that it does not take, or means nothing in the mode or without a
         TARGET_DIR. An option may have come from an environment variable LAURA_MIGRATE_…; then the
         sentence names the variable.",
        "Follow the hint. laura-migrate --help lists all options.",
    ),
    story_of(
        Code::PathMissing,
        "A directory that was named does not exist, or is a file. SOURCE_DIR is LauraDB's data
         directory itself; a new TARGET_DIR is made, but not its parent.",
        "Check the path, and that the volume is mounted. A snapshot file is named with --snapshot.",
    ),
    story_of(
        Code::PathsOverlap,
        "Source and target are the same directory, perhaps by way of a symlink, or one lies in the
         other. A migration would then read what it writes.",
        "For a migration in place, name only the one directory. Else name a target outside it.",
    ),
    story_of(
        Code::OutputPath,
        "The file of --report, --metrics-file or --log-file cannot be made: its directory is missing,
         it is no regular file, or its name is one that LauraDB or this tool uses in a data directory.
         This is found before the run starts, so that no long run ends without its report.",
        "Name a file in an existing directory outside the data directories.",
    ),
    story_of(
        Code::OutputFailed,
        "The run ended as its exit code says, but the report or the metrics could not be written
         afterwards, for instance because the disk is full. This never changes the exit code.",
        "Make room or correct the permissions. For a migration that is done, the receipt
         .lauradb-migration.json holds the same figures.",
    ),
    story_of(
        Code::UnknownErrorId,
        "--explain takes the id of an error as it was shown, such as LM0301.",
        "Copy the id from the message. The man page lists them all.",
    ),
    story_of(
        Code::NothingToMigrate,
        "The directory holds files, but neither a snapshot nor a write-ahead log with anything to
         migrate. LauraDB before 1.0 kept documents in memory: without a snapshot only the log has
         them. A data.db alone is not enough, since no catalog says what is in it.",
        "Check that this is LauraDB's data directory. If the backup lies elsewhere, name it with
         --snapshot FILE. If LauraDB still runs, let it take a backup.",
    ),
    story_of(
        Code::SnapshotSyntax,
        "The snapshot is not the JSON that LauraDB writes: at the offset stands something else than
         what was expected. Files that were edited or copied in text mode are the usual cause.",
        "Take another backup with --snapshot FILE, or a new one in LauraDB.",
    ),
    story_of(
        Code::SnapshotShape,
        "The file is JSON, but a member that a backup of format 1.0 must have is missing or of another
         type.",
        "Check that it is a backup of LauraDB and not another program's export. Name the right file
         with --snapshot FILE.",
    ),
    story_of(
        Code::CollectionName,
        "Format v2 cannot take the name: it is empty, too long, or holds a character that catalogs
         cannot hold.",
        "Give the collection another name with --rename OLD=NEW.",
    ),
    story_of(
        Code::CollectionTwice,
        "The snapshot lists two collections with one name. LauraDB writes each once; which of them
         counts cannot be told.",
        "Take another backup, or a new one in LauraDB.",
    ),
    story_of(
        Code::RenameConflict,
        "An OLD name of --rename is no collection of snapshot or log, or two collections would get the
         same NEW one. All renames happen at once, so a swap is no conflict.",
        "Correct the option. Either side may be a JSON string in quotes.",
    ),
    story_of(
        Code::NotAFile,
        "A data file of the source is a symlink, a FIFO, a device or a directory. Such files are
         neither followed nor opened: they could lead anywhere, or never end.",
        "Put the file itself into the directory.",
    ),
    story_of(
        Code::SourceTooLarge,
        "A value nests too deep, or a text or a number of things is beyond what this tool reads. No
         LauraDB database gets there; the limits keep a damaged file from using up the memory.",
        "See where the file comes from. If it is real, take the value out in LauraDB and take a new
         backup.",
    ),
    story_of(
        Code::SnapshotEmpty,
        "The snapshot has no bytes: writing it was interrupted, or a disk was full. It is not taken for
         an empty database, since then everything but the log would be lost.",
        "Name an older backup with --snapshot FILE, or move the empty file away if the log alone is all
         there is.",
    ),
    story_of(
        Code::SnapshotTruncated,
        "The snapshot ends in the middle. Writing it was interrupted, or it was copied in part.",
        "Name another backup with --snapshot FILE. What is cut off cannot be guessed.",
    ),
    story_of(
        Code::SnapshotVersion,
        "The snapshot says another format version than 1.0.",
        "Look for a newer laura-migrate, or take a backup with the LauraDB that wrote the directory.",
    ),
    story_of(
        Code::WalCorrupt,
        "A record in the middle of the write-ahead log does not parse: its LSN does not grow, its type
         is unknown, or its checksum is wrong. A torn record at the very end is another thing: it is
         dropped with a warning, as LauraDB does. Here whole records follow, and dropping them would
         lose committed changes.",
        "Restore wal.log from a copy. If there is none, migrate a copy of the directory whose log ends
         before the offset, and compare.",
    ),
    story_of(
        Code::WalPayload,
        "A record of the log is whole, but what it carries is no document operation that LauraDB could
         have written.",
        "Restore wal.log from a copy.",
    ),
    story_of(
        Code::WalMemory,
        "The log touches so many different documents that remembering where each was changed last takes
         more than half of --memory.",
        "Give the value for --memory that the hint names, or take a new backup in LauraDB, after which
         the log is short.",
    ),
    story_of(
        Code::WalLength,
        "A length field of the log leads beyond the file or to nonsense, so that where the next record
         begins is unknown.",
        "Restore wal.log from a copy. A damaged length cannot be passed.",
    ),
    story_of(
        Code::WalPageRecord,
        "The log has a record that changes a page. Only a LauraDB that stores pages, 1.0 or newer, writes
         those: this log does not belong to the snapshot beside it.",
        "Restore the wal.log that goes with the snapshot.",
    ),
    story_of(
        Code::BadDocument,
        "A document holds what format v2 cannot: bytes that are no UTF-8, a number beyond all types, a
         name twice, or more than 16 MiB. It would have to be changed to be carried over.",
        "Correct the document in LauraDB and take a new backup. The place tells which one it is.",
    ),
    story_of(
        Code::DuplicateId,
        "Two documents of a collection have the same _id. LauraDB in memory keeps only the last one it
         loads, so one of them was lost at every restart.",
        "Compare the two documents that are named, delete one in LauraDB or in a copy of the snapshot,
         and run again.",
    ),
    story_of(
        Code::IndexDefinition,
        "The definition of an index makes no sense: an unknown type, no fields or too many, an option of
         the wrong type.",
        "Leave it out with --skip-index COLLECTION/NAME and make it anew in LauraDB.",
    ),
    story_of(
        Code::DuplicateKey,
        "Two documents have the same key in a unique index. LauraDB checks uniqueness when it writes, but
         loads backups without checking.",
        "Correct one of the documents, or leave the index out with --skip-index COLLECTION/NAME.",
    ),
    story_of(
        Code::IndexTooLarge,
        "Names, field paths, filter and options of an index together do not fit its metadata page.",
        "Make it shorter in LauraDB, or leave it out with --skip-index COLLECTION/NAME.",
    ),
    story_of(
        Code::SkipIndexUnknown,
        "--skip-index names an index or a collection that is not in the snapshot. A typing error would
         otherwise build the index that was to be left out.",
        "Correct the name: NAME, COLLECTION/NAME or all.",
    ),
    story_of(
        Code::MarkerInvalid,
        "The file .lauradb-version does not parse, so the format of the directory is unknown.",
        "Restore the file from a copy. If the directory surely is v1, move the file away.",
    ),
    story_of(
        Code::VersionUnknown,
        "The marker names a format version that this tool does not know.",
        "Look for a newer laura-migrate.",
    ),
    story_of(
        Code::Publishing,
        "A migration was interrupted while it published. Part of the files may be old and part new;
         LauraDB refuses the directory by its marker.",
        "Type the command of the migration again: it finishes. laura-migrate --mode status DIR shows it.
         Never start LauraDB before.",
    ),
    story_of(
        Code::PageDamaged,
        "A page of a v2 file has a wrong checksum or a structure that cannot be: the disk, a copy or
         another program has changed it.",
        "Restore the directory from a copy, or migrate again from the v1 files. Check the disk.",
    ),
    story_of(
        Code::CatalogDamaged,
        "The catalog or a metadata record of a v2 directory does not parse. Without it, what the pages
         hold cannot be told.",
        "Restore the directory from a copy, or migrate again from the v1 files.",
    ),
    story_of(
        Code::LimitExceeded,
        "The data is beyond what format v2 can address, such as 65535 indexes of a collection or 2^32
         pages of a file.",
        "Split the database, or leave out indexes with --skip-index.",
    ),
    story_of(
        Code::NeedsRecovery,
        "The write-ahead log of a v2 directory has records that are not in its pages yet: LauraDB was not
         stopped cleanly.",
        "Start LauraDB on the directory so that it recovers, stop it cleanly, and run again.",
    ),
    story_of(
        Code::VerifyFailed,
        "What was read back from disk is not what was parsed. Memory, disk or file system have changed
         it, or this tool is wrong; in any case it must not be published.",
        "Run again. If it fails in another place, suspect memory or disk; if in the same one, report it
         with the log of a run with -vv.",
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
         one than when it started. Going on would mix the two.",
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
        Code::HiddenProcesses,
        "Processes of other users may not be inspected, so whether one of them has the source open for
         writing is unknown.",
        "Make sure that LauraDB is stopped, or run as root.",
    ),
    story_of(
        Code::UnlistedPages,
        "A v1 directory has a data.db with documents that no catalog names. LauraDB before 1.0 wrote some
         there for tests and never read them; the snapshot is what counts.",
        "Nothing, unless you know of documents that are not in the snapshot.",
    ),
    story_of(
        Code::EmptiedArrays,
        "LauraDB's backup writes a document inside an array as {}: its contents were lost when the backup
         was taken, not by this tool.",
        "If they matter, look for them in the write-ahead log or in the application's own data.",
    ),
    story_of(
        Code::TornTail,
        "The log ends in the middle of a record, or in zeros: its writer was interrupted. LauraDB drops
         that end too, since nothing in it was acknowledged.",
        "Nothing.",
    ),
    story_of(
        Code::UnindexableValues,
        "An index cannot hold the values of some documents (arrays, documents, in a TTL index what is no
         time). The documents are migrated; the index does not find them, as in LauraDB.",
        "Nothing, unless queries rely on it.",
    ),
    story_of(
        Code::FilterProblem,
        "The filter of a partial index can never match, or LauraDB cannot evaluate it, so that the index
         is empty.",
        "Drop the index or correct its filter in LauraDB.",
    ),
    story_of(
        Code::UnknownKeys,
        "The snapshot has keys that mean nothing to format 1.0. LauraDB passes them over as well.",
        "Look whether somebody edited the file.",
    ),
    story_of(
        Code::DroppedTransactions,
        "The log has transactions that were aborted or never finished. Their operations do not count.",
        "Nothing: this is what a transaction is for.",
    ),
    story_of(
        Code::GeneratedIds,
        "Documents had no _id and got one, derived from collection and position, so that every run gives
         the same.",
        "Nothing, unless the application finds those documents by their position.",
    ),
    story_of(
        Code::DroppedOptions,
        "An index has options that format v2 has no place for. LauraDB 1.0 does not know them either.",
        "Nothing, unless a program of yours reads them.",
    ),
    story_of(
        Code::BackupMissing,
        "The directory is no backup and holds none, or holds several, of which one has to be chosen.",
        "Name the backup directory itself.",
    ),
    story_of(
        Code::BackupIncomplete,
        "Writing the backup was interrupted, or a file is missing from it.",
        "Take another backup.",
    ),
    story_of(
        Code::BackupAltered,
        "A file of the backup has another size or hash than the manifest says.",
        "Take another backup; what was changed, and by whom, cannot be told.",
    ),
    story_of(
        Code::BackupManifest,
        "manifest.json of a backup does not parse.",
        "Restore it from a copy, or take another backup.",
    ),
    story_of(
        Code::BackupVersion,
        "The backup is of a format version that this tool does not read.",
        "Look for the version of laura-migrate that wrote it.",
    ),
];
