"""Home Assistant's own code against what is written for it.

Validates the discovery message (from its snapshot) with the schemas of Home Assistant's MQTT
integration, and runs the blueprints of deploy/home-assistant/ in a Home Assistant core without a
broker: events are set as states, and the openings are counted. Last run with 2026.11.0, by Python
3.14, and with 2025.4.4, by Python 3.13. Home Assistant 2024.3 is the last for Debian 12's Python 3.11,
and too old for device discovery and for the blueprints' words. Not part of `make test`: Home Assistant
weighs more than everything else together. live.py tries all of it, with a broker and a door.

    make home-assistant                         exits with 0 when everything held
    PYTHON=python3.13 tools/in_venv.sh tests/home_assistant/requirements.txt tests/home_assistant/check.py
"""

import sys

if sys.version_info < (3, 13):
    found = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"home-assistant: needs Python 3.13 or later, this is {found}: 'make home-assistant' brings "
        "one, where it may"
    )

import asyncio
import datetime
import json
import pathlib
import shutil
import tempfile

from homeassistant import bootstrap, loader
from homeassistant.config_entries import ConfigEntries
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame
from homeassistant.setup import async_setup_component
from homeassistant.util import dt

ROOT = pathlib.Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT / (
    "src/publish/snapshots/"
    "deepid_edge__publish__discovery__tests__the_message_is_as_agreed.snap"
)
BOOT = "7c0d2f6a-1111-4222-8333-00000000000"
# Newer than some versions that this is run with; the others must know every key.
NEWER_KEYS = {"default_entity_id"}


def check_discovery() -> None:
    from homeassistant.components.mqtt import binary_sensor, event, schemas, sensor

    message = json.loads(SNAPSHOT.read_text().split("---\n", 2)[2])
    schemas.DEVICE_DISCOVERY_SCHEMA(message)
    platforms = {"event": event, "sensor": sensor, "binary_sensor": binary_sensor}
    for name, component in message["components"].items():
        component = dict(component)
        if component.keys() == {"platform"}:
            continue  # what must not be there, or no longer
        platform = platforms[component.pop("platform")]
        component.setdefault("availability", message["availability"])
        component |= {key: message[key] for key in ("device", "origin", "qos")}
        ignored = set(component) - set(platform.DISCOVERY_SCHEMA(component))
        assert ignored <= NEWER_KEYS, f"{name}: Home Assistant ignores {ignored}"


async def automate(hass: HomeAssistant) -> None:
    """Makes an automation out of each blueprint; a component is set up once, with all of them."""
    helper = {"input_text": {"memory": {"name": "memory"}}}
    assert await async_setup_component(hass, "input_text", helper)
    opens = {
        "path": "deepid-edge/open_on_grant.yaml",
        "input": {
            "access_event": "event.access",
            "last_grant": "input_text.memory",
            "open_actions": [{"action": "test.open"}],
        },
    }
    tells = {
        "path": "deepid-edge/alert_strangers.yaml",
        "input": {
            "strangers_event": "event.strangers",
            "alert_actions": [{"action": "test.tell", "data": {"visits": "{{ visits }}"}}],
        },
    }
    calls = {
        "path": "deepid-edge/alert_duress.yaml",
        "input": {
            "duress_event": "event.duress",
            "help_actions": [
                {"action": "test.call", "data": {"outcome": "{{ outcome }}", "subject": "{{ subject }}"}}
            ],
        },
    }
    uses = {"door": opens, "alert": tells, "help": calls}
    automations = [{"id": name, "alias": name, "use_blueprint": use} for name, use in uses.items()]
    assert await async_setup_component(hass, "automation", {"automation": automations})
    await hass.async_start()
    await hass.async_block_till_done()
    for name in uses:
        state = hass.states.get(f"automation.{name}")
        assert state is not None and state.state == "on", f"no automation {name}: {state}"


async def check_blueprint(hass: HomeAssistant) -> list[str]:
    opened: list[int] = []
    failures: list[str] = []
    hass.services.async_register("test", "open", lambda _call: opened.append(1))
    hass.states.async_set("event.access", "unknown")
    await hass.async_block_till_done()
    count = 0

    async def event(what, openings, age_s=0.0, state=None, **changes):
        nonlocal count
        count += 1
        now = dt.utcnow()
        issued = now - datetime.timedelta(seconds=age_s)
        attributes = {
            "event_type": "granted",
            "schema": "deepid-edge/access/1",
            "outcome": "granted",
            "issued": issued.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "clock": "trusted",
            "expires_in_ms": 5000,
            "boot": BOOT + "1",
            "seq": count,
        } | changes
        attributes = {key: value for key, value in attributes.items() if value is not None}
        before = len(opened)
        hass.states.async_set("event.access", state or f"event {count}", attributes)
        await hass.async_block_till_done()
        if len(opened) - before != openings:
            failures.append(f"{what}: {len(opened) - before} openings")

    await event("a grant", 1)
    await event("the same person again", 1)
    await event("the same message again", 0, seq=2)
    await event("an older one", 0, seq=1)
    await event("a denial", 0, outcome="denied", event_type="denied")
    await event("a stranger", 0, outcome="unknown", event_type="unknown")
    await event("a type that contradicts the outcome", 0, outcome="denied")
    await event("too old", 0, age_s=5.5)
    await event("from the future", 0, age_s=-5.5)
    await event("old but not too old", 1, age_s=4)
    await event("an expiry that is too long", 0, age_s=20, expires_in_ms=60_000)
    await event("a clock that is not trusted", 0, clock="untrusted")
    for key in ("issued", "seq", "boot", "schema", "clock", "expires_in_ms", "outcome"):
        await event(f"without {key}", 0, **{key: None})
    await event("a time that is none", 0, issued="yesterday")
    await event("another schema", 0, schema="deepid-edge/audit/1")
    hass.states.async_set("event.access", "unavailable")
    await event("available again", 0)
    await event("a grant after that", 1)
    await event("a grant after a restart of the door", 1, seq=1, boot=BOOT + "2")
    same = hass.states.get("event.access").state
    await event("attributes without an event", 0, state=same)
    return failures


async def check_alert(hass: HomeAssistant) -> list[str]:
    told: list[dict] = []
    failures: list[str] = []
    hass.services.async_register("test", "tell", lambda call: told.append(dict(call.data)))
    hass.states.async_set("event.strangers", "unknown")
    await hass.async_block_till_done()

    async def event(what, expected, state, **changes):
        attributes = {"event_type": "strangers", "schema": "deepid-edge/strangers/1", "visits": 3} | changes
        before = len(told)
        hass.states.async_set("event.strangers", state, attributes)
        await hass.async_block_till_done()
        if told[before:] != [{"visits": 3}] * expected:
            failures.append(f"{what}: {told[before:]}")

    await event("strangers", 1, "event 1")
    await event("more of them", 1, "event 2")
    await event("attributes without an event", 0, "event 2")
    await event("another schema", 0, "event 3", schema="deepid-edge/access/1")
    hass.states.async_set("event.strangers", "unavailable")
    await event("available again", 0, "event 3")
    return failures


async def check_help(hass: HomeAssistant) -> list[str]:
    called: list[dict] = []
    failures: list[str] = []
    hass.services.async_register("test", "call", lambda call: called.append(dict(call.data)))
    hass.states.async_set("event.duress", "unknown")
    await hass.async_block_till_done()

    async def event(what, expected, state, **changes):
        attributes = {
            "event_type": "duress",
            "schema": "deepid-edge/duress/1",
            "door": "front",
            "subject": "s-4f9a1c",
        } | changes
        before = len(called)
        hass.states.async_set("event.duress", state, attributes)
        await hass.async_block_till_done()
        if called[before:] != expected:
            failures.append(f"{what}: {called[before:]}")

    pin = {"outcome": "", "subject": "s-4f9a1c"}
    await event("the PIN was typed", [pin], "event 1")
    await event("the decision", [pin | {"outcome": "granted"}], "event 2", outcome="granted")
    about_nobody = {"outcome": "unknown", "subject": ""}
    await event("a decision about nobody", [about_nobody], "event 3", outcome="unknown", subject="")
    await event("attributes without an event", [], "event 3")
    await event("another schema", [], "event 4", schema="deepid-edge/access/1")
    await event("another event", [], "event 5", event_type="strangers")
    hass.states.async_set("event.duress", "unavailable")
    await event("available again", [], "event 5")
    await event("a call after that", [pin], "event 6")
    return failures


async def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        blueprints = pathlib.Path(directory) / "blueprints/automation/deepid-edge"
        blueprints.mkdir(parents=True)
        (pathlib.Path(directory) / "custom_components").mkdir()
        for blueprint in ("open_on_grant.yaml", "alert_strangers.yaml", "alert_duress.yaml"):
            shutil.copy(ROOT / "deploy/home-assistant" / blueprint, blueprints)
        hass = HomeAssistant(directory)
        hass.config.skip_pip = True
        hass.config_entries = ConfigEntries(hass, {})
        frame.async_setup(hass)
        loader.async_setup(hass)
        await bootstrap.async_load_base_functionality(hass)
        check_discovery()
        await automate(hass)
        failures = await check_blueprint(hass) + await check_alert(hass) + await check_help(hass)
        await hass.async_stop(force=True)
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    print("failed" if failures else "the discovery message and the blueprints hold")
    return 1 if failures else 0


sys.exit(asyncio.run(main()))
