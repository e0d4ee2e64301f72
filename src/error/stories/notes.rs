//! Stories of warnings, and of backups and what is imported from them.

use super::{Story, story_of};
use crate::Code;

/// In the order of the numbers.
pub(super) const NOTES: &[Story] = &[
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
        Code::Quarantined,
        "With --max-bad, records of the log or documents that cannot be carried over were put into .lauradb-quarantine.jsonl, byte for byte, each with its reason.",
        "Read the file, and put what matters back by hand as the migration guide says.",
    ),
    story_of(
        Code::LeftOlder,
        "A record of the log is in quarantine, so the document that it would have changed stays as it was before.",
        "Look at the record in the quarantine, and make its change in LauraDB if it matters.",
    ),
    story_of(
        Code::LongTornTail,
        "The end of the log cannot be read, and it is longer than one record that a crash has cut usually is. Operations in it are lost, or the length of a record before it is damaged.",
        "Compare with what the application has written last. Keep the v1 files until you are sure.",
    ),
    story_of(
        Code::SnapshotOlder,
        "The log begins behind the snapshot, and has a checkpoint since: operations between the two may be missing in both.",
        "Look for a newer snapshot, and name it with --snapshot.",
    ),
    story_of(
        Code::PagesUnread,
        "The v1 data.db holds no slotted pages: it is empty, encrypted or compressed. Only the snapshot was read.",
        "Nothing, if the snapshot is complete.",
    ),
    story_of(
        Code::PagesTaken,
        "Documents of the snapshot were found in pages of data.db, which hold what LauraDB's backup loses: types, order, binary values, documents inside arrays. The pages' copies were taken.",
        "Nothing. --pages ignore would read the snapshot alone.",
    ),
    story_of(
        Code::PagesDifferent,
        "Pages of data.db have other contents for some documents of the snapshot. The snapshot counts, since it is the newer one as a rule.",
        "Look at some of the documents, if you know that the snapshot is old.",
    ),
    story_of(
        Code::PagesRecovered,
        "With --pages recover, documents that the snapshot does not have were taken from pages of data.db.",
        "Look at them: some may have been deleted on purpose before the snapshot was taken.",
    ),
    story_of(
        Code::PagesNoIndexes,
        "Recovered documents belong to no collection of the snapshot, so which indexes they had is not known.",
        "Make the indexes in LauraDB. The warning names fields that look unique.",
    ),
    story_of(
        Code::PagesOlderCopies,
        "Several pages hold a document with the same _id. The one in the highest page was taken, and older ones were put into quarantine.",
        "Nothing. The quarantine has the older copies, if they matter.",
    ),
    story_of(
        Code::PagesTied,
        "The _ids of some pages belong to several collections alike, so whose documents they hold is not known.",
        "With --pages recover such pages become collections recovered_N; --rename names them.",
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
    story_of(
        Code::PrintedIds,
        "Format 1.0 keeps the _ids of documents as text, so an int64 5 and a string \"5\" are one
         _id in it. The backup has two documents that would become one; LauraDB would restore
         only the last.",
        "Give one of the two another _id in the database that the backup is of, and take
         another backup. An import to 2.0 needs no such change.",
    ),
    story_of(
        Code::LostIds,
        "Format 1.0 keeps _ids as text. A string or an ObjectID comes back as it was; a number
         or another value comes back as the text that LauraDB prints for it, a string of 24 hex
         digits as an ObjectID, and a document without an _id gets a new one. The backup has
         them unchanged.",
        "Nothing, unless the application looks documents up by an _id of another type.",
    ),
    story_of(
        Code::LostFieldOrder,
        "In format 1.0 the _id stands before all fields, wherever it stood in the document. The
         backup has them unchanged.",
        "Nothing, unless the application relies on the order of fields.",
    ),
    story_of(
        Code::LostWholeDoubles,
        "A double without a fraction, such as 5.0, is written by LauraDB without a point, and
         comes back as an int64 of the same value. The backup has them unchanged.",
        "Nothing, unless the application tells the two types apart.",
    ),
    story_of(
        Code::LostNonFinite,
        "JSON has no NaN and no infinity, so such doubles become null. The backup has them
         unchanged.",
        "Look at the documents that are named. If the values matter, write them as something
         else before you take the backup.",
    ),
    story_of(
        Code::LostInt32,
        "Format 1.0 has one type of integers, so an int32 becomes an int64 of the same value.
         The backup has them unchanged.",
        "Nothing, unless the application tells the two types apart.",
    ),
    story_of(
        Code::LostTimestamps,
        "Format 1.0 has no type for times, so a timestamp becomes an int64 of its Unix seconds.
         A TTL index takes those as well. The backup has them unchanged.",
        "Nothing, unless the application reads the type.",
    ),
    story_of(
        Code::LostBinary,
        "Format 1.0 has no binary type, so the bytes become a string in base64. The backup has
         them unchanged.",
        "Let the application decode the strings, or stay with format 2.0.",
    ),
    story_of(
        Code::LostHexStrings,
        "A string of 24 hex digits cannot be told from an ObjectID in a snapshot, and comes
         back as one. The backup has them unchanged.",
        "Look at the documents that are named: queries for the string no longer find them.",
    ),
    story_of(
        Code::LostPointIntegers,
        "The numbers inside a GeoJSON Point come back as doubles, whatever they were. The
         backup has them unchanged.",
        "Nothing: a point is the same place.",
    ),
    story_of(
        Code::LostPointObjectIds,
        "An ObjectID inside a GeoJSON Point comes back as a string. The backup has them
         unchanged.",
        "Look at the documents that are named, if the application uses those fields.",
    ),
    story_of(
        Code::TimeStrings,
        "A string that reads as a time by RFC 3339 stops LauraDB 0.9 with a panic when it
         restores the snapshot. This tool reads it without harm, so the import was done;
         LauraDB 0.9 may not take it.",
        "Change the strings that are named in the database, such as by a character before them,
         and take another backup before LauraDB 0.9 restores it.",
    ),
    story_of(
        Code::LostInferTypes,
        "The constants in the filter of a partial index get their types by --infer-types, and
         those of this index were typed otherwise than by default. Format 1.0 has no place for
         that, so the index may hold other documents there. The backup has them unchanged.",
        "Drop the index in LauraDB 0.9 and make it anew, or leave it out with --skip-index
         COLLECTION/NAME.",
    ),
    story_of(
        Code::StoreConfig,
        "The settings that a program has opened a store with contradict each other or the directory.",
        "Correct the configuration; docs/configuration.md tells what each setting means.",
    ),
    story_of(
        Code::StoreCollection,
        "A program asked a store for a collection that is not there, or made one that is there already.",
        "Look up the names with collections().",
    ),
    story_of(
        Code::StoreIndex,
        "A program asked for an index that the collection does not have, or used one in a way that it does not allow.",
        "Look up the indexes of the collection with indexes().",
    ),
    story_of(
        Code::StoreDocument,
        "A document has no _id, is larger than 16 MiB, or holds a value that an index cannot keep right.",
        "Correct the document.",
    ),
    story_of(
        Code::StoreIndexReadOnly,
        "The collection has an index that a store cannot keep right, such as a hash index. Reading works, writing is refused.",
        "Drop the index in LauraDB, or write through LauraDB.",
    ),
    story_of(
        Code::StoreLogDamaged,
        "A record of the store's log is damaged, and whole records follow it. It is no torn tail of a crash: something has changed the file.",
        "Restore the directory from a copy, or export what can be read and import it anew.",
    ),
    story_of(
        Code::StoreFailed,
        "A write or an fsync of the store's log has failed before. What is in memory and on disk may differ since, so further writes are refused.",
        "Close the store, mend the disk, and open the store again: it recovers what was committed.",
    ),
    story_of(
        Code::StoreInMemory,
        "The directory is in format 1.0, or could not be opened, and the configuration says to go on in memory. Nothing that is written will be on disk.",
        "Migrate the directory, or allow the store to do so with auto_migrate.",
    ),
    story_of(
        Code::LogReplayed,
        "The write-ahead log of a v2 directory holds transactions that are not in its files yet. They were replayed in memory to read the directory; nothing was written.",
        "Nothing. Opening the directory in LauraDB or a store recovers it for good.",
    ),
    story_of(
        Code::StoreReadOnly,
        "The directory is in format 2.1. Its documents can be read as far as its pages are not compressed; writing it is refused.",
        "Export the directory, and import the backup into a new one, which is in format 2.0.",
    ),
];
