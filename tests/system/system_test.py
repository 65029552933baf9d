"""Tests of what the system test does on the host: cutting the visit, choosing checks. `make test` runs them."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import door
import feed
import guide
import run
from checks import CHECKS
from machine import Answer
from releases import RELEASES
from wall import Wall

SCRIPT = feed.script_of(Path(__file__).resolve().parents[2])


def chosen(**options: object) -> list[str]:
    arguments = argparse.Namespace(**{"architecture": "amd64", "smoke": False, "only": [], **options})
    return [one.run.__name__ for one in CHECKS if run.wanted(one, arguments)]


class Feed(unittest.TestCase):
    def test_a_recording_is_cut_into_its_pictures(self) -> None:
        # FF within a picture is followed by 00, or is a marker other than the start of one.
        one, two = b"\xff\xd8\xff\xe0\x00\xff\x00\xd8\xff\xd9", b"\xff\xd8\xff\xdb\x01\xff\xd9"
        self.assertEqual(feed.split_jpeg(one + two + one), [one, two, one])

    def test_parts_lie_one_after_the_other(self) -> None:
        rate = SCRIPT["picture"]["rate"]
        self.assertEqual(feed.part_frames(SCRIPT, "nobody"), range(0, 2 * rate))
        self.assertEqual(feed.part_frames(SCRIPT, "a stranger"), range(2 * rate, 8 * rate))

    def test_every_part_that_is_shown_is_in_the_script(self) -> None:
        for part in feed.PARTS.values():
            self.assertTrue(feed.part_frames(SCRIPT, part))
        with self.assertRaisesRegex(feed.FeedError, "no part 'a cat'"):
            feed.part_frames(SCRIPT, "a cat")


class Guide(unittest.TestCase):
    def test_what_is_said_of_its_commands_is_said_of_commands_that_it_has(self) -> None:
        shell = [block for block in guide.blocks(guide.TEXT.read_text()) if block.language == "sh"]
        commands = [command for block in shell for command in guide.commands(block)]
        self.assertGreater(len(commands), 30)
        for table in (guide.LEFT_OUT, guide.TYPED, guide.PIPED, guide.SLOWER, guide.MADE_UP, [guide.PACKAGE]):
            for command in table:
                self.assertIn(command, commands)

    def test_a_comment_beside_a_command_is_not_part_of_it(self) -> None:
        (block,) = guide.blocks("a\n```sh\nls 'a # b'   # files\n\n# alone\n```\n")
        self.assertEqual(guide.commands(block), ["ls 'a # b'"])


    def test_every_block_of_configuration_is_understood(self) -> None:
        blocks = [block for block in guide.blocks(guide.TEXT.read_text()) if block.language == "toml"]
        set_by_guide = [guide.configured(block) for block in blocks]
        self.assertIn({"mqtt", "mqtt__tls"}, [set(settings) for settings in set_by_guide])
        (block,) = guide.blocks("```toml\n[camera]\nidentity = 'usb'\n[mqtt]\nport = 1\n[mqtt.tls]\nca = 'a'\n```\n")
        self.assertEqual(guide.configured(block), {"mqtt": {"port": 1}, "mqtt__tls": {"ca": "a"}})


TRACE = """\
# tracer: nop
              sh-9     [000] .....    10.000000: tracing_mark_write: mark 1
          output-7     [001] .....    10.100000: gpio_value: 512 set 0
            perl-8     [000] .....    10.150000: tracing_mark_write: mark 2
          output-7     [001] .....    10.200000: gpio_value: 512 set 0
              sh-9     [000] .....    10.250000: tracing_mark_write: said
          output-7     [001] .....    10.300000: gpio_value: 512 set 1
          button-6     [001] .....    10.310000: gpio_value: 514 get 1
            perl-8     [000] .....    10.320000: tracing_mark_write: level 1
          output-7     [001] .....    11.300000: gpio_value: 512 set 0
            perl-8     [000] .....    11.310000: tracing_mark_write: level 0
          output-7     [001] .....    12.300000: gpio_value: 512 set 0
"""


class Line(unittest.TestCase):
    def setUp(self) -> None:
        door = mock.Mock()
        door.must.return_value = TRACE
        self.wall = Wall(door, Path("sign_grant"))
        self.wall._number = 512

    def test_a_level_that_is_told_again_is_no_pulse(self) -> None:
        self.assertAlmostEqual(self.wall.pulse(2), 1.0)
        self.assertEqual([event.at for event in self.wall.timeline(2) if event.what == "said"], [10.25])

    def test_a_pulse_is_seen_and_a_mark_that_is_gone_as_well(self) -> None:
        with self.assertRaisesRegex(AssertionError, "the line was moved"):
            self.wall.no_pulse(1)
        with self.assertRaisesRegex(AssertionError, "mark 3 is not in the trace"):
            self.wall.no_pulse(3)

    def test_a_level_that_nobody_told_is_seen(self) -> None:
        self.wall.must.return_value = TRACE.replace("level 0", "level 1")
        with self.assertRaisesRegex(AssertionError, "not one pulse"):
            self.wall.pulse(2)


class Heard(unittest.TestCase):
    def test_both_forms_of_a_time_are_read(self) -> None:
        of_both = [door.instant(f"2026-12-01T00:02:33.250000{zone}") for zone in ("Z+0000", "+0000")]
        self.assertEqual(of_both, [1796083353.25] * 2)


class Skipping(unittest.TestCase):
    def test_without_the_chip_the_openers_checks_are_skipped_and_none_passes(self) -> None:
        of_the_opener = [one for one in CHECKS if one.group == "opener"]
        machine = mock.Mock()
        machine.run.return_value = Answer(1, "E: no linux-source")
        with mock.patch.object(run, "say") as said:
            passed, failed, skipped = run.run_checks(machine, of_the_opener, Path(), Path())
        self.assertEqual((passed, failed, len(skipped)), (0, [], len(of_the_opener)))
        self.assertIn("E: no linux-source", said.call_args_list[0].args[0])


class Releases(unittest.TestCase):
    """Each release has a machine of its own, and none hides what another showed."""

    def asked(self, *arguments: str) -> argparse.Namespace:
        with mock.patch.object(sys, "argv", ["run.py", *arguments]):
            return run.parse()

    def test_every_release_is_tried_unless_one_is_asked_for(self) -> None:
        self.assertEqual(run.chosen(self.asked()), ["bookworm", "trixie"])
        self.assertEqual(run.chosen(self.asked("--release", "trixie")), ["trixie"])

    def test_a_failure_on_one_is_not_hidden_by_another(self) -> None:
        for statuses, told in (([0, 0], 0), ([1, 0], 1), ([3, 1], 1), ([1, 3], 1), ([0, 3], 3), ([3, 0], 3)):
            self.assertEqual(run.worst(statuses), told, statuses)

    def test_a_failure_on_the_first_does_not_keep_the_second_from_being_tried(self) -> None:
        tried = []

        def on(release: str, *_: object) -> int:
            tried.append(release)
            return 1

        with (
            mock.patch.object(run, "on", on),
            mock.patch.object(run, "prepare_payload"),
            mock.patch.object(run, "say"),
            mock.patch.object(sys, "argv", ["run.py", "--smoke", "--deb", __file__, "--program", __file__]),
        ):
            self.assertEqual(run.main(), 1)
        self.assertEqual(tried, list(RELEASES))

    def test_an_image_is_made_for_its_release_and_takes_the_place_of_its_own_old_one_alone(self) -> None:
        made = []

        def make(command: list[str], **_: object) -> None:
            made.append(command[command.index(str(run.HERE / "build_image.sh")) + 1 :])
            folder = Path(command[-1])
            folder.mkdir(parents=True)
            (folder / "versions.txt").write_text("systemd\t257.13-1\nlibc6:amd64\t2.41-12\nzlib1g\t1\n")

        with tempfile.TemporaryDirectory() as kept, mock.patch.object(run, "KEPT", Path(kept)):
            for old in ("bookworm-amd64-old", "trixie-amd64-old", "trixie-arm64-old"):
                (Path(kept) / "images" / old).mkdir(parents=True)
            with mock.patch.object(subprocess, "run", make), mock.patch.object(run, "say") as said:
                image = run.prepare_image("trixie", "amd64", gpio=True)
                self.assertEqual(run.prepare_image("trixie", "amd64", gpio=True), image)
            self.assertEqual(made, [["trixie", "amd64", str(image)]])
            left = {folder.name for folder in image.parent.iterdir()}
            self.assertEqual(left, {"bookworm-amd64-old", "trixie-arm64-old", image.name})
            self.assertIn("libc6 2.41-12, systemd 257.13-1", said.call_args.args[0])

    def test_the_script_that_makes_images_knows_the_same_releases(self) -> None:
        script = run.HERE / "build_image.sh"
        refused = subprocess.run([script, "sid", "amd64", "/nonexistent"], capture_output=True, text=True, check=False)
        self.assertEqual((refused.returncode, refused.stderr), (2, f"image: 'sid' must be {' or '.join(RELEASES)}\n"))
        for release in RELEASES:
            refused = subprocess.run([script, release, "m68k", "/nonexistent"], capture_output=True, text=True, check=False)
            self.assertNotIn("bookworm or", refused.stderr)


class Choice(unittest.TestCase):
    def test_the_whole_run_is_every_check(self) -> None:
        self.assertEqual(len(chosen()), len(CHECKS))

    def test_the_short_run_grants_refuses_and_is_killed(self) -> None:
        short = chosen(smoke=True)
        self.assertLess(len(short), len(CHECKS))
        for name in ("installs", "enrols", "ready", "grants", "refuses", "survives_kill"):
            self.assertIn(name, short)

    def test_the_openers_checks_rest_on_the_first_of_their_own(self) -> None:
        of_the_opener = [one.run.__name__ for one in CHECKS if one.group == "opener"]
        self.assertEqual(chosen(only=["opener:"]), of_the_opener)
        self.assertEqual(chosen(only=["unplugged: it notices"]), [of_the_opener[0], "opener_loses_its_chip"])
        self.assertFalse(set(of_the_opener) & {*chosen(smoke=True), *chosen(architecture="arm64")})

    def test_a_foreign_processor_decides_too(self) -> None:
        foreign = chosen(architecture="arm64")
        self.assertTrue({"grants", "refuses", "reads_vivid"} <= set(foreign))
        self.assertLess(len(foreign), len(CHECKS))

    def test_a_word_chooses_what_rests_on_installation_and_enrolment(self) -> None:
        self.assertEqual(chosen(only=["broker goes"]), ["installs", "enrols", "survives_the_broker"])


if __name__ == "__main__":
    unittest.main()
