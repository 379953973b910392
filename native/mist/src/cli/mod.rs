//! Owns the command line: from arguments to an exit code.

mod args;
mod ask;
mod bench;
mod complete;
mod connect;
mod exec;
mod exit;
mod format;
mod help;
mod host;
mod input;
mod log;
mod memory;
mod notify;
mod open_files;
mod out;
mod paper;
mod publish;
mod reload;
mod serve;
mod server_args;
mod signals;
mod subscribe;
mod tags;
mod tip;
mod token;
mod values;

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::args::{Cli, Command};
use self::connect::Target;
use self::exit::{Code, Stop};
use self::host::SharedArgs;
use self::server_args::ServerArgs;
use crate::config::{self, ConfigError, Layer, LogLevel, Origin, Secret, Settings};

/// Does what the command line asks for.
pub(crate) fn run() -> ExitCode {
    paper::answer_shell();
    let code = match Cli::try_parse() {
        Ok(cli) => match dispatch(cli) {
            Ok(()) => Code::Ok,
            Err(stop) => {
                if let Some(text) = stop.text {
                    out::error(&text);
                }
                stop.code
            }
        },
        Err(error) => {
            let error = tip::add(error);
            // Help and version come this way too, on stdout; a closed pipe is no failure.
            let _ = error.print();
            match error.exit_code() {
                0 => Code::Ok,
                _ => Code::Usage,
            }
        }
    };
    ExitCode::from(code as u8)
}

fn dispatch(cli: Cli) -> Result<(), Stop> {
    if cli.shared.quiet {
        out::be_quiet();
    }
    let Some(command) = cli.command else {
        return serve_or_help(cli.server, cli.settings, cli.shared);
    };
    let is_serve = matches!(command, Command::Serve(_));
    let flag = (cli.server && !is_serve).then_some("--server");
    if let Some(flag) = flag.or_else(|| cli.settings.given()) {
        return Err(Stop::usage(match is_serve {
            true => format!("write {flag} behind the command, as in `mist serve {flag} …`"),
            false => format!("{flag} is for a server and does not go with a command"),
        }));
    }
    let shared = cli.shared;
    let target = |host| Target::new(host, &shared);
    match command {
        Command::Serve(args) => serve_or_help(true, *args, shared),
        Command::Ping(args) => run_to_its_end(ask::ping(&target(&args.ask.host)?, &args)),
        Command::Listall(args) => block_on(ask::list_all(&target(&args.host)?, args.answer.output)),
        Command::Who(args) => block_on(ask::who(&target(&args.host)?, args.answer.output)),
        Command::Subscribe(args) => {
            let sets = subscribe::tag_sets(&args)?;
            block_on(subscribe::run(&target(&args.host)?, &args, &sets))
        }
        Command::Publish(args) => {
            let job = publish::job(&args)?;
            block_on(publish::run(&target(&args.host)?, &args, &job))
        }
        Command::Bench(args) => bench::run(&target(&args.host)?, &args),
        Command::Latency(args) => bench::run_latency(&target(&args.host)?, &args),
        Command::Token { command } => token::run(&command, &shared),
        Command::CheckConfig { file, answer } => paper::check_config(&file, answer.output, &shared),
        Command::Completions { shell } => paper::completions(shell),
        Command::Man { command } => paper::man(command.as_deref()),
    }
}

/// Runs a server, if the flags, the environment or a config file ask for one.
fn serve_or_help(is_server: bool, flags: ServerArgs, shared: SharedArgs) -> Result<(), Stop> {
    let given = flags.given();
    let read = move || {
        let settings = server_settings(is_server, &flags, &shared)?;
        if settings.server.value {
            settings.check()?;
        }
        Ok(settings)
    };
    let settings = read()?;
    if settings.server.value {
        return serve::serve(settings, read);
    }
    if let Some(flag) = given {
        return Err(Stop::usage(format!(
            "{flag} is for a server: write `mist serve {flag} …`"
        )));
    }
    match std::env::args_os().len() {
        0 | 1 => out::raw(help::FIRST.as_bytes()),
        _ => out::raw(Cli::command().render_help().to_string().as_bytes()),
    }
}

/// Runs a command's future, which Ctrl-C ends.
fn block_on(work: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    run_to_its_end(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Err(Stop::quiet(Code::Interrupted)),
            result = work => result,
        }
    })
}

/// Runs a command's future, which knows itself what Ctrl-C means.
fn run_to_its_end(work: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    let runtime = runtime(1)?;
    let result = runtime.block_on(work);
    // Nothing that still waits, for a name server say, may hold up the end.
    runtime.shutdown_background();
    result
}

fn runtime(threads: u16) -> Result<tokio::runtime::Runtime, Stop> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .worker_threads(threads.into())
        .enable_all()
        .build()
        .map_err(|error| Stop::failed(format!("cannot start: {error}")))
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Self {
        Self::failed(error.to_string())
    }
}

fn shared_layer(shared: &SharedArgs) -> Layer {
    Layer {
        token: shared.token.as_deref().and_then(Secret::new),
        token_file: shared.token_file.clone(),
        log_level: shared.log_level,
        log_format: shared.log_format,
        ..Layer::default()
    }
}

fn server_settings(
    is_server: bool,
    server: &ServerArgs,
    shared: &SharedArgs,
) -> Result<Settings, Stop> {
    let list = |lists: &[String], split: fn(&str) -> Vec<String>| {
        let items = || lists.iter().flat_map(|list| split(list));
        (!lists.is_empty()).then(|| items().collect())
    };
    let flags = Layer {
        server: is_server.then_some(true),
        listeners: list(&server.listeners, config::comma_list),
        operator_listener: list(&server.operator_listener, config::comma_list),
        allow_origin: list(&server.allow_origin, config::whole_list),
        allow_host: list(&server.allow_host, config::whole_list),
        trusted_proxies: list(&server.trusted_proxies, config::whole_list),
        no_page: server.no_page.then_some(true),
        no_metrics: server.no_metrics.then_some(true),
        drain_delay: server.drain_delay,
        drain: server.drain,
        tls_cert: server.tls_cert.clone(),
        tls_key: server.tls_key.clone(),
        authenticator: list(&server.authenticator, |uri| vec![uri.to_owned()]),
        access: server.access,
        log_level: shared.log_level.or(shared.quiet.then_some(LogLevel::Warn)),
        limits: server.limits.iter().cloned().collect(),
        ..shared_layer(shared)
    };
    let file = server.config.clone().or_else(|| {
        std::env::var_os(config::variable("config"))
            .filter(|path| !path.is_empty())
            .map(Into::into)
    });
    layered(flags, file.as_deref())
}

/// Puts the flags over the environment over a file.
fn layered(flags: Layer, file: Option<&Path>) -> Result<Settings, Stop> {
    let environment = Layer::from_environment(config::KEYS, |name| std::env::var_os(name))?;
    let mut layers = vec![
        (Origin::CommandLine, flags),
        (Origin::Environment, environment),
    ];
    if let Some(path) = file {
        layers.push((Origin::File(path.to_owned()), Layer::from_file(path)?));
    }
    Ok(Settings::decide(&layers)?)
}
