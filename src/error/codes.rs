//! Every error that the tool can give: stable id, exit code, title. Ids are never reused.

/// Exit codes of the process, stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed for another reason; what the run made is gone again.
    Failed = 1,
    /// Usage: options, a path that is missing or no directory.
    Usage = 2,
    /// Verification found differences or damage.
    Different = 3,
    /// Source unreadable, damaged or unsupported.
    Source = 4,
    /// Something is in the way.
    InTheWay = 5,
    /// The check phase found too little space.
    NoSpace = 6,
    /// Locked by another run, or the source is open for writing elsewhere.
    Locked = 7,
    /// Interrupted, resumable.
    Interrupted = 8,
    /// Done, but with records in quarantine.
    Quarantine = 9,
}

macro_rules! codes {
    ($($number:literal $name:ident $exit:ident $title:literal;)*) => {
        /// A stable error code, shown as `LM` and four digits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $title] $name = $number,)*
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The exit code that an error of this kind ends with.
            #[must_use]
            pub fn exit_code(self) -> ExitCode {
                match self { $(Self::$name => ExitCode::$exit,)* }
            }

            /// A few words that name the kind of error.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

impl Code {
    /// The id as shown to users, `LM0301`.
    #[must_use]
    pub fn id(self) -> String {
        format!("LM{:04}", self as u16)
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.id())
    }
}

impl<'de> serde::Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        let known = Self::ALL.iter().copied().find(|code| code.id() == id);
        known.ok_or_else(|| serde::de::Error::custom("unknown error id"))
    }
}

codes! {
    // 01xx: command line and environment
    101 Usage Usage "the command line asks for something that cannot be done";
    102 PathMissing Usage "a path that was named is missing or no directory";
    103 PathsOverlap Usage "source and target are the same directory, or one lies in the other";
    110 CollectionUnknown Source "--collection or --exclude names no collection";
    130 OutputPath Usage "a report, metrics or log file cannot be written where it was named";
    131 OutputFailed Failed "a report, a metrics file or stdout could not be written";
    132 UnknownErrorId Usage "--explain was given something that is no error id";
    // 02xx: source directory and snapshot
    201 NothingToMigrate Source "the directory holds nothing to migrate";
    202 SnapshotSyntax Source "the snapshot is not the JSON that LauraDB writes";
    203 SnapshotShape Source "the snapshot is JSON, but not a LauraDB backup of format 1.0";
    204 CollectionName Source "a collection name that format v2 cannot take";
    205 CollectionTwice Source "a collection is listed twice";
    206 RenameConflict Source "a --rename names no collection, or two get the same name";
    207 NotAFile Source "a data file is a symlink or a special file";
    208 SourceTooLarge Source "the source is beyond a limit of this tool";
    209 SnapshotEmpty Source "the snapshot is an empty file";
    210 SnapshotTruncated Source "the snapshot ends too early";
    211 SnapshotVersion Source "the snapshot has another format version";
    230 SnapshotTrailing Source "data follows the end of the snapshot";
    231 SnapshotByteOrderMark Source "the snapshot begins with a byte order mark";
    232 SnapshotCompressed Source "the snapshot is compressed";
    233 SnapshotUnicode Source "a text at the structural levels of the snapshot is not Unicode";
    234 SnapshotKeyTwice Source "a key stands twice at the structural levels of the snapshot";
    235 SnapshotNesting Source "a value at the structural levels of the snapshot nests too deep";
    236 SourceUnreadable Source "the source may not be read";
    250 UnlistedPagesMemory Source "data.db has more pages than --memory allows";
    251 PagesDamaged Source "pages of data.db are damaged";
    252 PagesDocument Source "a document in data.db cannot be carried over";
    // 03xx: write-ahead log
    301 WalCorrupt Source "a record of the write-ahead log does not parse";
    302 WalPayload Source "a record of the write-ahead log holds no valid document operation";
    303 WalMemory Source "the write-ahead log touches more documents than --memory allows";
    304 WalLength Source "a length field of the write-ahead log is damaged";
    305 WalPageRecord Source "a record of the write-ahead log changes a page, not a document";
    330 WalNextUnknown Source "a record of the write-ahead log is damaged, and so is its length";
    // 04xx: documents
    401 BadDocument Source "a document cannot be carried over";
    402 DuplicateId Source "two documents of a collection have the same _id";
    430 DocumentId Source "a document's _id is neither a string nor null, or stands inside its fields";
    431 DocumentUtf8 Source "a document holds bytes that are not UTF-8";
    432 DocumentSurrogate Source "a string of a document holds half of a surrogate pair";
    433 DocumentNumber Source "a number of a document lies beyond the range of a double";
    434 DocumentNesting Source "a document nests deeper than 100 levels";
    435 DocumentTooLarge Source "a document has more than 16 MiB as BSON";
    436 DocumentText Source "a document has more than 256 MiB of JSON text";
    437 DocumentNul Source "a field name holds a NUL character";
    438 DocumentSyntax Source "the JSON of a document does not parse";
    439 DocumentKeyTwice Source "a document has its _id or its fields twice";
    // 05xx: indexes
    501 IndexDefinition Source "an index definition cannot be carried over";
    503 DuplicateKey Source "two documents have the same key in a unique index";
    504 IndexTooLarge Source "an index definition does not fit its metadata page";
    505 SkipIndexUnknown Source "--skip-index names no index";
    520 IndexMissing Usage "a v2 directory has no such index";
    // 06xx: version marker and format v2
    601 MarkerInvalid Source "the version marker does not parse";
    602 VersionUnknown Source "the version marker names an unknown version";
    603 Publishing Interrupted "the directory is half published";
    604 PageDamaged Different "a page of a v2 file is damaged";
    605 CatalogDamaged Different "the catalog or a metadata record of a v2 directory is damaged";
    606 LimitExceeded Source "the data is beyond a limit of format v2";
    607 NeedsRecovery Source "the write-ahead log of a v2 directory needs recovery";
    // 07xx: verification
    701 VerifyFailed Different "verification found a difference";
    710 NotAsPublished Different "a file is not what the migration has published";
    711 PageUnaccounted Different "a page belongs to nothing, or to two things";
    712 IndexDiffers Different "an index and its documents do not match";
    713 FiguresDiffer Different "the metadata says something else than is there";
    714 CollectionOnlyLeft Different "a collection is only in SOURCE_DIR";
    715 CollectionOnlyRight Different "a collection is only in TARGET_DIR";
    716 DocumentOnlyLeft Different "a document is only in SOURCE_DIR";
    717 DocumentOnlyRight Different "a document is only in TARGET_DIR";
    718 DocumentDiffers Different "a document has another content in TARGET_DIR";
    719 IndexOnlyLeft Different "an index is only in SOURCE_DIR";
    720 IndexOnlyRight Different "an index is only in TARGET_DIR";
    721 IndexDefinitionDiffers Different "an index has another definition in TARGET_DIR";
    722 NotCompared Different "something was not compared, since it cannot be read";
    723 PagesMemory Usage "--memory is too little for the pages of a file";
    // 08xx: system
    801 Io Failed "a system call failed";
    802 NoSpaceLeft Interrupted "no space is left on a file system";
    803 Internal Failed "an invariant of the tool does not hold";
    804 Cancelled Interrupted "the run was interrupted";
    805 Locked Locked "another run has the directory locked";
    806 LockUnsupported Locked "the directory cannot be locked";
    807 SourceInUse Locked "another process has a source file open for writing";
    808 TooLittleSpace NoSpace "the check phase found too little space";
    // 09xx: target and publishing
    901 TargetNotEmpty InTheWay "the target holds files";
    902 InTheWayFile InTheWay "a file or directory that the tool would make exists already";
    903 SourceChanged InTheWay "the source changed during the run";
    904 JournalDamaged Interrupted "the publish journal cannot be followed";
    905 ResumeRefused InTheWay "source or options changed since the interruption";
    906 CheckpointDamaged InTheWay "the state of an interrupted run cannot be read";
    907 PublishInterrupted Interrupted "publishing was interrupted";
    908 ReceiptDamaged InTheWay "the receipt of a migration cannot be read";
    910 RollbackInterrupted Interrupted "a rollback was interrupted";
    911 RollbackRefused InTheWay "a rollback would lose what was written since the migration";
    912 OriginalsChanged Source "the v1 files that a rollback needs are gone or damaged";
    // 10xx: warnings
    1001 HiddenProcesses Done "processes that may not be inspected";
    1002 UnlistedPages Done "data.db holds documents that no catalog names";
    1003 EmptiedArrays Done "documents inside arrays were lost by LauraDB's backup";
    1004 TornTail Done "the write-ahead log ends in a torn record";
    1005 UnindexableValues Done "values that an index cannot hold";
    1006 FilterProblem Done "a partial index whose filter matches nothing";
    1007 UnknownKeys Done "keys of the snapshot that mean nothing";
    1008 DroppedTransactions Done "transactions that did not commit";
    1009 GeneratedIds Done "documents that had no _id";
    1010 DroppedOptions Done "options of indexes that v2 has no place for";
    1020 Quarantined Done "records or documents were put into quarantine";
    1021 LeftOlder Done "a document was left at an older state";
    1022 LongTornTail Done "the write-ahead log ends in a long part that cannot be read";
    1023 SnapshotOlder Done "the snapshot may be older than the write-ahead log's last checkpoint";
    1040 PagesUnread Done "data.db holds no slotted pages and was left alone";
    1041 PagesTaken Done "documents were taken from data.db instead of the snapshot";
    1042 PagesDifferent Done "documents in data.db differ from the snapshot";
    1043 PagesRecovered Done "documents were recovered from data.db";
    1044 PagesNoIndexes Done "index definitions of recovered documents are not known";
    1045 PagesOlderCopies Done "older copies of recovered documents were left out";
    1046 PagesTied Done "pages of data.db that cannot be told apart";
    // 11xx: backups
    1101 BackupMissing Source "a directory holds no backup, or several";
    1102 BackupIncomplete Source "a backup is incomplete";
    1103 BackupAltered Source "a backup is not what its manifest says";
    1104 BackupManifest Source "the manifest of a backup does not parse";
    1105 BackupVersion Source "a backup has another format version";
    // 112x: imports
    1120 PrintedIds Source "two documents would have the same _id in format 1.0";
    1121 LostIds Done "_ids that format 1.0 keeps as text";
    1122 LostFieldOrder Done "field orders that format 1.0 does not keep";
    1123 LostWholeDoubles Done "whole doubles that format 1.0 takes for integers";
    1124 LostNonFinite Done "NaN and infinite doubles, which format 1.0 does not have";
    1125 LostInt32 Done "int32 values, which format 1.0 does not have";
    1126 LostTimestamps Done "timestamps, which format 1.0 does not have";
    1127 LostBinary Done "binary values, which format 1.0 does not have";
    1128 LostHexStrings Done "strings that format 1.0 takes for ObjectIDs";
    1129 LostPointIntegers Done "integers inside Points that format 1.0 takes for doubles";
    1130 LostPointObjectIds Done "ObjectIDs inside Points that format 1.0 takes for strings";
    1131 TimeStrings Done "RFC 3339 strings, on which LauraDB panics when it restores them";
    1132 LostInferTypes Done "filters whose constants format 1.0 types otherwise";
    // 1200 to 1249: stores
    1200 StoreConfig Usage "the configuration of a store cannot be followed";
    1201 StoreCollection Failed "a store has no such collection, or has it already";
    1202 StoreIndex Failed "a collection has no such index, or one that cannot be used so";
    1203 StoreDocument Failed "a document that a store cannot take";
    1204 StoreIndexReadOnly Failed "an index that a store cannot keep right when documents change";
    1205 StoreLogDamaged Different "the write-ahead log of a store is damaged before its end";
    1206 StoreFailed Failed "a store could not write and has to be opened again";
    1207 StoreInMemory Done "a store keeps its documents in memory only";
    1208 LogReplayed Done "a write-ahead log was replayed in memory to read a v2 directory";
    1209 StoreReadOnly Failed "a directory that a store reads and never writes";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_and_are_unique() {
        let numbers: Vec<u16> = Code::ALL.iter().map(|code| *code as u16).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Code::WalCorrupt.id(), "LM0301");
    }
}
