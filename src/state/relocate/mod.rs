//! Moving a staged output to its real path (written apart from the archive code).
