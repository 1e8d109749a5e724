//! The integration tests, one binary: in process against a fake Rhombus (`support::in_process`), or the real binary over
//! real HTTP (`support::real_binary`).

mod answers;
mod binary;
mod blocked;
mod check;
mod crash_points;
mod daemon;
mod exports;
mod golden_plans;
mod guard;
mod half_truths;
mod hints;
mod hostile_endpoint;
mod identity;
mod import;
mod jumpcloud;
mod layouts;
mod memberships;
mod odd_inputs;
mod prefixes;
mod properties;
mod recipes;
mod refresh;
mod sandbox;
mod scope_hold;
mod silence;
mod state;
mod status;
mod support;
mod tidy;
mod truth;
mod upgrade;
mod url;
mod wire;
