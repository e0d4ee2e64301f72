//! Stories of the command line, of sources, and of format v2.

use super::{Story, story_of};
use crate::Code;

/// In the order of the numbers.
pub(super) const SOURCE: &[Story] = &[
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
        Code::CollectionUnknown,
        "--collection or --exclude names a collection that is neither in the snapshot nor in
         the log, nor in the directory or backup that is read. A typing error would otherwise
         leave a collection out, or take one along that was to be left out.",
        "Correct the name. Names are those of the source, before --rename, and upper and lower
         case differ. A name may be a JSON string in quotes.",
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
         afterwards, for instance because the disk is full. This never changes the exit code. Or what
         was asked for could not be written to stdout, which makes it 1.",
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
        Code::SnapshotTrailing,
        "Bytes other than white space follow the object of the snapshot. Perhaps two backups were written into one file.",
        "Take a new backup, or cut the file behind the object if you know what follows it.",
    ),
    story_of(
        Code::SnapshotByteOrderMark,
        "The snapshot begins with the three bytes of a byte order mark, which LauraDB never writes. An editor has saved the file.",
        "Remove the first three bytes, such as with tail -c +4, or use the file as LauraDB wrote it.",
    ),
    story_of(
        Code::SnapshotCompressed,
        "The file begins as one that gzip, zstd, xz, bzip2, lz4 or zip has made.",
        "Decompress the file and name the result with --snapshot.",
    ),
    story_of(
        Code::SnapshotUnicode,
        "A name at the levels above the documents is not valid UTF-8, or holds half of a surrogate pair. LauraDB writes neither.",
        "Take a new backup; the file was damaged or changed.",
    ),
    story_of(
        Code::SnapshotKeyTwice,
        "A key that must stand once, such as \"collections\" or a collection's \"name\", stands twice. Which of the two counts cannot be known.",
        "Take a new backup, or remove one of the two keys if you know which is right.",
    ),
    story_of(
        Code::SnapshotNesting,
        "A value outside of the documents, such as a filter or metadata, nests deeper than 128 levels.",
        "Take a new backup; LauraDB does not write such values by itself.",
    ),
    story_of(
        Code::SourceUnreadable,
        "The directory, or a file in it, belongs to another user, and this one may not read it.",
        "Run the command as the user that the files belong to, such as with sudo -u, or as root.",
    ),
    story_of(
        Code::UnlistedPagesMemory,
        "Joining data.db with the snapshot needs a table with a few bytes for each page, and it is larger than a quarter of --memory.",
        "Give the value of --memory that the message names, or read the snapshot alone with --pages ignore.",
    ),
    story_of(
        Code::PagesDamaged,
        "A page of the v1 data.db has a wrong number, or slots that do not fit it. Its documents may be missing from the snapshot.",
        "Read the snapshot alone with --pages ignore, or put damaged pages into quarantine with --max-bad N.",
    ),
    story_of(
        Code::PagesDocument,
        "A document that only data.db has cannot be carried over: its BSON is damaged, or its _id is an array or a document.",
        "Leave such documents out with --pages auto, or put them into quarantine with --max-bad N.",
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
        Code::WalNextUnknown,
        "With --max-bad a damaged record is passed if it is known where the next one begins. Here the length is damaged as well, so what follows cannot be told apart.",
        "Restore the log from a copy. Without one, migrate from the snapshot alone in a copy of the directory; operations in the log are then lost.",
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
        Code::DocumentId,
        "The _id of a document is a number, an array or another value that LauraDB's backup never writes, or there is a field _id inside of fields.",
        "Correct the document, or put it into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentUtf8,
        "The text of a document is not valid UTF-8, so what it says cannot be known.",
        "Correct the bytes, or put the document into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentSurrogate,
        "A string has an escape such as \\ud800 without its other half, which stands for no character.",
        "Correct the string, or put the document into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentNumber,
        "A number is larger than any double, such as 1e400. It would become infinite.",
        "Correct the number, or put the document into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentNesting,
        "A document nests deeper than 100 levels, counting itself.",
        "Flatten the document, or put it into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentTooLarge,
        "The document would have more than 16,777,216 bytes as BSON, which no version of LauraDB takes.",
        "Divide the document, or put it into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentText,
        "The JSON text of one document is longer than 256 MiB. It is not even read.",
        "Divide the document, or put it into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentNul,
        "A field name holds the character NUL, which ends names in BSON.",
        "Rename the field, or put the document into quarantine with --max-bad N.",
    ),
    story_of(
        Code::DocumentSyntax,
        "The JSON of a document is broken, so that nothing behind it can be told apart. --max-bad does not help here.",
        "Take a new backup; the file was damaged or changed.",
    ),
    story_of(
        Code::DocumentKeyTwice,
        "A document has two _id or two fields objects. Which of the two counts cannot be known.",
        "Remove one of the two if you know which is right, or take a new backup.",
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
        Code::IndexMissing,
        "A search was asked of an index that the v2 directory does not have, or that is of
         another kind: text is searched in a text index, points in a 2d or 2dsphere one. Only
         programs that use the library get this.",
        "Look up the names in the report or the receipt of the migration, where each index is
         listed with its kind.",
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
         Never start LauraDB before. In a copy without .laura-migrate/ nothing can finish it: bring that
         directory over as well.",
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
];
