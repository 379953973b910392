//! Owns the rows of the README's table: which figures are in it, and what they are called.

use super::super::cost::PER_DELIVERY;

/// When a figure is better than another.
#[derive(Clone, Copy)]
pub(super) enum Better {
    /// When it is less.
    Less,
    /// When it is more.
    More,
    /// It is not for comparing.
    Neither,
}

/// Rows of one kind.
pub(super) struct Group {
    /// `SIZES` in it stands for the payload sizes.
    pub(super) title: &'static str,
    /// Which way its figures are better.
    pub(super) better: Better,
    /// Its rows.
    pub(super) rows: &'static [Row],
}

pub(super) struct Row {
    /// What is measured.
    pub(super) label: &'static str,
    /// Scenario and figure, one or more for each cell.
    pub(super) figures: &'static [(&'static str, &'static str)],
}

const fn row(label: &'static str, figures: &'static [(&'static str, &'static str)]) -> Row {
    Row { label, figures }
}

/// What stands for all payload sizes in a title, and makes its rows repeat for each.
pub(super) const SIZES: &str = "SIZES";

/// All rows.
pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "CPU µs of the server per delivered message, SIZES bytes",
        better: Better::Less,
        rows: &[
            row("one publisher, one subscriber", &[("pipe", PER_DELIVERY)]),
            row("one publisher, 10 subscribers", &[("fan-10", PER_DELIVERY)]),
            row(
                "one publisher, 100 subscribers",
                &[("fan-100", PER_DELIVERY)],
            ),
            row(
                "one publisher, 1,000 subscribers",
                &[("fan-1000", PER_DELIVERY)],
            ),
            row("50 pairs", &[("pairs-50", PER_DELIVERY)]),
            row(
                "WebSocket, one publisher, one subscriber",
                &[("ws-pipe", PER_DELIVERY)],
            ),
            row(
                "WebSocket, one publisher, 100 subscribers",
                &[("ws-fan-100", PER_DELIVERY)],
            ),
        ],
    },
    Group {
        title: "the same with 128 bytes and two tags: always the same set / another set each time",
        better: Better::Less,
        rows: &[
            row(
                "one publisher, one subscriber",
                &[
                    ("repeating-pipe", PER_DELIVERY),
                    ("varying-pipe", PER_DELIVERY),
                ],
            ),
            row(
                "one publisher, 10 subscribers",
                &[
                    ("repeating-fan-10", PER_DELIVERY),
                    ("varying-fan-10", PER_DELIVERY),
                ],
            ),
            row(
                "one publisher, 100 subscribers",
                &[
                    ("repeating-fan-100", PER_DELIVERY),
                    ("varying-fan-100", PER_DELIVERY),
                ],
            ),
            row(
                "one publisher, 1,000 subscribers",
                &[
                    ("repeating-fan-1000", PER_DELIVERY),
                    ("varying-fan-1000", PER_DELIVERY),
                ],
            ),
            row(
                "50 pairs",
                &[
                    ("repeating-pairs-50", PER_DELIVERY),
                    ("varying-pairs-50", PER_DELIVERY),
                ],
            ),
            row(
                "WebSocket, one publisher, 100 subscribers",
                &[
                    ("repeating-ws-fan-100", PER_DELIVERY),
                    ("varying-ws-fan-100", PER_DELIVERY),
                ],
            ),
        ],
    },
    Group {
        title: "the same with 128 bytes and two tags, two other shapes",
        better: Better::Less,
        rows: &[
            row(
                "each message for another of 16 subscribers",
                &[("alternating", PER_DELIVERY)],
            ),
            row(
                "tags out of order, one of them never there before",
                &[("unsorted", PER_DELIVERY)],
            ),
        ],
    },
    Group {
        title: "thousand publishes per second, few of which match",
        better: Better::More,
        rows: &[row(
            "1,000 / 10,000 / 100,000 / 1,000,000 two-tag subscriptions",
            &[
                ("match-1k", "thousand publishes/s"),
                ("match-10k", "thousand publishes/s"),
                ("match-100k", "thousand publishes/s"),
                ("match-1m", "thousand publishes/s"),
            ],
        )],
    },
    Group {
        title: "CPU µs of the server per delivered message of 47 tags",
        better: Better::Neither,
        rows: &[row(
            "1 / 10 / 100 / 1,000 different sets match, each of another connection",
            &[
                ("sets-1", PER_DELIVERY),
                ("sets-10", PER_DELIVERY),
                ("sets-100", PER_DELIVERY),
                ("sets-1000", PER_DELIVERY),
            ],
        )],
    },
    Group {
        title: "memory and connections",
        better: Better::Less,
        rows: &[
            row(
                "bytes per subscription, with 100,000 / 1,000,000",
                &[
                    ("match-100k", "bytes per subscription"),
                    ("match-1m", "bytes per subscription"),
                ],
            ),
            row(
                "KB per connection with a subscription, idle / after 10 messages",
                &[
                    ("memory", "idle KB each"),
                    ("memory", "KB each after 10 messages"),
                ],
            ),
            row(
                "the same, WebSocket",
                &[
                    ("ws-memory", "idle KB each"),
                    ("ws-memory", "KB each after 10 messages"),
                ],
            ),
            row(
                "connect, subscribe, close: CPU µs",
                &[("connect", "CPU µs each")],
            ),
        ],
    },
    Group {
        title: "time in µs, p50 / p99",
        better: Better::Less,
        rows: &[
            row(
                "1,000 messages/s × 100 subscribers",
                &[("latency", "p50 µs"), ("latency", "p99 µs")],
            ),
            row(
                "ping beside a full pipe",
                &[("ping-in-flood", "p50 µs"), ("ping-in-flood", "p99 µs")],
            ),
        ],
    },
    Group {
        title: "beside one reader that stalls",
        better: Better::More,
        rows: &[row(
            "rate that nine others keep",
            &[("stalled", "rate of the others, kept")],
        )],
    },
    Group {
        title: "thousand per second with one server core / with two",
        better: Better::More,
        rows: &[
            row(
                "deliveries, 8 publishers with 50 subscribers each",
                &[
                    ("scale-fan", "thousand/s, 1 core"),
                    ("scale-fan", "thousand/s, 2 cores"),
                ],
            ),
            row(
                "publishes of 8 publishers into 100,000 two-tag subscriptions",
                &[
                    ("scale-match", "thousand/s, 1 core"),
                    ("scale-match", "thousand/s, 2 cores"),
                ],
            ),
        ],
    },
    Group {
        title: "times faster with two server cores / as two cores would be if nothing cost more or less",
        better: Better::Neither,
        rows: &[
            row(
                "deliveries",
                &[
                    ("scale-fan", "times faster with 2 cores"),
                    ("scale-fan", "times faster at equal cost"),
                ],
            ),
            row(
                "publishes",
                &[
                    ("scale-match", "times faster with 2 cores"),
                    ("scale-match", "times faster at equal cost"),
                ],
            ),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::super::super::scenario::SCENARIOS;
    use super::*;

    #[test]
    fn every_row_is_of_a_scenario_that_there_is() {
        for group in GROUPS {
            for (scenario, _) in group.rows.iter().flat_map(|row| row.figures) {
                let is_known = SCENARIOS.iter().any(|one| one.name == *scenario);
                assert!(is_known, "there is no {scenario}");
            }
        }
    }
}
