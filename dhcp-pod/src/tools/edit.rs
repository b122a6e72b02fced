//! `dhcp-pod state edit`.

use std::io::Write;
use std::path::Path;

use api::identity::State;
use api::time::UnixTime;
use jiff::Timestamp;
use leases::log::Entry;

use super::Error;
use crate::store::DataDir;

/// Puts a stopped server into another state, durably, and prints what changed.
pub fn edit_state(
    data: &Path,
    state: State,
    at: Option<Timestamp>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let directory = DataDir::take(data)?;
    let edit = |source| Error::Edit { path: data.to_owned(), source };
    // Opening begins a log where there is none, and this verb must leave nothing behind.
    if !directory.has_log() {
        return Err(edit(server::EditError::Empty));
    }
    let (mut log, opened) = directory.open_log()?;
    let now = UnixTime::from(Timestamp::now());
    let at = at.map(UnixTime::from);
    let batch = server::edit_state(&opened.entries, opened.loaded, state, at, now).map_err(edit)?;
    let append = |source| Error::Append { path: data.to_owned(), source };
    log.append(&batch).map_err(append)?;
    log.sync().map_err(append)?;
    log.close().map_err(append)?;
    let leases = batch.entries.iter().filter(|entry| entry.kind == Entry::LEASE).count();
    let since = at.map_or_else(|| "its next start".to_owned(), |at| format!("{at}, from the next start on"));
    writeln!(
        out,
        "{}: {state} since {since}; {leases} leases hold their addresses longer for it. The \
         partner must not serve before it has heard of this",
        data.display(),
    )?;
    Ok(())
}
