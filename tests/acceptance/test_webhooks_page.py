"""The Webhooks page in a real browser: dialogs outlive a refresh, a secret is shown until it is put away."""

from playwright.sync_api import expect


def test_an_endpoint_from_its_making_to_its_end(house, browser_page):
    house.cli("users", "add", "wanda", "--role", "staff")
    link = house.cli("users", "link", "wanda").stdout.strip().partition("?")[2]
    browser_page.goto(f"/auth/login?{link}")
    browser_page.goto("/webhooks")
    address = browser_page.get_by_role("textbox", name="Address")
    expect(address).to_be_visible(timeout=30_000)
    address.fill("https://hooks.example.com/in")
    browser_page.get_by_role("button", name="Add endpoint").click()
    expect(browser_page.get_by_text("whsec_")).to_be_visible()
    browser_page.get_by_role("button", name="I have copied it").click()
    expect(browser_page.get_by_text("whsec_")).to_have_count(0)
    browser_page.get_by_text("2 s", exact=True).click()
    browser_page.get_by_role("button", name="Rotate secret").click()
    dialog = browser_page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    browser_page.wait_for_timeout(2_500)  # a refresh passes
    dialog.get_by_role("button", name="Rotate secret").click()
    expect(browser_page.get_by_text("whsec_")).to_be_visible()
    browser_page.get_by_role("button", name="I have copied it").click()
    browser_page.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove endpoint").click()
    expect(browser_page.get_by_text("No endpoints yet")).to_be_visible()
