//! Format versions and the marker file that names them.
