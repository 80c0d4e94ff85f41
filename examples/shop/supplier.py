"""The slow server of a supplier: answers after 0.2 to 3 s, as such servers do."""

import asyncio
import random

from fastapi import FastAPI

app = FastAPI(title="Supplier")
_random = random.Random(20)  # noqa: S311 - the same delays in every demo


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the supplier is there."""
    return {"status": "ok"}


@app.get("/stock/{number}")
async def stock(number: int) -> dict[str, int]:
    """Answer when it pleases."""
    await asyncio.sleep(min(3.0, 0.2 + _random.lognormvariate(-0.7, 0.6)))
    return {"number": number, "n": number % 17}
