//! Owns the long texts of `--help`; the short ones stand beside the arguments.

use mist::Limits;

/// Version and commit, as `-v` prints them after the name.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("MIST_COMMIT"), ")");

/// What `mist` alone says.
pub(super) const FIRST: &str = "\
mist passes messages on by their tags: who subscribes to some tags gets what carries all of them.

  mist serve                       start a server
  mist sub bus late                print the messages that carry both tags
  mist pub bus late -- \"12 min\"    send one

`mist --help` has the rest, `mist help sub` all about one command.
";

pub(super) const ROOT: &str = "\
Examples:
  mist serve
  mist sub bus line:7
  mist pub bus line:7 late -- \"3 minutes late\"

`mist --server` with the flags under *Server* is `mist serve`.

Environment (a flag wins over a variable, a variable over the config file):
  MIST_HOST               the server that commands talk to
  MIST_CA                 as --ca
  MIST_INSECURE           true: as --insecure
  MIST_TOKEN              the token
  MIST_TOKEN_FILE         a file with the token
  MIST_LOG_LEVEL          as --log-level
  MIST_LOG_FORMAT         as --log-format
  MIST_SERVER             true: run a server
  MIST_LISTENERS          as --listeners, a comma list
  MIST_OPERATOR_LISTENER  as --operator-listener, a comma list
  MIST_TLS_CERT           as --tls-cert
  MIST_TLS_KEY            as --tls-key
  MIST_AUTHENTICATOR      as --authenticator, several with blanks in between
  MIST_ACCESS             as --access
  MIST_ALLOW_ORIGIN       as --allow-origin, a comma list
  MIST_ALLOW_HOST         as --allow-host, a comma list
  MIST_TRUSTED_PROXIES    as --trusted-proxies, a comma list
  MIST_NO_PAGE            true: as --no-page
  MIST_NO_METRICS         true: as --no-metrics
  MIST_LIMITS             as --limit, a comma list
  MIST_CONFIG             as --config
  NO_COLOR                no colour in logs

Exit codes:
  0 ok   1 failure   2 usage   3 cannot connect   4 auth refused   5 server error
  124 the wait ran out   130 interrupted

`mist man` prints the manual, `mist completions bash` the shell completions.";

pub(super) const SERVE: &str = "\
SIGTERM ends it when what is queued has been sent, after --drain-delay and --drain; a second one
ends it at once. SIGHUP reads the certificate, the config file and the token file again:
certificate, token, limits, log level, and whose pages, hosts and proxies are trusted change at
once; the log names what else has changed and needs a restart. Where something is wrong, all stays
as it was. systemd is told when it is ready (Type=notify), and may pass on the listeners' sockets.

Examples:
  mist serve
  mist serve --config /etc/mist/mist.toml
  mist serve --listeners tcp://0.0.0.0:1445,ws://0.0.0.0:8888
  mist serve --listeners tls://0.0.0.0:1446 --tls-cert cert.pem --tls-key key.pem
  mist serve --authenticator sqlite:///var/lib/mist/tokens.db --token-file /run/secrets/mist";

pub(super) const PING: &str = "\
Examples:
  mist ping
  mist ping -c 5 -i 200ms
  mist ping --host ws://127.0.0.1:8888
  mist ping --host tls://mist.example.org --ca ca.pem
  mist ping --host unix:///run/mist.sock";

pub(super) const SUBSCRIBE: &str = "\
The first line says `Listening on tags '[…]'`, then comes one message per line. With -o json or raw,
--format and --exec, of which programs read the output, that first line goes to stderr. A lost
connection is made again, and stderr says so.

Examples:
  mist sub bus line:7                 messages that carry both tags
  mist sub bus --also tram,late       messages that carry bus, or both tram and late
  mist sub bus -n 1 -W 10             one message, or none in 10 seconds
  mist sub bus --idle 60              until a minute passes without one
  mist sub bus -o json | jq .data
  mist sub bus -F '{time} {tags} {data}'
  mist sub bus -F '{data:json}\\t{tags:json}'
  mist sub bus --exec 'mail -s \"$MIST_TAGS\" me'
  mist subscribe --tags bus,line:7    the long form";

pub(super) const PUBLISH: &str = "\
Prints `success` when the server has taken everything. With --stdin-line, lines that are not UTF-8
are named on stderr and left out; then it ends with exit code 1.

Examples:
  mist pub bus line:7 -- \"3 minutes late\"
  date | mist pub clock
  mist pub report --data - < report.txt
  tail -f app.log | mist pub log --stdin-line
  mist pub load --count 1000 --rate 50/s --ack -- x
  mist publish --tags bus,line:7 --data \"3 minutes late\"    the long form, in which a word
  mist publish --tags bus hello                              behind --tags is the data";

pub(super) const BENCH: &str = "\
Scenarios:
  pub      publishers alone; without `mist bench sub` elsewhere nobody gets their messages
  sub      subscribers alone: waits for `mist bench pub`, and ends when that has ended; what that
           sends to warm up counts, too (`mist bench pub --warm-up 0` sends none)
  pipe     one publisher, one subscriber
  fan-out  one publisher, many subscribers that all get everything (10)
  pairs    many publishers, each with a subscriber of its own (10)
  match    one publisher; many subscriptions to two tags each, of which about one matches (10000)
  all      all of these but sub, one after the other

Measured is what arrives, from the first message to the last arrival; connecting and subscribing are
not in it. A publisher waits while one of its readers has --window messages still to read, and writes
many messages at once; `pub` and `match` wait for the server's pongs in the same way. Each message
carries its publisher and a number, so what is lost, doubled or out of order is counted:
  dropped  lost, and the server has said so; a smaller --window avoids it
  lost     lost without a word, which is an error (exit code 5); ? when the run was cut short
The messages are made and read by --threads threads of this one process; when they are busy all the
time, it is they that are measured. Under --access scoped this takes the server's token.

Examples:
  mist bench
  mist bench pipe --size 16,128,1024
  mist bench fan-out --subscribers 100 --duration 5s --json
  mist bench pairs --clients 50 --count 1000000 --csv pairs.csv
  mist bench match --subscriptions 100000 --tags 4
  mist bench sub --clients 10        in one terminal, and in another
  mist bench pub --count 100000";

pub(super) const LATENCY: &str = "\
Messages are published on a schedule, and each one's time counts from the moment it was due: when the
server, the network or this program stands still, the messages that should have gone meanwhile show
it (there is no coordinated omission). With --ping it is the time from when a ping was due to its
pong, on one connection.
`sent late` says how long after their due times messages were handed over: what it shows has been
this program's own delay, or a server that takes nothing.

Examples:
  mist latency
  mist latency --rate 1000/s --subscribers 100 --duration 10s
  mist latency --ping --host wss://mist.example.org
  mist latency --json | jq .p99_us";

pub(super) const LISTALL: &str = "\
Examples:
  mist listall
  mist listall -o json | jq -r '.tags[]'
  mist listall --host ws://127.0.0.1:8888";

pub(super) const NODES: &str = "\
The table says of each node its name and version, since when it runs, its connections and
subscriptions, the messages its clients have published and those it has taken from other nodes,
and how long it took to answer.

Examples:
  mist nodes
  mist nodes --host 10.0.0.7:1445 -o json";

pub(super) const WHO: &str = "\
Examples:
  mist who --host 10.0.0.7:1445";

pub(super) const TOKEN: &str = "\
The token to manage follows the command; --token, --token-file, MIST_TOKEN and MIST_TOKEN_FILE give
the server's token, which allows it.

Examples:
  export MIST_TOKEN_FILE=/run/secrets/mist
  new=$(mist token gen)
  mist token add \"$new\" --tags bus,tram
  mist token unset \"$new\" --tags tram
  mist token tags \"$new\"
  echo \"$new\" | mist token rm -";

pub(super) const CHECK_CONFIG: &str = "\
The environment counts as it does for a server. The listeners' form and the certificate files are
checked, no address is taken. Tokens are not shown.

Examples:
  mist check-config mist.yml";

pub(super) const COMPLETIONS: &str = "\
The script asks this program for what may come next; for tags, that asks the server of MIST_HOST,
and offers those that somebody subscribes to.

Examples:
  mist completions bash > ~/.local/share/bash-completion/completions/mist
  mist completions zsh > \"${fpath[1]}/_mist\"
  mist completions fish > ~/.config/fish/completions/mist.fish";

pub(super) const MAN: &str = "\
Examples:
  mist man > mist.1
  mist man subscribe | man -l -";

/// The help of `--limit`, which names what there is.
pub(super) fn limit() -> String {
    let names: Vec<_> = Limits::ALL.iter().map(|limit| limit.name).collect();
    format!("Change a limit, repeatable: {}", names.join(", "))
}
