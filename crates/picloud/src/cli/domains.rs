//! `picloud domains`: domains of an app's own.

use clap::{Args, Subcommand};
use picloud_shared::Domain;
use picloud_shared::domain::InvalidDomain;
use serde_json::json;

use super::Global;
use super::text::{self, BOLD, GOOD, LINK, WARNING};
use crate::client::{DomainInfo, DomainRecord};

/// List an app's own domains; add, verify or remove one
///
/// A domain is the app's once a record in its DNS says so.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud domains --app shop
  picloud domains add shop.example.org --app shop       says which record to publish
  picloud domains verify shop.example.org --app shop    once it is published
  picloud domains remove shop.example.org --app shop")]
pub struct DomainsArgs {
    #[command(subcommand)]
    command: Option<DomainsCommand>,
}

#[derive(Subcommand)]
enum DomainsCommand {
    /// List the domains
    #[command(after_help = "Example:\n  picloud domains list --app shop")]
    List,
    /// Claim a domain and see which record proves that it is yours
    #[command(after_help = "Example:\n  picloud domains add shop.example.org --app shop")]
    Add {
        /// As in shop.example.org
        #[arg(value_parser = parse)]
        domain: Domain,
    },
    /// Look for the record; the app answers at the domain from then on
    #[command(after_help = "Example:\n  picloud domains verify shop.example.org --app shop")]
    Verify {
        /// A domain that was added
        #[arg(value_parser = parse)]
        domain: Domain,
    },
    /// Give the app the domain without a record, as an admin of the server
    #[command(after_help = "Example:\n  picloud domains approve shop.internal --app shop")]
    Approve {
        /// A domain that was added
        #[arg(value_parser = parse)]
        domain: Domain,
    },
    /// Give a domain up; the app answers at it no more
    #[command(after_help = "Example:\n  picloud domains remove shop.example.org --app shop")]
    Remove {
        /// A domain that was added
        #[arg(value_parser = parse)]
        domain: Domain,
    },
}

pub async fn run(args: DomainsArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let domain = match args.command.unwrap_or(DomainsCommand::List) {
        DomainsCommand::List => {
            let domains = client.domains(&app).await?;
            if domains.items.is_empty() {
                output.note(&format!("{app} has no domains of its own"));
            }
            output.result(&domains, |domains| {
                domains.items.iter().map(listed).collect::<Vec<_>>().join("\n")
            })?;
            return Ok(());
        }
        DomainsCommand::Remove { domain } => {
            client.remove_domain(&app, domain.as_str()).await?;
            output.result(&json!({ "removed": domain.as_str() }), |_| {
                format!("{GOOD}removed{GOOD:#} {domain}")
            })?;
            return Ok(());
        }
        DomainsCommand::Add { domain } => client.claim_domain(&app, domain.as_str()).await?,
        DomainsCommand::Verify { domain } => {
            client.change_domain(&app, domain.as_str(), "verify").await?
        }
        DomainsCommand::Approve { domain } => {
            client.change_domain(&app, domain.as_str(), "approve").await?
        }
    };
    output.result(&domain, |domain| {
        if domain.verified_at_ms.is_some() { verified(domain) } else { to_do(domain) }
    })?;
    Ok(())
}

fn parse(text: &str) -> Result<Domain, String> {
    text.parse().map_err(|error: InvalidDomain| error.to_string())
}

fn verified(domain: &DomainInfo) -> String {
    format!(
        "{GOOD}verified{GOOD:#} {}: {LINK}{}{LINK:#}",
        text::line(&domain.domain),
        text::line(&domain.url)
    )
}

/// What is left to do for a domain that is only claimed.
fn to_do(domain: &DomainInfo) -> String {
    let DomainInfo { domain, record, alias_of, .. } = domain;
    let (domain, alias_of) = (text::line(domain), text::line(alias_of));
    let (name, kind, value) =
        (text::line(&record.name), text::line(&record.kind), text::line(&record.value));
    format!(
        "{GOOD}added{GOOD:#} {domain}\n\n\
         Publish this record in the domain's DNS:\n\n  \
         {BOLD}{name}.  {kind}  \"{value}\"{BOLD:#}\n\n\
         Then run: picloud domains verify {domain}\n\n\
         For requests to arrive, {domain} is a CNAME of {alias_of},\n\
         or has the server's addresses as A and AAAA."
    )
}

fn listed(domain: &DomainInfo) -> String {
    if domain.verified_at_ms.is_some() {
        return verified(domain);
    }
    let DomainRecord { name, kind, value } = &domain.record;
    format!(
        "{WARNING}unproved{WARNING:#} {}: publish {}.  {}  \"{}\"",
        text::line(&domain.domain),
        text::line(name),
        text::line(kind),
        text::line(value)
    )
}
