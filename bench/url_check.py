"""Time the check of a URL: by spelling, and with its answers. Budget: under 50 us.

Run: python -m bench.url_check
"""

import json
import timeit

from engine.lib.addresses import check_url

CASES = {
    "name": ("https://api.example.com/v1/items?page=2", None),
    "name, two answers": ("https://api.example.com/v1/items", ["93.184.216.34", "2606:2800:220:1::1"]),
    "refused spelling": ("http://0x7f.1/", None),
    "IPv6": ("https://[2606:2800:220:1::1]/", None),
    "international name": ("https://bücher.example.com/", None),
}
RUNS = 5_000


def main():
    for name, (url, answers) in CASES.items():
        best_s = min(timeit.repeat(lambda u=url, a=answers: check_url(u, a), number=RUNS, repeat=5)) / RUNS
        print(json.dumps({"case": name, "us": round(best_s * 1e6, 1), "budget_us": 50}))


if __name__ == "__main__":
    main()
