//! Client and service over a real socket.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jackdaw_admin::{AccountAdmin, AdminError, BindError, Client, bind, serve};
use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Accounts in memory, with passwords in clear, as no real store has them.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<BareJid, String>>);

impl AccountAdmin for Memory {
    async fn add(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        let mut accounts = self.0.lock().unwrap();
        if account.domain() != "localhost" {
            return Err(AdminError::NotServed(account.domain().into()));
        }
        match accounts.insert(account.clone(), password.reveal().into()) {
            None => Ok(()),
            Some(_) => Err(AdminError::Exists),
        }
    }

    async fn set_password(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        let mut accounts = self.0.lock().unwrap();
        let entry = accounts.get_mut(account).ok_or(AdminError::Missing)?;
        *entry = password.reveal().into();
        Ok(())
    }

    async fn delete(&self, account: &BareJid) -> Result<(), AdminError> {
        self.0.lock().unwrap().remove(account).map(|_| ()).ok_or(AdminError::Missing)
    }

    async fn list(
        &self,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<BareJid>, AdminError> {
        let accounts = self.0.lock().unwrap();
        let behind = accounts.keys().filter(|account| after.is_none_or(|after| *account > after));
        Ok(behind.take(limit).cloned().collect())
    }
}

struct Running {
    memory: Arc<Memory>,
    client: Client,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

async fn start() -> Running {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("run/admin.sock");
    let memory = Arc::new(Memory::default());
    let listener = bind(&socket).await.unwrap();
    tokio::spawn(serve(listener, Arc::clone(&memory), std::future::pending()));
    let client = Client::connect(&socket).await.unwrap().expect("a server");
    Running { memory, client, socket, _directory: directory }
}

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.into())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn accounts_are_added_changed_listed_and_deleted() {
    let Running { memory, client, .. } = &start().await;
    let [juliet, romeo] = ["juliet@localhost", "romeo@localhost"].map(jid);
    client.add(&romeo, &secret("j\"\n\u{1f42a}")).await.unwrap();
    client.add(&juliet, &secret("r0m30")).await.unwrap();
    assert_eq!(memory.0.lock().unwrap()[&romeo], "j\"\n\u{1f42a}");
    client.set_password(&juliet, &secret("other")).await.unwrap();
    assert_eq!(memory.0.lock().unwrap()[&juliet], "other");
    assert_eq!(client.list(None, 1).await.unwrap(), std::slice::from_ref(&juliet));
    assert_eq!(client.list(Some(&juliet), 9).await.unwrap(), [romeo]);
    client.delete(&juliet).await.unwrap();
    assert_eq!(client.delete(&juliet).await, Err(AdminError::Missing));
}

#[tokio::test]
async fn errors_arrive_as_they_were_made() {
    let Running { client, .. } = &start().await;
    let juliet = jid("juliet@localhost");
    client.add(&juliet, &secret("r0m30")).await.unwrap();
    assert_eq!(client.add(&juliet, &secret("r0m30")).await, Err(AdminError::Exists));
    let elsewhere = client.add(&jid("juliet@example.org"), &secret("r0m30")).await;
    assert_eq!(elsewhere, Err(AdminError::NotServed("example.org".into())));
}

#[tokio::test]
async fn only_the_owner_can_reach_the_socket() {
    let Running { socket, .. } = &start().await;
    assert_eq!([mode(socket), mode(socket.parent().unwrap())], [0o600, 0o700]);
}

#[tokio::test]
async fn a_second_server_is_refused_and_a_dead_one_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("run/admin.sock");
    assert!(Client::connect(&socket).await.unwrap().is_none(), "no file");
    let first = bind(&socket).await.unwrap();
    assert!(matches!(bind(&socket).await, Err(BindError::Running(_))));
    drop(first);
    assert!(socket.exists() && Client::connect(&socket).await.unwrap().is_none(), "a dead file");
    bind(&socket).await.unwrap();
}

#[tokio::test]
async fn other_bodies_and_paths_are_refused() {
    let Running { socket, .. } = &start().await;
    let huge = format!("{{\"account\":\"{}\"}}", "a".repeat(100_000));
    let requests = [
        ("/v1/accounts/../../etc/passwd", "{}", "404"),
        ("/v1/accounts/del", "{\"account\":\"a@localhost\",\"more\":1}", "400"),
        ("/v1/accounts/del", "{\"account\":\"@\"}", "400"),
        ("/v1/accounts/del", "not json", "400"),
        ("/v1/accounts/del", &huge, "400"),
    ];
    for (path, body, expected) in requests {
        let mut stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(
            std::str::from_utf8(&answer[9..]).unwrap(),
            expected,
            "{path} {}",
            &body[..8.min(length)]
        );
    }
}
