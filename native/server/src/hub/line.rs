//! Owns a queue, and its one thread, for expensive work on the broker; knows nothing of what that is.
//!
//! Each connection's turn is short, but many turns in a row are not: if twenty connections send commands without a
//! pause, all of them are always ready to run, and a connection that sends one ping waits for all of their turns. From
//! the queue one of them has a turn at a time, and the threads of the runtime are free for the others.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::runtime::Handle;

/// Does one turn of the work; returns whether that was the last.
type Turn = Box<dyn FnMut() -> bool + Send>;

/// Which end of the queue new work joins.
#[derive(Clone, Copy)]
pub(super) enum QueueEnd {
    /// For work that must not wait for the rest.
    Front,
    Back,
}

/// The sending side of the queue. The thread starts with the first work, and ends when this is dropped.
#[derive(Default)]
pub(super) struct Line(OnceLock<Option<Sender<(QueueEnd, Turn)>>>);

impl Line {
    /// Queues `turn`, which is called until it returns true or panics, and is then dropped.
    pub(super) fn stand(&self, end: QueueEnd, turn: impl FnMut() -> bool + Send + 'static) {
        let sender = self.0.get_or_init(|| {
            let (sender, receiver) = channel();
            let runtime = Handle::try_current().ok();
            let serve = move || {
                let _context = runtime.as_ref().map(Handle::enter);
                serve(&receiver);
            };
            let thread = thread::Builder::new().name("mist-line".to_owned());
            match thread.spawn(serve) {
                Ok(_) => Some(sender),
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "cannot start the thread for clients that ask for much: they hold up others"
                    );
                    None
                }
            }
        });
        let turn: Turn = Box::new(turn);
        let turned_away = match sender {
            Some(sender) => sender.send((end, turn)).err().map(|error| error.0.1),
            None => Some(turn),
        };
        if let Some(mut turn) = turned_away {
            // No thread: run on a blocking one if there is a runtime, since the work may come back here.
            let mut all = move || while !turn() {};
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(all)),
                Err(_) => all(),
            }
        }
    }
}

/// Runs the queue until its sending side is dropped.
fn serve(arriving: &Receiver<(QueueEnd, Turn)>) {
    let mut line = VecDeque::new();
    loop {
        let mut first = None;
        if line.is_empty() {
            match arriving.recv() {
                Ok(arrived) => first = Some(arrived),
                Err(_) => return,
            }
        }
        for (end, turn) in first.into_iter().chain(arriving.try_iter()) {
            match end {
                QueueEnd::Front => line.push_front(turn),
                QueueEnd::Back => line.push_back(turn),
            }
        }
        let Some(mut turn) = line.pop_front() else {
            continue;
        };
        // Finished work is dropped in here too, since that may panic.
        let had = catch_unwind(AssertUnwindSafe(|| match turn() {
            true => None,
            false => Some(turn),
        }));
        match had {
            Ok(None) => {}
            Ok(Some(turn)) => line.push_back(turn),
            Err(_) => {
                let tell = || {
                    tracing::error!("what was done for a client that asks for much has panicked")
                };
                let _ = catch_unwind(tell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_line_have_their_turns_one_after_the_other() {
        let line = Line::default();
        let (say, said) = channel();
        let (begin, gate) = channel();
        line.stand(QueueEnd::Back, move || gate.recv().is_ok());
        for (name, end) in [
            ("a", QueueEnd::Back),
            ("b", QueueEnd::Back),
            ("c", QueueEnd::Front),
        ] {
            let say = say.clone();
            let mut turns = 0;
            line.stand(end, move || {
                turns += 1;
                say.send(format!("{name}{turns}")).expect("it is heard");
                turns == 2
            });
        }
        begin.send(()).expect("it waits");
        let order: Vec<_> = said.iter().take(6).collect();
        assert_eq!(order, ["c1", "a1", "b1", "c2", "a2", "b2"]);
    }

    #[test]
    fn who_panics_loses_its_place_and_nobody_else_does() {
        let line = Line::default();
        let (say, said) = channel::<()>();
        let lost = say.clone();
        line.stand(QueueEnd::Back, move || {
            let _dropped_with_it = &lost;
            panic!("in its turn")
        });
        line.stand(QueueEnd::Back, move || say.send(()).is_ok());
        assert_eq!(said.iter().count(), 1);
    }
}
