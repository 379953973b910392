//! Owns the commands that only print: what a config file amounts to, completions, manual pages.

use std::fmt::Display;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};
use mist::Access;

use super::args::Cli;
use super::exit::Stop;
use super::host::SharedArgs;
use super::{layered, out, serve, shared_layer};
use crate::config::{Decided, Settings};

/// Prints, as YAML, what a server would use with a config file. Secrets stand in comments, so that nobody who takes the
/// text for a config file starts a server with what stands in their place.
pub(super) fn check_config(file: &Path, shared: &SharedArgs) -> Result<(), Stop> {
    let settings = layered(shared_layer(shared), Some(file))?;
    settings.check()?;
    serve::check(&settings, &settings.listeners.value).map_err(Stop::failed)?;
    if out::is_quiet() {
        return Ok(());
    }
    out::raw(describe(&settings).as_bytes())
}

fn describe(settings: &Settings) -> String {
    fn line<T>(text: &mut String, key: &str, decided: &Decided<T>, value: impl Display) {
        text.push_str(&format!("{key}: {value}  # {}\n", decided.origin));
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = String::new();
    line(&mut text, "server", &settings.server, settings.server.value);
    let listeners = serde_json::Value::from(settings.listeners.value.as_slice());
    line(&mut text, "listeners", &settings.listeners, listeners);
    if !settings.operator_listener.value.is_empty() {
        let listeners = serde_json::Value::from(settings.operator_listener.value.as_slice());
        line(
            &mut text,
            "operator-listener",
            &settings.operator_listener,
            listeners,
        );
    }
    for (key, path) in [
        ("tls-cert", &settings.tls_cert),
        ("tls-key", &settings.tls_key),
    ] {
        if let Some(path) = path {
            line(&mut text, key, path, quoted(&path.value.to_string_lossy()));
        }
    }
    let uris = &settings.authenticator;
    if !uris.value.is_empty() {
        let shown: Vec<_> = uris.value.iter().map(|uri| redacted(uri)).collect();
        let key = match shown == uris.value {
            true => "authenticator",
            false => "# authenticator",
        };
        let value = match &*shown {
            [uri] => quoted(uri),
            uris => serde_json::Value::from(uris).to_string(),
        };
        line(&mut text, key, uris, value);
    }
    if let Some(token) = &settings.token {
        line(&mut text, "# token", token, "set, not shown");
    }
    let access = match settings.access.value {
        Access::Open => "open",
        Access::Scoped => "scoped",
    };
    line(&mut text, "access", &settings.access, access);
    for (key, list) in [
        ("allow-origin", &settings.allow_origin),
        ("allow-host", &settings.allow_host),
        ("trusted-proxies", &settings.trusted_proxies),
    ] {
        if !list.value.is_empty() {
            let values = serde_json::Value::from(list.value.as_slice());
            line(&mut text, key, list, values);
        }
    }
    for (key, switch) in [
        ("no-page", &settings.no_page),
        ("no-metrics", &settings.no_metrics),
    ] {
        if switch.value {
            line(&mut text, key, switch, true);
        }
    }
    for (key, time) in [
        ("drain-delay", &settings.drain_delay),
        ("drain", &settings.drain),
    ] {
        if !time.value.is_zero() {
            line(&mut text, key, time, quoted(&format!("{:?}", time.value)));
        }
    }
    let level = settings.log_level.value;
    line(&mut text, "log-level", &settings.log_level, level);
    let format = settings.log_format.value;
    line(&mut text, "log-format", &settings.log_format, format);
    if !settings.limits.is_empty() {
        text.push_str("limits:\n");
        for (name, limit) in &settings.limits {
            line(&mut text, &format!("  {name}"), limit, limit.value);
        }
    }
    text
}

/// Hides the password that a store's URI may hold, also in one whose password should have been escaped and is not: then
/// a parser would take a part of it for the path.
fn redacted(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((before, place)) => match before.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***@{place}"),
            None => uri.to_owned(),
        },
        None if url::Url::parse(uri).is_ok() => uri.to_owned(),
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

    #[test]
    fn a_password_in_a_uri_is_hidden() {
        assert_eq!(
            redacted("postgres://me:secret@host:5432?db=mist"),
            "postgres://me:***@host:5432?db=mist"
        );
        for uri in [
            "memory://",
            "scribble://?db=/var/lib/mist",
            "sqlite:///var/lib/a@b.db",
            "postgres://me@host:5432?db=mist",
            "postgres://host:5432?db=mist",
        ] {
            assert_eq!(redacted(uri), uri);
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
            assert_eq!(redacted(&uri), "postgres://me:***@host:5432?db=mist");
        }
        assert_eq!(redacted("postgres://me:secret"), "postgres://…");
    }
}
