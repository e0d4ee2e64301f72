//! The JSON snapshot.
