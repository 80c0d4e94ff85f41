"""What a person sees, in a real browser."""

import re

from playwright.sync_api import expect


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
