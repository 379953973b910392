//! Sessions of a broker, beside the model of the core's tests: the bytes are the dice that decide what happens.

#[path = "../../../core/tests/it/model/mod.rs"]
#[allow(dead_code)]
mod model;
#[path = "../../../core/tests/it/simulation/mod.rs"]
#[allow(dead_code)]
mod simulation;

/// What the simulation rolls: the input's bytes, and zeros behind them.
mod dice {
    #[derive(Clone, Debug)]
    pub(crate) struct Dice {
        bytes: Vec<u8>,
        at: usize,
    }

    impl Dice {
        pub(crate) fn of(bytes: &[u8]) -> Self {
            Self {
                bytes: bytes.to_vec(),
                at: 0,
            }
        }

        /// Histories from seeds are the ordinary tests' affair.
        pub(crate) fn new(seed: u64) -> Self {
            Self::of(&seed.to_le_bytes())
        }

        pub(crate) fn below(&mut self, bound: usize) -> usize {
            let mut byte = || {
                let byte = self.bytes.get(self.at).copied().unwrap_or_default();
                self.at += 1;
                usize::from(byte)
            };
            let rolled = if bound <= 256 {
                byte()
            } else {
                byte() << 8 | byte()
            };
            rolled % bound
        }

        pub(crate) fn once_in(&mut self, times: usize) -> bool {
            // Zero, and so the end of the input, is the ordinary case.
            self.below(times) == times - 1
        }

        pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
            choices[self.below(choices.len())].clone()
        }
    }
}

use self::dice::Dice;

pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((form, bytes)) = bytes.split_first() else {
        return;
    };
    let (is_numbered, is_late) = (form & 1 == 1, form & 2 == 2);
    let history = simulation::history(Dice::of(bytes), is_numbered, is_late);
    simulation::run(&history, u64::from(*form), is_late);
}
