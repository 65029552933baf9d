"""What the mock door knows: invented people, records and figures, and what happens at it.

in   calls of the mock server, and of a test that lets something happen
out  values as the contract of the page's API states them; events to whoever listens

Deliberately absent: recognition. A JPEG counts as a picture with one face, a PNG as one without.
"""

import datetime
import math
import queue
import random
import threading
import uuid

WANTED = {"straight": 3, "left": 2, "right": 2, "up": 1}
NAMES = ["Ada Lovelace", "Grace Hopper", "Emmy Noether", "Alan Turing", "Rosalind Franklin"]
MARKUP = "<img src=x onerror=alert(1)> & <b>Bold</b>"
GROUPS = {"Family": ["always"], "Cleaning": ["Mo, Th 09:00 to 12:00"], "Guests": ["daily 08:00 to 22:00"]}
THRESHOLD = 0.612


def stamp(moment: datetime.datetime | None = None) -> str:
    moment = moment or datetime.datetime.now(datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Problem(Exception):
    """An answer that is no success, as RFC 9457 puts it."""

    def __init__(self, status: int, title: str, detail: str, remedy: str | None = None, **more):
        super().__init__(detail)
        self.status = status
        self.body = {"type": "about:blank", "title": title, "status": status, "detail": detail} | more
        if remedy:
            self.body["remedy"] = remedy


class World:
    def __init__(self, names: bool = True, sound: bool = True):
        self.lock = threading.RLock()
        self.listeners: set[queue.Queue] = set()
        # The PIN that is right, where anybody has one; whether it is waited for, and how many were wrong since.
        self.pin, self.awaited, self.wrong_pins = None, False, 0
        # For how many minutes strangers' visits are remembered, and those that are.
        self.recall_minutes, self.visits = 10, []
        self.names_at_kiosk, self.sound, self.language = names, sound, "en"
        # Whether every request is turned away.
        self.busy = False
        self.metric = "cosine"
        self.started = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3, hours=7)
        self.chance = random.Random(11)
        self.subjects: dict[str, dict] = {}
        self.records: list[dict] = []
        self.present, self.guidance, self.visible = False, None, True
        self.recognised = True
        self.enrolment: dict | None = None
        # Seconds between two pictures of an enrolment.
        self.pace_s = 0.25
        for index, name in enumerate([*NAMES, MARKUP]):
            subject = self.make(name, 3 + index % 3)
            if index < 4:
                subject["groups"] = [list(GROUPS)[index % 3]]
        self.subjects["s-000003"]["enabled"] = False
        self.subjects["s-000004"]["valid_until"] = (self.started + datetime.timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%S")
        self.past()

    # Events

    def tell(self, name: str, data: dict, seq: int | None = None) -> None:
        with self.lock:
            for listener in self.listeners:
                listener.put((name, data, seq))

    def listen(self) -> queue.Queue:
        listener: queue.Queue = queue.Queue()
        with self.lock:
            self.listeners.add(listener)
            listener.put(("health", self.state(), None))
            if self.enrolment:
                listener.put(("enrolment", dict(self.enrolment), None))
        return listener

    # People

    def make(self, name: str, references: int) -> dict:
        number = 1 + max((int(known[2:]) for known in self.subjects), default=0)
        subject = {
            "id": f"s-{number:06}",
            "name": name,
            "enabled": True,
            "groups": [],
            "references": references,
            "models": {"deepid2": references},
            "created_at": stamp(self.started),
        }
        self.subjects[subject["id"]] = subject
        return subject

    def subject(self, key: str) -> dict:
        if key not in self.subjects:
            raise Problem(404, "Not found", f"nobody enrolled has the id {key!r}", "look at the list of people")
        return self.subjects[key]

    def check_name(self, name: str, but: str | None = None) -> str:
        name = name.strip()
        if not name:
            raise Problem(422, "Not a name", "a name has at least one character that is no space", "give a name")
        if any(one["name"].lower() == name.lower() and one["id"] != but for one in self.subjects.values()):
            raise Problem(409, "Name taken", f"somebody is enrolled as {name!r}", "give another name, or add references to that person")
        return name

    def change(self, key: str, change: dict) -> dict:
        subject = self.subject(key)
        if "name" in change:
            change["name"] = self.check_name(change["name"], key)
        start, end = change.get("valid_from"), change.get("valid_until")
        if start and end and start >= end:
            raise Problem(422, "Not a validity", "the validity ends before it begins", "give an end after the beginning")
        subject.update(change)
        for field in ("valid_from", "valid_until"):
            if subject.get(field, "") is None:
                del subject[field]
        self.record("administration", f"An administrator changed {subject['name']}.", subject)
        return subject

    def remove(self, key: str) -> None:
        subject = self.subjects.pop(self.subject(key)["id"])
        for record in self.records:
            if record.get("subject", {}).get("id") == key:
                record["subject"].pop("name", None)
                record["sentence"] = record["sentence"].replace(subject["name"], key)
        self.record("administration", f"An administrator removed {key}: name and references are erased.")

    def pictures(self, target: str | dict, pictures: list[tuple[str, bytes]]) -> dict:
        name = None if isinstance(target, dict) else self.check_name(target)
        answer = {"accepted": [], "refused": [], "warnings": []}
        for file, data in pictures:
            if data[:2] == b"\xff\xd8":
                answer["accepted"].append({"file": file})
            elif data[:4] == b"\x89PNG":
                answer["refused"].append({"file": file, "reason": "no_face", "text": "no face was found", "remedy": "show one larger than detect.min_face_px, upright and well lit"})
            else:
                answer["refused"].append({"file": file, "reason": "unreadable", "text": "it cannot be read", "remedy": "give JPEG, PNG or WebP pictures that are whole"})
        if not answer["accepted"]:
            raise Problem(422, "Nobody was enrolled", "none of the pictures could be used", "give other pictures", **answer)
        count = len(answer["accepted"])
        if name:
            subject = self.make(name, count)
        else:
            subject = target
            subject["references"] += count
        if count == 1:
            answer["warnings"].append("one reference is few: add pictures from other days")
        self.record("administration", f"An administrator enrolled {subject['name']} with {count} references.", subject)
        return answer | {"subject": subject}

    def identify(self, data: bytes) -> dict:
        if data[:2] != b"\xff\xd8":
            return {"faces": [], "reason": "no_face", "text": "no face was found", "remedy": "show one larger than detect.min_face_px, upright and well lit"}
        subject = next(iter(self.subjects.values()))
        best = {"subject": {"id": subject["id"], "name": subject["name"]}, "score": 0.748}
        return {"faces": [{"box": [242, 128, 149, 149], "best": best, "threshold": THRESHOLD, "accepted": True, "margin": 0.21}], "seen": 1}

    # Records

    def record(self, kind: str, sentence: str, subject: dict | None = None, at: str | None = None, **more) -> dict:
        with self.lock:
            record = {"seq": len(self.records) + 1, "at": at or stamp(), "kind": kind, "sentence": sentence, "details": {}} | more
            if subject:
                record["subject"] = {"id": subject["id"], "name": subject["name"]}
            self.records.append(record)
        if at is None:
            if kind == "decision":
                self.tell("decision", record, record["seq"])
            self.tell("records", {"newest_seq": record["seq"]})
        return record

    def decide(self, outcome: str, reason: str, subject: dict | None = None, at: str | None = None) -> dict:
        score = THRESHOLD + (0.14 if subject else -0.21) + self.chance.uniform(-0.05, 0.05)
        details = {
            "frames": {"agreeing": 3, "considered": 4},
            "score": round(score, 4),
            "threshold": THRESHOLD,
            "margin": round(self.chance.uniform(0.1, 0.3), 4),
            "latency_ms": round(self.chance.uniform(180, 420)),
            "claimed_rate": 0.00052,
            "liveness": {"mode": "deny", "median": 0.91, "looks": 6},
        }
        who = subject["name"] if subject else "Somebody"
        verb = {"granted": "was let in", "denied": "was recognised and not let in", "unknown": "is not enrolled", "ambiguous": "stood at the door: no statement"}[outcome]
        sentence = f"{who} {verb}."
        if at is None:
            self.awaited = False
        return self.record("decision", sentence, subject, at, outcome=outcome, reason=reason, details=details)

    def stranger(self, alike: bool = False) -> dict:
        """Somebody whom nobody knows comes and goes; whether they look like somebody who is enrolled."""
        self.come()
        record = self.decide("unknown", "no_match")
        visit = {"id": str(uuid.uuid4()), "seq": record["seq"], "at": record["at"], "lasted_ms": 2300, "faces": 4, "quality": 0.83, "left_s": self.recall_minutes * 60 - 20}
        with self.lock:
            if self.recall_minutes:
                self.visits = [visit | {"alike": alike}, *self.visits][:8]
        self.go()
        return visit

    def remembered(self) -> dict:
        if not self.recall_minutes:
            return {"minutes": 0, "visits": [], "remedy": "set policy.recall_minutes, to 10 say, in the configuration, and 'systemctl reload deepid-edge'"}
        return {"minutes": self.recall_minutes, "visits": [{key: value for key, value in one.items() if key != "alike"} for one in self.visits]}

    def enrol_visit(self, key: str, asked: dict) -> dict:
        with self.lock:
            visit = next((one for one in self.visits if one["id"] == key), None)
            if visit is None:
                raise Problem(404, "Not found", f"no stranger's visit {key} is remembered", "have that person come again, or enrol another way")
            if "subject" in asked:
                subject = self.subject(asked["subject"])
                subject["references"] += visit["faces"]
            else:
                subject = self.make(self.check_name(asked["name"]), visit["faces"])
            self.visits.remove(visit)
        self.record("administration", f"An administrator enrolled {subject['name']} with {visit['faces']} references.", subject)
        warnings = ["looks like Emmy Noether (s-000003), score 0.671: the same person twice, or two who will be confused?"] if visit["alike"] else []
        return {"subject": subject, "references": visit["faces"], "warnings": warnings}

    def past(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        people = list(self.subjects.values())
        for index in range(120, 0, -1):
            at = stamp(now - datetime.timedelta(minutes=31 * index + index % 7))
            turn = index % 9
            if turn == 3:
                self.decide("unknown", "no_match", at=at)
            elif turn == 5:
                self.decide("denied", "outside_schedule", people[index % 4], at=at)
            elif turn == 7:
                self.decide("ambiguous", "not_live", at=at)
            elif index % 40 == 8:
                self.record("system", "The daemon started, version 0.9.0.", at=at)
            elif index % 17 == 2:
                self.record("administration", f"An administrator enrolled {people[index % 5]['name']}.", people[index % 5], at)
            else:
                self.decide("granted", "matched", people[index % 6], at=at)

    def select(self, asked: dict) -> list[dict]:
        newest = list(reversed(self.records))
        for field in ("kind", "outcome"):
            if asked.get(field):
                newest = [one for one in newest if one.get(field) == asked[field]]
        if asked.get("subject"):
            newest = [one for one in newest if one.get("subject", {}).get("id") == asked["subject"]]
        if asked.get("from"):
            newest = [one for one in newest if one["at"] >= asked["from"]]
        if asked.get("to"):
            newest = [one for one in newest if one["at"] <= asked["to"]]
        if asked.get("before"):
            newest = [one for one in newest if one["seq"] < int(asked["before"])]
        return newest

    # What happens at the door

    def come(self, guidance: str | None = None) -> None:
        self.present, self.guidance = True, guidance
        # As in a door: the visit that waits goes on while something else is asked of the visitor.
        if guidance == "second_factor" and not self.awaited:
            self.awaited, self.wrong_pins = True, 0
        self.tell("presence", {"present": True})
        self.tell("guidance", {"say": guidance})

    def go(self) -> None:
        self.present, self.guidance, self.awaited = False, None, False
        self.tell("guidance", {"say": None})
        self.tell("presence", {"present": False})

    def enrol(self, name: str | None, subject: dict | None) -> str:
        with self.lock:
            if self.enrolment:
                raise Problem(409, "Busy", "an enrolment runs already", "wait for its end, or cancel it")
            who = name if subject else self.check_name(name or "")
            key = f"e-{self.chance.randrange(1 << 32):08x}"
            self.enrolment = {"id": key, "step": "straight", "taken": dict.fromkeys(WANTED, 0), "wanted": WANTED, "warnings": []}
        threading.Thread(target=self._take, args=(key,), daemon=True).start()
        self._whom = (who, subject)
        return key

    def _take(self, key: str) -> None:
        pause = threading.Event()
        hints = iter(["too_small", "turned", None, "blurred"])
        for step, count in WANTED.items():
            for taken in range(1, count + 1):
                say = next(hints, None)
                if not self._step(key, step=step, say=say) or pause.wait(self.pace_s):
                    return
                with self.lock:
                    if self.enrolment is None or self.enrolment["id"] != key:
                        return
                    self.enrolment["taken"] = self.enrolment["taken"] | {step: taken}
        self._step(key, step="ready", say=None, warnings=["Emmy Noether looks alike (0.571 of 0.612): look whether it is another person"])

    def _step(self, key: str, **change) -> bool:
        with self.lock:
            if self.enrolment is None or self.enrolment["id"] != key:
                return False
            self.enrolment.update(change)
            if self.enrolment.get("say") is None:
                self.enrolment.pop("say", None)
            event = dict(self.enrolment)
        self.tell("enrolment", event)
        return True

    def end_enrolment(self, key: str, write: bool) -> dict | None:
        with self.lock:
            event = self.enrolment
            if event is None or event["id"] != key:
                raise Problem(404, "Not found", "no such enrolment runs", "begin one")
            if write and not event["taken"]["straight"]:
                raise Problem(422, "Too early", "nothing was taken yet", "let the person look straight into the camera")
            self.enrolment = None
        if not write:
            self.tell("enrolment", event | {"step": "failed", "detail": "cancelled"})
            return None
        name, subject = self._whom
        count = sum(event["taken"].values())
        if subject:
            subject["references"] += count
        else:
            subject = self.make(name, count)
        self.record("administration", f"An administrator enrolled {subject['name']} with {count} references.", subject)
        self.tell("enrolment", event | {"step": "done", "subject": {"id": subject["id"], "name": subject["name"]}})
        return subject

    # Figures

    def state(self) -> dict:
        return {
            "door": "Front door",
            "version": "0.9.0",
            "status": "degraded",
            "faults": [{"code": "broker_absent", "text": "The broker at mqtt://broker.lan does not answer since 14:02.", "remedy": "Look whether mosquitto runs; decisions are kept and sent later."}],
            "camera": {"state": "streaming", "name": "USB camera 1080P", "width": 640, "height": 480, "fps": 14.9},
            "enrolled": {"subjects": len(self.subjects), "references": sum(one["references"] for one in self.subjects.values())},
            "armed": {"armed": True},
            "model": "deepid2",
            "confirm": "facenet",
            "liveness": {"mode": "deny", "network": "liveness"},
            "threshold": THRESHOLD,
            "metric": self.metric,
            "grant_key": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "started_at": stamp(self.started),
            "viewers": 2,
            "presence": self.present,
            "guidance": self.guidance,
        }

    def health(self) -> dict:
        count = 1440
        wave = lambda mean, swing, noise: [
            None if 600 < i < 640 else round(mean + swing * math.sin(i / 229) + self.chance.uniform(-noise, noise), 2) for i in range(count)
        ]
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        day = {"step_s": 60, "from": stamp(start), "fps": wave(14.8, 0.1, 0.15), "frame_ms": wave(31, 2, 3), "temperature_c": wave(54, 6, 0.6), "memory_mib": wave(41, 0.8, 0.2)}
        now = {key: day[key][-1] for key in ("fps", "frame_ms", "temperature_c", "memory_mib")}
        return {"now": now | {"frame_ms_p95": 44.2}, "day": day}

    def calibration(self) -> dict:
        edges = [round(-0.2 + index * 0.05, 2) for index in range(25)]
        named = lambda *names: [{"id": one["id"], "name": one["name"]} for name in names for one in self.subjects.values() if one["name"] == name]
        pair = lambda a, b, score: dict(zip("ab", named(a, b)), score=score)
        bell = lambda mean, wide, total: [
            round(total * math.exp(-(((low + 0.025 - mean) / wide) ** 2) / 2) * 0.05 / wide / 2.507) for low in edges[:-1]
        ]
        return {
            "enrolled": {"edges": edges, "counts": bell(0.78, 0.09, 60)},
            "cohort": {"edges": edges, "counts": bell(0.1, 0.12, 9000)},
            "threshold": THRESHOLD,
            "metric": self.metric,
            "claimed_fpir": 0.00052,
            "nearest": [pair("Emmy Noether", "Rosalind Franklin", 0.671), pair("Alan Turing", MARKUP, 0.618)],
            "lookalikes": [{"subject": {"id": "s-000005", "name": "Rosalind Franklin"}, "count": 1}],
        }

    @staticmethod
    def doctor() -> list[dict]:
        return [
            {"check": "configuration", "verdict": "ok", "text": "/etc/deepid-edge/config.toml"},
            {"check": "models", "verdict": "ok", "text": "deepid2, facenet, liveness: hashes as their cards say"},
            {"check": "broker", "verdict": "problem", "text": "mqtt://broker.lan:1883: connection refused", "remedy": "start mosquitto, or correct mqtt.url"},
            {"check": "clock", "verdict": "warning", "text": "not synchronised", "remedy": "install systemd-timesyncd"},
        ]

    @staticmethod
    def config() -> list[dict]:
        row = lambda key, value, source, help, live: {"key": key, "value": value, "source": source, "help": help, "live": live}
        return [
            row("camera.device", "auto", "default", "The camera: a path, 'auto', or a program's preset", False),
            row("camera.rotate", 0, "default", "Degrees by which the picture is turned, clockwise", False),
            row("detect.ignore", [[0.02, 0.03, 0.24, 0.4]], "/etc/deepid-edge/config.toml", "Rectangles in which no face is seen", True),
            row("detect.only", [], "default", "Rectangles outside of which no face is seen", True),
            row("door.id", "front", "/etc/deepid-edge/config.toml", "The door's part of every topic", False),
            row("live.mode", "deny", "default", "What a visit must show to be of a live face", True),
            row("mqtt.password", "********", "DEEPID_EDGE__MQTT__PASSWORD", "The broker's password", False),
            row("mqtt.url", "mqtt://broker.lan:1883", "/etc/deepid-edge/config.toml", "Where the broker is", True),
            row("recognise.threshold", THRESHOLD, "default", "The comparison score to reach", True),
        ]
