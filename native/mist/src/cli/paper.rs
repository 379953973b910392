//! Owns the commands that only print: what a config file amounts to, completions, manual pages.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};
use mist::Access;
use serde_json::{Map, Value, json};

use super::args::Cli;
use super::exit::{Code, Stop};
use super::host::{Answer, SharedArgs};
use super::settings::{layered, shared_layer};
use super::{describe, out};
use crate::config::{Decided, Settings};

/// Prints what a server would use with a config file: as YAML, or as one JSON object.
pub(super) fn check_config(file: &Path, answer: Answer, shared: &SharedArgs) -> Result<(), Stop> {
    let mut wrong = Vec::new();
    let settings = layered(shared_layer(shared), Some(file), &mut wrong);
    settings.check(&mut wrong);
    let mut faults: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    faults.extend(describe::faults(&settings, &settings.listeners.value));
    if !faults.is_empty() {
        return match answer {
            Answer::Plain => Err(Stop::usage(faults.join("\n"))),
            Answer::Json => {
                out::line(&json!({ "faults": faults }).to_string())?;
                Err(Stop::quiet(Code::Usage))
            }
        };
    }
    if let Some(remark) = settings.remark() {
        out::note(&remark);
    }
    if out::is_quiet() {
        return Ok(());
    }
    let used = used(&settings);
    match answer {
        Answer::Plain => out::raw(yaml(&used).as_bytes()),
        Answer::Json => out::line(&object(&used)),
    }
}

/// What would be used of a setting.
struct Used {
    /// Its name; that of a limit with `limits.` in front.
    key: String,
    value: Value,
    origin: String,
    /// Whether something secret was left out of the value.
    is_secret: bool,
}

impl Used {
    fn new<T>(key: &str, decided: &Decided<T>, value: impl Into<Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
            origin: decided.origin.to_string(),
            is_secret: false,
        }
    }
}

fn used(settings: &Settings) -> Vec<Used> {
    let mut all = vec![
        Used::new("server", &settings.server, settings.server.value),
        Used::new("listeners", &settings.listeners, &*settings.listeners.value),
    ];
    let operator = &settings.operator_listener;
    if !operator.value.is_empty() {
        all.push(Used::new("operator-listener", operator, &*operator.value));
    }
    all.extend(settings.cluster.iter().map(|cluster| {
        let shown = redacted(&cluster.value, Alone::Token);
        Used {
            is_secret: shown != cluster.value,
            ..Used::new("cluster", cluster, shown)
        }
    }));
    for (key, path) in [
        ("tls-cert", &settings.tls_cert),
        ("tls-key", &settings.tls_key),
    ] {
        let path = path.iter();
        all.extend(path.map(|path| Used::new(key, path, path.value.to_string_lossy())));
    }
    let uris = &settings.authenticator;
    if !uris.value.is_empty() {
        let shown = uris.value.iter();
        let shown: Vec<_> = shown.map(|uri| redacted(uri, Alone::User)).collect();
        let is_secret = shown != uris.value;
        let value = match &*shown {
            [uri] => Value::from(&**uri),
            uris => Value::from(uris),
        };
        all.push(Used {
            is_secret,
            ..Used::new("authenticator", uris, value)
        });
    }
    all.extend(settings.token.iter().map(|token| Used {
        is_secret: true,
        ..Used::new("token", token, "set, not shown")
    }));
    let access = match settings.access.value {
        Access::Open => "open",
        Access::Scoped => "scoped",
    };
    all.push(Used::new("access", &settings.access, access));
    let lists = [
        ("allow-origin", &settings.allow_origin),
        ("allow-host", &settings.allow_host),
        ("trusted-proxies", &settings.trusted_proxies),
    ];
    let lists = lists.iter().filter(|(_, list)| !list.value.is_empty());
    all.extend(lists.map(|(key, list)| Used::new(key, list, &*list.value)));
    let switches = [
        ("cluster-optional", &settings.cluster_optional),
        ("no-page", &settings.no_page),
        ("no-metrics", &settings.no_metrics),
    ];
    let switches = switches.iter().filter(|(_, switch)| switch.value);
    all.extend(switches.map(|(key, switch)| Used::new(key, switch, true)));
    let times = [
        ("drain-delay", &settings.drain_delay),
        ("drain", &settings.drain),
    ];
    let times = times.iter().filter(|(_, time)| !time.value.is_zero());
    all.extend(times.map(|(key, time)| Used::new(key, time, format!("{:?}", time.value))));
    let (level, format) = (&settings.log_level, &settings.log_format);
    all.push(Used::new("log-level", level, level.value.to_string()));
    all.push(Used::new("log-format", format, format.value.to_string()));
    let limits = settings.limits.iter();
    all.extend(
        limits.map(|(name, limit)| Used::new(&format!("limits.{name}"), limit, limit.value)),
    );
    all
}

/// Secrets are in comments, so that a server started with this text as its config file does not get their placeholders as
/// values.
fn yaml(all: &[Used]) -> String {
    let mut text = String::new();
    let mut is_within = false;
    for used in all {
        let limit = used.key.strip_prefix("limits.");
        if limit.is_some() && !std::mem::replace(&mut is_within, true) {
            text.push_str("limits:\n");
        }
        let key = limit.map_or_else(|| used.key.clone(), |name| format!("  {name}"));
        let mark = if used.is_secret { "# " } else { "" };
        // Words that are no values of their own need no quotes, and are read more easily.
        let value = match (&used.value, &*used.key) {
            (Value::String(word), "access" | "log-level" | "log-format" | "token") => word.clone(),
            (value, _) => value.to_string(),
        };
        text.push_str(&format!("{mark}{key}: {value}  # {}\n", used.origin));
    }
    text
}

/// Of each setting its value and where it is from; without the value where that is secret.
fn object(all: &[Used]) -> String {
    let (mut settings, mut limits) = (Map::new(), Map::new());
    for used in all {
        let mut about = Map::new();
        if !used.is_secret {
            about.insert("value".to_owned(), used.value.clone());
        }
        about.insert("from".to_owned(), Value::from(&*used.origin));
        match used.key.strip_prefix("limits.") {
            Some(name) => limits.insert(name.to_owned(), about.into()),
            None => settings.insert(used.key.clone(), about.into()),
        };
    }
    settings.insert("limits".to_owned(), limits.into());
    Value::from(settings).to_string()
}

/// What one word before the host is.
#[derive(Clone, Copy)]
enum Alone {
    User,
    Token,
}

/// Hides the password in a URI, even if it should have been escaped and is not: a parser would take a part of it
/// for the path.
fn redacted(uri: &str, alone: Alone) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((before, place)) => match (before.split_once(':'), alone) {
            (Some((user, _)), _) => format!("{scheme}://{user}:***@{place}"),
            (None, Alone::User) => uri.to_owned(),
            (None, Alone::Token) => format!("{scheme}://***@{place}"),
        },
        // Several servers of a cluster are no URL.
        None if matches!(alone, Alone::Token) || url::Url::parse(uri).is_ok() => uri.to_owned(),
        None => format!("{scheme}://…"),
    }
}

/// Says that a shell asks what may come next, and which one.
const SHELL_VARIABLE: &str = "MIST_COMPLETE";

/// Answers a shell that asks what may come next, and ends; for everybody else it does nothing.
pub(super) fn answer_shell() {
    CompleteEnv::with_factory(Cli::command)
        .var(SHELL_VARIABLE)
        .complete();
}

/// A file of functions is run when they are first needed, and has to do what it defines.
const ZSH_FILE: &str = "\
if [[ $funcstack[1] == _mist ]]; then
    _clap_dynamic_completer_mist \"$@\"
fi
";

/// Prints the script by which a shell asks this program.
pub(super) fn completions(shell: Shell) -> Result<(), Stop> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let written = shells.completer(&shell.to_string()).map(|completer| {
        completer.write_registration(SHELL_VARIABLE, "mist", "mist", "mist", &mut script)
    });
    if shell == Shell::Zsh {
        script.extend_from_slice(ZSH_FILE.as_bytes());
    }
    match written {
        Some(Ok(())) => out::raw(&script),
        _ => Err(Stop::failed(format!("there is no script for {shell}"))),
    }
}

/// Prints a manual page, in roff.
pub(super) fn man(command: Option<&str>) -> Result<(), Stop> {
    let mut root = Cli::command();
    root.build();
    let page = match command {
        None => root,
        Some(name) => {
            let found = root.find_subcommand(name).cloned();
            found.ok_or_else(|| Stop::usage(format!("no manual page: '{name}' is no command")))?
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(|error| Stop::failed(format!("cannot make the page: {error}")))?;
    out::raw(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uri: &str) -> String {
        redacted(uri, Alone::User)
    }

    #[test]
    fn of_a_cluster_the_password_or_the_token_is_hidden() {
        for (uri, shown) in [
            (
                "nats://me:secret@a:4222,b:4222?name=x",
                "nats://me:***@a:4222,b:4222?name=x",
            ),
            ("tls://secret@a", "tls://***@a"),
            ("nats://a:4222,b:4222?node=x", "nats://a:4222,b:4222?node=x"),
        ] {
            assert_eq!(redacted(uri, Alone::Token), shown);
        }
    }

    #[test]
    fn a_password_in_a_uri_is_hidden() {
        assert_eq!(
            user("postgres://me:secret@host:5432?db=mist"),
            "postgres://me:***@host:5432?db=mist"
        );
        for uri in [
            "memory://",
            "scribble://?db=/var/lib/mist",
            "sqlite:///var/lib/a@b.db",
            "postgres://me@host:5432?db=mist",
            "postgres://host:5432?db=mist",
        ] {
            assert_eq!(user(uri), uri);
        }
    }

    #[test]
    fn a_password_that_is_not_escaped_is_hidden_as_a_whole() {
        for password in [
            "se#cret",
            "5432/secret",
            "sec?ret",
            "se@cret",
            "s:e/c#r@e?t",
        ] {
            let uri = format!("postgres://me:{password}@host:5432?db=mist");
            assert_eq!(user(&uri), "postgres://me:***@host:5432?db=mist");
        }
        assert_eq!(user("postgres://me:secret"), "postgres://…");
    }
}
