//! Workloads for the broker, and others that answer the same questions, to be measured side by side.
//!
//! `cargo xtask bench core` measures time, `cargo xtask bench instructions` counts instructions.

#![forbid(unsafe_code)]

pub mod random;
pub mod rivals;
pub mod workload;

/// What is said when a contender does not find whom it should.
///
/// # Errors
/// A sentence with the message and how many clients it should have been, if it is not exactly those.
pub fn check(
    workload: &workload::Workload,
    contender: &mut dyn rivals::Contender,
    message: usize,
) -> Result<(), String> {
    let wanted = workload.receivers(message);
    contender.publish(message);
    let mut found = contender.targets().to_vec();
    found.sort_unstable();
    if found == wanted {
        return Ok(());
    }
    Err(format!(
        "{} finds {} clients for message {message}, not the {} that get it",
        contender.name(),
        found.len(),
        wanted.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivals::{Contender, Floor, Lines, Mist, Naive, Trie};

    #[test]
    fn all_contenders_find_the_clients_that_get_a_message() {
        for kind in workload::KINDS {
            let workload = kind.build(500);
            let text = workload.text();
            let mut lines = Lines::new(&workload, "12 min");
            let mut mist = Mist::new(&workload, &mut lines);
            let answers = mist.answers();
            let (mut bare, mut looking) = (
                Floor::new(&workload, &text, &answers, false),
                Floor::new(&workload, &text, &answers, true),
            );
            let (mut naive, mut trie) = (Naive::new(&workload, &text), Trie::new(&workload, &text));
            let contenders: [&mut dyn Contender; 5] =
                [&mut mist, &mut bare, &mut looking, &mut naive, &mut trie];
            for contender in contenders {
                for message in 0..workload.messages.len().min(64) {
                    let checked = check(&workload, contender, message);
                    checked.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
                }
            }
        }
    }

    #[test]
    fn a_contender_that_misses_a_client_is_caught() {
        let workload = workload::shared(50, 1);
        let text = workload.text();
        let mut answers = vec![workload.receivers(0)];
        let mut floor = Floor::new(&workload, &text, &answers, false);
        assert_eq!(check(&workload, &mut floor, 0), Ok(()));
        answers[0].pop();
        let mut floor = Floor::new(&workload, &text, &answers, false);
        assert_eq!(
            check(&workload, &mut floor, 0),
            Err("floor finds 49 clients for message 0, not the 50 that get it".into())
        );
    }
}
