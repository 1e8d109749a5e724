//! Hands users over to JumpCloud, for `import --create`: one bulk call, which is not repeated here, and a wait for its job. What
//! the job says is shown and not believed: whoever asks looks the users up.

use super::access::Access;
use super::api::{Api, Sent};
use super::failure::ReadFailure;
use super::{PAGE_ROWS, SourceError};
use crate::config::JumpCloudConfig;
use crate::model::{Fence, folded, small_json};
use crate::source::on_a_runtime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long a job is waited for.
const JOB_PATIENCE: Duration = Duration::from_secs(600);
/// How often a job is asked for.
const JOB_PAUSE: Duration = Duration::from_secs(1);
/// The first time it is asked for sooner.
const JOB_FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A job that shows the same for so many looks, and nothing that is pending, has ended.
const STILL_LOOKS: u32 = 5;

/// A user to create.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewUser {
    /// The username.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The given name, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firstname: Option<String>,
    /// The family name, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandedOver {
    /// The job has ended. Whom it made, only a look shows.
    Ended,
    /// Nobody knows whether it was taken; what went wrong.
    Unknown(String),
    /// It was certainly not taken: nobody was created.
    NotTaken {
        /// What JumpCloud said, or why it was not reached.
        what: String,
        /// What the reader can do.
        hint: String,
        /// After how long it may be sent again, if JumpCloud wants just to be left alone.
        again_after: Option<Duration>,
    },
}

/// What a job shows of its rows while it runs.
#[derive(Clone, Copy, Debug)]
pub enum JobSign<'a> {
    /// So many rows are no longer pending.
    Ended(u64),
    /// The row of this user is not pending any more.
    Row {
        /// The username, as it was handed over.
        username: &'a str,
        /// The job's word for it.
        status: &'a str,
    },
}

/// Hands these users over if the fence allows it, and waits for the end of the job. `sign` hears what the job shows meanwhile,
/// each row once.
///
/// # Errors
/// The access to JumpCloud cannot be used; nothing was sent.
pub fn hand_over(
    from: &JumpCloudConfig,
    users: &[NewUser],
    fence: Option<&dyn Fence>,
    sign: &(dyn Fn(JobSign<'_>) + Sync),
) -> Result<HandedOver, SourceError> {
    let api = Api::new(from, Access::read(from)?)?;
    let not_taken = |what: String, hint: &str| HandedOver::NotTaken { what, hint: hint.to_owned(), again_after: None };
    let body = match serde_json::to_vec(users) {
        Ok(body) => body,
        Err(error) => return Ok(not_taken(error.to_string(), "this is a bug")),
    };
    on_a_runtime(&from.described(), &CancellationToken::new(), move || async move {
        Ok(match api.post_once("/api/v2/bulk/users", body, fence).await {
            Ok(Sent::Taken(body)) => match job_of(&body) {
                Some(job) => wait(&api, &job, users, sign).await,
                None => HandedOver::Unknown("the answer names no job".to_owned()),
            },
            Ok(Sent::NotAllowed) => {
                not_taken("this host does not lead any more".to_owned(), "run it again on the host that leads")
            }
            Ok(Sent::Refused(what, hint)) => not_taken(what, hint),
            Ok(Sent::Later(what, wait)) => {
                HandedOver::NotTaken { what, hint: "try again later".to_owned(), again_after: Some(wait) }
            }
            Ok(Sent::Unknown(what)) => HandedOver::Unknown(what),
            Err(ReadFailure::Later { what, wait: _ }) => not_taken(what, "try again later"),
            Err(failure) => {
                let (what, hint) = failure.words();
                not_taken(what, &hint)
            }
        })
    })
}

/// Waits until nothing of the job is pending any more.
async fn wait(api: &Api<'_>, job: &str, users: &[NewUser], sign: &(dyn Fn(JobSign<'_>) + Sync)) -> HandedOver {
    let until = Instant::now() + JOB_PATIENCE;
    let (mut pause, mut still_count, mut before) = (JOB_FIRST_PAUSE, 0, (0, 0));
    let mut awaited: BTreeMap<String, &str> =
        users.iter().map(|user| (folded(&user.username), user.username.as_str())).collect();
    while Instant::now() < until {
        sleep(std::mem::replace(&mut pause, JOB_PAUSE)).await;
        let rows = match results(api, job).await {
            Ok(rows) => rows,
            Err(what) => return HandedOver::Unknown(what),
        };
        for row in rows.iter().filter(|row| !row.is_pending()) {
            if let Some(username) = row.names().find_map(|name| awaited.remove(&folded(name))) {
                sign(JobSign::Row { username, status: row.status() });
            }
        }
        let pending_count = rows.iter().filter(|row| row.is_pending()).count();
        sign(JobSign::Ended((rows.len() - pending_count) as u64));
        if pending_count == 0 && rows.len() >= users.len() {
            return HandedOver::Ended;
        }
        let now = (rows.len(), pending_count);
        still_count = if now == before { still_count + 1 } else { 0 };
        if pending_count == 0 && !rows.is_empty() && still_count >= STILL_LOOKS {
            return HandedOver::Ended;
        }
        before = now;
    }
    HandedOver::Unknown(format!("the job had not ended after {} min", JOB_PATIENCE.as_secs() / 60))
}

/// A row of a job's results: whom it is about stands in one of several places.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    username: Value,
    #[serde(default, rename = "persistedFields")]
    persisted: Value,
    #[serde(default)]
    meta: Value,
}

impl Row {
    fn status(&self) -> &str {
        self.status.as_str().unwrap_or_default()
    }

    fn is_pending(&self) -> bool {
        self.status().eq_ignore_ascii_case("pending")
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let inner = |of: &'static str| [self.persisted.get(of), self.meta.get(of)];
        let places = [Some(&self.username), Some(&self.id)].into_iter();
        places.chain(inner("username")).chain(inner("email")).flatten().filter_map(Value::as_str)
    }
}

/// The rows of a job.
async fn results(api: &Api<'_>, job: &str) -> Result<Vec<Row>, String> {
    let parse =
        |body: &[u8]| serde_json::from_slice::<Vec<Row>>(body).map_err(|_| "it is not a list of results".to_owned());
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let job = super::api::encoded(job);
        let target = format!("/api/v2/bulk/users/{job}/results?limit={PAGE_ROWS}&skip={}", rows.len());
        let reply = api.get(&target, parse).await.map_err(|failure| failure.words().0)?;
        let Some(reply) = reply else { return Err("the job is unknown".to_owned()) };
        let rows_count = reply.value.len();
        rows.extend(reply.value);
        if rows_count < usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX) {
            return Ok(rows);
        }
    }
}

fn job_of(body: &[u8]) -> Option<String> {
    small_json(body)?.get("jobId")?.as_str().filter(|job| !job.is_empty()).map(str::to_owned)
}
