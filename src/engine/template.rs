//! What is true of a template: its image, its revision, where its rollout stands.

use super::compose::Broken;
use super::rollout::Standing;
use crate::api::AgentTemplate;
use crate::api::condition::{self, Statement, kind, reason};
use crate::api::template::{AgentTemplateStatus, ResolvedImage};
use crate::model::Fault;
use jiff::Timestamp;

/// What was learned about a template's image and values.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// Everything is known.
    Known {
        /// The image.
        image: ResolvedImage,
        /// Names what instances are made from.
        revision: String,
    },
    /// Something that the spec refers to is missing or not usable.
    Broken(Broken),
    /// The registry did not tell the digest.
    Registry(Fault),
}

/// The template's status.
pub fn status(
    template: &AgentTemplate,
    resolution: &Resolution,
    standing: &Standing,
    now: Timestamp,
) -> AgentTemplateStatus {
    let old = template.status.clone().unwrap_or_default();
    let (instances, updated) = (number(standing.instances), number(standing.updated));
    let mut new = AgentTemplateStatus {
        observed_generation: template.metadata.generation,
        instances: Some(instances),
        updated_instances: Some(updated),
        ..old.clone()
    };
    let statements = match resolution {
        Resolution::Known { image, revision } => {
            new.image = Some(image.clone());
            new.revision = Some(revision.clone());
            known(image, standing)
        }
        Resolution::Broken(broken) => unusable(broken.reason, &broken.message, true),
        Resolution::Registry(fault) => {
            let image = &template.spec.runtime.image;
            let text = fault.message();
            match fault {
                Fault::Rejected { .. } | Fault::Missing { .. } => unusable(
                    reason::IMAGE_NOT_FOUND,
                    &format!("runtime.image {image}: {text}; correct the name or the tag"),
                    true,
                ),
                Fault::Denied { .. } => unusable(
                    reason::IMAGE_ACCESS_DENIED,
                    &format!(
                        "runtime.image {image}: {text}; set runtime.imagePullSecretRef to a Secret with credentials that may pull it"
                    ),
                    true,
                ),
                _ => unusable(
                    reason::REGISTRY_UNREACHABLE,
                    &format!("runtime.image {image}: {text}; will be tried again"),
                    false,
                ),
            }
        }
    };
    new.conditions = condition::conclude(
        &old.conditions,
        &statements,
        template.metadata.generation,
        now,
    );
    new
}

fn known(image: &ResolvedImage, standing: &Standing) -> Vec<Statement> {
    let mut statements = vec![Statement::yes(
        kind::READY,
        reason::READY,
        format!("{} is {}", image.requested, image.digest),
    )];
    if let Some(failed) = &standing.failed {
        let message = format!(
            "the rollout has stopped: {failed} did not get ready within rollout.progressDeadline; correct the template, and the next revision goes to it first"
        );
        statements.push(Statement::no(
            kind::PROGRESSING,
            reason::ROLLOUT_STOPPED,
            message.clone(),
        ));
        statements.push(Statement::yes(
            kind::STALLED,
            reason::ROLLOUT_STOPPED,
            message,
        ));
    } else if standing.waiting + standing.under_way > 0 {
        let message = "instances are being updated to the current revision";
        statements.push(Statement::yes(
            kind::PROGRESSING,
            reason::ROLLING_OUT,
            message,
        ));
        statements.push(Statement::yes(
            kind::RECONCILING,
            reason::ROLLING_OUT,
            message,
        ));
    } else {
        let message = match standing.held {
            0 => "every instance has the current revision".to_owned(),
            held => {
                format!("{held} instances are held back by their updatePolicy or operatingMode")
            }
        };
        statements.push(Statement::yes(kind::PROGRESSING, reason::CURRENT, message));
    }
    statements
}

fn unusable(reason: &'static str, message: &str, person: bool) -> Vec<Statement> {
    let flag = if person {
        kind::STALLED
    } else {
        kind::RECONCILING
    };
    vec![
        Statement::no(kind::READY, reason, message),
        Statement::yes(flag, reason, message),
    ]
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
