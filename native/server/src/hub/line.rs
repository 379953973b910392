//! Owns the line in which those stand who have much for the broker to do, and the thread that serves it; knows nothing of
//! what that is.
//!
//! Everybody's turn is short, but many of them in a row are not: of twenty connections that send commands without a pause,
//! each would always be ready to run, and whoever sends one ping would wait for all of their turns. In line, one of them has
//! its turn at a time, and the threads of the runtime are there for the others.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::runtime::Handle;

/// Has a turn, and returns whether that was the last.
type Turn = Box<dyn FnMut() -> bool + Send>;

/// Where one stands who arrives.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Before all others, for what must not wait for them.
    Front,
    Back,
}

/// The end of the line. The thread starts with the first who stands in it, and ends with this.
#[derive(Default)]
pub(super) struct Line(OnceLock<Option<Sender<(Place, Turn)>>>);

impl Line {
    /// Has `turn` called until it returns true, or panics: then it is dropped.
    pub(super) fn stand(&self, place: Place, turn: impl FnMut() -> bool + Send + 'static) {
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
            Some(sender) => sender.send((place, turn)).err().map(|error| error.0.1),
            None => Some(turn),
        };
        if let Some(mut turn) = turned_away {
            // Without the thread, on one of its own if there is a runtime: what is done may lead here again.
            let mut all = move || while !turn() {};
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(all)),
                Err(_) => all(),
            }
        }
    }
}

/// Serves the line until nobody can stand in it any more.
fn serve(arriving: &Receiver<(Place, Turn)>) {
    let mut line = VecDeque::new();
    loop {
        let mut first = None;
        if line.is_empty() {
            match arriving.recv() {
                Ok(arrived) => first = Some(arrived),
                Err(_) => return,
            }
        }
        for (place, turn) in first.into_iter().chain(arriving.try_iter()) {
            match place {
                Place::Front => line.push_front(turn),
                Place::Back => line.push_back(turn),
            }
        }
        let Some(mut turn) = line.pop_front() else {
            continue;
        };
        // What is done is dropped in there, too.
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
        line.stand(Place::Back, move || gate.recv().is_ok());
        for (name, place) in [("a", Place::Back), ("b", Place::Back), ("c", Place::Front)] {
            let say = say.clone();
            let mut turns = 0;
            line.stand(place, move || {
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
        line.stand(Place::Back, move || {
            let _dropped_with_it = &lost;
            panic!("in its turn")
        });
        line.stand(Place::Back, move || say.send(()).is_ok());
        assert_eq!(said.iter().count(), 1);
    }
}
