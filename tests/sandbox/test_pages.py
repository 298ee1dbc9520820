"""Pages for people: they show what is there, escaped, without secrets, and to whom they may."""

import hashlib
import html
import json
import re

import pytest

from buildpush.foundation.secrets import MASK, Secret
from buildpush.sandbox.html import element, facts, joined, link, page, table
from buildpush.sandbox.page import size
from tests.browser import BROWSER, TELEPHONE, widths_in_browser

APP = "docker-local/team/app"
BUILD = {
    "name": "web/hello",
    "number": "42",
    "started": "2026-10-01T12:00:00.123+0000",
    "durationMillis": 48210,
    "agent": {"name": "buildpush", "version": "1"},
    "url": "https://ci.example.com/42",
    "vcs": [{"url": "https://git.example.com/hello.git", "revision": "3f0c6d0b", "branch": "main", "message": "Bump"}],
    "properties": {"buildInfo.env.STAGE": "release", "buildInfo.env.DB_PASSWORD": "hunter22"},
    "modules": [
        {
            "id": "hello:1",
            "properties": {"docker.image.tag": "acme/hello:1"},
            "artifacts": [
                {
                    "name": "manifest.json",
                    "path": "team/app/1/manifest.json",
                    "originalDeploymentRepo": "docker-local",
                    "sha256": "c4ea8752c2804198",
                }
            ],
            "dependencies": [{"id": "sha256__4dd30af6", "sha1": "9b327707"}],
        }
    ],
}
BUILD_PAGE = "/ui/builds/web%2Fhello/42/1790856000123/published?buildRepo=artifactory-build-info"


def look(client, path):
    """Open a page the way a browser on this machine does: without credentials."""
    answer = client.send("GET", path, authorization=None)
    assert answer.status == 200, answer.data
    return answer.data.decode()


def publish(client, **changes):
    body = json.dumps({**BUILD, **changes}).encode()
    assert client.send("PUT", "/artifactory/api/build", body=body).status == 204


def links(text):
    return [html.unescape(address) for address in re.findall(r'href="(/[^"]*)"', text)]


@pytest.mark.sandbox
def test_every_link_leads_to_a_page(client, box):
    client.push(APP, "1")
    digests = [client.push(APP, None, layer) for layer in (b"amd64", b"arm64")]
    client.put_manifest(APP, "multi", client.make_index(*digests), "application/vnd.oci.image.index.v1+json")
    properties = "build.name=web/hello%3Bbuild.number=42%3Bbuild.timestamp=1790856000123"
    client.send("PUT", f"/artifactory/api/storage/docker-local/team/app/1?properties={properties}")
    publish(client)
    seen, waiting = set(), ["/ui/"]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting += set(links(look(client, path))) - seen - set(waiting)
    assert BUILD_PAGE in seen
    assert f"/ui/images/docker-local/team/app/{digests[0].replace(':', '%3A')}" in seen


@pytest.mark.sandbox
@pytest.mark.parametrize("path", ["/", "/ui"])
def test_the_root_leads_to_the_pages(client, path):
    answer = client.send("GET", path, authorization=None)
    assert (answer.status, answer.headers["Location"]) == (302, "/ui/")


@pytest.mark.sandbox
@pytest.mark.parametrize("path", ["/ui/repositories", "/ui/builds", "/ui/files/docker-local"])
def test_a_slash_at_the_end_is_not_needed(client, path):
    assert look(client, path) == look(client, f"{path}/")


@pytest.mark.sandbox
def test_the_page_of_an_image_shows_what_it_is_made_of(client, box):
    history = [{"created_by": "ADD base"}, {"created_by": "ENV A=b", "empty_layer": True}, {"created_by": "COPY app"}]
    digest = client.push(APP, "1", b"base", b"x" * 2500, labels={"team": "web"}, history=history)
    text = look(client, "/ui/images/docker-local/team/app/1")
    for shown in (
        digest,
        "ADD base",
        "COPY app",
        "linux/amd64",
        f"docker pull {box.host}/{APP}:1",
        "docker.label.team",
    ):
        assert shown in text
    assert "2.5\N{NO-BREAK SPACE}kB" in text
    assert "ENV A=b" not in text


@pytest.mark.sandbox
def test_a_config_that_is_not_one_still_has_a_page(client):
    manifest = json.loads(client.make_manifest(APP, b"layer"))
    manifest["config"].update(client.push_blob(APP, b"[1]"))
    client.put_manifest(APP, "1", json.dumps(manifest).encode())
    assert "Layers" in look(client, "/ui/images/docker-local/team/app/1")


@pytest.mark.sandbox
def test_the_page_of_a_build_shows_where_it_came_from_and_what_it_made(client):
    publish(client)
    text = look(client, BUILD_PAGE)
    for shown in (
        "web/hello #42",
        "48.2 s",
        "3f0c6d0b",
        "main",
        "hello:1",
        "sha256__4dd30af6",
        "release",
        "https://ci.",
    ):
        assert shown in text
    assert "/ui/images/docker-local/team/app/1" in links(text)


@pytest.mark.sandbox
def test_a_repository_is_a_tree_of_directories_and_files(client):
    client.send("PUT", "/artifactory/generic-local/app/1.0/a.txt;owner=web?", body=b"hello")
    assert "/ui/files/generic-local/app" in links(look(client, "/ui/files/generic-local/"))
    assert "/ui/files/generic-local/app/1.0/a.txt" in links(look(client, "/ui/files/generic-local/app/1.0"))
    text = look(client, "/ui/files/generic-local/app/1.0/a.txt")
    for shown in ("5 bytes", "owner", "web", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"):
        assert shown in text
    assert {"/ui/files/generic-local/app", "/ui/files/generic-local/app/1.0"} <= set(links(text))


@pytest.mark.sandbox
def test_the_page_of_an_image_shows_what_refers_to_it(client):
    digest = client.push(APP, "1")
    manifest = json.loads(client.make_manifest(APP, b"signature"))
    subject = {"mediaType": manifest["mediaType"], "digest": digest, "size": 1}
    signature = json.dumps({**manifest, "artifactType": "application/x-signature", "subject": subject}).encode()
    client.put_manifest(APP, f"sha256:{hashlib.sha256(signature).hexdigest()}", signature)
    assert "application/x-signature" in look(client, "/ui/images/docker-local/team/app/1")


@pytest.mark.sandbox
def test_the_page_of_a_build_shows_what_changed_since_the_run_before(client):
    publish(client, number="41", started="2026-09-30T12:00:00.000+0000", properties={"buildInfo.env.STAGE": "test"})
    publish(client)
    changes = look(client, BUILD_PAGE).partition("Changes since")[2]
    assert "<code>test</code></td><td><code>release</code>" in changes
    assert "manifest.json" not in changes.partition("<details>")[0]


@pytest.mark.sandbox
def test_the_first_run_has_no_changes(client):
    publish(client)
    assert "Changes since" not in look(client, BUILD_PAGE)


@pytest.mark.sandbox
def test_values_that_look_secret_are_hidden(client):
    publish(client)
    text = look(client, BUILD_PAGE)
    assert "DB_PASSWORD" in text
    assert "hunter22" not in text


@pytest.mark.sandbox
def test_the_passwords_of_the_sandbox_are_hidden_wherever_they_turn_up(client, box):
    publish(client, url=f"https://{box.username}:{box.password.reveal()}@ci.example.com/")
    text = look(client, BUILD_PAGE)
    assert box.password.reveal() not in text
    assert MASK in text


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "changes", [{"vcs": "x", "properties": [1]}, {"agent": 3, "modules": None, "durationMillis": "1"}]
)
def test_a_build_with_odd_values_still_has_a_page(client, changes):
    publish(client, **changes)
    assert "web/hello #42" in look(client, BUILD_PAGE)


@pytest.mark.engines
def test_pages_are_no_wider_than_a_telephone(client, need, tmp_path):
    need(BROWSER or "chromium")
    client.push(APP, "1", b"base", b"x" * 2500, labels={"team": "web" * 40})
    publish(client, number="41", started="2026-09-30T12:00:00.000+0000")
    publish(client, url=f"https://ci.example.com/{'x' * 200}", vcs=[{"message": "y" * 200}])
    places = ("/ui/", "/ui/repositories/", "/ui/images/docker-local/team/app/1", "/ui/files/docker-local/team/app/1")
    files = {}
    for number, place in enumerate((*places, "/ui/builds/", BUILD_PAGE)):
        files[place] = tmp_path / f"{number}.html"
        files[place].write_text(look(client, place), encoding="utf-8")
    assert not {
        place: width for place, width in widths_in_browser(BROWSER, files, tmp_path).items() if width > TELEPHONE
    }


@pytest.mark.sandbox
def test_text_of_others_is_not_taken_for_html(client):
    evil = "<script>alert(1)</script>"
    client.push(APP, "1", labels={"note": evil})
    publish(client, url="javascript:alert(1)", vcs=[{"message": evil, "branch": "\ud800"}])
    for path in ("/ui/images/docker-local/team/app/1", BUILD_PAGE):
        text = look(client, path)
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert 'href="javascript:' not in text


def issues(**summaries):
    return {
        "tracker": {"name": "JIRA"},
        "affectedIssues": [
            {"key": key, "url": f"https://a.test/{key}", "summary": text} for key, text in summaries.items()
        ],
    }


@pytest.mark.sandbox
def test_the_page_of_a_build_lists_its_issues_and_which_are_new(client):
    publish(client, number="41", started="2026-09-30T12:00:00.000+0000", issues=issues(SHOP_1="Open"))
    publish(client, issues=issues(SHOP_2="Sell <b>pears"))
    text = look(client, BUILD_PAGE)
    head, _, changes = text.partition("Changes since")
    assert '<a href="https://a.test/SHOP_2">SHOP_2</a>' in head
    assert "Sell &lt;b&gt;pears" in head
    assert "SHOP_1" not in head
    for shown in ("issue", "SHOP_1", "SHOP_2"):
        assert shown in changes.partition("Build-info document")[0]


@pytest.mark.sandbox
@pytest.mark.parametrize("odd", [None, "x", {}, {"affectedIssues": "x"}, {"affectedIssues": [None, 1]}])
def test_a_build_without_issues_has_no_table_of_them(client, odd):
    publish(client, issues=odd)
    assert "Issues</h2>" not in look(client, BUILD_PAGE)


@pytest.mark.sandbox
def test_an_address_of_an_issue_that_is_not_on_the_web_is_no_link(client):
    publish(client, issues={"affectedIssues": [{"key": "K-1", "url": "javascript:alert(1)", "summary": 7}]})
    text = look(client, BUILD_PAGE)
    assert "K-1" in text
    assert 'href="javascript:' not in text


@pytest.mark.sandbox
def test_pages_may_load_and_run_nothing(client):
    policy = client.send("GET", "/ui/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "path",
    [
        "/ui/nothing",
        "/ui/repositories/nothing",
        "/ui/images/nothing/app/1",
        "/ui/images/docker-local/app/1",
        "/ui/files/nothing/",
        "/ui/files/docker-local/nothing",
        "/ui/builds/nothing",
        BUILD_PAGE,
    ],
)
def test_a_page_that_is_not_there_says_so_as_a_page(client, path):
    answer = client.send("GET", path, authorization=None)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"Back to the start" in answer.data


@pytest.mark.sandbox
def test_another_name_for_this_machine_needs_a_login(client, box):
    """Else any web site could point its name here and read the pages through the browser of whoever visits it."""
    foreign = {"Host": "evil.example.com"}
    answer = client.send("GET", "/ui/", authorization=None, headers=foreign)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="Artifactory Realm"')
    assert client.send("GET", "/ui/", headers=foreign).status == 200
    assert client.send("GET", "/ui/", authorization=None, headers={"Host": "localhost:1"}).status == 200


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3_000_000_000_000, "3.0 TB")],
)
def test_sizes_are_counted_in_thousands(number, text):
    assert size(number).replace("\N{NO-BREAK SPACE}", " ") == text


def test_elements_escape_what_is_not_html_yet():
    assert element("p", "<b>", element("br"), title='"') == '<p title="&quot;">&lt;b&gt;<br></p>'
    assert joined("a", None, "&") == "a&amp;"


def test_a_link_leads_only_to_pages():
    assert link("javascript:x", "text") == "text"
    assert link("https://a.b/", "text") == '<a href="https://a.b/">text</a>'


def test_facts_without_a_value_are_left_out():
    assert facts([("A", ""), ("B", None), ("C", 0)]) == "<dl><dt>C</dt><dd>0</dd></dl>"


def test_an_empty_table_is_a_sentence():
    assert table(("A",), [], "Nothing.") == '<p class="empty">Nothing.</p>'


def test_known_secrets_are_stars_on_every_page():
    secret = Secret('planted"&secret')
    assert secret.reveal() not in html.unescape(page("title", f"it is {secret.reveal()}"))
