//! The section of a second host.

use super::shape::Absent::{Is, Nothing, Required};
use super::shape::Shape::{Address, Duration, Path, Text, Texts};
use super::shape::{Section, key};

/// `[standby]`.
pub(super) const STANDBY: Section = Section {
    name: "standby",
    about: "A second host that can go on: Litestream carries the state, etcd says who leads. Without the section there is one host. Needs a restart.",
    keys: &[
        key(
            "litestream",
            Text,
            Required,
            "Litestream's control socket, `unix:///path`. No request and no event leaves before the commit that it rests on is at the replica.",
        ),
        key(
            "replica",
            Address,
            Required,
            "Where Litestream replicates the state to: `s3://bucket/folder`, `file:///folder`. Each reign has a folder of its own below it.",
        ),
        key(
            "lag_max",
            Duration,
            Is("\"10s\""),
            "If the replica does not answer for longer, the sync goes on alone and says so.",
        ),
        key(
            "etcd",
            Texts,
            Is("[]"),
            "The addresses of etcd's members, `https` or on loopback. Left out: a person says who leads (`lead`).",
        ),
        key(
            "name",
            Text,
            Nothing,
            "The name of the lease in etcd, another one for each organisation. Goes with `etcd`.",
        ),
        key(
            "ttl",
            Duration,
            Is("\"60s\""),
            "How long the lease lasts without being renewed. More than `[rhombus] timeout`.",
        ),
        key("ca_file", Path, Nothing, "`etcd`: a private CA in PEM, in addition to the system's."),
        key("cert_file", Path, Nothing, "`etcd`: our own certificate in PEM."),
        key("key_file", Path, Nothing, "`etcd`: its key. Others must not be able to read it."),
        key(
            "token_file",
            Path,
            Nothing,
            "`etcd`: the file that holds a token of one of its users. Others must not be able to read it. Read again once etcd refuses it.",
        ),
    ],
};
