"""``deploy/install``: what a machine with the portal on it does, and lets nobody do."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support import authority
from tests.support.containers import CLONE, HOST
from tests.support.every_answer import CHALLENGES, STYLE, Answer
from tests.support.installed import (
    CONTENT,
    FILES,
    FRONTS,
    NAME,
    SERVERS,
    UNITS,
    Installed,
    ask,
    asking,
    sign_in,
    upload,
    upload_command,
)

pytestmark = pytest.mark.timeout(600)

# Prints what a server says of itself when a connection over HTTP/2 begins.
SETTINGS = """
import socket, ssl, sys
import h2.connection, h2.events

context = ssl.create_default_context(cafile="/etc/portal/tls.crt")
context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
context.set_alpn_protocols(["h2"])
plain = socket.create_connection((sys.argv[1], 443), timeout=30)
with context.wrap_socket(plain, server_hostname=sys.argv[1]) as connection:
    h2c = h2.connection.H2Connection()
    h2c.initiate_connection()
    connection.sendall(h2c.data_to_send())
    for event in h2c.receive_data(connection.recv(65536)):
        if isinstance(event, h2.events.RemoteSettingsChanged):
            for one in event.changed_settings.values():
                print(f"{one.setting.name}={one.new_value}")
"""
# Types a letter into each terminal that it has.
TYPE = """
import fcntl, os, termios
from contextlib import suppress
for name in [*os.listdir("/proc/self/fd"), os.open("/dev/tty", os.O_RDWR)]:
    with suppress(OSError):
        fcntl.ioctl(int(name), termios.TIOCSTI, b"x")
print("tried")
"""
# What systemd-analyze says at most; 10 is a service without any protection.
EXPOSURE = {
    "portal-gunicorn.service": 0.6,
    "portal-uploads.service": 0.6,
    "portal-express.service": 1.5,
}


def test_the_doctor_finds_nothing(installed: Installed) -> None:
    assert re.search(r"^\d+ checks: \d+ ok, 0 warning, 0 failure", installed.messages, re.MULTILINE)
    assert "create the first account: portal create-account NAME" in installed.messages
    # What ran before runs unchanged until then.
    assert installed.messages.index("switching ...") < installed.messages.index(
        "Created the database"
    )


def test_the_owner_downloads_the_file_and_the_server_sends_it(installed: Installed) -> None:
    reply = installed.ask(installed.url)
    assert (reply.status, reply.body) == (200, CONTENT)
    assert NAME in reply.header("Content-Disposition")
    assert installed.refuses_as_a_server()
    assert reply.header("X-Content-Type-Options") == "nosniff"


def test_the_owner_is_told_how_the_download_ended(installed: Installed) -> None:
    details = installed.url.replace("/files/", "/entries/")
    assert installed.ask(installed.url, "--compressed").status == 200
    deadline = time.monotonic() + 30
    has_receipts = installed.server != "xsendfile"
    wanted = "completed, 24.4 KiB sent" if has_receipts else "still being confirmed"
    while wanted not in (page := installed.ask(details).body):
        assert time.monotonic() < deadline, page
        time.sleep(0.5)
    assert " download" in page


def test_texts_travel_compressed(installed: Installed) -> None:
    for path in ("/", "/activity.csv", STYLE):
        asked, coded = installed.ask(path), installed.ask(path, "--compressed")
        assert "\ncontent-encoding:" not in asked.head.lower()
        assert coded.header("Content-Encoding") == "gzip", path
        assert asked.status == coded.status == 200
        for one in (asked, coded):
            assert "Accept-Encoding" in one.header("Vary")
            assert path == STYLE or NAME in one.body
        assert path != STYLE or coded.body == asked.body
        head = installed.ask(path, "--compressed", "--head").head.lower()
        assert "\ncontent-length:" not in head  # of what GET would bring
        assert "\nvary:" in head


def test_no_length_tells_a_secret(installed: Installed) -> None:
    details = installed.url.replace("/files/", "/entries/")
    link = installed.send_form(f"{details}/share", "password")
    assert f"https://{HOST}/s/" in link.body
    factor = installed.ask("/account/second-factor", "--compressed")
    other_site = ("--header", "Sec-Fetch-Site: cross-site")
    opened = installed.ask(f"/?{NAME}", "--compressed", *other_site)
    for one in (link, factor, opened):
        # nginx compresses what has no coding, and cannot remove one.
        coding = "identity" if installed.server == "nginx" else None
        assert re.findall(r"(?im)^content-encoding: (\S*)", one.head) == (
            [coding] if coding else []
        )
    assert NAME in opened.body


def test_static_files_come_whole(installed: Installed) -> None:
    """So nobody joins two codings, which have the same date (RFC 9110, 13.1.5)."""
    whole = installed.ask(STYLE)
    dated = ("--header", f"If-Range: {whole.header('Last-Modified')}")
    for options in ((), ("--compressed",), dated, (*dated, "--compressed")):
        resumed = installed.ask(STYLE, "--range", "100-199", *options)
        assert (resumed.status, resumed.body) == (200, whole.body)
        assert "\ncontent-range:" not in resumed.head.lower()
        assert "\naccept-ranges: bytes" not in resumed.head.lower()
    refused = installed.ask(STYLE, "--header", 'If-Match: "x"')
    assert (refused.status, whole.body[:100] in refused.body) == (412, False)


def test_files_travel_as_they_are(installed: Installed) -> None:
    """Though they are texts, by their type and content."""
    for path in (installed.url, f"{installed.url}/preview"):
        for options in ((), ("--range", "5-50"), ("--head",)):
            asked, coded = (
                installed.ask(path, *options, *more) for more in ((), ("--compressed",))
            )
            assert (coded.status, coded.body) == (asked.status, asked.body)
            for name in ("Content-Length", "Content-Type", "ETag", "Vary"):
                # Apache calls the ETag of a file weak that is younger than a second.
                assert coded.header(name).removeprefix("W/") == asked.header(name).removeprefix(
                    "W/"
                )
            assert coded.header("Content-Type").startswith("text/plain")
            assert coded.header("Vary") == "Cookie"
            assert "\ncontent-encoding:" not in coded.head.lower()
    assert installed.ask(installed.url, "--compressed").body == CONTENT


def test_no_log_has_the_links_that_were_opened(installed: Installed) -> None:
    for kind in ("s", "r", "invitation", "reset"):
        for spelling in (f"/{kind}/secret-token", f"//{kind}/secret-token"):
            ask(installed.container, spelling)
            ask(installed.container, f"http://{HOST}{spelling}")
        # What the page of a link loads names the page.
        page = ("--referer", f"https://{HOST}/{kind}/secret-token")
        ask(installed.container, "/no-such-page", *page)
        ask(installed.container, "/sign-in", *page, "--data", "username=mallory&password=wrong")
    ask(installed.container, "/sign-in?opened")
    if len(UNITS[installed.server]) > 1:  # nor those that nothing answered
        installed.container.must("systemctl", "stop", "portal-gunicorn.socket", "portal-gunicorn")
        assert ask(installed.container, "/s/secret-token").status in {502, 503}
        installed.container.must("systemctl", "start", *UNITS[installed.server])
        wait_until_healthy(installed)
    logs = ["/var/log/apache2", "/var/log/nginx", "/var/log/portal", "/var/log/portal-express"]
    logs.append("/run/portal-express")
    found = installed.container.run("grep", "-r", "-l", "secret-token", *logs).stdout
    assert found == ""
    assert "secret-token" not in installed.container.must("journalctl", "--no-pager")
    if installed.server != "apache-express":
        assert installed.container.run("grep", "-r", "-q", "sign-in?opened", *logs).returncode == 0


def test_what_is_over_is_removed_daily(installed: Installed) -> None:
    must = installed.container.must
    assert must("systemctl", "is-active", "portal-cleanup.timer").strip() == "active"
    must("systemctl", "start", "portal-cleanup.service")
    must("logrotate", "--debug", "/etc/logrotate.d/portal")


def test_nobody_else_gets_the_file(installed: Installed) -> None:
    internal = f"/private/{installed.stored.removeprefix(f'{FILES}/')}"
    for target in (installed.url, internal, f"/{internal}", f"/%70{internal[2:]}"):
        reply = ask(installed.container, target)
        assert reply.status in {302, 303, 403, 404}, target
        assert CONTENT not in reply.body
    assert installed.ask(internal).status in {403, 404}


def test_plain_http_leads_to_https(installed: Installed) -> None:
    reply = ask(installed.container, f"http://{HOST}/sign-in?next=/a")
    assert reply.status in {301, 302}
    location = reply.header("Location").replace(f"{HOST}:443", HOST)
    assert location == f"https://{HOST}/sign-in?next=/a"
    assert "max-age=" in ask(installed.container, "/sign-in").header("Strict-Transport-Security")


@pytest.fixture
def challenge(installed: Installed) -> Iterator[str]:
    """Return the path of an answer to an authority of certificates."""
    folder = f"/var/lib/portal-acme{CHALLENGES}"
    installed.container.must("sh", "-c", f"mkdir -p {folder} && echo answer >{folder}/test")
    yield f"{CHALLENGES}/test"
    installed.container.must("rm", "-r", folder)


def test_an_authority_sees_what_certbot_answers_and_nothing_else(
    installed: Installed, challenge: str
) -> None:
    container = installed.container
    answered = ask(container, f"http://{HOST}{challenge}")
    assert (answered.status, answered.body) == (200, "answer\n")
    assert answered.header("Content-Type") == "text/plain"
    container.must("ln", "-s", "/etc/passwd", f"/var/lib/portal-acme{challenge}.link")
    internal = f"/private/{installed.stored.removeprefix(f'{FILES}/')}"
    paths = ["", "/", "/test/", "/test/x", "/test.link", "/../acme-challenge", "/%2e%2e/%2e%2e/"]
    paths += [f"/..%2f..%2f..{internal}", f"/../..{internal}", "/test%00", "/test%2f"]
    for path in (internal, f"{challenge[:-5]}{internal}", *(f"{CHALLENGES}{one}" for one in paths)):
        reply = ask(container, f"http://{HOST}{path}")
        assert reply.status in {301, 302, 400, 403, 404}, path
        assert "answer" not in reply.body
    # Certbot answers on port 80 alone; what is below it is the portal's.
    assert ask(container, challenge).status == 404
    container.must("rm", f"/var/lib/portal-acme{challenge}.link")
    writable = container.run("test", "-w", "/var/lib/portal-acme", user="portal")
    assert writable.returncode != 0


def test_a_renewed_certificate_is_shown_while_a_download_goes_on(installed: Installed) -> None:
    container, renew = (
        installed.container,
        "certbot renew --force-renewal --no-random-sleep-on-renew",
    )
    authority.fetch_root(container)
    before = authority.serial(container)
    assert container.must("systemctl", "is-active", "certbot.timer") == "active\n"
    slow = shlex.join([*installed.asking(installed.url), "--limit-rate", "5k"])
    # The head of the answer comes before its body.
    command = f"{slow} >/root/slow-download & {renew} >&2; wait $!; cat /root/slow-download"
    if installed.server == "apache-express":  # which has to start anew
        command = f"{renew} >&2"
    said = container.must("bash", "-ec", command)
    assert installed.server == "apache-express" or CONTENT in said
    wait_until_healthy(installed)
    assert authority.serial(container) != before


def test_every_answer_has_the_headers_of_the_site(installed: Installed, challenge: str) -> None:
    assert challenge == f"{CHALLENGES}/test"
    found = every_answer(installed)
    if len(UNITS[installed.server]) > 1:
        installed.container.must("systemctl", "stop", "portal-gunicorn.socket", "portal-gunicorn")
        found += [one for one in every_answer(installed) if one.name == "nothing"]
        installed.container.must("systemctl", "start", *UNITS[installed.server])
        wait_until_healthy(installed)
        assert found[-1].status in {502, 503}
    wrong = [f"{one.name} ({one.status}): {what}" for one in found for what in missing(one)]
    assert not wrong, "\n".join(wrong)
    expected = {200, 206, 302, 304, 400, 401, 403, 404, 405, 412, 413, 414, 416}
    if installed.server == "xsendfile":
        expected.discard(413)  # mod_proxy waits for the body before anything counts it
    assert expected <= {one.status for one in found}


def every_answer(installed: Installed) -> list[Answer]:
    program = str(CLONE / "tests/support/every_answer.py")
    said = installed.container.must(sys.executable, program, HOST, installed.url)
    return [Answer(**one) for one in json.loads(said)]


EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def missing(answer: Answer) -> Iterator[str]:
    """Yield what is wrong with the headers of an answer."""
    headers = answer.headers
    said = " ".join([*headers.get("server", []), *re.findall("(?:Apache|nginx).*", answer.body)])
    if re.search("[0-9]", said):
        yield f"the server's version: {said}"
    if answer.name.startswith("plain") and "strict-transport-security" in headers:
        yield "strict-transport-security without TLS"
    for name, value in wanted(answer).items():
        if len(headers.get(name, [])) != 1:
            yield f"{name} came {len(headers.get(name, []))} times"
        elif value not in headers[name][0]:
            yield f"{name}: {headers[name][0]}"


def wanted(answer: Answer) -> dict[str, str]:
    """Return the headers that an answer has once, with a part of their values."""
    # Nobody may store a 412 or 416 (RFC 9111, 3), so these two need not say who may.
    is_of_a_file = answer.name.startswith("file")
    is_stored = not is_of_a_file or answer.status not in {412, 416}
    varies = {"vary": "Cookie"} if answer.name.startswith(("file", "page", "form")) else {}
    varies = varies if is_stored else {}
    if answer.status == 304:  # the browser keeps the others from the answer that it has
        return {"cache-control": "", **varies}
    secure = (
        {} if answer.name.startswith("plain") else {"strict-transport-security": "max-age=31536000"}
    )
    stored = {"cache-control": ""} if is_stored else {}
    return {**EVERYWHERE, **secure, **stored, **varies, "content-security-policy": ""}


def test_the_portal_believes_no_name_and_no_address_of_the_clients(installed: Installed) -> None:
    lies = ("X-Forwarded-Host: evil.example", "X-Forwarded-For: 6.6.6.6", "Host: evil.example")
    reply = ask(installed.container, "/", *(w for lie in lies for w in ("--header", lie)))
    assert reply.status in {302, 303, 403}
    assert "evil.example" not in reply.head
    form = ("--data", "username=mallory", "--header", lies[1])
    ask(installed.container, "/sign-in", *form)
    # By this header, a client can have a proxy drop others (RFC 9110, 7.6.1).
    dropped = ", ".join(f"x-Forwarded-{name}" for name in ("For", "Host", "Proto"))
    drop = ("--http1.1", "--header", f"Connection: close, {dropped}")
    assert ask(installed.container, "/", *drop).header("Location").startswith(("/", "https://"))
    assert ask(installed.container, "/sign-in", *drop, *form).status == 400  # by its CSRF token
    journal = installed.container.must("journalctl", "--no-pager")
    assert "6.6.6.6" not in journal
    assert "from unknown" not in journal


def test_the_portal_believes_no_path_of_the_clients(installed: Installed) -> None:
    moved = ("--header", "SCRIPT_NAME: /x", "--header", "PATH_INFO: /healthz")
    assert ask(installed.container, "/x/sign-in", *moved).status == 404
    assert ask(installed.container, "/sign-in", *moved).status == 200


def test_the_web_servers_user_reads_the_files_and_nothing_else(installed: Installed) -> None:
    run, stored = installed.container.run, installed.stored
    assert run("cat", stored, user="www-data").stdout == CONTENT
    folder = stored.rpartition("/")[0]
    for command in (
        ("sh", "-c", f"echo more >>{stored}"),
        ("rm", "-f", stored),
        ("touch", f"{folder}/new"),
        ("touch", f"{FILES}/new"),
        ("ls", "/srv/portal"),
        ("ls", "/srv/portal/incoming"),
        ("cat", "/srv/portal/portal.db"),
        ("cat", "/srv/portal/secret_key"),
        ("cat", "/etc/portal/guard.conf"),
        ("cat", "/etc/portal/settings.toml"),
    ):
        done = run(*command, user="www-data")
        assert done.returncode != 0, command
        assert "Permission denied" in done.stderr, command
    assert run("cat", stored).stdout == CONTENT
    assert "Permission denied" in run("cat", stored, user="nobody").stderr


def test_the_portal_cannot_change_its_code_or_settings(installed: Installed) -> None:
    for path in (
        "/opt/portal/app/portal/__init__.py",
        "/opt/portal/python/bin/flask",
        "/etc/portal/settings.toml",
        "/etc/portal/environment",
        "/etc/portal/guard.conf",
        "/etc/portal/tls.key",
        "/usr/local/sbin/portal",
    ):
        assert installed.container.run("test", "-e", path).returncode == 0, path
        assert installed.container.run("test", "-w", path, user="portal").returncode != 0, path
    for path in ("/etc/portal/guard.conf", "/etc/portal/tls.key"):
        assert installed.container.run("test", "-r", path, user="portal").returncode != 0, path
    for folder in ("/opt/portal", "/opt/portal/app", "/opt/portal/app/portal", "/etc/portal"):
        assert installed.container.run("test", "-w", folder, user="portal").returncode != 0, folder


def test_the_code_runs_as_the_portals_user(installed: Installed) -> None:
    listed = installed.container.must("ps", "axo", "user:32=,args=").splitlines()
    owners = {line.split()[0] for line in listed if re.search(r"\(wsgi:portal\)|gunicorn", line)}
    assert owners == {"portal"}


def test_nothing_of_the_portal_types_into_the_terminal_of_root(installed: Installed) -> None:
    """TIOCSTI, ioctl_tty(2), by a command whose memory other processes of its user may write."""
    run = "/opt/portal/app/deploy/as-portal"
    program = "/root/type.sh"
    text = f"""
        {run} python -c '{TYPE}'
        IFS= read -rst 1 -n 1 typed; echo "typed:$typed:"
        {run} python -c 'print(input(chr(62)))' <<<'from a file'
        {run} python -c 'import sys; print(1); print(2, file=sys.stderr)' >/root/out 2>/root/err
        cat -A /root/out /root/err
        {run} python -c 'raise SystemExit(7)' || echo "status $?"
    """
    installed.container.must("bash", "-c", f"cat >{program} <<'END'\n{text}\nEND")
    said = installed.container.must(
        "script", "--quiet", "--command", f"bash {program}", "/dev/null"
    )
    assert "tried" in said
    assert "typed::" in said
    assert ">from a file" in said.replace("\r", "")
    assert "1$" in said
    assert "2$" in said
    assert "status 7" in said


def test_the_units_are_clean_and_closed(installed: Installed) -> None:
    run = installed.container.run
    for unit in UNITS[installed.server]:
        verified = run("systemd-analyze", "verify", unit)
        assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
        if unit in EXPOSURE:
            said = run("systemd-analyze", "security", "--no-pager", unit).stdout
            level = re.search(r"Overall exposure level .*: ([0-9.]+) ", said)
            assert level, said
            assert float(level[1]) <= EXPOSURE[unit]
    assert run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def test_only_the_web_server_reaches_gunicorn(installed: Installed) -> None:
    for name in ("gunicorn", "uploads") if UNITS[installed.server][1:] else ():
        socket = f"/run/portal/{name}.sock"
        command = ("curl", "--silent", "--unix-socket", socket, "http://portal/healthz")
        for user in ("nobody", "portal"):
            assert installed.container.run(*command, user=user).returncode == 7
        assert installed.container.run(*command, user="www-data").returncode == 0


def test_slow_uploads_stop_no_page(installed: Installed) -> None:
    container = installed.container
    container.must("truncate", "--size", "1M", "/root/slow")
    command = upload_command(container, "/root/slow")
    slow = shlex.join([*command, "--limit-rate", "2k"])
    many = f"for i in $(seq 40); do {slow} >/dev/null 2>&1 & echo $!; done"
    processes = container.must("sh", "-c", many).split()
    try:
        begun = time.monotonic()
        while time.monotonic() - begun < 5:
            assert installed.ask("/sign-in").status in {200, 302, 303}
        # They hold none of the few connections to the database, either.
        assert upload(container, f"/root/{NAME}").status in {302, 303}
        answered = container.run("kill", "-0", *processes)
        assert answered.returncode == 0, "they ended before the pages were asked for"
    finally:
        container.run("kill", *processes)


def test_slow_forms_stop_no_page(installed: Installed) -> None:
    """Longer ones than a proxy keeps back until they are whole."""
    container = installed.container
    container.must("truncate", "--size", "60K", "/root/form")
    slow = shlex.join(asking("/sign-in", "--data-binary", "@/root/form", "--limit-rate", "4k"))
    many = f"for i in $(seq 40); do {slow} >/dev/null 2>&1 & echo $!; done"
    processes = container.must("sh", "-c", many).split()
    try:
        time.sleep(6)  # by now more than 16 KiB of each have come
        for _ in range(10):
            begun = time.monotonic()
            assert installed.ask("/").status == 200
            assert time.monotonic() - begun < 2
        answered = container.run("kill", "-0", *processes)
        assert answered.returncode == 0, "they ended before the pages were asked for"
    finally:
        container.run("kill", *processes)


def test_the_number_of_clients_is_remembered(installed: Installed) -> None:
    run, install = installed.container.run, str(CLONE / "deploy" / "install")
    refused = run(install, "--clients", "0", installed.server, HOST)
    assert refused.returncode == 2
    assert "'0' is not a number of clients" in refused.stderr
    for words in (["--clients", "300"], []):
        done = run(install, *words, installed.server, HOST)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\nSIZE_CLIENTS=300\n" in installed.container.must("cat", "/etc/portal/environment")
    done = run(install, "--clients=", installed.server, HOST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nSIZE_CLIENTS=300\n" not in installed.container.must("cat", "/etc/portal/environment")


def test_one_connection_over_http2_has_few_threads(installed: Installed) -> None:
    settings = installed.container.must(sys.executable, "-c", SETTINGS, HOST)
    most = 128 if installed.server == "nginx" else 32  # nginx has no threads, and this by default
    assert f"MAX_CONCURRENT_STREAMS={most}\n" in settings


def test_what_the_server_refuses_changes_nothing(installed: Installed) -> None:
    container, before, clone = installed.container, files_of(installed), "/root/clone"
    container.must("cp", "-r", str(CLONE), clone)
    for name in ("apache/server.conf", "nginx/portal.conf"):
        container.must("sh", "-c", f"echo nonsense >>{clone}/deploy/{name}")
    done = container.run(f"{clone}/deploy/install", installed.server, "other.example.org")
    assert done.returncode == 1
    assert "refuses its new configuration. What ran before runs on unchanged" in done.stderr
    assert files_of(installed) == before
    assert installed.ask(installed.url).body == CONTENT


@pytest.mark.parametrize(
    ("broken", "said"),
    [("tls.crt", "tls.crt is not a certificate"), ("tls.key", "tls.key is not the key of tls.crt")],
)
def test_a_certificate_that_no_server_starts_with_is_refused(
    installed: Installed, broken: str, said: str
) -> None:
    container, before = installed.container, files_of(installed)
    container.must("mv", f"/etc/portal/{broken}", "/root/good")
    container.must("sh", "-c", f"echo nonsense >/etc/portal/{broken}")
    done = container.install(installed.server, "other.example.org")
    container.must("mv", "/root/good", f"/etc/portal/{broken}")
    assert done.returncode == 1
    assert f"{said}. What ran before runs on unchanged" in done.stderr
    assert files_of(installed) == before
    assert installed.ask(installed.url).body == CONTENT


def test_what_the_portal_refuses_changes_nothing(installed: Installed) -> None:
    container, before = installed.container, files_of(installed)
    container.must("chmod", "0644", "/srv/portal/portal.db")
    done = container.install(installed.server)
    container.must("chmod", "0600", "/srv/portal/portal.db")
    assert done.returncode == 1
    assert "Other users may read /srv/portal/portal.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert files_of(installed) == before
    assert installed.ask(installed.url).body == CONTENT


def files_of(installed: Installed) -> str:
    """Sum up what an installation writes, and the server's own settings."""
    folders = "/etc/portal /etc/apache2/sites-* /etc/apache2/conf-* /etc/nginx /opt/portal/app"
    command = f"find -L {folders} -type f ! -name '*.pyc' -exec sha256sum {{}} +"
    return installed.container.must("sh", "-c", f"{command} | sort")


def test_a_link_in_the_place_of_a_folder_leads_root_nowhere(installed: Installed) -> None:
    container, files, aside = installed.container, str(FILES), "/srv/portal/aside"
    for target in ("/etc/portal", "/srv/portal/nowhere"):
        container.must("mv", files, aside, user="portal")
        container.must("ln", "-s", target, files, user="portal")
        done = container.install(installed.server)
        container.must("rm", files, user="portal")
        container.must("mv", aside, files, user="portal")
        assert done.returncode == 1
        assert f"{files} has to be a folder, and no link to one" in done.stderr
        assert container.must("stat", "-c", "%U %G %a", "/etc/portal") == "root portal 750\n"
        assert container.run("test", "-e", "/srv/portal/nowhere").returncode != 0


def test_no_process_of_the_portal_has_a_hand_in_the_guard(installed: Installed) -> None:
    # The key is the portal's; whatever it says, nothing but a token comes of it.
    container, key = installed.container, "/srv/portal/secret_key"
    container.must("cp", "-a", key, "/root/key")
    before = container.must("cat", "/etc/portal/guard.conf")
    spoil = f"printf '\"\\n\\nLoadFile /tmp/evil.so\\n%0100d' 0 >{key}"
    container.must("sh", "-c", spoil, user="portal")
    try:
        done = container.install(installed.server)
        assert done.returncode == 0, done.stderr
        after = container.must("cat", "/etc/portal/guard.conf")
    finally:
        container.must("cp", "-a", "/root/key", key)
        again = container.install(installed.server)
    assert "evil" not in after
    keys = "[0-9a-f]{32}|[0-9a-f]{15}"
    assert re.sub(keys, "", after) == re.sub(keys, "", before)
    assert again.returncode == 0, again.stderr
    assert container.must("cat", "/etc/portal/guard.conf") == before


def test_only_root_writes_where_root_opens_logs(installed: Installed) -> None:
    container, logs = installed.container, "/var/log/portal"
    assert container.must("stat", "-c", "%U %G %a", logs) == "root portal 750\n"
    # As an earlier installation left it.
    container.must("chown", "portal", logs)
    for server in SERVERS:
        planted = f"{logs}/{server}.log"
        container.run("mv", planted, f"{planted}.1", user="portal")
        container.must("ln", "-s", "/etc/planted", planted, user="portal")
    done = container.install(installed.server)
    assert done.returncode == 0, done.stderr
    assert container.must("stat", "-c", "%U %G %a", logs) == "root portal 750\n"
    assert container.must("find", logs, "-type", "l") == ""
    assert container.run("test", "-e", "/etc/planted").returncode != 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "it takes two words"),
        (("lighttpd", HOST), "there is no SERVER 'lighttpd'"),
        (("nginx", "files"), "'files' is not the name of a machine"),
        (("nginx", "files.example.org;"), "is not the name of a machine"),
    ],
)
def test_wrong_words_are_refused(installed: Installed, words: tuple[str, ...], said: str) -> None:
    done = installed.container.run(str(CLONE / "deploy/install"), *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_another_run_keeps_everything_and_takes_new_settings(installed: Installed) -> None:
    container, limit = installed.container, 100_000
    container.must("sh", "-c", f"echo MAX_CONTENT_LENGTH = {limit} >>/etc/portal/settings.toml")
    done = container.install(installed.server)
    assert done.returncode == 0, done.stderr
    assert "installing" not in done.stderr
    assert "create the first account" not in done.stderr
    assert installed.ask(installed.url).body == CONTENT
    sign_in(container, installed.password)
    assert installed.ask(installed.url).body == CONTENT
    environment = container.must("cat", "/etc/portal/environment")
    assert f"\nBODY_LIMIT={limit + 64 * 1024**2}\n" in environment
    container.must("truncate", "--size", str(limit * 300), "/root/large")
    reply = upload(container, "/root/large")
    assert reply.status == 413
    assert "<html" in reply.body


def test_it_comes_back_after_a_restart(installed: Installed) -> None:
    installed.restart()
    wait_until_healthy(installed)
    assert installed.ask(installed.url).body == CONTENT
    enabled = [*UNITS[installed.server], FRONTS[installed.server]]
    installed.container.must("systemctl", "is-enabled", *enabled)


def wait_until_healthy(installed: Installed) -> None:
    # While a server starts, nothing may listen, or one that is in front may answer for it.
    retry = ["--retry", "30", "--retry-delay", "1", "--retry-all-errors", "--fail"]
    url = f"https://{HOST}/healthz"
    installed.container.must("curl", "--silent", "--insecure", *retry, url)
