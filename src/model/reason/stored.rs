//! A reason as the state stores it: its code, and its variable parts beside it.

use super::{AccountState, AnswerDoubt, Mismatch, NotTried, RecordFault, UnfitValue, UsernameConflict};
use super::{ClockDoubt, HeldBy, OverLimit, Reason};
use crate::model::{Cause, Column, GuardKind, Shown};
use serde::{Deserialize, Serialize};

/// A reason as the state stores it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredReason {
    /// The stable code.
    pub code: String,
    /// The variable parts, as a JSON object; `None` if there are none.
    pub detail: Option<String>,
}

/// The variable parts of a reason.
#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default)]
struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    off_minutes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mismatch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    /// Whether only this record is silent in the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    alone: Option<bool>,
    #[serde(rename = "said", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Numbers {
    kind: String,
    wanted: u64,
    spent: u64,
    limit: u64,
    base: u64,
}

impl Reason {
    /// The stored form.
    #[must_use]
    pub fn stored(&self) -> StoredReason {
        let mut detail = Detail::default();
        match self {
            Self::Unusable(_) | Self::Username(_) | Self::NotTried(_) | Self::Account(_) | Self::Doubtful(_) => {}
            Self::Unnamed { fault: _, count } => detail.count = Some(*count),
            Self::Kept(cause) => detail.cause = Some(cause.code().to_owned()),
            Self::Held { cause, by } => {
                detail.cause = Some(cause.code().to_owned());
                match by {
                    HeldBy::Limit(numbers) => detail.limit = Some(Numbers::of(numbers)),
                    HeldBy::Clock(doubt) => detail.note_clock(*doubt),
                    HeldBy::Status(column) => detail.column = Some(column.key().to_owned()),
                    HeldBy::Blank(column) => {
                        (detail.column, detail.alone) = (Some(column.key().to_owned()), Some(true));
                    }
                    HeldBy::Everybody
                    | HeldBy::Configuration
                    | HeldBy::Restored
                    | HeldBy::Scope
                    | HeldBy::Identity
                    | HeldBy::Encoding
                    | HeldBy::ApprovedOtherwise => {}
                }
            }
            Self::Clock(doubt) => detail.note_clock(*doubt),
            Self::Mismatch { what, shown } => {
                detail.mismatch = Some(what.code().to_owned());
                detail.shown.clone_from(shown);
            }
            Self::Unfit { fault: _, value: UnfitValue { text, bytes_count } } => {
                detail.text = Some(text.to_string());
                detail.count = Some(*bytes_count);
            }
            Self::UnusableAnswer { text }
            | Self::Rejected { text }
            | Self::ServerError { text }
            | Self::NoConnection { text }
            | Self::NoAnswer { text }
            | Self::Earlier { code: _, text } => detail.text = Some(text.clone()),
        }
        let detail = (detail != Detail::default()).then(|| serde_json::json!(detail).to_string());
        StoredReason { code: self.code().to_owned(), detail }
    }

    /// Parses the stored form. A code that this release does not know keeps its stored words.
    #[must_use]
    pub fn from_stored(code: &str, detail: Option<&str>) -> Self {
        let detail: Detail = detail.and_then(|detail| serde_json::from_str(detail).ok()).unwrap_or_default();
        Self::known(code, &detail).unwrap_or_else(|| Self::Earlier {
            code: code.into(),
            text: detail.text.unwrap_or_else(|| code.replace('_', " ")),
        })
    }

    fn known(code: &str, detail: &Detail) -> Option<Self> {
        if let Some(cause) = &detail.cause {
            let cause = Cause::from_code(cause)?;
            let by = match code {
                "guard" => HeldBy::Limit(detail.limit.as_ref()?.over_limit()?),
                "everybody" => HeldBy::Everybody,
                "configuration" => HeldBy::Configuration,
                "restored" => HeldBy::Restored,
                "clock" => HeldBy::Clock(detail.clock()?),
                "status" => {
                    let column = Column::from_key(detail.column.as_ref()?)?;
                    if detail.alone == Some(true) { HeldBy::Blank(column) } else { HeldBy::Status(column) }
                }
                "scope" => HeldBy::Scope,
                "identity" => HeldBy::Identity,
                "encoding" => HeldBy::Encoding,
                "approved_otherwise" => HeldBy::ApprovedOtherwise,
                _ => return (code == cause.code()).then_some(Self::Kept(cause)),
            };
            return Some(Self::Held { cause, by });
        }
        if let Some(text) = &detail.text {
            let text = text.clone();
            return match code {
                "unusable_answer" => Some(Self::UnusableAnswer { text }),
                "rejected" => Some(Self::Rejected { text }),
                "server_error" => Some(Self::ServerError { text }),
                "no_connection" => Some(Self::NoConnection { text }),
                "no_answer" => Some(Self::NoAnswer { text }),
                _ => RecordFault::from_code(code).map(|fault| Self::Unfit {
                    fault,
                    value: UnfitValue { text: text.into(), bytes_count: detail.count.unwrap_or_default() },
                }),
            };
        }
        match (code, detail.count) {
            ("clock", _) => return detail.clock().map(Self::Clock),
            ("mismatch", _) => {
                let what = Mismatch::from_code(detail.mismatch.as_ref()?)?;
                return Some(Self::Mismatch { what, shown: detail.shown.clone() });
            }
            (_, Some(count)) => return RecordFault::from_code(code).map(|fault| Self::Unnamed { fault, count }),
            (_, None) => {}
        }
        None.or_else(|| RecordFault::from_code(code).map(Self::Unusable))
            .or_else(|| UsernameConflict::from_code(code).map(Self::Username))
            .or_else(|| NotTried::from_code(code).map(Self::NotTried))
            .or_else(|| AccountState::from_code(code).map(Self::Account))
            .or_else(|| AnswerDoubt::from_code(code).map(Self::Doubtful))
    }
}

impl Detail {
    fn note_clock(&mut self, doubt: ClockDoubt) {
        match doubt {
            ClockDoubt::BehindLog(seconds) => self.behind_s = Some(seconds),
            ClockDoubt::OffRhombus(minutes) => self.off_minutes = Some(minutes),
        }
    }

    fn clock(&self) -> Option<ClockDoubt> {
        self.behind_s.map(ClockDoubt::BehindLog).or_else(|| self.off_minutes.map(ClockDoubt::OffRhombus))
    }
}

impl Numbers {
    fn of(numbers: &OverLimit) -> Self {
        let OverLimit { kind, wanted, spent, limit, base } = *numbers;
        Self { kind: kind.as_str().to_owned(), wanted, spent, limit, base }
    }

    fn over_limit(&self) -> Option<OverLimit> {
        let Self { kind, wanted, spent, limit, base } = self;
        let kind = GuardKind::from_name(kind)?;
        Some(OverLimit { kind, wanted: *wanted, spent: *spent, limit: *limit, base: *base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn every_reason() -> Vec<Reason> {
        let text = || "400 Bad Request: \"no\"".to_owned();
        let numbers = OverLimit { kind: GuardKind::Absent, wanted: 4, spent: 0, limit: 3, base: 20 };
        let clocks = [ClockDoubt::BehindLog(61), ClockDoubt::OffRhombus(-61)];
        let by = [HeldBy::Limit(numbers), HeldBy::Everybody, HeldBy::Configuration, HeldBy::Restored];
        let status = [HeldBy::Status(Column::Suspended), HeldBy::Blank(Column::State)];
        let doubts = [HeldBy::Scope, HeldBy::Identity, HeldBy::Encoding, HeldBy::ApprovedOtherwise];
        let by = by.into_iter().chain(clocks.map(HeldBy::Clock)).chain(status).chain(doubts).collect::<Vec<_>>();
        let mut all = vec![
            Reason::Unfit {
                fault: RecordFault::UnknownState,
                value: UnfitValue { text: "FROZEN".into(), bytes_count: 6 },
            },
            Reason::Unfit {
                fault: RecordFault::Firstname,
                value: UnfitValue { text: "A b".into(), bytes_count: 1_100 },
            },
            Reason::UnusableAnswer { text: text() },
            Reason::Rejected { text: text() },
            Reason::ServerError { text: text() },
            Reason::NoConnection { text: text() },
            Reason::NoAnswer { text: text() },
            Reason::Earlier { code: "guard".into(), text: text() },
        ];
        all.extend(RecordFault::ALL.iter().map(|fault| Reason::Unusable(*fault)));
        all.extend(RecordFault::ALL.iter().map(|fault| Reason::Unnamed { fault: *fault, count: 3 }));
        all.extend(UsernameConflict::ALL.iter().map(|conflict| Reason::Username(*conflict)));
        all.extend(NotTried::ALL.iter().map(|why| Reason::NotTried(*why)));
        all.extend(AccountState::ALL.iter().map(|state| Reason::Account(*state)));
        all.extend(AnswerDoubt::ALL.iter().map(|doubt| Reason::Doubtful(*doubt)));
        for &what in Mismatch::ALL {
            let name = crate::model::UserName::of_account("b@x.example");
            let shown = [None, Some(Shown::of(None, None)), Some(Shown::of(Some(&name), None))];
            all.extend(shown.map(|shown| Reason::Mismatch { what, shown }));
        }
        all.extend(clocks.map(Reason::Clock));
        for &cause in Cause::ALL {
            // What only a hold knows is no reason to keep anybody.
            let kept = !matches!(cause, Cause::GroupUnnamed | Cause::Identity | Cause::LettersLost);
            all.extend(kept.then_some(Reason::Kept(cause)));
            all.extend(by.iter().map(|by| Reason::Held { cause, by: *by }));
        }
        all
    }

    #[test]
    fn every_reason_comes_back_from_the_state_as_it_went_in() {
        for reason in every_reason() {
            let StoredReason { code, detail } = reason.stored();
            assert_eq!(Reason::from_stored(&code, detail.as_deref()), reason, "{code} {detail:?}");
        }
    }

    #[test]
    fn a_code_is_snake_case_and_a_sentence_is_not_a_code() {
        for reason in every_reason() {
            let code = reason.code();
            assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
            assert!(reason.to_string().contains(' '), "{code}");
        }
    }

    #[test]
    fn no_two_plain_reasons_share_a_code() {
        let plain = |reason: &Reason| {
            matches!(
                reason,
                Reason::Unusable(_)
                    | Reason::Username(_)
                    | Reason::NotTried(_)
                    | Reason::Account(_)
                    | Reason::Doubtful(_)
            )
        };
        let codes: Vec<_> = every_reason().into_iter().filter(plain).map(|reason| reason.code().to_owned()).collect();
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len(), "{codes:?}");
    }

    #[test]
    fn what_a_later_version_stored_is_shown_in_its_words() {
        let later = Reason::from_stored("later", Some(r#"{"said":"the id of this user changed","other":1}"#));
        assert_eq!((later.code(), later.to_string()), ("later", "the id of this user changed".to_owned()));
        assert_eq!(Reason::from_stored("new_code", None).to_string(), "new code");
        assert_eq!(Reason::from_stored("new_code", Some("not JSON")).code(), "new_code");
    }
}
