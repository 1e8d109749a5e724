//! When an export was written, and whether that is a time at which it may be read.

use super::{Export, SourceError};
use crate::model::{Duration, Moment};
use crate::report::date;

/// A modification time further ahead than this is a fault, in milliseconds: clocks differ by hours, not by days.
const AHEAD_MS_MAX: i64 = 86_400_000;

impl Export {
    /// Refuses an export that is older than `max_age`, or than the last one that was read.
    ///
    /// # Errors
    /// It is too old.
    pub fn check_age(
        &self,
        now: Moment,
        max_age: Option<Duration>,
        last_read: Option<Moment>,
    ) -> Result<(), SourceError> {
        let written = self.written_at();
        if written.since_ms(now) > AHEAD_MS_MAX {
            return Err(self.refuse(
                format!("its modification time, {}, is more than a day ahead", date(written)),
                "`touch` it, or correct the clock of the machine that writes it; nothing was sent",
            ));
        }
        if max_age.is_some() && !self.age_is_known {
            return Err(self.refuse(
                "it has no Last-Modified, so max_age cannot be checked".to_owned(),
                "have the server send Last-Modified, or remove [directory] max_age; nothing was sent",
            ));
        }
        if let Some(max_age) = max_age
            && now.since_ms(written) > max_age.milliseconds()
        {
            return Err(self.refuse(
                format!("it was written {}, more than {max_age} ago ([directory] max_age)", date(written)),
                "the job that writes it seems to have stopped; nothing was sent",
            ));
        }
        if let Some(last) = last_read
            && written < last
        {
            return Err(self.refuse(
                format!("it was written {}, before the last one that was read, of {}", date(written), date(last)),
                "an old file was put back, or this host got it with another time than the last one (`rsync -t`, or one share \
                 for both hosts, keeps the time); write a new export, or touch this one if it is right; nothing was sent",
            ));
        }
        Ok(())
    }

    /// The same of the members file, if there is one.
    ///
    /// # Errors
    /// It is too old.
    pub fn check_age_of_memberships(
        &self,
        now: Moment,
        max_age: Option<Duration>,
        last_read: Option<Moment>,
    ) -> Result<(), SourceError> {
        self.members_file.as_ref().map_or(Ok(()), |file| file.check_age(now, max_age, last_read))
    }
}
