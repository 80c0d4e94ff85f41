"""The Schedules page in a real browser: the preview follows the typing."""

from playwright.sync_api import expect


def test_preview_while_typing(house, browser_page):
    house.cli("users", "add", "paula", "--role", "staff")
    link = house.cli("users", "link", "paula").stdout.strip().partition("?")[2]
    browser_page.goto(f"/auth/login?{link}")
    browser_page.goto("/schedules?view=New")
    rule = browser_page.get_by_role("textbox", name="Rule")
    expect(rule).to_be_visible(timeout=30_000)
    rule.fill("")
    rule.press_sequentially("0 0 * * mon#2")
    expect(browser_page.get_by_text("is not cron: write the days")).to_be_visible()
    rule.fill("*/15 9-17 * * 1-5")
    expect(browser_page.get_by_text("Every 15 minutes, between 09:00 and 17:59")).to_be_visible()
    browser_page.get_by_role("button", name="Mondays").click()
    expect(rule).to_have_value("0 9 * * mon")
    expect(browser_page.get_by_text("At 09:00, only on Monday")).to_be_visible()
