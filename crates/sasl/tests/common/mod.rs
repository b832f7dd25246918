//! Shared by the scenario tests: channels, offers and one whole exchange.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use stanchion_sasl::accounts::{AccountStore, MemoryAccounts};
use stanchion_sasl::policy::{ChannelSecurity, TlsVersion};
use stanchion_sasl::server::{Accepted, Refusal, ServerChannel, ServerPolicy};
use stanchion_sasl::*;

/// Few, so that tests are quick; the clients' policy is lowered to it.
pub(crate) const ITERATIONS: u32 = 64;

pub(crate) fn exporter() -> ChannelBindings {
    ChannelBindings {
        tls_exporter: Some([7; 32]),
        tls_server_end_point: Some(vec![8; 32]),
        tls_unique: None,
    }
}

pub(crate) fn tls(bindings: ChannelBindings) -> Channel {
    Channel {
        security: ChannelSecurity::Tls {
            version: TlsVersion::Tls13,
            server_verified: true,
        },
        client_certificate_shown: false,
        bindings,
    }
}

pub(crate) fn client_policy() -> Policy {
    let mut policy = Policy::default();
    policy.scram.min_iterations = ITERATIONS;
    policy
}

pub(crate) fn nonce(byte: u8) -> Nonce {
    Nonce::from_entropy([byte; 24])
}

pub(crate) fn accounts() -> MemoryAccounts {
    let mut accounts = MemoryAccounts::new().with_domain("example.org");
    accounts
        .set("alice", &"wonderland".into(), ITERATIONS, [1; 16])
        .unwrap();
    accounts
}

pub(crate) fn server_policy() -> ServerPolicy {
    let mut policy = ServerPolicy::new(vec![9; 32].into());
    policy.iterations = ITERATIONS;
    policy
}

pub(crate) fn server(channel: ServerChannel) -> ServerAuth {
    server_with(server_policy(), channel, accounts())
}

pub(crate) fn server_with(
    policy: ServerPolicy,
    channel: ServerChannel,
    accounts: impl AccountStore + 'static,
) -> ServerAuth {
    ServerAuth::new(Arc::new(policy), channel, Arc::new(accounts))
}

pub(crate) fn encrypted(bindings: ChannelBindings) -> ServerChannel {
    ServerChannel {
        encrypted: true,
        bindings,
        certificate_identities: Vec::new(),
    }
}

pub(crate) fn offer(server: &ServerAuth) -> Offer<'static> {
    Offer {
        profile: Default::default(),
        mechanisms: server.advertised(),
        bindings: server.advertised_bindings(),
    }
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum End {
    Login(Accepted, Authenticated),
    Refused(Refusal),
    ClientGaveUp(AuthError),
}

impl End {
    pub(crate) fn login(self) -> (Accepted, Authenticated) {
        match self {
            Self::Login(accepted, authenticated) => (accepted, authenticated),
            other => panic!("no login: {other:?}"),
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// Runs one exchange to its end. Bounded: no mechanism has more than 4 steps.
pub(crate) fn run(client: &mut dyn Authenticator, server: &mut ServerAuth) -> End {
    let initial = match client.initial_response() {
        Ok(initial) => initial,
        Err(error) => return End::ClientGaveUp(error),
    };
    let mut step = server.start(client.mechanism(), initial.as_deref(), nonce(3));
    for _ in 0..4 {
        step = match step {
            Step::Challenge(data) => match client.challenge(&data) {
                Ok(response) => server.respond(&response),
                Err(error) => return End::ClientGaveUp(error),
            },
            Step::Success(accepted) => {
                return match client.success(accepted.additional_data.as_deref()) {
                    Ok(authenticated) => End::Login(accepted, authenticated),
                    Err(error) => End::ClientGaveUp(error),
                };
            }
            Step::Failure(refusal) => return End::Refused(refusal),
            other => panic!("unknown step {other:?}"),
        };
    }
    panic!("the exchange does not end");
}
