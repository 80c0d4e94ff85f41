"""What a person sees, in a real browser."""

import re
from io import BytesIO

from playwright.sync_api import expect
from pypdf import PdfReader


def test_a_stranger_is_sent_to_sign_in(house, browser_page):
    browser_page.goto("/")
    expect(browser_page).to_have_url(re.compile(r"/auth/login"))
    expect(browser_page.get_by_label("Password")).to_be_visible()


def test_a_one_time_link_signs_in_once(house, browser_page, chromium):
    house.cli("users", "add", "berta", "--role", "staff")
    link = "/auth/login?" + house.cli("users", "link", "berta").stdout.strip().partition("?")[2]
    browser_page.goto(link)
    browser_page.goto("/")
    expect(browser_page.get_by_role("heading", level=1)).to_be_visible(timeout=30_000)
    assert house.visitor(pages=True).get(link).status_code != 303


def test_a_form_becomes_a_pdf(house, browser_page, tmp_path):
    """The first thing a newcomer does: sign in, fill in the form, watch, download, read."""
    house.cli("users", "add", "gerda", "--role", "staff")
    browser_page.goto("/auth/login?" + house.cli("users", "link", "gerda").stdout.strip().partition("?")[2])
    browser_page.goto("/reports?report=Table+from+a+file")
    table = tmp_path / "sales.csv"
    table.write_text("region,units\n" + "".join(f"Region {i},{i}\n" for i in range(1, 121)))
    browser_page.locator("input[type=file]").set_input_files(table)
    expect(browser_page.get_by_text("Read: 2 columns, 120 rows")).to_be_visible(timeout=30_000)
    browser_page.get_by_role("textbox", name="Title").fill("Units by region")
    browser_page.get_by_role("button", name="Order report").click()
    expect(browser_page.get_by_text(re.compile(r"Queued|Running|Succeeded")).first).to_be_visible()
    download = browser_page.get_by_role("link", name="Download")
    expect(download).to_be_visible(timeout=60_000)
    answer = browser_page.request.get(download.get_attribute("href"))
    assert answer.headers["content-type"] == "application/pdf"
    assert 'filename="units-by-region' in answer.headers["content-disposition"]
    pdf = PdfReader(BytesIO(answer.body()))
    text = "\n".join(page.extract_text() for page in pdf.pages)
    assert "Units by region" in text
    assert all(f"Region {i}" in text for i in (1, 60, 120))
    assert text.count("units") >= len(pdf.pages) > 1, "each page repeats the head of the table"


def test_a_counter_puts_its_filter_into_the_address_of_its_own_page(house, browser_page):
    house.cli("users", "add", "clara", "--role", "ops")
    house.cli("tasks", "submit", "probe", "--payload", "-", input="{}")
    browser_page.goto("/auth/login?" + house.cli("users", "link", "clara").stdout.strip().partition("?")[2])
    browser_page.goto("/tasks")
    counter = browser_page.get_by_role("link", name=re.compile(r"\d+ Failed$"))
    expect(counter).to_be_visible(timeout=30_000)
    counter.click()
    expect(browser_page).to_have_url(re.compile(r"/tasks\?state=Failed$"), timeout=30_000)
    expect(browser_page.get_by_role("button", name="Failed", exact=True)).to_have_attribute(
        "aria-pressed", "true", timeout=30_000
    )
