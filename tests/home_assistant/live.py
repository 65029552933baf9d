"""The product in a real Home Assistant: a door, a broker and a hub, from the first evening to the removal.

in   target/debug/deepid-edge, or the program that is named as an argument; assets (`make assets`); mosquitto;
     what tools/home_assistant.sh needs
out  a line for each check; exit 1 when one failed, 0 with a plain word where it cannot be held here. Logs of
     all three stay in target/home-assistant-live

Nothing is simulated but the visitors: the daemon judges the demonstration's visit as a camera's pictures,
mosquitto has the users and rules of deploy/, and Home Assistant is set up by its own interfaces: the owner's
account, the integration's form, helpers, and automations out of the blueprints of deploy/home-assistant.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from doorway import BASE, NAME, Broker, Door, free_port, program
from hub import ROOT, RUN, Hub, until

sys.path.insert(0, str(ROOT / "tests/package"))
from report import Report, TestImpossible  # noqa: E402

FOLDER = ROOT / "target/home-assistant-live"
SNAPSHOT = ROOT / "src/publish/snapshots/deepid_edge__publish__discovery__tests__the_message_is_as_agreed.snap"
DISCOVERY = "homeassistant/device/deepid-edge-front/config"
ACCESS = "event.deepid_edge_front_access"
STRANGERS = "event.deepid_edge_front_strangers"
DURESS = "event.deepid_edge_front_duress"
SECOND_FACTOR = "binary_sensor.deepid_edge_front_second_factor_needed"
ARMED = "binary_sensor.deepid_edge_front_armed"
ARMING = "switch.deepid_edge_front_arming"
GUIDANCE = "sensor.deepid_edge_front_guidance"
LAST = "sensor.deepid_edge_front_last_subject"
PRESENCE = "binary_sensor.deepid_edge_front_presence"
CAMERA = "binary_sensor.deepid_edge_front_camera_problem"
LOCKOUT = "binary_sensor.deepid_edge_front_lockout"
FRAME_RATE = "sensor.deepid_edge_front_frame_rate"
# How long something is looked for that must not come.
STILL_S = 2.0


class Scene:
    """Everything that is there, and what the checks ask of it."""

    def __init__(self, binary: pathlib.Path, report: Report) -> None:
        self.report = report
        self.broker = Broker(FOLDER / "broker")
        self.door = Door(binary, FOLDER / "door", self.broker)
        self.hub = Hub(FOLDER / "home-assistant", free_port())
        self.subject = ""

    def close(self) -> None:
        self.door.close()
        self.hub.stop()
        self.broker.close()

    def openings(self) -> int:
        return int(self.hub.value("counter.openings"))

    def visit(self, part: str) -> list[dict]:
        """Lets somebody come; the events *Access* that Home Assistant had meanwhile."""
        before = len(self.hub.events(ACCESS))
        self.door.show(part)
        until(lambda: len(self.hub.events(ACCESS)) > before, STILL_S)
        return self.hub.events(ACCESS)[before:]

    def check_visit(self, what: str, part: str, outcome: str, reason: str, openings: int) -> dict:
        """A visit gives exactly this event, and opens so often."""
        opened = self.openings()
        events = self.visit(part)
        found = [(one["attributes"].get("outcome"), one["attributes"].get("reason")) for one in events]
        self.report.check(f"{what}: {outcome}, {reason}", found == [(outcome, reason)], found)
        until(lambda: self.openings() - opened == openings, STILL_S)
        found = self.openings() - opened
        self.report.check(f"{what}: opened {openings} times", found == openings, found)
        return events[-1]["attributes"] if events else {}

    def check_still(self, what: str, does: Callable[[], object]) -> None:
        """Something happens, and nothing is opened by it."""
        opened = self.openings()
        does()
        time.sleep(STILL_S)
        self.report.check(f"{what}: opens nothing", self.openings() == opened, self.openings() - opened)

    def check_published(self, what: str, payload: dict, *options: str) -> None:
        """Somebody publishes on `access`; Home Assistant has an event of it, and nothing is opened."""
        before = len(self.hub.events(ACCESS))
        self.check_still(what, lambda: self.broker.publish(f"{BASE}/access", json.dumps(payload), *options))
        found = [one["attributes"].get("seq") for one in self.hub.events(ACCESS)[before:]]
        self.report.check(f"{what}: is an event all the same", found == [payload["seq"]], found)

    def check_becomes(self, entity: str, *values: str) -> None:
        shown = " or ".join(values)
        self.report.check(f"{entity} becomes {shown}", self.hub.becomes(entity, *values), self.hub.state(entity))

    def check_back(self, what: str) -> None:
        """Every entity shows something again."""
        away = until(lambda: not self.unavailable()) or self.unavailable()
        self.report.check(f"{what}: no entity is unavailable", away is True, away)

    def unavailable(self) -> list[str]:
        device = self.hub.device("deepid-edge-front")
        entities = self.hub.entities(device) if device else []
        shown = [one["entity_id"] for one in entities]
        return [one for one in shown if self.hub.value(one) in ("unavailable", None)]


# ---- The checks, in the order in which a person would come to them -----------------------------------


def the_first_evening(scene: Scene) -> None:
    scene.broker.start()
    scene.subject = scene.door.enrol()
    scene.door.must("arm", "on")
    scene.door.start()
    hub = scene.hub
    blueprints = hub.folder / "blueprints/automation/deepid-edge"
    blueprints.mkdir(parents=True)
    for one in ("open_on_grant.yaml", "alert_strangers.yaml", "alert_duress.yaml"):
        shutil.copy(ROOT / "deploy/home-assistant" / one, blueprints)
    hub.start()
    hub.onboard()
    version = hub.get("/api/config")["version"]
    mosquitto = subprocess.run([program("mosquitto"), "-h"], capture_output=True, text=True, check=False).stdout
    print(f"  Home Assistant {version}, {mosquitto.splitlines()[0]}, {scene.door.must('--version').splitlines()[0]}")
    found = hub.add_mqtt(scene.broker.port, "homeassistant", "hub")
    print(f"  added MQTT by its own form: {found['broker']}, protocol {found.get('protocol')}")


def discovery(scene: Scene) -> None:
    hub, report = scene.hub, scene.report
    device = until(lambda: hub.device("deepid-edge-front"))
    report.check("the door is a device", bool(device), None)
    facts = {key: device[key] for key in ("name", "manufacturer", "model", "sw_version", "serial_number")}
    right = facts["name"] == "Door front" and facts["serial_number"] in scene.door.must("keys", "show")
    report.check("it is 'Door front', and its serial number is the fingerprint of the key that signs", right, facts)
    message = json.loads(scene.broker.messages(DISCOVERY)[-1]["payload"])
    agreed = json.loads(SNAPSHOT.read_text().split("---\n", 2)[2])
    # A component with nothing but its platform is one that must not be there.
    there = {key: one for key, one in message["components"].items() if len(one) > 1}
    report.check(
        "it announces the entities that are agreed upon",
        message["components"].keys() == agreed["components"].keys(),
        message["components"].keys() ^ agreed["components"].keys(),
    )
    until(lambda: len(hub.entities(device)) == len(there))
    entities = hub.entities(device)
    wanted = {(one["unique_id"], one["default_entity_id"], one["name"]) for one in there.values()}
    found = {(one["unique_id"], one["entity_id"], one["original_name"]) for one in entities}
    report.check("each is there under its name and entity id, and nothing else", wanted == found, wanted ^ found)
    # Some show nothing before their first message: those of `health`, which is said every 30 s.
    for entity, shown in ((LOCKOUT, "off"), (PRESENCE, "off"), (GUIDANCE, "none")):
        hub.becomes(entity, shown, patience_s=40)
    for one in sorted(entities, key=lambda one: one["entity_id"]):
        state = hub.state(one["entity_id"])
        unit = state["attributes"].get("unit_of_measurement", "")
        print(f"    {one['entity_id']:54} {state['state']} {unit}")
    problems = [one["entity_id"] for one in entities if hub.state(one["entity_id"])["attributes"].get("device_class") == "problem"]
    found = {one: hub.value(one) for one in problems}
    report.check("no problem is shown", set(found.values()) == {"off"}, found)
    found = {one: hub.value(one) for one in (PRESENCE, GUIDANCE)}
    report.check("nobody is there, and nobody is told anything", list(found.values()) == ["off", "none"], found)
    report.check("the door is armed", hub.value(ARMED) == "on", hub.state(ARMED))
    report.check("there is no switch that arms", hub.state(ARMING) is None, hub.state(ARMING))
    scene.check_back("after the first minute")


def automations(scene: Scene) -> None:
    hub = scene.hub
    hub.ask("counter/create", name="openings")
    hub.ask("input_text/create", name="last grant", max=64)
    opens = [{"action": "counter.increment", "target": {"entity_id": "counter.openings"}}]
    inputs = {"access_event": ACCESS, "last_grant": "input_text.last_grant", "open_actions": opens}
    hub.automate("open", "open_on_grant.yaml", inputs)
    message = {"title": "Strangers", "message": "{{ visits }} within {{ within_s }} s"}
    tells = [{"action": "persistent_notification.create", "data": message}]
    hub.automate("alert", "alert_strangers.yaml", {"strangers_event": STRANGERS, "alert_actions": tells})
    message = {"title": "Help", "message": "{{ door }}: {{ outcome }}"}
    calls = [{"action": "persistent_notification.create", "data": message}]
    hub.automate("help", "alert_duress.yaml", {"duress_event": DURESS, "help_actions": calls})
    scene.report.check("the three blueprints make automations", True, None)


def visits(scene: Scene) -> None:
    report, hub = scene.report, scene.hub
    said = len(scene.broker.heard)
    first = scene.check_visit("a person who is enrolled", "enrolled", "granted", "matched", 1)
    pseudonym = scene.subject
    report.check("Last subject is the pseudonym", hub.value(LAST) == pseudonym, hub.state(LAST))
    report.check("the event has no name", NAME not in json.dumps(first), first)
    shown = [change["new_state"]["state"] for change in hub.changes if change["entity_id"] == PRESENCE]
    report.check("Presence was on", "on" in shown, shown)
    scene.check_becomes(PRESENCE, "off")
    second = scene.check_visit("the same person again", "enrolled", "granted", "matched", 1)
    report.check("they are two events", first.get("id") != second.get("id"), (first, second))
    scene.check_visit("two people", "two", "denied", "several_faces", 0)
    words = [json.loads(one["payload"])["guidance"] for one in scene.broker.messages(f"{BASE}/guidance", said)]
    shown = [change["new_state"]["state"] for change in hub.changes if change["entity_id"] == GUIDANCE]
    print(f"  the door said {words}; Guidance was {shown}")
    report.check("Guidance was what the door said", set(words) <= set(shown) and "one_at_a_time" in words, (words, shown))
    time.sleep(8)
    report.check("Guidance is still 'none' while nobody is there", hub.value(GUIDANCE) == "none", hub.state(GUIDANCE))


def last_access(scene: Scene) -> dict:
    return json.loads(scene.broker.messages(f"{BASE}/access")[-1]["payload"])


def replays(scene: Scene) -> None:
    """What somebody may send who has heard everything and may write anywhere."""
    scene.check_visit("a person who is enrolled", "enrolled", "granted", "matched", 1)
    heard = last_access(scene)
    scene.check_published("the same message again at once", heard)
    scene.check_published("the same message again later", heard)

    def stamped(ago_s: float) -> str:
        issued = datetime.now(timezone.utc) - timedelta(seconds=ago_s)
        return issued.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # Only the age is wrong with these: the number is a new one.
    for what, ago_s in (("one older than five seconds", 6.0), ("one from the future", -7.0)):
        scene.check_published(what, heard | {"seq": heard["seq"] + 1000, "issued": stamped(ago_s)})
    scene.check_published("a fresh one of an older number", heard | {"seq": heard["seq"] - 1, "issued": stamped(0)})
    # Kept by the broker, it is sent to whoever connects; a connection that is open gets it as any message.
    scene.check_published("a retained one", heard, "-r")


def a_hub_that_stood_still(scene: Scene) -> None:
    opened, events = scene.openings(), len(scene.hub.events(ACCESS))
    scene.hub.pause()
    scene.door.show("enrolled")
    told = last_access(scene)
    scene.report.check("the door granted meanwhile", told["outcome"] == "granted", told)
    time.sleep(6)
    scene.hub.resume()
    late = until(lambda: scene.hub.events(ACCESS)[events:])
    found = [one["attributes"]["id"] for one in late]
    scene.report.check("the event came when it went on", found == [told["id"]], found)
    time.sleep(STILL_S)
    scene.report.check("it opened nothing", scene.openings() == opened, scene.openings() - opened)
    scene.check_visit("the next person", "enrolled", "granted", "matched", 1)


def hub_restarts(scene: Scene) -> None:
    """With a retained `access` on the broker, which nobody but an intruder could have left there."""
    def restart() -> None:
        scene.hub.stop()
        scene.hub.start()
        scene.check_back("after Home Assistant's restart")
    scene.check_still("Home Assistant's restart", restart)
    scene.check_visit("the next person", "enrolled", "granted", "matched", 1)


def broker_restarts(scene: Scene) -> None:
    def restart() -> None:
        scene.broker.stop()
        scene.check_becomes(ARMED, "unavailable")
        time.sleep(3)
        scene.broker.start()
        scene.check_back("after the broker's restart")
    scene.check_still("the broker's restart", restart)
    scene.check_visit("the next person", "enrolled", "granted", "matched", 1)
    scene.broker.publish(f"{BASE}/access", "", "-r")


def door_restarts(scene: Scene) -> None:
    for how, word in ((signal.SIGTERM, "stopped"), (signal.SIGKILL, "killed")):
        def restart(how: signal.Signals = how) -> None:
            scene.door.stop(how)
            scene.check_becomes(ACCESS, "unavailable")
            scene.check_becomes(ARMED, "unavailable")
            scene.door.start()
            scene.check_back(f"after the door was {word}")
        scene.check_still(f"the door {word} and started", restart)
        scene.check_visit("the next person", "enrolled", "granted", "matched", 1)


def hub_starts_without_the_door(scene: Scene) -> None:
    device = scene.hub.device("deepid-edge-front")
    scene.door.reload(mqtt__home_assistant__retain=True)
    kept = until(lambda: [one for one in scene.broker.heard if one["topic"] == DISCOVERY][-1], 5)
    scene.report.check("the announcement came again", bool(kept), kept)
    time.sleep(STILL_S)
    scene.door.stop()
    scene.hub.stop()
    scene.hub.start()
    scene.check_becomes(ACCESS, "unavailable")
    same = until(lambda: scene.hub.device("deepid-edge-front"))
    scene.report.check("the device is the same", bool(same) and same["id"] == device["id"], same)
    scene.door.start()
    scene.check_back("when the door is there again")


def camera_fails(scene: Scene) -> None:
    scene.door.ask_camera("freeze")
    scene.check_becomes(CAMERA, "on")
    print(f"  {scene.hub.state(CAMERA)['attributes'].get('remedy')}")
    scene.check_becomes(PRESENCE, "unavailable")
    scene.check_becomes(GUIDANCE, "unavailable")
    scene.check_becomes(FRAME_RATE, "unavailable")
    scene.door.ask_camera("nobody")
    scene.check_becomes(CAMERA, "off")
    scene.check_back("when the camera sees again")


def strangers(scene: Scene) -> None:
    hub, report = scene.hub, scene.report
    scene.door.reload(policy__strangers_visits=2, policy__lockout_visits=3)
    time.sleep(STILL_S)
    scene.check_visit("a stranger", "stranger", "unknown", "no_match", 0)
    report.check("Last subject is nobody", hub.value(LAST) == "unknown", hub.state(LAST))

    def told() -> list[str]:
        """What the blueprint's automation told; Home Assistant tells of other things, too."""
        shown = hub.ask("persistent_notification/get")
        return [one["message"] for one in shown if one["title"] == "Strangers"]

    report.check("nobody is told of the first", told() == [], told())
    scene.check_visit("another stranger", "stranger", "unknown", "no_match", 0)
    until(told, STILL_S)
    report.check("the blueprint tells of two", told() == ["2 within 600 s"], told())
    found = [one["attributes"].get("visits") for one in hub.events(STRANGERS)]
    report.check("Strangers had one event", found == [2], found)
    scene.check_visit("a third stranger", "stranger", "unknown", "no_match", 0)
    scene.check_becomes(LOCKOUT, "on")
    scene.check_visit("a person who is enrolled, at a locked door", "enrolled", "denied", "locked_out", 0)
    scene.check_becomes(LOCKOUT, "off")
    scene.check_visit("the same person half a minute later", "enrolled", "granted", "matched", 1)


def duress(scene: Scene) -> None:
    hub, report = scene.hub, scene.report

    def told() -> list[str]:
        shown = hub.ask("persistent_notification/get")
        return [one["message"] for one in shown if one["title"] == "Help"]

    report.check("nobody has called for help so far", told() == [], told())
    scene.door.must("subjects", "duress", NAME)
    time.sleep(STILL_S)
    scene.check_visit("a person who is marked", "enrolled", "granted", "matched", 1)
    until(told, STILL_S)
    report.check("the blueprint calls for help", told() == ["front: granted"], told())
    scene.door.must("subjects", "duress", NAME, "--off")
    time.sleep(STILL_S)


def second_factor(scene: Scene) -> None:
    scene.report.check("a face alone is enough", scene.hub.value(SECOND_FACTOR) == "off", scene.hub.state(SECOND_FACTOR))
    scene.door.reload(policy__required_fpir=1e-6)
    scene.check_becomes(SECOND_FACTOR, "on")
    doubts = scene.hub.state(SECOND_FACTOR)["attributes"].get("doubts")
    scene.report.check("it says why it is not", doubts == ["weak_claim"], doubts)
    scene.door.reload(policy__required_fpir=0.01)
    scene.check_becomes(SECOND_FACTOR, "off")


def arming(scene: Scene) -> None:
    hub = scene.hub
    scene.door.reload(mqtt__broker_may_arm=True)
    scene.check_becomes(ARMING, "on")
    hub.service("switch", "turn_off", entity_id=ARMING)
    scene.check_becomes(ARMING, "off")
    scene.check_becomes(ARMED, "off")
    scene.check_visit("a person who is enrolled, at a door that is off", "enrolled", "denied", "not_armed", 0)
    hub.service("switch", "turn_on", entity_id=ARMING)
    scene.check_becomes(ARMED, "on")
    scene.check_visit("the same person at a door that is on", "enrolled", "granted", "matched", 1)
    scene.door.must("arm", "off")
    scene.check_becomes(ARMING, "off")
    scene.door.must("arm", "on")
    scene.check_becomes(ARMING, "on")
    scene.door.reload(mqtt__broker_may_arm=False)
    gone = until(lambda: hub.state(ARMING) is None, 10)
    scene.report.check("the switch goes when the broker may arm no longer", gone, hub.state(ARMING))


def names(scene: Scene) -> None:
    scene.door.reload(mqtt__names=True)
    time.sleep(STILL_S)
    event = scene.check_visit("a person who is enrolled", "enrolled", "granted", "matched", 1)
    scene.report.check("the event has the name", event.get("name") == NAME, event)
    scene.check_becomes(LAST, NAME)
    scene.door.reload(mqtt__names=False)


def removal(scene: Scene) -> None:
    hub = scene.hub
    # The hardest case: the door is away, and Home Assistant knows the device from its own memory alone.
    scene.door.stop()
    hub.stop()
    scene.broker.publish(DISCOVERY, "", "-r")
    said = len(scene.broker.heard)
    hub.start()
    # It says so when it listens to announcements; before that it would hear only the removal.
    until(lambda: scene.broker.messages("homeassistant/status", said))
    time.sleep(STILL_S)
    scene.report.check("Home Assistant remembers the device", bool(hub.device("deepid-edge-front")), None)
    scene.check_becomes(ACCESS, "unavailable")
    print("  " + scene.door.must("mqtt", "forget").strip())
    gone = until(lambda: hub.device("deepid-edge-front") is None, 20)
    scene.report.check("the device is gone", gone, hub.device("deepid-edge-front"))
    left = [one["entity_id"] for one in hub.ask("config/entity_registry/list") if one["platform"] == "mqtt"]
    scene.report.check("no entity is left", left == [], left)
    hub.stop()
    hub.start()
    time.sleep(5)
    scene.report.check("it stays away after a restart", hub.device("deepid-edge-front") is None, None)


def quiet_logs(scene: Scene) -> None:
    """Nothing of ours makes Home Assistant complain."""
    ours = ("mqtt", "automation", "blueprint", "template", "deepid", "event]", "counter", "input_text")
    lines = [line for line in (FOLDER / "home-assistant.stdout").read_text().splitlines() if line[:2] == "20"]
    loud = [line for line in lines if any(level in line for level in (" WARNING ", " ERROR ")) and any(o in line for o in ours)]
    # Said of the broker's restarts, which the test brings about.
    expected = (
        "failed to receive on socket", "Failed to connect to MQTT server", "Error returned from MQTT server", "Disconnected from MQTT",
        # Of the empty message by which the test clears what it had retained.
        "'value_json' is undefined",
    )
    loud = [line for line in loud if not any(text in line for text in expected)]
    scene.report.check("Home Assistant has no complaint about any of it", not loud, "\n".join(loud))
    denied = [line for line in (FOLDER / "broker/log").read_text().splitlines() if "Denied" in line]
    scene.report.check("the broker's rules refused nobody", not denied, "\n".join(denied))


PHASES = [
    the_first_evening, discovery, automations, visits, replays, a_hub_that_stood_still, hub_restarts,
    broker_restarts, door_restarts, camera_fails, strangers, duress, second_factor, arming, names, hub_starts_without_the_door,
    removal, quiet_logs,
]


def prepare(binary: pathlib.Path) -> None:
    """Says what is missing, before anything is started."""
    missing = [name for name in ("mosquitto", "mosquitto_sub", "mosquitto_pub") if not program(name)]
    if missing:
        raise TestImpossible(f"{', '.join(missing)} missing: apt-get install mosquitto mosquitto-clients")
    if not binary.exists():
        raise TestImpossible(f"{binary} is missing: cargo build --locked --features demo")
    if not (ROOT / "assets/photographs/obama.jpg").exists():
        raise TestImpossible("the demonstration's photographs are missing: make assets")
    done = subprocess.run([RUN, "--check"], check=False, stderr=subprocess.PIPE, text=True)
    print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        raise TestImpossible((done.stderr.strip().splitlines() or ["home-assistant: failed"])[-1])


def main() -> int:
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/deepid-edge").resolve()
    try:
        prepare(binary)
    except TestImpossible as reason:
        print(f"SKIPPED home-assistant-live: {reason}")
        return int(os.environ.get("DEEPID_EDGE_REQUIRE_ALL") == "1")
    # Whoever ends this ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("home-assistant-live: ended"))
    shutil.rmtree(FOLDER, ignore_errors=True)
    report = Report("home-assistant-live")
    with contextlib.closing(Scene(binary, report)) as scene:
        for phase in PHASES:
            with report.phase(phase.__name__.replace("_", " ")):
                try:
                    phase(scene)
                except Exception as error:  # noqa: BLE001 # one phase may fail, the others are told of all the same
                    report.check(f"{phase.__name__.replace('_', ' ')} comes to its end", False, repr(error))
                    if phase is the_first_evening:
                        break
    print(f"logs: {FOLDER.relative_to(ROOT)}")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
