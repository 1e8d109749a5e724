//! Which host leads, for people and as a document.

use super::age::ago;
use crate::model::{Moment, clean, command};
use serde_json::{Value, json};

/// What this host is to the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeadStanding {
    /// etcd does not say.
    Unknown {
        /// Why.
        why: String,
    },
    /// Another host leads, or nobody does.
    Standby {
        /// What is led: the last part of the lease's name; none if a person says who leads.
        name: Option<String>,
        /// Who leads.
        leader: Option<String>,
        /// When its lease was renewed.
        renewed_at: Option<Moment>,
        /// This host handed over, and waits until another has led.
        resigned: bool,
    },
    /// The lease is ours, the state is being fetched and opened.
    TakingOver,
    /// This host leads.
    Leading {
        /// Its reign, once the state is open.
        reign: Option<i64>,
    },
    /// This host leads, and may not send until its lease is renewed.
    CutOff,
}

impl LeadStanding {
    /// Whether the state here is the one that counts.
    #[must_use]
    pub const fn is_here(&self) -> bool {
        match self {
            Self::Leading { .. } | Self::CutOff => true,
            Self::Standby { .. } | Self::Unknown { .. } | Self::TakingOver => false,
        }
    }

    /// Whether this host does not lead, and it is not known who does.
    #[must_use]
    pub const fn names_nobody(&self) -> bool {
        match self {
            // Without a lease nobody can know.
            Self::Standby { name, leader, .. } => name.is_some() && leader.is_none(),
            Self::Unknown { .. } => true,
            Self::TakingOver | Self::Leading { .. } | Self::CutOff => false,
        }
    }

    /// What this host is, in one line.
    #[must_use]
    pub fn line(&self, now: Moment) -> String {
        match self {
            Self::Unknown { why } => format!("standby (nobody knows who leads: {})", clean(why)),
            Self::Standby { name, leader: Some(leader), renewed_at, .. } => {
                let renewed = renewed_at.map(|at| format!(", renewed {}", ago(at.min(now), now))).unwrap_or_default();
                let leads = name.as_ref().map_or("leads".to_owned(), |name| format!("{} leads", clean(name)));
                format!("standby ({leads}: {}{renewed})", clean(leader))
            }
            Self::Standby { leader: None, resigned: true, .. } => {
                format!("standby (nobody leads; this host handed over: `{}` takes it back)", command("lead"))
            }
            Self::Standby { name: None, .. } => {
                format!("standby (nobody told this host to lead: `{}`)", command("lead --force"))
            }
            Self::Standby { name: Some(name), .. } => format!("standby (nobody leads {})", clean(name)),
            Self::TakingOver => "taking over".to_owned(),
            Self::Leading { reign: Some(reign) } => format!("leading (reign {reign})"),
            Self::Leading { reign: None } => "leading".to_owned(),
            Self::CutOff => "cut off (no request until the lease is renewed)".to_owned(),
        }
    }

    /// The same without what changes from second to second, for the log.
    #[must_use]
    pub fn in_brief(&self) -> String {
        match self {
            Self::Standby { name, leader, resigned, .. } => {
                Self::Standby { name: name.clone(), leader: leader.clone(), renewed_at: None, resigned: *resigned }
                    .line(Moment::default())
            }
            Self::Unknown { .. } | Self::TakingOver | Self::Leading { .. } | Self::CutOff => {
                self.line(Moment::default())
            }
        }
    }

    /// Its member in a document.
    #[must_use]
    pub fn document(&self) -> Value {
        let word = match self {
            Self::Unknown { .. } => "unknown",
            Self::Standby { .. } => "standby",
            Self::TakingOver => "taking_over",
            Self::Leading { .. } => "leading",
            Self::CutOff => "cut_off",
        };
        let mut document = json!({"state": word});
        match self {
            Self::Unknown { why } => document["error"] = why.as_str().into(),
            Self::Standby { name, leader, renewed_at, resigned } => {
                document["name"] = name.as_deref().into();
                document["leader"] = leader.as_deref().into();
                document["renewed_at"] = renewed_at.map(|at| at.to_string()).into();
                document["resigned"] = (*resigned).into();
            }
            Self::Leading { reign } => document["reign"] = (*reign).into(),
            Self::TakingOver | Self::CutOff => {}
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby(leader: Option<&str>, resigned: bool) -> LeadStanding {
        let (leader, renewed_at) = (leader.map(str::to_owned), Some(Moment(96_000)));
        LeadStanding::Standby { name: Some("acme".into()), leader, renewed_at, resigned }
    }

    #[test]
    fn a_line_says_what_this_host_is() {
        for (standing, line) in [
            (standby(Some("host-a"), false), "standby (acme leads: host-a, renewed 4 s ago)"),
            (standby(None, false), "standby (nobody leads acme)"),
            (standby(None, true), "standby (nobody leads; this host handed over: `rhombus-sync lead` takes it back)"),
            (LeadStanding::TakingOver, "taking over"),
            (LeadStanding::Leading { reign: Some(1234) }, "leading (reign 1234)"),
            (LeadStanding::CutOff, "cut off (no request until the lease is renewed)"),
        ] {
            assert_eq!(standing.line(Moment(100_000)), line);
        }
        assert_eq!(standby(Some("host-a"), false).in_brief(), "standby (acme leads: host-a)");
    }
}
