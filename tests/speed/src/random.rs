//! Owns randomness that is the same on every machine, and how popular tags are; knows nothing of what is drawn.

/// A stream of numbers from a seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Starts a stream.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// Puts `things` into any order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

/// How often each of some tags is drawn, the most popular first.
#[derive(Debug)]
pub struct Popularity {
    /// The share of each tag and all before it.
    upto: Vec<f64>,
}

impl Popularity {
    /// The tag of rank r is drawn as often as 1 / r^`exponent`; with 0 all are drawn alike.
    #[must_use]
    pub fn zipf(tags: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let upto = (1..=tags).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self {
            upto: upto.collect(),
        }
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let all = self.upto.last().copied().unwrap_or(0.0);
        let share = (random.number() >> 11) as f64 / (1_u64 << 53) as f64;
        self.upto.partition_point(|&upto| upto <= share * all) as u32
    }

    /// Adds different tags to `set`, which holds none twice, until it has `count`.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn fill(&self, set: &mut Vec<u32>, count: usize, random: &mut Random) {
        assert!(count <= self.upto.len(), "{count} different tags of fewer");
        while set.len() < count {
            let tag = self.draw(random);
            if !set.contains(&tag) {
                set.push(tag);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zipf_law_gives_each_rank_its_share() {
        let mut random = Random::new(1);
        let popularity = Popularity::zipf(4, 1.0);
        let mut counts = [0_usize; 4];
        for _ in 0..25_000 {
            counts[popularity.draw(&mut random) as usize] += 1;
        }
        // 1 + 1/2 + 1/3 + 1/4 is 25/12.
        for (count, share) in counts.into_iter().zip([12_000, 6_000, 4_000, 3_000]) {
            assert!(count.abs_diff(share) < 300, "{count} times, not {share}");
        }
    }

    #[test]
    fn a_set_has_no_tag_twice() {
        let mut random = Random::new(1);
        let mut set = vec![3];
        Popularity::zipf(8, 1.0).fill(&mut set, 8, &mut random);
        set.sort_unstable();
        assert_eq!(set, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
