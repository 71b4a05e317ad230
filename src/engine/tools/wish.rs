//! What an instance shall have by way of tools: what its template offers, what it asks for, and what it asks for in vain.
//!
//! What holds: the spec alone decides; what cannot be had as asked is said, and never silently left out.

use crate::api::money::Money;
use crate::api::template::{ToolKind, ToolSpec, ToolTime};
use crate::api::{AgentInstance, AgentInstanceSpec, Part};
use crate::model::tool::{RefusedTool, Wanted, Wish};
use crate::model::{marker, slot};
use kube::ResourceExt;

/// The tools that an instance shall have now, and what it asks for in vain.
pub fn wanted(tools: &[ToolSpec], instance: &AgentInstance) -> (Vec<Wanted>, Vec<RefusedTool>) {
    let (offered, tools) = (tools, &with_brought(tools, instance));
    let spec = &instance.spec;
    let mut refused = Vec::new();
    let known = |name: &str| {
        let mut all = tools.iter().chain(offered);
        all.find(|tool| tool.name.as_str() == name)
    };
    for asked in &spec.requested_tools {
        if known(asked.as_str()).is_none() {
            refused.push(RefusedTool {
                tool: asked.0.clone(),
                message: format!("requestedTools names {asked}, which the template does not have; correct the name or add the tool to the template"),
            });
        }
    }
    for own in &spec.tool_limits {
        if known(own.name.as_str()).is_none_or(|tool| tool.limit_usd.is_none()) {
            refused.push(RefusedTool {
                tool: own.name.0.clone(),
                message: format!("toolLimits names {}, which is no tool of the template with a limitUSD; correct the name, or take it away", own.name),
            });
        }
    }
    for own in spec.adopt.iter().flat_map(|adopt| &adopt.tools) {
        if known(own.name.as_str()).is_none_or(|tool| tool.account_ref.is_none()) {
            refused.push(RefusedTool {
                tool: own.name.0.clone(),
                message: format!("adopt.tools names {}, which is no tool of the template at a provider; add it to the template", own.name),
            });
        }
    }
    let mut wanted = Vec::new();
    for tool in tools {
        let asked = spec.requested_tools.contains(&tool.name);
        let now = match tool.when {
            ToolTime::Create => true,
            ToolTime::OnDemand => asked,
            ToolTime::Claim => true,
        };
        if !now {
            continue;
        }
        let limit = match limit(tool, spec) {
            Ok(limit) => limit,
            Err(message) => {
                refused.push(RefusedTool {
                    tool: tool.name.0.clone(),
                    message,
                });
                tool.max_limit_usd.or(tool.limit_usd).unwrap_or_default()
            }
        };
        let adopt = spec
            .adopt
            .iter()
            .flat_map(|adopt| &adopt.tools)
            .find(|adopted| adopted.name == tool.name)
            .map(|adopted| adopted.id.0.clone());
        let named = (
            instance.namespace().unwrap_or_default(),
            instance.name_any(),
        );
        wanted.push(one(tool, limit, adopt, &named));
    }
    (wanted, refused)
}

/// All tools that there are for an instance. Those that are for claims stand with what its claim brought: from the hand-over on they are
/// its agent's, whatever becomes of the template; where that has come to have another tool of that name or type, it is not for this one.
fn with_brought(tools: &[ToolSpec], instance: &AgentInstance) -> Vec<ToolSpec> {
    let brought = instance.brought_tools();
    let alike = |tool: &ToolSpec| {
        let mut own = brought.iter();
        own.any(|own| own.name == tool.name || own.kind == tool.kind)
    };
    let own = tools.iter().filter(|tool| tool.when != ToolTime::Claim);
    own.filter(|tool| !alike(tool))
        .chain(brought)
        .cloned()
        .collect()
}

/// The tools with `when: Claim` that a claim's agent will have, as they are wanted then.
pub fn for_claims(tools: &[ToolSpec], namespace: &str) -> Vec<Wanted> {
    let named = (namespace.to_owned(), String::new());
    let those = tools.iter().filter(|tool| tool.when == ToolTime::Claim);
    let limit = |tool: &ToolSpec| tool.limit_usd.unwrap_or_default();
    those
        .map(|tool| one(tool, limit(tool), None, &named))
        .collect()
}

/// A tool as it is wanted by an instance, which is named by its namespace and its own name.
fn one(
    tool: &ToolSpec,
    limit: Money,
    adopt: Option<String>,
    instance: &(String, String),
) -> Wanted {
    let account = tool.account_ref.as_ref();
    Wanted {
        name: tool.name.0.clone(),
        kind: tool.kind,
        account: account
            .map(|account| account.name.0.clone())
            .unwrap_or_default(),
        required: tool.required,
        reclaim: tool.reclaim_policy.unwrap_or_default(),
        parts: parts_of(tool, adopt.is_some()),
        wish: wish(tool, limit, instance),
        adopt,
        for_claim: tool.when == ToolTime::Claim,
    }
}

fn limit(tool: &ToolSpec, spec: &AgentInstanceSpec) -> Result<Money, String> {
    let usual = tool.limit_usd.unwrap_or_default();
    let Some(own) = spec.tool_limits.iter().find(|own| own.name == tool.name) else {
        return Ok(usual);
    };
    let most = tool.max_limit_usd.unwrap_or(usual);
    if own.limit_usd > most {
        return Err(format!(
            "toolLimits asks for {} US dollars for {}, and the template allows {most}, which is what it gets; ask for less, or raise maxLimitUSD there",
            own.limit_usd, tool.name
        ));
    }
    Ok(own.limit_usd)
}

fn wish(tool: &ToolSpec, limit_usd: Money, (namespace, name): &(String, String)) -> Wish {
    match tool.kind {
        ToolKind::Openrouter => Wish::Openrouter {
            limit_usd,
            reset: tool.limit_reset.unwrap_or_default(),
            disabled: None,
        },
        ToolKind::Exa => Wish::Exa {
            rate_limit: tool.rate_limit,
            budget_usd: tool.budget_usd,
        },
        ToolKind::Agentmail => Wish::Agentmail {
            username: tool.username.as_ref().map(|first| {
                // So that nobody in another namespace comes by an address that was given up in this one.
                let namespace = marker::told_apart(namespace);
                format!("{first}-{name}-{namespace}")
            }),
            key: tool.inbox_key != Some(false),
        },
        ToolKind::Telnyx => Wish::Telnyx {
            country: tool
                .country_code
                .as_ref()
                .map_or_else(|| "US".to_owned(), |code| code.0.clone()),
            area: tool.area_code.as_ref().map(|code| code.0.clone()),
            max_monthly_usd: tool.max_monthly_cost_usd,
        },
        ToolKind::Wallet => Wish::Wallet,
        ToolKind::Bankr => Wish::Bankr,
    }
}

/// The parts that a tool has. One that is taken over is taken as it is: only the thing itself.
fn parts_of(tool: &ToolSpec, adopted: bool) -> Vec<Part> {
    slot::parts(tool.kind.provider())
        .map(|(part, _)| part)
        .filter(|part| *part == Part::Main || !adopted)
        .filter(|part| {
            *part != Part::Key || tool.kind != ToolKind::Agentmail || tool.inbox_key != Some(false)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn address(namespace: &str, name: &str) -> String {
        let tools: Vec<ToolSpec> = serde_json::from_value(json!([
            {"name": "inbox", "type": "agentmail", "accountRef": {"name": "a"}, "username": "team"},
        ]))
        .unwrap();
        let spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": "main"}});
        let mut instance = AgentInstance::new(name, serde_json::from_value(spec).unwrap());
        instance.metadata.namespace = Some(namespace.to_owned());
        match &wanted(&tools, &instance).0[0].wish {
            Wish::Agentmail { username, .. } => username.clone().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_for_a_claim_is_wanted_once_that_has_the_agent_for_good() {
        let tools: Vec<ToolSpec> = serde_json::from_value(json!([
            {"name": "llm", "type": "openrouter", "when": "Claim", "accountRef": {"name": "a"}, "limitUSD": 5},
            {"name": "own", "type": "exa", "accountRef": {"name": "a"}},
        ]))
        .unwrap();
        let names = |claim_ref: serde_json::Value, brought: serde_json::Value| {
            let spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": "main"}, "claimRef": claim_ref, "fromClaim": {"tools": brought}});
            let instance = AgentInstance::new("ada", serde_json::from_value(spec).unwrap());
            let all = wanted(&tools, &instance).0.into_iter();
            all.map(|one| (one.name, one.for_claim)).collect::<Vec<_>>()
        };
        let named = |all: &[(&str, bool)]| {
            let all = all
                .iter()
                .map(|(name, theirs)| ((*name).to_owned(), *theirs));
            all.collect::<Vec<_>>()
        };
        let llm = json!({"name": "llm", "type": "openrouter", "when": "Claim", "accountRef": {"name": "a"}, "limitUSD": 5});
        let purse = json!([llm, {"name": "purse", "type": "wallet", "when": "Claim"}]);
        let taken = json!({"name": "c", "uid": "u"});
        let handed_over =
            json!({"name": "c", "uid": "u", "handedOverAt": "2026-11-02T10:00:00.000000Z"});
        let idle = named(&[("own", false)]);
        assert_eq!(names(json!(null), purse.clone()), idle);
        assert_eq!(names(taken, purse.clone()), idle);
        let all = named(&[("own", false), ("llm", true), ("purse", true)]);
        assert_eq!(names(handed_over.clone(), purse), all);
        // What its claim brought stays its, and is all that it has of the kind, whatever its template comes to have.
        assert_eq!(names(handed_over.clone(), json!([])), idle);
        let own = json!([{"name": "own", "type": "wallet", "when": "Claim"}]);
        let all = named(&[("own", true)]);
        assert_eq!(names(handed_over, own), all);
    }

    #[test]
    fn nobody_in_another_namespace_comes_by_an_address() {
        let own = address("team-a", "ada");
        assert_eq!(own, address("team-a", "ada"));
        let namespace = own.strip_prefix("team-ada-").unwrap();
        assert_eq!(namespace.len(), 10);
        let letter = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit();
        assert!(namespace.bytes().all(letter), "{own}");
        assert_ne!(own, address("team-b", "ada"));
        // An instance's name cannot end as another namespace does.
        assert_ne!(own, address("team-b", &format!("ada-{namespace}")));
    }
}
