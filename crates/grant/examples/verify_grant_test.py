#!/usr/bin/env python3
"""Holds verify_grant.py to the table of forgeries: make test-grant-python.

in   tests/forgeries.jsonl beside this folder
out  exit 0 and how many messages, or 1 with each of which it says something else
"""

import json
import sys
from pathlib import Path

from verify_grant import Refused, Verifier, WrongValue

TABLE = Path(__file__).resolve().parent.parent / "tests" / "forgeries.jsonl"


def said(verifier: Verifier, step: dict) -> str:
    if step["nonce"] is not None:
        verifier.set_nonce(step["nonce"])
    message = bytes.fromhex(step["message_hex"]) if "message_hex" in step else step["message"].encode()
    try:
        verifier.verify(message, step["now"])
    except Refused as refused:
        return str(refused)
    return "taken"


def main() -> int:
    wrong, messages, cases = [], 0, 0
    for case in map(json.loads, TABLE.read_text(encoding="utf-8").splitlines()):
        cases += 1
        try:
            verifier = Verifier(
                case["door"], case["keys"], case["mode"], case["tolerance_s"], largest_seq=case["resume_after"]
            )
        except WrongValue as error:
            if case["setup"] != "refused":
                wrong.append(f"{case['name']}: cannot be set up: {error}")
            continue
        if case["setup"] == "refused":
            wrong.append(f"{case['name']}: was set up")
        for step in case["steps"]:
            messages += 1
            word = said(verifier, step)
            if word != step["expect"]:
                wrong.append(f"{case['name']}: {word}, not {step['expect']}")
    print(*wrong, f"{messages} messages in {cases} cases, {len(wrong)} wrong", sep="\n")
    return 1 if wrong or cases < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
