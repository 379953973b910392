//! Owns `mist token`: the admin commands about tokens, and making new ones.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mist::client::{RegisteredToken, TokenGrants};
use serde_json::{Value, json};

use super::args::{TokenArgs, TokenCommand, TokenTagsArgs};
use super::connect::{Target, failed};
use super::exit::Stop;
use super::host::{Answer, SharedArgs};
use super::runtime::block_on;
use super::{input, out};
use crate::config;

/// Does one of the token commands.
pub(super) fn run(command: &TokenCommand, shared: &SharedArgs) -> Result<(), Stop> {
    match command {
        TokenCommand::Gen(args) => {
            let token = generate()?;
            out::line(&match args.output {
                Answer::Plain => token,
                Answer::Json => json!({ "token": token }).to_string(),
            })
        }
        TokenCommand::Add(args) => change(&args.change, args.ttl, shared, "register"),
        TokenCommand::Set(args) => change(&args.change, args.ttl, shared, "set"),
        TokenCommand::Unset(args) => change(args, None, shared, "unset"),
        TokenCommand::Rm(args) => remove(args, shared, "unregister"),
        TokenCommand::End(args) => remove(args, shared, "end"),
        TokenCommand::List(args) => {
            let target = Target::new(&args.host, shared)?;
            block_on(async {
                let client = target.connect().await?;
                let mut after = String::new();
                loop {
                    let page = client.admin().tokens(&after).await.map_err(failed)?;
                    for token in &page.tokens {
                        out::line(&match args.answer.output {
                            Answer::Plain => words(token),
                            Answer::Json => object(token).to_string(),
                        })?;
                    }
                    match page.next {
                        Some(next) if next != after => after = next,
                        _ => return Ok(()),
                    }
                }
            })
        }
        TokenCommand::Tags(args) => {
            let (target, token) = subject(args, shared, "list tags")?;
            block_on(async {
                let client = target.connect().await?;
                let grants = client.admin().grants(&token).await.map_err(failed)?;
                print_grants(&grants, args.ask.answer.output)
            })
        }
    }
}

/// Prints what a token grants.
fn print_grants(grants: &TokenGrants, output: Answer) -> Result<(), Stop> {
    let TokenGrants {
        subscribe, publish, ..
    } = grants;
    let tags: BTreeSet<_> = subscribe.iter().chain(publish).collect();
    if output == Answer::Plain {
        return tags.into_iter().try_for_each(|tag| {
            match (subscribe.contains(tag), publish.contains(tag)) {
                (true, true) => out::line(tag),
                (true, false) => out::line(&format!("{tag}\tsubscribe")),
                _ => out::line(&format!("{tag}\tpublish")),
            }
        });
    }
    let mut answer = json!({ "tags": tags });
    if subscribe != publish {
        answer["subscribe"] = json!(subscribe);
        answer["publish"] = json!(publish);
    }
    if let Some(left) = grants.expires_in {
        answer["expires_in"] = json!(left.as_secs());
    }
    out::line(&answer.to_string())
}

/// Digits of a hash that people are shown.
const SHORT: usize = 12;

/// A token in words for people, with tabs between them. Tags of one right are spelled as stores keep them.
fn words(token: &RegisteredToken) -> String {
    let name = match token.sha256.get(..SHORT) {
        Some(digits) => format!("sha256:{digits}"),
        None => shown(&token.token),
    };
    let ends = token
        .expires_in
        .map_or("-".into(), |seconds| seconds.to_string());
    let (subscribe, publish) = (&token.subscribe, &token.publish);
    let both = subscribe
        .iter()
        .filter(|tag| publish.contains(tag))
        .map(|tag| shown(tag));
    let one = |right: &'static str, tags: &[String], others: &[String]| {
        let tags = tags.iter().filter(|tag| !others.contains(tag));
        tags.map(|tag| format!("${right}:{}", shown(tag)))
            .collect::<Vec<_>>()
    };
    let mut tags: Vec<_> = both.collect();
    tags.extend(one("subscribe", subscribe, publish));
    tags.extend(one("publish", publish, subscribe));
    format!("{name}\t{}\t{ends}\t{}", token.connections, tags.join(","))
}

/// A text that stays in its line and changes nothing on a terminal.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        match char.is_control() {
            true => shown.extend(char.escape_default()),
            false => shown.push(char),
        }
    }
    shown
}

fn object(token: &RegisteredToken) -> Value {
    let mut object = json!({
        "connections": token.connections,
        "subscribe": token.subscribe,
        "publish": token.publish,
    });
    let (name, text) = match token.sha256.is_empty() {
        true => ("token", &token.token),
        false => ("sha256", &token.sha256),
    };
    object[name] = json!(text);
    if let Some(seconds) = token.expires_in {
        object["expires_in"] = json!(seconds);
    }
    object
}

/// Removes a token; `name` is the wire's.
fn remove(args: &TokenArgs, shared: &SharedArgs, name: &'static str) -> Result<(), Stop> {
    let (target, token) = subject(args, shared, name)?;
    block_on(async {
        let client = target.connect().await?;
        match name {
            "end" => {
                // In a hurry to end a token, a typing error must not look like success.
                client.admin().grants(&token).await.map_err(failed)?;
                client.admin().end(&token).await
            }
            _ => client.admin().unregister(&token).await,
        }
        .map_err(failed)?;
        done(args)
    })
}

/// Does those that take tags too; `name` is the wire's.
fn change(
    args: &TokenTagsArgs,
    ttl: Option<Duration>,
    shared: &SharedArgs,
    name: &'static str,
) -> Result<(), Stop> {
    let tags = args.tags.all()?;
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    // More time is for all tags that the token has.
    if tags.is_empty() && !(name == "set" && ttl.is_some()) {
        return Err(Stop::usage(format!(
            "Unable to {name} - Missing tags: write them behind the token"
        )));
    }
    let (target, token) = subject(&args.token, shared, name)?;
    block_on(async {
        let client = target.connect().await?;
        let mut admin = client.admin().rights(args.rights.into());
        if let Some(ttl) = ttl {
            admin = admin.ttl(ttl);
        }
        match name {
            "register" => admin.register(&token, &tags).await,
            "set" => admin.set(&token, &tags).await,
            _ => admin.unset(&token, &tags).await,
        }
        .map_err(failed)?;
        done(&args.token)
    })
}

/// Says that a change is made.
fn done(args: &TokenArgs) -> Result<(), Stop> {
    match args.ask.answer.output {
        Answer::Plain => out::word("success"),
        Answer::Json => out::line(&json!({ "success": true }).to_string()),
    }
}

/// The server, and the token to manage.
fn subject(args: &TokenArgs, shared: &SharedArgs, name: &str) -> Result<(Target, String), Stop> {
    let target = Target::new(&args.ask.host, shared)?;
    let token = match args.subject.as_str() {
        "-" => {
            let text = input::all()?;
            let token = config::only_line(&text);
            let wrong = |why| Stop::usage(format!("Unable to {name} - stdin {why}"));
            token.map_err(wrong)?.to_owned()
        }
        token => token.to_owned(),
    };
    if token.is_empty() {
        return Err(Stop::usage(format!("Unable to {name} - Missing token")));
    }
    Ok((target, token))
}

/// Makes a token of 256 random bits that is safe in file names, URLs and shells.
fn generate() -> Result<String, Stop> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Stop::failed(format!("cannot get random numbers: {error}")))?;
    // The prefix lets people and secret scanners see what it is, and keeps a leading `-` away.
    Ok(format!("mist_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}
