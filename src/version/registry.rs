//! The format versions that are known.

use std::fmt;

/// The format version that a marker names while a migration publishes.
pub const PUBLISHING: &str = "2.0-publishing";

/// The formats of a LauraDB data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormatVersion {
    /// Documents in memory; a JSON snapshot and a write-ahead log on disk.
    V1_0,
    /// Documents in slotted pages.
    V2_0,
    /// Documents in compressed slotted pages; reserved.
    V2_1,
}

/// All known versions, oldest first.
pub const KNOWN: [FormatVersion; 3] = [
    FormatVersion::V1_0,
    FormatVersion::V2_0,
    FormatVersion::V2_1,
];

/// Where the documents of a database live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageMode {
    /// In memory.
    Memory,
    /// On disk.
    Disk,
}

impl FormatVersion {
    /// The version that a marker names, or `None` if it is not known.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        KNOWN.into_iter().find(|version| version.as_str() == name)
    }

    /// As markers write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V2_0 => "2.0",
            Self::V2_1 => "2.1",
        }
    }

    /// Where documents live in this format.
    #[must_use]
    pub fn storage_mode(self) -> StorageMode {
        match self {
            Self::V1_0 => StorageMode::Memory,
            Self::V2_0 | Self::V2_1 => StorageMode::Disk,
        }
    }

    /// True if databases should leave this format.
    #[must_use]
    pub fn is_deprecated(self) -> bool {
        self.upgrade().is_some()
    }

    /// The format to migrate to.
    #[must_use]
    pub fn upgrade(self) -> Option<Self> {
        match self {
            Self::V1_0 => Some(Self::V2_0),
            Self::V2_0 | Self::V2_1 => None,
        }
    }

    /// True if this tool writes the format.
    #[must_use]
    pub fn is_written(self) -> bool {
        self != Self::V2_1
    }

    /// True if documents are compressed.
    #[must_use]
    pub fn has_compression(self) -> bool {
        self == Self::V2_1
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StorageMode {
    /// As markers write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_0_is_to_be_left() {
        assert!(KNOWN.windows(2).all(|pair| pair[0] < pair[1]));
        for version in KNOWN {
            assert_eq!(FormatVersion::find(version.as_str()), Some(version));
            assert_eq!(version.is_deprecated(), version == FormatVersion::V1_0);
        }
        assert_eq!(FormatVersion::V1_0.upgrade(), Some(FormatVersion::V2_0));
        assert_eq!(FormatVersion::V1_0.storage_mode(), StorageMode::Memory);
        assert!(!FormatVersion::V2_1.is_written());
        assert_eq!(FormatVersion::find(PUBLISHING), None);
    }
}
