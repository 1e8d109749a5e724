//! `source = "url"`: an export behind an address, fetched into a spool, and from there on a file like any other.
//!
//! Only a 200 is an export. A 304 where it was asked for is the export of last time, with the time of last time: it is no
//! second sighting. Every other answer is a failed read.

use super::checksum::{self, Checksum};
use super::spool::{self, Note, Spool, Spooled};
use super::wait::{self, Patience, WAIT_MAX};
use super::{Door, Doubt, Export, Keep, SourceError};
use crate::config::{Settings, UrlConfig};
use crate::http::{Ask, Auth, BodyMode, Fetched, Fetcher};
use crate::model::{Duration, Moment, hex};
use crate::outcome::CallError;
use crate::secret::Token;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::time::{Duration as StdDuration, Instant, SystemTime};

/// The deadline of a whole export.
const EXPORT_TIMEOUT: Duration = Duration::from_seconds(600);
/// How often a checksum that does not fit yet is fetched again.
const CHECKSUM_PAUSE: StdDuration = StdDuration::from_millis(500);
/// How often one read waits because the server said so.
const WAITS_MAX: u32 = 5;
/// Which media types are asked for.
const ACCEPT: &str = "application/json, text/csv, application/x-ndjson, */*;q=0.5";

/// Fetches the export and opens it.
///
/// # Errors
/// It could not be fetched whole, or its checksum does not fit.
pub(super) fn open(settings: &Settings, from: &UrlConfig, door: &Door<'_>) -> Result<Export, SourceError> {
    let token = from.token.as_ref().map(crate::config::TokenPlace::read).transpose()?;
    let fetcher = Fetcher::new(EXPORT_TIMEOUT, from.ca_file.as_deref(), from.proxy.as_deref())?;
    let described = from.described();
    let patience = Patience::beside(&settings.spool, &described, door.keep);
    patience.allows(door.asked)?;
    let fetch = Fetch { settings, from, keep: door.keep, token, fetcher, patience: &patience };
    let spooled = super::on_a_runtime(&described, &door.stop, move || fetch.run())?;
    patience.is_over();
    Export::of_spool(spooled, &described, &settings.layout, &door.stop).map_err(|error| {
        fetch_failed(from, &error.to_string(), "check the disk that holds the state; nothing was sent")
    })
}

fn fetch_failed(from: &UrlConfig, what: &str, hint: &str) -> SourceError {
    let cause = Doubt { what: what.to_owned(), hint: Some(hint.to_owned()) };
    SourceError::NotFetched { path: from.described(), cause }
}

struct Fetch<'f> {
    settings: &'f Settings,
    from: &'f UrlConfig,
    keep: Keep,
    token: Option<Token>,
    fetcher: Fetcher,
    patience: &'f Patience<'f>,
}

/// One try.
enum Read {
    /// The spool holds an export.
    New(Note),
    /// The export of last time.
    OfLastTime(Note),
    /// Its checksum does not fit, or not yet.
    Doubtful(String),
    /// It wants to be left alone for so long.
    Later(StdDuration),
}

/// What a checksum says.
enum Checked {
    Fits,
    IsMissing,
    Doubtful(String),
}

impl Fetch<'_> {
    /// Fetches it; with a checksum that does not fit yet, again for a while: the job publishes one after the other.
    async fn run(self) -> Result<Spooled, SourceError> {
        // The version that was read last, also if its bytes are lost: it must not become another one for that.
        let before = spool::noted(&self.settings.spool, &self.from.url);
        let mut last = before.clone().and_then(|note| spool::of(&self.settings.spool, note));
        let mut spool = match self.keep {
            Keep::AsTheLast => Spool::to_keep(&self.settings.spool),
            Keep::Nothing => Spool::to_look(&self.settings.spool),
        }
        .map_err(|error| self.not_spooled(&error))?;
        let (started, mut waits_count) = (Instant::now(), 0);
        loop {
            match self.once(&mut spool, &mut last, before.as_ref()).await? {
                Read::New(note) => {
                    let file = spool.keep(&self.settings.spool, &note).map_err(|error| self.not_spooled(&error))?;
                    return Ok(spooled(file, &note));
                }
                Read::OfLastTime(note) => {
                    let Some((file, before)) = last else { return Err(self.unasked()) };
                    if note != before && self.keep == Keep::AsTheLast {
                        spool::write_note(&self.settings.spool, &note).map_err(|error| self.not_spooled(&error))?;
                    }
                    return Ok(spooled(file, &note));
                }
                Read::Doubtful(doubt) if started.elapsed() >= self.settings.checksum_patience.std() => {
                    let what = format!("its checksum, at the same address with .sha256, {doubt}");
                    let hint = "publish the .sha256 after the export, or remove it; nothing was sent".to_owned();
                    let cause = Doubt { what, hint: Some(hint) };
                    return Err(SourceError::Refused { path: self.from.described(), cause });
                }
                Read::Doubtful(_) => tokio::time::sleep(CHECKSUM_PAUSE).await,
                Read::Later(wait) if wait <= WAIT_MAX && waits_count < WAITS_MAX => {
                    waits_count += 1;
                    tokio::time::sleep(wait).await;
                }
                Read::Later(wait) => {
                    self.patience.note(wait);
                    let what = format!("the server asked us to retry after {} s", wait.as_secs());
                    return Err(self.failed(&what, "the first cycle after that asks again; nothing was sent"));
                }
            }
        }
    }

    async fn once(
        &self,
        spool: &mut Spool,
        last: &mut Option<(File, Note)>,
        before: Option<&Note>,
    ) -> Result<Read, SourceError> {
        spool.clear().map_err(|error| self.not_spooled(&error))?;
        let known = last.as_ref().and_then(|(_, note)| note.etag.clone());
        let answer = self.ask(&self.from.url, known.as_deref(), &mut |bytes| spool.write(bytes)).await?;
        if let (429 | 503, Some(wait)) = (answer.status, wait::asked_for(&answer)) {
            return Ok(Read::Later(wait));
        }
        match (answer.status, last) {
            (200, _) => {
                if let Err(what) = &answer.body {
                    return Err(self.failed(what, "what arrived is not used; the next cycle fetches it again"));
                }
                let checked = match self.check(spool.file()).await? {
                    Checked::Fits => true,
                    Checked::IsMissing => false,
                    Checked::Doubtful(doubt) => return Ok(Read::Doubtful(doubt)),
                };
                let (digest, length) = spool.digest().map_err(|error| self.not_spooled(&error))?;
                Ok(Read::New(self.note_of(&answer, digest, length, checked, before)))
            }
            (304, Some((_, note))) if known.is_some() && note.checked => Ok(Read::OfLastTime(note.clone())),
            // Nothing proved it then; a checksum that came since may.
            (304, Some((file, note))) if known.is_some() => Ok(match self.check(file).await? {
                Checked::Fits => Read::OfLastTime(Note { checked: true, ..note.clone() }),
                Checked::IsMissing => Read::OfLastTime(note.clone()),
                Checked::Doubtful(doubt) => Read::Doubtful(doubt),
            }),
            (304, _) => Err(self.unasked()),
            _ => Err(self.refused(&answer)),
        }
    }

    /// What is to be remembered of a whole answer.
    fn note_of(&self, answer: &Fetched, digest: String, length: u64, checked: bool, last: Option<&Note>) -> Note {
        let last_modified = answer.last_modified.map(|at| at.0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let version = Version { etag: answer.etag.as_deref(), last_modified, digest: &digest };
        let written_at = version.written_at(last, i64::try_from(now).unwrap_or(i64::MAX));
        Note {
            url: self.from.url.clone(),
            etag: answer.etag.clone(),
            last_modified,
            written_at,
            checked,
            digest,
            length,
        }
    }

    /// What the checksum beside it says, if there is one.
    async fn check(&self, file: &mut File) -> Result<Checked, SourceError> {
        let mut bytes = Vec::new();
        let mut take = |chunk: &[u8]| {
            bytes.extend_from_slice(chunk);
            if bytes.len() > checksum::CHECKSUM_BYTES_MAX { Err("is too long".to_owned()) } else { Ok(()) }
        };
        let answer = self.ask(&beside(&self.from.url), None, &mut take).await?;
        match (answer.status, answer.body) {
            // Stores that may not list their files answer 403 for one that is not there.
            (403 | 404 | 410, _) => Ok(Checked::IsMissing),
            (200, Err(what)) => Ok(Checked::Doubtful(what)),
            (200, Ok(_)) => match checksum::parse(&bytes) {
                Checksum::Sha256(wanted) => {
                    let fits = wanted.contains(&sha256(file).map_err(|error| self.not_spooled(&error))?);
                    Ok(if fits { Checked::Fits } else { Checked::Doubtful("is not the export's".to_owned()) })
                }
                Checksum::Odd(what) => Ok(Checked::Doubtful(format!("cannot be used: {what}"))),
            },
            (status, _) => Err(self.failed(
                &format!("the server answers {status} to the address of its checksum"),
                "check the server; the next cycle asks again; nothing was sent",
            )),
        }
    }

    fn unasked(&self) -> SourceError {
        self.failed("the server answers 304 although no earlier export was named", "check the server; nothing was sent")
    }

    async fn ask(
        &self,
        url: &str,
        known: Option<&str>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Fetched, SourceError> {
        let auth = self.token.as_ref().map_or(Auth::Nothing, Auth::Bearer);
        let ask = Ask { known, ..Ask::get(url, auth, ACCEPT) };
        self.fetcher.ask(&ask, BodyMode::Stream(take)).await.map_err(|error| {
            let hint = match &error {
                CallError::NotSent(_) => "check [directory] url and the network; nothing was sent",
                CallError::Lost(_) => "the server did not answer in time; the next cycle asks again",
            };
            self.failed(&error.to_string(), hint)
        })
    }

    fn failed(&self, what: &str, hint: &str) -> SourceError {
        fetch_failed(self.from, what, hint)
    }

    fn not_spooled(&self, error: &std::io::Error) -> SourceError {
        let what = format!("it cannot be spooled in {}: {error}", self.settings.spool.display());
        self.failed(&what, "check space and permissions of the state's folder; nothing was sent")
    }

    /// An answer that is not an export.
    fn refused(&self, answer: &Fetched) -> SourceError {
        let hint = match answer.status {
            300..=399 => "redirects are not followed: set [directory] url to the address that it leads to",
            401 | 403 if self.token.is_some() => "put a valid token into [directory] token_file",
            401 | 403 => "set [directory] token_file, if the server wants a token",
            404 | 410 => "check [directory] url and the job that publishes the export",
            _ => "check the server; the next cycle asks again",
        };
        self.failed(&format!("the server answers {}", answer.status), &format!("{hint}; nothing was sent"))
    }
}

fn spooled(file: File, note: &Note) -> Spooled {
    let (written_at, age_is_known) = (Moment(note.written_at), note.last_modified.is_some());
    Spooled { file, written_at, age_is_known, checked: note.checked, organization: None }
}

/// What tells one version of an export from another.
struct Version<'v> {
    etag: Option<&'v str>,
    last_modified: Option<i64>,
    digest: &'v str,
}

impl Version<'_> {
    /// When it was written, so that another version always has another time, and the same one never has.
    fn written_at(&self, last: Option<&Note>, now: i64) -> i64 {
        let tag_differs = |last: &Note| self.etag.is_some() && last.etag.is_some() && self.etag != last.etag.as_deref();
        match (self.last_modified, last) {
            // Two versions within one second.
            (Some(at), Some(last)) if last.last_modified == Some(at) => last.written_at + i64::from(tag_differs(last)),
            (Some(at), _) => at,
            (None, Some(last)) if last.last_modified.is_none() => {
                let same = match (self.etag, &last.etag) {
                    (Some(etag), Some(before)) => etag == before,
                    (Some(_) | None, _) => self.digest == last.digest,
                };
                if same { last.written_at } else { now }
            }
            (None, _) => now,
        }
    }
}

/// Where the checksum of an export lies: at its address with `.sha256`, before a query. Always on the same host.
fn beside(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut url) => {
            let path = format!("{}.sha256", url.path());
            url.set_path(&path);
            url.into()
        }
        // The configuration was checked; what is none is asked for as it is, and refused.
        Err(_) => url.to_owned(),
    }
}

fn sha256(file: &mut File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    spool::each_block(file, &mut |bytes| hash.update(bytes))?;
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_have_two_times_and_one_version_has_one() {
        let last = |etag: Option<&str>, last_modified: Option<i64>| Note {
            etag: etag.map(str::to_owned),
            last_modified,
            written_at: last_modified.unwrap_or(500),
            digest: "d".to_owned(),
            ..Note::default()
        };
        let check = |etag, last_modified, digest, before: Option<Note>, expected: i64| {
            let version = Version { etag, last_modified, digest };
            assert_eq!(version.written_at(before.as_ref(), 900), expected, "{etag:?} {last_modified:?} {digest}");
        };
        check(Some("a"), Some(7_000), "d", None, 7_000);
        check(Some("a"), Some(7_000), "d", Some(last(Some("a"), Some(7_000))), 7_000);
        check(Some("b"), Some(7_000), "d", Some(last(Some("a"), Some(7_000))), 7_001);
        check(Some("a"), Some(8_000), "d", Some(last(Some("a"), Some(7_000))), 8_000);
        check(Some("a"), None, "d", Some(last(Some("a"), None)), 500);
        check(Some("b"), None, "d", Some(last(Some("a"), None)), 900);
        check(None, None, "d", Some(last(None, None)), 500);
        check(None, None, "e", Some(last(None, None)), 900);
        check(None, None, "d", None, 900);
    }

    #[test]
    fn a_checksum_lies_at_the_address_of_its_export() {
        assert_eq!(beside("https://x.example/d.csv"), "https://x.example/d.csv.sha256");
        assert_eq!(beside("https://x.example/d.csv?a=b"), "https://x.example/d.csv.sha256?a=b");
        assert_eq!(beside("https://x.example/a%2Fb"), "https://x.example/a%2Fb.sha256");
        // Never another host.
        assert_eq!(beside("https://x.example"), "https://x.example/.sha256");
        assert_eq!(beside("http://127.0.0.1:80?a"), "http://127.0.0.1/.sha256?a");
    }
}
