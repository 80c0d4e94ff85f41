"""A small shop that does slow work inside its requests, and beside each such route its handed-over twin.

It is an ordinary FastAPI application. One line makes it visible in Offload, the middleware; what makes
it fast is one request to Offload instead of the work itself. Run by `./offload demo`.

    HANDOVER_URL, HANDOVER_TOKEN   where to hand work over, and as whom
    SUPPLIER_URL                 the slow server of a supplier
"""

import csv
import io
import itertools
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import httpx
import weasyprint
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from engine.lib import trace
from engine.lib.sqltrace import TimedConnection
from engine.web.middleware import RequestMonitor

OFFLOAD = os.environ.get("HANDOVER_URL", "http://127.0.0.1:8502")
SUPPLIER = os.environ.get("SUPPLIER_URL", "http://127.0.0.1:8599")
TOKEN = os.environ.get("HANDOVER_TOKEN", "")
LINES = 40
RARE = "0 0 29 2 *"
"""Leap days: a loop over a calendar takes its time to find them."""
MINUTE = timedelta(minutes=1)

shop = FastAPI(title="Shop")
app = RequestMonitor(shop, service="shop")

_client = httpx.Client(timeout=30)
_numbers = itertools.count(1)
_release = {"checkout": "1.0"}


@shop.get("/health")
async def health() -> dict[str, str]:
    """Say that the shop is open."""
    return {"status": "ok"}


# An invoice as PDF


@shop.get("/invoices/{number}/pdf")
def invoice_pdf(number: int) -> Response:
    """Render the invoice while the customer waits."""
    with trace.operation("render", "invoice"):
        pdf = weasyprint.HTML(string=_invoice_html(number)).write_pdf()
    return Response(pdf, media_type="application/pdf")


@shop.post("/invoices/{number}/order")
def order_invoice(number: int, request: Request) -> JSONResponse:
    """Have Offload render the invoice, and answer with where to fetch it."""
    params = {"upload_id": _uploaded_lines(), "title": f"Invoice {number}", "totals": ["total"]}
    return _hand_over(request, "/api/reports", {"report": "table_from_file", "params": params})


# What a supplier has in stock


@shop.get("/orders/feed")
def feed() -> Any:
    """Ask the supplier while the customer waits."""
    with trace.operation("call", "GET supplier") as span:
        answer = _client.get(f"{SUPPLIER}/stock/{next(_numbers)}")
        span.detail = str(answer.status_code)
    return answer.json()


@shop.post("/orders/feed/order")
def order_feed(request: Request) -> JSONResponse:
    """Have Offload ask the supplier."""
    url = f"{SUPPLIER}/stock/{next(_numbers)}"  # an address of its own: the hour's limit is per address
    return _hand_over(request, "/api/tasks", {"type": "shop_supplier", "payload": {"url": url}})


# When a rare delivery is due


@shop.get("/deliveries/next")
def next_deliveries() -> list[str]:
    """Walk the calendar minute by minute until a leap day comes, as many a home-made scheduler does."""
    at = datetime.now(UTC)
    while (at.month, at.day, at.hour, at.minute) != (2, 29, 0, 0):
        at += MINUTE
    return [at.isoformat(timespec="minutes")]


@shop.get("/deliveries/next/bounded")
def next_deliveries_bounded() -> Any:
    """Ask Offload, whose calculation is bounded."""
    params: dict[str, Any] = {"expression": RARE, "count": 1}
    with trace.operation("call", "GET offload cron"):
        answer = _client.get(f"{OFFLOAD}/api/cron/next", params=params, headers=_headers())
    return answer.json()


# One route that is mended half-way through the demo


@shop.post("/checkout")
def checkout(request: Request) -> Any:
    """Release 1.0 asks the supplier before it answers; release 2.0 hands that over."""
    if _release["checkout"] == "1.0":
        with trace.operation("call", "GET supplier"):
            return _client.get(f"{SUPPLIER}/stock/{next(_numbers)}").json()
    url = f"{SUPPLIER}/stock/{next(_numbers)}"
    return _hand_over(request, "/api/tasks", {"type": "shop_supplier", "payload": {"url": url}})


@shop.put("/release/{version}")
async def release(version: str) -> dict[str, str]:
    """Switch the checkout to another release."""
    _release["checkout"] = version
    return dict(_release)


# Two everyday routes


@shop.get("/products")
def products() -> list[dict[str, Any]]:
    """List products, with one query for each: an N+1."""
    database = _database()
    rows = database.execute("select id, name from products order by id").fetchall()
    stock = "select sum(n) from stock where product = ?"
    return [{"name": name, "n": database.execute(stock, (number,)).fetchone()[0]} for number, name in rows]


@shop.get("/products/{number}")
def product(number: int) -> dict[str, Any]:
    """Show one product."""
    row = _database().execute("select name from products where id = ?", (number,)).fetchone()
    if row is None:
        raise HTTPException(404, "There is no such product.")
    return {"name": row[0]}


def _hand_over(request: Request, path: str, body: dict[str, Any]) -> JSONResponse:
    """Hand work over under the correlation id of this request, and pass the answer on."""
    headers = _headers() | {"X-Correlation-ID": request.state.correlation_id}
    with trace.operation("call", f"POST offload {path}") as span:
        answer = _client.post(f"{OFFLOAD}{path}", json=body, headers=headers)
        span.detail, span.failed = str(answer.status_code), answer.status_code >= 500
    return JSONResponse(answer.json(), answer.status_code)


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


@lru_cache(maxsize=1)
def _uploaded_lines() -> str:
    """Upload the lines of the invoice once; reports name the upload."""
    text = io.StringIO()
    csv.writer(text).writerows([("item", "pieces", "total"), *_lines()])
    files = {"file": ("invoice.csv", text.getvalue(), "text/csv")}
    answer = _client.post(f"{OFFLOAD}/api/uploads", files=files, headers=_headers())
    answer.raise_for_status()
    return str(answer.json()["upload_id"])


def _lines() -> list[tuple[str, int, float]]:
    return [(f"Item {n}", n % 5 + 1, round(12.5 * (n % 7 + 1), 2)) for n in range(LINES)]


def _invoice_html(number: int) -> str:
    cells = "".join(f"<tr><td>{i}<td>{n}<td>{t:.2f}</tr>" for i, n, t in _lines())
    style = "body { font-family: sans-serif } td { border-bottom: 1px solid #ccc; padding: 4px 12px }"
    return f"<style>{style}</style><h1>Invoice {number}</h1><table>{cells}</table>"


@lru_cache(maxsize=1)
def _database() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", factory=TimedConnection, check_same_thread=False)
    database.execute("create table products (id integer primary key, name text)")
    database.execute("create table stock (product integer, n integer)")
    for number in range(1, 25):
        database.execute("insert into products values (?, ?)", (number, f"Product {number}"))
        database.execute("insert into stock values (?, ?)", (number, number * 3))
    return database
