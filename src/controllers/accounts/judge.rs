//! The judgement on a credential that its provider accepts: whether it is the account's, and what the account is held to.
//!
//! Holds: what the account is held to is on record before the credential is used. Deliberately absent: the verdict itself
//! (`engine::identity`).

use super::credential::Judged;
use crate::api::ProviderAccount;
use crate::cluster::call::Written;
use crate::cluster::installation;
use crate::controllers::context::Context;
use crate::engine::identity::{CredentialTrial, CredentialVerdict, Evidence};
use crate::model::Done;
use crate::model::identity::Whose;
use kube::ResourceExt;

/// Judges a credential that its provider accepts, and puts on record what the account is held to from now on. `proof` is
/// asked for only where nothing else can tell; `serve` puts the credential in service, after a move in place of everything
/// that was seen before.
pub async fn judge<P, S>(
    ctx: &Context,
    account: &ProviderAccount,
    (kept_in, credential): (&str, &str),
    whose: Whose,
    proof: P,
    serve: S,
) -> Written<Done<Judged>>
where
    P: Future<Output = Done<Evidence>>,
    S: FnOnce(bool),
{
    let (namespace, uid) = (
        &ctx.around.settings.namespace,
        account.uid().unwrap_or_default(),
    );
    let pin = installation::pin(&ctx.around.client, namespace, &uid).await?;
    let whose = whose.bounded();
    let trial = CredentialTrial {
        account,
        kept_in,
        pin: pin.as_ref(),
        whose: &whose,
        credential,
    };
    let evidence = match trial.evidence() {
        Some(evidence) => evidence,
        None => match proof.await {
            Ok(evidence) => evidence,
            Err(fault) => return Ok(Err(fault)),
        },
    };
    match trial.verdict(evidence) {
        CredentialVerdict::Held(hold) => Ok(Ok(Judged::Held(hold))),
        CredentialVerdict::Good { pin: next, moved } => {
            if pin.as_ref() != Some(&next) {
                let (before, next) = (pin.as_ref(), Some(&next));
                installation::repin(&ctx.around.client, namespace, &uid, before, next).await?;
            }
            serve(moved);
            Ok(Ok(Judged::Good(whose)))
        }
    }
}
