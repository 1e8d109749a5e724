//! Hands users over to JumpCloud, for `import --create`: one bulk call, which is never repeated, and a wait for its job. What the
//! job says is not believed: whoever asks looks the users up.

use super::access::Access;
use super::api::{Api, Sent};
use super::{Doubt, PAGE_ROWS, SourceError};
use crate::config::JumpCloudConfig;
use crate::model::{Fence, small_json};
use crate::source::on_a_runtime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
}

/// Hands these users over if the fence allows it, and waits for the end of the job. `progress` hears how many are done.
///
/// # Errors
/// It was certainly not taken.
pub fn hand_over(
    from: &JumpCloudConfig,
    users: &[NewUser],
    fence: Option<&dyn Fence>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<HandedOver, SourceError> {
    let api = Api::new(from, Access::read(from)?)?;
    let described = from.described();
    let failed = |what: String, hint: &str| SourceError::NotFetched {
        path: described.clone(),
        cause: Doubt { what, hint: Some(hint.to_owned()) },
    };
    let body = serde_json::to_vec(users).map_err(|error| failed(error.to_string(), "this is a bug"))?;
    let failed = &failed;
    on_a_runtime(&described, &CancellationToken::new(), move || async move {
        let job = match api.post_once("/api/v2/bulk/users", body, fence).await {
            Ok(Sent::Taken(body)) => match job_of(&body) {
                Some(job) => job,
                None => return Ok(HandedOver::Unknown("the answer names no job".to_owned())),
            },
            Ok(Sent::NotAllowed) => {
                let what = "this host does not lead any more".to_owned();
                return Err(failed(what, "nobody was created; run it again on the host that leads"));
            }
            Ok(Sent::Refused(what)) => {
                return Err(failed(what, "check the role of the key's administrator; nobody was created"));
            }
            Ok(Sent::Unknown(what)) => return Ok(HandedOver::Unknown(what)),
            Err(failure) => {
                let (what, hint) = failure.words();
                return Err(failed(what, &format!("{hint}; nobody was created")));
            }
        };
        Ok(wait(&api, &job, users.len(), progress).await)
    })
}

/// Waits until nothing of the job is pending any more.
async fn wait(api: &Api<'_>, job: &str, users_count: usize, progress: &(dyn Fn(u64) + Sync)) -> HandedOver {
    let until = Instant::now() + JOB_PATIENCE;
    let (mut pause, mut still_count, mut before) = (JOB_FIRST_PAUSE, 0, (0, 0));
    while Instant::now() < until {
        sleep(std::mem::replace(&mut pause, JOB_PAUSE)).await;
        let now = match results(api, job).await {
            Ok(now) => now,
            Err(what) => return HandedOver::Unknown(what),
        };
        let (rows_count, pending_count) = now;
        progress((rows_count - pending_count) as u64);
        if pending_count == 0 && rows_count >= users_count {
            return HandedOver::Ended;
        }
        still_count = if now == before { still_count + 1 } else { 0 };
        if pending_count == 0 && rows_count > 0 && still_count >= STILL_LOOKS {
            return HandedOver::Ended;
        }
        before = now;
    }
    HandedOver::Unknown(format!("the job had not ended after {} min", JOB_PATIENCE.as_secs() / 60))
}

/// How many rows a job has, and how many of them are pending.
async fn results(api: &Api<'_>, job: &str) -> Result<(usize, usize), String> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(default)]
        status: Value,
    }
    let parse = |body: &[u8]| {
        let rows: Vec<Row> = serde_json::from_slice(body).map_err(|_| "it is not a list of results".to_owned())?;
        let pending = |row: &&Row| row.status.as_str().is_some_and(|status| status.eq_ignore_ascii_case("pending"));
        Ok((rows.len(), rows.iter().filter(pending).count()))
    };
    let (mut rows_count, mut pending_count) = (0, 0);
    loop {
        let job = super::api::encoded(job);
        let target = format!("/api/v2/bulk/users/{job}/results?limit={PAGE_ROWS}&skip={rows_count}");
        let reply = api.get(&target, parse).await.map_err(|failure| failure.words().0)?;
        let Some(reply) = reply else { return Err("the job is unknown".to_owned()) };
        let (rows, pending) = reply.value;
        rows_count += rows;
        pending_count += pending;
        if rows < usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX) {
            return Ok((rows_count, pending_count));
        }
    }
}

fn job_of(body: &[u8]) -> Option<String> {
    small_json(body)?.get("jobId")?.as_str().filter(|job| !job.is_empty()).map(str::to_owned)
}
