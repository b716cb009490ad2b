//! When a command is killed: at a random moment of the time that it takes, whatever the machine does meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::chance::Chance;

/// How long each command takes, as far as is known.
///
/// A machine that gets faster after a command was timed lets it end before its kill. That end is a new measurement, and each
/// such miss in a row halves the moment besides: so whatever the command takes now, a kill hits it after a few.
#[derive(Default)]
pub struct Aims(BTreeMap<String, Aim>);

#[derive(Default)]
struct Aim {
    time: Duration,
    misses: u32,
}

impl Aims {
    /// Notes what a command takes.
    pub fn measured(&mut self, name: &str, time: Duration) {
        self.0.insert(name.to_owned(), Aim { time, misses: 0 });
    }

    /// What a command takes, as far as is known.
    pub fn time(&self, name: &str) -> Duration {
        self.0[name].time
    }

    /// The next moment to kill it at.
    pub fn moment(&self, name: &str, chance: &mut Chance) -> Duration {
        let aim = &self.0[name];
        aim.time.mul_f64(chance.part()) / 1_u32.checked_shl(aim.misses).unwrap_or(u32::MAX)
    }

    /// Notes that a kill came in time, or that the command had ended after `took`. Says how many have missed it in a row.
    pub fn result(&mut self, name: &str, in_time: bool, took: Duration) -> u32 {
        let aim = self.0.get_mut(name).expect("it was measured");
        if in_time {
            aim.misses = 0;
        } else {
            *aim = Aim { time: took.min(aim.time), misses: aim.misses + 1 };
        }
        aim.misses
    }
}

/// A command that was timed while the machine was a thousand times slower, or faster, is hit all the same.
#[test]
fn a_machine_of_another_speed_is_hit_after_few_misses() {
    for (timed, takes) in [(10_000, 10), (10, 10_000), (100, 100), (10_000, 0)] {
        // Until the kill is sent, this much has passed at least.
        let late = Duration::from_micros(100);
        let takes = Duration::from_millis(takes).max(late * 2);
        for seed in 0..200 {
            let mut chance = Chance::new(seed);
            let mut aims = Aims::default();
            aims.measured("x", Duration::from_millis(timed));
            let mut tries = 1;
            while aims.moment("x", &mut chance) + late > takes {
                assert_eq!(aims.result("x", false, takes), tries);
                tries += 1;
            }
            assert!(tries <= 12, "{timed} ms were {} ms, seed {seed}: {tries} tries", takes.as_millis());
            assert_eq!(aims.result("x", true, Duration::ZERO), 0);
        }
    }
}
