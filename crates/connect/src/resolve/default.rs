//! The resolver of a connector that is given none.

use std::sync::Arc;

use super::{CachingResolver, Resolve, SystemResolver};

/// The resolver of who names none: DNS by the system's configuration, with a memory.
#[cfg(feature = "dns")]
pub(crate) fn default_resolver() -> Arc<dyn Resolve> {
    use super::HickoryResolver;
    let resolver: Arc<dyn Resolve> = match HickoryResolver::from_system() {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            tracing::warn!(%error, "no DNS configuration: SRV records are not looked up");
            Arc::new(SystemResolver)
        }
    };
    Arc::new(CachingResolver::new(resolver))
}

/// The resolver of who names none: the operating system, with a memory.
#[cfg(not(feature = "dns"))]
pub(crate) fn default_resolver() -> Arc<dyn Resolve> {
    Arc::new(CachingResolver::new(Arc::new(SystemResolver)))
}
