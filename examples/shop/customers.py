"""Customers of the shop: real requests at steady rates; half-way the shop releases a mended checkout.

    python -m examples.shop.customers SHOP_URL SECONDS

One line of JSON a second on standard output: how many requests, how many failed.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import time

import httpx

RATES: dict[tuple[str, str], float] = {
    # requests a second; two cores also render and serve meanwhile
    ("GET", "/products"): 3.0,
    ("GET", "/products/{n}"): 6.0,
    ("GET", "/invoices/{n}/pdf"): 0.7,
    ("POST", "/invoices/{n}/order"): 0.7,
    ("GET", "/orders/feed"): 1.2,
    ("POST", "/orders/feed/order"): 1.2,
    ("GET", "/deliveries/next"): 0.4,
    ("GET", "/deliveries/next/bounded"): 0.8,
    ("POST", "/checkout"): 2.0,
}
PRODUCTS = 25
"""One more than there are: now and then somebody asks for what does not exist."""


async def main(shop: str, seconds: float) -> None:
    """Send requests for so long, and report."""
    counts = {"sent": 0, "failed": 0}
    started = time.monotonic()
    async with httpx.AsyncClient(base_url=shop, timeout=60) as client:
        visits = [visit(client, *route, rate, started + seconds, counts) for route, rate in RATES.items()]
        await asyncio.gather(
            release(client, started + seconds / 2), report(counts, started, seconds), *visits
        )
    print(json.dumps(counts | {"seconds": round(time.monotonic() - started, 1)}), flush=True)


async def visit(
    client: httpx.AsyncClient, method: str, path: str, rate: float, until: float, counts: dict[str, int]
) -> None:
    """Ask for one route at random moments (Poisson), whether earlier answers have come or not."""
    random_ = random.Random(path)  # noqa: S311 - the same visits in every demo
    running: set[asyncio.Task[None]] = set()
    for number in itertools.count(1):
        await asyncio.sleep(random_.expovariate(rate))
        if time.monotonic() >= until:
            break
        address = path.replace("{n}", str(number % PRODUCTS + 1))
        task = asyncio.create_task(ask(client, method, address, counts))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def ask(client: httpx.AsyncClient, method: str, address: str, counts: dict[str, int]) -> None:
    """Send one request and count it."""
    counts["sent"] += 1
    try:
        answer = await client.request(method, address)
        counts["failed"] += answer.status_code >= 500
    except httpx.HTTPError:
        counts["failed"] += 1


async def release(client: httpx.AsyncClient, at: float) -> None:
    """Release the mended checkout and mark that in Offload."""
    await asyncio.sleep(max(0, at - time.monotonic()))
    await client.put("/release/2.0")
    body = {"service": "shop", "version": "2.0", "note": "The checkout hands its call over"}
    headers = {"Authorization": f"Bearer {os.environ['HANDOVER_TOKEN']}"}
    await client.post(f"{os.environ['HANDOVER_URL']}/api/performance/deploys", json=body, headers=headers)


async def report(counts: dict[str, int], started: float, seconds: float) -> None:
    """Say each second how far it is."""
    while (passed := time.monotonic() - started) < seconds:
        print(json.dumps(counts | {"seconds": round(passed, 1)}), flush=True)
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
