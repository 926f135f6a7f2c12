"""The site as nginx shows it, with the example of docs/operations.md: below a path, by TLS on a
port; and what the site says when the proxy or the settings are wrong."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from playwright.sync_api import Browser, Page, Response, expect

from local.ports import LOOPBACK, answers, free_ports
from local.processes import ends_with_us
from tests.browser.using import ARGUMENTS, CHROMIUM, in_view, watched_page
from tests.stack import EVERYTHING, ROOT, Stack, a_stack, until

pytestmark = pytest.mark.browser

_HOST = "kitchen.example"
_PREFIX = "/kitchen"
_EXAMPLE = re.search(
    r"```nginx\n(.*?)(server \{.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL
)
_ADD_A_USER = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser("ada", password="dark")
"""
#: The example's server, and how others differ from it.
_SERVERS: Mapping[str, tuple[str, str]] = {
    "example": ("", ""),
    # Passes on the host without its port.
    "portless": ("$http_host", "$host"),
    # Likewise, but its origin is in CSRF_TRUSTED_ORIGINS.
    "trusted": ("$http_host", "$host"),
    "stripping": ("proxy_pass http://127.0.0.1:8000;", "proxy_pass http://127.0.0.1:8000/;"),
}
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
#: Links of this site in a page, and how each of them is answered.
_FOLLOW_LINKS = """async () => {
  const links = new Set([...document.querySelectorAll("a[href]")].map((one) => one.href));
  const ours = [...links].filter((one) => one.startsWith(location.origin));
  return Promise.all(ours.map(async (one) => [one, (await fetch(one)).status]));
}"""


@dataclass(frozen=True)
class _Behind:
    """The processes, and where nginx shows them."""

    stack: Stack
    ports: Mapping[str, int]
    #: Trusts the certificate, and finds the host here.
    browser: Browser

    def origin(self, server: str) -> str:
        return f"https://{_HOST}:{self.ports[server]}"

    def url(self, server: str) -> str:
        return f"{self.origin(server)}{_PREFIX}/"


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, session_amqp_url: str, browser: Browser
) -> Iterator[_Behind]:
    directory = tmp_path_factory.mktemp("nginx")
    certificate = trustme.CA().issue_cert(_HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(directory / "kitchen.pem")
    ports = dict(zip(_SERVERS, free_ports(len(_SERVERS)), strict=True))
    settings = {
        "PATH_PREFIX": _PREFIX,
        "HTTPS": "1",
        "TRUSTED_PROXIES": "1",
        "BOARD_PUBLIC": "0",
        "ALLOWED_HOSTS": f"{_HOST},{LOOPBACK}",
        "CSRF_TRUSTED_ORIGINS": f"https://{_HOST}:{ports['trusted']}",
    }
    with a_stack(tmp_path_factory.mktemp("stack"), session_amqp_url, **settings) as stack:
        stack.manage("shell", "-c", _ADD_A_USER)
        stack.start(*EVERYTHING)
        configuration = directory / "nginx.conf"
        configuration.write_text(_configuration(directory, ports, stack.port))
        words = ["nginx", "-p", str(directory), "-e", "stderr", "-c", str(configuration)]
        with (directory / "nginx.log").open("wb") as log:
            nginx = subprocess.Popen(ends_with_us(words), stdout=log, stderr=log)
        other = browser.browser_type.launch(
            executable_path=CHROMIUM,
            args=[
                *ARGUMENTS,
                f"--host-resolver-rules=MAP {_HOST} {LOOPBACK}",
                f"--ignore-certificate-errors-spki-list={_key_hash(certificate)}",
            ],
        )
        try:
            until(lambda: all(map(answers, ports.values())), (directory / "nginx.log").read_text())
            yield _Behind(stack, ports, other)
        finally:
            other.close()
            nginx.terminate()
            nginx.wait(10)


def _configuration(directory: Path, ports: Mapping[str, int], site: int) -> str:
    assert _EXAMPLE is not None
    common, example = _EXAMPLE.groups()
    servers = [
        _changed(
            example,
            change,
            ("listen 8443 ", f"listen {LOOPBACK}:{ports[name]} "),
            ("/etc/nginx/kitchen.pem", str(directory / "kitchen.pem")),
            ("/etc/nginx/kitchen.key", str(directory / "kitchen.pem")),
            ("http://127.0.0.1:8000", f"http://{LOOPBACK}:{site}"),
        )
        for name, change in _SERVERS.items()
    ]
    temporary = "".join(f"{name}_temp_path {directory / name};\n" for name in _TEMPORARY)
    return (
        f"daemon off;\nmaster_process off;\npid {directory / 'pid'};\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{common}{''.join(servers)}}}\n"
    )


def _changed(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new) if old else text
    return text


def _key_hash(certificate: trustme.LeafCert) -> str:
    """What Chromium knows a certificate by."""
    key = load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(sha256(der).digest()).decode()


@pytest.fixture
def page(behind: _Behind) -> Iterator[Page]:
    """A page whose every answer is a good one, and below the prefix."""
    answered: list[tuple[str, int]] = []

    def note(answer: Response) -> None:
        answered.append((answer.url, answer.status))

    with watched_page(behind.browser, behind.url("example")) as page:
        page.on("response", note)
        yield page
    assert answered
    assert [one for one in answered if one[1] >= 400] == []
    assert [url for url, _ in answered if not f"{url}/".startswith(behind.url("example"))] == []


@contextmanager
def _refused_page(behind: _Behind, *, has_javascript: bool = True) -> Iterator[Page]:
    """A page of an origin that is not trusted; htmx reports that to the console."""
    context = behind.browser.new_context(
        base_url=behind.url("portless"), java_script_enabled=has_javascript
    )
    yield context.new_page()
    context.close()


def _log_in(page: Page) -> None:
    """Log in with the form that the page shows."""
    in_view(page.locator("[name=username]")).fill("ada")
    in_view(page.locator("[name=password]")).fill("dark")
    in_view(page.locator("main button[type=submit]")).click()


def _order(page: Page) -> None:
    """Fill in the order form, and send it."""
    in_view(page.locator("input[aria-describedby='problem-burger']")).fill("2")
    in_view(page.get_by_role("button", name="Place order")).click()


def test_an_order_is_placed_watched_and_decided_on(behind: _Behind, page: Page) -> None:
    page.goto("")
    _order(page)
    page.wait_for_url(f"{behind.url('example')}ticket/*/")
    expect(page.locator("#ticket-status")).to_contain_text("Ready. Enjoy!")
    order = page.url.rstrip("/").rpartition("/")[2]

    # The board isn't public: the navigation offers it to users alone.
    page.goto("dashboard/")
    page.wait_for_url(f"{behind.url('example')}login/?next={_PREFIX}/dashboard/")
    _log_in(page)
    page.wait_for_url(behind.url("example") + "dashboard/")

    # By the WebSocket: the page was loaded before this order.
    expect(page.locator("#board")).to_have_attribute("data-socket", "live")
    expect(page.locator(f"tr[data-order='{order}']").first).to_be_visible()
    found = page.locator("#discrepancies tr a[href]")
    expect(found.first).to_be_visible()
    placed = page.evaluate(
        "fetch('/kitchen/orders', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        ' body: \'{"MenuItems": ["fries"]}\'}).then((answer) => answer.json())'
    )
    assert placed["ticket"].startswith(f"{_PREFIX}/ticket/")
    expect(page.locator(f"tr[data-order='{placed['id']}']").first).to_be_visible()
    links = page.evaluate("[...document.querySelectorAll('#board a[href]')].map((a) => a.href)")
    assert len(links) > 20
    assert [one for one in links if not one.startswith(behind.url("example"))] == []

    found.first.click()
    page.wait_for_url(re.compile(rf"{_PREFIX}/dashboard/discrepancies/\d+/"))
    in_view(page.locator("button[name=decision][value=bug]").first).click()
    until(lambda: behind.stack.number("select count(*) from dashboard_review") == 1, "a review")

    in_view(page.get_by_role("button", name="Log out ada")).click()
    page.wait_for_url(behind.url("example"))
    expect(page.get_by_role("button", name="Place order")).to_be_visible()
    expect(page.get_by_role("button", name="Log out ada")).to_have_count(0)
    assert {one["path"] for one in page.context.cookies()} == {f"{_PREFIX}/"}


def test_every_page_of_the_navigation_comes_whole_and_leads_to_pages_below_the_prefix(
    behind: _Behind, page: Page
) -> None:
    page.goto(f"login/?next={_PREFIX}/dashboard/")
    _log_in(page)
    page.wait_for_url(behind.url("example") + "dashboard/")
    links = page.get_by_role("navigation", name="Main").get_by_role("link").all()
    pages = [link.get_attribute("href") or "" for link in links]
    assert len(pages) >= 4
    for path in (*pages, f"{_PREFIX}/dashboard/how/", f"{_PREFIX}/admin/"):
        assert path.startswith(f"{_PREFIX}/"), path
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200
        # Its own styles, and scripts that ran.
        assert page.evaluate(
            "document.styleSheets.length && document.styleSheets[0].cssRules.length"
        )
        if "/admin/" not in path:
            assert page.evaluate("typeof htmx") == "object"
        followed = page.evaluate(_FOLLOW_LINKS)
        assert len(followed) > 3
        for url, status in followed:
            assert url.startswith(behind.url("example")), (path, url)
            assert status == 200, (path, url)


def test_the_address_without_its_last_slash_leads_there(behind: _Behind, page: Page) -> None:
    page.goto(behind.url("example")[:-1])
    expect(page).to_have_url(behind.url("example"))


def test_a_form_of_an_origin_that_is_not_trusted_tells_staff_what_to_set_and_a_customer_what_to_do(
    behind: _Behind,
) -> None:
    origin = behind.origin("portless")
    setting = f"CSRF_TRUSTED_ORIGINS={origin}"
    with _refused_page(behind) as page:
        page.goto("")
        _order(page)
        message = page.locator("#order [data-trouble]")
        expect(message).to_contain_text("This site isn't set up for the address that you used.")
        expect(message).not_to_contain_text("CSRF")
        expect(page.locator("input[aria-describedby='problem-burger']")).to_have_value("2")

        page.goto("login/")
        _log_in(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("This address is not trusted.")
        main = page.locator("main")
        expect(main).to_contain_text(f"The form came from {origin}")
        expect(main).to_contain_text(f"the proxy presents this site as https://{_HOST}.")
        expect(main).to_contain_text(f"set {setting}")
        expect(main).to_contain_text("have the proxy pass on the Host header with its port")
    lines = [
        one
        for one in behind.stack.log("site").splitlines()
        if f"refused a form of '{origin}'" in one
    ]
    assert lines
    assert all(setting in line for line in lines)


def test_a_customer_without_javascript_is_told_so_on_a_page(behind: _Behind) -> None:
    with _refused_page(behind, has_javascript=False) as page:
        page.goto("")
        _order(page)
        expect(page.locator("main")).to_contain_text("Open the site at its usual address")
        expect(page.locator("main")).not_to_contain_text("CSRF")


def test_an_origin_that_is_trusted_with_its_port_may_send_forms(behind: _Behind) -> None:
    with watched_page(behind.browser, behind.url("trusted")) as page:
        page.goto("login/")
        _log_in(page)
        page.wait_for_url(behind.url("trusted") + "dashboard/")
        expect(page.locator("#board")).to_have_attribute("data-socket", "live")


def test_a_proxy_that_removes_the_prefix_is_told_so(behind: _Behind) -> None:
    with watched_page(behind.browser, behind.url("stripping")) as page:
        answer = page.goto("dashboard/")
        assert answer is not None
        assert answer.status == 404
        expect(page.locator("body")).to_contain_text("this site is at /kitchen/.")
    assert "'/dashboard/' is not below PATH_PREFIX=/kitchen" in behind.stack.log("site")
