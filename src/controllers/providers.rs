//! Which room of `tools` speaks for an account.
//!
//! What holds: an account without a credential, or of a provider that this version does not speak to, is shut: every
//! request of it is refused before anything is sent.

use super::context::Context;
use crate::api::ProviderAccountSpec;
use crate::model::tool::{Made, Named, Order, Resource, Stock, Wish};
use crate::model::{Done, Fault};
use crate::tools::Provider;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use secrecy::SecretString;
use std::sync::Arc;

/// Opens the provider that a spec names.
pub fn open(
    spec: &ProviderAccountSpec,
    credential: Option<SecretString>,
    _ctx: &Context,
) -> Arc<dyn Provider> {
    let Some(_credential) = credential else {
        return Arc::new(Shut("its credential is not there".to_owned()));
    };
    Arc::new(Shut(format!(
        "this version of Yardmaster does not speak to {}; upgrade it",
        spec.provider().unwrap_or("the provider")
    )))
}

/// A provider to which no way leads, and why.
struct Shut(String);

impl Shut {
    fn no<T: Send + 'static>(&self) -> BoxFuture<'_, Done<T>> {
        let message = self.0.clone();
        ready(Err(Fault::Denied { message })).boxed()
    }
}

impl Provider for Shut {
    fn identity(&self) -> BoxFuture<'_, Done<String>> {
        self.no()
    }

    fn make<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, Done<Made>> {
        self.no()
    }

    fn find<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, Done<Vec<Resource>>> {
        self.no()
    }

    fn look<'a>(&'a self, _: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        self.no()
    }

    fn adjust<'a>(&'a self, _: &'a Named, _: &'a Wish) -> BoxFuture<'a, Done<()>> {
        self.no()
    }

    fn delete<'a>(&'a self, _: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        self.no()
    }

    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        self.no()
    }
}
