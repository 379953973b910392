//! Owns the long texts of `--help`; the short ones stand beside the arguments.

use mist::Limits;

/// Version and commit, as `-v` prints them after the name.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("MIST_COMMIT"), ")");

/// What `mist` prints without arguments.
pub(super) const FIRST: &str = "\
mist delivers messages by their tags: a subscription gets the messages that carry all of its tags.

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
  MIST_FINGERPRINT        as --fingerprint
  MIST_INSECURE           true: as --insecure
  MIST_TOKEN              the token
  MIST_TOKEN_FILE         a file with the token
  MIST_LOG_LEVEL          as --log-level
  MIST_LOG_FORMAT         as --log-format
  MIST_SERVER             true: run a server
  MIST_LISTENERS          as --listeners, a comma list
  MIST_OPERATOR_LISTENER  as --operator-listener, a comma list
  MIST_CLUSTER            as --cluster, out of the list of processes
  MIST_CLUSTER_OPTIONAL   true: as --cluster-optional
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
On SIGTERM the server ends once everything queued is sent, after --drain-delay and --drain; a second
one ends it at once. On SIGHUP it reads the certificate, the config file and the token file again:
certificate, token, limits, log level, and the trusted pages, hosts and proxies change at once; the
log names other changes, which need a restart. If anything is wrong, nothing changes. systemd is
notified when the server is ready (Type=notify), and may pass on the listeners' sockets.

Examples:
  mist serve
  mist serve --config /etc/mist/mist.toml
  mist serve --listeners tcp://0.0.0.0:1445,ws://0.0.0.0:8888
  mist serve --listeners tls://0.0.0.0:1446 --tls-cert cert.pem --tls-key key.pem
  mist serve --authenticator sqlite:///var/lib/mist/tokens.db --token-file /run/secrets/mist
  mist serve --cluster \"nats://127.0.0.1:4222?node=a\"     with others, over the same NATS";

pub(super) const PING: &str = "\
Examples:
  mist ping
  mist ping -c 5 -i 200ms
  mist ping --host ws://127.0.0.1:8888
  mist ping --host tls://mist.example.org --ca ca.pem
  mist ping --host tls://10.0.0.7 --fingerprint 5E:0C:…
  mist ping --host unix:///run/mist.sock";

pub(super) const SUBSCRIBE: &str = "\
The first line says `Listening on tags '[…]'`, then comes one message per line. With -o json, -o raw,
--format and --exec the first line goes to stderr, since programs read the output. A lost connection
is made again; stderr says so.

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
Prints `success` once the server has accepted everything. With --stdin-line, lines that are not UTF-8
are reported on stderr and skipped, and the exit code is 1.

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
  pub      publishers only; without `mist bench sub` elsewhere nobody receives their messages
  sub      subscribers only: waits for `mist bench pub`, and ends with it; the messages of its
           warm-up count, too (`mist bench pub --warm-up 0` sends none)
  pipe     one publisher, one subscriber
  fan-out  one publisher, many subscribers that all get everything (10)
  pairs    many publishers, each with a subscriber of its own (10)
  match    one publisher; many subscriptions to two tags each, of which about one matches (10000)
  all      all of these except sub, one after another

The figures are those of received messages, from the first publish to the last arrival, without
connecting and subscribing. A publisher waits while one of its readers has --window messages still to
read, and writes many messages at once; `pub` and `match` wait for the server's pongs in the same way.
Each message carries its publisher and a number, so that loss, duplicates and disorder are counted:
  dropped  lost, as the server has reported; a smaller --window avoids it
  lost     lost without a report, which is an error (exit code 5); ? when the run was cut short
The messages are made and read by --threads threads of this process; if these are always busy, they
are what is measured. With --access scoped this needs the server's token.

Examples:
  mist bench
  mist bench pipe --size 16,128,1024
  mist bench fan-out --subscribers 100 --duration 5s -o json
  mist bench pairs --clients 50 --count 1000000 --csv pairs.csv
  mist bench match --subscriptions 100000 --tags 4
  mist bench sub --clients 10        in one terminal, and in another
  mist bench pub --count 100000";

pub(super) const LATENCY: &str = "\
Messages are published on a schedule, and the time of each counts from the moment it was due: if the
server, the network or this program stalls, the messages that were due meanwhile show it (there is no
coordinated omission). With --ping it is the time from when a ping was due to its pong, on one
connection. `sent late` tells how long after their due times messages were sent: that is the delay of
this program, or of a server that accepts nothing.

Examples:
  mist latency
  mist latency --rate 1000/s --subscribers 100 --duration 10s
  mist latency --ping --host wss://mist.example.org
  mist latency -o json | jq .p99_us";

pub(super) const LISTALL: &str = "\
Examples:
  mist listall
  mist listall -o json | jq -r '.tags[]'
  mist listall --host ws://127.0.0.1:8888";

pub(super) const NODES: &str = "\
The table has for each node its name and version, how long it has been running, its connections and
subscriptions, the messages that its clients have published, that it has sent to other nodes and
received from them, the bytes that wait to be sent to them, and how long it took to answer. A node
that has fallen silent is listed for a minute, with what it said last.

Examples:
  mist nodes
  mist nodes -o json | jq '.nodes[] | select(.silent_seconds) | .name'
  mist nodes --host 10.0.0.7:1445 -o json";

pub(super) const WHO: &str = "\
Examples:
  mist who --host 10.0.0.7:1445";

pub(super) const TOKEN: &str = "\
The token to manage follows the command. This needs the server's token, given by --token,
--token-file, MIST_TOKEN or MIST_TOKEN_FILE.

Examples:
  export MIST_TOKEN_FILE=/run/secrets/mist
  new=$(mist token gen)
  mist token add \"$new\" --tags bus,tram
  mist token unset \"$new\" --tags tram
  mist token tags \"$new\"
  mist token set \"$new\" --ttl 30d
  mist token list
  mist token end sha256:c2b1ef52f7d0    a name in that list, if the store keeps only hashes
  echo \"$new\" | mist token rm -";

pub(super) const CHECK_CONFIG: &str = "\
Environment variables apply as for a server. The listeners and the certificate files are checked, but
no address is bound. Tokens are not shown.

Examples:
  mist check-config mist.yml";

pub(super) const COMPLETIONS: &str = "\
The script asks this program for completions. To complete tags, the program asks the server of
MIST_HOST for those that have subscribers.

Examples:
  mist completions bash > ~/.local/share/bash-completion/completions/mist
  mist completions zsh > \"${fpath[1]}/_mist\"
  mist completions fish > ~/.config/fish/completions/mist.fish";

pub(super) const MAN: &str = "\
Examples:
  mist man > mist.1
  mist man subscribe | man -l -";

/// The help of `--limit`, which names all limits.
pub(super) fn limit() -> String {
    let names: Vec<_> = Limits::ALL.iter().map(|limit| limit.name).collect();
    format!("Change a limit, repeatable: {}", names.join(", "))
}
