"""Enqueue tasks: `python -m peers.enqueue NAME FIRST COUNT MS GAP_S`.

Prints when each call began (ns) and how long it took (us). With NAME alone it prepares what the queue needs.
"""

import importlib
import json
import random
import sys
import time


def main(name, *numbers):
    app = importlib.import_module(f"peers.{name}_app")
    if not numbers:
        getattr(app, "prepare", lambda: None)()
        return
    first, count, ms, gap_s = int(numbers[0]), int(numbers[1]), int(numbers[2]), float(numbers[3])
    found = []
    for number in range(first, first + count):
        if gap_s:
            time.sleep(random.uniform(gap_s / 3, gap_s))
        began_ns, began = time.time_ns(), time.perf_counter()
        app.enqueue(number, ms)
        found.append((began_ns, (time.perf_counter() - began) * 1e6))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
