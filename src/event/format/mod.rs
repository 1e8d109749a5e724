//! The formats in which sinks get events, all made of the line that the state keeps. Only that line itself can be verified line by
//! line; the others carry its sequence and chain along. How a line travels is up to the sinks.

mod cef;
mod ecs;
mod first;
mod ocsf;
mod record;
mod shorten;
mod targets;

pub use first::{FirstLine, Stamp};
pub use ocsf::OcsfVersion;

use super::Sealed;
use crate::model::small_json;
use record::Record;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The name of a format.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum EventFormat {
    /// JumpCloud Directory Insights, as stored in the state.
    #[default]
    DirectoryInsights,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
    /// Elastic Common Schema.
    Ecs,
    /// Common Event Format, of ArcSight.
    Cef,
}

impl EventFormat {
    /// Whether the chain can be verified line by line.
    #[must_use]
    pub const fn can_be_verified(self) -> bool {
        match self {
            Self::DirectoryInsights => true,
            Self::Ocsf | Self::Ecs | Self::Cef => false,
        }
    }

    /// Whether a line is a JSON object.
    #[must_use]
    pub const fn is_json(self) -> bool {
        match self {
            Self::DirectoryInsights | Self::Ocsf | Self::Ecs => true,
            Self::Cef => false,
        }
    }

    /// The sequence of a line in this format.
    #[must_use]
    pub fn sequence_of(self, line: &str) -> Option<i64> {
        let at = match self {
            Self::Cef => return cef::sequence_of(line),
            Self::DirectoryInsights => "/sequence",
            Self::Ocsf => "/metadata/sequence",
            Self::Ecs => "/event/sequence",
        };
        small_json(line.as_bytes())?.pointer(at)?.as_i64()
    }
}

/// Writes events in one format.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Renderer {
    /// Which one.
    pub format: EventFormat,
    /// The version of OCSF, which decides about classes and fields.
    pub ocsf_version: OcsfVersion,
    /// The name of this host, for the formats that have a place for it; may be empty.
    pub host: String,
}

impl Renderer {
    /// An event of the state in this format. `None`: its line is not an event.
    #[must_use]
    pub fn line<'e>(&self, event: &'e Sealed) -> Option<Cow<'e, str>> {
        match self.format {
            EventFormat::DirectoryInsights => Some(Cow::Borrowed(&event.line)),
            EventFormat::Ocsf | EventFormat::Ecs | EventFormat::Cef => self.render(&event.line).map(Cow::Owned),
        }
    }

    /// The same in at most so many bytes: of an approval the first users are kept and the others counted, the longest values are
    /// cut, and say so. `None`: that is not enough.
    #[must_use]
    pub fn line_within<'e>(&self, event: &'e Sealed, bytes_max: usize) -> Option<Cow<'e, str>> {
        let whole = self.line(event)?;
        if whole.len() <= bytes_max {
            return Some(whole);
        }
        shorten::to_fit(&event.line, |line| self.render(line).filter(|line| line.len() <= bytes_max)).map(Cow::Owned)
    }

    fn render(&self, line: &str) -> Option<String> {
        match self.format {
            EventFormat::DirectoryInsights => Some(line.to_owned()),
            EventFormat::Ocsf => ocsf::render(&Record::of(line)?, self.ocsf_version),
            EventFormat::Ecs => ecs::render(&Record::of(line)?),
            EventFormat::Cef => cef::render(&Record::of(line)?, &self.host),
        }
    }
}

/// What a sink's envelope says about the event inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outline {
    /// The event's id.
    pub id: String,
    /// Its time, RFC 3339 with milliseconds, UTC.
    pub timestamp: String,
    /// The same in milliseconds since 1970.
    pub time_ms: i64,
    /// Its type.
    pub event_type: String,
    /// Whether what it is about was accepted.
    pub success: bool,
    /// Its chain.
    pub chain: String,
    /// One sentence for people.
    pub sentence: String,
}

impl Outline {
    /// `None`: the line is not an event.
    #[must_use]
    pub fn of(event: &Sealed) -> Option<Self> {
        let record = Record::of(&event.line)?;
        Some(Self {
            id: record.id.to_string(),
            timestamp: record.timestamp.to_string(),
            time_ms: record.time_ms(),
            event_type: record.event_type.to_string(),
            success: record.success,
            chain: record.chain.to_string(),
            sentence: record.sentence(),
        })
    }
}
