//! The sandbox as other SCIM clients meet it, over HTTP: what it promises in its own documents, and each fault by name.

use rhombus_sync::sandbox::{Faults, Sandbox, Settings};
use serde_json::{Value, json};
use std::path::PathBuf;

const TOKEN: &str = "a-token-of-the-test";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A sandbox of its own, and a client of it.
struct Peer {
    folder: tempfile::TempDir,
    base_url: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// What came back.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("a JSON document")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The status and `scimType` of a refusal.
    #[track_caller]
    fn refused(&self) -> (u16, Option<String>) {
        let body = self.json();
        assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{body}");
        assert_eq!(body["status"], json!(self.status.to_string()), "{body}");
        (self.status, body["scimType"].as_str().map(str::to_owned))
    }
}

impl Peer {
    fn new() -> Self {
        Self::with("")
    }

    fn with(faults: &str) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"), faults, None)
    }

    fn in_folder(folder: tempfile::TempDir, faults: &str, users: Option<PathBuf>) -> Self {
        let sandbox = Sandbox::start(Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            token: TOKEN.to_owned(),
            accounts: folder.path().join("accounts.db"),
            users,
            faults: faults.parse::<Faults>().expect("faults"),
        })
        .expect("it starts");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { folder, base_url: sandbox.base_url(), client, runtime }
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        self.runtime.block_on(async {
            let answer = request.send().await.ok()?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Some(Answer { status, headers, bytes: answer.bytes().await.ok()?.to_vec() })
        })
    }

    /// One request; none where no whole answer comes.
    fn tried(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base_url)).bearer_auth(TOKEN);
        if !body.is_null() {
            request = request.header("content-type", "application/scim+json").body(body.to_string());
        }
        self.send(request)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.tried(method, path, body).expect("an answer")
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.call("GET", path, &Value::Null).ok()
    }

    #[track_caller]
    fn create(&self, name: &str) -> Value {
        self.call("POST", "/Users", &user(name)).ok()
    }

    /// A PATCH of one operation.
    fn patch(&self, id: &str, operation: &Value) -> Answer {
        self.call("PATCH", &format!("/Users/{id}"), &json!({"schemas": [PATCH], "Operations": [operation]}))
    }

    /// The userNames that a list shows, in its order.
    #[track_caller]
    fn names(&self, query: &str) -> Vec<String> {
        let list = self.get(&format!("/Users?{query}"));
        let shown = list["Resources"].as_array().expect("a list").iter();
        shown.map(|account| account["userName"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn user(name: &str) -> Value {
    json!({"schemas": [USER], "userName": format!("{name}@x.example"),
        "name": {"givenName": " Ann ", "familyName": "Ash"}})
}

fn id(account: &Value) -> String {
    account["id"].as_str().expect("an id").to_owned()
}

fn quoted(text: &str) -> String {
    text.replace('%', "%25").replace(' ', "%20").replace('"', "%22").replace('+', "%2B")
}

#[test]
fn the_discovery_documents_are_true() {
    let peer = Peer::new();
    let config = peer.get("/ServiceProviderConfig");
    assert_eq!((&config["patch"]["supported"], &config["bulk"]["supported"]), (&json!(true), &json!(false)));
    assert_eq!(config["meta"]["location"], json!(format!("{}/ServiceProviderConfig", peer.base_url)));
    assert_eq!(peer.get("/ResourceTypes/User")["schema"], json!(USER));
    for path in ["/Users", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        let refused = peer.call("PATCH", path, &json!({}));
        assert_eq!(refused.refused().0, 405, "{path}");
        assert!(refused.header("allow").is_some_and(|allow| allow.contains("GET")), "{path}");
    }
    for path in ["/Groups", "/Schemas/none", "/ResourceTypes/Group", "/Users/none", "/Bulk"] {
        assert_eq!(peer.call("GET", path, &Value::Null).refused().0, 404, "{path}");
    }
    assert_eq!(peer.call("GET", "/Schemas?filter=id%20pr", &Value::Null).refused().0, 403);

    // Whatever /Schemas says can be set is kept and shown, and nothing else is.
    let mut sent = json!({"schemas": [USER, ENTERPRISE], "userName": "all@x.example", "colour": "red",
        "urn:other:Badge": {"card": 7}});
    for schema in peer.get("/Schemas")["Resources"].as_array().expect("a list") {
        assert_eq!(&peer.get(&format!("/Schemas/{}", schema["id"].as_str().expect("an id"))), schema);
        let extends = schema["id"] == ENTERPRISE;
        for attribute in schema["attributes"].as_array().expect("attributes") {
            let name = attribute["name"].as_str().expect("a name");
            let value = example(attribute);
            match (extends, name) {
                (_, "userName") => {}
                (true, name) => sent[ENTERPRISE][name] = value,
                (false, name) => sent[name] = value,
            }
        }
    }
    let made = peer.call("POST", "/Users", &sent).ok();
    let shown = peer.get(&format!("/Users/{}", id(&made)));
    assert_eq!(made, shown);
    for (name, value) in sent.as_object().expect("an object") {
        let expected = match name.as_str() {
            "password" | "colour" => None,
            "schemas" => Some(json!([USER, ENTERPRISE, "urn:other:Badge"])),
            _ => Some(value.clone()),
        };
        assert_eq!(shown.get(name).cloned(), expected, "{name}");
    }
}

/// A value as a schema describes it.
fn example(attribute: &Value) -> Value {
    let one = match attribute["type"].as_str().expect("a type") {
        "boolean" => json!(true),
        "complex" => {
            let parts = attribute["subAttributes"].as_array().expect("parts").iter();
            let parts = parts.filter(|part| part["mutability"] != "readOnly");
            Value::Object(
                parts.map(|part| (part["name"].as_str().unwrap_or_default().to_owned(), example(part))).collect(),
            )
        }
        _ => json!("text"),
    };
    if attribute["multiValued"] == true { json!([one]) } else { one }
}

#[test]
fn a_create_says_where_the_account_is_and_when_it_was_made() {
    let peer = Peer::new();
    let answer = peer.call("POST", "/Users", &user("ann"));
    let location = answer.header("location").expect("a location").to_owned();
    assert_eq!(answer.status, 201);
    let made = answer.ok();
    let meta = &made["meta"];
    assert_eq!((&meta["location"], &meta["resourceType"]), (&json!(location), &json!("User")));
    assert_eq!(location, format!("{}/Users/{}", peer.base_url, id(&made)));
    assert_eq!(meta["created"], meta["lastModified"]);
    let same = peer.patch(&id(&made), &json!({"op": "replace", "path": "name.familyName", "value": "Ash"})).ok();
    assert_eq!(same, made, "nothing changed");
    let before = meta["created"].as_str().expect("a time");
    assert_eq!(before.len(), "2026-01-02T03:04:05.670Z".len(), "as many decimals each time: {before}");
    let filter = quoted(&format!("meta.created eq \"{before}\" and meta.lastModified ge \"{before}\""));
    assert_eq!(peer.names(&format!("filter={filter}")), ["ann@x.example"]);
    let changed = peer.patch(&id(&made), &json!({"op": "replace", "path": "name.familyName", "value": "Elm"})).ok();
    assert_eq!(changed["meta"]["created"], meta["created"]);
    assert!(changed["meta"]["lastModified"].as_str() >= Some(before), "{changed}");
}

#[test]
fn who_has_no_token_or_no_json_learns_why() {
    let peer = Peer::new();
    let address = format!("{}/Users", peer.base_url);
    for (token, challenge) in [(None, "Bearer realm"), (Some("wrong"), "invalid_token")] {
        let mut request = peer.client.get(&address);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let refused = peer.send(request).expect("an answer");
        assert_eq!(refused.refused().0, 401);
        assert!(refused.header("www-authenticate").is_some_and(|said| said.contains(challenge)), "{token:?}");
    }
    let lower = peer.client.get(&address).header("authorization", format!("bearer {TOKEN}"));
    assert_eq!(peer.send(lower).map(|answer| answer.status), Some(200));
    let plain = peer.client.post(&address).bearer_auth(TOKEN).header("content-type", "text/plain; charset=utf-8");
    assert_eq!(peer.send(plain.body(user("ann").to_string())).map(|answer| answer.refused().0), Some(415));
    for (body, scim_type) in [
        (json!([]), "invalidSyntax"),
        (json!({"userName": "a@x.example"}), "invalidSyntax"),
        (json!({"schemas": [USER]}), "invalidValue"),
        (json!({"schemas": [USER], "userName": "ann"}), "invalidValue"),
        (json!({"schemas": [USER], "userName": "a@x.example", "emails": "a@x.example"}), "invalidValue"),
        (json!({"schemas": [USER], "userName": "a@x.example", "active": false}), "invalidValue"),
    ] {
        assert_eq!(peer.call("POST", "/Users", &body).refused(), (400, Some(scim_type.to_owned())), "{body}");
    }
    assert_eq!(peer.get("/Users")["totalResults"], 0);
}

#[test]
fn names_are_unique_and_never_change_and_inactive_accounts_are_gone() {
    let peer = Peer::new();
    let refused = |answer: Answer| answer.refused();
    let ann = id(&peer.create("ann"));
    assert_eq!(refused(peer.call("POST", "/Users", &user("ANN"))), (409, Some("uniqueness".to_owned())));
    let mutability = (400, Some("mutability".to_owned()));
    let rename = json!({"op": "replace", "path": "userName", "value": "eve@x.example"});
    assert_eq!(refused(peer.patch(&ann, &rename)), mutability);
    assert_eq!(refused(peer.call("PUT", &format!("/Users/{ann}"), &user("eve"))), mutability);
    let put = peer.call(
        "PUT",
        &format!("/Users/{ann}"),
        &json!({"schemas": [USER], "UserName": "Ann@x.example", "TITLE": "Dr"}),
    );
    let put = put.ok();
    assert_eq!((&put["userName"], &put["title"], &put["name"]), (&json!("ann@x.example"), &json!("Dr"), &Value::Null));
    assert_eq!(put["active"], true);

    // One operation of two cannot be done: neither is.
    let two = json!({"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "title", "value": "Prof"},
        {"op": "Replace", "path": "colour", "value": "red"}]});
    let path = format!("/Users/{ann}");
    assert_eq!(refused(peer.call("PATCH", &path, &two)), (400, Some("invalidPath".to_owned())));
    assert_eq!(peer.get(&path)["title"], "Dr");

    for (number, operation) in [
        json!({"op": "Replace", "path": "active", "value": "False"}),
        json!({"op": "replace", "value": {"active": false}}),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("leaver{number}");
        let leaver = id(&peer.create(&name));
        assert_eq!(peer.patch(&leaver, &operation).ok()["active"], false);
        for method in ["GET", "DELETE"] {
            assert_eq!(refused(peer.call(method, &format!("/Users/{leaver}"), &Value::Null)), (404, None));
        }
        peer.create(&name);
    }
}

#[test]
fn pages_and_filters_are_as_the_rfc_says() {
    let peer = Peer::new();
    for number in 0..5 {
        let mut user = user(&format!("u{number}"));
        user["externalId"] = json!(format!("x{number}"));
        peer.call("POST", "/Users", &user).ok();
    }
    let list = |query: &str| {
        let list = peer.get(&format!("/Users?{query}"));
        let count = list["Resources"].as_array().map_or(0, Vec::len);
        assert_eq!(list["itemsPerPage"], count);
        (list["totalResults"].as_u64(), list["startIndex"].as_u64(), count)
    };
    assert_eq!(list(""), (Some(5), Some(1), 5));
    assert_eq!(list("startIndex=0&count=2"), (Some(5), Some(1), 2));
    assert_eq!(list("startIndex=-7&count=2"), (Some(5), Some(1), 2));
    assert_eq!(list("STARTINDEX=5&count=2"), (Some(5), Some(5), 1));
    assert_eq!(list("startIndex=6"), (Some(5), Some(6), 0));
    assert_eq!(list("count=0"), (Some(5), Some(1), 0));
    assert_eq!(list("count=-1"), (Some(5), Some(1), 0));
    assert_eq!(peer.call("GET", "/Users?count=many", &Value::Null).refused(), (400, Some("invalidValue".to_owned())));

    let filtered = |filter: &str| peer.names(&format!("filter={}", quoted(filter)));
    assert_eq!(filtered("userName eq \"U3@x.example\""), ["u3@x.example"]);
    assert_eq!(filtered("externalId eq \"x4\" or userName sw \"u1\""), ["u1@x.example", "u4@x.example"]);
    assert!(filtered("userName eq \"nobody@x.example\"").is_empty());
    let wrong = peer.call("GET", "/Users?filter=colour%20eq%20%22red%22", &Value::Null);
    assert_eq!(wrong.refused(), (400, Some("invalidFilter".to_owned())));

    let search = json!({"filter": "externalId pr", "startIndex": 2, "count": 2, "attributes": ["userName"]});
    for path in ["/.search", "/Users/.search"] {
        let found = peer.call("POST", path, &search).ok();
        assert_eq!(
            (&found["totalResults"], &found["startIndex"], &found["itemsPerPage"]),
            (&json!(5), &json!(2), &json!(2))
        );
        let keys: Vec<_> = found["Resources"][0].as_object().expect("a user").keys().cloned().collect();
        assert_eq!(keys, ["id", "schemas", "userName"]);
    }
    let one = peer.get("/Users?excludedAttributes=name,meta.created&count=1");
    let one = &one["Resources"][0];
    assert!(one["name"].is_null() && one["meta"]["created"].is_null() && one["meta"]["location"].is_string(), "{one}");
    let named = peer.call("POST", "/Users?attributes=name.familyName", &user("last")).ok();
    assert_eq!((&named["name"], &named["userName"]), (&json!({"familyName": "Ash"}), &Value::Null));
}

#[test]
fn a_password_is_neither_stored_nor_shown() {
    const SECRET: &str = "correct horse battery";
    // A file of an earlier version may hold one.
    let folder = tempfile::tempdir().expect("a folder");
    let old = rusqlite::Connection::open(folder.path().join("accounts.db")).expect("a file");
    old.execute_batch(&format!(
        "CREATE TABLE accounts (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, folded TEXT NOT NULL UNIQUE,
         document TEXT NOT NULL, born_at REAL NOT NULL DEFAULT 0);
         INSERT INTO accounts (id, folded, document) VALUES ('old', 'old@x.example',
         '{{\"id\":\"old\",\"userName\":\"old@x.example\",\"active\":true,\"Password\":\"{SECRET}\"}}')"
    ))
    .expect("written");
    drop(old);
    let users = folder.path().join("users.json");
    std::fs::write(&users, "[]").expect("written");
    let peer = Peer::in_folder(folder, "", Some(users));
    let mut with = user("ann");
    with["password"] = json!(SECRET);
    let ann = peer.call("POST", "/Users", &with).ok();
    let path = format!("/Users/{}", id(&ann));
    let answers = [
        ann.clone(),
        peer.call("PUT", &path, &with).ok(),
        peer.patch(&id(&ann), &json!({"op": "add", "path": "PassWord", "value": SECRET})).ok(),
        peer.patch(&id(&ann), &json!({"op": "replace", "value": {"password": SECRET, "title": "Dr"}})).ok(),
        peer.get(&path),
        peer.get("/Users?attributes=password,title"),
        peer.get("/Users/old"),
    ];
    for answer in answers {
        let text = answer.to_string().to_lowercase();
        assert!(!text.contains("password") && !text.contains(SECRET), "{answer}");
    }
    for file in std::fs::read_dir(peer.folder.path()).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "it is on the disk");
    }
}

#[test]
fn each_status_is_played_for_its_verb_alone() {
    let peer = Peer::with("delete_404:1,put_501:1,retry_after:299.997,list_429:1");
    let ann = id(&peer.create("ann"));
    let path = format!("/Users/{ann}");
    assert_eq!(peer.call("DELETE", &path, &Value::Null).refused().0, 404);
    assert_eq!(peer.call("PUT", &path, &user("ann")).refused().0, 501);
    let listed = peer.call("GET", "/Users", &Value::Null);
    assert_eq!((listed.status, listed.header("retry-after")), (429, Some("299.997")));
    assert_eq!(peer.get(&path)["userName"], "ann@x.example");

    let peer = Peer::with("after_408:1");
    assert_eq!(peer.call("POST", "/Users", &user("ann")).refused().0, 408);
    let shown = rhombus_sync::sandbox::Accounts::open(&peer.folder.path().join("accounts.db")).expect("its accounts");
    assert_eq!(shown.count(std::time::Duration::ZERO), Ok(1), "it was done");
    for (faults, status) in [("e421:1", 421), ("e425:1", 425), ("e408:1", 408)] {
        let peer = Peer::with(faults);
        assert_eq!(peer.call("GET", "/Users", &Value::Null).refused().0, status);
    }
    let page = Peer::with("html:1").call("GET", "/Users", &Value::Null);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    for broken in ["drop_before:1", "drop_after:1", "torn:1"] {
        assert!(Peer::with(broken).tried("GET", "/Users", &Value::Null).is_none(), "{broken}");
    }
}

#[test]
fn accounts_that_do_not_go_or_do_not_show() {
    let inactive = json!({"op": "replace", "path": "active", "value": false});
    let peer = Peer::with("blocked:2");
    let ids: Vec<_> = ["a", "b", "c"].map(|name| id(&peer.create(name))).into();
    let statuses: Vec<_> =
        ids.iter().map(|id| peer.call("DELETE", &format!("/Users/{id}"), &Value::Null).status).collect();
    assert_eq!(statuses, [500, 500, 204]);
    assert_eq!(peer.names(""), ["a@x.example", "b@x.example"]);

    let peer = Peer::with("delete_inactive:1");
    let ann = id(&peer.create("ann"));
    let path = format!("/Users/{ann}");
    assert_eq!(peer.call("DELETE", &path, &Value::Null).status, 204);
    assert_eq!(peer.get(&path)["active"], false);
    assert_eq!(peer.call("POST", "/Users", &user("ann")).status, 409);

    for (faults, shown) in [("keeps_inactive:1", 2), ("hidden_inactive:1", 1)] {
        let peer = Peer::with(faults);
        let ann = id(&peer.create("ann"));
        peer.create("bob");
        peer.patch(&ann, &inactive).ok();
        assert_eq!(peer.get("/Users")["totalResults"], shown, "{faults}");
        assert_eq!(peer.names("filter=userName%20eq%20%22ann@x.example%22").len(), shown - 1, "{faults}");
        assert_eq!(peer.get(&format!("/Users/{ann}"))["active"], false);
        assert_eq!(peer.call("POST", "/Users", &user("ann")).status, 409);
    }

    let peer = Peer::with("hidden:1");
    let ann = id(&peer.create("ann"));
    peer.create("bob");
    assert_eq!(peer.names(""), ["bob@x.example"]);
    assert!(peer.names("filter=userName%20eq%20%22ann@x.example%22").is_empty());
    assert_eq!(peer.call("POST", "/Users", &user("ann")).status, 409);
    assert_eq!(peer.get(&format!("/Users/{ann}"))["userName"], "ann@x.example");
}

#[test]
fn changes_that_are_accepted_and_not_kept() {
    let peer = Peer::with("accepted_not_kept:1");
    let ann = id(&peer.create("ann"));
    let rename = json!({"op": "replace", "path": "name.familyName", "value": "Elm"});
    assert_eq!(peer.patch(&ann, &rename).ok()["name"]["familyName"], "Ash");
    let peer = Peer::with("create_without_names:1");
    assert!(peer.create("ann")["name"].is_null());
    let peer = Peer::with("names_trimmed:1");
    let ann = peer.create("ann");
    assert_eq!(ann["name"]["givenName"], "Ann");
    let blanks = json!({"op": "replace", "path": "name.familyName", "value": "Elm "});
    assert_eq!(peer.patch(&id(&ann), &blanks).ok()["name"]["familyName"], "Elm");
    let peer = Peer::with("empty_email:1");
    let mut ann = peer.create("ann");
    assert_eq!(ann["emails"], json!([{"value": "", "primary": true}]));
    let path = format!("/Users/{}", id(&ann));
    for emails in [json!([{"primary": true}]), json!([{"value": ""}])] {
        ann["emails"] = emails;
        assert_eq!(peer.call("PUT", &path, &ann).refused().0, 400);
    }
    ann["emails"] = json!([]);
    peer.call("PUT", &path, &ann).ok();
}

#[test]
fn lists_that_are_odd() {
    let with = |faults: &str| {
        let peer = Peer::with(faults);
        for name in ["a", "b", "c", "d", "e"] {
            peer.create(name);
        }
        peer
    };
    let peer = with("count_refused:2");
    assert_eq!(peer.call("GET", "/Users?count=3", &Value::Null).refused().0, 422);
    assert_eq!((peer.names("count=2").len(), peer.names("").len()), (2, 5));

    let peer = with("cursor_only:2");
    assert_eq!(peer.get("/ServiceProviderConfig")["pagination"]["index"], false);
    assert_eq!(peer.call("GET", "/Users?startIndex=1", &Value::Null).refused().0, 501);
    let wrong = peer.call("GET", "/Users?cursor=elsewhere", &Value::Null);
    assert_eq!(wrong.refused(), (400, Some("invalidCursor".to_owned())));
    let (mut found, mut cursor) = (Vec::new(), Some(String::new()));
    while let Some(next) = cursor {
        let page = peer.get(&format!("/Users?cursor={next}&count=100"));
        assert!(page["startIndex"].is_null() && page["totalResults"] == 5, "{page}");
        found.extend(page["Resources"].as_array().expect("a list").iter().map(|account| account["userName"].clone()));
        cursor = page["nextCursor"].as_str().map(str::to_owned);
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"].map(|name| json!(format!("{name}@x.example"))));

    let peer = with("shown_twice:1");
    let twice = peer.get("/Users?filter=userName%20eq%20%22a@x.example%22");
    assert_eq!((&twice["totalResults"], &twice["Resources"][0]), (&json!(2), &twice["Resources"][1]));
    assert_eq!(peer.names("").len(), 5);
}

#[test]
fn bodies_that_are_odd() {
    let peer = Peer::with("big_member:1300000");
    let ann = peer.create("ann");
    assert!(ann["photos"][0]["value"].as_str().is_some_and(|photo| photo.len() > 1_300_000));
    let peer = Peer::with("lower_case_members:1");
    peer.create("ann");
    let list = peer.get("/Users");
    assert_eq!((&list["totalresults"], &list["resources"][0]["username"]), (&json!(1), &json!("ann@x.example")));
    let peer = Peer::with("bom:1");
    let marked = peer.call("GET", "/Users", &Value::Null);
    assert!(marked.bytes.starts_with("\u{feff}{".as_bytes()));
    assert_eq!(peer.call("GET", "/Users/none", &Value::Null).bytes.get(..3), Some("\u{feff}".as_bytes()));
    for seconds in [7_200, -7_200] {
        let peer = Peer::with(&format!("date_skew_s:{seconds}"));
        let answer = peer.call("DELETE", "/Users/none", &Value::Null);
        let date = httpdate::parse_http_date(answer.header("date").expect("a date")).expect("a date");
        let skew = match date.duration_since(std::time::SystemTime::now()) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        };
        assert!((skew - f64::from(seconds)).abs() < 60.0, "{skew}");
    }
}

#[test]
fn every_fault_is_in_the_help_and_in_the_document() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sandbox.md");
    let text = std::fs::read_to_string(path).expect("it is there");
    let (mut rows, help) = (0, Faults::help());
    for (name, value, plays) in Faults::table() {
        let row = format!("| `{name}` | {value} | {plays} |\n");
        assert!(text.contains(&row), "docs/sandbox.md lacks {row}");
        assert!(help.contains(&format!("{name}:{value}  {plays}")), "{help}");
        rows += 1;
    }
    assert_eq!(text.matches("\n| `").count(), rows, "docs/sandbox.md has a fault that does not exist");
}
