//! Every dialogue about one change: what is shown before, what the verb does, what is answered, and what is shown after.

use rhombus_sync::model::UpdateMethod;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Op {
    Create,
    Adopt,
    Update,
    BringBack,
    Deactivate,
    Delete,
}

impl Op {
    pub(super) fn removes(self) -> bool {
        matches!(self, Self::Deactivate | Self::Delete)
    }
}

/// What a read or a look-up shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shows {
    Truth,
    /// The account as it was before the verb.
    Old,
    Gone,
    Error,
    Rejected,
    Cut,
    Torn,
    Garbage,
    Empty,
    Inactive,
    OtherName,
    OtherExternalId,
    NoExternalId,
    OtherId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    Done,
    Not,
    /// After the next read.
    Soon,
    /// After the cycle.
    Late,
    WithoutNames,
    MadeInactive,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Good,
    Status(u16),
    Throttled,
    OldBody,
    Markup,
    Another,
    Cut,
    Torn,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HowOften {
    Once,
    ThisVerb,
    EveryVerb,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Witness {
    Ok,
    NotFound,
    Error,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Dialogue {
    pub(super) op: Op,
    pub(super) method: UpdateMethod,
    pub(super) before: Shows,
    pub(super) effect: Effect,
    pub(super) answer: Answer,
    pub(super) after: Shows,
    pub(super) how_often: HowOften,
    pub(super) witness: Witness,
}

const OPS: [Op; 6] = [Op::Create, Op::Adopt, Op::Update, Op::BringBack, Op::Deactivate, Op::Delete];
const BEFORE: [Shows; 12] = [
    Shows::Gone,
    Shows::Error,
    Shows::Rejected,
    Shows::Cut,
    Shows::Torn,
    Shows::Garbage,
    Shows::Empty,
    Shows::Inactive,
    Shows::OtherName,
    Shows::OtherExternalId,
    Shows::NoExternalId,
    Shows::OtherId,
];
const AFTER: [Shows; 6] = [Shows::Truth, Shows::Old, Shows::Gone, Shows::Error, Shows::Cut, Shows::OtherId];
const ANSWERS: [Answer; 24] = [
    Answer::Good,
    Answer::Status(202),
    Answer::Status(204),
    Answer::OldBody,
    Answer::Markup,
    Answer::Another,
    Answer::Cut,
    Answer::Torn,
    Answer::Throttled,
    Answer::Status(400),
    Answer::Status(401),
    Answer::Status(403),
    Answer::Status(404),
    Answer::Status(405),
    Answer::Status(408),
    Answer::Status(409),
    Answer::Status(412),
    Answer::Status(421),
    Answer::Status(425),
    Answer::Status(429),
    Answer::Status(500),
    Answer::Status(501),
    Answer::Status(503),
    Answer::Status(302),
];
const EFFECTS: [Effect; 6] =
    [Effect::Done, Effect::Not, Effect::Soon, Effect::Late, Effect::WithoutNames, Effect::MadeInactive];

impl Dialogue {
    /// Whether it is about more than its user: then it is played alone.
    pub(super) fn is_loud(&self) -> bool {
        self.witness != Witness::Ok || matches!(self.answer, Answer::Status(401 | 302))
    }

    /// Whether its user may end without an answer; ten in a row would be an outage.
    pub(super) fn is_silent(&self) -> bool {
        let silent = |shows| matches!(shows, Shows::Error | Shows::Cut | Shows::Torn | Shows::Garbage | Shows::Empty);
        let no_answer = matches!(
            self.answer,
            Answer::Cut
                | Answer::Torn
                | Answer::Throttled
                | Answer::Markup
                | Answer::Another
                | Answer::Status(202 | 204 | 408 | 421 | 425 | 429 | 500 | 503)
        );
        silent(self.before) || silent(self.after) || no_answer || self.after == Shows::OtherId
    }

    fn makes_sense(&self) -> bool {
        match self.effect {
            Effect::WithoutNames => !self.op.removes() && self.op != Op::BringBack,
            Effect::MadeInactive => matches!(self.op, Op::Create | Op::Update),
            Effect::Done | Effect::Not | Effect::Soon | Effect::Late => true,
        }
    }
}

/// All of them: what is shown before with a few verbs, and every verb with what is shown after.
pub(super) fn all() -> Vec<Dialogue> {
    let mut all = Vec::new();
    for op in OPS {
        for method in [UpdateMethod::Patch, UpdateMethod::Put] {
            let plain = Dialogue {
                op,
                method,
                before: Shows::Truth,
                effect: Effect::Done,
                answer: Answer::Good,
                after: Shows::Truth,
                how_often: HowOften::ThisVerb,
                witness: Witness::Ok,
            };
            for effect in EFFECTS {
                for answer in ANSWERS {
                    for after in AFTER {
                        for how_often in [HowOften::Once, HowOften::ThisVerb, HowOften::EveryVerb] {
                            all.push(Dialogue { effect, answer, after, how_often, ..plain });
                        }
                    }
                }
            }
            for before in BEFORE {
                for effect in [Effect::Done, Effect::Not] {
                    for answer in [Answer::Good, Answer::Status(500), Answer::Status(404), Answer::Cut] {
                        for after in [Shows::Truth, Shows::Gone] {
                            all.push(Dialogue { before, effect, answer, after, ..plain });
                        }
                    }
                }
            }
            for witness in [Witness::NotFound, Witness::Error] {
                for before in [Shows::Truth, Shows::Gone] {
                    for answer in [Answer::Good, Answer::Status(404), Answer::Cut] {
                        for after in [Shows::Truth, Shows::Gone] {
                            all.push(Dialogue { witness, before, answer, after, ..plain });
                        }
                    }
                }
            }
        }
    }
    all.retain(Dialogue::makes_sense);
    all
}
