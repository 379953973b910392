//! Owns `mist token`: the admin commands about tokens, and making new ones.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mist::client::{Admin, Client};
use serde_json::json;

use super::args::{TokenArgs, TokenCommand, TokenTagsArgs};
use super::connect::{Target, failed};
use super::exit::Stop;
use super::host::{Answer, SharedArgs};
use super::runtime::block_on;
use super::values::Life;
use super::{input, out, registered};
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
                registered::list(&client, args.answer.output).await
            })
        }
        TokenCommand::Tags(args) => {
            let (target, subject) = subject(args, shared, "list tags")?;
            block_on(async {
                let client = target.connect().await?;
                let granted = match &subject {
                    Subject::Token(token) => {
                        let granted = client.admin().grants(token).await.map_err(failed)?;
                        let ends = granted.expires_in.map(|left| left.as_secs());
                        (granted.subscribe, granted.publish, ends)
                    }
                    Subject::Hash(digits) => {
                        let found = registered::find(&client, digits).await?;
                        (found.subscribe, found.publish, found.expires_in)
                    }
                };
                print_grants(granted, args.ask.answer.output)
            })
        }
    }
}

/// Prints what a token grants, and in how many seconds it ends.
fn print_grants(
    (subscribe, publish, ends): (Vec<String>, Vec<String>, Option<u64>),
    output: Answer,
) -> Result<(), Stop> {
    let mut tags = registered::in_words(&subscribe, &publish);
    if output == Answer::Plain {
        return tags.try_for_each(|(tag, right)| match right {
            Some(right) => out::line(&format!("{tag}\t{right}")),
            None => out::line(tag),
        });
    }
    let tags: Vec<_> = tags.map(|(tag, _)| tag).collect();
    let mut answer = json!({ "tags": tags });
    if subscribe != publish {
        answer["subscribe"] = json!(subscribe);
        answer["publish"] = json!(publish);
    }
    if let Some(seconds) = ends {
        answer["expires_in"] = json!(seconds);
    }
    out::line(&answer.to_string())
}

/// Removes a token; `name` is the wire's.
fn remove(args: &TokenArgs, shared: &SharedArgs, name: &'static str) -> Result<(), Stop> {
    let (target, subject) = subject(args, shared, name)?;
    block_on(async {
        let client = target.connect().await?;
        let (admin, token) = subject.find(&client).await?;
        match (name, &subject) {
            ("end", Subject::Token(_)) => {
                // In a hurry to end a token, a typing error must not look like success.
                admin.grants(&token).await.map_err(failed)?;
                admin.end(&token).await
            }
            ("end", Subject::Hash(_)) => admin.end(&token).await,
            _ => admin.unregister(&token).await,
        }
        .map_err(failed)?;
        done(args)
    })
}

/// Does those that take tags too; `name` is the wire's.
fn change(
    args: &TokenTagsArgs,
    ttl: Option<Life>,
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
    let (target, subject) = subject(&args.token, shared, name)?;
    if let (Subject::Hash(_), "register") = (&subject, name) {
        let why = "write the token itself, not its hash; if it really looks like one, on stdin";
        return Err(Stop::usage(format!("Unable to register - {why}")));
    }
    block_on(async {
        let client = target.connect().await?;
        let (admin, token) = subject.find(&client).await?;
        let admin = admin.rights(args.rights.into());
        let admin = match ttl {
            Some(Life::For(ttl)) => admin.ttl(ttl),
            Some(Life::Endless) => admin.endless(),
            None => admin,
        };
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

/// The token to manage.
enum Subject {
    Token(String),
    /// The first digits of its hash, as `mist token list` shows them.
    Hash(String),
}

impl Subject {
    /// The commands for it, and what these call it.
    async fn find<'a>(&self, client: &'a Client) -> Result<(Admin<'a>, String), Stop> {
        Ok(match self {
            Self::Token(token) => (client.admin(), token.clone()),
            Self::Hash(digits) => {
                let found = registered::find(client, digits).await?;
                (client.admin().by_hash(), found.sha256)
            }
        })
    }
}

/// The server, and the token to manage.
fn subject(args: &TokenArgs, shared: &SharedArgs, name: &str) -> Result<(Target, Subject), Stop> {
    let target = Target::new(&args.ask.host, shared)?;
    let subject = match args.subject.as_str() {
        "-" => {
            let text = input::all()?;
            let token = config::only_line(&text);
            let wrong = |why| Stop::usage(format!("Unable to {name} - stdin {why}"));
            Subject::Token(token.map_err(wrong)?.to_owned())
        }
        given => match registered::digits(given) {
            Some(digits) => Subject::Hash(digits),
            None => Subject::Token(given.to_owned()),
        },
    };
    match subject {
        Subject::Token(token) if token.is_empty() => {
            Err(Stop::usage(format!("Unable to {name} - Missing token")))
        }
        subject => Ok((target, subject)),
    }
}

/// Makes a token of 256 random bits that is safe in file names, URLs and shells.
fn generate() -> Result<String, Stop> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Stop::failed(format!("cannot get random numbers: {error}")))?;
    // The prefix lets people and secret scanners see what it is, and keeps a leading `-` away.
    Ok(format!("mist_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}
