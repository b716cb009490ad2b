//! Clocks of two machines: no file of a restored state may be newer than what this build makes next.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::entry::Mtime;
use super::super::error::{Error, Result};
use super::super::format;

/// Waits until this machine's clock is past `newest`.
///
/// # Errors
/// [`Error::Clock`] where that would take too long.
pub fn wait_for(state: &Path, newest: Mtime, notice: &mut dyn FnMut(&str)) -> Result<()> {
    let Ok(secs) = u64::try_from(newest.secs) else {
        return Ok(());
    };
    let newest = Duration::new(secs, newest.nanos.min(999_999_999));
    let ahead = |newest: Duration| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        newest.saturating_sub(now)
    };
    if ahead(newest) > format::SKEW {
        let ahead = ahead(newest);
        let seconds = ahead.as_secs() + u64::from(ahead.subsec_nanos() > 0);
        return Err(Error::Clock { path: state.into(), seconds });
    }
    // Past it, not at it: make takes equal times as up to date, and the next file must be newer.
    let past = newest + Duration::from_millis(1);
    // A wait that nobody notices is not worth a line in a log.
    if ahead(past) > Duration::from_millis(100) {
        let seconds = ahead(past).as_secs_f64();
        notice(&format!("the state is {seconds:.1} s ahead of this machine's clock; waiting that long"));
    }
    while !ahead(past).is_zero() {
        thread::sleep(ahead(past));
    }
    Ok(())
}
