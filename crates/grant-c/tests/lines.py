"""Writes forgeries.jsonl as lines that a C program can read without a JSON library.

in   the file's path
out  on standard output, fields apart by TAB: 'case NAME MODE TOLERANCE_S RESUME|- usable|refused KEY_HEX…',
     then for each message 'step NONCE|- NOW|- EXPECT MESSAGE_HEX'
"""

import base64
import json
import sys


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        for case in map(json.loads, file):
            keys = [base64.urlsafe_b64decode(x + "=").hex() for x in case["keys"]]
            fields = [case["name"], case["mode"], case["tolerance_s"], case["resume_after"], case["setup"], *keys]
            print("case", *map(shown, fields), sep="\t")
            for step in case["steps"]:
                message = step.get("message_hex") or step["message"].encode().hex()
                print("step", *map(shown, (step["nonce"], step["now"], step["expect"])), message, sep="\t")


def shown(value: object) -> str:
    return "-" if value is None else str(value)


if __name__ == "__main__":
    main()
