"""The checks, in their order: each is a function of a door and says what it found wrong.

A check begins by making what it needs and leaves the door deciding at the loopback camera, so that
the failure of one is not that of the next. What it needs from an earlier one is the installation
and the person enrolled. Those with `smoke=True` make the short run.

Those of the opener are a group of their own: they are functions of a wall (wall.py), rest on the first of
them alone, and leave the opener ready, with its line locked.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import guide
import wall as opener
from door import CONFIG, NAME, PATIENCE, UNIT, Door, Message
from wall import BUTTON, CONTACT, RELAY, STRANGER_SEED, TRACE, Skipped, Wall, base64url, unsigned

# The longest that an end may take, by the project's word; longer is a family before a closed door.
END_S = 3.0


@dataclass(frozen=True)
class Check:
    """A check and where it belongs."""

    title: str
    run: Callable[[Door], str | None] | Callable[[Wall], str | None]
    smoke: bool
    foreign: bool
    needed: bool
    group: str


CHECKS: list[Check] = []


def check(
    title: str, *, smoke: bool = False, foreign: bool = False, needed: bool = False, group: str = "door"
) -> Callable:
    """Registers a check: for the short run, for a foreign processor, or for the whole run alone; of the
    door or of the opener; and whether all others of its group rest on it."""

    def register(run: Callable) -> Callable:
        CHECKS.append(Check(title, run, smoke, foreign, needed, group))
        return run

    return register


def subject(door: Door) -> str:
    """The pseudonym of the person that is enrolled."""
    listed = json.loads(must_as_service(door, "subjects list --json"))
    return next(one["id"] for one in listed["subjects"] if one["name"] == NAME)


def must_as_service(door: Door, arguments: str, seconds: int = PATIENCE) -> str:
    answer = door.as_service_user(arguments, seconds)
    assert answer, f"deepid-edge {arguments}: exit status {answer.status}\n{answer.text}"
    return answer.text


def streaming(door: Door, part: str = "nobody") -> None:
    """A door that decides: broker, camera and service are there, whatever happened before."""
    door.start_broker()
    door.show(part)
    if not door.run("systemctl is-active --quiet feed"):
        door.must(f"systemctl stop {UNIT}")
        door.pull_out()
        door.plug_in(part)
    after = door.mark()
    door.start()
    door.camera_is("streaming", after)


# ---- Installed, started, deciding ----------------------------------------------------------------


@check("the package installs, and its configuration is sound", smoke=True, foreign=True, needed=True)
def installs(door: Door) -> str:
    door.must("dpkg --install /payload/deepid-edge.deb", 900)
    door.must("id --name --groups deepid-edge | grep --quiet --word-regexp video")
    door.must(f"test -e {CONFIG}")
    must_as_service(door, "config check")
    door.configure()
    must_as_service(door, "config check")
    return door.must("deepid-edge --version").splitlines()[0]


@check("a person is enrolled from photographs", smoke=True, foreign=True, needed=True)
def enrols(door: Door) -> str:
    folder = "/payload/photographs"
    text = must_as_service(door, f"enroll '{NAME}' --image {folder}/obama.jpg {folder}/obama2.jpg --json")
    told = json.loads(text[text.index("{") :])
    assert told["references"] == 2 and not told["refused"], told
    return told["subject"]["id"]


@check("READY, online, and the camera streams (YUYV)", smoke=True, foreign=True)
def ready(door: Door) -> str:
    after = 0
    streaming(door)
    facts = [door.property(name) for name in ("ActiveState", "SubState", "NRestarts")]
    assert facts == ["active", "running", "0"], facts
    assert door.property("StatusText").startswith("deciding"), door.property("StatusText")
    status = door.next("status", after, lambda message: message.text == "online")
    assert status.qos == 1, status
    info = door.next("info", after, lambda message: message.json.get("camera") is not None).json
    camera = info["camera"]
    assert (camera["format"], camera["width"], camera["height"]) == ("YUYV", 640, 480), camera
    assert info["subjects"] == 1 and info["references"] == 2, info
    return f"{camera['name']}: {camera['format']} {camera['width']}x{camera['height']}"


@check("the enrolled person is granted, once a visit", smoke=True, foreign=True)
def grants(door: Door) -> str:
    streaming(door)
    after = door.mark()
    door.show("enrolled")
    granted = door.next_grant(after, subject(door))
    assert granted["clock"] == "trusted" and granted["expires_in_ms"] == 5000, granted
    audit = door.next("audit", after, lambda message: message.json["seq"] == granted["seq"]).json
    assert audit["decision"]["outcome"] == "granted" and not audit["late"], audit
    again = door.next_grant(after_grant(door, after), granted["subject"])
    assert again["seq"] > granted["seq"], (granted, again)
    everything = "".join(message.text for message in door.heard)
    assert NAME not in everything, "the person's name was published"
    latency = granted["latency_ms"]["first_frame_to_decision"]
    return f"score {granted['score']:.3f} over {granted['threshold']:.3f}, {latency / 1000:.1f} s from the first frame (emulated)"


def after_grant(door: Door, after: int) -> int:
    """The mark behind the first grant after another mark."""
    for number, message in enumerate(door.heard[after:], after):
        if message.topic.endswith("/access") and message.json["outcome"] == "granted":
            return number + 1
    raise AssertionError("no grant was heard")


@check("a stranger is refused, visit after visit", smoke=True, foreign=True)
def refuses(door: Door) -> str:
    streaming(door)
    door.show_alone("stranger")
    after = door.mark()

    def decided_twice() -> list[Message]:
        decisions = door.messages("access", after)
        return decisions if len(decisions) >= 2 else []

    decisions = [message.json for message in door.wait("two decisions", decided_twice, 2 * PATIENCE)]
    assert all(decision["outcome"] != "granted" for decision in decisions), decisions
    assert any(decision["reason"] == "no_match" for decision in decisions), decisions
    return ", ".join(f"{decision['outcome']}/{decision['reason']}" for decision in decisions)


@check("nothing of what went well left a warning in the journal", smoke=True, foreign=True)
def journal_is_quiet(door: Door) -> str:
    # Up to here nothing was wrong, but that the camera is one without a lens, which is to be told.
    def loud(lines: list[str]) -> list[str]:
        return [line for line in lines if line.strip() and "the camera is virtual" not in line]

    warned = door.journal(arguments="--output=cat --priority=warning").splitlines()
    assert len(loud(warned)) < len(warned), "nobody was told that the camera is virtual"
    assert not loud(warned), "\n".join(warned)
    # A priority that is never set would make this check worthless.
    everything = door.journal().splitlines()
    assert any("ready" in line for line in everything), "the journal is empty"
    shouted = [line for line in loud(everything) if re.search(r"\b(WARN|ERROR|panicked)\b", line)]
    assert not shouted, "\n".join(shouted)
    return f"{len(everything)} lines"


@check("doctor finds nothing wrong beside the running daemon")
def doctor(door: Door) -> str:
    streaming(door)
    text = must_as_service(door, "doctor --patience 60 --json")
    checks = json.loads(text[text.index("{") :])["checks"]
    verdicts = {one["check"]: one for one in checks}
    for name in ("camera", "broker", "database", "library"):
        assert verdicts[name]["verdict"] == "ok", verdicts[name]
    return f"camera: {verdicts['camera']['what']}"


@check("somebody is enrolled at the camera, granted, removed, refused")
def enrols_at_the_camera(door: Door) -> str:
    streaming(door, "newcomer")
    # A real camera can be opened once.
    door.must(f"systemctl stop {UNIT}")
    text = must_as_service(door, "enroll Newcomer --camera --count 3 --seconds 300 --json", 600)
    newcomer = json.loads(text[text.index("{") :])["subject"]["id"]
    streaming(door, "newcomer")
    after = door.mark()
    granted = door.next_grant(after, newcomer)
    # The daemon runs on: it notices by itself that an enrolment is gone.
    must_as_service(door, "subjects remove Newcomer --yes")
    door.next("info", after, lambda message: message.json["subjects"] == 1)
    after = door.mark()
    decision = door.next_access(after)
    assert decision["outcome"] != "granted", decision
    return f"granted with {granted['score']:.3f}, then {decision['outcome']}/{decision['reason']}"


@check("a camera that compresses (MJPG) is read, and the person granted")
def reads_mjpg(door: Door) -> str:
    door.start_broker()
    door.must(f"systemctl stop {UNIT}")
    door.pull_out()
    try:
        door.plug_in("enrolled", "mjpeg")
        after = door.mark()
        door.start()
        granted = door.next_grant(after, subject(door))
        info = door.messages("info", after)[-1].json
    finally:
        door.must(f"systemctl stop {UNIT}")
        door.pull_out()
    assert info["camera"]["format"] == "MJPG", info
    return f"score {granted['score']:.3f}"


# ---- What happens to a door ----------------------------------------------------------------------


@check("systemctl reload: the stricter setting counts at once, a wrong file changes nothing")
def reloads(door: Door) -> str:
    streaming(door, "enrolled")
    person, before, after = subject(door), door.pid(), door.mark()

    def told(event: str) -> dict:
        def fits(message: Message) -> bool:
            return message.json.get("administrative", {}).get("event") == event

        return door.next("audit", after, fits).json

    def decided_after(seq: int) -> dict:
        return door.next("access", after, lambda message: message.json["seq"] > seq).json

    try:
        door.configure(recognise={"threshold": 0.999}, camera={"fps": 6})
        # Measured in the machine, around the command alone.
        text = door.must(
            f"from=$(cut --delimiter=' ' --fields=1 /proc/uptime); systemctl reload {UNIT};"
            " to=$(cut --delimiter=' ' --fields=1 /proc/uptime); echo $from $to"
        )
        began, ended = (float(number) for number in text.split())
        reloaded = told("configuration_reloaded")
        named = reloaded["administrative"]
        assert named["changed"] == ["recognise.threshold"] and named["restart"] == ["camera.fps"], named
        assert "restart needed for camera.fps" in door.property("StatusText"), door.property("StatusText")
        strict = decided_after(reloaded["seq"])
        assert strict["outcome"] != "granted", strict

        cursor = door.cursor()
        door.configure(visit={"agreeing": "many"})
        assert not door.run(f"systemctl reload {UNIT}"), "a reload of a wrong file went well"
        refused = told("configuration_refused")
        assert refused["administrative"]["keys"] == ["visit.agreeing"], refused
        assert 'visit.agreeing = "many": must be' in door.journal(cursor), door.journal(cursor)
        still = decided_after(refused["seq"])
        assert still["outcome"] != "granted", still
    finally:
        door.configure()
    after = door.mark()
    door.must(f"systemctl reload {UNIT}")
    door.next_grant(after, person)
    assert door.pid() == before, "the daemon was started again"
    facts = [door.property(name) for name in ("ActiveState", "SubState", "Result")]
    assert facts == ["active", "running", "success"], facts
    return f"in force after {ended - began:.1f} s (emulated, systemctl and the check included)"


@check("the camera is pulled and comes back, and the same daemon grants")
def survives_unplugging(door: Door) -> str:
    streaming(door)
    before = door.pid()
    after = door.mark()
    door.must("systemctl stop feed")
    silent = door.next("camera", after, lambda message: message.json["state"] != "streaming").json
    door.pull_out()
    gone = door.camera_is("searching", after)
    assert silent["remedy"] and gone["remedy"], (silent, gone)
    after = door.mark()
    door.plug_in("enrolled")
    door.camera_is("streaming", after)
    door.next_grant(after, subject(door))
    assert door.pid() == before, "the daemon was started again"
    return f"{silent['state']}, searching, streaming"


@check("another camera than the one that is named is refused, and the named one is not")
def refuses_another_camera(door: Door) -> str:
    streaming(door)
    person = subject(door)
    identity = door.messages("info")[-1].json["camera"]["identity"]
    assert identity.startswith("platform:v4l2loopback"), identity
    try:
        door.configure(camera={"identity": "usb:046d:0825:NOT-HERE"})
        door.show("enrolled")
        after = door.mark()
        door.start()
        refused = door.camera_is("foreign", after)
        assert identity in refused["remedy"], refused
        record = door.next("audit", after, lambda message: "camera_changed" in message.text).json
        assert record["administrative"]["doubt"] == "foreign", record
        health = door.next("health", after, lambda message: message.json["uptime_s"] >= 30).json
        assert health["frames"]["captured"] == 0, health
        assert not door.messages("access", after), door.messages("access", after)
        door.configure(camera={"identity": identity})
        after, cursor = door.mark(), door.cursor()
        door.start()
        assert "remedy" not in door.camera_is("streaming", after)
        door.next_grant(after, person)
        assert "the camera is virtual" not in door.journal(cursor), door.journal(cursor)
    finally:
        door.configure()
    return f"{identity} alone"


@check("the broker goes and comes: the record arrives late, the grant does not")
def survives_the_broker(door: Door) -> str:
    streaming(door)
    after = door.mark()
    door.must("systemctl stop mosquitto")
    cursor = door.cursor()
    door.show("enrolled")
    door.wait("a grant without a broker", lambda: "outcome=Granted" in door.journal(cursor))
    door.show("nobody")
    door.wait("the visit to end", lambda: quiet(door))
    door.start_broker()
    late = door.next("audit", after, lambda message: message.json["late"] and is_grant(message)).json
    assert not door.messages("access", after), door.messages("access", after)
    door.next("status", after, lambda message: message.text == "online")
    after = door.mark()
    door.show("enrolled")
    granted = door.next_grant(after, subject(door))
    assert granted["seq"] > late["seq"], (granted, late)
    return f"record {late['seq']} late, {granted['seq']} in time"


def is_grant(message: Message) -> bool:
    return message.json.get("decision", {}).get("outcome") == "granted"


def quiet(door: Door) -> bool:
    """Whether nobody has been decided about for a while: the newest line is older than a visit."""
    newest = door.must(f"journalctl --quiet --unit {UNIT} --lines=1 --output=short-unix | cut --delimiter=' ' --fields=1")
    now = door.must("date +%s.%N")
    return float(now) - float(newest) > 10


@check("kill -9: the will says offline, systemd starts it again, the person is granted", smoke=True, foreign=True)
def survives_kill(door: Door) -> str:
    streaming(door)
    before, after = door.pid(), door.mark()
    door.must(f"kill -9 {before}")
    door.next("status", after, lambda message: message.text == "offline")
    door.wait_restarted(before)
    door.next("status", after, lambda message: message.text == "online")
    after = door.mark()
    door.show("enrolled")
    door.next_grant(after, subject(door))
    return f"started again {door.property('NRestarts')} time(s)"


@check("one thread hangs: the watchdog starts the daemon again")
def survives_a_hung_thread(door: Door) -> str:
    streaming(door)
    before, cursor = door.pid(), door.cursor()
    # As a debugger would: the thread stands in the kernel, the others run on. Recognise has the
    # shortest bound of the three.
    door.must("systemctl stop hold 2>/dev/null; systemctl reset-failed hold 2>/dev/null; true")
    door.must(
        f"tid=$(grep --files-with-matches --line-regexp door /proc/{before}/task/*/comm | cut --delimiter=/ --fields=5)"
        " && systemd-run --quiet --unit=hold perl /payload/hold_thread.pl $tid"
    )
    door.wait_restarted(before)
    door.must("systemctl stop hold 2>/dev/null || true")
    journal = door.journal(cursor)
    assert "a thread hangs" in journal and re.search(r"thread\W+door", journal), journal
    assert "watchdog" in journal.lower(), journal
    after = door.mark()
    door.show("enrolled")
    door.next_grant(after, subject(door))
    return "recognise held, found, started again"


@check("the whole process stands still (SIGSTOP): the watchdog starts it again")
def survives_standing_still(door: Door) -> str:
    streaming(door)
    before, cursor = door.pid(), door.cursor()
    door.must(f"kill -STOP {before}")
    door.wait_restarted(before)
    journal = door.journal(cursor)
    assert "watchdog" in journal.lower(), journal
    return "started again"


@check(f"SIGTERM: it ends by itself, in less than {END_S:.0f} s")
def ends_in_time(door: Door) -> str:
    streaming(door)
    after = door.mark()
    # Measured in the machine, around the signal and the end of the process alone.
    text = door.must(
        f"pid=$(systemctl show --value --property MainPID {UNIT}); from=$(cut --delimiter=' ' --fields=1 /proc/uptime);"
        f" systemctl stop {UNIT}; to=$(cut --delimiter=' ' --fields=1 /proc/uptime); echo $from $to"
    )
    began, ended = (float(number) for number in text.split())
    assert door.property("Result") == "success", door.property("Result")
    door.next("status", after, lambda message: message.text == "offline")
    door.next("audit", after, lambda message: message.json.get("administrative", {}).get("event") == "stopped")
    assert ended - began < END_S, f"it took {ended - began:.1f} s"
    return f"{ended - began:.1f} s (emulated, systemctl included)"


@check("the disk is full: no grant without its record, health says so, and it recovers")
def survives_a_full_disk(door: Door) -> str:
    streaming(door)
    state = "/var/lib/deepid-edge"
    door.must(f"systemctl stop {UNIT}")
    door.must(
        f"truncate --size=16M /var/tmp/state.img && mke2fs -q -t ext4 -m 0 /var/tmp/state.img"
        f" && mkdir -p /mnt/state && mount -o loop /var/tmp/state.img /mnt/state && cp -a {state}/. /mnt/state/"
        f" && chown --reference={state} /mnt/state && chmod --reference={state} /mnt/state"
        f" && umount /mnt/state && mount -o loop /var/tmp/state.img {state}"
    )
    try:
        after = door.mark()
        door.start()
        door.camera_is("streaming", after)
        door.must(f"dd if=/dev/zero of={state}/ballast bs=4k 2>/dev/null; dd if=/dev/zero of={state}/ballast2 bs=512 2>/dev/null; true")
        assert door.run(f"df --output=avail {state} | tail --lines=1").text.strip() == "0"
        door.show("enrolled")
        door.next("health", after, lambda message: message.json["database"] == "full", 2 * PATIENCE)
        full = door.mark()
        # A whole visit goes by.
        door.next("presence", full, lambda message: message.json["present"])
        door.next("presence", full, lambda message: not message.json["present"])
        assert not door.messages("access", full), door.messages("access", full)
        door.must(f"rm {state}/ballast {state}/ballast2")
        granted = door.next_grant(full, subject(door))
        door.next("health", full, lambda message: message.json["database"] == "ok")
        announced = {message.json["seq"] for message in door.messages("access", after)}
        door.next("audit", after, lambda message: message.json["seq"] == granted["seq"])
        recorded = {message.json["seq"] for message in door.messages("audit", after)}
        assert announced <= recorded, f"announced without a record: {announced - recorded}"
    finally:
        door.must(f"systemctl stop {UNIT}; umount {state}; rm --force /var/tmp/state.img")
    return f"{len(announced)} announced, all recorded"


@check("the clock is wrong: denied far back and far ahead, granted when it is right again")
def survives_a_wrong_clock(door: Door) -> str:
    streaming(door, "enrolled")
    person = subject(door)
    told = []
    for wrong in ("2001-01-01", "2099-01-01"):
        right = door.must("date +%s && cut --delimiter=. --fields=1 /proc/uptime").split()
        try:
            door.must(f"date --set='{wrong}' >/dev/null")
            after = door.mark()
            denied = door.next("access", after, lambda message: message.json["reason"] == "clock_untrusted").json
            granted = [message for message in door.messages("access", after) if message.json["outcome"] == "granted"]
            # The first may have been decided before the step.
            assert all(message.json["issued"][:4] not in wrong for message in granted), granted
            assert denied["outcome"] == "denied" and denied["clock"] == "untrusted", denied
            told.append(denied["issued"][:4])
        finally:
            now = door.must("cut --delimiter=. --fields=1 /proc/uptime")
            door.must(f"date --set=@{int(right[0]) + int(now) - int(right[1])} >/dev/null")
        after = door.mark()
        door.next_grant(after, person)
    return f"denied in {' and '.join(told)}"


@check("a TPM seals the keys of grants and of the database: it grants, and by another TPM it does not start")
def keys_in_a_tpm(door: Door) -> str:
    # The commands are those of docs/board.md.
    if not door.run("test -c /dev/tpmrm0"):
        raise Skipped("the machine has no TPM: swtpm is not installed here")
    kept, drop_in, state = "/etc/credstore.encrypted", f"/etc/systemd/system/{UNIT}.service.d", "/var/lib/deepid-edge"
    streaming(door)
    person, before = subject(door), must_as_service(door, "keys show --json")
    seal = "systemd-creds encrypt --with-key=tpm2 --name"
    door.must(f"install -d -m 0700 {kept}; mkdir -p {drop_in}; cp -a {state}/grant.key /root/")
    try:
        door.must(f"{seal}=grant.key {state}/grant.key {kept}/grant.key && shred -u {state}/grant.key")
        door.must("openssl rand -hex 32 | install -o deepid-edge -m 0600 /dev/stdin /run/store.key")
        door.must(f"{seal}=store.key /run/store.key {kept}/store.key && systemctl stop {UNIT}")
        must_as_service(door, "keys rotate --store --key /run/store.key --yes")
        keys = "".join(f"LoadCredentialEncrypted={key}:{kept}/{key}\n" for key in ("grant.key", "store.key"))
        door.machine.write(f"{drop_in}/tpm.conf", f"[Service]\n{keys}")
        door.must(f"systemctl daemon-reload; shred -u {state}/store.key")
        after = door.mark()
        door.start()
        assert public(must_as_service(door, "keys show --json")) == public(before), "another key signs"
        assert not door.run(f"test -e {state}/grant.key -o -e {state}/store.key"), "a key was made"
        door.show("enrolled")
        granted = door.next_grant(after, person)
        door.next("grant", after, lambda message: True)
        # As if the card were in another board: what was sealed by the seed before opens no longer.
        door.must("tpm2_clear -c l")
        assert not door.run(f"systemctl restart {UNIT}"), "it starts without its keys"
        assert not door.run(f"test -e {state}/grant.key -o -e {state}/store.key"), "a key was made"
    finally:
        door.run(f"rm --force {drop_in}/tpm.conf {kept}/*.key; systemctl daemon-reload")
        door.run(f"test -e {state}/grant.key || cp -a /root/grant.key {state}/")
        door.run(f"test -e {state}/store.key || cp -a /run/store.key {state}/")
        door.run("rm --force /root/grant.key /run/store.key")
    after = door.mark()
    door.start()
    door.next_grant(after, person)
    return f"granted with score {granted['score']:.3f}, and again by the plain keys"


def public(told: str) -> list[str]:
    """The fingerprints of `keys show --json`."""
    found = re.findall(r'"fingerprint": *"([^"]+)"', told)
    assert found, told
    return found


@check("a second camera (vivid) is read: it streams, frames are counted, nobody is there", foreign=True)
def reads_vivid(door: Door) -> str:
    door.start_broker()
    door.must("modprobe vivid n_devs=1 node_types=0x1 vid_cap_nr=20 && udevadm settle")
    try:
        # With the detectors as they are by default: nothing here has to be in time.
        door.configure(
            camera={"device": "/dev/video20", "width": 640, "height": 360}, detect={"strategy": "find-then-follow"}
        )
        after = door.mark()
        door.start()
        door.camera_is("streaming", after)

        def counted(message: Message) -> bool:
            return message.json["frames"]["processed"] >= 5

        health = door.next("health", after, counted).json
        assert not door.messages("access", after), door.messages("access", after)
        info = door.messages("info", after)[-1].json
        assert "vivid" in info["camera"]["name"], info
        # Its driver acts as if the plug were pulled while frames flow, and put in again when nobody
        # has the device open any more: when the daemon has let go of it.
        after = door.mark()
        door.must("v4l2-ctl --device /dev/video20 --set-ctrl disconnect=1")
        door.next("camera", after, lambda message: message.json["state"] != "streaming")
        door.camera_is("streaming", after)
    finally:
        door.configure()
        door.must(f"systemctl stop {UNIT}")
        door.run("modprobe --remove vivid")
    camera = info["camera"]
    return f"{camera['format']} {camera['width']}x{camera['height']}, {health['frames']['processed']} frames"


# ---- The opener ----------------------------------------------------------------------------------


@check("opener: the package installs, and its line is locked from the first moment", group="opener", needed=True)
def opener_locks_at_its_start(wall: Wall) -> str:
    wall.make_chip()
    wall.must(f"systemctl stop {UNIT} feed 2>/dev/null; true")
    wall.door.start_broker()
    wall.must("dpkg --install /payload/deepid-opener.deb", 900)
    # The chip was there before: udev's rule has to reach it without a restart of the machine.
    wall.must("udevadm settle")
    owned = wall.must(f"stat --format='%G %a' {wall.chip}")
    assert owned == "gpio 660", owned
    sample = wall.run("deepid-opener check")
    assert sample.status == 3 and "door.keys" in sample.text, f"the sample's key passes: {sample}"
    for locked, level in (("high", 1), ("low", 0)):
        # A line that would open the door until the opener takes it.
        wall.must(f"systemctl stop {opener.UNIT}; {wall.pull(RELAY, 1 - level)}; {wall.until_level(1 - level)}")
        wall.configure(locked=locked)
        wall.must("runuser -u deepid-opener -- deepid-opener check")
        mark = wall.mark()
        wall.start()
        seen = [(event.what, event.level) for event in wall.timeline(mark)]
        assert [what for what in seen if what[0] == "set"][0] == ("set", level), seen
        assert (seen.count(("set", 1 - level)), seen.count(("level", 1 - level))) == (0, 0), seen
        wall.must(wall.pull(RELAY, level))
    wall.configure()
    wall.start()
    mark = wall.mark()
    second = wall.run("deepid-opener run")
    assert second.status == 4 and "cannot be had for the output" in second.text, second
    wall.no_pulse(mark)
    status = wall.must(f"cat /proc/{wall.property('MainPID')}/status")
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE) and re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE), status
    return f"{wall.property('User')}, {wall.chip} line {RELAY}, locked low and high"


@check("opener: a signed grant gives one pulse, and the same bytes again none", group="opener")
def opener_opens_once(wall: Wall) -> str:
    wall.configure(pulse_ms=3000)
    wall.start()
    latencies = []
    for _ in range(5):
        after, mark = wall.door.mark(), wall.mark()
        grant = wall.grant()
        wall.must(wall.say(grant, grant))
        wall.is_in("open", after)
        again = wall.is_in("ready", after).json
        assert again["last_refusal"] == "other_nonce", again
        length = wall.pulse(mark)
        assert 1 < length < 9, f"the pulse was {length} s"
        said = next(event.at for event in wall.timeline(mark) if event.what == "said")
        latencies.append(wall.changes(mark, "set")[0].at - said)
    told = ", ".join(f"{latency * 1000:.0f}" for latency in sorted(latencies))
    return f"pulse of 3 s: {length:.3f} s; {told} ms from publishing to the edge (emulated)"


@check("opener: what is forged, repeated, another door's or unsigned opens nothing, and it says why", group="opener")
def opener_refuses(wall: Wall) -> str:
    wall.configure()
    wall.start()
    after = wall.door.mark()
    taken = wall.grant()
    wall.must(wall.say(taken))
    wall.is_in("open", after)
    wall.door.wait("the pulse to end", lambda: wall.states(after)[-1].json["state"] == "ready")
    seq = json.loads(base64url_decoded(taken.split(".")[1]))["seq"]
    mark = wall.mark()

    def forged() -> str:
        header, _, signature = wall.grant().split(".")
        return f"{header}.{base64url(json.dumps(wall.claims(sub='s-mallory')).encode())}.{signature}"

    cases = {
        "other_nonce": lambda: taken,
        "replayed": lambda: wall.grant(seq=seq),
        "bad_signature": forged,
        "unknown_key": lambda: wall.grant(STRANGER_SEED),
        "unsupported_algorithm": lambda: unsigned(wall.claims()),
        "other_door": lambda: wall.grant(iss="back"),
        "lifetime_too_long": lambda: wall.grant(exp=2**40),
        "malformed": lambda: '{"open": true}',
        "oversized": lambda: "A" * 1025,
    }
    for reason, message in cases.items():
        wall.refused(message(), reason)
    # What the broker kept is no grant, however good it is.
    wall.must(f"mosquitto_pub -h 127.0.0.1 -q 1 -r -t {opener.GRANT} -m '{wall.grant()}' && sleep 1")
    wall.must(f"mosquitto_pub -h 127.0.0.1 -q 1 -r -t {opener.GRANT} -n")
    wall.no_pulse(mark)
    after = wall.door.mark()
    wall.must(wall.say(wall.grant()))
    assert "last_refusal" not in wall.is_in("open", after).json
    wall.is_in("ready", after)
    return ", ".join(cases)


def base64url_decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@check("opener: the button gives one pulse, a door held open is reported", group="opener")
def opener_reads_its_inputs(wall: Wall) -> str:
    wall.configure(pulse_ms=1000)
    wall.start()
    mark, after = wall.mark(), wall.door.mark()
    # A contact that bounces, and is then kept pressed for longer than a pulse.
    bounces = "; ".join(wall.pull(BUTTON, level) for level in (0, 1, 0, 1, 0))
    wall.must(f"{bounces}; sleep 3; {wall.pull(BUTTON, 1)}")
    wall.is_in("open", after)
    wall.is_in("ready", after)
    length = wall.pulse(mark)
    assert 0.3 < length < 3, f"the pulse was {length} s"
    assert wall.states(after)[-1].json["contact"] == "closed", wall.states(after)
    mark, after = wall.mark(), wall.door.mark()
    wall.must(wall.pull(CONTACT, 1))
    opened = wall.is_in("open", after)
    held = wall.is_in("held_open", after)
    assert held.json["contact"] == "open" and held.heard_at - opened.heard_at > 1.5, (opened, held)
    after = wall.door.mark()
    wall.must(wall.pull(CONTACT, 0))
    assert wall.is_in("ready", after).json["contact"] == "closed"
    wall.no_pulse(mark)
    # Who is inside gets out without a broker, too.
    wall.must("systemctl stop mosquitto")
    mark = wall.mark()
    try:
        wall.must(f"{wall.pull(BUTTON, 0)}; {wall.until_level(1)}; {wall.pull(BUTTON, 1)}; {wall.until_level(0)}")
        wall.pulse(mark)
    finally:
        wall.door.start_broker()
    return f"pulse of 1 s: {length:.3f} s; held open after {held.heard_at - opened.heard_at:.1f} s of 2"


@check("opener: kill -9 in mid-pulse: the line is as its chip leaves it, and locked by the restart", group="opener")
def opener_is_killed(wall: Wall) -> str:
    wall.configure(pulse_ms=10_000)
    took = {}
    for pull in (0, 1):
        wall.must(wall.pull(RELAY, pull))
        wall.start()
        after, mark = wall.door.mark(), wall.mark()
        kill = f"echo killed > {TRACE}/trace_marker; kill -9 {wall.property('MainPID')}"
        wall.must(f"{wall.say(wall.grant())}; {wall.until_level(1)}; {kill}")
        will = wall.is_in("broker_lost", after)
        wall.close_door(wall.door.heard.index(will) + 1)
        events = wall.timeline(mark)
        killed = next(event.at for event in events if event.what == "killed")
        locked = next(event.at for event in events if event.at > killed and (event.what, event.level) == ("level", 0))
        again = next(event.at for event in events if event.at > killed and event.what == "set")
        wall.pulse(mark)
        took[pull] = locked - killed
        assert (again <= locked) == bool(pull), f"gpio-sim gives a line back to its pull: {events}"
    wall.must(wall.pull(RELAY, 0))
    return f"pulled down: locked after {took[0] * 1000:.0f} ms; pulled up: open for {took[1]:.1f} s, until the restart (emulated)"


@check("opener: SIGTERM in mid-pulse locks", group="opener")
def opener_is_stopped(wall: Wall) -> str:
    wall.configure(pulse_ms=10_000)
    # The line must be locked before it is given back: this pull would open.
    wall.must(wall.pull(RELAY, 1))
    wall.start()
    after, mark = wall.door.mark(), wall.mark()
    stop = f"echo stopping > {TRACE}/trace_marker; systemctl stop {opener.UNIT}"
    wall.must(f"{wall.say(wall.grant())}; {wall.until_level(1)}; {stop}")
    wall.is_in("stopped", after)
    assert wall.property("Result") == "success", wall.journal()
    stopping = next(event.at for event in wall.timeline(mark) if event.what == "stopping")
    unlocked, locked = wall.changes(mark, "set")
    assert (unlocked.level, locked.level) == (1, 0), wall.timeline(mark)
    wall.must(wall.pull(RELAY, 0))
    wall.start()
    return f"locked after {(locked.at - stopping) * 1000:.0f} ms (emulated, systemctl included)"


@check("opener: the broker is stopped, and hangs, in mid-pulse: locked, and found again", group="opener")
def opener_loses_its_broker(wall: Wall) -> str:
    wall.configure(pulse_ms=10_000)
    wall.start()
    told = []
    process = "$(systemctl show --value --property MainPID mosquitto)"
    for how, stop, mend in (
        ("stopped", "systemctl stop mosquitto", "systemctl start mosquitto"),
        ("hanging", f"kill -STOP {process}", f"kill -CONT {process}"),
    ):
        after, mark = wall.door.mark(), wall.mark()
        noticed = wall.journal().count("no broker")
        wall.must(f"{wall.say(wall.grant())}; {wall.until_level(1)}; echo stopping > {TRACE}/trace_marker; {stop}")
        try:
            wall.must(wall.until_level(0))
            wall.door.wait("it to notice", lambda: wall.journal().count("no broker") > noticed)
        finally:
            wall.must(mend)
        # What it says last before the broker is lost is 'open'; the broker says the rest in its place.
        wall.is_in("broker_lost", after)
        wall.is_in("ready", after)
        wall.door.start_broker()
        length = wall.pulse(mark)
        stopping = next(event.at for event in wall.timeline(mark) if event.what == "stopping")
        locked = wall.changes(mark, "set")[1].at
        assert locked - stopping < 10.5, f"open for {locked - stopping} s without a broker"
        told.append(f"{how}: locked {locked - stopping:.1f} s later, after {length:.1f} s of 10")
    return f"{'; '.join(told)} (emulated)"


@check("opener: its chip is unplugged: it notices, and takes it again", group="opener")
def opener_loses_its_chip(wall: Wall) -> str:
    told = []
    for inputs in (True, False):
        wall.configure(inputs=inputs)
        after = wall.door.mark()
        wall.must(f"systemctl restart {opener.UNIT}")
        # Without a contact nobody says that the door stands open.
        awake = "open" if inputs else "ready"
        wall.is_in(awake, after)
        after, before = wall.door.mark(), len(wall.journal())
        wall.unplug()
        wall.is_in("stopped", after)
        told.append(re.search(r"line \d: cannot be [^:]*", wall.journal()[before:])[0])
        wall.door.wait("systemd to try again", lambda: "(chips here: none)" in wall.journal()[before:])
        after = wall.door.mark()
        wall.plug()
        # Under another name, where the kernel has not forgotten the chip that was in use.
        told.append(f"back as {wall.chip}")
        wall.configure(inputs=inputs)
        wall.is_in(awake, after)
    assert wall.property("ActiveState") == "active", wall.journal()
    return "; ".join(told)


@check("opener: removed in a pulse, its line is locked; purged, nothing of it is left", group="opener")
def opener_is_removed(wall: Wall) -> str:
    wall.configure(pulse_ms=10_000)
    wall.start()
    mark = wall.mark()
    wall.must(f"{wall.say(wall.grant())}; {wall.until_level(1)}; dpkg --remove deepid-opener", 900)
    assert not wall.run("pgrep --exact deepid-opener"), "a process still runs"
    length = wall.pulse(mark)
    wall.must(f"test -e {opener.CONFIG} && dpkg --purge deepid-opener", 900)
    left = wall.must("find /etc /var/lib /usr /run -name 'deepid-opener*' -not -path '/var/lib/dpkg/*' 2>/dev/null || true")
    assert not left, left
    # Nobody looks at the line any more.
    wall.must(f"systemctl stop sampler; echo 0 > {TRACE}/events/gpio/enable")
    return f"locked after {length:.1f} s of 10 (emulated)"


# ---- The package's life --------------------------------------------------------------------------


@check("a newer package keeps configuration and enrolments, and decides")
def upgrades(door: Door) -> str:
    streaming(door)
    person, config = subject(door), door.must(f"sha256sum {CONFIG}")
    before = door.must("dpkg-query --show --showformat='${Version}' deepid-edge")
    door.must("dpkg --install /payload/deepid-edge-newer.deb", 900)
    newer = door.must("dpkg-query --show --showformat='${Version}' deepid-edge")
    assert before != newer, newer
    assert door.must(f"sha256sum {CONFIG}") == config, "the configuration was changed"
    assert subject(door) == person, "the enrolment is gone"
    after = door.mark()
    door.start()
    door.show("enrolled")
    door.next_grant(after, person)
    return f"{before} to {newer}"


@check("removed, the service is gone and the data stays; purged, nothing is left")
def removes(door: Door) -> str:
    door.must("dpkg --remove deepid-edge", 900)
    assert not door.run(f"systemctl is-active --quiet {UNIT}"), "the service still runs"
    assert not door.run("pgrep --exact deepid-edge"), "a process still runs"
    assert not door.run("test -e /usr/bin/deepid-edge")
    door.must(f"test -e {CONFIG} && test -e /var/lib/deepid-edge/deepid-edge.db")
    door.must("dpkg --purge deepid-edge", 900)
    left = door.must("find /etc /var/lib /usr /run -name 'deepid-edge*' -not -path '/var/lib/dpkg/*' 2>/dev/null || true")
    assert not left, left
    return ""


@check("the installation guide leads from nothing to a grant, a backup and back, line by line")
def follows_the_guide(door: Door) -> str:
    # Whatever an earlier check has left is gone, but for the feed: the camera is plugged in.
    door.run("dpkg --purge deepid-edge")
    door.start_broker()
    door.show("enrolled")
    if not door.run("systemctl is-active --quiet feed"):
        door.pull_out()
        door.plug_in("enrolled")
    commands = guide.follow(door, guide.TEXT.read_text())
    assert not door.run("test -e /etc/deepid-edge || test -e /var/lib/deepid-edge"), "something was left"
    return f"{commands} commands"
