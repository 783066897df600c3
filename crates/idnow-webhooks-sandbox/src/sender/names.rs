//! Names become addresses here, and only those that the guard allows come out.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::Guard;

type Answer = Result<Vec<SocketAddr>, Arc<io::Error>>;
type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Looks each name up once at a time, however many wait for it: the system's lookups each block a thread, and a name
/// whose server is dead must not use up those of the others.
#[derive(Clone)]
pub(crate) struct Names {
    lookup: Arc<Lookup>,
    under_way: Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, Answer>>>>>,
}

impl Names {
    /// As the system does.
    pub(crate) fn of_the_system() -> Self {
        Self::looked_up_by(|name| {
            async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }.boxed()
        })
    }

    pub(crate) fn looked_up_by(
        lookup: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self { lookup: Arc::new(lookup), under_way: Arc::default() }
    }

    pub(crate) fn guarded(self, guard: Guard, tls: bool) -> Guarded {
        Guarded { names: self, guard, tls }
    }

    fn look_up(&self, name: &str) -> Shared<BoxFuture<'static, Answer>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = under_way.get(name) {
            return lookup.clone();
        }
        let lookup = (self.lookup)(name.to_owned());
        let (mine, table) = (name.to_owned(), Arc::clone(&self.under_way));
        // A task, because those who wait may all give up, and the entry must go nevertheless.
        let task = tokio::spawn(async move {
            let answer = lookup.await.map_err(Arc::new);
            table.lock().unwrap_or_else(PoisonError::into_inner).remove(&mine);
            answer
        });
        let lookup =
            task.map(|done| done.unwrap_or_else(|error| Err(Arc::new(error.into())))).boxed().shared();
        under_way.insert(name.to_owned(), lookup.clone());
        lookup
    }
}

/// For connections with TLS, or for those without.
pub(crate) struct Guarded {
    names: Names,
    guard: Guard,
    tls: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, guard, tls) = (self.names.clone(), self.guard, self.tls);
        Box::pin(async move {
            let found = names.look_up(name.as_str()).await?;
            let mut refused = None;
            let mut allowed = Vec::with_capacity(found.len());
            for address in found {
                match guard.check(address.ip(), tls) {
                    Ok(()) => allowed.push(address),
                    Err(error) => refused = Some(error),
                }
            }
            match refused {
                Some(error) if allowed.is_empty() => Err(error.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
