//! How much of an answer is kept, and how many long ones at a time.

use super::{ANSWER_BYTES_MAX, BodyMode};
use tokio::sync::Semaphore;

/// The longest refusal that is read, in bytes: what is shown of it is half a KiB.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// From here on, in bytes, an answer is read alone: as many as are under way at once would be too much memory.
const LONG_BYTES: usize = 256 << 10;

/// The answers of one client.
pub(super) struct Bodies {
    long: Semaphore,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { long: Semaphore::new(1) }
    }
}

impl Bodies {
    /// Reads the body of an answer; it is empty if it was streamed.
    pub(super) async fn read(
        &self,
        mut response: reqwest::Response,
        mode: BodyMode<'_>,
        in_words: impl Fn(reqwest::Error) -> String,
    ) -> Result<Vec<u8>, String> {
        let bytes_max = if response.status().is_success() { ANSWER_BYTES_MAX } else { REFUSAL_BYTES_MAX };
        let mut stream = match mode {
            BodyMode::Stream(stream) if response.status().is_success() => Some(stream),
            BodyMode::Stream(_) | BodyMode::Whole => None,
        };
        let (mut whole, mut alone) = (Vec::new(), None);
        while let Some(chunk) = response.chunk().await.map_err(&in_words)? {
            match &mut stream {
                Some(stream) => stream(&chunk)?,
                None if whole.len() + chunk.len() > bytes_max => {
                    return Err(format!("the answer is longer than {} KiB", bytes_max >> 10));
                }
                None => whole.extend_from_slice(&chunk),
            }
            if whole.len() > LONG_BYTES && alone.is_none() {
                alone = self.long.acquire().await.ok();
            }
        }
        Ok(whole)
    }
}
