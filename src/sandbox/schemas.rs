//! The attributes of a user (RFC 7643, sections 3.1, 4.1 and 4.3).

use serde_json::{Map, Value};

/// The schema of users.
pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The only extension.
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The type of an attribute's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Boolean,
    DateTime,
    Binary,
    /// A URL; the text is its `referenceTypes`.
    Reference(&'static str),
    Complex,
}

/// Who can set an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mutability {
    ReadWrite,
    ReadOnly,
    /// Accepted and never stored, because it could only ever be shown by mistake.
    WriteOnly,
}

/// An attribute, or a part of one.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_list: bool,
    pub(super) parts: &'static [Attribute],
    pub(super) mutability: Mutability,
    pub(super) is_required: bool,
    pub(super) is_case_exact: bool,
    pub(super) is_unique: bool,
}

impl Attribute {
    const fn new(name: &'static str, kind: Kind) -> Self {
        let (mutability, parts) = (Mutability::ReadWrite, &[]);
        Self {
            name,
            kind,
            is_list: false,
            parts,
            mutability,
            is_required: false,
            is_case_exact: false,
            is_unique: false,
        }
    }

    const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    const fn complex(name: &'static str, parts: &'static [Attribute]) -> Self {
        Self { parts, ..Self::new(name, Kind::Complex) }
    }

    const fn list(name: &'static str, parts: &'static [Attribute]) -> Self {
        Self { is_list: true, ..Self::complex(name, parts) }
    }

    const fn mutability(self, mutability: Mutability) -> Self {
        Self { mutability, ..self }
    }

    const fn case_exact(self) -> Self {
        Self { is_case_exact: true, ..self }
    }

    /// The part with a name, in any letter case.
    pub(super) fn part(&self, name: &str) -> Option<&'static Attribute> {
        self.parts.iter().find(|part| part.name.eq_ignore_ascii_case(name))
    }
}

const LABELS: [Attribute; 3] =
    [Attribute::text("display"), Attribute::text("type"), Attribute::new("primary", Kind::Boolean)];

/// The parts of most lists: a value of some kind, and labels.
const fn labelled(value: Kind) -> [Attribute; 4] {
    let [display, kind, primary] = LABELS;
    [Attribute::new("value", value), display, kind, primary]
}

const LABELLED: &[Attribute] = &labelled(Kind::Text);

/// What every resource has; in no schema, because RFC 7643, section 3.1, defines it for all.
const COMMON: &[Attribute] = &[
    Attribute { is_list: true, ..Attribute::text("schemas") }.mutability(Mutability::ReadOnly).case_exact(),
    Attribute::text("id").mutability(Mutability::ReadOnly).case_exact(),
    Attribute::text("externalId").case_exact(),
    Attribute::complex(
        "meta",
        &[
            Attribute::text("resourceType").case_exact(),
            Attribute::new("created", Kind::DateTime),
            Attribute::new("lastModified", Kind::DateTime),
            Attribute::new("location", Kind::Reference("uri")),
        ],
    )
    .mutability(Mutability::ReadOnly),
];

/// The attributes of the user schema.
pub(super) const CORE: &[Attribute] = &[
    Attribute { is_required: true, is_unique: true, ..Attribute::text("userName") },
    Attribute::complex(
        "name",
        &[
            Attribute::text("formatted"),
            Attribute::text("familyName"),
            Attribute::text("givenName"),
            Attribute::text("middleName"),
            Attribute::text("honorificPrefix"),
            Attribute::text("honorificSuffix"),
        ],
    ),
    Attribute::text("displayName"),
    Attribute::text("nickName"),
    Attribute::new("profileUrl", Kind::Reference("external")),
    Attribute::text("title"),
    Attribute::text("userType"),
    Attribute::text("preferredLanguage"),
    Attribute::text("locale"),
    Attribute::text("timezone"),
    Attribute::new("active", Kind::Boolean),
    Attribute::text("password").mutability(Mutability::WriteOnly),
    Attribute::list("emails", LABELLED),
    Attribute::list("phoneNumbers", LABELLED),
    Attribute::list("ims", LABELLED),
    Attribute::list("photos", &labelled(Kind::Reference("external"))),
    Attribute::list(
        "addresses",
        &[
            Attribute::text("formatted"),
            Attribute::text("streetAddress"),
            Attribute::text("locality"),
            Attribute::text("region"),
            Attribute::text("postalCode"),
            Attribute::text("country"),
            Attribute::text("type"),
            Attribute::new("primary", Kind::Boolean),
        ],
    ),
    Attribute::list("entitlements", LABELLED),
    Attribute::list("roles", LABELLED),
    Attribute::list("x509Certificates", &labelled(Kind::Binary)),
];

/// The attributes of the extension.
pub(super) const ENTERPRISE_PARTS: &[Attribute] = &[
    Attribute::text("employeeNumber"),
    Attribute::text("costCenter"),
    Attribute::text("organization"),
    Attribute::text("division"),
    Attribute::text("department"),
    Attribute::complex(
        "manager",
        &[
            Attribute::text("value"),
            Attribute::new("$ref", Kind::Reference("User")),
            Attribute::text("displayName").mutability(Mutability::ReadOnly),
        ],
    ),
];

/// The extension as if it were an attribute that is named by its URN: that is how a user carries it.
static EXTENSION: Attribute = Attribute::complex(ENTERPRISE, ENTERPRISE_PARTS);

/// The attribute with a name, in any letter case; the extension by its URN.
pub(super) fn attribute(name: &str) -> Option<&'static Attribute> {
    [COMMON, CORE].into_iter().flatten().chain([&EXTENSION]).find(|known| known.name.eq_ignore_ascii_case(name))
}

/// The member with a name, in any letter case.
pub(super) fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}
