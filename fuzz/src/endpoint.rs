//! Rhombus: what it answers to each call, and the simulator that stands in for it.

use super::responder::Responder;
use super::{choice, folder, wait};
use rhombus_sync::http::{BodyMode, Client, ClientSettings, Dialect, Method, Request, Transport};
use rhombus_sync::model::{DesiredUser, DirectoryId, Duration, Names, ScimId, UpdateMethod, UserName};
use rhombus_sync::outcome::{Answer, CallError};
use rhombus_sync::sandbox::{Faults, Sandbox, Settings};
use rhombus_sync::scim::{Account, Listing, Next, RateLimit, ScimTarget, Update};
use rhombus_sync::secret::Token;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

/// Pages of one list.
const PAGES_MAX: usize = 5;

/// Every call is answered with this.
struct Fixed {
    status: u16,
    body: Vec<u8>,
    piece: usize,
}

impl Transport for Fixed {
    async fn call(&self, _: &Request, mode: BodyMode<'_>) -> Result<Answer, CallError> {
        let mut body = Ok(self.body.clone());
        if let (BodyMode::Stream(stream), 200..=299) = (mode, self.status) {
            body = self.body.chunks(self.piece).try_for_each(stream).map(|()| Vec::new());
        }
        Ok(Answer { status: self.status, body, retry_after: None, date: None })
    }
}

/// An answer to each call of SCIM: a list, a filter, a read, each change.
pub fn scim(data: &[u8]) {
    let Some((first, body)) = choice(data) else { return };
    let status = [200, 200, 200, 201, 204, 400, 404, 409, 429, 500][usize::from(first) % 10];
    let piece = [1, 7, 4_096, 65_536][usize::from(first / 10) % 4];
    let transport = Fixed { status, body: body.to_vec(), piece };
    let method = if first & 128 == 0 { UpdateMethod::Patch } else { UpdateMethod::Put };
    wait(async {
        let target = ScimTarget::new(transport, RateLimit::new(1, None), method);
        let listing = Listing::default();
        for _ in 0..PAGES_MAX {
            let mut shown_count = 0;
            let page = target.list_page(&listing, &mut |_| shown_count += 1, target.permit().await).await;
            let Some(page) = page.value else { break };
            assert!(shown_count <= page.count, "{shown_count} of {} accounts", page.count);
            if listing.go_on(&page) == Next::End {
                break;
            }
        }
        target.filter("a@x.example", target.permit().await).await;
        let (id, names) = (ScimId::new("a"), Names { given: Some("Ann".into()), family: Some("".into()) });
        target.read(&id, target.permit().await).await;
        let user_name = UserName::of_account("a@x.example");
        let user = DesiredUser { id: DirectoryId::new("a"), user_name: user_name.clone(), names: names.clone() };
        let made = target.create(&user, &target.permit().await).await;
        assert!(made.value.is_none_or(|account: Account| account.id.is_some()), "a create without an id is not one");
        let update =
            Update { id: &id, user_name: &user_name, wanted: &names, carried: &Names::default(), reactivate: true };
        target.update(&update, &target.permit().await).await;
        target.deactivate(&id, &|_| true, &target.permit().await).await;
        target.delete(&id, &target.permit().await).await;
    });
}

/// The bytes of an answer on the wire, or, by the first byte, of one header: `Retry-After` or `Date`.
pub fn answer(data: &[u8]) {
    thread_local! {
        static ENDPOINT: (Responder, Client) = endpoint();
    }
    let Some((first, bytes)) = choice(data) else { return };
    let header = |name: &str| {
        let line: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
        [format!("HTTP/1.1 429 No\r\nContent-Length: 0\r\n{name}: ").as_bytes(), &line, b"\r\n\r\n"].concat()
    };
    let answer = match first % 4 {
        0 => bytes.to_vec(),
        1 => [b"HTTP/1.1 200 OK\r\n".as_slice(), bytes].concat(),
        2 => header("Date"),
        _ => header("Retry-After"),
    };
    let request = Request { method: Method::Get, target: "/Users/a".to_owned(), body: None };
    ENDPOINT.with(|(responder, client)| {
        responder.says(vec![answer]);
        let _ = wait(client.call(&request, BodyMode::Whole));
    });
}

fn endpoint() -> (Responder, Client) {
    let responder = Responder::start();
    let client = Client::new(ClientSettings {
        base_url: format!("http://{}", responder.address),
        token: Token::from_text("CANARY-0123456789abcdef"),
        dialect: Dialect::scim(),
        ca_file: None,
        proxy: None,
        timeout: Duration::from_seconds(1),
    });
    (responder, client)
}

/// Asks the simulator, over one connection, and answers status and body.
fn ask(stream: &mut Option<TcpStream>, address: &str, method: &str, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut open = || TcpStream::connect(address).expect("the simulator listens");
    let connection = stream.get_or_insert_with(&mut open);
    let head = format!(
        "{method} /scim/v2{target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer CANARY\r\n\
         Content-Type: application/scim+json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = Vec::new();
    let asked = connection.write_all(&[head.as_bytes(), body].concat());
    let read = asked.and_then(|()| connection.read_to_end(&mut answer));
    *stream = None;
    read.expect("the simulator answers");
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).as_bytes().to_vec();
    (status.unwrap_or_else(|| panic!("the simulator answers {text}")), body)
}

/// A PATCH, a user to create or a filter for the simulator: it answers each, and an account keeps its username as text.
pub fn sandbox(data: &[u8]) {
    static SANDBOX: OnceLock<String> = OnceLock::new();
    let address = SANDBOX.get_or_init(|| {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            token: "CANARY".to_owned(),
            accounts: folder().join("accounts.db"),
            users: None,
            faults: Faults::default(),
        };
        let base_url = Sandbox::start(settings).expect("the simulator starts").base_url();
        base_url.trim_start_matches("http://").trim_end_matches("/scim/v2").to_owned()
    });
    let Some((first, rest)) = choice(data) else { return };
    let call = |method: &str, target: &str, body: &[u8]| {
        let (status, answer) = ask(&mut None, address, method, target, body);
        assert!(status < 500, "{method} {target} is answered with {status}: {}", String::from_utf8_lossy(&answer));
        (status, serde_json::from_slice::<serde_json::Value>(&answer).unwrap_or_default())
    };
    if first % 4 == 1 {
        let filter: String = rest.iter().map(|byte| format!("%{byte:02x}")).collect();
        call("GET", &format!("/Users?filter={filter}"), b"");
        return;
    }
    let body: &[u8] = if first % 4 == 2 {
        rest
    } else {
        br#"{"userName":"a@x.example","name":{"givenName":"Ann"},"emails":[{"value":"a@x.example","type":"work"}]}"#
    };
    let (status, made) = call("POST", "/Users", body);
    let Some(id) = made["id"].as_str().filter(|_| status == 201).map(str::to_owned) else { return };
    call("PATCH", &format!("/Users/{id}"), rest);
    let (status, account) = call("GET", &format!("/Users/{id}"), b"");
    assert!(status == 404 || account["userName"].is_string(), "an account without a username: {account}");
    call("DELETE", &format!("/Users/{id}"), b"");
}
