//! `source = "jumpcloud"`: every user of the organisation with the groups that count here, read over the API into a spool, and
//! from there on a file like any other.
//!
//! # Guarantees
//! A read in pages by offset proves nothing alone. Every page carries the same total and the pages add up to it, or all is
//! read again, three times at most. A user who is bound has a record. Whoever is linked and is not shown as wanted is asked
//! for alone: who is still bound is still wanted. Whatever fails ends the read: it never makes a smaller set.

mod access;
mod api;
mod bulk;
mod failure;
mod pages;
mod records;
mod wanted;

pub use bulk::{HandedOver, JobSign, NewUser, hand_over};

use super::spool::{Spool, Spooled};
use super::wait::Patience;
use super::{Door, Doubt, Export, SourceError};
use crate::config::{JumpCloudConfig, Settings};
use crate::model::{DirectoryId, Moment};
use access::Access;
use api::Api;
use failure::ReadFailure;
use futures_util::{StreamExt, pin_mut};
use records::{Members, Written};
use std::collections::BTreeSet;
use std::time::SystemTime;
use wanted::{Alone, Wanted};

/// How often a list that does not add up is read.
const READS_MAX: u32 = 3;
/// How many requests are under way at once.
const CONCURRENCY: usize = 8;
/// Rows of a page: more than this is answered 400.
const PAGE_ROWS: u64 = 100;

/// Reads the directory and opens what was read.
///
/// # Errors
/// It could not be read whole.
pub(super) fn open(settings: &Settings, from: &JumpCloudConfig, door: &Door<'_>) -> Result<Export, SourceError> {
    let described = from.described();
    let failed = |what: String, hint: &str| SourceError::NotFetched {
        path: described.clone(),
        cause: Doubt { what, hint: Some(hint.to_owned()) },
    };
    let patience = Patience::beside(&settings.spool, &described, door.keep);
    patience.allows(door.asked)?;
    let linked = door.linked.as_ref().map_or(Ok(Vec::new()), |linked| linked());
    let linked = linked.map_err(|what| failed(format!("the state cannot be read: {what}"), "nothing was sent"))?;
    let api = Api::new(from, Access::read(from)?)?;
    let groups: Vec<String> = settings.scope.groups().map(str::to_owned).collect();
    let bound = door.organization.as_deref();
    let reading = Reading { settings, from, groups, linked, bound, patience: &patience };
    let spooled = super::on_a_runtime(&described, &door.stop, move || async move { reading.run(&api).await })?;
    patience.is_over();
    Export::of_spool(spooled, &described, &settings.layout, &door.stop)
        .map_err(|error| failed(error.to_string(), "check the disk that holds the state; nothing was sent"))
}

struct Reading<'r> {
    settings: &'r Settings,
    from: &'r JumpCloudConfig,
    /// The groups of the scope; the application stands for one.
    groups: Vec<String>,
    linked: Vec<DirectoryId>,
    /// The organisation that the state is bound to.
    bound: Option<&'r str>,
    patience: &'r Patience<'r>,
}

impl Reading<'_> {
    async fn run(self, api: &Api<'_>) -> Result<Spooled, SourceError> {
        let said = api.organization().await.map_err(|failure| self.said(failure))?;
        self.is_bound_to(said.as_deref())?;
        let mut spool = Spool::to_look(&self.settings.spool).map_err(|error| self.not_spooled(&error))?;
        let mut reads_count = 0;
        let organization = loop {
            reads_count += 1;
            spool.clear().map_err(|error| self.not_spooled(&error))?;
            match self.read(api, &mut spool).await {
                Ok(of_records) => break said.or(of_records),
                Err(ReadFailure::Shifted(_)) if reads_count < READS_MAX => {}
                Err(failure) => return Err(self.said(failure)),
            }
        };
        self.is_bound_to(organization.as_deref())?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(Spooled {
            file: spool.into_file(),
            written_at: Moment(i64::try_from(now).unwrap_or(i64::MAX)),
            age_is_known: true,
            // Pages that add up, and absences that are asked for one by one, are the proof; the array closes after them.
            checked: true,
            organization,
        })
    }

    /// Refuses the directory of another organisation than the one that the state is bound to.
    fn is_bound_to(&self, found: Option<&str>) -> Result<(), SourceError> {
        match (self.bound, found) {
            (Some(bound), Some(found)) if bound != found => {
                let (path, bound, found) = (self.from.described(), bound.to_owned(), found.to_owned());
                Err(SourceError::OtherOrganization { path, bound, found })
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// One try: who is wanted, then everybody, then whoever is linked and was not shown as wanted. The organisation that the
    /// records name, if they name one.
    async fn read(&self, api: &Api<'_>, spool: &mut Spool) -> Result<Option<String>, ReadFailure> {
        let wanted = Wanted::read(api, self.from.application_id.as_deref(), &self.groups).await?;
        let members = Members::of(&self.settings.layout);
        let mut written = Written::begin(spool)?;
        let mut linked: BTreeSet<&str> = self.linked.iter().map(DirectoryId::as_str).collect();
        let (mut aside, mut with_record_count, mut organization) = (Vec::new(), 0, None);
        {
            let mut each = |mut record: records::Record| {
                organization = record.organization.take().or(organization.take());
                let groups = wanted.groups_of(&record.id);
                with_record_count += usize::from(!groups.is_empty());
                if linked.remove(record.id.as_str()) && groups.is_empty() {
                    aside.push(record);
                    return Ok(());
                }
                written.record(&record, Some(&wanted.names(groups)))
            };
            pages::users(api, &members, &mut each).await?;
        }
        if with_record_count != wanted.users_count() {
            let missing = wanted.users_count() - with_record_count;
            return Err(ReadFailure::Shifted(format!("{missing} bound users or members have no record")));
        }
        let alone: Vec<(String, Option<records::Record>)> = aside
            .into_iter()
            .map(|record| (record.id.clone(), Some(record)))
            .chain(linked.into_iter().map(|id| (id.to_owned(), None)))
            .collect();
        let asked = futures_util::stream::iter(alone)
            .map(|(id, record)| confirm(api, &wanted, &members, id, record))
            .buffered(CONCURRENCY);
        pin_mut!(asked);
        while let Some(confirmed) = asked.next().await {
            if let Some((record, groups)) = confirmed? {
                written.record(&record, groups.map(|groups| wanted.names(&groups)).as_deref())?;
            }
        }
        written.end()?;
        Ok(organization)
    }

    fn said(&self, failure: ReadFailure) -> SourceError {
        if let ReadFailure::Later { wait, .. } = &failure {
            self.patience.note(*wait);
        }
        let (what, hint) = failure.words();
        let hint = format!("{hint}; nothing was sent");
        SourceError::NotFetched { path: self.from.described(), cause: Doubt { what, hint: Some(hint) } }
    }

    fn not_spooled(&self, error: &std::io::Error) -> SourceError {
        self.said(ReadFailure::NotSpooled(format!("it cannot be spooled: {error}")))
    }
}

/// Asks for one user alone. None: the directory does not have that user any more; without groups: it does not say.
async fn confirm(
    api: &Api<'_>,
    wanted: &Wanted,
    members: &Members,
    id: String,
    record: Option<records::Record>,
) -> Result<Option<(records::Record, Option<Vec<u16>>)>, ReadFailure> {
    let groups = match wanted.ask(api, &id).await? {
        Alone::Gone if record.is_some() => {
            return Err(ReadFailure::Shifted("a user who has a record gets a 404".to_owned()));
        }
        Alone::Gone => return Ok(None),
        Alone::In(groups) => Some(groups),
        Alone::Unsure => None,
    };
    let record = match record {
        Some(record) => Some(record),
        None => pages::user(api, members, &id).await?,
    };
    match (record, groups) {
        (Some(record), groups) => Ok(Some((record, groups))),
        // Still bound is still wanted, whatever else is said of the user.
        (None, Some(groups)) if !groups.is_empty() => {
            Err(ReadFailure::Shifted("a user who is bound or a member has no record".to_owned()))
        }
        (None, _) => Ok(None),
    }
}
