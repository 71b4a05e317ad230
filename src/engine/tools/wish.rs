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
    let spec = &instance.spec;
    let mut refused = Vec::new();
    let known = |name: &str| tools.iter().find(|tool| tool.name.as_str() == name);
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
        if tool.when == ToolTime::OnDemand && !asked {
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
        wanted.push(Wanted {
            name: tool.name.0.clone(),
            kind: tool.kind,
            account: tool
                .account_ref
                .as_ref()
                .map(|account| account.name.0.clone())
                .unwrap_or_default(),
            required: tool.required,
            reclaim: tool.reclaim_policy.unwrap_or_default(),
            parts: parts_of(tool, adopt.is_some()),
            wish: wish(tool, limit, instance),
            adopt,
        });
    }
    (wanted, refused)
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

fn wish(tool: &ToolSpec, limit_usd: Money, instance: &AgentInstance) -> Wish {
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
                let namespace = marker::told_apart(&instance.namespace().unwrap_or_default());
                format!("{first}-{}-{namespace}", instance.name_any())
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
