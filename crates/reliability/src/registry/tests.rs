//! Laws of the registry that need a hand on its connection: the full disk, the file that
//! cannot be written, foreign rows. The others are in `tests/registry.rs`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first error")]

use std::error::Error as _;

use tempfile::TempDir;

use super::*;
use stanchion_connect::Account;

fn server(account: &str) -> Server {
    Server::new(Account::with_password(account.parse().unwrap(), "hunter2"))
}

fn text(bytes: usize) -> stanchion_stanza::Text {
    stanchion_stanza::Text::new("x".repeat(bytes)).unwrap()
}

async fn open() -> (TempDir, SqliteRegistry) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("servers.sqlite");
    let registry = SqliteRegistry::open(path).await.unwrap();
    (folder, registry)
}

async fn sql(registry: &SqliteRegistry, statements: &'static str) {
    registry
        .run(move |connection| Ok(connection.execute_batch(statements)?))
        .await
        .unwrap();
}

#[track_caller]
fn fault(error: &RegistryError) -> &RegistryFault {
    error.source().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn a_full_disk_is_told_and_changes_nothing() {
    let (_folder, registry) = open().await;
    registry.put(server("a@a.example")).await.unwrap();
    registry
        .run(|connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |r| r.get(0))?;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        })
        .await
        .unwrap();
    let mut large = server("b@b.example");
    large.account.resource = Some(text(60_000));
    let error = registry.put(large).await.unwrap_err();
    assert!(
        matches!(fault(&error), RegistryFault::Full { .. }),
        "{error:?}"
    );
    assert_eq!(registry.servers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_can_still_be_read() {
    let (_folder, registry) = open().await;
    registry.put(server("a@a.example")).await.unwrap();
    sql(&registry, "PRAGMA query_only = 1").await;
    let error = registry.put(server("b@b.example")).await.unwrap_err();
    assert!(
        matches!(fault(&error), RegistryFault::ReadOnly { .. }),
        "{error:?}"
    );
    assert!(fault(&error).to_string().contains("permissions"));
    assert_eq!(registry.servers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_foreign_row_is_named_and_the_other_servers_go_on_working() {
    for (damage, what) in [
        (
            "UPDATE servers SET credentials = 9 WHERE account = 'b@b.example'",
            "credentials",
        ),
        (
            "UPDATE servers SET password = NULL WHERE account = 'b@b.example'",
            "password",
        ),
        (
            "UPDATE servers SET password = CAST(x'ff' AS TEXT) WHERE account = 'b@b.example'",
            "password",
        ),
        (
            "UPDATE servers SET priority = -1 WHERE account = 'b@b.example'",
            "priority",
        ),
        (
            "UPDATE servers SET plaintext = 2 WHERE account = 'b@b.example'",
            "plaintext",
        ),
        (
            "UPDATE servers SET min_mechanism = 'ROT13' WHERE account = 'b@b.example'",
            "min_mechanism",
        ),
        (
            "UPDATE servers SET pin = x'00' WHERE account = 'b@b.example'",
            "pin",
        ),
        (
            "UPDATE servers SET client_key = x'00' WHERE account = 'b@b.example'",
            "client certificate",
        ),
        (
            "UPDATE server_roots SET kind = 7 WHERE account = 'b@b.example'",
            "roots",
        ),
        (
            "UPDATE servers SET explicit = 1 WHERE account = 'b@b.example';
             INSERT INTO server_endpoints VALUES ('b@b.example', 0, 'gopher://b')",
            "endpoints",
        ),
    ] {
        let (_folder, registry) = open().await;
        registry.put(server("a@a.example")).await.unwrap();
        registry.put(server("b@b.example")).await.unwrap();
        sql(&registry, damage).await;
        let servers = registry.servers().await.unwrap();
        assert_eq!(servers.len(), 1, "{damage}");
        assert_eq!(servers[0].account.jid.as_str(), "a@a.example");
        let faults = registry.unreadable().await.unwrap();
        let [
            RegistryError::Unreadable {
                account,
                what: told,
            },
        ] = &faults[..]
        else {
            panic!("{damage}: {faults:?}")
        };
        assert_eq!((account.as_str(), *told), ("b@b.example", what), "{damage}");
        assert!(!faults[0].to_string().contains("hunter2"));

        // It alone is an error, it can be removed, and added again.
        registry.discard("a@a.example").await.unwrap();
        assert!(matches!(
            registry.servers().await,
            Err(RegistryError::Unreadable { .. })
        ));
        registry.put(server("b@b.example")).await.unwrap();
        assert_eq!(registry.servers().await.unwrap().len(), 1, "{damage}");
        assert!(registry.unreadable().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_entry_whose_name_is_no_address_can_be_removed() {
    let (_folder, registry) = open().await;
    registry.put(server("a@a.example")).await.unwrap();
    sql(
        &registry,
        "DELETE FROM server_roots; UPDATE servers SET account = 'a@@'",
    )
    .await;
    assert!(matches!(
        registry.servers().await,
        Err(RegistryError::Unreadable {
            what: "account",
            ..
        })
    ));
    assert!(registry.discard("a@@").await.unwrap());
    assert!(registry.servers().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_changes_nothing() {
    let (_folder, registry) = open().await;
    let jid: BareJid = "a@a.example".parse().unwrap();
    let endpoint = stanchion_connect::registry::read_place("a.example:5222").unwrap();
    let too_large: [fn(&mut Server, Endpoint); 4] = [
        |s, e| s.endpoints = stanchion_connect::Endpoints::Explicit(vec![e; 65]),
        |s, _| s.tls.roots = vec![stanchion_transport::tls::Roots::WebPki; MAX_ROOTS + 1],
        |s, _| {
            s.tls.roots = vec![stanchion_transport::tls::Roots::Pem(vec![
                0;
                MAX_TRUSTED + 1
            ])]
        },
        |s, _| s.account.resource = Some(text(MAX_SECRET + 1)),
    ];
    for make in too_large {
        let mut server = server("a@a.example");
        make(&mut server, endpoint.clone());
        let refused = registry.put(server).await;
        assert!(
            matches!(refused, Err(RegistryError::NotKept { .. })),
            "{refused:?}"
        );
    }
    assert!(!registry.remove(&jid).await.unwrap());
}
