//! A user's mistake as data: what is wrong, where, and what to do.
