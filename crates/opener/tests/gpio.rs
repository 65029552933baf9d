//! The opener's lines on the kernel's simulated GPIO (gpio-sim), where a machine has it.
//!
//! In: `DEEPID_OPENER_GPIO_CHIP` (such as /dev/gpiochip0) and `DEEPID_OPENER_GPIO_SIM`, the folder of its
//! lines in sysfs (such as /sys/devices/platform/gpio-sim.0/gpiochip0), of a chip with three lines at
//! least; `gpio-sim` is set up by root through configfs, as the kernel's documentation says. Out: the
//! levels that the kernel shows while the relay is locked, unlocked and given back.
//! Ignored, because no container has such a chip: the project's virtual machine is the place to run it,
//! with `--run-ignored only`. Without the two variables it says so and passes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::path::PathBuf;
use std::time::Duration;

use deepid_opener::gpio::{Input, Level, Place, Pull, Reading, Relay, watch};
use deepid_opener::output::Line as _;

fn simulated() -> Option<(PathBuf, PathBuf)> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let found = variable("DEEPID_OPENER_GPIO_CHIP").zip(variable("DEEPID_OPENER_GPIO_SIM"));
    if found.is_none() {
        eprintln!(
            "no simulated chip: DEEPID_OPENER_GPIO_CHIP and DEEPID_OPENER_GPIO_SIM are unset"
        );
    }
    found
}

#[test]
#[ignore = "needs a kernel with gpio-sim"]
fn a_relay_follows_its_orders_and_an_input_its_level() {
    let Some((chip, sim)) = simulated() else { return };
    let level = |line: u32| {
        let file = sim.join(format!("sim_gpio{line}/value"));
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    };
    let pull = |line: u32, to: &str| {
        std::fs::write(sim.join(format!("sim_gpio{line}/pull")), to).unwrap();
    };
    for (locked, is_locked, is_unlocked) in [(Level::Low, "0", "1"), (Level::High, "1", "0")] {
        let mut relay = Relay::open(Place { chip: chip.clone(), line: 0 }, locked).unwrap();
        assert_eq!(level(0), is_locked, "from the first moment");
        relay.unlock().unwrap();
        assert_eq!(level(0), is_unlocked);
        let place = Place { chip: chip.clone(), line: 0 };
        assert!(Relay::open(place, locked).is_err(), "a line has one user");
        relay.lock().unwrap();
        assert_eq!(level(0), is_locked);
    }
    pull(1, "pull-up");
    let (readings, mut read) = tokio::sync::mpsc::unbounded_channel();
    let place = Place { chip, line: 1 };
    watch(Input::Button, place, Level::Low, Pull::None, readings).unwrap();
    let mut next = || {
        for _ in 0..500 {
            if let Ok(reading) = read.try_recv() {
                return reading;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("no reading came");
    };
    assert_eq!(next(), Reading::Is(Input::Button, false));
    pull(1, "pull-down");
    assert_eq!(next(), Reading::Is(Input::Button, true));
    pull(1, "pull-up");
    assert_eq!(next(), Reading::Is(Input::Button, false));
}
