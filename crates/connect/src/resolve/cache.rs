//! What name servers said, remembered: for as long as they said, and longer while they
//! are away (RFC 8767). Owns the memory and its bounds; asking is the resolver's below.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use super::{Answer, Resolve, ResolveError, SrvRecord};

/// Names that are remembered, at most, of each kind; the least recently used go first.
pub const MAX_NAMES: usize = 128;

/// How long it is remembered that a name does not exist, or has no such record.
pub const NEGATIVE: Duration = Duration::from_secs(30);

/// How long an answer holds that does not say.
pub const UNKNOWN_TTL: Duration = Duration::from_secs(60);

/// No answer holds longer, whatever it says.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

/// For how long after its end an answer is used while the name server gives none
/// (RFC 8767 §5 recommends one to three days).
pub const MAX_STALE: Duration = Duration::from_secs(3 * 24 * 3600);

/// Where there is an old answer, a name server has this long before that one is used
/// (RFC 8767 §5).
pub const PATIENCE: Duration = Duration::from_millis(1800);

/// After a name server failed, and an old answer was used, it is not asked again for so
/// long (RFC 8767 §5).
pub const RECHECK: Duration = Duration::from_secs(30);

/// Remembers what another resolver said, so that a device whose name server is away
/// still finds its own server.
///
/// An answer is used for its time to live, at most a day, or a minute if it has none;
/// that there is nothing, for 30 s. When the resolver then fails, or takes longer than
/// 1.8 s, the old answer is used for up to three days more. That is safe: who may speak
/// for a domain is decided by its certificate, not by DNS.
///
/// ```
/// use stanchion_connect::resolve::{CachingResolver, SystemResolver};
/// let resolver = CachingResolver::new(std::sync::Arc::new(SystemResolver));
/// ```
#[derive(Debug)]
pub struct CachingResolver {
    inner: Arc<dyn Resolve>,
    srv: Memory<SrvRecord>,
    addresses: Memory<IpAddr>,
}

impl CachingResolver {
    /// Remembers what `inner` says.
    #[must_use]
    pub fn new(inner: Arc<dyn Resolve>) -> Self {
        Self {
            inner,
            srv: Memory::default(),
            addresses: Memory::default(),
        }
    }
}

#[async_trait]
impl Resolve for CachingResolver {
    async fn srv(&self, name: &str) -> Result<Answer<SrvRecord>, ResolveError> {
        self.srv.get(name, self.inner.srv(name)).await
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError> {
        self.addresses.get(host, self.inner.addresses(host)).await
    }
}

/// Answers by name. Held only to copy in or out.
#[derive(Debug)]
struct Memory<T>(Mutex<HashMap<String, Entry<T>>>);

#[derive(Debug)]
struct Entry<T> {
    /// `None`: the name does not exist.
    found: Option<Vec<T>>,
    /// The answer holds until then.
    until: Instant,
    /// The resolver failed, and is not asked before then.
    recheck: Option<Instant>,
    used: Instant,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<T: Clone> Memory<T> {
    async fn get(
        &self,
        name: &str,
        ask: impl Future<Output = Result<Answer<T>, ResolveError>>,
    ) -> Result<Answer<T>, ResolveError> {
        let old = match self.look(name) {
            Some((answer, true)) => return answer,
            Some((answer, false)) => Some(answer),
            None => None,
        };
        let new = match old {
            // Without an old answer the patience is the caller's.
            None => ask.await,
            Some(_) => timeout(PATIENCE, ask)
                .await
                .unwrap_or_else(|_| Err(failed(name, "no answer in time"))),
        };
        match (new, old) {
            (Err(ResolveError::Failed { why, .. }), Some(old)) => {
                tracing::info!(%name, %why, "the name server failed: an old answer is used");
                self.recheck_later(name);
                old
            }
            (Ok(answer), _) => {
                let ttl = if answer.found.is_empty() {
                    NEGATIVE
                } else {
                    answer.ttl.unwrap_or(UNKNOWN_TTL).min(MAX_TTL)
                };
                self.keep(name, Some(answer.found.clone()), ttl);
                Ok(answer)
            }
            (Err(error), _) => {
                if let ResolveError::NoSuchName { .. } = error {
                    self.keep(name, None, NEGATIVE);
                }
                Err(error)
            }
        }
    }

    /// What is remembered, and whether it is to be used without asking.
    #[allow(clippy::type_complexity)] // An answer and a word.
    fn look(&self, name: &str) -> Option<(Result<Answer<T>, ResolveError>, bool)> {
        let now = Instant::now();
        let mut entries = self.entries();
        let entry = entries.get_mut(name)?;
        let fresh = now < entry.until || entry.recheck.is_some_and(|at| now < at);
        // That there was nothing is no reason not to look again.
        let useful = entry.found.as_ref().is_some_and(|found| !found.is_empty());
        let usable = fresh || useful && now < entry.until + MAX_STALE;
        if !usable {
            entries.remove(name);
            return None;
        }
        entry.used = now;
        let left = entry.until.saturating_duration_since(now);
        let answer = match &entry.found {
            Some(found) => Ok(Answer {
                found: found.clone(),
                ttl: Some(left),
            }),
            None => Err(ResolveError::NoSuchName {
                name: name.to_owned(),
            }),
        };
        Some((answer, fresh))
    }

    fn recheck_later(&self, name: &str) {
        if let Some(entry) = self.entries().get_mut(name) {
            entry.recheck = Some(Instant::now() + RECHECK);
        }
    }

    fn keep(&self, name: &str, found: Option<Vec<T>>, ttl: Duration) {
        let now = Instant::now();
        let mut entries = self.entries();
        if entries.len() >= MAX_NAMES && !entries.contains_key(name) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                entries.remove(&oldest);
            }
        }
        let entry = Entry {
            found,
            until: now + ttl,
            recheck: None,
            used: now,
        };
        entries.insert(name.to_owned(), entry);
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry<T>>> {
        // Nothing can panic between lock and unlock and leave a half-made entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(name: &str, why: &str) -> ResolveError {
    ResolveError::Failed {
        name: name.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::advance;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Mood {
        Well,
        Fails,
        Hangs,
        KnowsNothing,
    }

    /// A name server in a mood, which counts what it is asked.
    #[derive(Debug)]
    struct Moody(Mutex<(Mood, usize)>);

    impl Moody {
        fn new() -> (Arc<Self>, CachingResolver) {
            let moody = Arc::new(Self(Mutex::new((Mood::Well, 0))));
            (Arc::clone(&moody), CachingResolver::new(moody))
        }

        fn is(&self, mood: Mood) {
            self.0.lock().unwrap().0 = mood;
        }

        fn asked(&self) -> usize {
            self.0.lock().unwrap().1
        }
    }

    #[async_trait]
    impl Resolve for Moody {
        async fn srv(&self, _: &str) -> Result<Answer<SrvRecord>, ResolveError> {
            Ok(Answer::new(Vec::new()))
        }

        async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, ResolveError> {
            let (mood, n) = {
                let mut state = self.0.lock().unwrap();
                state.1 += 1;
                *state
            };
            match mood {
                Mood::Well => Ok(Answer {
                    found: vec![[192, 0, 2, u8::try_from(n % 256).unwrap()].into()],
                    ttl: Some(Duration::from_secs(300)),
                }),
                Mood::Fails => Err(failed(host, "SERVFAIL")),
                Mood::Hangs => pending().await,
                Mood::KnowsNothing => Err(ResolveError::NoSuchName {
                    name: host.to_owned(),
                }),
            }
        }
    }

    async fn last(resolver: &CachingResolver) -> Option<u8> {
        let answer = resolver.addresses("a.example").await.ok()?;
        match answer.found[..] {
            [IpAddr::V4(v4)] => Some(v4.octets()[3]),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_its_time_to_live_and_no_longer() {
        let (server, resolver) = Moody::new();
        assert_eq!(last(&resolver).await, Some(1));
        advance(Duration::from_secs(299)).await;
        assert_eq!(last(&resolver).await, Some(1));
        advance(Duration::from_secs(2)).await;
        assert_eq!(last(&resolver).await, Some(2));
        assert_eq!(server.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_is_used_while_the_name_server_is_away_and_not_once_it_is_back() {
        for mood in [Mood::Fails, Mood::Hangs] {
            let (server, resolver) = Moody::new();
            assert_eq!(last(&resolver).await, Some(1));
            server.is(mood);
            advance(Duration::from_secs(24 * 3600)).await;
            let begin = Instant::now();
            assert_eq!(last(&resolver).await, Some(1));
            assert!(begin.elapsed() <= PATIENCE + Duration::from_millis(1));
            // It is not asked each time.
            assert_eq!(last(&resolver).await, Some(1));
            assert_eq!(server.asked(), 2);
            server.is(Mood::Well);
            advance(RECHECK).await;
            assert_eq!(last(&resolver).await, Some(3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_becomes_too_old() {
        let (server, resolver) = Moody::new();
        assert_eq!(last(&resolver).await, Some(1));
        server.is(Mood::Fails);
        advance(MAX_STALE + Duration::from_secs(301)).await;
        assert_eq!(last(&resolver).await, None);
        server.is(Mood::Well);
        assert_eq!(last(&resolver).await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn that_there_is_nothing_is_remembered_briefly_and_a_failure_not_at_all() {
        let (server, resolver) = Moody::new();
        server.is(Mood::KnowsNothing);
        for _ in 0..2 {
            let none = resolver.addresses("a.example").await;
            assert!(matches!(none, Err(ResolveError::NoSuchName { .. })));
        }
        assert_eq!(server.asked(), 1);
        server.is(Mood::Fails);
        advance(NEGATIVE).await;
        for asked in [2, 3] {
            let none = resolver.addresses("a.example").await;
            assert!(matches!(none, Err(ResolveError::Failed { .. })));
            assert_eq!(server.asked(), asked);
        }
        server.is(Mood::Well);
        assert_eq!(last(&resolver).await, Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_has_an_end() {
        let (_, resolver) = Moody::new();
        assert_eq!(last(&resolver).await, Some(1));
        for n in 0..3 * MAX_NAMES {
            advance(Duration::from_millis(1)).await;
            resolver.addresses(&format!("{n}.example")).await.unwrap();
        }
        assert_eq!(resolver.addresses.entries().len(), MAX_NAMES);
        assert_ne!(last(&resolver).await, Some(1));
    }
}
