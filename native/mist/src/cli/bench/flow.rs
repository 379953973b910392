//! Owns what one receiver has had of one publisher: each message once, in order, or what was wrong; knows no clock.

use std::collections::BTreeMap;

/// How many gaps are remembered. What fills an older one counts as a duplicate.
const MOST_GAPS: usize = 1 << 16;

/// The messages that one receiver had of one publisher.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The number behind the highest so far.
    next: u64,
    /// Numbers below that which have not come: where each gap begins, and what stands behind it.
    gaps: BTreeMap<u64, u64>,
    /// Messages, each counted once.
    pub(super) received: u64,
    pub(super) duplicates: u64,
    /// Messages that came after one with a higher number.
    pub(super) out_of_order: u64,
    /// How many there were to be, once the publisher has said so.
    pub(super) promised: Option<u64>,
}

impl Flow {
    /// Takes in a message; returns whether it is a new one.
    pub(super) fn take(&mut self, number: u64) -> bool {
        if number >= self.next {
            if number > self.next {
                self.gaps.insert(self.next, number);
                if self.gaps.len() > MOST_GAPS {
                    self.gaps.pop_first();
                }
            }
            self.next = number + 1;
        } else if self.fill(number) {
            self.out_of_order += 1;
        } else {
            self.duplicates += 1;
            return false;
        }
        self.received += 1;
        true
    }

    fn fill(&mut self, number: u64) -> bool {
        let Some((&start, &end)) = self.gaps.range(..=number).next_back() else {
            return false;
        };
        if number >= end {
            return false;
        }
        self.gaps.remove(&start);
        if start < number {
            self.gaps.insert(start, number);
        }
        if number + 1 < end {
            self.gaps.insert(number + 1, end);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(numbers: &[u64]) -> (u64, u64, u64) {
        let mut flow = Flow::default();
        for &number in numbers {
            flow.take(number);
        }
        (flow.received, flow.duplicates, flow.out_of_order)
    }

    #[test]
    fn each_slip_is_told_from_the_others() {
        assert_eq!(taken(&[0, 1, 2, 3]), (4, 0, 0));
        assert_eq!(taken(&[0, 1, 1, 0]), (2, 2, 0));
        assert_eq!(taken(&[3, 0, 2, 1, 4]), (5, 0, 3));
        assert_eq!(taken(&[9, 4, 4, 5, 9]), (3, 2, 2));
    }

    #[test]
    fn only_so_many_gaps_are_remembered() {
        let mut flow = Flow::default();
        let count = MOST_GAPS as u64 + 10;
        for number in 0..count {
            flow.take(2 * number + 1);
        }
        assert_eq!(flow.gaps.len(), MOST_GAPS);
        assert!(!flow.take(0) && flow.take(2 * count - 2));
    }
}
