"""The pages people get, read back from the file."""

import io
import re

import pypdf
import pytest

from engine.lib import child
from tests.services.reports import sample


@pytest.fixture(autouse=True, scope="module")
def no_server_left():
    yield
    child.forget()


@pytest.fixture
def pages(tmp_path):
    def render(report, data):
        argument = {"report": report, "data": data, "path": str(tmp_path / "out.pdf"), "max_pages": 200}
        lines = []
        result = child.run(
            "engine.services.reports.job:render", argument, timeout_s=60, on_log=lines.append
        ).value
        assert lines == []
        found = pypdf.PdfReader(io.BytesIO((tmp_path / "out.pdf").read_bytes()))
        assert result["pages"] == len(found.pages)
        return [" ".join(page.extract_text().split()) for page in found.pages]

    return render


@pytest.fixture
def table_pages(pages, tmp_path):
    def render(text, kind="csv", **form):
        (tmp_path / "in").write_text(text)
        blank = {"title": "Sales", "introduction": "", "columns": [], "sort_by": None, "descending": False}
        data = {
            "path": str(tmp_path / "in"),
            "kind": kind,
            "filename": "sales.csv",
            "inflated_bytes": 10_000_000,
            "made_at_ms": sample.START_MS,
            "form": {**blank, "totals": [], "zone": "UTC", **form},
        }
        return pages("table_from_file", data)

    return render


def test_performance_summary_says_its_numbers_window_and_source(pages):
    first, second = pages("performance_summary", sample.performance())
    assert "23 Nov 2026, 00:00 – 24 Nov 2026, 00:00 (UTC)" in first
    assert "Made 24 Nov 2026, 02:00" in first
    assert "half were answered within 84 ms, 95 % within 431 ms" in first
    assert "0.5 % failed" in first
    for label in ("Requests", "Failed", "Apdex", "Median", "95th percentile", "99th percentile"):
        assert label in first
    assert "Page 1 of 2" in first
    assert "Page 2 of 2" in second
    assert "GET /api/things/{thing_id}/part-0 9,000 0 %" in second
    assert "The 14 routes with the most time; there are more." in second
    assert "12 events could not be recorded" in second
    assert "Source: every request recorded" in second


def test_times_are_in_the_zone_of_the_form(pages):
    first = pages("performance_summary", sample.performance(zone="Asia/Kolkata"))[0]
    assert "23 Nov 2026, 05:30 – 24 Nov 2026, 05:30 (Asia/Kolkata)" in first


def test_period_without_requests_says_so(pages):
    (only,) = pages("performance_summary", sample.empty())
    assert "No requests were recorded in this period" in only
    assert "In the 24 hours before there were 38,676 requests." in only


def test_head_of_a_long_table_stands_on_each_page(pages):
    found = pages("performance_summary", sample.performance(n_routes=90))
    listing = [page for page in found[1:] if "/api/things/" in page]
    assert len(listing) >= 2
    assert all("Route Count Failed Median" in page for page in listing)


def test_hostile_names_are_printed_not_obeyed(pages):
    data = sample.performance()
    data["routes"][0]["name"] = "/<script>alert(1)</script><img src=file:///etc/passwd>\ud83d" + "x" * 3000
    text = " ".join(pages("performance_summary", data))
    assert "<script>alert(1)</script>" in text


def test_comparison_fits_on_a_page_and_says_its_verdict_numbers_window_and_method(pages):
    (page,) = pages("before_after", sample.comparison())
    assert "23 Nov 2026, 00:00 – 24 Nov 2026, 00:00 (UTC)" in page
    assert "Covers 24 hours. Made 24 Nov 2026, 02:00 by anna." in page
    subject = "GET /invoices/{invoice_id} before and after 23 Nov 2026, 12:00, when shop 2.0 was deployed"
    assert subject in page
    assert "p95 fell from 6.2 s to 84 ms (-98.6 %, 95 % interval -98.9 to -98.1 %), n = 1,204" in page
    for row in (
        "Mean 3.21 s 47 ms -98.5 % -98.7 to -98.3 % fell",
        "Median 2.98 s 41 ms -98.6 % -98.8 to -98.5 % fell",
        "95th percentile 6.20 s 84 ms -98.6 % -98.9 to -98.1 % fell",
        "99th percentile 8.10 s 8.20 s +1.2 % – too few: 500 a side needed",
        "Before GET /invoices/{invoice_id} 23 Nov 2026, 00:00 – 12:00 1,204 31 2.6 %",
        "After GET /invoices/{invoice_id} 23 Nov 2026, 12:00 – 24 Nov 2026, 00:00 1,377 0 0 %",
    ):
        assert row in page
    assert "6.20 s → 84 ms" in page
    for label in ("Before (dashed): n = 1,204", "After: n = 1,377", "10 ms", "1 s", "15 %"):
        assert label in page
    assert "all requests recorded for the service shop, from minute rollups" in page
    assert "within 1.1 % of the exact value" in page
    assert "bootstrap with 1,000 replicates" in page
    assert "95th percentile 100, 99th percentile 500" in page


def test_comparison_of_two_routes_names_both_over_one_window(pages):
    (page,) = pages("before_after", sample.comparison(replacement="POST /handed-over"))
    assert "GET /invoices/{invoice_id} and its replacement POST /handed-over" in page
    assert "After POST /handed-over 23 Nov 2026, 00:00 – 24 Nov 2026, 00:00" in page


def test_comparison_with_an_empty_side_says_which_and_shows_the_other(pages):
    (page,) = pages("before_after", sample.comparison(n=(0, 1377), n_failed=(0, 3)))
    assert "Too few to tell: n = 0 and 1,377" in page
    assert "Nothing of it was recorded before the moment. The other side stands alone below." in page
    assert "After: n = 1,377" in page
    assert "What changed?" not in page
    (page,) = pages("before_after", sample.comparison(n=(9, 0), replacement="POST /new"))
    assert "Nothing of it was recorded after: the route “POST /new” had no requests in this period." in page


def test_comparison_of_nothing_with_nothing_has_no_chart(pages):
    (page,) = pages("before_after", sample.comparison(n=(0, 0), n_failed=(0, 0)))
    assert "Choose a period in which there were requests." in page
    assert "How are durations spread?" not in page
    assert "At least 30 values are needed on each side." in page


def test_comparison_prints_hostile_and_endless_names_within_the_page(pages, tmp_path):
    name = "GET /<script>alert(1)</script><img src=file:///etc/passwd>{{ 7*7 }}\ud83d" + "x" * 300
    text = " ".join(pages("before_after", sample.comparison(route=name)))
    assert "<script>alert(1)</script><img src=file:///etc/passwd>{{ 7*7 }}" in text
    assert text.replace(" ", "").count("x" * 300) == 3, "the subject and both sides"
    lines = pypdf.PdfReader(tmp_path / "out.pdf").pages[0].extract_text().splitlines()
    assert max(line.count("x") for line in lines) < 120, "it is broken into lines"


def test_table_shows_every_cell_as_text_sorted_with_exact_totals(table_pages):
    text = "name,amount,note\nB,0.1,=1+1\nA,10,<b>x</b>\nC,,\nD,-2.25,@cmd\n"
    (page,) = table_pages(text, sort_by="amount", descending=True, totals=["amount"])
    rows = page[page.index("name amount note") : page.index("About")]
    assert rows.strip() == "name amount note A 10.00 <b>x</b> B 0.10 =1+1 D -2.25 @cmd C Total 7.85"
    assert "4 rows, sorted by amount, downwards." in page
    assert "Total amount 7.85" in page
    assert "Columns are separated by comma." in page


def test_text_sorts_without_regard_to_case_and_empty_cells_come_last(table_pages):
    for descending, order in ((False, "k v a 3 B 4 c 1 2"), (True, "k v c 1 B 4 a 3 2")):
        (page,) = table_pages("k,v\nc,1\n,2\na,3\nB,4\n", sort_by="k", descending=descending)
        assert order in page


def test_columns_are_chosen_and_ordered(table_pages):
    (page,) = table_pages("a,b,c\n1,2,3\n4,5,6\n", columns=["c", "a"])
    assert "c a 3 1 6 4" in page
    assert "Columns 2 of 3" in page


def test_rows_above_the_cap_are_left_out_with_a_note_and_counted_in_the_total(table_pages):
    text = "n\n" + "\n".join(map(str, range(1, 2101)))
    found = table_pages(text, totals=["n"])
    assert (
        "Printed here: the first 2,000 of 2,100 rows, in the order of the file. The totals cover all rows."
        in found[0]
    )
    assert "2,206,050" in found[-2]  # 2100 * 2101 / 2
    assert " 2000 " in " ".join(found)
    assert " 2001 " not in " ".join(found)


def test_columns_that_do_not_fit_go_on_in_a_further_table(table_pages):
    names = ["Station", *(f"Value{at}" for at in range(40))]
    text = "\n".join([",".join(names), ",".join(["Alpha", *("12345" for _ in range(40))])])
    found = " ".join(table_pages(text))
    assert re.search(r"Columns 2 to \d+ of 41", found)
    assert re.search(r"Columns \d+ to 41 of 41", found)
    assert found.count("Alpha") >= 2


def test_introduction_and_title_are_text(table_pages):
    (page,) = table_pages("a\n1\n", title="<i>Sales</i> & more", introduction="First.\n\n<b>Second.</b>")
    assert "<i>Sales</i> & more" in page
    assert "First. <b>Second.</b>" in page
