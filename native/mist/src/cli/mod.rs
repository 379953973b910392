//! Owns the command line: from arguments to an exit code.

mod args;
mod ask;
mod bench;
mod complete;
mod connect;
mod describe;
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
mod registered;
mod reload;
mod runtime;
mod serve;
mod server_args;
mod settings;
mod signals;
mod subscribe;
mod tags;
mod tip;
mod token;
mod values;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::connect::Target;
use self::exit::{Code, Stop};
use self::host::SharedArgs;
use self::runtime::{block_on, run_to_its_end};
use self::server_args::ServerArgs;
use self::settings::server_settings;

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
        Command::Nodes(args) => block_on(ask::nodes(&target(&args.host)?, args.answer.output)),
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
    let read = move || server_settings(is_server, &flags, &shared);
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
        _ => Err(Stop::usage(
            "no command: `mist serve` starts a server, `mist --help` lists the commands",
        )),
    }
}
