//! The discovery documents (RFC 7644, section 4): `/ServiceProviderConfig`, `/ResourceTypes`, `/Schemas`. Groups are
//! absent: Rhombus has none.

use super::answer::Address;
use super::schemas::{Attribute, CORE, ENTERPRISE, ENTERPRISE_PARTS, Kind, Mutability, USER};
use serde_json::{Value, json};

/// `/ServiceProviderConfig`. With a `cursor_size`, paging is by cursor only, with that many accounts per page.
pub(super) fn provider(address: &Address, page_count_max: usize, cursor_size: Option<usize>) -> Value {
    let feature = |supported| json!({"supported": supported});
    let size = cursor_size.unwrap_or(page_count_max);
    let method = if cursor_size.is_some() { "cursor" } else { "index" };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": feature(true), "filter": {"supported": true, "maxResults": size},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "changePassword": feature(false), "sort": feature(false), "etag": feature(false),
        "pagination": {"cursor": cursor_size.is_some(), "index": cursor_size.is_none(),
            "defaultPaginationMethod": method, "defaultPageSize": size, "maxPageSize": size},
        "authenticationSchemes": [{"type": "oauthbearertoken", "name": "Bearer token",
            "description": "the token that the sandbox wrote into its folder", "primary": true}],
        "meta": {"resourceType": "ServiceProviderConfig", "location": address.location("/ServiceProviderConfig")},
    })
}

/// `/ResourceTypes`: only users.
pub(super) fn resource_types(address: &Address) -> Vec<Value> {
    vec![json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "User", "name": "User", "endpoint": "/Users", "schema": USER,
        "schemaExtensions": [{"schema": ENTERPRISE, "required": false}],
        "meta": {"resourceType": "ResourceType", "location": address.location("/ResourceTypes/User")},
    })]
}

/// `/Schemas`.
pub(super) fn schemas(address: &Address) -> Vec<Value> {
    [(USER, "User", CORE), (ENTERPRISE, "EnterpriseUser", ENTERPRISE_PARTS)]
        .into_iter()
        .map(|(id, name, attributes)| {
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
                "id": id, "name": name, "attributes": attributes.iter().map(describe).collect::<Vec<_>>(),
                "meta": {"resourceType": "Schema", "location": address.location(&format!("/Schemas/{id}"))},
            })
        })
        .collect()
}

fn describe(attribute: &Attribute) -> Value {
    let (kind, reference) = match attribute.kind {
        Kind::Text => ("string", None),
        Kind::Boolean => ("boolean", None),
        Kind::DateTime => ("dateTime", None),
        Kind::Binary => ("binary", None),
        Kind::Reference(of) => ("reference", Some(of)),
        Kind::Complex => ("complex", None),
    };
    let (mutability, returned) = match attribute.mutability {
        Mutability::ReadWrite => ("readWrite", "default"),
        Mutability::ReadOnly => ("readOnly", "default"),
        Mutability::WriteOnly => ("writeOnly", "never"),
    };
    let mut described = json!({
        "name": attribute.name, "type": kind, "multiValued": attribute.is_list, "required": attribute.is_required,
        "caseExact": attribute.is_case_exact, "mutability": mutability, "returned": returned,
        "uniqueness": if attribute.is_unique { "server" } else { "none" },
    });
    if let Some(of) = reference {
        described["referenceTypes"] = json!([of]);
    }
    if !attribute.parts.is_empty() {
        described["subAttributes"] = attribute.parts.iter().map(describe).collect();
    }
    described
}
